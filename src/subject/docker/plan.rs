//! Plans: what an injection would do, found out without changing anything in the target.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use jiff::Timestamp;

use super::{
    disk,
    follow::peer as peer_of,
    host::TikvSubject,
    judge::DiskBefore,
    node::{Node, Snapshot},
    scope::{self, Aim},
    ways::{Known, Routes},
};
use crate::{
    chaos::{
        Command, FaultMetadata, FaultType, InjectionId, Metadata, ParamError, Peer, Scope, Shaped, Signal, addresses,
        link_local,
        network::{Cut, Direction, Filter, Flavour, Impairment, NetworkFault, Shape, Via},
    },
    holder::protocol::{Answer, Ask, Cause, Failure, Interface},
    subject::SubjectError,
};

/// What the plan of one type gives.
pub(super) struct Planned {
    pub(super) fault: FaultMetadata,
    pub(super) commands: Vec<Command>,
    pub(super) warnings: Vec<String>,
    /// Under a fill.
    pub(super) disk: Option<DiskBefore>,
}

pub(super) fn plan_kill(client: &str, node: &Node, signal: Signal) -> Planned {
    Planned {
        fault: FaultMetadata::NodeKill { target_container: node.name.clone(), signal },
        commands: vec![Command::new(client, ["kill", "--signal", signal.name(), &node.name])],
        warnings: Vec::new(),
        disk: None,
    }
}

pub(super) fn plan_pause(client: &str, node: &Node) -> Planned {
    Planned {
        fault: FaultMetadata::NodePause { target_container: node.name.clone() },
        commands: vec![Command::new(client, ["pause", &node.name])],
        warnings: Vec::new(),
        disk: None,
    }
}

pub(super) fn plan_stop(client: &str, node: &Node, timeout_s: u64) -> Planned {
    Planned {
        fault: FaultMetadata::NodeStop { target_container: node.name.clone(), timeout_s },
        commands: vec![Command::new(client, ["stop", "--time", &timeout_s.to_string(), &node.name])],
        warnings: Vec::new(),
        disk: None,
    }
}

/// Why nothing can be done to the node's network alone, if so.
fn has_own_network(node: &Node) -> Result<(), SubjectError> {
    match node.shares_network() {
        Some(reason) => Err(SubjectError::Refused { target: node.name.clone(), reason }),
        None => Ok(()),
    }
}

/// The target's namespace as its holder shows it.
struct Namespace {
    flavour: Flavour,
    interfaces: Vec<Interface>,
}

/// Where a shape stands, or is to stand, and by which iptables.
pub(super) struct Place {
    pub(super) interfaces: Vec<String>,
    pub(super) interface: String,
    pub(super) flavour: Flavour,
    /// The node's addresses, where it stands on every network of the node.
    pub(super) own_ips: Vec<IpAddr>,
}

/// A partition's rules on one node.
pub(super) struct Cutting<'a> {
    pub(super) node: &'a Node,
    pub(super) peers: Vec<&'a Node>,
    pub(super) direction: Direction,
    pub(super) reject: bool,
}

impl TikvSubject {
    async fn namespace(&self, node: &Node) -> Result<Namespace, SubjectError> {
        has_own_network(node)?;
        match self.ask(node, Ask::Hello).await? {
            Answer::Hello { flavour, interfaces, .. } => Ok(Namespace { flavour, interfaces }),
            other => Err(odd_answer(node, &other)),
        }
    }

    pub(super) async fn plan_shape(
        &self,
        id: &InjectionId,
        (snapshot, node, known): (&Snapshot, &Node, &Known),
        kind: FaultType,
        impairment: Impairment,
        scope: &Scope,
    ) -> Result<Planned, SubjectError> {
        let namespace = self.namespace(node).await?;
        let interfaces = interfaces_of(node, &namespace.interfaces, scope.interface.as_deref())?;
        let interface = interfaces.first().cloned().unwrap_or_default();
        let own_ips = if scope.interface.is_none() { node.ips().collect() } else { Vec::new() };
        let place = Place { interfaces, interface, flavour: namespace.flavour, own_ips };
        self.plan_shape_at(place, id, (snapshot, node, known), kind, impairment, scope).await
    }

    pub(super) async fn plan_shape_at(
        &self,
        place: Place,
        id: &InjectionId,
        (snapshot, node, known): (&Snapshot, &Node, &Known),
        kind: FaultType,
        impairment: Impairment,
        scope: &Scope,
    ) -> Result<Planned, SubjectError> {
        let Place { interfaces, interface, flavour, own_ips } = place;
        let cluster = snapshot.clone().only(Some(&node.cluster));
        let Aim { filter, peer_nodes, spared_nodes, mut warnings } = scope::aim(&cluster, node, scope, known)?;
        let shape = Shape { interfaces, via: Via::default(), direction: scope.direction, filter, impairment };
        let to = shaped(node, shape, &scope.to);
        let mut shaped = Shaped { interface, flavour, peer_nodes, spared_nodes, own_ips, ..to };
        shaped.aim();
        shaped.shape.via = self.way(node, scope, shaped.shape.filter.is_everything()).await?;
        if shaped.shape.via == Via::Netem && impairment.rate.is_some() {
            warnings.push("netem lets a rate's packets go one by one: burst_kb is the shaper's alone".to_owned());
        }
        let mut planned = self.plan_shaped(id, node, kind, shaped).await?;
        planned.warnings.extend(warnings);
        Ok(planned)
    }

