//! When TiKV counts a disk as full: one rule, for the screen, the guide and the verdict. Pure.
//!
//! tikv/tikv components/server/src/common.rs (`calculate_reserved_space`, the disk usage of a store) and server.rs
//! (`init_storage_stats_task`), the same at v6.5.12, v7.5.6, v8.5.5 and master.

use tikv_chaos_core::disk::{DiskUsage, reserve};

use super::{
    assumed::{RESERVE_RAFT_SPACE, RESERVE_SPACE},
    node_config::NodeConfig,
};

/// What a node keeps free of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// It does not look at its disks: `storage.reserve-space` is 0.
    Off,
    /// So many bytes.
    Bytes(u64),
    /// Its configuration was never read, or does not say; so many bytes by TiKV's default.
    Unknown { at_default: u64 },
}

/// A disk as its node sees it, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub capacity: u64,
    pub available: u64,
    pub reserve: Reserve,
}

impl Reserve {
    /// Of the disk of the data, which has so much room in all.
    pub fn of_data(config: Option<&NodeConfig>, capacity: u64) -> Self {
        let limit = config.and_then(|config| config.capacity).filter(|limit| *limit > 0);
        let capacity = limit.map_or(capacity, |limit| limit.min(capacity));
        match config.and_then(|config| config.reserve_space) {
            Some(0) => Self::Off,
            Some(bytes) => Self::Bytes(reserve(bytes, capacity)),
            None => Self::Unknown { at_default: reserve(RESERVE_SPACE, capacity) },
        }
    }

    /// Of the disk of the Raft log, where that is another one than the data's.
    pub fn of_raft_log(config: Option<&NodeConfig>, capacity: u64) -> Self {
        let said = |of: fn(&NodeConfig) -> Option<u64>| config.and_then(of);
        match (said(|config| config.reserve_space), said(|config| config.reserve_raft_space)) {
            (Some(0), _) | (_, Some(0)) => Self::Off,
            (_, Some(bytes)) => Self::Bytes(reserve(bytes, capacity)),
            (_, None) => Self::Unknown { at_default: reserve(RESERVE_RAFT_SPACE, capacity) },
        }
    }

    /// What TiKV calls the disk when so much is available; `None` where that is not known.
    pub fn level(self, available: u64) -> Option<DiskUsage> {
        match self {
            // Nothing can be written where nothing is left, whatever is switched off.
            Self::Off if available > 0 => Some(DiskUsage::Normal),
            Self::Off => Some(DiskUsage::AlreadyFull),
            Self::Bytes(reserve) => Some(DiskUsage::of(available, reserve)),
            Self::Unknown { .. } => None,
        }
    }

    /// The same at TiKV's default where it is not known.
    pub fn level_at_default(self, available: u64) -> DiskUsage {
        match self {
            Self::Unknown { at_default } => DiskUsage::of(available, at_default),
            known => known.level(available).unwrap_or(DiskUsage::Normal),
        }
    }
}

impl Space {
    pub fn level(self) -> Option<DiskUsage> {
        self.reserve.level(self.available)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn config(reserve: u64, capacity: u64) -> NodeConfig {
        NodeConfig { reserve_space: Some(reserve), capacity: Some(capacity), ..NodeConfig::default() }
    }

    #[test]
    fn level_follows_reserve_share_and_limit() {
        use DiskUsage::{AlmostFull, AlreadyFull, Normal};
        // Room, raftstore.capacity, storage.reserve-space, available.
        let cases = [
            // compose/tikv.toml: 256MB on a tmpfs of 1 GiB.
            (GIB, 0, 256 * MIB, 900 * MIB, Normal),
            (GIB, 0, 256 * MIB, 257 * MIB, Normal),
            (GIB, 0, 256 * MIB, 256 * MIB, AlmostFull),
            (GIB, 0, 256 * MIB, 129 * MIB, AlmostFull),
            (GIB, 0, 256 * MIB, 128 * MIB, AlreadyFull),
            // TiKV's default on the same disk.
            (GIB, 0, 5 * GIB, 900 * MIB, AlreadyFull),
            // A large disk: a twentieth is more than the default.
            (2000 * GIB, 0, 5 * GIB, 101 * GIB, Normal),
            (2000 * GIB, 0, 5 * GIB, 100 * GIB, AlmostFull),
            (2000 * GIB, 0, 5 * GIB, 50 * GIB, AlreadyFull),
            // raftstore.capacity is what counts of it.
            (2000 * GIB, 200 * GIB, 5 * GIB, 11 * GIB, Normal),
            (2000 * GIB, 200 * GIB, 5 * GIB, 10 * GIB, AlmostFull),
            // More than there is says nothing.
            (200 * GIB, 2000 * GIB, 5 * GIB, 11 * GIB, Normal),
            // Switched off.
            (GIB, 0, 0, 1, Normal),
            (GIB, 0, 0, 0, AlreadyFull),
        ];
        for (room, limit, reserve, available, expected) in cases {
            let found = Reserve::of_data(Some(&config(reserve, limit)), room).level(available);
            assert_eq!(found, Some(expected), "{room} {limit} {reserve} {available}");
        }
    }

    #[test]
    fn reserve_that_is_not_known_makes_disk_neither_full_nor_fine() {
        let unread = NodeConfig { capacity: Some(0), ..NodeConfig::default() };
        for config in [None, Some(&unread)] {
            let reserve = Reserve::of_data(config, GIB);
            assert_eq!(reserve, Reserve::Unknown { at_default: 5 * GIB });
            assert_eq!((reserve.level(900 * MIB), reserve.level(0)), (None, None));
            assert_eq!(reserve.level_at_default(900 * MIB), DiskUsage::AlreadyFull);
            assert_eq!(Reserve::of_data(config, 500 * GIB).level_at_default(300 * GIB), DiskUsage::Normal);
        }
    }

    #[test]
    fn raft_log_on_another_disk_has_a_reserve_of_its_own() {
        let of = |data, raft| {
            let config = NodeConfig { reserve_raft_space: raft, ..config(data, 0) };
            Reserve::of_raft_log(Some(&config), 10 * GIB)
        };
        assert_eq!(of(5 * GIB, Some(GIB)), Reserve::Bytes(GIB));
        assert_eq!(of(5 * GIB, Some(MIB)), Reserve::Bytes(GIB / 2));
        assert_eq!(of(0, Some(GIB)), Reserve::Off);
        assert_eq!(of(5 * GIB, Some(0)), Reserve::Off);
        assert_eq!(of(5 * GIB, None), Reserve::Unknown { at_default: GIB });
    }
}
