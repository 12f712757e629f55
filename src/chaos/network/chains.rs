//! Our chains: which there should be and what stands in them, and the faults that those which are there stand for.
//!
//! A rule is kept as the text that `iptables-save` prints of it, which is also how it is written, so that what was read
//! back is compared word for word.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::{
    Class, Direction, Family, Filter, Flow, NetworkFault, NetworkFaults, Shape, Stream, Via, cut::cut_chains,
    qdisc::QDISC_HANDLE,
};
use crate::chaos::InjectionId;

/// A partition's chains are named `TIKV-CHAOS-<id>-IN` and `-OUT`, those of what the shaper does `-Q-IN` and `-Q-OUT`, and
/// the chain of what these leave out has `-X` behind that: 27 of the 28 characters that iptables allows.
pub const CHAIN_PREFIX: &str = "TIKV-CHAOS-";
/// What earlier helpers brought the packets of all the shaper's faults with: still ours, and made no more.
const QUEUE_IN: &str = "TIKV-CHAOS-QUEUE-IN";
const QUEUE_OUT: &str = "TIKV-CHAOS-QUEUE-OUT";
pub(super) const CLASSIFY: &str = "TIKV-CHAOS-CLASSIFY";
/// Begins the names of chains that leave some packets out.
const ONLY: &str = "TIKV-CHAOS-ONLY-";

/// The queues that packets wait in for the shaper, one for each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queues {
    pub inward: u16,
    pub outward: u16,
}

/// The numbers that the shaper tries first: our qdisc's, which nobody uses by default.
impl Default for Queues {
    fn default() -> Self {
        Self { inward: 0xc4a0, outward: 0xc4a1 }
    }
}

/// multiport takes fifteen ports.
const PORTS_IN_A_RULE: usize = 15;

/// One of our chains as the kernel has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// What follows the chain's name in each rule.
    pub rules: Vec<String>,
    /// Where its hook jumps to it, counted among the jumps to chains of ours: one place, when whole. A chain that only other
    /// chains of ours jump to has none.
    pub jumps: Vec<usize>,
}

/// Our chains in one table, by name.
pub type Chains = BTreeMap<String, Chain>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    Filter,
    /// Where a packet that the shaper lets go has the filter's rules still before it: a verdict skips the rest of its
    /// own hook alone.
    Mangle,
}

impl Table {
    pub const ALL: [Self; 2] = [Self::Filter, Self::Mangle];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Mangle => "mangle",
        }
    }
}

/// The table that a chain of ours is in and the hook that jumps to it, by its name; `None` where it is not ours.
pub(super) fn place(chain: &str) -> Option<(Table, Option<&'static str>)> {
    match chain {
        QUEUE_IN => Some((Table::Mangle, Some("INPUT"))),
        QUEUE_OUT => Some((Table::Mangle, Some("OUTPUT"))),
        CLASSIFY => Some((Table::Mangle, Some("POSTROUTING"))),
        name if name.starts_with(ONLY) => name[ONLY.len()..].parse::<u16>().is_ok().then_some((Table::Mangle, None)),
        name => {
            let (_, owned) = split(name)?;
            Some(match owned {
                Owned::Cut(flow) => (Table::Filter, Some(hook(flow))),
                Owned::Queue(flow) => (Table::Mangle, Some(hook(flow))),
                Owned::LeftOut => (Table::Mangle, None),
            })
        }
    }
}

const fn hook(flow: Flow) -> &'static str {
    match flow {
        Flow::In => "INPUT",
        Flow::Out => "OUTPUT",
    }
}

/// What a chain of one injection alone is for.
pub(super) enum Owned {
    Cut(Flow),
    Queue(Flow),
    /// Of the packets that a queue's chain means, those that it does not.
    LeftOut,
}

const fn end(flow: Flow) -> &'static str {
    match flow {
        Flow::In => "IN",
        Flow::Out => "OUT",
    }
}

pub(super) fn cut_chain(id: &InjectionId, flow: Flow) -> String {
    format!("{CHAIN_PREFIX}{id}-{}", end(flow))
}

fn queue_chain(id: &InjectionId, flow: Flow) -> String {
    format!("{CHAIN_PREFIX}{id}-Q-{}", end(flow))
}

