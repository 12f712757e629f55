//! Where a measurement looks: the peers' own addresses, and the ports of others that lead to them. Pure.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use super::{
    node::{Node, Role, Snapshot},
    scope,
    ways::{Known, Routes},
};
use crate::{
    chaos::{
        FaultMetadata, Metadata,
        measured::{Asked, PeerReading},
    },
    cluster::assumed::{PD_CLIENT_PORT, TIKV_PORT},
};

/// A place to look at, and whose it is.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// It is the node's own address, which answers echoes, and no port that leads to it from another's.
    pub(super) own: bool,
}

impl Place {
    pub(super) fn of(peer: &PeerReading, asked: &Asked) -> Self {
        let address = SocketAddr::new(peer.address, peer.port);
        Self { name: peer.name.clone(), address, own: !asked.filter.ends.contains(&address) }
    }
}

/// Those of [`places`], with what the fault itself names beside the peers' own addresses.
pub(super) fn places_of(snapshot: &Snapshot, here: &Node, metadata: &Metadata, asked: &Asked) -> Vec<Place> {
    let routes = Routes::of(snapshot);
    let mut found = places(snapshot, &routes, here, asked.filter.ports.as_ref());
    let ends = asked.filter.ends.iter().filter_map(|end| {
        let (node, _) = routes.passed_on(*end)?;
        Some(Place { name: node.name.clone(), address: *end, own: false })
    });
    found.extend(ends);
    if let FaultMetadata::NetworkPartition { link_local, .. } = &metadata.fault {
        found.extend(link_local.iter().filter_map(|ip| {
            let node = routes.owner(IpAddr::V6(*ip))?;
            Some(Place { name: node.name.clone(), address: SocketAddr::from((*ip, main_port(node))), own: true })
        }));
    }
    let mut seen = BTreeSet::new();
    found.retain(|place| seen.insert(place.address));
    found
}

/// Every address of the other nodes in the networks that this one is on too.
pub(super) fn places(snapshot: &Snapshot, routes: &Routes, node: &Node, ports: Option<&BTreeSet<u16>>) -> Vec<Place> {
    let others = snapshot.nodes.iter().filter(|other| {
        other.id != node.id && other.cluster == node.cluster && other.is_running() && !other.is_on_host()
    });
    let mut places = Vec::new();
    for other in others {
        let shared = other.networks.iter().filter(|network| node.networks.iter().any(|own| own.name == network.name));
        let ips: BTreeSet<IpAddr> = shared.flat_map(|network| network.ips.iter().copied()).collect();
        let main = main_port(other);
        // Where a filter names ports, one that it means is what shows it.
        let port = ports.filter(|ports| !ports.contains(&main)).and_then(BTreeSet::first).copied().unwrap_or(main);
        let own = ips.into_iter().map(|ip| (SocketAddr::new(ip, port), true));
        // Of those that lead to it from elsewhere, by the same ports.
        let is_meant = |behind: &u16| ports.is_none_or(|ports| ports.contains(behind));
        let ends = routes.ways(node, other, &Known::default()).ends;
        let ends = ends.into_iter().filter(|(_, behind)| is_meant(behind)).map(|(end, _)| (end, false));
        places.extend(own.chain(ends).map(|(address, own)| Place { name: other.name.clone(), address, own }));
    }
    places
}

/// The nodes that the fault is for, as far as its record names them.
pub(super) fn meant<'a>(snapshot: &'a Snapshot, metadata: &Metadata, asked: &Asked) -> Vec<&'a Node> {
    let Some(here) = snapshot.by_id(&metadata.container_id) else { return Vec::new() };
    if let FaultMetadata::NetworkPartition { peers, .. } = &metadata.fault {
        let is_peer = |node: &&Node| peers.contains(&node.name) && node.cluster == here.cluster;
        return snapshot.nodes.iter().filter(is_peer).collect();
    }
    // Where some ports alone are meant, the others' connections are not expected to be met.
    let filter = &asked.filter;
    let some = filter.ports.is_some()
        || !filter.except_ports.is_empty()
        || filter.peers.as_ref().is_some_and(BTreeSet::is_empty);
    let Some(shaped) = metadata.fault.shaped().filter(|_| !some) else { return Vec::new() };
    let cluster = snapshot.clone().only(Some(&here.cluster));
    let nodes = shaped.to.iter().filter_map(|word| scope::meant(&cluster, here, word).ok()).flatten();
    let ids: BTreeSet<String> = nodes.map(|node| node.id.clone()).collect();
    snapshot.nodes.iter().filter(|node| ids.contains(&node.id)).collect()
}

fn main_port(node: &Node) -> u16 {
    match node.role {
        Role::Tikv => node.endpoints.port.unwrap_or(TIKV_PORT),
        Role::Pd => node.endpoints.http_port.unwrap_or(PD_CLIENT_PORT),
    }
}
