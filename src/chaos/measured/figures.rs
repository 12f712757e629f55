//! The figures of one measurement: counts and times, in microseconds, of round trips to each peer.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::expected::Beside;
use crate::chaos::network::Packets;

/// One look from inside a target at its peers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub peers: Vec<PeerReading>,
    /// What the fault has met since it was made or last changed; `None` where nobody counts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<Packets>,
    /// Connections of the target with its peers that the fault does not meet, each with the peer's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<String>,
}

/// One address of a peer, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerReading {
    /// The node's name.
    pub name: String,
    pub address: IpAddr,
    pub port: u16,
    /// Connections over TCP.
    pub connect: Tally,
    /// ICMP echoes; `None` where none can be sent from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<Tally>,
    /// Many large echoes at once, where a rate was to be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<Burst>,
    /// The other injections that held on this way meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
}

/// How often a peer was asked, and how often and when it answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub sent: u32,
    /// Whatever the answer was: a refused connection has been there and back too.
    pub answered: u32,
    /// Connections that were refused.
    #[serde(default)]
    pub refused: u32,
    /// Answers to what was answered already.
    #[serde(default)]
    pub duplicates: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<Times>,
}

/// The times of those that were answered, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    pub mean_us: u64,
    /// One standard deviation.
    pub deviation_us: u64,
    pub least_us: u64,
    pub median_us: u64,
    pub p99_us: u64,
    pub most_us: u64,
}

/// What came back of a burst, from its first answer to its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    pub sent_bytes: u64,
    pub answered_bytes: u64,
    pub took_us: u64,
}

impl Times {
    /// `None` of nothing.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn of(times_us: &mut [u64]) -> Option<Self> {
        times_us.sort_unstable();
        let (least, most) = (*times_us.first()?, *times_us.last()?);
        let count = times_us.len() as f64;
        let mean = times_us.iter().map(|us| *us as f64).sum::<f64>() / count;
        let variance = times_us.iter().map(|us| (*us as f64 - mean).powi(2)).sum::<f64>() / count;
        let at = |share: f64| times_us[((count - 1.0) * share).round() as usize];
        Some(Self {
            mean_us: mean.round() as u64,
            deviation_us: variance.sqrt().round() as u64,
            least_us: least,
            median_us: at(0.5),
            p99_us: at(0.99),
            most_us: most,
        })
    }
}

impl Tally {
    pub fn lost(&self) -> u32 {
        self.sent.saturating_sub(self.answered)
    }

    /// Whether a connection came about.
    pub fn accepted(&self) -> u32 {
        self.answered.saturating_sub(self.refused)
    }
}

impl PeerReading {
    /// Whether it was tried.
    pub fn is_tried(&self) -> bool {
        self.connect.sent > 0 || self.echo.is_some_and(|echo| echo.sent > 0)
    }

    /// Whether anything came back.
    pub fn is_reached(&self) -> bool {
        self.connect.answered > 0 || self.echo.is_some_and(|echo| echo.answered > 0)
    }

    /// The middle of its times: of connections, else of echoes.
    pub fn median_us(&self) -> Option<u64> {
        let times = self.connect.times.or(self.echo.and_then(|echo| echo.times));
        times.map(|times| times.median_us)
    }
}

impl Reading {
    pub fn peer(&self, address: IpAddr, port: u16) -> Option<&PeerReading> {
        self.peers.iter().find(|peer| (peer.address, peer.port) == (address, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_summed_up() {
        let mut times = [300, 100, 200];
        let times = Times::of(&mut times).unwrap();
        assert_eq!((times.mean_us, times.least_us, times.median_us, times.most_us), (200, 100, 200, 300));
        assert_eq!(times.deviation_us, 82);
        assert_eq!(Times::of(&mut []), None);
    }
}
