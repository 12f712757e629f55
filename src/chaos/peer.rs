//! The peers of a network fault: nodes, identified by what stays when their addresses change. Pure.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use serde::{Deserialize, Serialize};

use super::{FaultMetadata, Metadata, Shaped};

/// A node that a fault names, with the addresses that the fault means by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Docker's full id. A recreated container has another one, and the same name.
    pub container_id: String,
    pub name: String,
    /// Its Compose service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default)]
    pub cluster: String,
    /// None while it does not run or is on no network.
    #[serde(default)]
    pub ips: Vec<IpAddr>,
    /// The addresses that its interfaces give themselves, which are none of Docker's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link_local: Vec<Ipv6Addr>,
}

/// Docker's addresses of these peers, each once.
pub fn addresses<'a>(peers: impl IntoIterator<Item = &'a Peer>) -> BTreeSet<IpAddr> {
    peers.into_iter().flat_map(|peer| peer.ips.iter().copied()).collect()
}

/// Those that their interfaces give themselves.
pub fn link_local<'a>(peers: impl IntoIterator<Item = &'a Peer>) -> BTreeSet<Ipv6Addr> {
    peers.into_iter().flat_map(|peer| peer.link_local.iter().copied()).collect()
}

fn all_addresses(peers: &[Peer]) -> BTreeSet<IpAddr> {
    addresses(peers).into_iter().chain(link_local(peers).into_iter().map(IpAddr::V6)).collect()
}

impl FaultMetadata {
    /// The nodes that the fault is for and those that it spares; none in what older programs wrote.
    pub fn named(&self) -> impl Iterator<Item = &Peer> {
        let (meant, spared): (&[Peer], &[Peer]) = match self {
            Self::NetworkPartition { peer_nodes, .. } => (peer_nodes, &[]),
            _ => self.shaped().map_or((&[], &[]), |shaped| (&shaped.peer_nodes, &shaped.spared_nodes)),
        };
        meant.iter().chain(spared)
    }

    /// The same fault for the same nodes, which `now` knows as they are now; their own addresses follow, and
    /// the ports of others that lead to them stay as they are. `more` are further nodes
    /// to be spared.
    pub fn aimed(&self, now: impl Fn(&Peer) -> Peer, more: Vec<Peer>) -> Self {
        let mut fault = self.clone();
        match &mut fault {
            Self::NetworkPartition { peer_nodes, peers, target_ips, link_local: own, .. } => {
                peer_nodes.iter_mut().for_each(|peer| *peer = now(peer));
                *peers = peer_nodes.iter().map(|peer| peer.name.clone()).collect();
                *target_ips = addresses(&*peer_nodes).into_iter().collect();
                *own = link_local(&*peer_nodes).into_iter().collect();
            }
            _ => {
                if let Some(shaped) = fault.shaped_mut() {
                    let nodes = shaped.peer_nodes.iter_mut().chain(&mut shaped.spared_nodes);
                    nodes.for_each(|peer| *peer = now(peer));
                    if !shaped.spared_nodes.is_empty() {
                        shaped.spared_nodes.extend(more);
                    }
                    shaped.aim();
                }
            }
        }
        fault
    }

    fn aimed_nowhere(&self) -> Self {
        let nowhere = |one: &Peer| Peer {
            container_id: String::new(),
            service: None,
            cluster: String::new(),
            ips: Vec::new(),
            link_local: Vec::new(),
            ..one.clone()
        };
        let mut fault = self.aimed(nowhere, Vec::new());
        fault.stand_on(Vec::new());
        if let Some(shaped) = fault.shaped_mut() {
            shaped.spared_nodes.clear();
            shaped.own_ips.clear();
            shaped.aim();
        }
        fault
    }

    /// The target's addresses on whose interfaces a shaped fault stands.
    pub fn shaped_own_ips(&mut self) -> Option<&mut Vec<IpAddr>> {
        self.shaped_mut().map(|shaped| &mut shaped.own_ips)
    }

    /// Puts a shaped fault on other interfaces of its target.
    pub fn stand_on(&mut self, interfaces: Vec<String>) {
        let Some(shaped) = self.shaped_mut() else { return };
        shaped.interface = interfaces.first().cloned().unwrap_or_default();
        shaped.shape.interfaces = interfaces;
    }
}

/// `; tikv1 has none now`: the peers without an address, where there are any.
pub(super) fn silent(peers: &[Peer]) -> String {
    let silent: Vec<&str> = peers.iter().filter(|peer| peer.ips.is_empty()).map(|peer| peer.name.as_str()).collect();
    match silent[..] {
        [] => String::new(),
        [one] => format!("; {one} has none now"),
        _ => format!("; {} have none now", silent.join(", ")),
    }
}

