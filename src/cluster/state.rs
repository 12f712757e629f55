//! What was read, and how fresh it is. Plain values, shown by screens and printed as JSON.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use tikv_chaos_core::Version;

use super::{
    NodeConfig, PdConfig,
    pd::Regions,
    space::{Reserve, Space},
};

/// The last value that was read, and how the last try to read it went: a value with an error beside it is stale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Read<T> {
    pub value: Option<T>,
    /// When `value` was read.
    pub at: Option<Timestamp>,
    /// Why the last try gave nothing, in a sentence.
    pub error: Option<String>,
}

impl<T> Default for Read<T> {
    fn default() -> Self {
        Self { value: None, at: None, error: None }
    }
}

impl<T> Read<T> {
    pub fn is_stale(&self) -> bool {
        self.value.is_some() && self.error.is_some()
    }

    /// Whether both say the same, whenever they were read.
    fn says_the_same(&self, other: &Self) -> bool
    where
        T: PartialEq,
    {
        self.value == other.value && self.error == other.error
    }

    /// How old the value is.
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        Some(Duration::try_from(now.duration_since(self.at?)).unwrap_or_default())
    }
}

/// What one cluster says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ClusterState {
    pub cluster: String,
    /// When this was put together.
    pub at: Timestamp,
    /// What the PD that answered says.
    pub pd: Read<PdView>,
    /// How each PD node answered, by the name of its container.
    pub pd_nodes: Vec<PdNode>,
    /// What PD said of its own configuration, by now or to an earlier program.
    pub pd_config: Read<PdConfig>,
    /// By the container's id.
    pub nodes: BTreeMap<String, NodeView>,
}

/// One PD node and how the last question to it went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PdNode {
    pub container_id: String,
    pub name: String,
    /// It answered the last question; otherwise `error` says how it went, if it was asked.
    pub answered: bool,
    pub error: Option<String>,
    /// PD's own name for this member, where it is known.
    pub member: Option<String>,
    pub is_leader: bool,
    /// PD's `/health` on it.
    pub healthy: Option<bool>,
    /// The way by which it last answered.
    pub via: Option<String>,
}

/// A member of PD, which may have no container here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PdMember {
    pub name: String,
    /// PD's `/health` on it.
    pub healthy: Option<bool>,
}

/// PD's view of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PdView {
    /// The container that answered.
    pub answered_by: String,
    pub version: Option<String>,
    /// The name of PD's leader; none while it elects one.
    pub leader: Option<String>,
    /// PD's members as it lists them; none where that is not known.
    pub members: Vec<PdMember>,
    /// `max-replicas`; `None` where PD does not say. Not what regions have where placement rules say otherwise.
    pub max_replicas: Option<u32>,
    /// Every number of voters that placement rules may give a region; empty where they are off or not known.
    pub voter_counts: Vec<u32>,
    /// Why the rules are not known, if they are on.
    pub rules_error: Option<String>,
    pub region_count: Option<u64>,
    /// Where regions have their voters; `None` where there are too many to ask for.
    #[serde(skip)]
    pub regions: Option<Arc<Regions>>,
    /// Regions without a quorum on the stores that serve; `None` where that is not known.
    pub regions_without_quorum: Option<u64>,
    /// The ids of stores that have no voters: TiFlash.
    #[serde(skip)]
    pub tiflash: BTreeSet<u64>,
    pub stores: Vec<StoreView>,
}

/// A store as PD sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StoreView {
    pub id: u64,
    /// TiKV's `--advertise-addr`.
    pub address: String,
    /// `Up`, `Disconnected`, `Down`, `Offline`, `Tombstone`: PD's word.
    pub state_name: String,
    pub version: String,
    pub last_heartbeat: Option<Timestamp>,
    pub leaders: u64,
    pub regions: u64,
    /// 1 is healthy, 100 the slowest.
    pub slow_score: Option<f64>,
    /// In bytes, to four digits: PD prints no more.
    pub capacity: Option<u64>,
    pub available: Option<u64>,
}

/// A TiKV node as the cluster and its own status port show it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NodeView {
    /// The node's store as PD sees it; as old as [`ClusterState::pd`].
    pub store: Option<StoreView>,
    pub metrics: Read<StoreMetrics>,
    /// What it said of its own configuration, by now or to an earlier program.
    pub config: Read<NodeConfig>,
    /// The way by which its metrics were last read.
    pub via: Option<String>,
}