/// The injection in the name of a chain, and what the chain is for.
pub(super) fn split(chain: &str) -> Option<(InjectionId, Owned)> {
    let (id, end) = chain.strip_prefix(CHAIN_PREFIX)?.split_once('-')?;
    let owned = match end {
        "IN" => Owned::Cut(Flow::In),
        "OUT" => Owned::Cut(Flow::Out),
        "Q-IN" => Owned::Queue(Flow::In),
        "Q-OUT" => Owned::Queue(Flow::Out),
        "Q-IN-X" | "Q-OUT-X" => Owned::LeftOut,
        _ => return None,
    };
    Some((id.parse().ok()?, owned))
}

/// The option that matches the peer's address: its source on the way in, its destination on the way out.
pub(super) const fn peer_option(flow: Flow) -> &'static str {
    match flow {
        Flow::In => "-s",
        Flow::Out => "-d",
    }
}

const fn interface_option(flow: Flow) -> &'static str {
    match flow {
        Flow::In => "-i",
        Flow::Out => "-o",
    }
}

/// The chains that should be in a table, by name, each with its rules.
pub type Wanted = BTreeMap<String, Vec<String>>;

/// Our chains in each table for these faults: `classified` are the classes of netem's bands.
pub fn wanted_chains(
    faults: &NetworkFaults,
    classified: &[(u16, Class)],
    queues: Queues,
    table: Table,
    family: Family,
) -> Wanted {
    match table {
        Table::Filter => faults.iter().flat_map(|(id, fault)| cut_chains(id, fault, family)).collect(),
        Table::Mangle => {
            let shapes = faults.iter().filter_map(|(id, fault)| Some((id, fault.shape()?)));
            let queued = shapes.flat_map(|(id, shape)| queue_chains(id, shape, queues, family));
            netem_chains(classified, family).into_iter().chain(queued).collect()
        }
    }
}

/// TCP from that port of the peer's on the way in, to it on the way out.
pub(super) fn port_match(port: u16, flow: Flow) -> String {
    format!("-p tcp -m tcp {} {port}", port_option(flow))
}

pub(super) const fn port_option(flow: Flow) -> &'static str {
    match flow {
        Flow::In => "--sport",
        Flow::Out => "--dport",
    }
}

/// As iptables-save prints one host.
pub(super) fn host(ip: IpAddr) -> String {
    format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 })
}

pub(super) fn direction(flows: &BTreeSet<Flow>) -> Direction {
    match (flows.contains(&Flow::In), flows.contains(&Flow::Out)) {
        (true, false) => Direction::In,
        (false, true) => Direction::Out,
        _ => Direction::Both,
    }
}

/// Whether the chains by which packets come to the shaper for that injection are there.
pub(super) fn has_queue(chains: &Chains, id: &InjectionId) -> bool {
    [Flow::In, Flow::Out].iter().any(|flow| chains.contains_key(&queue_chain(id, *flow)))
}

/// The faults of the shaper that these chains are, as far as they tell: the interfaces and the ways.
pub(super) fn queued(families: &[&Chains]) -> NetworkFaults {
    let mut found: BTreeMap<InjectionId, (BTreeSet<String>, BTreeSet<Flow>)> = BTreeMap::new();
    for (name, chain) in families.iter().flat_map(|chains| chains.iter()) {
        let Some((id, Owned::Queue(flow))) = split(name) else { continue };
        let (interfaces, flows) = found.entry(id).or_default();
        interfaces.extend(chain.rules.iter().filter_map(|rule| interface_of(rule)));
        flows.insert(flow);
    }
    let as_fault = |(interfaces, flows): (BTreeSet<String>, BTreeSet<Flow>)| {
        let interfaces = interfaces.into_iter().collect();
        let shape = Shape { interfaces, via: Via::Shaper, direction: direction(&flows), ..Shape::on("") };
        NetworkFault::Shape(shape)
    };
    found.into_iter().map(|(id, found)| (id, as_fault(found))).collect()
}

fn interface_of(rule: &str) -> Option<String> {
    let words: Vec<&str> = rule.split(' ').collect();
    let at = words.iter().position(|word| matches!(*word, "-i" | "-o"))?;
    words.get(at + 1).map(|name| (*name).to_owned())
}

/// The interfaces that the chains of earlier helpers' queues name.
pub(super) fn unnamed_interfaces(families: &[&Chains]) -> BTreeSet<String> {
    let queues =
        families.iter().flat_map(|chains| [QUEUE_IN, QUEUE_OUT].into_iter().filter_map(|name| chains.get(name)));
    queues.flat_map(|chain| &chain.rules).filter_map(|rule| interface_of(rule)).collect()
}

