//! Which packets a fault is for, and which faults meet in one packet.
//!
//! A packet's peer is its source on the way in and its destination on the way out, so that one filter serves both ways.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};

use super::{Family, Impairment};

/// The packets of a fault, by their peer and their ports. The default is every packet.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Filter {
    /// The peers; `None` is everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<BTreeSet<IpAddr>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except_peers: BTreeSet<IpAddr>,
    /// TCP and UDP ports, on either side; `None` is every packet, of whatever protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<BTreeSet<u16>>,
    /// Packets with such a port on either side are left alone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except_ports: BTreeSet<u16>,
    /// TCP at an address and port of the peer, such as one that the Docker host passes on: meant whatever the rest says.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ends: BTreeSet<SocketAddr>,
    /// Left alone, but for what `ends` names.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except_ends: BTreeSet<SocketAddr>,
}

impl Filter {
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// These ends and nothing else.
    pub fn only(ends: BTreeSet<SocketAddr>) -> Self {
        Self { peers: Some(BTreeSet::new()), ends, ..Self::default() }
    }

    /// Whether there is no packet that it could mean.
    pub fn is_nothing(&self) -> bool {
        self.peers.as_ref().is_some_and(BTreeSet::is_empty) && self.ends.is_empty()
    }

    /// Whether it means some packets of this address family.
    pub fn has(&self, family: Family) -> bool {
        self.peers.as_ref().is_none_or(|peers| peers.iter().any(|ip| Family::of(ip) == family))
            || self.ends.iter().any(|end| Family::of(&end.ip()) == family)
    }

    /// Whether a packet is meant: its peer and, where its protocol has ports, the peer's port and the node's own.
    pub fn matches(&self, peer: IpAddr, ports: Option<[u16; 2]>) -> bool {
        let one_of = |set: &BTreeSet<u16>| ports.is_some_and(|ports| ports.iter().any(|port| set.contains(port)));
        let at = |ends: &BTreeSet<SocketAddr>| {
            ports.is_some_and(|[theirs, _]| ends.contains(&SocketAddr::new(peer, theirs)))
        };
        at(&self.ends) || self.matches_address(peer, one_of) && !at(&self.except_ends)
    }

    fn matches_address(&self, peer: IpAddr, one_of: impl Fn(&BTreeSet<u16>) -> bool) -> bool {
        self.peers.as_ref().is_none_or(|peers| peers.contains(&peer))
            && !self.except_peers.contains(&peer)
            && self.ports.as_ref().is_none_or(&one_of)
            && !one_of(&self.except_ports)
    }

    /// The packets that both mean; `None` where there can be none. A packet whose two ports are named one by each of two
    /// filters is in neither's company: it is taken for the later filter's alone.
    pub fn and(&self, other: &Self) -> Option<Self> {
        fn common<T: Ord + Copy>(one: Option<&BTreeSet<T>>, two: Option<&BTreeSet<T>>) -> Option<BTreeSet<T>> {
            match (one, two) {
                (Some(one), Some(two)) => Some(one & two),
                (one, two) => one.or(two).cloned(),
            }
        }
        let except_peers = &self.except_peers | &other.except_peers;
        let peers = common(self.peers.as_ref(), other.peers.as_ref()).map(|peers| &peers - &except_peers);
        let except_ports = &self.except_ports | &other.except_ports;
        let except_ends = &self.except_ends | &other.except_ends;
        let ports = common(self.ports.as_ref(), other.ports.as_ref());
        let ends = &self.ends_within(other) | &other.ends_within(self);
        let empty = peers.as_ref().is_some_and(BTreeSet::is_empty) || ports.as_ref().is_some_and(BTreeSet::is_empty);
        match (empty, ends.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Self::only(ends)),
            (false, _) => Some(Self { peers, except_peers, ports, except_ports, ends, except_ends }),
        }
    }

    fn ends_within(&self, other: &Self) -> BTreeSet<SocketAddr> {
        // Port 0 is never used, and the node's own port is unknown here.
        let is_within = |end: &&SocketAddr| other.matches(end.ip(), Some([end.port(), 0]));
        self.ends.iter().filter(is_within).copied().collect()
    }
}

/// A way through the target's network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    In,
    Out,
}

/// One impairment on one way, before it is combined with others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    pub interface: String,
    pub flow: Flow,
    pub filter: Filter,
    pub impairment: Impairment,
}

/// Packets that share all their impairments. Of several classes that a packet fits, the last is its own.
pub type Class = Stream;

/// The classes of these streams: for each interface and way, every set of filters that can meet in one packet, the wider
/// ones first. Equal filters are one.
pub fn classes(streams: &[Stream]) -> Vec<Class> {
    let places: BTreeSet<(&str, Flow)> =
        streams.iter().map(|stream| (stream.interface.as_str(), stream.flow)).collect();
    places.into_iter().flat_map(|place| classes_at(place, streams)).collect()
}

