//! What should hold in a target's network namespace, what does hold, and the commands from the one to the other.
//!
//! All network faults of a target are compiled together, so that none overwrites another. What is ours bears a mark:
//! root qdiscs have the handle [`QDISC_HANDLE`], every partition has a pair of chains of its own with the injection's
//! id in their names. What bears no mark is never changed.

mod compile;
mod filter;
mod impairment;
mod parse;

pub use compile::{Refusal, check, compile, preview, removal_text};
pub use filter::{Class, Filter, Flow, Stream, classes};
pub use impairment::{
    Chance, DEFAULT_LIMIT, Delay, Distribution, GilbertElliott, Impairment, Loss, Ppm, Rate, Reorder,
};
pub use parse::{ReadError, parse_filter, parse_qdiscs};

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::InjectionId;

/// The handle of every root qdisc that we make. Docker and systemd leave handles to the kernel, which counts from
/// `8001:`; administrators begin at `1:`.
pub const QDISC_HANDLE: &str = "c4a0:";

/// Chains are named `TIKV-CHAOS-<id>-IN` and `-OUT`: 23 of the 28 characters that iptables allows.
pub const CHAIN_PREFIX: &str = "TIKV-CHAOS-";

/// A fault of the network, as its injection asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum NetworkFault {
    /// Delay what leaves by these interfaces.
    Delay { min_ms: u64, max_ms: u64, interfaces: Vec<String> },
    /// Drop what goes to or comes from these addresses.
    Drop { ips: Vec<IpAddr> },
}

/// The network faults that should hold on one target.
pub type NetworkFaults = BTreeMap<InjectionId, NetworkFault>;

/// netem's delay, in microseconds: `delay ± jitter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netem {
    pub delay_us: u64,
    pub jitter_us: u64,
}

/// The root qdisc of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootQdisc {
    /// The kernel's own choice, handle `0:`.
    Default,
    /// Made by us.
    Ours(Netem),
    /// Somebody else's; the text names it.
    Foreign(String),
}

/// One of our chains as the kernel has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Addresses dropped; `None` where a rule is not one that we make.
    pub drops: Vec<Option<IpAddr>>,
    /// How often INPUT or OUTPUT jumps to it: once, when whole.
    pub jumps: usize,
}

/// Our chains in one family's filter table, by name.
pub type Chains = BTreeMap<String, Chain>;

/// What of a network namespace matters to us, as read from the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    pub qdiscs: BTreeMap<String, RootQdisc>,
    pub v4: Chains,
    pub v6: Chains,
}

impl Kernel {
    /// Whether anything of ours is there.
    pub fn is_clean(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty() && self.delays().next().is_none()
    }

    /// The faults that our marks stand for. Chains carry their injection's id; a delay has none and gets a number that
    /// no chain has, one for each interface.
    pub fn as_faults(&self) -> NetworkFaults {
        let mut drops: BTreeMap<InjectionId, BTreeSet<IpAddr>> = BTreeMap::new();
        for (name, chain) in self.v4.iter().chain(&self.v6) {
            if let Some((id, _)) = split_name(name) {
                drops.entry(id).or_default().extend(chain.drops.iter().flatten());
            }
        }
        let mut faults: NetworkFaults =
            drops.into_iter().map(|(id, ips)| (id, NetworkFault::Drop { ips: ips.into_iter().collect() })).collect();
        let mut numbers = 0..;
        for (interface, netem) in self.delays() {
            let [min_ms, max_ms] =
                [netem.delay_us.saturating_sub(netem.jitter_us), netem.delay_us + netem.jitter_us].map(|us| us / 1000);
            let fault = NetworkFault::Delay { min_ms, max_ms, interfaces: vec![interface.to_owned()] };
            let free = numbers.by_ref().map(InjectionId::from_number).find(|id| !faults.contains_key(id));
            faults.extend(free.map(|id| (id, fault)));
        }
        faults
    }

    fn delays(&self) -> impl Iterator<Item = (&str, Netem)> {
        self.qdiscs.iter().filter_map(|(interface, qdisc)| match qdisc {
            RootQdisc::Ours(netem) => Some((interface.as_str(), *netem)),
            RootQdisc::Default | RootQdisc::Foreign(_) => None,
        })
    }

    fn chains(&self, family: Family) -> &Chains {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    V4,
    V6,
}

/// The two iptables: which one works is the kernel's to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flavour {
    #[default]
    Nft,
    Legacy,
}

impl Flavour {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        }
    }

    fn tool(self, family: Family, verb: &str) -> String {
        let base = match family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        format!("{base}-{}-{verb}", self.name())
    }

    /// The name of the program that applies rules.
    pub fn restore(self, family: Family) -> String {
        self.tool(family, "restore")
    }

    /// The name of the program that prints rules.
    pub fn save(self, family: Family) -> String {
        self.tool(family, "save")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hook {
    Input,
    Output,
}

impl Hook {
    const ALL: [Self; 2] = [Self::Input, Self::Output];

    const fn chain(self) -> &'static str {
        match self {
            Self::Input => "INPUT",
            Self::Output => "OUTPUT",
        }
    }

    fn ours(self, id: &InjectionId) -> String {
        let end = match self {
            Self::Input => "IN",
            Self::Output => "OUT",
        };
        format!("{CHAIN_PREFIX}{id}-{end}")
    }

    /// The option that matches the peer's address: its source on the way in, its destination on the way out.
    const fn peer_option(self) -> &'static str {
        match self {
            Self::Input => "-s",
            Self::Output => "-d",
        }
    }

    /// The hook that a chain of ours belongs to.
    fn of(chain: &str) -> Option<Self> {
        split_name(chain).map(|(_, hook)| hook)
    }
}

/// The injection and the hook in the name of a chain of ours.
fn split_name(chain: &str) -> Option<(InjectionId, Hook)> {
    let (id, end) = chain.strip_prefix(CHAIN_PREFIX)?.split_once('-')?;
    let hook = match end {
        "IN" => Hook::Input,
        "OUT" => Hook::Output,
        _ => return None,
    };
    Some((id.parse().ok()?, hook))
}

#[cfg(test)]
mod tests;