/// What the metrics of one TiKV node say; rates and quantiles are over the time since the reading before.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StoreMetrics {
    /// Operations a second that were answered, the refused ones among them; `None` at the first reading and after a restart.
    pub reads_per_s: Option<f64>,
    pub writes_per_s: Option<f64>,
    /// Requests a second whose caller went away or that TiKV failed to answer; none that it refused.
    pub failures_per_s: Option<f64>,
    /// Writes a second that the Raft layer carried out.
    pub successful_writes_per_s: Option<f64>,
    /// Reads and writes a second that it refused, all and by TiKV's word for the reason: `err_disk_full`, `err_not_leader`, …
    pub refused_per_s: Option<f64>,
    pub refused_by_reason: BTreeMap<String, f64>,
    /// Writes that were begun before the reading before and are not answered yet, at least; they are in no other figure.
    pub waiting_writes: Option<u64>,
    /// In seconds, of all that was answered; `None` where nothing was.
    pub read: Option<Quantiles>,
    pub write: Option<Quantiles>,
    /// In seconds: writing the Raft log to disk, and agreeing on it.
    pub append: Option<Quantiles>,
    pub commit: Option<Quantiles>,
    /// Regions that this node leads, and has.
    pub leaders: Option<u64>,
    pub regions: Option<u64>,
    /// Messages a second that could not be sent, by the store they were for.
    pub unreachable_per_s: BTreeMap<u64, f64>,
    /// The worst of what is about the node's own disk.
    pub slow_score: Option<f64>,
    /// How slowly it reaches the other nodes, on average; from 8.5.5 on.
    pub network_slow_score: Option<f64>,
    /// In bytes.
    pub capacity: Option<u64>,
    pub available: Option<u64>,
    pub used: Option<u64>,
    pub resident: Option<u64>,
    /// Seconds since 1970.
    pub process_start: Option<f64>,
    /// As TiKV itself says.
    pub version: Option<String>,
}

/// In seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    pub p50: f64,
    pub p99: f64,
}

impl NodeView {
    /// The store's disk as PD says, with what the node keeps free of it; `None` where PD does not say.
    pub fn space(&self) -> Option<Space> {
        let store = self.store.as_ref()?;
        let (capacity, available) = (store.capacity?, store.available?);
        Some(Space { capacity, available, reserve: Reserve::of_data(self.config.value.as_ref(), capacity) })
    }

    /// What the node runs: by PD, which remembers it, else by its own metrics.
    pub fn version(&self) -> Option<Version> {
        let by_pd = self.store.as_ref().and_then(|store| Version::parse(&store.version));
        by_pd.or_else(|| Version::parse(self.metrics.value.as_ref()?.version.as_ref()?))
    }
}

impl StoreMetrics {
    /// Reads and writes a second that were answered with success.
    pub fn successful_per_s(&self) -> Option<f64> {
        let answered = self.reads_per_s.unwrap_or(0.0) + self.writes_per_s?;
        Some((answered - self.refused_per_s.unwrap_or(0.0)).max(0.0))
    }

    /// Most answers are refusals, which are fast: how long requests take then says nothing about those that succeed.
    pub fn mostly_refuses(&self) -> bool {
        let successful = self.successful_per_s().unwrap_or(0.0);
        self.refused_per_s.is_some_and(|refused| refused > successful)
    }
}

impl ClusterState {
    /// Whether both say the same, whenever they were read.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let node = |one: &NodeView, other: &NodeView| {
            one.store == other.store
                && one.via == other.via
                && one.metrics.says_the_same(&other.metrics)
                && one.config.says_the_same(&other.config)
        };
        self.cluster == other.cluster
            && self.pd.says_the_same(&other.pd)
            && self.pd_nodes == other.pd_nodes
            && self.pd_config.says_the_same(&other.pd_config)
            && self.nodes.len() == other.nodes.len()
            && self
                .nodes
                .iter()
                .zip(&other.nodes)
                .all(|((id, one), (other_id, other))| id == other_id && node(one, other))
    }

    /// Figures of the nodes that answer.
    fn fresh(&self) -> impl Iterator<Item = &StoreMetrics> {
        self.nodes.values().filter(|node| !node.metrics.is_stale()).filter_map(|node| node.metrics.value.as_ref())
    }

    /// Reads and writes a second that succeeded, over all nodes that answer; `None` where no node gives a rate.
    pub fn throughput(&self) -> Option<f64> {
        self.fresh().filter_map(StoreMetrics::successful_per_s).reduce(|a, b| a + b)
    }

    /// Requests a second that the nodes that answer refused, by TiKV's word for the reason.
    pub fn refused(&self) -> BTreeMap<&str, f64> {
        let mut refused = BTreeMap::new();
        for (reason, rate) in self.fresh().flat_map(|metrics| &metrics.refused_by_reason) {
            *refused.entry(reason.as_str()).or_default() += rate;
        }
        refused
    }

    /// Writes that wait at the nodes that answer, for longer than it is from one reading to the next.
    pub fn waiting_writes(&self) -> u64 {
        self.fresh().filter_map(|metrics| metrics.waiting_writes).sum()
    }

    /// The worst 99th percentile of any node that answers, reads and writes, in seconds; that of a node that mostly refuses is
    /// left out.
    pub fn p99(&self) -> Option<f64> {
        let metrics = self.fresh().filter(|metrics| !metrics.mostly_refuses());
        metrics.flat_map(|one| [one.read, one.write]).flatten().map(|quantiles| quantiles.p99).reduce(f64::max)
    }
}