    /// What a shaped fault of `of` needs at the end of a peer, for what goes over connections that the peer makes.
    pub(super) async fn plan_far_shape(
        &self,
        id: &InjectionId,
        (node, of, ends): (&Node, &Node, &BTreeSet<SocketAddr>),
        kind: FaultType,
        impairment: Impairment,
        scope: &Scope,
    ) -> Result<Planned, SubjectError> {
        let namespace = self.namespace(node).await?;
        let interfaces = interfaces_of(node, &namespace.interfaces, None)?;
        let direction = scope.direction.turned();
        // netem is for one of the two directions, so what was asked for by name may not be at both ends.
        let via = scope.via.filter(|via| *via == Via::Shaper);
        let via = self.way(node, &Scope { direction, via, ..Scope::default() }, false).await?;
        let shape = Shape { interfaces, via, direction, filter: Filter::only(ends.clone()), impairment };
        let shaped = shaped(node, shape, std::slice::from_ref(&of.name));
        self.plan_shaped(id, node, kind, Shaped { flavour: namespace.flavour, ..shaped }).await
    }

    pub(super) async fn plan_shaped(
        &self,
        id: &InjectionId,
        node: &Node,
        kind: FaultType,
        shaped: Shaped,
    ) -> Result<Planned, SubjectError> {
        let network = NetworkFault::Shape(shaped.shape.clone());
        self.planned_network(id, node, FaultMetadata::of_shaped(kind, shaped), network).await
    }

    /// netem for packets that leave where the kernel has it, and for some of them what tells them apart; else the shaper.
    /// What was asked for by name is refused where it cannot be.
    async fn way(&self, node: &Node, scope: &Scope, everything: bool) -> Result<Via, SubjectError> {
        if scope.via == Some(Via::Shaper) || (scope.via.is_none() && scope.direction != Direction::Out) {
            return Ok(Via::Shaper);
        }
        let refused = |cause: Cause, message: String| {
            Err(SubjectError::Fault { target: node.name.clone(), failure: Failure { cause, message } })
        };
        if scope.direction != Direction::Out {
            let message = format!(
                "netem works on packets that leave, and the direction is {}: choose --via shaper",
                scope.direction.name()
            );
            return refused(Cause::Refused, message);
        }
        let (netem, bands) = match self.ask(node, Ask::Ways).await? {
            Answer::Ways { netem, bands } => (netem, bands),
            other => return Err(odd_answer(node, &other)),
        };
        match if everything { netem } else { netem.and(bands) } {
            Ok(()) => Ok(Via::Netem),
            Err(message) if scope.via == Some(Via::Netem) => refused(Cause::NoNetem, message),
            Err(_) => Ok(Via::Shaper),
        }
    }

