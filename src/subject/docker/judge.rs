//! The situation before an injection, put together from what Docker shows, what the journals say and what PD says.
//! Pure; `safety` judges it.

mod disks;
mod pd_members;

use std::net::IpAddr;

use super::{
    act::takes_out,
    around::is_of_network,
    node::{Node, Role, Snapshot},
    quorum,
};
use crate::{
    chaos::{
        Evidence, FaultMetadata, Metadata, Shaped,
        network::{Direction, Loss, Ppm},
    },
    cluster::{ClusterState, NodeView, assumed::DOWN_AFTER},
    safety::{Effect, MemberBefore, Placement, Situation, Voters},
};

/// The disk under a fill, before it, in bytes.
#[derive(Debug, Clone)]
pub(super) struct DiskBefore {
    pub total: u64,
    pub available: u64,
    pub shared: Option<String>,
}

/// What is known beside Docker's view of the nodes.
pub(super) struct Knowledge<'a> {
    /// Every open injection, of this session and of others.
    pub open: &'a [Metadata],
    /// The cluster's own words, if it was asked.
    pub cluster: Option<&'a ClusterState>,
    /// The node that is judged is not the target, but shares the network that the target owns.
    pub shares_targets_network: bool,
}

impl<'a> Knowledge<'a> {
    fn view(&self, node: &Node) -> Option<&'a NodeView> {
        self.cluster?.nodes.get(&node.id)
    }
}

/// The situation in which `fault` would hit `node`; `disk` for a fill. A member of PD is judged by PD's own quorum.
pub(super) fn situation(
    snapshot: &Snapshot,
    node: &Node,
    fault: &FaultMetadata,
    disk: Option<&DiskBefore>,
    known: &Knowledge,
) -> Situation {
    let cluster: Vec<&Node> = snapshot.nodes.iter().filter(|other| other.cluster == node.cluster).collect();
    let mut members: Vec<&Node> = cluster.iter().copied().filter(|other| other.role == node.role).collect();
    let voters = if node.role == Role::Pd { Voters::Pd } else { Voters::Stores };
    let is_foreign = voters == Voters::Pd && pd_members::is_none(node, known.cluster);
    if voters == Voters::Pd {
        members.retain(|member| !pd_members::is_none(member, known.cluster));
    }
    let target = members.iter().position(|member| member.id == node.id).unwrap_or_else(|| {
        // A node that Docker no longer lists is judged as one more.
        if is_foreign {
            return members.iter().position(|member| member.is_running()).unwrap_or(0);
        }
        members.push(node);
        members.len() - 1
    });
    // The node that is judged may be one that shares the target's network.
    let target_owns = node.owns_network() || known.shares_targets_network;
    let (placement, elsewhere) = match voters {
        Voters::Stores => {
            let ids: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
            quorum::of_stores(&ids, known.cluster)
        }
        Voters::Pd => {
            let elsewhere = pd_members::without_container(&members, known.cluster);
            (Placement::of_all(members.len() + elsewhere.len()), elsewhere)
        }
    };
    let effect = if is_foreign {
        // It takes nothing from a quorum that it is not of.
        Effect::Slow { most_ms: 0 }
    } else {
        effect(node, (fault, disk), (&cluster, &members), known)
    };
    Situation {
        voters,
        target,
        beside: if is_of_place(fault, target_owns) { beside(node, &members) } else { Vec::new() },
        down_after: known
            .cluster
            .and_then(|cluster| cluster.pd_config.value.as_ref()?.max_store_down_time())
            .unwrap_or(DOWN_AFTER),
        placement,
        effect,
        cuts: known.open.iter().flat_map(|one| cuts(one, &members)).collect(),
        members: members.iter().map(|member| before(member, voters, &cluster, known)).chain(elsewhere).collect(),
    }
}

/// Whether the fault is on everything in the target's network namespace, which lives and ends with its owner.
fn is_of_place(fault: &FaultMetadata, owns_network: bool) -> bool {
    is_of_network(fault) || (takes_out(fault) && owns_network)
}

