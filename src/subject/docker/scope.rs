//! Whom a fault is for: from the words in which that was asked to addresses and ports. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use super::{
    node::{Node, Role, Snapshot},
    target,
    ways::{Known, Routes, no_rules_in},
};
use crate::{
    chaos::{Scope, network::Filter},
    cluster::assumed::TIKV_STATUS_PORT,
    subject::SubjectError,
};

/// The filter, and what should be known of it, for a fault of `node`.
pub(super) fn filter(
    cluster: &Snapshot,
    node: &Node,
    scope: &Scope,
    known: &Known,
) -> Result<(Filter, Vec<String>), SubjectError> {
    let routes = Routes::of(cluster);
    // What is between nodes of one network namespace passes no interface of it.
    let others = || cluster.nodes.iter().filter(|other| other.place() != node.place());
    let mut peers: BTreeSet<IpAddr> = BTreeSet::new();
    // With the port behind each.
    let mut ends: BTreeMap<SocketAddr, u16> = BTreeMap::new();
    let mut warnings = Vec::new();
    let mut clients = false;
    for word in &scope.to {
        if word == "clients" {
            clients = true;
            continue;
        }
        if let Ok(ip) = word.parse() {
            peers.insert(ip);
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
        let silent = meant.iter().filter(|peer| peer.ips().next().is_none());
        warnings.extend(silent.map(|peer| format!("{} is {} and has no address now", peer.name, peer.state)));
        for peer in meant {
            let there = routes.ways(node, peer, known);
            peers.extend(there.ips);
            peers.extend(there.link_local.into_iter().map(IpAddr::V6));
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
        // Everybody who is no node, and whoever else was named.
        let nodes: BTreeSet<IpAddr> = others()
            .flat_map(|other| other.ips().chain(other.link_local().map(IpAddr::V6)))
            .chain(node.ips())
            .collect();
        filter.except_peers = &nodes - &peers;
        let of_nodes = others().flat_map(|other| routes.ways(node, other, known).ends);
        warnings.extend(others().filter_map(|other| {
            let end = *routes.ways(other, node, known).ends.keys().next()?;
            let text = "where it looks like any client: what goes over connections that it makes is met too";
            Some(format!("{} reaches {} by {end}, {text}", other.name, node.name))
        }));
        filter.except_ends = of_nodes.map(|(end, _)| end).filter(|end| !ends.contains_key(end)).collect();
    } else if !scope.to.is_empty() {
        filter.peers = Some(peers);
    }
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
    if filter.peers.is_some() {
        filter.ends = self::ends(ends, scope);
    }
    Ok((filter, warnings))
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
