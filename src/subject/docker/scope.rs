//! Whom a fault is for: from the words in which that was asked to addresses and ports. Pure.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    node::{Node, Role, Snapshot},
    target,
};
use crate::{
    chaos::{Scope, network::Filter},
    cluster::assumed::TIKV_STATUS_PORT,
    subject::SubjectError,
};

/// The filter, and what should be known of it, for a fault of `node`.
pub(super) fn filter(cluster: &Snapshot, node: &Node, scope: &Scope) -> Result<(Filter, Vec<String>), SubjectError> {
    // What is between nodes of one network namespace passes no interface of it.
    let others = || cluster.nodes.iter().filter(|other| other.place() != node.place());
    let mut peers: BTreeSet<IpAddr> = BTreeSet::new();
    let mut warnings = Vec::new();
    let mut clients = false;
    for word in &scope.to {
        let meant: Vec<&Node> = match word.as_str() {
            "tikv" => others().filter(|other| other.role == Role::Tikv).collect(),
            "pd" => others().filter(|other| other.role == Role::Pd).collect(),
            "clients" => {
                clients = true;
                continue;
            }
            word => match word.parse() {
                Ok(ip) => {
                    peers.insert(ip);
                    continue;
                }
                Err(_) => match target::find(cluster, word)? {
                    beside if beside.place() == node.place() && beside.id != node.id => {
                        let why = format!("{} shares its network: nothing between them is meant", beside.name);
                        warnings.push(why);
                        continue;
                    }
                    found => vec![found],
                },
            },
        };
        if meant.is_empty() {
            warnings.push(format!("{} has no other node that is meant by {word}", node.name));
        }
        let met = |other: &&Node| meant.iter().any(|peer| peer.place() == other.place() && peer.id != other.id);
        let by_the_way = others().filter(|other| meant.iter().all(|peer| peer.id != other.id)).filter(met);
        warnings
            .extend(by_the_way.map(|other| format!("{} has the address of one that is meant by {word}", other.name)));
        let silent = meant.iter().filter(|peer| peer.ips().next().is_none());
        warnings.extend(silent.map(|peer| format!("{} is {} and has no address now", peer.name, peer.state)));
        peers.extend(meant.iter().flat_map(|peer| peer.ips()));
    }
    let mut filter = Filter::default();
    if clients {
        // Everybody who is no node, and whoever else was named.
        let nodes: BTreeSet<IpAddr> = cluster.nodes.iter().flat_map(Node::ips).collect();
        filter.except_peers = &nodes - &peers;
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
    Ok((filter, warnings))
}
