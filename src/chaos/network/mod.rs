//! What should hold in a target's network namespace, what does hold, and the commands from the one to the other.
//!
//! All network faults of a target are compiled together, so that none overwrites another. What is ours bears a mark:
//! root qdiscs have the handle [`QDISC_HANDLE`], chains a name that begins with [`CHAIN_PREFIX`]; a partition and what the
//! shaper does have chains of their own with the injection's id in their names. What bears no mark is never changed.

mod chains;
mod compile;
mod cut;
mod fault;
mod filter;
mod impairment;
mod parse;
mod qdisc;
mod restore;
mod tally;

pub use chains::{CHAIN_PREFIX, Chain, Chains, Queues, Table};
pub use compile::{Beside, Refusal, check, compile, warnings};
pub use fault::{Cut, Direction, NetworkFault, Shape, Via, shaper_classes};
pub use filter::{Class, Filter, Flow, Stream, classes};
pub use impairment::{
    Chance, DEFAULT_LIMIT, Delay, Distribution, GilbertElliott, Impairment, Loss, Ppm, Rate, Reorder,
};
pub use parse::{ReadError, parse_chains, parse_counts, parse_qdiscs};
pub use qdisc::{QDISC_HANDLE, RootQdisc, Tree};
pub use restore::{cut_removal_text, hooks, netem_removal_text, queue_removal_text};
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

    /// The faults that our marks stand for. The chains of a partition and of what the shaper does carry their injection's id;
    /// everything else has none and gets a number that no chain has: one fault for each interface with our qdisc, and
    /// one for each with a queue of an earlier helper's.
    pub fn as_faults(&self) -> NetworkFaults {
        let mangle = [&self.v4.mangle, &self.v6.mangle];
        let mut faults = cut::cuts(&[&self.v4.filter, &self.v6.filter]);
        faults.extend(chains::queued(&mangle));
        let trees = self.trees().map(|(interface, tree)| tree.as_fault(interface));
        let unnamed = chains::unnamed_interfaces(&mangle).into_iter();
        let queues = unnamed.map(|interface| Shape { via: Via::Shaper, ..Shape::on(interface) });
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
            NetworkFault::Shape(shape) => {
                let is_there = |name: &String| shape.interfaces.contains(name);
                let mangle = [&self.v4.mangle, &self.v6.mangle];
                match shape.via {
                    Via::Netem => self.netems().iter().any(is_there),
                    Via::Shaper => {
                        mangle.iter().any(|chains| chains::has_queue(chains, id))
                            || chains::unnamed_interfaces(&mangle).iter().any(is_there)
                    }
                }
            }
        }
    }

    /// The interfaces with our qdisc.
    pub fn netems(&self) -> BTreeSet<String> {
        self.trees().map(|(interface, _)| interface.to_owned()).collect()
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
