//! How full the disk is, and what TiKV calls that (src/server/server.rs, init_storage_stats_task).

use std::{io, path::Path};

use nix::sys::statvfs::statvfs;

use crate::wire::{DiskUsage, Space};
use tikv_chaos_core::assumed::RESERVE_SHARE;

/// The file system under a folder; `used` is what the store itself has written.
pub fn space(folder: &Path, used: u64) -> io::Result<Space> {
    let stat = statvfs(folder)?;
    let fragment = stat.fragment_size();
    let bytes = |blocks: u64| blocks * fragment;
    Ok(Space { capacity: bytes(stat.blocks()), available: bytes(stat.blocks_available()), used })
}

/// `reserve` is `storage.reserve-space`; TiKV keeps a twentieth of the disk at least.
pub fn usage(space: Space, reserve: u64) -> DiskUsage {
    let reserve = reserve.max((space.capacity as f64 * RESERVE_SHARE) as u64);
    if space.available <= reserve / 2 {
        DiskUsage::AlreadyFull
    } else if space.available <= reserve {
        DiskUsage::AlmostFull
    } else {
        DiskUsage::Normal
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
        assert_eq!(of(51, 0), DiskUsage::Normal);
        assert_eq!(of(50, 0), DiskUsage::AlmostFull);
        assert_eq!(of(25, 0), DiskUsage::AlreadyFull);
    }
}
