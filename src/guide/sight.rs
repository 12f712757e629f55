//! What is known of one injection's target at one moment, and what was known before the injection.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::StatusPort;
use crate::{
    cluster::{ClusterState, NodeView, StoreMetrics, StoreView},
    subject::docker::{Node, Snapshot},
};

/// Readings that are older than this say nothing about how it was before an injection.
const OLDEST: Duration = Duration::from_secs(30);

/// How the cluster was before the injection; a value is missing where nobody looked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Before {
    /// Of the target, in bytes and seconds.
    pub available: Option<f64>,
    pub write_p99: Option<f64>,
    pub commit_p99: Option<f64>,
    pub leaders: Option<u64>,
    /// Of the whole cluster, operations a second.
    pub throughput: Option<f64>,
    /// By the container's id.
    pub counts: BTreeMap<String, Counts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub leaders: u64,
    pub regions: u64,
}

impl Before {
    /// From readings of the target's cluster, the oldest first; those after `began` do not count.
    pub fn of<'a>(readings: impl Iterator<Item = &'a ClusterState>, target: &str, began: Timestamp) -> Self {
        let age = |one: &ClusterState| Duration::try_from(began.duration_since(one.at));
        let readings: Vec<_> = readings.filter(|one| age(one).is_ok_and(|age| age <= OLDEST)).collect();
        let metrics: Vec<_> = readings.iter().filter_map(|one| fresh(one.nodes.get(target)?, Timestamp::MIN)).collect();
        let mut before = Self {
            available: metrics.last().and_then(|one| one.available).map(lossy),
            write_p99: median(metrics.iter().filter_map(|one| Some(one.write?.p99))),
            commit_p99: median(metrics.iter().filter_map(|one| Some(one.commit?.p99))),
            throughput: median(readings.iter().filter_map(|one| one.throughput())),
            ..Self::default()
        };
        for (id, node) in readings.last().into_iter().flat_map(|last| &last.nodes) {
            if let Some(store) = &node.store {
                before.counts.insert(id.clone(), Counts { leaders: store.leaders, regions: store.regions });
            }
        }
        before.leaders = before.counts.get(target).map(|counts| counts.leaders);
        let store = readings.last().and_then(|last| last.nodes.get(target)?.store.as_ref());
        before.available = before.available.or_else(|| store.and_then(|store| store.available).map(lossy));
        before
    }
}

/// The middle one.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[expect(clippy::cast_precision_loss, reason = "compared as shares")]
fn lossy(bytes: u64) -> f64 {
    bytes as f64
}

/// What was read of the target after a moment: older values, and those whose last reading failed, are left out.
pub struct Sight<'a> {
    pub(super) container: Option<&'a Node>,
    pub(super) store: Option<&'a StoreView>,
    read_at: Option<Timestamp>,
    since: Timestamp,
    target: &'a str,
    state: Option<&'a ClusterState>,
}

impl<'a> Sight<'a> {
    pub fn new(
        target: &'a str,
        since: Timestamp,
        snapshot: Option<&'a Snapshot>,
        state: Option<&'a ClusterState>,
    ) -> Self {
        let container = snapshot.and_then(|snapshot| snapshot.by_id(target));
        let state = state.filter(|state| state.at > since);
        let read_at = state.filter(|state| state.pd.error.is_none()).and_then(|state| state.pd.at);
        let node = state.and_then(|state| state.nodes.get(target)).filter(|_| read_at.is_some_and(|at| at > since));
        let store = node.and_then(|node| node.store.as_ref());
        Self { container, store, read_at, since, target, state }
    }

    fn node(&self) -> Option<&'a NodeView> {
        self.state?.nodes.get(self.target)
    }

    fn metrics(&self) -> Option<&'a StoreMetrics> {
        fresh(self.node()?, self.since)
    }

    pub(super) fn heartbeat_age(&self) -> Option<Duration> {
        let age = self.read_at?.duration_since(self.store?.last_heartbeat?);
        Duration::try_from(age).ok()
    }

    pub(super) fn status_port(&self) -> Option<StatusPort> {
        let node = self.node()?;
        match (&node.metrics.error, self.metrics()) {
            (Some(_), _) => Some(StatusPort::Silent),
            (None, Some(_)) => Some(StatusPort::Answers),
            (None, None) => None,
        }
    }

    /// Whether any other node has messages for the store that it cannot send.
    pub(super) fn is_unreachable(&self) -> Option<bool> {
        let state = self.state?;
        let id = state.nodes.get(self.target)?.store.as_ref()?.id;
        let others = state.nodes.iter().filter(|(node, _)| *node != self.target);
        let failing = others.filter_map(|(_, node)| {
            Some(fresh(node, self.since)?.unreachable_per_s.get(&id).is_some_and(|rate| *rate > 0.0))
        });
        failing.reduce(|one, other| one || other)
    }

    /// Requests a second that the node refuses for that reason.
    pub(super) fn refused(&self, reason: &str) -> Option<f64> {
        let metrics = self.metrics()?;
        metrics.refused_per_s.map(|_| metrics.refused_by_reason.get(reason).copied().unwrap_or_default())
    }

    pub(super) fn available(&self) -> Option<f64> {
        let measured = self.metrics().and_then(|metrics| metrics.available);
        measured.or_else(|| self.store?.available).map(lossy)
    }

    pub(super) fn write_p99(&self) -> Option<f64> {
        // Refusals are fast: where they are the most, the figure is theirs.
        Some(self.metrics().filter(|metrics| !metrics.mostly_refuses())?.write?.p99)
    }

    pub(super) fn commit_p99(&self) -> Option<f64> {
        Some(self.metrics()?.commit?.p99)
    }

    pub(super) fn throughput(&self) -> Option<f64> {
        self.state?.throughput()
    }
}

fn fresh(node: &NodeView, since: Timestamp) -> Option<&StoreMetrics> {
    let read = &node.metrics;
    read.value.as_ref().filter(|_| read.error.is_none() && read.at.is_some_and(|at| at > since))
}
