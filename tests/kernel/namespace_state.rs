//! The kernel's state, in namespaces of the test's own: the same whatever way led to it, and in the end as it was, byte for
//! byte of what tc, iptables-save and nft print.

use support::{
    holder::Holder,
    netns::{self, Pair, Place},
    run,
    states::{any_sequence, printed},
};
use tikv_chaos::chaos::{
    InjectionId,
    network::{Cut, NetworkFault},
};

#[test]
fn network_fault_sequence_equals_fresh_set_and_reverts_fully() {
    any_sequence(25);
}

fn cut() -> (InjectionId, NetworkFault) {
    let peers = ["10.77.0.2", "fd77::2"].map(|ip| ip.parse().unwrap());
    (InjectionId::from_number(1), NetworkFault::Drop(Cut::off(peers.into())))
}

fn is_nft(place: &Place) -> bool {
    printed(place).contains("table ip filter")
}

#[test]
fn helper_removes_partition_rules_left_by_dead_helper() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    let (id, fault) = cut();
    let before = printed(&pair.near);
    let mut holder = Holder::beside(&pair.near);
    holder.add(&id, &fault).unwrap();
    drop(holder);
    assert!(printed(&pair.near).contains("TIKV-CHAOS"));
    let nft = is_nft(&pair.near);
    Holder::beside(&pair.near).remove(&id, &fault);
    if nft {
        assert_eq!(printed(&pair.near), before);
    }
}

#[test]
fn foreign_rule_added_during_partition_survives_revert() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    let (id, fault) = cut();
    let mut holder = Holder::beside(&pair.near);
    holder.add(&id, &fault).unwrap();
    if !is_nft(&pair.near) {
        return;
    }
    let theirs = ["INPUT", "-s", "10.9.9.9/32", "-j", "ACCEPT"];
    let rule = |verb: &str| pair.near.enter(|| run("iptables-nft", &[&[verb][..], &theirs].concat()));
    rule("-A");
    holder.remove(&id, &fault);
    let left = printed(&pair.near);
    assert!(left.contains("-A INPUT -s 10.9.9.9/32 -j ACCEPT") && !left.contains("TIKV-CHAOS"), "{left}");
    assert!(left.contains("table ip filter") && !left.contains("table ip6 filter"), "{left}");
    // It had the table to itself, and with it goes the last reason for it.
    rule("-D");
    holder.add(&id, &fault).unwrap();
    holder.remove(&id, &fault);
    assert!(!printed(&pair.near).contains("table ip"), "{}", printed(&pair.near));
}
