//! What TiKV calls a disk by what is left of it. Source: components/server/src/common.rs:201-260 and 993-1100, the same in 6.5 to
//! 8.5. Pure.

use serde::{Deserialize, Serialize};

use crate::assumed::RESERVE_SHARE;

/// TiKV's words, in the order of what is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DiskUsage {
    #[default]
    Normal,
    /// The reserve is touched: as a leader it refuses writes.
    AlmostFull,
    /// Half of the reserve is used up: it refuses what others write as well.
    AlreadyFull,
}

impl DiskUsage {
    /// By what is available beside the reserve, in bytes.
    pub const fn of(available: u64, reserve: u64) -> Self {
        if available <= reserve / 2 {
            Self::AlreadyFull
        } else if available <= reserve {
            Self::AlmostFull
        } else {
            Self::Normal
        }
    }

    /// Whether writes are refused.
    pub fn is_full(self) -> bool {
        self > Self::Normal
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::AlmostFull => "AlmostFull",
            Self::AlreadyFull => "AlreadyFull",
        }
    }
}

/// What is kept free of a disk, in bytes: what is configured, and a share of the whole at least.
pub fn reserve(configured: u64, capacity: u64) -> u64 {
    configured.max((capacity as f64 * RESERVE_SHARE) as u64)
}
