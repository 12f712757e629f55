//! What should hold in a target's network namespace, what does hold, and the commands from the one to the other.
//!
//! All network faults of a target are compiled together, so that none overwrites another. What is ours bears a mark:
//! root qdiscs have the handle [`QDISC_HANDLE`], chains a name that begins with [`CHAIN_PREFIX`]; a partition has a pair
//! of its own with the injection's id in their names. What bears no mark is never changed.

mod chains;
mod compile;
mod cut;
mod fault;
mod filter;
mod impairment;
mod parse;
mod qdisc;
mod tally;

pub use chains::{CHAIN_PREFIX, Chain, Chains, Queues, Table, hooks, netem_chains, queue_chains, shape_removal_text};
pub use compile::{Beside, Refusal, check, compile, warnings};
pub use cut::cut_removal_text;
pub use fault::{Cut, Direction, NetworkFault, Shape, Via, shaper_classes};
pub use filter::{Class, Filter, Flow, Stream, classes};
pub use impairment::{
    Chance, DEFAULT_LIMIT, Delay, Distribution, GilbertElliott, Impairment, Loss, Ppm, Rate, Reorder,
};
pub use parse::{ReadError, parse_chains, parse_counts, parse_qdiscs};
pub use qdisc::{QDISC_HANDLE, RootQdisc, Tree};
pub use tally::{Packets, Place, Tally, netem_packets};

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::InjectionId;

/// The network faults that should hold on one target.
pub type NetworkFaults = BTreeMap<InjectionId, NetworkFault>;

/// Our chains of one address family, by table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    pub filter: Chains,
    pub mangle: Chains,
}

impl Tables {
    pub fn of(&self, table: Table) -> &Chains {
        match table {
            Table::Filter => &self.filter,
            Table::Mangle => &self.mangle,
        }
    }

    pub fn is_clean(&self) -> bool {
        self.filter.is_empty() && self.mangle.is_empty()
    }
}

/// What of a network namespace matters to us, as read from the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    pub qdiscs: BTreeMap<String, RootQdisc>,
    pub v4: Tables,
    pub v6: Tables,
}

impl Kernel {
    /// Whether anything of ours is there.
    pub fn is_clean(&self) -> bool {
        self.v4.is_clean() && self.v6.is_clean() && self.trees().next().is_none()
    }

    /// The faults that our marks stand for. A partition's chains carry its injection's id; everything else has none and
    /// gets a number that no chain has: one fault for each interface with a qdisc of ours, and one for each with a queue.
    pub fn as_faults(&self) -> NetworkFaults {
        let mut faults = cut::cuts(&[&self.v4.filter, &self.v6.filter]);
        let trees = self.trees().map(|(interface, tree)| tree.as_fault(interface));
        let queued = chains::owned_interfaces(&[&self.v4.mangle, &self.v6.mangle]);
        let queues = queued.into_iter().map(|interface| Shape { via: Via::Shaper, ..Shape::on(interface) });
        let mut numbers = 0..;
        for shape in trees.chain(queues) {
            let free = numbers.by_ref().map(InjectionId::from_number).find(|id| !faults.contains_key(id));
            faults.extend(free.map(|id| (id, NetworkFault::Shape(shape))));
        }
        faults
    }

    /// Whether something that this fault would make is there.
    pub fn shows(&self, id: &InjectionId, fault: &NetworkFault) -> bool {
        match fault {
            NetworkFault::Drop(_) => [&self.v4, &self.v6].iter().any(|tables| cut::has_cut(&tables.filter, id)),
            NetworkFault::Shape(shape) => self.holds(shape.via).iter().any(|name| shape.interfaces.contains(name)),
        }
    }

    /// The interfaces on which something of ours does this.
    pub fn holds(&self, via: Via) -> BTreeSet<String> {
        match via {
            Via::Netem => self.trees().map(|(interface, _)| interface.to_owned()).collect(),
            Via::Shaper => chains::owned_interfaces(&[&self.v4.mangle, &self.v6.mangle]),
        }
    }

    fn trees(&self) -> impl Iterator<Item = (&str, &Tree)> {
        self.qdiscs.iter().filter_map(|(interface, qdisc)| match qdisc {
            RootQdisc::Ours(tree) => Some((interface.as_str(), tree)),
            RootQdisc::Default | RootQdisc::Foreign(_) => None,
        })
    }

    pub fn tables(&self, family: Family) -> &Tables {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub fn of(ip: &IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
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

#[cfg(test)]
mod tests;
