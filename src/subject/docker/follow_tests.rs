//! Records beside snapshots of what became of their peers.

use std::net::IpAddr;

use super::*;
use crate::{
    chaos::{
        FaultType, InjectionId, Shaped,
        network::{Direction, Flavour, Shape},
    },
    subject::docker::node::{Network, State},
};

fn ip(last: u8) -> IpAddr {
    [172, 18, 0, last].into()
}

fn node(name: &str, last: &[u8]) -> Node {
    Node {
        id: format!("{name}-id"),
        cluster: "c".into(),
        service: Some(name.to_owned()),
        started_at: "then".into(),
        networks: vec![Network {
            name: "net".into(),
            ips: last.iter().map(|last| ip(*last)).collect(),
            link_local: None,
        }],
        network_mode: "net".into(),
        ..Node::bare(name)
    }
}

fn of(fault: FaultMetadata) -> Metadata {
    Metadata {
        fault,
        id: InjectionId::from_number(1),
        container_id: "a-id".into(),
        container_started_at: "then".into(),
        daemon_id: None,
        group: None,
        holder_image: None,
        before: None,
        task: None,
    }
}

fn cut(from: &[&Node]) -> Metadata {
    let peer_nodes: Vec<Peer> = from.iter().map(|node| peer(node)).collect();
    of(FaultMetadata::NetworkPartition {
        isolated_container: "a".into(),
        target_ips: crate::chaos::addresses(&peer_nodes).into_iter().collect(),
        peers: from.iter().map(|node| node.name.clone()).collect(),
        flavour: Flavour::default(),
        direction: Direction::Both,
        reject: false,
        link_local: crate::chaos::link_local(&peer_nodes).into_iter().collect(),
        ends: vec![],
        far: vec![],
        peer_nodes,
    })
}

fn now(metadata: &Metadata, nodes: &[Node]) -> Option<Vec<IpAddr>> {
    let snapshot = Snapshot { nodes: nodes.to_vec(), ..Snapshot::default() };
    match followed(metadata, &snapshot)?.fault {
        FaultMetadata::NetworkPartition { target_ips, .. } => Some(target_ips),
        fault => fault.shaped()?.shape.filter.peers.clone().map(|peers| peers.into_iter().collect()),
    }
}

#[test]
fn two_that_swap_their_addresses_keep_a_fault_for_one_of_them() {
    let (a, b, c) = (node("a", &[2]), node("b", &[3]), node("c", &[4]));
    let of_b = cut(&[&b]);
    assert_eq!(now(&of_b, &[a.clone(), b.clone(), c.clone()]), None);
    assert_eq!(now(&of_b, &[a.clone(), node("b", &[4]), node("c", &[3])]), Some(vec![ip(4)]));
    // Together they have the same two addresses; the record says which has which.
    let of_both = cut(&[&b, &c]);
    assert_eq!(now(&of_both, &[a, node("b", &[4]), node("c", &[3])]), Some(vec![ip(3), ip(4)]));
}

#[test]
fn a_stopped_peer_has_no_address_and_a_bystander_at_its_old_one_is_not_meant() {
    let (a, b) = (node("a", &[2]), node("b", &[3]));
    let of_b = cut(&[&b]);
    let stopped = Node { state: State::Exited, ..b.clone() };
    assert_eq!(now(&of_b, &[a.clone(), stopped, node("other", &[3])]), Some(vec![]));
    assert_eq!(now(&of_b, std::slice::from_ref(&a)), Some(vec![]));
    let frozen = Node { state: State::Paused, ..b };
    assert_eq!(now(&of_b, &[a.clone(), frozen]), None);
    // One that had none when the fault was made comes into it.
    let silent = cut(&[&Node { state: State::Exited, ..node("b", &[]) }]);
    assert_eq!(now(&silent, &[a, node("b", &[3, 9])]), Some(vec![ip(3), ip(9)]));
}

