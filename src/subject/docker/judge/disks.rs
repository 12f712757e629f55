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
    let mut filled: Option<u64> = None;
    for one in of_it {
        let FaultMetadata::DiskPressure { fill_bytes, mount, .. } = &one.fault else { continue };
        match Holds::of(node, config, mount) {
            // How much is left there is not reported.
            Holds::RaftLog => return full,
            Holds::Data => filled = Some(filled.unwrap_or(0).saturating_add(*fill_bytes)),
        }
    }
    // Filled on purpose; how far is not reported.
    let Some(space) = view.and_then(NodeView::space) else { return full.filter(|_| filled.is_some()) };
    // TiKV looks at its disk once a minute, so that PD may not know of a fill yet.
    let least = space.available.saturating_sub(filled.unwrap_or(0));
    match space.reserve.level(least) {
        Some(level) => level.is_full().then_some(Disk::Full(level)),
        None if filled.is_some() => full,
        None => Some(Disk::Unknown { at_default: space.reserve.level_at_default(least) }),
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
