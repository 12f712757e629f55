//! What the log of a node says of its connections to its peers: a store has the lines of TiKV's raft_client.rs, a PD those of
//! the etcd in it (etcd's server/etcdserver/api/rafthttp, peer_status.go and probing_status.go).

use std::fmt::Display;

use slog::{Logger, debug, info, warn};
use tikv_chaos_core::assumed::log;

#[derive(Debug, Clone, Copy)]
pub enum PeerLog {
    Tikv {
        /// Whether a new connection is worth a line; it depends on the version.
        connections: bool,
    },
    Etcd,
}

impl PeerLog {
    /// What a peer's id is called.
    pub fn key(self) -> &'static str {
        match self {
            Self::Tikv { .. } => "store_id",
            Self::Etcd => "peer-id",
        }
    }

    pub fn connected(self, log: &Logger) {
        match self {
            Self::Tikv { connections: true } => info!(log, "{}", log::CONNECTED),
            Self::Tikv { connections: false } => debug!(log, "{}", log::CONNECTED),
            Self::Etcd => info!(log, "peer became active"),
        }
    }

    /// A connection broke.
    pub fn lost(self, log: &Logger, error: &dyn Display) {
        match self {
            Self::Tikv { .. } => warn!(log, "connection aborted"; "reason" => %error),
            Self::Etcd => warn!(log, "peer became inactive (message send to peer failed)"; "error" => %error),
        }
    }

    /// None could be made.
    pub fn refused(self, log: &Logger, error: &dyn Display) {
        match self {
            Self::Tikv { .. } => warn!(log, "{}", log::CONNECTION_ABORT; "reason" => %error),
            Self::Etcd => warn!(log, "prober detected unhealthy status"; "error" => %error),
        }
    }

    /// None was made in time.
    pub fn late(self, log: &Logger) {
        match self {
            Self::Tikv { .. } => warn!(log, "{}", log::CONNECT_TIMEOUT),
            Self::Etcd => warn!(log, "prober detected unhealthy status"; "error" => "i/o timeout"),
        }
    }
}
