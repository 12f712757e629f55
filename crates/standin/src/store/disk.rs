//! How full the disk is, and what TiKV calls that (components/server/src/server.rs, init_storage_stats_task).

use std::{io, path::Path};

use nix::sys::statvfs::statvfs;

use tikv_chaos_core::disk::{DiskUsage, reserve};

use crate::wire::Space;

/// The file system under a folder, cut to `raftstore.capacity` where that is not 0; `used` is what the store itself has
/// written.
pub fn space(folder: &Path, used: u64, capacity: u64) -> io::Result<Space> {
    let stat = statvfs(folder)?;
    let fragment = stat.fragment_size();
    let bytes = |blocks: u64| blocks * fragment;
    Ok(within(Space { capacity: bytes(stat.blocks()), available: bytes(stat.blocks_available()), used }, capacity))
}

fn within(disk: Space, capacity: u64) -> Space {
    let capacity = if capacity == 0 { disk.capacity } else { disk.capacity.min(capacity) };
    Space { capacity, available: disk.available.min(capacity.saturating_sub(disk.used)), ..disk }
}

/// `configured` is `storage.reserve-space`: TiKV does not look at its disk where it is 0.
pub fn usage(space: Space, configured: u64) -> DiskUsage {
    match configured {
        0 => DiskUsage::Normal,
        _ => DiskUsage::of(space.available, reserve(configured, space.capacity)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_what_was_asked_or_a_twentieth_and_half_of_it_is_the_end() {
        let of = |available, reserve| usage(Space { capacity: 1000, available, used: 0 }, reserve);
        assert_eq!(of(101, 100), DiskUsage::Normal);
        assert_eq!(of(100, 100), DiskUsage::AlmostFull);
        assert_eq!(of(50, 100), DiskUsage::AlreadyFull);
        assert_eq!(of(51, 1), DiskUsage::Normal);
        assert_eq!(of(50, 1), DiskUsage::AlmostFull);
        assert_eq!(of(25, 1), DiskUsage::AlreadyFull);
        assert_eq!(of(0, 0), DiskUsage::Normal, "the check is off");
    }

    #[test]
    fn capacity_of_the_configuration_cuts_what_the_disk_has() {
        let disk = Space { capacity: 1000, available: 900, used: 50 };
        assert_eq!(within(disk, 0), disk);
        assert_eq!(within(disk, 5000), disk);
        assert_eq!(within(disk, 300), Space { capacity: 300, available: 250, used: 50 });
        assert_eq!(within(disk, 40), Space { capacity: 40, available: 0, used: 50 });
    }
}
