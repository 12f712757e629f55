//! The situation before an injection, put together from what Docker shows, what the journals say and what PD says.
//! Pure; `safety` judges it.

use super::node::{Node, Role, Snapshot};
use crate::{
    chaos::{FaultMetadata, Metadata},
    cluster::{
        ClusterState,
        assumed::{MAX_REPLICAS, RESERVE_SHARE, RESERVE_SPACE, UP},
    },
    safety::{Effect, Hit, Situation, StoreBefore},
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
}

/// One injection of the act: what hits which node; `disk` for a fill.
pub(super) struct Blow<'a> {
    pub node: &'a Node,
    pub fault: &'a FaultMetadata,
    pub disk: Option<&'a DiskBefore>,
}

/// The situation in which all of `blows` would hit the nodes of one cluster.
pub(super) fn situation(snapshot: &Snapshot, cluster: &str, blows: &[Blow], known: &Knowledge) -> Situation {
    let cluster: Vec<&Node> = snapshot.nodes.iter().filter(|other| other.cluster == cluster).collect();
    let mut stores: Vec<&Node> = cluster.iter().copied().filter(|other| other.role == Role::Tikv).collect();
    for blow in blows {
        // A node that Docker no longer lists is judged as one more.
        if stores.iter().all(|store| store.id != blow.node.id) {
            stores.push(blow.node);
        }
    }
    let place = |blow: &Blow| stores.iter().position(|store| store.id == blow.node.id);
    let hits = blows.iter().filter_map(|blow| {
        let effect = effect(blow.node, blow.fault, blow.disk, &cluster, &stores);
        Some(Hit { target: place(blow)?, effect })
    });
    let replicas = known.cluster.and_then(|cluster| cluster.pd.value.as_ref()?.max_replicas).unwrap_or(MAX_REPLICAS);
    Situation {
        hits: hits.collect(),
        replicas: usize::try_from(replicas).unwrap_or(usize::MAX).max(1),
        pds: cluster.iter().filter(|other| other.role == Role::Pd && other.is_running()).count(),
        cuts: known.open.iter().flat_map(|one| cuts(one, &stores)).collect(),
        stores: stores.iter().map(|store| before(store, known)).collect(),
    }
}

fn effect(
    node: &Node,
    fault: &FaultMetadata,
    disk: Option<&DiskBefore>,
    cluster: &[&Node],
    stores: &[&Node],
) -> Effect {
    match fault {
        FaultMetadata::NodeKill { .. } => Effect::Out,
        FaultMetadata::Latency { max_ms, .. } => Effect::Slow { most_ms: *max_ms },
        FaultMetadata::NetworkPartition { target_ips, .. } => {
            let hit = |other: &&Node| other.ips().any(|ip| target_ips.contains(&ip));
            let from = stores.iter().enumerate().filter(|(_, store)| hit(store)).map(|(at, _)| at).collect();
            Effect::Cut {
                from,
                pds: cluster.iter().copied().filter(|other| other.role == Role::Pd && hit(other)).count(),
            }
        }
        FaultMetadata::DiskPressure { fill_bytes, .. } => {
            let (total, available) = disk.map_or((0, 0), |disk| (disk.total, disk.available));
            Effect::Full {
                left: available.saturating_sub(*fill_bytes),
                capacity: total,
                reserve: reserve(node, total),
                shared: disk.and_then(|disk| disk.shared.clone()),
            }
        }
    }
}

/// What TiKV keeps free: a share of the capacity, and no less than `storage.reserve-space`
/// (tikv server/src/common.rs).
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
fn reserve(node: &Node, capacity: u64) -> u64 {
    let share = (capacity as f64 * RESERVE_SHARE) as u64;
    share.max(node.reserve_space.unwrap_or(RESERVE_SPACE))
}

fn before(store: &Node, known: &Knowledge) -> StoreBefore {
    let seen = known.cluster.and_then(|cluster| cluster.nodes.get(&store.id)?.store.as_ref());
    let disconnected = || seen.filter(|one| one.state_name != UP).map(|one| format!("is {} in PD", one.state_name));
    let delayed = || {
        let open = known.open.iter().filter(|one| one.container_id == store.id);
        let slow = open.filter_map(|one| match one.fault {
            FaultMetadata::Latency { max_ms, .. } if max_ms >= crate::safety::AS_GOOD_AS_OUT_MS => Some(max_ms),
            _ => None,
        });
        slow.max().map(|most| format!("answers {most} ms late"))
    };
    let docker = (!store.is_running()).then(|| format!("is {}", store.state));
    let filled = known
        .open
        .iter()
        .any(|one| one.container_id == store.id && matches!(one.fault, FaultMetadata::DiskPressure { .. }));
    let little = seen.and_then(|one| Some(one.available? <= reserve(store, one.capacity?))).unwrap_or(false);
    StoreBefore {
        name: store.name.clone(),
        out: docker.or_else(disconnected).or_else(delayed),
        full: (filled || little).then(|| "has a full disk".to_owned()),
    }
}

/// The pairs of stores that an open partition cuts.
fn cuts(open: &Metadata, stores: &[&Node]) -> Vec<(usize, usize)> {
    let FaultMetadata::NetworkPartition { target_ips, .. } = &open.fault else { return Vec::new() };
    let Some(target) = stores.iter().position(|store| store.id == open.container_id) else { return Vec::new() };
    let hit = |store: &&Node| store.ips().any(|ip| target_ips.contains(&ip));
    stores.iter().enumerate().filter(|(_, store)| hit(store)).map(|(at, _)| (target, at)).collect()
}