#[test]
fn a_peer_made_anew_is_known_by_its_name_or_its_service_in_its_cluster() {
    let (a, b) = (node("a", &[2]), node("b", &[3]));
    let of_b = cut(&[&b]);
    let anew = Node { id: "new".into(), ..node("b", &[7]) };
    assert_eq!(now(&of_b, &[a.clone(), anew.clone()]), Some(vec![ip(7)]));
    let renamed = Node { name: "b-2".into(), ..anew.clone() };
    assert_eq!(now(&of_b, &[a.clone(), renamed.clone()]), Some(vec![ip(7)]));
    let foreign = Node { cluster: "d".into(), ..anew };
    assert_eq!(now(&of_b, &[a.clone(), foreign]), Some(vec![]));
    // Two of one service: neither is known to be this one.
    let second = Node { id: "new2".into(), name: "b-3".into(), ..node("b", &[8]) };
    assert_eq!(now(&of_b, &[a.clone(), renamed, second]), Some(vec![]));
    // The target itself is no peer of its own, whatever it is called now.
    let taken = Node { name: "b".into(), service: Some("b".into()), ..a };
    assert_eq!(now(&of_b, &[taken]), Some(vec![]));
}

#[test]
fn what_went_with_the_target_or_names_no_peers_is_not_followed() {
    let (a, b) = (node("a", &[2]), node("b", &[9]));
    let of_b = cut(&[&node("b", &[3])]);
    assert!(now(&of_b, &[a.clone(), b.clone()]).is_some());
    let again = Node { started_at: "later".into(), ..a.clone() };
    assert_eq!(now(&of_b, &[again, b.clone()]), None);
    assert_eq!(now(&of_b, &[Node { state: State::Exited, ..a.clone() }, b.clone()]), None);
    assert_eq!(now(&of(FaultMetadata::latency("a", 1, 2, &["eth0"])), &[a, b]), None);
}

#[test]
fn a_target_on_another_network_has_its_interfaces_asked_for_again() {
    let (a, b) = (node("a", &[2]), node("b", &[3]));
    let mut shaped = Shaped {
        target_container: "a".into(),
        interface: "eth0".into(),
        shape: Shape::on("eth0"),
        to: vec!["b".into()],
        flavour: Flavour::default(),
        far: vec![],
        peer_nodes: vec![peer(&b)],
        spared_nodes: vec![],
        own_ips: vec![ip(2)],
    };
    shaped.aim();
    let all = of(FaultMetadata::of_shaped(FaultType::PacketLoss, shaped.clone()));
    let moved = |metadata: &Metadata, nodes: &[Node]| {
        followed(metadata, &Snapshot { nodes: nodes.to_vec(), ..Snapshot::default() }).map(|followed| followed.moved)
    };
    assert_eq!(moved(&all, &[a.clone(), b.clone()]), None);
    assert_eq!(moved(&all, &[a, node("b", &[5])]), Some(false));
    assert_eq!(moved(&all, &[node("a", &[2, 6]), b.clone()]), Some(true));
    shaped.own_ips.clear();
    let one = of(FaultMetadata::of_shaped(FaultType::PacketLoss, shaped));
    assert_eq!(moved(&one, &[node("a", &[2, 6]), b]), None);
}

#[test]
fn what_a_peers_interfaces_give_themselves_follows_it_and_what_shares_the_network_is_not_met() {
    let (a, mut b) = (node("a", &[2]), node("b", &[3]));
    let of_b = cut(&[&b]);
    b.networks[0].link_local = Some("fe80::9".parse().unwrap());
    let snapshot = |b: &Node| Snapshot { nodes: vec![a.clone(), b.clone()], ..Snapshot::default() };
    let FaultMetadata::NetworkPartition { link_local, .. } = followed(&of_b, &snapshot(&b)).unwrap().fault else {
        panic!()
    };
    assert_eq!(link_local, ["fe80::9".parse::<std::net::Ipv6Addr>().unwrap()]);
    let network_of =
        crate::subject::docker::node::NetworkOf { id: "a-id".into(), name: "a".into(), is_node: true, lost: false };
    let joined = Node { network_of: Some(network_of), network_mode: "container:a-id".into(), ..node("b", &[2]) };
    assert_eq!(now(&of_b, &[a.clone(), joined]), Some(vec![]));
}