impl Metadata {
    /// Whether the fault is for nodes that may get other addresses while it lasts.
    pub fn names_peers(&self) -> bool {
        self.fault.named().next().is_some()
    }

    /// Whether the two differ in nothing but where their peers are.
    pub fn differs_in_aim(&self, other: &Self) -> bool {
        let nowhere = |metadata: &Self| Self { fault: metadata.fault.aimed_nowhere(), ..metadata.clone() };
        self.names_peers() && self != other && nowhere(self) == nowhere(other)
    }
}

impl Shaped {
    /// Settles which addresses the filter means, from the words in which that was asked and the nodes behind them.
    pub fn aim(&mut self) {
        let literal = self.to.iter().filter_map(|word| word.parse::<IpAddr>().ok());
        let meant: BTreeSet<IpAddr> = all_addresses(&self.peer_nodes).into_iter().chain(literal).collect();
        let filter = &mut self.shape.filter;
        if self.to.iter().any(|word| word == CLIENTS) {
            // All that are no nodes, and what else was named.
            filter.except_peers = &all_addresses(&self.spared_nodes) - &meant;
        } else if !self.to.is_empty() {
            filter.peers = Some(meant);
        }
    }
}

/// The word for all that are no nodes.
pub const CLIENTS: &str = "clients";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{
        FaultType,
        network::{Direction, Flavour, Shape},
    };

    fn peer(name: &str, ips: &[[u8; 4]]) -> Peer {
        Peer {
            container_id: format!("{name}-id"),
            name: name.to_owned(),
            service: None,
            cluster: "c".to_owned(),
            ips: ips.iter().map(|ip| IpAddr::from(*ip)).collect(),
            link_local: vec![],
        }
    }

    fn shaped(to: &[&str], peer_nodes: Vec<Peer>, spared_nodes: Vec<Peer>) -> Shaped {
        let mut shaped = Shaped {
            target_container: "a".into(),
            interface: "eth0".into(),
            shape: Shape::on("eth0"),
            to: to.iter().map(|word| (*word).to_owned()).collect(),
            flavour: Flavour::default(),
            far: vec![],
            peer_nodes,
            spared_nodes,
            own_ips: Vec::new(),
        };
        shaped.aim();
        shaped
    }

    #[test]
    fn a_partition_takes_its_addresses_from_its_peers_and_keeps_a_silent_one() {
        let cut = FaultMetadata::NetworkPartition {
            isolated_container: "a".into(),
            target_ips: vec![[10, 0, 0, 2].into(), [10, 0, 0, 3].into()],
            peers: vec!["b".into(), "c".into()],
            flavour: Flavour::default(),
            direction: Direction::Both,
            reject: false,
            link_local: vec![],
            ends: vec!["192.0.2.1:20160".parse().unwrap()],
            far: vec![],
            peer_nodes: vec![peer("b", &[[10, 0, 0, 2]]), peer("c", &[[10, 0, 0, 3]])],
        };
        let now =
            |one: &Peer| Peer { ips: if one.name == "b" { vec![[10, 0, 0, 9].into()] } else { vec![] }, ..one.clone() };
        let FaultMetadata::NetworkPartition { target_ips, peers, peer_nodes, ends, .. } = cut.aimed(now, vec![]) else {
            panic!()
        };
        assert_eq!(target_ips, [IpAddr::from([10, 0, 0, 9])]);
        assert_eq!((peers.len(), peer_nodes.len(), ends.len()), (2, 2, 1));
    }

    #[test]
    fn named_address_stays_and_clients_are_all_that_are_no_nodes() {
        let to_b = shaped(&["b", "10.0.0.77"], vec![peer("b", &[[10, 0, 0, 2]])], vec![]);
        let moved = |one: &Peer| Peer { ips: vec![[10, 0, 0, 8].into()], ..one.clone() };
        let fault = FaultMetadata::of_shaped(FaultType::PacketLoss, to_b).aimed(moved, vec![]);
        let peers = fault.shaped().unwrap().shape.filter.peers.clone().unwrap();
        assert_eq!(peers, [[10, 0, 0, 8].into(), [10, 0, 0, 77].into()].into());

        let nodes = vec![peer("a", &[[10, 0, 0, 1]]), peer("b", &[[10, 0, 0, 2]])];
        let clients = FaultMetadata::of_shaped(FaultType::PacketLoss, shaped(&["clients"], vec![], nodes));
        let stays = |one: &Peer| one.clone();
        let fault = clients.aimed(stays, vec![peer("new", &[[10, 0, 0, 5]])]);
        let filter = &fault.shaped().unwrap().shape.filter;
        assert_eq!((filter.peers.clone(), filter.except_peers.len()), (None, 3));
    }
}
