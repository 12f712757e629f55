//! What is remembered of which node is of which cluster: what PDs said, and where nodes were seen. The watch and the subject
//! share it, so that both put every node in the same cluster.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};

use super::{
    belonging::{Address, addresses},
    clusters,
    host::TikvSubject,
    islands::{Evidence, Said},
    node::{Node, Role, Snapshot},
};
use crate::{
    cluster::{
        NodeConfig,
        assumed::{PD_CLIENT_PORT, PD_MEMBERS, PD_STORES},
        pd,
    },
    subject::SubjectError,
};

/// How often a PD in doubt is asked again.
const AGAIN: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Told(Arc<Memory>);

struct Memory {
    evidence: watch::Sender<Evidence>,
    /// When each node was asked last, by the container's id and start.
    asked: Mutex<BTreeMap<(String, String), Instant>>,
}

impl Default for Told {
    fn default() -> Self {
        Self(Arc::new(Memory { evidence: watch::Sender::default(), asked: Mutex::default() }))
    }
}

impl Told {
    /// Puts every node in its cluster, by all that is known so far.
    pub fn group(&self, nodes: Vec<Node>) -> Snapshot {
        let snapshot = clusters::group(nodes, &self.0.evidence.borrow());
        let seats = clusters::seats(&snapshot.nodes);
        self.0.evidence.send_if_modified(|evidence| {
            let ids: BTreeSet<&str> = snapshot.nodes.iter().map(|node| node.id.as_str()).collect();
            evidence.seats.retain(|id, _| ids.contains(id.as_str()));
            evidence.said.retain(|id, _| ids.contains(id.as_str()));
            evidence.configured.retain(|id, _| ids.contains(id.as_str()));
            evidence.seats.extend(seats);
            // No node is in another cluster for it, as long as it is where it is.
            false
        });
        snapshot
    }

    /// Tells of each time that something new was heard.
    pub fn changes(&self) -> watch::Receiver<Evidence> {
        self.0.evidence.subscribe()
    }

    /// The nodes in doubt, of those that are looked at, that were not asked lately in this life of theirs.
    fn due<'a>(&self, nodes: &'a [Node], looked_at: impl Fn(&Node) -> bool) -> Vec<&'a Node> {
        let doubtful = clusters::in_doubt(nodes, &self.0.evidence.borrow());
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| at.elapsed() < AGAIN);
        let is_due = |node: &&Node| {
            let life = (node.id.clone(), node.started_at.clone());
            if !doubtful.contains(&node.id) || !looked_at(node) || asked.contains_key(&life) {
                return false;
            }
            asked.insert(life, Instant::now());
            true
        };
        nodes.iter().filter(is_due).collect()
    }

    fn hear(&self, said: Vec<(String, Said)>, configured: Vec<(String, Vec<Address>)>) -> bool {
        self.0.evidence.send_if_modified(|evidence| {
            let before = (evidence.said.clone(), evidence.configured.clone());
            evidence.said.extend(said);
            evidence.configured.extend(configured);
            before.0 != evidence.said || before.1 != evidence.configured
        })
    }

    fn knows(&self, id: &str) -> Option<Said> {
        self.0.evidence.borrow().said.get(id).cloned()
    }
}

impl TikvSubject {
    /// Every node, each in its cluster, as Docker and PD say now.
    pub(super) async fn settled(&self, project: Option<&str>) -> Result<Snapshot, SubjectError> {
        let docker = self.docker().await?;
        let nodes = super::watch::nodes(&docker, &self.options.identity, &HashMap::new()).await?;
        let mut snapshot = self.told.group(nodes.into_values().collect());
        if self.settle(&snapshot, project).await {
            snapshot = Snapshot { replaced: snapshot.replaced, ..self.told.group(snapshot.nodes) };
        }
        Ok(snapshot.only(project))
    }

    /// Asks PD where commands and labels leave a doubt about who is of which cluster; whether something new was heard.
    pub(super) async fn settle(&self, snapshot: &Snapshot, project: Option<&str>) -> bool {
        let due = self.told.due(&snapshot.nodes, |node| project.is_none_or(|project| may_be_of(node, project)));
        let (pds, stores): (Vec<&Node>, Vec<&Node>) = due.into_iter().partition(|node| node.role == Role::Pd);
        if pds.is_empty() && stores.is_empty() {
            return false;
        }
        let said = join_all(pds.iter().map(|pd| self.hear_pd(snapshot, pd))).await;
        let said = pds.iter().zip(said).filter_map(|(pd, said)| Some((pd.id.clone(), said?)));
        let configured = stores.iter().filter_map(|store| {
            let (config, _) = self.readings.configs().load::<NodeConfig>(&store.id, &store.started_at)?;
            let endpoints = addresses(config.pd_endpoints.iter().map(String::as_str));
            (!endpoints.is_empty()).then(|| (store.id.clone(), endpoints))
        });
        self.told.hear(said.collect(), configured.collect())
    }

    /// What a PD says of its cluster now, else what it said last in this life of its container.
    async fn hear_pd(&self, snapshot: &Snapshot, pd: &Node) -> Option<Said> {
        let kept = format!("{}-pd", pd.id);
        let configs = self.readings.configs();
        let before = || self.told.knows(&pd.id).or_else(|| Some(configs.load::<Said>(&kept, &pd.started_at)?.0));
        if !pd.is_running() {
            return before();
        }
        let port = pd.endpoints.http_port.unwrap_or(PD_CLIENT_PORT);
        let (members, stores) =
            tokio::join!(self.get(snapshot, &pd.id, port, PD_MEMBERS), self.get(snapshot, &pd.id, port, PD_STORES),);
        let members = members.and_then(|answer| answer.text("JSON").and_then(pd::members));
        let Ok(members) = members.inspect_err(|error| tracing::debug!(error, pd = pd.name, "whose PD it is")) else {
            return before();
        };
        let urls = members.members.iter().flat_map(|one| one.client_urls.iter().chain(&one.peer_urls));
        let stores = stores.and_then(|answer| answer.text("JSON").and_then(pd::stores)).ok();
        let said = Said {
            cluster_id: members.cluster_id.filter(|id| *id > 0),
            size: members.members.len(),
            members: addresses(urls.map(String::as_str)),
            stores: match &stores {
                Some(stores) => addresses(stores.iter().map(|store| store.view.address.as_str())),
                None => before().map(|said| said.stores).unwrap_or_default(),
            },
        };
        configs.store(&kept, &pd.started_at, &said, Timestamp::now());
        Some(said)
    }
}

/// Whether a node may turn out to be of the cluster that was asked for, once PD was heard.
fn may_be_of(node: &Node, wanted: &str) -> bool {
    let is_within = |name: &str, whole: &str| name.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/'));
    node.cluster == wanted
        || node.project.as_deref() == Some(wanted)
        || is_within(&node.cluster, wanted)
        || is_within(wanted, &node.cluster)
        || node.project.as_deref().is_some_and(|project| is_within(wanted, project))
}