fn classes_at((interface, flow): (&str, Flow), streams: &[Stream]) -> Vec<Class> {
    let here: Vec<&Stream> =
        streams.iter().filter(|stream| stream.interface == interface && stream.flow == flow).collect();
    let mut filters: BTreeSet<Filter> = BTreeSet::new();
    for stream in &here {
        let met: Vec<Filter> = filters.iter().filter_map(|filter| filter.and(&stream.filter)).collect();
        filters.extend(met);
        filters.insert(stream.filter.clone());
    }
    let within = |inner: &Filter, outer: &Filter| inner.and(outer).as_ref() == Some(inner);
    let mut classes: Vec<(usize, Class)> = filters
        .iter()
        .map(|filter| {
            let depth = filters.iter().filter(|other| within(filter, other)).count();
            let meeting = here.iter().filter(|stream| within(filter, &stream.filter));
            let impairment = meeting.fold(Impairment::default(), |sum, stream| sum.combine(stream.impairment));
            (depth, Class { interface: interface.to_owned(), flow, filter: filter.clone(), impairment })
        })
        .collect();
    classes.sort_by_key(|(depth, _)| *depth);
    classes.into_iter().map(|(_, class)| class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::network::{Chance, Loss, Ppm};

    fn loss(percent: u64) -> Impairment {
        let chance = Chance { share: Ppm::percent(percent), correlation: Ppm::default() };
        Impairment { loss: Some(Loss::Random(chance)), ..Impairment::default() }
    }

    fn stream(percent: u64, peers: &[&str], ports: &[u16]) -> Stream {
        let peers: BTreeSet<IpAddr> = peers.iter().map(|ip| ip.parse().unwrap()).collect();
        let ports: BTreeSet<u16> = ports.iter().copied().collect();
        let filter = Filter {
            peers: (!peers.is_empty()).then_some(peers),
            ports: (!ports.is_empty()).then_some(ports),
            ..Filter::default()
        };
        Stream { interface: "eth0".into(), flow: Flow::Out, filter, impairment: loss(percent) }
    }

    /// What happens to a packet, in percent lost.
    fn fate(streams: &[Stream], peer: &str, port: u16) -> Option<u32> {
        let peer = peer.parse().unwrap();
        let classes = classes(streams);
        let class = classes.iter().rfind(|class| class.filter.matches(peer, Some([port, 40_000])))?;
        let Some(Loss::Random(chance)) = class.impairment.loss else { return None };
        Some(chance.share.parts() / 10_000)
    }

    #[test]
    fn every_packet_meets_all_the_faults_that_mean_it_and_no_other() {
        let streams =
            [stream(50, &[], &[]), stream(20, &["10.0.0.2", "10.0.0.3"], &[]), stream(10, &["10.0.0.3"], &[7])];
        assert_eq!(fate(&streams, "10.0.0.9", 7), Some(50));
        assert_eq!(fate(&streams, "10.0.0.2", 7), Some(60));
        assert_eq!(fate(&streams, "10.0.0.3", 8), Some(60));
        assert_eq!(fate(&streams, "10.0.0.3", 7), Some(64));
        let narrow = [streams[1].clone(), stream(10, &["10.0.0.3", "10.0.0.4"], &[])];
        assert_eq!(fate(&narrow, "10.0.0.2", 1), Some(20));
        assert_eq!(fate(&narrow, "10.0.0.3", 1), Some(28));
        assert_eq!(fate(&narrow, "10.0.0.4", 1), Some(10));
        assert_eq!(fate(&narrow, "10.0.0.5", 1), None);
    }

    #[test]
    fn port_of_another_address_is_met_beside_the_peers_own_and_apart_from_its_neighbours() {
        let end: SocketAddr = "192.0.2.1:20161".parse().unwrap();
        let mut host = stream(20, &["10.0.0.2"], &[7]);
        host.filter.ends.insert(end);
        let streams = [stream(50, &[], &[]), host.clone()];
        assert_eq!([fate(&streams, "192.0.2.1", 20161), fate(&streams, "192.0.2.1", 20162)], [Some(60), Some(50)]);
        assert_eq!([fate(&streams, "10.0.0.2", 7), fate(&streams, "10.0.0.2", 8)], [Some(60), Some(50)]);
        // The node's own port is no end.
        assert!(!host.filter.matches("192.0.2.1".parse().unwrap(), Some([40_000, 20161])));
        let other = Filter { except_ends: [end].into(), ..Filter::default() };
        assert_eq!(host.filter.and(&other).unwrap().ends, BTreeSet::new());
        let only = Filter::only([end].into());
        assert_eq!(host.filter.and(&only), Some(only.clone()));
        assert_eq!(only.and(&Filter { ports: Some([9].into()), ..Filter::default() }), None);
    }

    #[test]
    fn the_order_in_which_faults_came_does_not_matter() {
        let one = [stream(50, &["10.0.0.2"], &[]), stream(20, &[], &[9]), stream(10, &[], &[])];
        let two = [one[2].clone(), one[0].clone(), one[1].clone()];
        assert_eq!(classes(&one), classes(&two));
    }

    #[test]
    fn equal_filters_are_one_class() {
        let streams = [stream(50, &[], &[]), stream(50, &[], &[])];
        assert_eq!(classes(&streams).len(), 1);
        assert_eq!(fate(&streams, "10.0.0.9", 7), Some(75));
    }
}