    /// One node's part of a partition.
    pub(super) async fn plan_cut(
        &self,
        id: &InjectionId,
        (routes, known): (&Routes<'_>, &Known),
        cutting: &Cutting<'_>,
    ) -> Result<Planned, SubjectError> {
        let &Cutting { node, ref peers, direction, reject } = cutting;
        has_own_network(node)?;
        // What is between nodes of one network namespace passes no rule of another's.
        let (beside, peers): (Vec<&Node>, Vec<&Node>) = peers.iter().partition(|peer| peer.place() == node.place());
        let ways = peers.into_iter().map(|peer| (peer, peer_of(peer), routes.ways(node, peer, known).ends));
        let (reachable, silent): (Vec<_>, Vec<_>) =
            ways.partition(|(_, peer, ends)| !peer.ips.is_empty() || !ends.is_empty());
        let mut warnings: Vec<String> = silent.iter().map(|(peer, ..)| not_cut_off(peer)).collect();
        warnings
            .extend(beside.iter().map(|peer| format!("{} shares its network and is not cut off from it", peer.name)));
        if reachable.is_empty() {
            if warnings.is_empty() {
                return Err(SubjectError::NoPeers { target: node.name.clone() });
            }
            let reason = format!("has no peer that it could be cut off from: {}", warnings.join("; "));
            return Err(SubjectError::Refused { target: node.name.clone(), reason });
        }
        let ends: BTreeSet<SocketAddr> = reachable.iter().flat_map(|(.., ends)| ends.keys().copied()).collect();
        // What has no address yet is followed; the Docker host's network gives none to be followed to.
        let named = reachable.into_iter().chain(silent.into_iter().filter(|(peer, ..)| !peer.is_on_host()));
        let peer_nodes: Vec<Peer> = named.map(|(_, peer, _)| peer).collect();
        let (target_ips, own) = (addresses(&peer_nodes), link_local(&peer_nodes));
        let namespace = self.namespace(node).await?;
        let fault = FaultMetadata::NetworkPartition {
            isolated_container: node.name.clone(),
            target_ips: target_ips.iter().copied().collect(),
            flavour: namespace.flavour,
            peers: peer_nodes.iter().map(|peer| peer.name.clone()).collect(),
            direction,
            reject,
            link_local: own.iter().copied().collect(),
            ends: ends.iter().copied().collect(),
            far: Vec::new(),
            peer_nodes,
        };
        let ips = target_ips.into_iter().chain(own.into_iter().map(IpAddr::V6)).collect();
        let network = NetworkFault::Drop(Cut { ips, ends: ends.into_iter().collect(), direction, reject });
        let mut planned = self.planned_network(id, node, fault, network).await?;
        planned.warnings.extend(warnings);
        Ok(planned)
    }

    /// The holder knows what else holds there, so it says what would run.
    async fn planned_network(
        &self,
        id: &InjectionId,
        node: &Node,
        fault: FaultMetadata,
        network: NetworkFault,
    ) -> Result<Planned, SubjectError> {
        match self.ask(node, Ask::Preview { injection: id.clone(), fault: network }).await? {
            Answer::Preview { commands, warnings } => Ok(Planned { fault, commands, warnings, disk: None }),
            other => Err(odd_answer(node, &other)),
        }
    }

    pub(super) async fn plan_disk(
        &self,
        snapshot: &Snapshot,
        node: &Node,
        percent: u64,
        folder: &str,
        fill_shared: bool,
    ) -> Result<Planned, SubjectError> {
        let (mount, found) = self.disk_at(snapshot, node, folder).await?;
        let folder = found.folder.as_str();
        let fill = disk::plan(&node.name, folder, percent, fill_shared, &found)?;
        let fill_file = Metadata::fill_file(folder, Timestamp::now());
        let command = Command::new("fallocate", ["-l", &fill.bytes.to_string(), &fill_file]);
        let fault = FaultMetadata::DiskPressure {
            target_container: node.name.clone(),
            fill_percent: percent,
            fill_file,
            fill_bytes: fill.bytes,
            whole: fill.whole,
            mount,
        };
        let disk = DiskBefore { total: found.total, available: found.available, shared: found.shared };
        Ok(Planned { fault, commands: vec![command], warnings: fill.warnings, disk: Some(disk) })
    }
}

/// A shaped fault's record, but for the flavour.
fn shaped(node: &Node, shape: Shape, to: &[String]) -> Shaped {
    let interface = shape.interfaces.first().cloned().unwrap_or_default();
    let (target_container, flavour) = (node.name.clone(), Flavour::default());
    Shaped {
        target_container,
        interface,
        shape,
        to: to.to_vec(),
        flavour,
        far: Vec::new(),
        peer_nodes: Vec::new(),
        spared_nodes: Vec::new(),
        own_ips: Vec::new(),
    }
}

/// Why no rule names the peer.
fn not_cut_off(peer: &Node) -> String {
    let name = &peer.name;
    if peer.is_on_host() {
        return format!("{name} uses the Docker host's own network and has no address of its own to be cut off from");
    }
    match &peer.network_of {
        Some(owner) if owner.lost => format!("{name} has lost its network, {}'s, and has no address now", owner.name),
        _ => format!("{name} is {} and has no address now; it is cut off as soon as it has one", peer.state),
    }
}

pub(super) fn odd_answer(node: &Node, answer: &Answer) -> SubjectError {
    SubjectError::Holder { target: node.name.clone(), reason: format!("it answered {answer:?}") }
}

/// The interfaces that carry the node's networks, told by their addresses; all, or the one that is named by network
/// or by interface.
pub(super) fn interfaces_of(node: &Node, found: &[Interface], only: Option<&str>) -> Result<Vec<String>, SubjectError> {
    let carries = |ips: &[IpAddr]| found.iter().find(|interface| ips.iter().any(|ip| interface.ips.contains(ip)));
    let pairs: Vec<(&str, &str)> = node
        .networks
        .iter()
        .filter_map(|network| Some((network.name.as_str(), carries(&network.ips)?.name.as_str())))
        .collect();
    let chosen =
        pairs.iter().filter(|(network, interface)| only.is_none_or(|only| only == *network || only == *interface));
    let mut names: Vec<String> = chosen.map(|(_, interface)| (*interface).to_owned()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        let known: Vec<String> = pairs.iter().map(|(network, interface)| format!("{interface} ({network})")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return match only {
            Some(only) => {
                let allowed = format!("the interfaces and networks of {}: {known}", node.name);
                let error = ParamError::NotAllowed { name: "interface", given: only.to_owned(), allowed };
                Err(SubjectError::Param(error))
            }
            None => {
                let reason = "has no interface with an address, so there is nothing to delay".to_owned();
                Err(SubjectError::Refused { target: node.name.clone(), reason })
            }
        };
    }
    Ok(names)
}
