//! The other injections on the way between two nodes, at either end: by the journal's open injections and the
//! nodes' addresses. The rule is pure; of a node on several networks its holder says which interface is which.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use super::{
    host::TikvSubject,
    measure::on,
    node::{Node, Snapshot},
};
use crate::chaos::{
    Metadata,
    measured::{Asked, Beside, End},
};

impl TikvSubject {
    /// The other injections that hold on the way from the target to each of these places.
    pub(super) async fn others_on(&self, metadata: &Metadata, places: &[SocketAddr]) -> Vec<Vec<Beside>> {
        let mut others = (self.options.known)();
        others.retain(|one| one.active && one.metadata.id != metadata.id && one.metadata.network().is_some());
        let none = || vec![Vec::new(); places.len()];
        if others.is_empty() {
            return none();
        }
        let snapshot = match self.at_hand().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(%error, "what else holds on the way is not known");
                return none();
            }
        };
        let Some(here) = snapshot.by_id(&metadata.container_id) else { return none() };
        let mut found = none();
        for other in others.iter().filter(|one| one.stands(&snapshot)) {
            let carries = self.carries(&snapshot, &other.metadata).await;
            for (place, found) in places.iter().zip(&mut found) {
                found.extend(beside(&snapshot, here, *place, &other.metadata, carries.as_ref()));
            }
        }
        found
    }

    /// The addresses of the interfaces that a fault stands on; `None` of one that stands on all of its node's.
    async fn carries(&self, snapshot: &Snapshot, other: &Metadata) -> Option<BTreeSet<IpAddr>> {
        let node = snapshot.by_id(&other.container_id).filter(|node| node.networks.len() > 1)?;
        let shape = &other.fault.shaped()?.shape;
        let holder = self.holder(node).await;
        let found = match holder {
            Ok(holder) => on(&holder, &shape.interfaces).await,
            Err(error) => Err(error.to_string()),
        };
        found.inspect_err(|reason| tracing::warn!(reason, "on which networks it stands is not known")).ok()
    }
}

/// The injection as it meets round trips from `here` to that place, if it does.
fn beside(
    snapshot: &Snapshot,
    here: &Node,
    place: SocketAddr,
    other: &Metadata,
    carries: Option<&BTreeSet<IpAddr>>,
) -> Option<Beside> {
    let asked = Asked::of(&other.network()?);
    let there = snapshot.nodes.iter().find(|node| node.id != here.id && node.ips().any(|ip| ip == place.ip()));
    let own = there.and_then(|there| address_towards(here, there, place.ip()));
    // A fault stands where its target's end of the way is, and means the other end.
    let (end, mine, peer) = if other.container_id == here.id {
        (End::Here, own, place.ip())
    } else if there.is_some_and(|there| there.id == other.container_id) {
        (End::There, Some(place.ip()), own?)
    } else {
        return None;
    };
    if let (Some(carries), Some(mine)) = (carries, mine)
        && !carries.contains(&mine)
    {
        return None;
    }
    let (echo, connect) = (asked.means_echo(peer), asked.means_port(peer, place.port()));
    (echo || connect).then(|| Beside {
        id: other.id.clone(),
        kind: other.fault_type(),
        target: other.target().to_owned(),
        end,
        effect: asked.effect,
        echo,
        connect,
    })
}

/// Our own address on the network in which the other has this one.
fn address_towards(here: &Node, there: &Node, ip: IpAddr) -> Option<IpAddr> {
    let network = there.networks.iter().find(|network| network.ips.contains(&ip))?;
    let own = here.networks.iter().find(|own| own.name == network.name)?;
    own.ips.iter().copied().find(|own| own.is_ipv4() == ip.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chaos::{
            FaultMetadata, InjectionId,
            network::{Direction, Flavour},
        },
        subject::docker::Network,
    };

    fn node(name: &str, networks: &[(&str, &str)]) -> Node {
        let network = |(name, ip): &(&str, &str)| Network {
            name: (*name).into(),
            ips: vec![ip.parse().unwrap()],
            link_local: None,
        };
        Node { cluster: "demo".into(), networks: networks.iter().map(network).collect(), ..Node::bare(name) }
    }

    fn record(target: &str, fault: FaultMetadata) -> Metadata {
        Metadata {
            fault,
            id: InjectionId::from_number(1),
            container_id: target.into(),
            container_started_at: String::new(),
            daemon_id: None,
            group: None,
            holder_image: None,
            before: None,
            task: None,
        }
    }

    #[test]
    fn a_fault_is_on_a_way_at_either_end_and_on_no_other_way() {
        let here = node("tikv0", &[("demo", "10.0.0.2"), ("second", "10.0.9.2")]);
        let nodes = vec![
            here.clone(),
            node("tikv1", &[("demo", "10.0.0.3"), ("second", "10.0.9.3")]),
            node("tikv2", &[("demo", "10.0.0.4")]),
        ];
        let snapshot = Snapshot { nodes, ..Snapshot::default() };
        let ends = |other: &Metadata, carries: Option<&[&str]>| {
            let carries: Option<BTreeSet<IpAddr>> =
                carries.map(|ips| ips.iter().map(|ip| ip.parse().unwrap()).collect());
            let places = ["10.0.0.3:20160", "10.0.9.3:20160", "10.0.0.4:20160"];
            places.map(|place| {
                let found = beside(&snapshot, &here, place.parse().unwrap(), other, carries.as_ref());
                found.map(|one| one.end)
            })
        };
        let late = |target: &str| record(target, FaultMetadata::latency(target, 1, 2, &["eth0"]));
        assert_eq!(ends(&late("tikv0"), None), [Some(End::Here); 3]);
        assert_eq!(ends(&late("tikv0"), Some(&["10.0.9.2"])), [None, Some(End::Here), None]);
        assert_eq!(ends(&late("tikv1"), None), [Some(End::There), Some(End::There), None]);
        assert_eq!(ends(&late("tikv1"), Some(&["10.0.0.3"])), [Some(End::There), None, None]);
        let mut own_port = late("tikv1");
        let FaultMetadata::Latency { shaped, .. } = &mut own_port.fault else { panic!() };
        shaped.shape.filter.ports = Some([20160].into());
        let found = beside(&snapshot, &here, "10.0.0.3:20160".parse().unwrap(), &own_port, None).unwrap();
        assert_eq!((found.echo, found.connect), (false, true), "echoes have no port");
        // A partition of the peer's means us by our address in that network.
        let cut = |ip: &str| {
            let fault = FaultMetadata::NetworkPartition {
                isolated_container: "tikv1".into(),
                target_ips: vec![ip.parse().unwrap()],
                peers: vec![],
                flavour: Flavour::Nft,
                direction: Direction::In,
                reject: false,
                ends: vec![],
                link_local: vec![],
                far: vec![],
                peer_nodes: vec![],
            };
            record("tikv1", fault)
        };
        assert_eq!(ends(&cut("10.0.0.2"), None), [Some(End::There), None, None]);
        assert_eq!(ends(&cut("10.0.0.4"), None), [None; 3]);
    }
}
