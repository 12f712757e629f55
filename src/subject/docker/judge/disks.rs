//! The disks of a node before an injection and after a fill, by TiKV's own rule. PD keeps no reserve: it stops where nothing
//! is left.

use super::{
    super::node::{Node, Role},
    DiskBefore,
};
use crate::{
    chaos::{DataMount, FaultMetadata, Metadata},
    cluster::{
        NodeConfig, NodeView,
        space::{Reserve, Space},
    },
    safety::Disk,
};
use tikv_chaos_core::disk::DiskUsage;

/// The disk on that mount once so many bytes are filled.
pub fn after_fill(
    node: &Node,
    view: Option<&NodeView>,
    (bytes, mount): (u64, &DataMount),
    disk: Option<&DiskBefore>,
) -> Space {
    let (capacity, available) = disk.map_or((0, 0), |disk| (disk.total, disk.available));
    let available = available.saturating_sub(bytes);
    let config = view.and_then(|view| view.config.value.as_ref());
    if node.role == Role::Pd {
        return Space { capacity, available, reserve: Reserve::Bytes(0) };
    }
    if Holds::of(node, config, mount) == Holds::RaftLog {
        return Space { capacity, available, reserve: Reserve::of_raft_log(config, capacity) };
    }
    let space = Space { capacity, available, reserve: Reserve::of_data(config, capacity) };
    let Some(limit) = config.and_then(|config| config.capacity).filter(|limit| *limit > 0) else { return space };
    let used = view.and_then(|view| view.metrics.value.as_ref()?.used).unwrap_or(0);
    Space { capacity: capacity.min(limit), available: available.min(limit.saturating_sub(used)), ..space }
}

/// What is the matter with the node's disk, as PD sees it and by what open injections took of it; `None` where nothing says
/// that anything is.
pub fn before(node: &Node, view: Option<&NodeView>, open: &[Metadata]) -> Option<Disk> {
    let of_it = open.iter().filter(|one| one.container_id == node.id);
    let full = Some(Disk::Full(DiskUsage::AlreadyFull));
    if node.role == Role::Pd {
        let whole =
            |fault: &FaultMetadata| matches!(fault, FaultMetadata::DiskPressure { whole: true, fill_percent: 100, .. });
        return full.filter(|_| of_it.into_iter().any(|one| whole(&one.fault)));
    }
    let config = view.and_then(|view| view.config.value.as_ref());
    let (mut filled, mut left) = (0_u64, u64::MAX);
    for one in of_it {
        let FaultMetadata::DiskPressure { fill_percent, fill_bytes, mount, .. } = &one.fault else { continue };
        let (before, after) = around(*fill_percent, *fill_bytes);
        match Holds::of(node, config, mount) {
            Holds::RaftLog => {
                let disk = by_fill(Reserve::of_raft_log(config, before), after);
                if disk.is_some_and(|disk| disk.full().is_some()) {
                    return disk;
                }
            }
            Holds::Data => (filled, left) = (filled.saturating_add(*fill_bytes), left.min(after)),
        }
    }
    let Some(space) = view.and_then(NodeView::space) else {
        return if filled > 0 { by_fill(Reserve::of_data(config, left.saturating_add(filled)), left) } else { None };
    };
    // TiKV looks at its disk once a minute, so that PD may not know of a fill yet.
    let least = space.available.saturating_sub(filled);
    match space.reserve.level(least) {
        Some(level) => level.is_full().then_some(Disk::Full(level)),
        None if filled > 0 => by_fill(space.reserve, least),
        None => Some(Disk::Unknown { at_default: space.reserve.level_at_default(least) }),
    }
}

/// What was available before a fill, and what it left at least: it takes its share of that, or less where others use it.
fn around(percent: u64, bytes: u64) -> (u64, u64) {
    let before = u128::from(bytes) * 100 / u128::from(percent.max(1));
    let before = u64::try_from(before).unwrap_or(u64::MAX);
    (before, before.saturating_sub(bytes))
}

/// What a fill made of a disk. Where the reserve is not known, what TiKV's default would call full counts as full: it was
/// filled on purpose.
fn by_fill(reserve: Reserve, left: u64) -> Option<Disk> {
    let level = reserve.level(left).unwrap_or_else(|| reserve.level_at_default(left));
    match reserve {
        _ if level.is_full() => Some(Disk::Full(level)),
        Reserve::Unknown { .. } => Some(Disk::Unknown { at_default: level }),
        Reserve::Off | Reserve::Bytes(_) => None,
    }
}

/// What a mount of a store is for. What is not known to be for the Raft log alone counts as the data's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Data,
    RaftLog,
}

impl Holds {
    fn of(node: &Node, config: Option<&NodeConfig>, mount: &DataMount) -> Self {
        let on = |folder: Option<&str>| folder.and_then(|folder| node.mount_of(folder));
        let data = on(config.and_then(|config| config.data_dir.as_deref()).or(node.data_dir.as_deref()));
        let raft_log = on(config.and_then(|config| config.raft_dir.as_deref()));
        if raft_log == Some(mount) && data.is_some_and(|data| data != mount) { Self::RaftLog } else { Self::Data }
    }
}