/// Whether an injection is on that node, by way of the network that it shares with the target too.
fn is_on(one: &Metadata, node: &Node) -> bool {
    let (id, owner) = (one.container_id.as_str(), node.network_of.as_ref());
    let is_owner = id == node.place() || owner.is_some_and(|owner| owner.id == id);
    id == node.id || (is_owner && is_of_place(&one.fault, true))
}

/// The others of the members in the node's network namespace.
fn beside(node: &Node, members: &[&Node]) -> Vec<usize> {
    let is_beside = |other: &Node| other.id != node.id && other.place() == node.place();
    members.iter().enumerate().filter(|(_, other)| is_beside(other)).map(|(at, _)| at).collect()
}

/// A node of the other kind in the target's network, whose quorum the fault is about too.
pub(super) fn other_kind<'a>(snapshot: &'a Snapshot, node: &Node, fault: &FaultMetadata) -> Option<&'a Node> {
    let is_hit =
        |other: &&Node| other.role != node.role && other.cluster == node.cluster && other.place() == node.place();
    snapshot.nodes.iter().find(is_hit).filter(|_| is_of_place(fault, node.owns_network()))
}

fn effect(
    node: &Node,
    (fault, disk): (&FaultMetadata, Option<&DiskBefore>),
    (cluster, members): (&[&Node], &[&Node]),
    known: &Knowledge,
) -> Effect {
    match fault {
        FaultMetadata::NodeKill { .. } | FaultMetadata::NodePause { .. } | FaultMetadata::NodeStop { .. } => {
            Effect::Out
        }
        FaultMetadata::Latency { .. } | FaultMetadata::PacketReorder(_) => Effect::Slow { most_ms: slowed_by(fault) },
        FaultMetadata::NetworkPartition { .. } | FaultMetadata::PacketLoss(_) => match unreachable(fault) {
            Some(hit) => {
                let hit = |other: &&Node| other.place() != node.place() && other.ips().any(&hit);
                Effect::Cut {
                    from: members.iter().enumerate().filter(|(_, member)| hit(member)).map(|(at, _)| at).collect(),
                    others: cluster.iter().copied().filter(|other| other.role != node.role && hit(other)).count(),
                    apart: node.role == Role::Pd && is_apart(node, cluster, known.open, Some(fault)),
                }
            }
            None => Effect::Slow { most_ms: 0 },
        },
        FaultMetadata::PacketDuplicate(_) | FaultMetadata::PacketCorrupt(_) | FaultMetadata::Bandwidth(_) => {
            Effect::Slow { most_ms: 0 }
        }
        FaultMetadata::DiskPressure { fill_bytes, mount, .. } => Effect::Full {
            space: disks::after_fill(node, known.view(node), (*fill_bytes, mount), disk),
            shared: disk.and_then(|disk| disk.shared.clone()),
        },
    }
}

/// How many milliseconds longer a round trip takes at most: packets that are delayed in both directions are so twice.
fn slowed_by(fault: &FaultMetadata) -> u64 {
    let (most_ms, shaped) = match fault {
        FaultMetadata::Latency { max_ms, shaped, .. } => (*max_ms, shaped),
        FaultMetadata::PacketReorder(shaped) => {
            let delay = shaped.shape.impairment.delay;
            (delay.map_or(0, |delay| (delay.mean_us + delay.jitter_us) / 1000), shaped)
        }
        _ => return 0,
    };
    if shaped.shape.direction == Direction::Both { 2 * most_ms } else { most_ms }
}

