//! What a session's file remembers for a report and nothing else needs: who it was, when what became of each
//! injection, and how much the cluster did meanwhile. Recovery never reads it.

use std::env;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Life;
use crate::chaos::InjectionId;

/// So many readings of the throughput are kept; where there are more, every second one goes.
const MOST_RATES: usize = 2_000;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throughput: Vec<Throughput>,
}

/// The person and the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    pub user: String,
    pub host: String,
}

/// One injection came to another state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub at: Timestamp,
    pub id: InjectionId,
    pub state: Life,
    /// The process that did it, and what that was doing: `tui`, `revert`, `guard`.
    pub pid: u32,
    pub command: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What the cluster did at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    pub at: Timestamp,
    /// Those that succeeded.
    pub ops_per_s: u64,
    /// Those that TiKV refused, where there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_per_s: Option<u64>,
}

impl History {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Who {
    /// The user as the environment says, else by number; the machine by its own name.
    pub fn here() -> Self {
        let named =
            ["USER", "LOGNAME"].into_iter().filter_map(|name| env::var(name).ok()).find(|name| !name.is_empty());
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        Self { user: named.unwrap_or_else(|| format!("uid {}", nix::unistd::geteuid())), host }
    }
}

/// Readings of the throughput, thinned so that a long session costs no more than a short one.
#[derive(Debug, Default)]
pub struct Rates(Vec<Throughput>);

impl Rates {
    pub fn push(&mut self, reading: Throughput) {
        self.0.push(reading);
        if self.0.len() > MOST_RATES {
            let mut odd = false;
            self.0.retain(|_| {
                odd = !odd;
                odd
            });
        }
    }

    /// From a minute before the session's first injection on.
    pub fn since(&self, start: Timestamp) -> Vec<Throughput> {
        let from = start - jiff::SignedDuration::from_secs(60);
        self.0.iter().filter(|reading| reading.at >= from).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_session_keeps_as_much_as_a_short_one_and_all_of_its_time() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let mut rates = Rates::default();
        for second in 0..10_000 {
            rates.push(Throughput { at: at(second), ops_per_s: 200, refused_per_s: None });
        }
        let kept = rates.since(at(0));
        assert!(kept.len() <= MOST_RATES && kept.len() > MOST_RATES / 4, "{}", kept.len());
        assert_eq!(kept[0].at, at(0));
        assert!(kept.last().unwrap().at > at(9_990));
        assert!(rates.since(at(5_000))[0].at >= at(4_940));
    }
}
