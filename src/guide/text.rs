//! The guide's files as values.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use tikv_chaos_core::Version;

use super::{Sign, versions::ForVersions};
use crate::{chaos::FaultType, subject::docker::Role};

/// What to look for when one type of fault is injected.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guide {
    /// The whole in a sentence or two.
    summary: String,
    #[serde(default, rename = "note")]
    notes: Vec<Note>,
    #[serde(rename = "expect")]
    pub(super) expectations: Vec<Expectation>,
    #[serde(rename = "confused")]
    confusions: Vec<Confusion>,
}

/// What is said besides of some versions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    #[serde(default)]
    versions: ForVersions,
    text: String,
}

/// One thing that should be seen.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// In a few words, for a list.
    pub name: String,
    /// Of which versions it is expected.
    #[serde(default)]
    versions: ForVersions,
    text: String,
    #[serde(default, rename = "note")]
    notes: Vec<Note>,
    /// When a real cluster shows it, in seconds after the injection.
    pub when: Window,
    /// The metrics, with labels or without, the store states and the log lines that show it, each one of
    /// [`facts`](crate::cluster::assumed::facts).
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
    #[serde(default)]
    versions: ForVersions,
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

    pub fn summary(&self, version: Option<Version>) -> String {
        joined(&self.summary, &self.notes, version)
    }

    pub fn expectations(&self, version: Option<Version>) -> impl Iterator<Item = &Expectation> {
        self.expectations.iter().filter(move |one| one.is_for(version))
    }

    pub fn confusions(&self, version: Option<Version>) -> impl Iterator<Item = &Confusion> {
        self.confusions.iter().filter(move |one| one.versions.has(version))
    }
}

impl Expectation {
    pub(super) fn is_for(&self, version: Option<Version>) -> bool {
        self.versions.has(version)
    }

    pub fn text(&self, version: Option<Version>) -> String {
        joined(&self.text, &self.notes, version)
    }
}

fn joined(text: &str, notes: &[Note], version: Option<Version>) -> String {
    let notes = notes.iter().filter(|note| note.versions.has(version)).map(|note| note.text.as_str());
    let parts: Vec<&str> = std::iter::once(text.trim_end()).chain(notes).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests;
