//! Peers that are followed: a fault is for nodes, and has the addresses that these have now. What a record should be by what
//! Docker shows is decided here without a request; then the target's interfaces may be asked for.

use std::net::IpAddr;

use super::{
    act::is_alive,
    host::TikvSubject,
    node::{Node, Snapshot},
    plan::{interfaces_of, odd_answer},
};
use crate::{
    chaos::{FaultMetadata, Metadata, Peer, network::NetworkFault},
    holder::protocol::{Answer, Ask},
    subject::SubjectError,
};

/// The node as a fault names it. One that does not run has no address that could be meant.
pub(super) fn peer(node: &Node) -> Peer {
    Peer {
        container_id: node.id.clone(),
        name: node.name.clone(),
        service: node.service.clone(),
        cluster: node.cluster.clone(),
        ips: if is_alive(node) { node.ips().collect() } else { Vec::new() },
        link_local: if is_alive(node) { node.link_local().collect() } else { Vec::new() },
    }
}

/// With no address that could be meant.
fn nowhere(peer: Peer) -> Peer {
    Peer { ips: Vec::new(), link_local: Vec::new(), ..peer }
}

/// What a fault should be now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) fault: FaultMetadata,
    /// The target is on other networks than when the fault's interfaces were chosen.
    pub(super) moved: bool,
}

/// `None` where the fault is as it should be, names no peers, or went with a former life of its target.
pub(super) fn followed(metadata: &Metadata, snapshot: &Snapshot) -> Option<Followed> {
    if !metadata.names_peers() {
        return None;
    }
    let lives = |node: &&Node| is_alive(node) && node.started_at == metadata.container_started_at;
    let target = snapshot.by_id(&metadata.container_id).filter(lives)?;
    let named: Vec<&Peer> = metadata.fault.named().collect();
    let now = |one: &Peer| match find(snapshot, target, &named, one) {
        // What is between nodes of one network namespace passes no rule of it.
        Some(node) if node.place() == target.place() && node.id != target.id => nowhere(peer(node)),
        Some(node) => peer(node),
        // It keeps its place until it is back.
        None => nowhere(one.clone()),
    };
    let more = || {
        let known: Vec<String> = named.iter().map(|one| now(one).container_id).collect();
        let others = snapshot.nodes.iter().filter(|node| node.cluster == target.cluster && !known.contains(&node.id));
        others.map(peer).collect()
    };
    let mut fault = metadata.fault.aimed(now, more());
    let own: Vec<_> = target.ips().collect();
    let moved = match fault.shaped_own_ips() {
        Some(ips) if !ips.is_empty() && *ips != own => {
            *ips = own;
            true
        }
        _ => false,
    };
    let now = Metadata { fault, ..metadata.clone() };
    // What a cluster is called is no reason to change a rule.
    let same = places(&now.fault) == places(&metadata.fault) && now.network() == metadata.network();
    (!same || moved).then_some(Followed { fault: now.fault, moved })
}

fn places(fault: &FaultMetadata) -> Vec<(&str, &[IpAddr])> {
    fault.named().map(|peer| (peer.container_id.as_str(), &peer.ips[..])).collect()
}

/// The node that a record names: by its container, else, as it was made anew, by its name or its Compose service in the
/// target's cluster. No container is taken for two of them.
fn find<'a>(snapshot: &'a Snapshot, target: &Node, named: &[&Peer], peer: &Peer) -> Option<&'a Node> {
    if let Some(node) = snapshot.by_id(&peer.container_id) {
        return Some(node);
    }
    let taken = |node: &Node| node.id == target.id || named.iter().any(|other| other.container_id == node.id);
    let here = |node: &Node| node.cluster == target.cluster || node.cluster == peer.cluster;
    let free: Vec<&Node> = snapshot.nodes.iter().filter(|node| here(node) && !taken(node)).collect();
    if let Some(node) = free.iter().find(|node| node.name == peer.name) {
        return Some(node);
    }
    // Of several replicas of a service none is known to be this one.
    let alike = |other: &&&Peer| {
        other.container_id != peer.container_id && (&other.service, &other.cluster) == (&peer.service, &peer.cluster)
    };
    let service = peer.service.as_ref().filter(|_| named.iter().find(alike).is_none())?;
    let mut of_service = free.into_iter().filter(|node| node.service.as_ref() == Some(service));
    of_service.next().filter(|_| of_service.next().is_none())
}

impl TikvSubject {
    /// Whether, by what the watch beside us says, a fault is not where its peers are.
    pub fn is_behind(&self, metadata: &Metadata) -> bool {
        self.in_live(|live| followed(metadata, live).is_some()).unwrap_or(false)
    }

    /// What an injection should be now that its peers are where they are; `None` where that is what it is. A watch's word
    /// that nothing has changed is taken; before something is changed Docker is asked, for every cluster, as a node may
    /// have left its own.
    pub(super) async fn follow_peers(&self, metadata: &Metadata) -> Result<Option<Metadata>, SubjectError> {
        let stays = self.in_live(|live| followed(metadata, live).is_none());
        if !metadata.names_peers() || stays == Some(true) {
            return Ok(None);
        }
        let snapshot = self.settled(None).await?;
        let Some(Followed { mut fault, moved }) = followed(metadata, &snapshot) else { return Ok(None) };
        self.still_holds(metadata, &snapshot).await?;
        if moved && let Some(target) = snapshot.by_id(&metadata.container_id) {
            match self.ask(target, Ask::Hello).await? {
                Answer::Hello { interfaces, .. } => {
                    fault.stand_on(interfaces_of(target, &interfaces, None)?);
                    // One that Docker has given it already and the kernel has not is looked for again.
                    let has = |ip: &IpAddr| interfaces.iter().any(|interface| interface.ips.contains(ip));
                    if let Some(ips) = fault.shaped_own_ips() {
                        ips.retain(has);
                    }
                }
                other => return Err(odd_answer(target, &other)),
            }
        }
        let now = Metadata { fault, ..metadata.clone() };
        Ok(Some(now).filter(|now| now != metadata))
    }

    /// Refused where the kernel shows nothing of it although it should: what was undone by hand is not made again.
    async fn still_holds(&self, metadata: &Metadata, snapshot: &Snapshot) -> Result<(), SubjectError> {
        let Some(fault) = metadata.network().filter(NetworkFault::means_any) else { return Ok(()) };
        let Some(target) = snapshot.by_id(&metadata.container_id) else { return Ok(()) };
        match self.ask(target, Ask::Survey { folders: Vec::new() }).await? {
            Answer::Survey(survey) if survey.kernel.shows(&metadata.id, &fault) => Ok(()),
            Answer::Survey(_) => {
                let reason = "shows nothing of it any more: it was undone by other means and is not made again";
                Err(SubjectError::Refused { target: target.name.clone(), reason: reason.to_owned() })
            }
            other => Err(odd_answer(target, &other)),
        }
    }

    /// Every node of this Docker now, for those who have no watch and ask several questions about it.
    pub async fn look_around(&self) -> Result<(), SubjectError> {
        let snapshot = self.settled(None).await?;
        self.see(Some(snapshot));
        Ok(())
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
