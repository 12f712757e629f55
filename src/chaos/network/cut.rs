//! A partition's chains: a pair of its own for each injection, which is known again from their names and rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use super::{
    Cut, Family, Flow, NetworkFault, NetworkFaults,
    chains::{Chains, Owned, cut_chain, direction, host, peer_option, port_match, port_option, split},
};
use crate::chaos::InjectionId;

pub(super) fn cut_chains(id: &InjectionId, fault: &NetworkFault, family: Family) -> Vec<(String, Vec<String>)> {
    let NetworkFault::Drop(cut) = fault else { return Vec::new() };
    let ips: Vec<&IpAddr> = cut.ips.iter().filter(|ip| Family::of(ip) == family).collect();
    let ends: Vec<&SocketAddr> = cut.ends.iter().filter(|end| Family::of(&end.ip()) == family).collect();
    if ips.is_empty() && ends.is_empty() {
        return Vec::new();
    }
    let flows = [Flow::In, Flow::Out].into_iter().filter(|flow| cut.direction.has(*flow));
    let rules = |flow| {
        let whole = ips.iter().flat_map(|ip| cut_rules(**ip, flow, cut.reject));
        whole.chain(ends.iter().flat_map(|end| end_rules(**end, flow, cut.reject))).collect()
    };
    flows.map(|flow| (cut_chain(id, flow), rules(flow))).collect()
}

/// A refusal is a reset, or for what is not TCP an ICMP message. The resets by which peers are refused leave by the way
/// out, so they are let through there.
fn cut_rules(ip: IpAddr, flow: Flow, reject: bool) -> Vec<String> {
    let peer = format!("{} {}", peer_option(flow), host(ip));
    let mut rules = neighbours(ip, &peer);
    if !reject {
        rules.push(format!("{peer} -j DROP"));
        return rules;
    }
    let unreachable = if ip.is_ipv4() { "icmp-port-unreachable" } else { "icmp6-port-unreachable" };
    rules.extend([
        format!("{peer} -p tcp -m tcp --tcp-flags RST RST -j RETURN"),
        format!("{peer} -p tcp -j REJECT --reject-with tcp-reset"),
        format!("{peer} -j REJECT --reject-with {unreachable}"),
    ]);
    rules
}

/// Between link-local addresses the kernels keep each other's hardware addresses known (RFC 4861): without that, nothing
/// would get through for a second or more after the partition.
fn neighbours(ip: IpAddr, peer: &str) -> Vec<String> {
    const SOLICITATION_AND_ADVERTISEMENT: [u8; 2] = [135, 136];
    if !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
        return Vec::new();
    }
    let rule = |kind| format!("{peer} -p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN");
    SOLICITATION_AND_ADVERTISEMENT.map(rule).into()
}

/// The same of one port of the peer's.
fn end_rules(end: SocketAddr, flow: Flow, reject: bool) -> Vec<String> {
    let peer = format!("{} {} {}", peer_option(flow), host(end.ip()), port_match(end.port(), flow));
    if !reject {
        return vec![format!("{peer} -j DROP")];
    }
    vec![format!("{peer} --tcp-flags RST RST -j RETURN"), format!("{peer} -j REJECT --reject-with tcp-reset")]
}

/// Whether a partition of that name is there.
pub(super) fn has_cut(chains: &Chains, id: &InjectionId) -> bool {
    [Flow::In, Flow::Out].iter().any(|flow| chains.contains_key(&cut_chain(id, *flow)))
}

/// Whole addresses, and single ports of others.
type Peers = (BTreeSet<IpAddr>, BTreeSet<SocketAddr>);

/// The partitions that these chains are.
pub(super) fn cuts(families: &[&Chains]) -> NetworkFaults {
    let mut cuts: BTreeMap<InjectionId, (Peers, BTreeSet<Flow>, bool)> = BTreeMap::new();
    for (name, chain) in families.iter().flat_map(|chains| chains.iter()) {
        let Some((id, Owned::Cut(flow))) = split(name) else { continue };
        let ((ips, ends), flows, reject) = cuts.entry(id).or_default();
        flows.insert(flow);
        for rule in &chain.rules {
            match peer_of(rule, flow) {
                Some((ip, None)) => drop(ips.insert(ip)),
                Some((ip, Some(port))) => drop(ends.insert(SocketAddr::new(ip, port))),
                None => {}
            }
            *reject |= rule.contains("-j REJECT");
        }
    }
    let as_fault = |((ips, ends), flows, reject): (Peers, BTreeSet<Flow>, bool)| {
        let (ips, ends) = (ips.into_iter().collect(), ends.into_iter().collect());
        NetworkFault::Drop(Cut { ips, ends, direction: direction(&flows), reject })
    };
    cuts.into_iter().map(|(id, found)| (id, as_fault(found))).collect()
}

/// The address that a rule of a partition is about, and the port where it is about one alone.
fn peer_of(rule: &str, flow: Flow) -> Option<(IpAddr, Option<u16>)> {
    let mut words = rule.strip_prefix(peer_option(flow))?.split_whitespace();
    let ip = words.next()?.split_once('/')?.0.parse().ok()?;
    let port = words.skip_while(|word| *word != port_option(flow)).nth(1);
    Some((ip, port.and_then(|port| port.parse().ok())))
}
