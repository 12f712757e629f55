//! Plans: what an injection would do, found out without changing anything in the target.

use std::net::IpAddr;

use jiff::Timestamp;

use super::{
    disk,
    follow::peer,
    host::TikvSubject,
    judge::DiskBefore,
    node::{Node, Snapshot},
    scope::{self, Aim},
};
use crate::{
    chaos::{
        Command, FaultMetadata, FaultType, InjectionId, Metadata, ParamError, Peer, Scope, Shaped, Signal, addresses,
        network::{Cut, Direction, Flavour, Impairment, NetworkFault, Shape, Via},
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

pub(super) fn plan_kill(client: &str, node: &Node, signal: Signal) -> Result<Planned, SubjectError> {
    will_stay(node)?;
    Ok(Planned {
        fault: FaultMetadata::NodeKill { target_container: node.name.clone(), signal },
        commands: vec![Command::new(client, ["kill", "--signal", signal.name(), &node.name])],
        warnings: Vec::new(),
        disk: None,
    })
}

pub(super) fn plan_pause(client: &str, node: &Node) -> Planned {
    Planned {
        fault: FaultMetadata::NodePause { target_container: node.name.clone() },
        commands: vec![Command::new(client, ["pause", &node.name])],
        warnings: Vec::new(),
        disk: None,
    }
}

pub(super) fn plan_stop(client: &str, node: &Node, timeout_s: u64) -> Result<Planned, SubjectError> {
    will_stay(node)?;
    Ok(Planned {
        fault: FaultMetadata::NodeStop { target_container: node.name.clone(), timeout_s },
        commands: vec![Command::new(client, ["stop", "--time", &timeout_s.to_string(), &node.name])],
        warnings: Vec::new(),
        disk: None,
    })
}

fn will_stay(node: &Node) -> Result<(), SubjectError> {
    if !node.auto_remove {
        return Ok(());
    }
    let reason = "was started with --rm: Docker would remove it, and its anonymous volumes, as soon as it ends";
    Err(SubjectError::Refused { target: node.name.clone(), reason: reason.to_owned() })
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
        if let Some(reason) = node.shares_network() {
            return Err(SubjectError::Refused { target: node.name.clone(), reason: reason.to_owned() });
        }
        match self.ask(node, Ask::Hello).await? {
            Answer::Hello { flavour, interfaces, .. } => Ok(Namespace { flavour, interfaces }),
            other => Err(odd_answer(node, &other)),
        }
    }

    pub(super) async fn plan_shape(
        &self,
        id: &InjectionId,
        (snapshot, node): (&Snapshot, &Node),
        kind: FaultType,
        impairment: Impairment,
        scope: &Scope,
    ) -> Result<Planned, SubjectError> {
        let namespace = self.namespace(node).await?;
        let interfaces = interfaces_of(node, &namespace.interfaces, scope.interface.as_deref())?;
        let interface = interfaces.first().cloned().unwrap_or_default();
        let own_ips = if scope.interface.is_none() { node.ips().collect() } else { Vec::new() };
        let place = Place { interfaces, interface, flavour: namespace.flavour, own_ips };
        self.plan_shape_at(place, id, (snapshot, node), kind, impairment, scope).await
    }

    pub(super) async fn plan_shape_at(
        &self,
        place: Place,
        id: &InjectionId,
        (snapshot, node): (&Snapshot, &Node),
        kind: FaultType,
        impairment: Impairment,
        scope: &Scope,
    ) -> Result<Planned, SubjectError> {
        let Place { interfaces, interface, flavour, own_ips } = place;
        let cluster = snapshot.clone().only(Some(&node.cluster));
        let Aim { filter, peer_nodes, spared_nodes, mut warnings } = scope::aim(&cluster, node, scope)?;
        let shape = Shape { interfaces, via: Via::default(), direction: scope.direction, filter, impairment };
        let target_container = node.name.clone();
        let to = scope.to.clone();
        let mut shaped = Shaped { target_container, interface, shape, to, flavour, peer_nodes, spared_nodes, own_ips };
        shaped.aim();
        let via = self.way(node, scope, shaped.shape.filter.is_everything()).await?;
        shaped.shape.via = via;
        if via == Via::Netem && impairment.rate.is_some() {
            warnings.push("netem lets a rate's packets go one by one: burst_kb is the shaper's alone".to_owned());
        }
        let shape = shaped.shape.clone();
        let fault = FaultMetadata::of_shaped(kind, shaped);
        let mut planned = self.planned_network(id, node, fault, NetworkFault::Shape(shape)).await?;
        planned.warnings.extend(warnings);
        Ok(planned)
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
    pub(super) async fn plan_cut(&self, id: &InjectionId, cutting: Cutting<'_>) -> Result<Planned, SubjectError> {
        let Cutting { node, peers, direction, reject } = cutting;
        let peer_nodes: Vec<Peer> = peers.iter().map(|node| peer(node)).collect();
        let target_ips: Vec<IpAddr> = addresses(&peer_nodes).into_iter().collect();
        if target_ips.is_empty() {
            return Err(SubjectError::NoPeers { target: node.name.clone() });
        }
        let namespace = self.namespace(node).await?;
        let fault = FaultMetadata::NetworkPartition {
            isolated_container: node.name.clone(),
            target_ips: target_ips.clone(),
            flavour: namespace.flavour,
            peers: peer_nodes.iter().map(|peer| peer.name.clone()).collect(),
            direction,
            reject,
            peer_nodes,
        };
        let network = NetworkFault::Drop(Cut { ips: target_ips, direction, reject });
        let mut planned = self.planned_network(id, node, fault, network).await?;
        let silent = peers.iter().filter(|node| peer(node).ips.is_empty());
        planned.warnings.extend(silent.map(|node| {
            format!("{} is {} and has no address now; it is cut off as soon as it has one", node.name, node.state)
        }));
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

fn odd_answer(node: &Node, answer: &Answer) -> SubjectError {
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
