//! A fault of the network as its injection asks the holder for it, and the streams of packets that it means.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Class, Filter, Flow, Impairment, NetworkFaults, Stream, classes};

/// What does it to the packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The kernel's own qdisc. What journals say that do not know the other.
    #[default]
    Netem,
    /// The holder's: packets wait in a queue (NFQUEUE) until it lets them go.
    Shaper,
}

impl Via {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Netem => "netem",
            Self::Shaper => "shaper",
        }
    }
}

/// Which way packets go, as the target sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Out,
    In,
    Both,
}

impl Direction {
    pub const NAMES: &'static [&'static str] = &["out", "in", "both"];

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Out, Self::In, Self::Both].into_iter().find(|one| one.name() == name)
    }

    pub fn has(self, flow: Flow) -> bool {
        match flow {
            Flow::In => self != Self::Out,
            Flow::Out => self != Self::In,
        }
    }

    pub const fn both() -> Self {
        Self::Both
    }

    /// As the other end sees it.
    pub const fn turned(self) -> Self {
        match self {
            Self::Out => Self::In,
            Self::In => Self::Out,
            Self::Both => Self::Both,
        }
    }
}

/// A fault of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "few live at a time, and the large one is the usual one")]
pub enum NetworkFault {
    /// Do something to packets that arrive all the same, most of them.
    Shape(Shape),
    /// Let nothing through.
    Drop(Cut),
}

/// What is done to which packets on which interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub interfaces: Vec<String>,
    #[serde(default)]
    pub via: Via,
    #[serde(default)]
    pub direction: Direction,
    #[serde(default)]
    pub filter: Filter,
    #[serde(default)]
    pub impairment: Impairment,
}

/// No packet from or to these addresses, and no TCP from or to these ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    pub ips: Vec<IpAddr>,
    /// Ports of an address of which the rest is others', such as the Docker host's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<SocketAddr>,
    #[serde(default = "Direction::both")]
    pub direction: Direction,
    /// Refused at once instead of dropped without a word.
    #[serde(default)]
    pub reject: bool,
}

impl Cut {
    /// The contract's partition: dropped both ways.
    pub fn off(ips: Vec<IpAddr>) -> Self {
        Self { ips, ends: Vec::new(), direction: Direction::Both, reject: false }
    }
}

impl Cut {
    /// The packets that it means.
    pub fn filter(&self) -> Filter {
        let (peers, ends) = (self.ips.iter().copied().collect(), self.ends.iter().copied().collect());
        Filter { peers: Some(peers), ends, ..Filter::default() }
    }
}

impl Shape {
    /// Nothing yet, on one interface.
    pub fn on(interface: impl Into<String>) -> Self {
        Self {
            interfaces: vec![interface.into()],
            via: Via::Netem,
            direction: Direction::Out,
            filter: Filter::default(),
            impairment: Impairment::default(),
        }
    }

    /// What to know about `ping` from inside the node: its time ends at the kernel's stamp of the
    /// answer's arrival, and the shaper holds packets after that.
    pub fn ping_note(&self) -> Option<&'static str> {
        let late = |stream: &Stream| stream.impairment.delay.is_some() || stream.impairment.rate.is_some();
        let held = self.via == Via::Shaper && self.streams().iter().any(|one| one.flow == Flow::In && late(one));
        held.then_some(
            "ping inside the node does not show it: the shaper holds packets after the kernel's receive stamp",
        )
    }

    /// The packets that it means and what is done to them. The shaper delays on the way in what should be late on the
    /// way out: a packet that is held on the way out still belongs to its socket, which sends no more until it is gone
    /// (TCP small queues), while to peers and clients the round trip is the same. So both ways are twice the delay on one.
    /// Reordering needs its own way, and a rate is felt by the socket as a slow link's would be.
    pub fn streams(&self) -> Vec<Stream> {
        let Impairment { delay, reorder, .. } = self.impairment;
        let turned = self.via == Via::Shaper && delay.is_some() && reorder.is_none();
        let flows = [Flow::Out, Flow::In].into_iter().filter(|flow| self.direction.has(*flow));
        let flows = flows.map(|flow| if turned { Flow::In } else { flow });
        let stream = |flow| {
            self.interfaces.iter().map(move |interface| Stream {
                interface: interface.clone(),
                flow,
                filter: self.filter.clone(),
                impairment: self.impairment,
            })
        };
        flows.flat_map(stream).collect()
    }
}

impl NetworkFault {
    /// Whether there is an address that it means, so that something of it is in the kernel while it holds.
    pub fn means_any(&self) -> bool {
        match self {
            Self::Shape(shape) => !shape.filter.is_nothing(),
            Self::Drop(cut) => !cut.ips.is_empty() || !cut.ends.is_empty(),
        }
    }

    pub fn shape(&self) -> Option<&Shape> {
        match self {
            Self::Shape(shape) => Some(shape),
            Self::Drop(_) => None,
        }
    }
}

/// The streams of all faults that go this way.
pub(super) fn streams(faults: &NetworkFaults, via: Via) -> Vec<Stream> {
    let shapes = faults.values().filter_map(NetworkFault::shape).filter(|shape| shape.via == via);
    shapes.flat_map(Shape::streams).collect()
}

/// What the holder's shaper has to do.
pub fn shaper_classes(faults: &NetworkFaults) -> Vec<Class> {
    classes(&streams(faults, Via::Shaper))
}
