//! The guide's files as values.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use super::Sign;
use crate::{chaos::FaultType, subject::docker::Role};

/// What to look for when one type of fault is injected.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guide {
    /// The whole in a sentence or two.
    pub summary: String,
    #[serde(rename = "expect")]
    pub expectations: Vec<Expectation>,
    #[serde(rename = "confused")]
    pub confusions: Vec<Confusion>,
}

/// One thing that should be seen.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// In a few words, for a list.
    pub name: String,
    pub text: String,
    /// When a real cluster shows it, in seconds after the injection.
    pub when: Window,
    /// What [`crate::cluster::assumed`] calls the metrics, the store states and the log lines that show it.
    #[serde(default)]
    pub metrics: Vec<String>,
    #[serde(default)]
    pub states: Vec<String>,
    #[serde(default)]
    pub logs: Vec<String>,
    /// How it is noticed; without one it can only be read.
    pub sign: Option<Sign>,
    /// The sign stands for something that must not change: it counts from the window's beginning on.
    #[serde(default)]
    pub still: bool,
    /// What is said when it was noticed, with `{target}` for the node.
    #[serde(default)]
    pub seen: String,
    /// How it goes back after the revert; looked for where the sign was noticed.
    pub heal: Option<Heal>,
}

/// The way back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heal {
    pub name: String,
    /// In seconds after the revert.
    pub when: Window,
    pub sign: Sign,
    pub seen: String,
}

/// From, and until at the latest; in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "[u32; 2]")]
pub struct Window {
    pub from: u32,
    pub until: u32,
}

impl From<[u32; 2]> for Window {
    fn from([from, until]: [u32; 2]) -> Self {
        Self { from, until }
    }
}

/// What the fault is easily taken for, and how to tell.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confusion {
    pub with: String,
    pub tell: String,
}

/// Every type must have a file: this match does not compile without.
const fn source(kind: FaultType) -> &'static str {
    match kind {
        FaultType::NodeKill => include_str!("../../assets/guide/node_kill.toml"),
        FaultType::Latency => include_str!("../../assets/guide/latency.toml"),
        FaultType::DiskPressure => include_str!("../../assets/guide/disk_pressure.toml"),
        FaultType::NetworkPartition => include_str!("../../assets/guide/network_partition.toml"),
        FaultType::PacketLoss => include_str!("../../assets/guide/packet_loss.toml"),
        FaultType::PacketDuplicate => include_str!("../../assets/guide/packet_duplicate.toml"),
        FaultType::PacketCorrupt => include_str!("../../assets/guide/packet_corrupt.toml"),
        FaultType::PacketReorder => include_str!("../../assets/guide/packet_reorder.toml"),
        FaultType::Bandwidth => include_str!("../../assets/guide/bandwidth.toml"),
        FaultType::NodePause => include_str!("../../assets/guide/node_pause.toml"),
        FaultType::NodeStop => include_str!("../../assets/guide/node_stop.toml"),
    }
}

static GUIDES: LazyLock<BTreeMap<FaultType, Guide>> = LazyLock::new(|| {
    let parsed = FaultType::ALL.into_iter().map(|kind| (kind, toml::from_str(source(kind))));
    let good = parsed.filter_map(|(kind, guide)| match guide {
        Ok(guide) => Some((kind, guide)),
        Err(error) => {
            tracing::error!(%kind, %error, "the guide cannot be read");
            None
        }
    });
    good.collect()
});

impl Guide {
    /// The guide of that type, which is written for TiKV nodes. A test reads every file, so that none of theirs is missing.
    pub fn of(kind: FaultType, role: Role) -> Option<&'static Self> {
        GUIDES.get(&kind).filter(|_| role == Role::Tikv)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cluster::assumed::{STORE_STATES, log, metric};

    fn all() -> impl Iterator<Item = (FaultType, Guide)> {
        FaultType::ALL.into_iter().map(|kind| match toml::from_str(source(kind)) {
            Ok(guide) => (kind, guide),
            Err(error) => panic!("{kind}: {error}"),
        })
    }

    #[test]
    fn every_name_that_a_guide_mentions_is_one_that_we_rely_on() {
        for (kind, guide) in all() {
            assert!(!guide.expectations.is_empty() && !guide.confusions.is_empty(), "{kind}");
            for one in &guide.expectations {
                let known = |given: &[String], all: &[&str]| given.iter().all(|name| all.contains(&name.as_str()));
                assert!(known(&one.metrics, &metric::ALL), "{kind}: {:?}", one.metrics);
                assert!(known(&one.states, &STORE_STATES), "{kind}: {:?}", one.states);
                assert!(known(&one.logs, &log::ALL), "{kind}: {:?}", one.logs);
                let signs = [one.sign.as_ref(), one.heal.as_ref().map(|heal| &heal.sign)];
                for sign in signs.into_iter().flatten() {
                    if let Sign::StoreState(state) = sign {
                        assert!(STORE_STATES.contains(&state.as_str()), "{kind}: {state}");
                    }
                }
            }
            for word in source(kind).split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                let metric = word.starts_with("tikv_") || word.starts_with("process_");
                assert!(!metric || metric::ALL.contains(&word), "{kind}: {word} in a text");
            }
        }
    }

    #[test]
    fn what_can_be_noticed_is_said_and_only_that() {
        for (kind, guide) in all() {
            for one in &guide.expectations {
                assert!(one.when.from <= one.when.until, "{kind}: {}", one.name);
                assert_eq!(one.sign.is_some(), !one.seen.is_empty(), "{kind}: {}", one.name);
                assert!(one.sign.is_some() || one.heal.is_none(), "{kind}: {}", one.name);
                assert!(one.name.len() <= 30, "{kind}: {} is too long for a list", one.name);
            }
        }
    }

    #[test]
    fn the_vocabulary_of_signs_has_no_dead_word() {
        let mut used = BTreeSet::new();
        for (_, guide) in all() {
            for one in guide.expectations {
                used.extend(one.sign.as_ref().map(Sign::word));
                used.extend(one.heal.as_ref().map(|heal| heal.sign.word()));
            }
        }
        assert_eq!(used, Sign::WORDS.into());
    }
}
