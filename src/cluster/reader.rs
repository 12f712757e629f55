//! Reads a cluster again and again: asks the PD that answered last, the next one where it fails, and every TiKV node
//! for its metrics, at the same time. Remembers what rates need and what was read before.

mod config_memory;
mod pd_memory;

use std::{
    collections::BTreeMap,
    future::Future,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, future::join_all, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use self::{config_memory::ConfigMemory, pd_memory::PdMemory};
use super::{
    ClusterState, ConfigCache, NodeConfig, NodeView, PdConfig, Read, StoreMetrics,
    assumed::METRICS,
    http::Answer,
    member::{Kind, Member, Roster},
    metrics::Reading,
    pd::host_and_port,
};

/// Two readings that are closer than this have no rate worth showing: the former one is given again.
const CLOSEST: Duration = Duration::from_millis(400);

/// Each that is being asked takes a connection and some 30 kB.
const ASKED_AT_ONCE: usize = 128;

/// A way to the ports of nodes.
pub trait Reach: Sync {
    /// Asks a node, within a second or so where the way is known. The error goes on where "PD at pd0:2379 " ends.
    fn get(&self, id: &str, port: Port, path: &str) -> impl Future<Output = Result<Reached, String>> + Send;
}

/// A node's port of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    pub number: u16,
    /// The loopback address that PD lists for it: no other node reaches it.
    pub loopback: Option<IpAddr>,
}

impl From<u16> for Port {
    fn from(number: u16) -> Self {
        Self { number, loopback: None }
    }
}

/// An answer, and how the node was reached.
#[derive(Debug)]
pub struct Reached {
    pub via: String,
    pub answer: Answer,
}

/// What is remembered from one reading to the next.
#[derive(Default)]
pub struct Reader {
    clusters: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Memory>>>>,
    configs: ConfigCache,
}

#[derive(Default)]
struct Memory {
    pd: PdMemory,
    pd_config: ConfigMemory<PdConfig>,
    nodes: BTreeMap<String, NodeMemory>,
}

#[derive(Default)]
struct NodeMemory {
    last: Option<Last>,
    metrics: Read<StoreMetrics>,
    config: ConfigMemory<NodeConfig>,
    via: Option<String>,
}

/// What was read last, with the answer: the same answer again is not worth understanding.
struct Last {
    text: String,
    reading: Reading,
    at: Instant,
}

impl Reader {
    /// One that keeps the nodes' configurations there.
    pub fn keeping(configs: ConfigCache) -> Self {
        Self { configs, ..Self::default() }
    }

    pub const fn configs(&self) -> &ConfigCache {
        &self.configs
    }

    /// Asks everything that is due. Whoever else reads the same cluster now waits for this.
    pub async fn read(&self, rosters: &[Roster], reach: &impl Reach) -> Vec<ClusterState> {
        let memories: Vec<_> = {
            let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            clusters.retain(|name, _| rosters.iter().any(|roster| roster.cluster == *name));
            rosters.iter().map(|roster| Arc::clone(clusters.entry(roster.cluster.clone()).or_default())).collect()
        };
        let all = rosters.iter().zip(memories).map(|(roster, memory)| async move {
            let mut memory = memory.lock().await;
            let kept = memory.read(roster, reach, &self.configs).await;
            (memory.state(roster), kept)
        });
        let (states, kept): (Vec<_>, Vec<_>) = join_all(all).await.into_iter().unzip();
        if kept.contains(&true) {
            let is_there = |id: &str| rosters.iter().flat_map(|roster| &roster.members).any(|member| member.id == id);
            self.configs.prune(is_there);
        }
        states
    }
}

impl Memory {
    /// Whether a configuration was kept that was not before.
    async fn read(&mut self, roster: &Roster, reach: &impl Reach, configs: &ConfigCache) -> bool {
        self.nodes.retain(|id, _| roster.members.iter().any(|member| member.id == *id));
        let stores: Vec<(&Member, Port)> =
            roster.of(Kind::Tikv).map(|member| (member, self.status_port(roster, member))).collect();
        let mut asked = Vec::new();
        for (at, (member, port)) in stores.iter().enumerate() {
            let mut memory = self.nodes.remove(&member.id).unwrap_or_default();
            memory.config.meet(member, configs);
            match &member.silent {
                Some(silent) => {
                    let error = format!("{} {silent}", member.label(port.number));
                    memory.config.miss(&error);
                    memory.metrics.error = Some(error);
                    self.nodes.insert(member.id.clone(), memory);
                }
                None => asked.push(Asked { at, memory, kept: false }),
            }
        }
        let nodes = ask_all(&stores, asked, reach, configs);
        let of_pd = async {
            self.pd.read(roster, reach).await;
            let answered = match (&self.pd.view.value, &self.pd.view.error) {
                (Some(view), None) => roster.of(Kind::Pd).find(|pd| pd.name == view.answered_by).ok_or("it is gone"),
                (_, error) => Err(error.as_deref().unwrap_or("PD was not read")),
            };
            self.pd_config.read_any(roster, answered, reach, configs).await
        };
        let (kept, read) = tokio::join!(of_pd, nodes);
        // PD was asked at the same time, and may list another place than the usual one.
        let listed: Vec<(&Member, Port)> =
            stores.iter().map(|(member, _)| (*member, self.status_port(roster, member))).collect();
        let elsewhere = |one: &Asked| one.memory.metrics.error.is_some() && listed[one.at].1 != stores[one.at].1;
        let (again, mut done): (Vec<_>, Vec<_>) = read.into_iter().partition(elsewhere);
        done.extend(ask_all(&listed, again, reach, configs).await);
        let kept = kept || done.iter().any(|one| one.kept);
        self.nodes.extend(done.into_iter().map(|one| (stores[one.at].0.id.clone(), one.memory)));
        kept
    }

