//! Our chains: which there should be, what stands in them, and the transaction from what is held to that.
//!
//! A rule is kept as the text that `iptables-save` prints of it, which is also how it is written, so that what was read
//! back is compared word for word.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::{
    Class, Family, Filter, Flow, NetworkFaults,
    cut::{cut_chains, split_cut},
    qdisc::QDISC_HANDLE,
};

/// A partition's chains are named `TIKV-CHAOS-<id>-IN` and `-OUT`: 23 of the 28 characters that iptables allows.
pub const CHAIN_PREFIX: &str = "TIKV-CHAOS-";
const QUEUE_IN: &str = "TIKV-CHAOS-QUEUE-IN";
const QUEUE_OUT: &str = "TIKV-CHAOS-QUEUE-OUT";
const CLASSIFY: &str = "TIKV-CHAOS-CLASSIFY";
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
        name => match split_cut(name)?.1 {
            Flow::In => Some((Table::Filter, Some("INPUT"))),
            Flow::Out => Some((Table::Filter, Some("OUTPUT"))),
        },
    }
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

/// What each table should hold of ours for these faults: `classified` are the classes of netem's bands, `queued` those of
/// the shaper.
pub fn wanted_chains(
    faults: &NetworkFaults,
    classified: &[(u16, Class)],
    (queued, queues): (&[Class], Queues),
    table: Table,
    family: Family,
) -> Wanted {
    match table {
        Table::Filter => faults.iter().flat_map(|(id, fault)| cut_chains(id, fault, family)).collect(),
        Table::Mangle => mangle_chains(classified, (queued, queues), family),
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

/// The interfaces that our queues' rules name.
pub fn owned_interfaces(families: &[&Chains]) -> BTreeSet<String> {
    let queues =
        families.iter().flat_map(|chains| [QUEUE_IN, QUEUE_OUT].into_iter().filter_map(|name| chains.get(name)));
    let rules = queues.flat_map(|chain| &chain.rules);
    let name = |rule: &String| {
        let words: Vec<&str> = rule.split(' ').collect();
        let at = words.iter().position(|word| matches!(*word, "-i" | "-o"))?;
        words.get(at + 1).map(|name| (*name).to_owned())
    };
    rules.filter_map(name).collect()
}

fn mangle_chains(classified: &[(u16, Class)], (queued, queues): (&[Class], Queues), family: Family) -> Wanted {
    let mut wanted = Wanted::new();
    for (band, class) in classified {
        // As iptables-save prints it.
        let target = format!("CLASSIFY --set-class {QDISC_HANDLE}{band:04x}");
        add_class(&mut wanted, CLASSIFY, class, &target, family);
    }
    for class in queued {
        let (chain, number) =
            if class.flow == Flow::In { (QUEUE_IN, queues.inward) } else { (QUEUE_OUT, queues.outward) };
        let target = format!("NFQUEUE --queue-num {number} --queue-bypass");
        // The shaper looks at each packet again, so a wider class brings it all that a narrower one would.
        let wider = |other: &&Class| other.flow == class.flow && other.interface == class.interface;
        let brought = queued.iter().filter(wider).any(|other| other != class && other.filter.is_everything());
        if !brought {
            add_class(&mut wanted, chain, class, &target, family);
        }
    }
    wanted
}

/// The rules that send a class's packets to the target. What is to be left out of it is left out in a chain of its own,
/// which single ports of the peers' do not go through.
fn add_class(wanted: &mut Wanted, chain: &str, class: &Class, target: &str, family: Family) {
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
        target.to_owned()
    } else {
        let only = format!("{ONLY}{}", wanted.keys().filter(|name| name.starts_with(ONLY)).count());
        let last = format!("-j {target}");
        wanted.insert(only.clone(), exceptions.into_iter().chain([last]).collect());
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

/// The hooks that a transaction of ours puts jumps into, by table.
pub fn hooks(text: &str) -> Vec<(Table, Vec<&str>)> {
    let mut found: Vec<(Table, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            found.extend(Table::ALL.into_iter().find(|table| table.name() == name).map(|table| (table, Vec::new())));
        } else if let Some(hook) = line.strip_prefix("-I ").and_then(|rest| rest.split(' ').next())
            && let Some((_, hooks)) = found.last_mut()
            && !hooks.contains(&hook)
        {
            hooks.push(hook);
        }
    }
    found.retain(|(_, hooks)| !hooks.is_empty());
    found
}

/// One transaction for `iptables-restore --noflush`; `None` where nothing is to be done.
pub fn restore_text(table: Table, wanted: &Wanted, held: &Chains) -> Option<String> {
    let whole = |name: &str, rules: &Vec<String>| held.get(name).is_some_and(|chain| chain.rules == *rules);
    let (mut made, mut filled) = (String::new(), String::new());
    for (name, rules) in wanted {
        if !whole(name, rules) {
            // With --noflush this line makes the chain or, where it exists, empties it.
            writeln!(made, ":{name} - [0:0]").ok()?;
            for rule in rules {
                writeln!(filled, "-A {name} {rule}").ok()?;
            }
        }
    }
    let jumps: String = ["INPUT", "OUTPUT", "POSTROUTING"].map(|hook| jump_lines(hook, wanted, held)).concat();
    let gone = held.iter().filter(|(name, _)| !wanted.contains_key(*name));
    let gone: Vec<(&str, usize)> = gone.map(|(name, chain)| (name.as_str(), chain.jumps.len())).collect();
    let text = [made, filled, jumps, removal_lines(&gone)].concat();
    (!text.is_empty()).then(|| transaction(table, &text))
}

/// Brings a hook's jumps into their one order, in which what drops stands before what refuses, so that it does not
/// matter in which order the faults came. What is at the end of it already stays.
fn jump_lines(hook: &str, wanted: &Wanted, held: &Chains) -> String {
    let is_here = |name: &str| place(name).is_some_and(|(_, of)| of == Some(hook));
    let refuses = |rules: &[String]| rules.iter().any(|rule| rule.contains("-j REJECT"));
    let mut order: Vec<(bool, &str)> =
        wanted.iter().filter(|(name, _)| is_here(name)).map(|(name, rules)| (refuses(rules), name.as_str())).collect();
    order.sort_unstable();
    let mut there: Vec<(usize, &str)> = held
        .iter()
        .filter(|(name, _)| is_here(name) && wanted.contains_key(*name))
        .flat_map(|(name, chain)| chain.jumps.iter().map(move |at| (*at, name.as_str())))
        .collect();
    there.sort_unstable();
    let twice = there.len() > there.iter().map(|(_, name)| name).collect::<BTreeSet<_>>().len();
    let alike = there.iter().rev().zip(order.iter().rev()).take_while(|(one, two)| one.1 == two.1).count();
    let alike = if twice { 0 } else { alike };
    let gone = there[..there.len() - alike].iter().map(|(_, name)| format!("-D {hook} -j {name}\n"));
    let new = order[..order.len() - alike].iter().rev().map(|(_, name)| format!("-I {hook} 1 -j {name}\n"));
    gone.chain(new).collect()
}

pub(super) fn transaction(table: Table, lines: &str) -> String {
    format!("*{}\n{lines}COMMIT\n", table.name())
}

/// Chains can be removed when nothing jumps to them any more.
pub(super) fn removal_lines(chains: &[(&str, usize)]) -> String {
    let mut text = String::new();
    for (name, jumps) in chains {
        if let Some((_, Some(hook))) = place(name) {
            text += &format!("-D {hook} -j {name}\n").repeat(*jumps);
        }
        text += &format!("-F {name}\n");
    }
    chains.iter().for_each(|(name, _)| text += &format!("-X {name}\n"));
    text
}

/// The transaction that removes the chains that a fault of this kind stands in, with those of every other such fault on
/// the node.
pub fn shape_removal_text(chains: &[&str]) -> String {
    let chains: Vec<(&str, usize)> = chains.iter().map(|name| (*name, 1)).collect();
    transaction(Table::Mangle, &removal_lines(&chains))
}

/// The chains by which packets of these ways come to the shaper.
pub fn queue_chains(flows: &BTreeSet<Flow>) -> Vec<&'static str> {
    flows.iter().map(|flow| if *flow == Flow::In { QUEUE_IN } else { QUEUE_OUT }).collect()
}

/// The chain that puts packets to netem's bands.
pub fn netem_chains() -> Vec<&'static str> {
    vec![CLASSIFY]
}

pub(super) fn is_netems(chain: &str) -> bool {
    chain == CLASSIFY
}
