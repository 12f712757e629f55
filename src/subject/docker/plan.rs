//! Plans: what an injection would do, found out without changing anything in the target.

use std::net::IpAddr;

use jiff::Timestamp;

use super::{
    disk,
    host::TikvSubject,
    judge::DiskBefore,
    node::{Node, Role, Snapshot},
    target,
};
use crate::{
    chaos::{
        Command, FaultMetadata, InjectionId, Metadata, ParamError, Signal,
        network::{Flavour, Kernel, NetworkFault, preview},
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

pub(super) fn plan_kill(node: &Node, signal: Signal) -> Result<Planned, SubjectError> {
    if node.auto_remove {
        let reason = "was started with --rm: Docker would remove it, and its anonymous volumes, as soon as it ends";
        return Err(SubjectError::Refused { target: node.name.clone(), reason: reason.to_owned() });
    }
    Ok(Planned {
        fault: FaultMetadata::NodeKill { target_container: node.name.clone(), signal },
        commands: vec![Command::new("docker", ["kill", "--signal", signal.name(), &node.name])],
        warnings: Vec::new(),
        disk: None,
    })
}

/// The target's namespace as its holder shows it.
struct Namespace {
    flavour: Flavour,
    interfaces: Vec<Interface>,
    kernel: Kernel,
}

impl TikvSubject {
    async fn namespace(&self, node: &Node) -> Result<Namespace, SubjectError> {
        if let Some(reason) = node.shares_network() {
            return Err(SubjectError::Refused { target: node.name.clone(), reason: reason.to_owned() });
        }
        match self.ask(node, Ask::Hello).await? {
            Answer::Hello { flavour, interfaces, kernel, .. } => Ok(Namespace { flavour, interfaces, kernel }),
            _ => Err(SubjectError::Holder { target: node.name.clone(), reason: "it answered something else".into() }),
        }
    }

    pub(super) async fn plan_latency(
        &self,
        id: &InjectionId,
        node: &Node,
        (min_ms, max_ms): (u64, u64),
        only: Option<&str>,
    ) -> Result<Planned, SubjectError> {
        let mut namespace = self.namespace(node).await?;
        // Somebody else may have changed a qdisc since the holder looked.
        if let Answer::Network { kernel, .. } = self.ask(node, Ask::Qdiscs).await? {
            namespace.kernel = kernel;
        }
        let interfaces = interfaces_of(node, &namespace.interfaces, only)?;
        let fault = FaultMetadata::Latency {
            target_container: node.name.clone(),
            min_ms,
            max_ms,
            interface: interfaces.first().cloned().unwrap_or_default(),
            interfaces: interfaces.clone(),
        };
        planned_network(id, node, fault, &NetworkFault::Delay { min_ms, max_ms, interfaces }, &namespace)
    }

    pub(super) async fn plan_partition(
        &self,
        id: &InjectionId,
        (snapshot, node): (&Snapshot, &Node),
        named: &[String],
        include_pd: bool,
    ) -> Result<Planned, SubjectError> {
        let cluster = snapshot.clone().only(Some(&node.cluster));
        let named = named.iter().map(|name| target::find(&cluster, name)).collect::<Result<Vec<&Node>, _>>()?;
        let others = || cluster.nodes.iter().filter(|other| other.id != node.id);
        let mut peers: Vec<&Node> = if named.is_empty() {
            others().filter(|other| other.role == Role::Tikv).collect()
        } else {
            named.into_iter().filter(|other| other.id != node.id).collect()
        };
        if include_pd {
            let more: Vec<&Node> = others().filter(|other| other.role == Role::Pd && !peers.contains(other)).collect();
            peers.extend(more);
        }
        let (reachable, silent): (Vec<&Node>, Vec<&Node>) =
            peers.into_iter().partition(|peer| peer.ips().next().is_some());
        let mut target_ips: Vec<IpAddr> = reachable.iter().flat_map(|peer| peer.ips()).collect();
        target_ips.sort_unstable();
        target_ips.dedup();
        if target_ips.is_empty() {
            return Err(SubjectError::NoPeers { target: node.name.clone() });
        }
        let namespace = self.namespace(node).await?;
        let fault = FaultMetadata::NetworkPartition {
            isolated_container: node.name.clone(),
            target_ips: target_ips.clone(),
            flavour: namespace.flavour,
            peers: reachable.iter().map(|peer| peer.name.clone()).collect(),
        };
        let mut planned = planned_network(id, node, fault, &NetworkFault::Drop { ips: target_ips }, &namespace)?;
        planned.warnings.extend(silent.iter().map(|peer| {
            format!("{} is {} and has no address now; it is not cut off if it starts meanwhile", peer.name, peer.state)
        }));
        Ok(planned)
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

fn planned_network(
    id: &InjectionId,
    node: &Node,
    fault: FaultMetadata,
    network: &NetworkFault,
    namespace: &Namespace,
) -> Result<Planned, SubjectError> {
    let commands =
        preview(id, network, &namespace.kernel, namespace.flavour).map_err(|refusal| SubjectError::Fault {
            target: node.name.clone(),
            failure: Failure { cause: Cause::Refused, message: refusal.to_string() },
        })?;
    Ok(Planned { fault, commands, warnings: Vec::new(), disk: None })
}

/// The interfaces that carry the node's networks, told by their addresses; all, or the one that is named by network
/// or by interface.
fn interfaces_of(node: &Node, found: &[Interface], only: Option<&str>) -> Result<Vec<String>, SubjectError> {
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
