//! What the screen keeps of one cluster: its last readings, and some hours of figures, one a second.

use std::collections::VecDeque;

use super::model::Model;
use crate::cluster::{ClusterState, PdNode};

/// Enough to know how it was before an injection.
const READINGS: usize = 10;
/// Fifteen minutes: what the chart above the nodes shows at most, and how long an injection that is over is looked at.
pub const SECONDS: usize = 900;
/// Four hours: as far back as the timeline goes.
pub const KEPT: i64 = 4 * 3_600;

#[derive(Debug, Clone, Default)]
pub struct Watched {
    readings: VecDeque<ClusterState>,
    history: VecDeque<Point>,
}

/// The figures of one second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Since 1970.
    pub second: i64,
    /// Operations a second.
    pub throughput: Option<f64>,
    /// In seconds.
    pub p99: Option<f64>,
}

impl Watched {
    /// Takes the next reading; one that is no newer than the last is left out.
    pub fn take(&mut self, state: ClusterState) {
        if self.readings.back().is_some_and(|last| last.at >= state.at) {
            return;
        }
        let point = Point { second: state.at.as_second(), throughput: state.throughput(), p99: state.p99() };
        match self.history.back_mut() {
            Some(last) if last.second == point.second => *last = point,
            _ => self.history.push_back(point),
        }
        self.readings.push_back(state);
        self.readings.drain(..self.readings.len().saturating_sub(READINGS));
        let kept = usize::try_from(KEPT).unwrap_or(usize::MAX);
        self.history.drain(..self.history.len().saturating_sub(kept));
    }

    pub fn state(&self) -> Option<&ClusterState> {
        self.readings.back()
    }

    /// The last ones, the oldest first.
    pub fn readings(&self) -> impl Iterator<Item = &ClusterState> {
        self.readings.iter()
    }

    /// The points of the last so many seconds, the oldest first.
    pub fn history(&self, seconds: i64) -> impl Iterator<Item = Point> {
        let from = self.history.back().map_or(0, |last| last.second.saturating_sub(seconds));
        let start = self.history.partition_point(|point| point.second <= from);
        self.history.range(start..).copied()
    }
}

impl Model {
    /// What that cluster said last, if anything of it ever answered.
    pub(super) fn state_of(&self, cluster: &str) -> Option<&ClusterState> {
        let state = self.clusters.get(cluster)?.state()?;
        let answered = state.pd.value.is_some() || state.nodes.values().any(|node| node.metrics.value.is_some());
        answered.then_some(state)
    }

    /// The cluster that the selected node is in.
    pub(super) fn selected_cluster(&self) -> Option<&str> {
        Some(&self.target()?.cluster)
    }
}

/// The PD node of that container.
pub fn pd_node<'a>(state: &'a ClusterState, id: &str) -> Option<&'a PdNode> {
    state.pd_nodes.iter().find(|node| node.container_id == id)
}
