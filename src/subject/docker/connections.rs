//! What the nodes themselves tell of the ways between them: the connections that they have.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::{
    act::is_alive,
    host::TikvSubject,
    node::{Node, Snapshot},
    plan::odd_answer,
    ways::{Known, Routes},
};
use crate::{
    chaos::measured::Asked,
    cluster::ClusterState,
    holder::protocol::{Answer, Ask, Connection},
    subject::SubjectError,
};

/// What the clusters say of themselves, asked once for a plan and only where that matters.
#[derive(Default)]
pub(super) struct Hearing {
    asked: BTreeSet<String>,
    states: Vec<ClusterState>,
}

impl Hearing {
    pub(super) async fn of(&mut self, subject: &TikvSubject, snapshot: &Snapshot, node: &Node) -> &[ClusterState] {
        if self.asked.insert(node.cluster.clone()) {
            self.states.extend(subject.heard_of(snapshot, node).await);
        }
        &self.states
    }
}

impl TikvSubject {
    /// What is known of the ways between a node and its peers, without asking these; `heard` is what the clusters say. Where
    /// addresses that are not their own play no part, the node is not asked either.
    pub(super) async fn known_ways(
        &self,
        (snapshot, heard): (&Snapshot, &mut Hearing),
        node: &Node,
        peers: &[&Node],
    ) -> Result<Known, SubjectError> {
        let mut known = Known::default();
        let all: Vec<&Node> = peers.iter().copied().chain([node]).collect();
        if !Routes::of(snapshot).may_be_passed_on(&all) {
            return Ok(known);
        }
        let of_it = heard.of(self, snapshot, node).await.iter().filter(|state| state.cluster == node.cluster);
        let stores = of_it.filter_map(|state| state.pd.value.as_ref()).flat_map(|pd| &pd.stores);
        stores.for_each(|store| known.list(&store.address));
        self.ask_connections(&mut known, &[node]).await?;
        Ok(known)
    }

    /// The same from both ends: peers are asked where one of the two may be reached by an address that is not its own, since
    /// a node does not see by which of its own others came.
    pub(super) async fn known_from_both_ends(
        &self,
        (snapshot, heard): (&Snapshot, &mut Hearing),
        node: &Node,
        peers: &[&Node],
    ) -> Result<Known, SubjectError> {
        let mut known = self.known_ways((snapshot, heard), node, peers).await?;
        let routes = Routes::of(snapshot);
        let is_passed_on = |peer: &&Node| {
            !routes.ways(node, peer, &known).ends.is_empty() || !routes.ways(peer, node, &known).ends.is_empty()
        };
        if peers.iter().any(is_passed_on) {
            self.ask_connections(&mut known, peers).await?;
        }
        Ok(known)
    }

    async fn ask_connections(&self, known: &mut Known, nodes: &[&Node]) -> Result<(), SubjectError> {
        let nodes = nodes.iter().filter(|node| is_alive(node) && node.shares_network().is_none());
        let answers = nodes.map(|node| async { (node.id.clone(), self.connections(node).await) });
        for (id, connections) in join_all(answers).await {
            known.connections.insert(id, connections?);
        }
        Ok(())
    }

    async fn connections(&self, node: &Node) -> Result<Vec<Connection>, SubjectError> {
        match self.ask(node, Ask::Connections).await? {
            Answer::Connections { connections } => Ok(connections),
            other => Err(odd_answer(node, &other)),
        }
    }
}

/// Connections with these peers that the fault does not mean, each as `name at address`.
pub(super) fn unmet(snapshot: &Snapshot, peers: &[&Node], asked: &Asked, all: &[Connection]) -> Vec<String> {
    let routes = Routes::of(snapshot);
    let peers: BTreeSet<&str> = peers.iter().map(|peer| peer.id.as_str()).collect();
    let missed = all.iter().filter_map(|one| {
        let ip = one.remote.ip();
        let with = routes.owner(ip).or_else(|| routes.passed_on(one.remote).map(|(node, _)| node))?;
        let is_met = asked.filter.matches(ip, Some([one.remote.port(), one.local.port()]));
        (peers.contains(with.id.as_str()) && !is_met).then(|| format!("{} at {}", with.name, one.remote))
    });
    missed.collect::<BTreeSet<_>>().into_iter().collect()
}