    /// As its command says, else as PD says, else the usual one.
    fn status_port(&self, roster: &Roster, member: &Member) -> Port {
        let by_pd = || {
            let (host, number) = host_and_port(&roster.store_of(member, &self.pd.stores)?.status_address)?;
            Some(Port { number, loopback: host.parse().ok().filter(IpAddr::is_loopback) })
        };
        member.http_port.map(Port::from).or_else(by_pd).unwrap_or_else(|| member.http_port().into())
    }

    fn state(&self, roster: &Roster) -> ClusterState {
        let nodes = roster.of(Kind::Tikv).map(|member| {
            let memory = self.nodes.get(&member.id);
            let view = NodeView {
                store: roster.store_of(member, &self.pd.stores).map(|store| store.view.clone()),
                metrics: memory.map(|memory| memory.metrics.clone()).unwrap_or_default(),
                config: memory.map(|memory| memory.config.view.clone()).unwrap_or_default(),
                via: memory.and_then(|memory| memory.via.clone()),
            };
            (member.id.clone(), view)
        });
        ClusterState {
            cluster: roster.cluster.clone(),
            at: Timestamp::now(),
            pd: self.pd.view.clone(),
            pd_nodes: self.pd.nodes(roster),
            pd_config: self.pd_config.view.clone(),
            nodes: nodes.collect(),
        }
    }
}

/// A node that is asked, by its place among all.
struct Asked {
    at: usize,
    memory: NodeMemory,
    /// There is a new configuration to keep.
    kept: bool,
}

async fn ask_all(
    stores: &[(&Member, Port)],
    asked: Vec<Asked>,
    reach: &impl Reach,
    configs: &ConfigCache,
) -> Vec<Asked> {
    let ask = |mut one: Asked| async move {
        let (member, port) = stores[one.at];
        one.kept = one.memory.read(member, port, reach, configs).await;
        one
    };
    stream::iter(asked).map(ask).buffer_unordered(ASKED_AT_ONCE).collect().await
}

impl NodeMemory {
    /// Metrics each time, and the configuration where that is due; whether there was a new one to keep.
    async fn read(&mut self, member: &Member, port: Port, reach: &impl Reach, configs: &ConfigCache) -> bool {
        let is_fresh = self.metrics.error.is_none();
        if is_fresh && self.last.as_ref().is_some_and(|last| last.at.elapsed() < CLOSEST) {
            return false;
        }
        if let Err(unreached) = self.read_metrics(member, port, reach).await {
            self.config.miss(&unreached);
            return false;
        }
        // One after the other, over the same connection.
        self.config.is_due() && self.config.read(member, port, reach, configs).await
    }

    /// An error where no node answered.
    async fn read_metrics(&mut self, member: &Member, port: Port, reach: &impl Reach) -> Result<(), String> {
        let label = member.label(port.number);
        let read = match reach.get(&member.id, port, METRICS).await {
            Ok(Reached { via, answer }) => {
                self.via = Some(via);
                let known = self.last.as_ref().filter(|last| last.text == answer.body);
                let reading = match known {
                    Some(last) => Ok(last.reading.clone()),
                    None => answer.text("metrics").and_then(Reading::parse),
                };
                reading.map(|reading| (reading, answer.body))
            }
            Err(reason) => {
                let error = format!("{label} {reason}");
                self.metrics.error = Some(error.clone());
                return Err(error);
            }
        };
        let now = Instant::now();
        match read {
            Ok((mut reading, text)) => {
                let before = self.last.as_ref().map(|last| (&last.reading, now.duration_since(last.at)));
                let figures = reading.since(before);
                if let Some(last) = &self.last {
                    reading.follow(&last.reading);
                }
                self.metrics = Read { value: Some(figures), at: Some(Timestamp::now()), error: None };
                self.last = Some(Last { text, reading, at: now });
            }
            Err(reason) => self.metrics.error = Some(format!("{label} {reason}")),
        }
        Ok(())
    }
}