fn netem_chains(classified: &[(u16, Class)], family: Family) -> Wanted {
    let mut wanted = Wanted::new();
    for (band, class) in classified {
        // As iptables-save prints it.
        let target = format!("CLASSIFY --set-class {QDISC_HANDLE}{band:04x}");
        let only = format!("{ONLY}{}", wanted.keys().filter(|name| name.starts_with(ONLY)).count());
        add_class(&mut wanted, (CLASSIFY, &only), class, &target, family);
    }
    wanted
}

/// The chains by which one fault's packets come to the shaper, which looks at each packet again: one that several faults mean
/// comes by the first one's chain, and by another's where that is gone.
pub(super) fn queue_chains(id: &InjectionId, shape: &Shape, queues: Queues, family: Family) -> Wanted {
    let mut wanted = Wanted::new();
    if shape.via != Via::Shaper {
        return wanted;
    }
    // What delays both ways is twice on one: the same rules.
    let mut streams: Vec<Stream> = Vec::new();
    for stream in shape.streams() {
        if !streams.contains(&stream) {
            streams.push(stream);
        }
    }
    for stream in &streams {
        let number = if stream.flow == Flow::In { queues.inward } else { queues.outward };
        let target = format!("NFQUEUE --queue-num {number} --queue-bypass");
        let chain = queue_chain(id, stream.flow);
        let left_out = format!("{chain}-X");
        add_class(&mut wanted, (&chain, &left_out), stream, &target, family);
    }
    wanted
}

/// The rules that send a class's packets to the target. What is to be left out of it is left out in a chain of its own,
/// which single ports of the peers' do not go through.
fn add_class(wanted: &mut Wanted, (chain, only): (&str, &str), class: &Class, target: &str, family: Family) {
    let ends = class.filter.ends.iter().filter(|end| Family::of(&end.ip()) == family).map(|end| {
        let peer = format!("{} {}", peer_option(class.flow), host(end.ip()));
        let interface = format!("{} {}", interface_option(class.flow), class.interface);
        format!("{peer} {interface} {} -j {target}", port_match(end.port(), class.flow))
    });
    let ends: Vec<String> = ends.collect();
    let matches = matches(class, family);
    if matches.is_empty() {
        if !ends.is_empty() {
            wanted.entry(chain.to_owned()).or_default().extend(ends);
        }
        return;
    }
    let exceptions = exceptions(&class.filter, class.flow, family);
    let target = if exceptions.is_empty() {
        target
    } else {
        let last = format!("-j {target}");
        wanted.insert(only.to_owned(), exceptions.into_iter().chain([last]).collect());
        only
    };
    let rules = matches.into_iter().map(|one| format!("{one} -j {target}"));
    wanted.entry(chain.to_owned()).or_default().extend(rules.chain(ends));
}

fn matches(class: &Class, family: Family) -> Vec<String> {
    let interface = format!("{} {}", interface_option(class.flow), class.interface);
    let peers: Vec<String> = match &class.filter.peers {
        None => vec![interface],
        Some(peers) => {
            let peers = peers.iter().filter(|ip| Family::of(ip) == family);
            peers.map(|ip| format!("{} {} {interface}", peer_option(class.flow), host(*ip))).collect()
        }
    };
    match &class.filter.ports {
        None => peers,
        Some(ports) => {
            let ports = port_matches(ports);
            peers.iter().flat_map(|peer| ports.iter().map(move |ports| format!("{peer} {ports}"))).collect()
        }
    }
}

fn exceptions(filter: &Filter, flow: Flow, family: Family) -> Vec<String> {
    let peers = filter.except_peers.iter().filter(|ip| Family::of(ip) == family);
    let peers = peers.map(|ip| format!("{} {} -j RETURN", peer_option(flow), host(*ip)));
    let ends = filter.except_ends.iter().filter(|end| Family::of(&end.ip()) == family);
    let ends =
        ends.map(|end| format!("{} {} {} -j RETURN", peer_option(flow), host(end.ip()), port_match(end.port(), flow)));
    peers
        .chain(ends)
        .chain(port_matches(&filter.except_ports).into_iter().map(|ports| format!("{ports} -j RETURN")))
        .collect()
}

pub(super) fn port_matches(ports: &BTreeSet<u16>) -> Vec<String> {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let of = |protocol: &'static str| {
        ports.chunks(PORTS_IN_A_RULE).map(move |some| format!("-p {protocol} -m multiport --ports {}", some.join(",")))
    };
    of("tcp").chain(of("udp")).collect()
}

pub(super) fn is_netems(chain: &str) -> bool {
    chain == CLASSIFY
}
