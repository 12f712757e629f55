//! The small vocabulary in which a guide says how something is noticed, and what each word means.

use serde::Deserialize;

use super::{Before, Sight};
use crate::subject::docker::State;

/// Something about the target, or its cluster, that is so or not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Docker's state of the container.
    DockerState(State),
    /// PD's word for the store.
    StoreState(String),
    /// The last heartbeat that PD had is older than so many seconds.
    HeartbeatAgeOverS(u64),
    /// PD counts no leader on the store, where there were some.
    LeadersGone,
    /// PD counts at least half as many leaders on the store as before.
    LeadersBack,
    StatusPort(StatusPort),
    /// Another node cannot send messages to the store.
    Unreachable(bool),
    /// The node refuses requests for that reason, as it counts them itself; or no longer does.
    Refuses(String),
    RefusesNoMore(String),
    /// The store's available space, as a share of what it was.
    AvailableBelowShare(f64),
    AvailableAboveShare(f64),
    /// The node's own writes take so many times as long as before, at their 99th percentile; or less.
    WriteP99Times(f64),
    WriteP99BelowTimes(f64),
    /// As the last two, for the agreement on the Raft log alone.
    CommitP99Times(f64),
    /// The cluster's successful operations a second, as a share of what they were.
    ThroughputBelowShare(f64),
    ThroughputAboveShare(f64),
}

/// How the target's own status port is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusPort {
    Answers,
    Silent,
}

impl Sign {
    #[cfg(test)]
    pub(super) const WORDS: [&str; 16] = [
        "docker_state",
        "store_state",
        "heartbeat_age_over_s",
        "leaders_gone",
        "leaders_back",
        "status_port",
        "unreachable",
        "refuses",
        "refuses_no_more",
        "available_below_share",
        "available_above_share",
        "write_p99_times",
        "write_p99_below_times",
        "commit_p99_times",
        "throughput_below_share",
        "throughput_above_share",
    ];

    #[cfg(test)]
    pub(super) fn word(&self) -> &'static str {
        let at = match self {
            Self::DockerState(_) => 0,
            Self::StoreState(_) => 1,
            Self::HeartbeatAgeOverS(_) => 2,
            Self::LeadersGone => 3,
            Self::LeadersBack => 4,
            Self::StatusPort(_) => 5,
            Self::Unreachable(_) => 6,
            Self::Refuses(_) => 7,
            Self::RefusesNoMore(_) => 8,
            Self::AvailableBelowShare(_) => 9,
            Self::AvailableAboveShare(_) => 10,
            Self::WriteP99Times(_) => 11,
            Self::WriteP99BelowTimes(_) => 12,
            Self::CommitP99Times(_) => 13,
            Self::ThroughputBelowShare(_) => 14,
            Self::ThroughputAboveShare(_) => 15,
        };
        Self::WORDS[at]
    }

    /// How many readings in a row must show it: what is measured over a second jumps about.
    pub(super) const fn readings(&self) -> u8 {
        match self {
            Self::WriteP99Times(_)
            | Self::WriteP99BelowTimes(_)
            | Self::CommitP99Times(_)
            | Self::ThroughputBelowShare(_)
            | Self::ThroughputAboveShare(_) => 3,
            _ => 1,
        }
    }

    /// Whether it is so now; `None` where it was not read just now, or there is nothing to compare it with.
    pub(super) fn shows(&self, now: &Sight, before: &Before) -> Option<bool> {
        match self {
            Self::DockerState(state) => now.container.map(|node| node.state == *state),
            Self::StoreState(state) => now.store.map(|store| store.state_name == *state),
            Self::HeartbeatAgeOverS(seconds) => now.heartbeat_age().map(|age| age.as_secs() > *seconds),
            Self::LeadersGone => now.store.zip(before.leaders).map(|(store, n)| n > 0 && store.leaders == 0),
            Self::LeadersBack => {
                now.store.zip(before.leaders).map(|(store, n)| n > 0 && store.leaders >= n.div_ceil(2))
            }
            Self::StatusPort(wanted) => now.status_port().map(|port| port == *wanted),
            Self::Unreachable(wanted) => now.is_unreachable().map(|is| is == *wanted),
            Self::Refuses(reason) => now.refused(reason).map(|rate| rate > 0.0),
            Self::RefusesNoMore(reason) => now.refused(reason).map(|rate| rate <= 0.0),
            Self::AvailableBelowShare(share) => ratio(now.available(), before.available).map(|now| now < *share),
            Self::AvailableAboveShare(share) => ratio(now.available(), before.available).map(|now| now > *share),
            Self::WriteP99Times(times) => ratio(now.write_p99(), before.write_p99).map(|now| now >= *times),
            Self::WriteP99BelowTimes(times) => ratio(now.write_p99(), before.write_p99).map(|now| now < *times),
            Self::CommitP99Times(times) => ratio(now.commit_p99(), before.commit_p99).map(|now| now >= *times),
            Self::ThroughputBelowShare(share) => ratio(now.throughput(), before.throughput).map(|now| now < *share),
            Self::ThroughputAboveShare(share) => ratio(now.throughput(), before.throughput).map(|now| now > *share),
        }
    }
}

/// How many times the old value the new one is; `None` where there was nothing to compare with.
fn ratio(now: Option<f64>, before: Option<f64>) -> Option<f64> {
    let (now, before) = now.zip(before)?;
    (before > 0.0).then(|| now / before)
}
