//! What the roles say to one another where real TiKV speaks gRPC: store to PD over HTTP, client to store in frames.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tikv_chaos_core::disk::DiskUsage;

/// PD's own endpoints for stores; only its leader answers.
pub const ALLOC_ID: &str = "/demo/id";
pub const HEARTBEAT: &str = "/demo/heartbeat";

/// What a store says of itself when it registers, and with each heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StoreMeta {
    pub id: u64,
    pub address: String,
    pub status_address: String,
    pub version: String,
    /// Seconds since 1970.
    pub start_timestamp: i64,
    pub deploy_path: String,
}

/// A range of keys and the peers that replicate it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Region {
    pub id: u64,
    pub start_key: String,
    /// Exclusive; empty is no end.
    pub end_key: String,
    pub peers: Vec<Peer>,
    /// The peer that stands for the first election.
    pub first_leader: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    pub id: u64,
    pub store_id: u64,
}

impl Region {
    pub fn holds(&self, key: &str) -> bool {
        key >= self.start_key.as_str() && (self.end_key.is_empty() || key < self.end_key.as_str())
    }

    pub fn peer_on(&self, store: u64) -> Option<Peer> {
        self.peers.iter().find(|peer| peer.store_id == store).copied()
    }

    pub fn store_of(&self, peer: u64) -> Option<u64> {
        self.peers.iter().find(|one| one.id == peer).map(|one| one.store_id)
    }
}

/// In bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Space {
    pub capacity: u64,
    pub available: u64,
    pub used: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Heartbeat {
    pub store: StoreMeta,
    pub space: Space,
    pub usage: DiskUsage,
    pub slow_score: f64,
    /// How slow other stores are to answer this one, 1 to 100, by store; empty where its version does not tell.
    pub network_slow_score: BTreeMap<u64, u64>,
    /// It was asked to end, and waits for its leaders to go.
    pub is_stopping: bool,
    pub region_count: u64,
    pub pending_peers: u64,
    /// The regions that this store leads.
    pub leads: Vec<Led>,
}

/// A region as its leader sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Led {
    pub region: u64,
    pub term: u64,
    /// Bytes and keys.
    pub size: u64,
    pub keys: u64,
    /// Peers that don't answer, and for how many seconds.
    pub down: BTreeMap<u64, u64>,
    /// Peers that need a snapshot before they can follow.
    pub pending: Vec<u64>,
}

/// PD's answer to a heartbeat.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Orders {
    /// Every store's address.
    pub stores: BTreeMap<u64, String>,
    /// Those whose disks are almost or already full.
    pub full: Vec<u64>,
    /// The regions that this store has a peer of.
    pub regions: Vec<Region>,
    /// Leaderships to hand over: region and peer.
    pub transfers: Vec<(u64, u64)>,
}

/// What a client asks of a region's leader.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub region: u64,
    #[serde(flatten)]
    pub op: Op,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Get { key: String },
    Put { key: String, value: String },
}

impl Op {
    pub fn key(&self) -> &str {
        match self {
            Self::Get { key } | Self::Put { key, .. } => key,
        }
    }

    /// Its name in `GRPC_DURATION`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Get { .. } => "raw_get",
            Self::Put { .. } => "raw_put",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Done,
    Value(Option<String>),
    /// With the leader's address, where it is known. Like all below but the last: nothing was done.
    NotLeader(Option<String>),
    RegionNotFound,
    DiskFull,
    /// A new leader does not know yet what is committed.
    ReadIndexNotReady,
    /// Another leader's entry took the place of this one's.
    StaleCommand,
    /// A put may have been done, or may yet be.
    Undetermined,
}

/// The keys of the load, `user0000000000` and on; regions are split evenly between them.
pub const KEYS: u32 = 1000;

pub fn key(number: u32) -> String {
    format!("user{number:010}")
}
