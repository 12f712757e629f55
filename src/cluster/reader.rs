//! Reads a cluster again and again: asks the PD that answered last, the next one where it fails, and every TiKV node
//! for its metrics, at the same time. Remembers what rates need and what was read before.

mod pd_memory;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, future::join_all, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use self::pd_memory::PdMemory;
use super::{
    ClusterState, NodeView, Read, StoreMetrics,
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
    fn get(&self, id: &str, port: u16, path: &str) -> impl Future<Output = Result<Reached, String>> + Send;
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
}

#[derive(Default)]
struct Memory {
    pd: PdMemory,
    nodes: BTreeMap<String, NodeMemory>,
}

#[derive(Default)]
struct NodeMemory {
    last: Option<Last>,
    metrics: Read<StoreMetrics>,
    via: Option<String>,
}

/// What was read last, with the answer: the same answer again is not worth understanding.
struct Last {
    text: String,
    reading: Reading,
    at: Instant,
}

impl Reader {
    /// Asks everything that is due. Whoever else reads the same cluster now waits for this.
    pub async fn read(&self, rosters: &[Roster], reach: &impl Reach) -> Vec<ClusterState> {
        let memories: Vec<_> = {
            let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            clusters.retain(|name, _| rosters.iter().any(|roster| roster.cluster == *name));
            rosters.iter().map(|roster| Arc::clone(clusters.entry(roster.cluster.clone()).or_default())).collect()
        };
        let all = rosters.iter().zip(memories).map(|(roster, memory)| async move {
            let mut memory = memory.lock().await;
            memory.read(roster, reach).await;
            memory.state(roster)
        });
        join_all(all).await
    }
}

impl Memory {
    async fn read(&mut self, roster: &Roster, reach: &impl Reach) {
        self.nodes.retain(|id, _| roster.members.iter().any(|member| member.id == *id));
        let stores: Vec<(&Member, u16)> =
            roster.of(Kind::Tikv).map(|member| (member, self.status_port(roster, member))).collect();
        let mut asked = Vec::new();
        for (at, (member, port)) in stores.iter().enumerate() {
            let mut memory = self.nodes.remove(&member.id).unwrap_or_default();
            match &member.silent {
                Some(silent) => {
                    memory.metrics.error = Some(format!("{} {silent}", member.label(*port)));
                    self.nodes.insert(member.id.clone(), memory);
                }
                None => asked.push((at, memory)),
            }
        }
        let stores = &stores;
        let ask = |(at, mut memory): (usize, NodeMemory)| async move {
            let (member, port) = stores[at];
            memory.read(member, port, reach).await;
            (member.id.clone(), memory)
        };
        let metrics = stream::iter(asked).map(ask).buffer_unordered(ASKED_AT_ONCE).collect::<Vec<_>>();
        let ((), read) = tokio::join!(self.pd.read(roster, reach), metrics);
        self.nodes.extend(read);
    }

    /// As its command says, else as PD says, else the usual one.
    fn status_port(&self, roster: &Roster, member: &Member) -> u16 {
        let by_pd = || Some(host_and_port(&roster.store_of(member, &self.pd.stores)?.status_address)?.1);
        member.http_port.or_else(by_pd).unwrap_or_else(|| member.http_port())
    }

    fn state(&self, roster: &Roster) -> ClusterState {
        let nodes = roster.of(Kind::Tikv).map(|member| {
            let memory = self.nodes.get(&member.id);
            let view = NodeView {
                store: roster.store_of(member, &self.pd.stores).map(|store| store.view.clone()),
                metrics: memory.map(|memory| memory.metrics.clone()).unwrap_or_default(),
                via: memory.and_then(|memory| memory.via.clone()),
            };
            (member.id.clone(), view)
        });
        ClusterState {
            cluster: roster.cluster.clone(),
            at: Timestamp::now(),
            pd: self.pd.view.clone(),
            pd_nodes: self.pd.nodes(roster),
            nodes: nodes.collect(),
        }
    }
}

impl NodeMemory {
    async fn read(&mut self, member: &Member, port: u16, reach: &impl Reach) {
        let label = member.label(port);
        let is_fresh = self.metrics.error.is_none();
        if is_fresh && self.last.as_ref().is_some_and(|last| last.at.elapsed() < CLOSEST) {
            return;
        }
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
            Err(reason) => Err(reason),
        };
        let now = Instant::now();
        match read {
            Ok((reading, text)) => {
                let before = self.last.as_ref().map(|last| (&last.reading, now.duration_since(last.at)));
                let figures = reading.since(before);
                self.metrics = Read { value: Some(figures), at: Some(Timestamp::now()), error: None };
                self.last = Some(Last { text, reading, at: now });
            }
            Err(reason) => self.metrics.error = Some(format!("{label} {reason}")),
        }
    }
}
