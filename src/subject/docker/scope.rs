//! Whom a fault is for: from the words in which that was asked to nodes and ports. Pure.

use std::net::IpAddr;

use super::{
    follow::peer,
    node::{Node, Role, Snapshot},
    target,
};
use crate::{
    chaos::{CLIENTS, Peer, Scope, network::Filter},
    cluster::assumed::TIKV_STATUS_PORT,
    subject::SubjectError,
};

/// Whom a fault is for.
pub(super) struct Aim {
    /// Its ports; the addresses are those of the nodes.
    pub(super) filter: Filter,
    pub(super) peer_nodes: Vec<Peer>,
    /// Where it is for clients, the nodes, which are none.
    pub(super) spared_nodes: Vec<Peer>,
    /// What should be known of it.
    pub(super) warnings: Vec<String>,
}

/// Whom the scope means, for a fault of `node`.
pub(super) fn aim(cluster: &Snapshot, node: &Node, scope: &Scope) -> Result<Aim, SubjectError> {
    let others = || cluster.nodes.iter().filter(|other| other.id != node.id);
    let mut peer_nodes: Vec<Peer> = Vec::new();
    let mut warnings = Vec::new();
    let mut clients = false;
    for word in &scope.to {
        let meant: Vec<&Node> = match word.as_str() {
            "tikv" => others().filter(|other| other.role == Role::Tikv).collect(),
            "pd" => others().filter(|other| other.role == Role::Pd).collect(),
            CLIENTS => {
                clients = true;
                continue;
            }
            // It stays what it is, whoever has it.
            word if word.parse::<IpAddr>().is_ok() => continue,
            word => vec![target::find(cluster, word)?],
        };
        if meant.is_empty() {
            warnings.push(format!("{} has no other node that is meant by {word}", node.name));
        }
        for node in meant {
            let one = peer(node);
            if one.ips.is_empty() {
                let text =
                    format!("{} is {} and has no address now; it is met as soon as it has one", node.name, node.state);
                warnings.push(text);
            }
            if peer_nodes.iter().all(|other| other.container_id != one.container_id) {
                peer_nodes.push(one);
            }
        }
    }
    let mut filter = Filter::default();
    let spared_nodes = if clients { cluster.nodes.iter().map(peer).collect() } else { Vec::new() };
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
