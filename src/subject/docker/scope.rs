//! The peers of a fault: from the words in which they were asked for to nodes and ports. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use super::{
    follow::peer as peer_of,
    node::{Node, Role, Snapshot},
    target,
    ways::{Known, Routes, no_rules_in},
};
use crate::{
    chaos::{CLIENTS, Peer, Scope, network::Filter},
    cluster::assumed::TIKV_STATUS_PORT,
    subject::SubjectError,
};

/// The peers of a fault.
pub(super) struct Aim {
    /// Its ports, and the ports of others that lead to nodes; the addresses are those of the nodes.
    pub(super) filter: Filter,
    pub(super) peer_nodes: Vec<Peer>,
    /// Where it is for clients, the nodes, which are none.
    pub(super) spared_nodes: Vec<Peer>,
    /// What should be known of it.
    pub(super) warnings: Vec<String>,
}

/// The peers that the scope means, for a fault of `node`.
pub(super) fn aim(cluster: &Snapshot, node: &Node, scope: &Scope, known: &Known) -> Result<Aim, SubjectError> {
    let routes = Routes::of(cluster);
    // What is between nodes of one network namespace passes no interface of it.
    let others = || cluster.nodes.iter().filter(|other| other.place() != node.place());
    let mut peer_nodes: Vec<Peer> = Vec::new();
    // With the port behind each.
    let mut ends: BTreeMap<SocketAddr, u16> = BTreeMap::new();
    let mut warnings = Vec::new();
    let mut clients = false;
    for word in &scope.to {
        if word == CLIENTS {
            clients = true;
            continue;
        }
        // It stays as it is, whichever node has it.
        if word.parse::<IpAddr>().is_ok() {
            continue;
        }
        let meant = meant(cluster, node, word)?;
        if let [beside] = meant[..]
            && beside.place() == node.place()
            && beside.id != node.id
        {
            warnings.push(format!("{} shares its network: nothing between them is meant", beside.name));
            continue;
        }
        if meant.is_empty() {
            warnings.push(format!("{} has no other node that is meant by {word}", node.name));
        }
        let met = |other: &&Node| meant.iter().any(|peer| peer.place() == other.place() && peer.id != other.id);
        let by_the_way = others().filter(|other| meant.iter().all(|peer| peer.id != other.id)).filter(met);
        warnings
            .extend(by_the_way.map(|other| format!("{} has the address of one that is meant by {word}", other.name)));
        for peer in meant {
            let one = peer_of(peer);
            if one.ips.is_empty() {
                warnings.push(not_met(peer));
            }
            if peer_nodes.iter().all(|other| other.container_id != one.container_id) {
                peer_nodes.push(one);
            }
            let there = routes.ways(node, peer, known);
            ends.extend(there.ends);
            warnings.extend(there.unknown.iter().map(|address| {
                format!("{} reaches {} by {address}, and where that leads is not known here", node.name, peer.name)
            }));
            if let (Some(why), Some(end)) = (no_rules_in(peer), routes.ways(peer, node, known).ends.keys().next()) {
                warnings.push(format!(
                    "{} reaches {} by {end}, where it looks like any client, and {} {why}: connections that it makes are \
                     not met",
                    peer.name, node.name, peer.name
                ));
            }
        }
    }
    let mut filter = Filter::default();
    if clients {
        let of_nodes = others().flat_map(|other| routes.ways(node, other, known).ends);
        warnings.extend(others().filter_map(|other| {
            let end = *routes.ways(other, node, known).ends.keys().next()?;
            let text = "where it looks like any client: what goes over connections that it makes is met too";
            Some(format!("{} reaches {} by {end}, {text}", other.name, node.name))
        }));
        filter.except_ends = of_nodes.map(|(end, _)| end).filter(|end| !ends.contains_key(end)).collect();
    } else {
        filter.ends = self::ends(ends, scope);
    }
    let spared_nodes = if clients { cluster.nodes.iter().map(peer_of).collect() } else { Vec::new() };
    if !scope.ports.is_empty() {
        filter.ports = Some(scope.ports.clone());
    }
    if scope.spare_status && node.role == Role::Pd {
        let why = "is a member of PD: it is asked at its client port, which spare_status does not spare";
        warnings.push(format!("{} {why}", node.name));
    }
    if scope.spare_status {
        let stores = cluster.nodes.iter().filter(|one| one.role == Role::Tikv);
        filter.except_ports = stores.filter_map(|store| store.endpoints.http_port).chain([TIKV_STATUS_PORT]).collect();
    }
    Ok(Aim { filter, peer_nodes, spared_nodes, warnings })
}

/// Why no address of the peer is met.
fn not_met(peer: &Node) -> String {
    let text = format!("{} is {} and has no address now", peer.name, peer.state);
    if peer.is_on_host() || peer.has_lost_network() { text } else { text + "; it is met as soon as it has one" }
}

/// Those of the ways that lead to ports which are meant.
pub(super) fn ends(ways: BTreeMap<SocketAddr, u16>, scope: &Scope) -> BTreeSet<SocketAddr> {
    let spared = |port: u16| scope.spare_status && port == TIKV_STATUS_PORT;
    let is_meant = |port: u16| (scope.ports.is_empty() || scope.ports.contains(&port)) && !spared(port);
    ways.into_iter().filter(|(_, port)| is_meant(*port)).map(|(end, _)| end).collect()
}

/// The nodes that a word means, as a fault of `node` sees them: one that is no address and not `clients`.
pub(super) fn meant<'a>(cluster: &'a Snapshot, node: &Node, word: &str) -> Result<Vec<&'a Node>, SubjectError> {
    let of = |role: Role| {
        let others = cluster.nodes.iter().filter(|other| other.id != node.id && other.place() != node.place());
        others.filter(|other| other.role == role).collect()
    };
    match word {
        "tikv" => Ok(of(Role::Tikv)),
        "pd" => Ok(of(Role::Pd)),
        word => Ok(vec![target::find(cluster, word)?]),
    }
}