/// Which addresses the fault leaves no way to, if any: a partition's, and those whose packets are all lost.
fn unreachable(fault: &FaultMetadata) -> Option<Box<dyn Fn(IpAddr) -> bool + '_>> {
    match fault {
        FaultMetadata::NetworkPartition { target_ips, .. } => Some(Box::new(|ip| target_ips.contains(&ip))),
        FaultMetadata::PacketLoss(Shaped { shape, .. }) => {
            let all = matches!(shape.impairment.loss, Some(Loss::Random(one)) if one.share == Ppm::ALL);
            // Of some ports alone would not be of the whole node.
            let whole = shape.filter.ports.is_none();
            (all && whole).then(|| Box::new(|ip| shape.filter.matches(ip, None)) as Box<dyn Fn(IpAddr) -> bool>)
        }
        _ => None,
    }
}

fn before(node: &Node, voters: Voters, cluster: &[&Node], known: &Knowledge) -> MemberBefore {
    let view = known.view(node);
    let seen = view.and_then(|view| view.store.as_ref());
    let unhealthy = || {
        let member = known.cluster?.pd_nodes.iter().find(|member| member.container_id == node.id)?;
        (member.healthy == Some(false)).then(|| "is not healthy in PD".to_owned())
    };
    let disconnected = || quorum::not_serving(seen?, known.cluster?);
    let late_ms = known.open.iter().filter(|one| is_on(one, node)).map(|one| slowed_by(&one.fault)).sum();
    let delayed = || (late_ms >= voters.as_good_as_out_ms()).then(|| format!("answers {late_ms} ms late"));
    // One that is being taken out together with the target still runs.
    let taken_out = || {
        let open = known.open.iter().filter(|one| is_on(one, node) && one.evidence() == Evidence::State);
        let how = open.map(|one| match one.fault {
            _ if one.container_id != node.id => "has no network while another is down",
            FaultMetadata::NodePause { .. } => "is paused",
            FaultMetadata::NodeStop { .. } => "is stopped",
            _ => "is killed",
        });
        how.map(str::to_owned).next_back()
    };
    let lost = || {
        let owner = node.network_of.as_ref().filter(|owner| owner.lost)?;
        Some(format!("has lost {}'s network", owner.name))
    };
    let docker = (!node.is_running()).then(|| format!("is {}", node.state)).or_else(taken_out).or_else(lost);
    MemberBefore {
        name: node.name.clone(),
        out: docker.or_else(disconnected).or_else(unhealthy).or_else(delayed),
        disk: disks::before(node, view, known.open),
        apart: voters == Voters::Pd && is_apart(node, cluster, known.open, None),
        late_ms,
    }
}

/// Whether open injections, and this fault on it, leave no way between it and any node of the other kind that runs.
fn is_apart(node: &Node, cluster: &[&Node], open: &[Metadata], fault: Option<&FaultMetadata>) -> bool {
    let is_cut = |from: &Node, to: &Node| {
        let of_it = open.iter().filter(|one| is_on(one, from)).map(|one| &one.fault);
        let planned = fault.filter(|_| from.place() == node.place());
        from.place() != to.place() && of_it.chain(planned).filter_map(unreachable).any(|hit| to.ips().any(hit))
    };
    let mut others = cluster.iter().filter(|other| other.role != node.role && other.is_running()).peekable();
    others.peek().is_some() && others.all(|other| is_cut(node, other) || is_cut(other, node))
}

/// The pairs of members that an open injection cuts.
fn cuts(open: &Metadata, members: &[&Node]) -> Vec<(usize, usize)> {
    let Some(hit) = unreachable(&open.fault) else { return Vec::new() };
    let on = |is: &dyn Fn(&Node) -> bool| -> Vec<usize> {
        members.iter().enumerate().filter(|(_, member)| is(member)).map(|(at, _)| at).collect()
    };
    let (targets, peers) = (on(&|member| is_on(open, member)), on(&|member| member.ips().any(&hit)));
    let pairs = targets.iter().flat_map(|target| peers.iter().map(move |peer| (*target, *peer)));
    pairs.filter(|(target, peer)| members[*target].place() != members[*peer].place()).collect()
}

#[cfg(test)]
mod tests;
