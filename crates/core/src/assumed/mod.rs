//! Every name, path, port and flag of real TiKV and PD that this program relies on, each with where it was read. What
//! reads, what imitates and what explains all take them from here; [`facts`] keeps for which versions each holds.
//!
//! Sources, at v8.5.5: tikv/tikv `src/server/status_server/mod.rs`, `src/server/metrics.rs`,
//! `components/raftstore/src/store/{metrics,config}.rs`, `cmd/tikv-server/src/main.rs`; tikv/pd
//! `server/api/router.go`, `pkg/response/store.go`, `pkg/core/store.go`.

use std::time::Duration;

pub mod check;
pub mod facts;
pub mod log;
pub mod metric;

pub use metric::{READS, WRITES};

/// TiKV `--addr`, PD `--client-urls`, TiKV `--status-addr`: the defaults of cmd/tikv-server and cmd/pd-server.
pub const TIKV_PORT: u16 = 20160;
pub const TIKV_STATUS_PORT: u16 = 20180;
pub const PD_CLIENT_PORT: u16 = 2379;
pub const PD_PEER_PORT: u16 = 2380;

/// TiKV's flags (cmd/tikv-server/src/main.rs). `--advertise-addr` is the address by which PD names a store.
pub const ADDR_FLAG: &str = "--addr";
pub const ADVERTISE_ADDR_FLAG: &str = "--advertise-addr";
pub const STATUS_ADDR_FLAG: &str = "--status-addr";
pub const ADVERTISE_STATUS_ADDR_FLAG: &str = "--advertise-status-addr";
pub const DATA_DIR_FLAG: &str = "--data-dir";
/// TiKV's other spellings of it.
pub const STORE_FLAG: &str = "--store";
pub const STORE_SHORT_FLAG: &str = "-s";
/// TiKV's and PD's.
pub const CONFIG_FLAG: &str = "--config";
pub const CONFIG_SHORT_FLAG: &str = "-C";
pub const CLIENT_URLS_FLAG: &str = "--client-urls";
pub const ADVERTISE_CLIENT_URLS_FLAG: &str = "--advertise-client-urls";
pub const ADVERTISE_PEER_URLS_FLAG: &str = "--advertise-peer-urls";
pub const NAME_FLAG: &str = "--name";
/// Where a store finds PD: the flag and its aliases (tikv cmd/tikv-server/src/main.rs).
pub const PD_ENDPOINTS_FLAGS: [&str; 3] = ["--pd-endpoints", "--pd", "--pd-endpoint"];
/// Where a PD finds the others: all of them at the first start, or any one's client URL later (tikv/pd server/config).
pub const INITIAL_CLUSTER_FLAG: &str = "--initial-cluster";
pub const JOIN_FLAG: &str = "--join";
pub const PEER_URLS_FLAG: &str = "--peer-urls";
/// What PD's program can be beside PD: `pd-server services NAME` (tikv/pd cmd/pd-server/main.go, since 7.2).
pub const PD_SERVICES: [&str; 6] = ["tso", "scheduling", "api", "resource-manager", "resource_manager", "router"];

/// tikv/pd server/api/router.go.
pub const PD_STORES: &str = "/pd/api/v1/stores";
pub const PD_HEALTH: &str = "/pd/api/v1/health";
pub const PD_MEMBERS: &str = "/pd/api/v1/members";
pub const PD_CLUSTER_STATUS: &str = "/pd/api/v1/cluster/status";
pub const PD_REGION_STATS: &str = "/pd/api/v1/stats/region";
pub const PD_REGIONS: &str = "/pd/api/v1/regions";
pub const PD_REPLICATION: &str = "/pd/api/v1/config/replicate";
pub const PD_VERSION: &str = "/pd/api/v1/version";
pub const PD_CONFIG: &str = "/pd/api/v1/config";
/// Placement rules; 412 where they are off (server/api/rule.go).
pub const PD_RULES: &str = "/pd/api/v1/config/rules";

/// The header with which a PD member that does not lead answers by itself; without it, it asks the leader, or has no
/// answer while there is none (pkg/utils/apiutil, 6.5.12 server/apiv2/middlewares; all versions).
pub const PD_FOLLOWER_HANDLE: &str = "PD-Allow-follower-handle";

/// tikv/tikv src/server/status_server/mod.rs.
pub const STATUS: &str = "/status";
pub const METRICS: &str = "/metrics";
pub const CONFIG: &str = "/config";

/// PD's words for a store: metapb's, and its own while the store is `Up` (pkg/core/store.go).
pub const UP: &str = "Up";
pub const DISCONNECTED: &str = "Disconnected";
pub const DOWN: &str = "Down";
pub const OFFLINE: &str = "Offline";
pub const TOMBSTONE: &str = "Tombstone";
pub const STORE_STATES: [&str; 5] = [UP, DISCONNECTED, DOWN, OFFLINE, TOMBSTONE];

/// `pd-store-heartbeat-tick-interval`, tikv raftstore config.
pub const STORE_HEARTBEAT: Duration = Duration::from_secs(10);
/// `storeDisconnectDuration`, tikv/pd pkg/core/store.go.
pub const DISCONNECTED_AFTER: Duration = Duration::from_secs(20);
/// `max-store-down-time`, the time after which PD makes new replicas elsewhere.
pub const DOWN_AFTER: Duration = Duration::from_secs(30 * 60);
/// `raft-base-tick-interval`, `raft-heartbeat-ticks`, `raft-election-timeout-ticks`: an election begins after one to
/// two of the last (tikv raftstore config.rs).
pub const RAFT_TICK: Duration = Duration::from_secs(1);
pub const RAFT_HEARTBEAT_TICKS: u32 = 2;
pub const RAFT_ELECTION_TICKS: u32 = 10;
/// `grpc-keepalive-time`, `grpc-keepalive-timeout`, `raft-client-max-backoff`: a connection between stores is closed where
/// a ping is not answered in time, and a new one is given up after the last (src/server/config.rs, src/server/raft_client.rs).
pub const GRPC_KEEPALIVE: Duration = Duration::from_secs(10);
pub const GRPC_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
pub const RAFT_CLIENT_MAX_BACKOFF: Duration = Duration::from_secs(5);
/// `max-peer-down-duration`: a leader reports a peer that is silent for longer (tikv raftstore config.rs).
pub const MAX_PEER_DOWN: Duration = Duration::from_secs(10 * 60);
/// PD's `tick-interval`, and its `election-interval` in ticks (tikv/pd server/config/config.go).
pub const PD_TICK: Duration = Duration::from_millis(500);
pub const PD_ELECTION_TICKS: u32 = 6;
/// How often TiKV looks at its disk from 8.5.4 on, every second before, and the share of the capacity that it keeps for itself
/// at least (components/server/src/server.rs, common.rs).
pub const DISK_CHECK: Duration = Duration::from_secs(60);
pub const RESERVE_SHARE: f64 = 0.05;
/// `storage.reserve-space`.
pub const RESERVE_SPACE: u64 = 5 << 30;
/// `storage.reserve-raft-space`, for a Raft log on a disk of its own (src/storage/config.rs).
pub const RESERVE_RAFT_SPACE: u64 = 1 << 30;
/// `max-replicas` where PD does not say.
pub const MAX_REPLICAS: u32 = 3;
