//! Every name, path, port and flag of real TiKV and PD that this program relies on, each with where it was read. What
//! reads, what imitates and what explains all take them from here.
//!
//! Sources, at v8.5.5: tikv/tikv `src/server/status_server/mod.rs`, `src/server/metrics.rs`,
//! `components/raftstore/src/store/{metrics,config}.rs`, `cmd/tikv-server/src/main.rs`; tikv/pd
//! `server/api/router.go`, `pkg/response/store.go`, `pkg/core/store.go`.

use std::time::Duration;

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
pub const CLIENT_URLS_FLAG: &str = "--client-urls";
pub const ADVERTISE_CLIENT_URLS_FLAG: &str = "--advertise-client-urls";
pub const NAME_FLAG: &str = "--name";

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
/// How often TiKV looks at its disk, and the share of the capacity that it keeps for itself at least
/// (src/server/server.rs, server/src/common.rs).
pub const DISK_CHECK: Duration = Duration::from_secs(60);
pub const RESERVE_SHARE: f64 = 0.05;
/// `storage.reserve-space`.
pub const RESERVE_SPACE: u64 = 5 << 30;
/// `storage.reserve-raft-space`, for a Raft log on a disk of its own (src/storage/config.rs).
pub const RESERVE_RAFT_SPACE: u64 = 1 << 30;
/// `max-replicas` where PD does not say.
pub const MAX_REPLICAS: u32 = 3;

/// Names of TiKV's metrics, with the labels that tell their series apart.
pub mod metric {
    /// Histogram by `type`: raw_get, raw_put, kv_get, kv_prewrite, …
    pub const GRPC_DURATION: &str = "tikv_grpc_msg_duration_seconds";
    /// Counter by `type`.
    pub const GRPC_FAILURES: &str = "tikv_grpc_msg_fail_total";
    /// Counter by `type` (write, snapshot) and `status` (all, success, err_disk_full, err_not_leader, …): what became of
    /// requests at the Raft layer. tikv/tikv src/storage/metrics.rs and src/server/raftkv/mod.rs, all versions.
    pub const ASYNC_REQUESTS: &str = "tikv_storage_engine_async_request_total";
    /// Histograms: the local disk, the network with the quorum, the state machine.
    pub const APPEND_LOG: &str = "tikv_raftstore_append_log_duration_seconds";
    pub const COMMIT_LOG: &str = "tikv_raftstore_commit_log_duration_seconds";
    pub const APPLY_LOG: &str = "tikv_raftstore_apply_log_duration_seconds";
    /// Gauge by `type`: leader, region.
    pub const REGION_COUNT: &str = "tikv_raftstore_region_count";
    /// Counters by `type`, and by `type` and `status`.
    pub const DROPPED_MESSAGES: &str = "tikv_raftstore_raft_dropped_message_total";
    pub const SENT_MESSAGES: &str = "tikv_raftstore_raft_sent_message_total";
    /// Counter by `type` (unreachable) and `store_id`.
    pub const REPORT_FAILURE: &str = "tikv_server_report_failure_msg_total";
    /// Gauge, 1 to 100, by `type`: raft, kvdb, network.
    pub const SLOW_SCORE: &str = "tikv_raftstore_slow_score";
    /// Histogram by `target` and `source`, from 8.5.5, of what took more than 100 ms (components/raftstore/src/store/metrics.rs).
    pub const INSPECT_NETWORK: &str = "tikv_raftstore_inspect_network_duration_seconds";
    /// Gauge by `type`: capacity, available, used.
    pub const STORE_SIZE: &str = "tikv_store_size_bytes";
    /// Gauge, the start time, by `version`, `hash`.
    pub const SERVER_INFO: &str = "tikv_server_info";
    pub const PROCESS_START: &str = "process_start_time_seconds";
    /// PD's gauge by `type`: store_up_count, store_disconnected_count, … (tikv/pd server/cluster/metrics.go).
    pub const PD_CLUSTER_STATUS: &str = "pd_cluster_status";
    pub const RESIDENT: &str = "process_resident_memory_bytes";

    pub const ALL: [&str; 16] = [
        GRPC_DURATION,
        GRPC_FAILURES,
        ASYNC_REQUESTS,
        APPEND_LOG,
        COMMIT_LOG,
        APPLY_LOG,
        REGION_COUNT,
        DROPPED_MESSAGES,
        SENT_MESSAGES,
        REPORT_FAILURE,
        SLOW_SCORE,
        INSPECT_NETWORK,
        STORE_SIZE,
        SERVER_INFO,
        PROCESS_START,
        RESIDENT,
    ];
}

/// Lines of TiKV's and PD's logs that tell one fault from another, by the part that does not change.
pub mod log {
    /// tikv/raft-rs src/raft.rs.
    pub const ELECTION: &str = "starting a new election";
    pub const PRE_CANDIDATE: &str = "became pre-candidate at term";
    pub const CANDIDATE: &str = "became candidate at term";
    pub const LEADER: &str = "became leader at term";
    pub const FOLLOWER: &str = "became follower at term";
    pub const HIGHER_TERM: &str = "received a message with higher term from";
    pub const NO_QUORUM: &str = "stepped down to follower since quorum is not active";
    /// tikv/tikv src/server/raft_client.rs.
    pub const CONNECTION_ABORT: &str = "connection abort";
    pub const CONNECT_TIMEOUT: &str = "wait connect timeout";
    pub const CONNECTED: &str = "connection established";
    /// tikv/tikv src/server/server.rs.
    pub const DISK_USAGE: &str = "disk usage Normal->AlmostFull";
    /// tikv/tikv components/raftstore/src/store/peer.rs.
    pub const DISK_FULL: &str = "propose failed: tikv disk full";
    /// tikv/pd server/cluster/cluster.go.
    pub const LOW_SPACE: &str = "store does not have enough disk space";

    pub const ALL: [&str; 13] = [
        ELECTION,
        PRE_CANDIDATE,
        CANDIDATE,
        LEADER,
        FOLLOWER,
        HIGHER_TERM,
        NO_QUORUM,
        CONNECTION_ABORT,
        CONNECT_TIMEOUT,
        CONNECTED,
        DISK_USAGE,
        DISK_FULL,
        LOW_SPACE,
    ];
}

/// The calls of `GRPC_DURATION` that read and that write (kvproto's names as tikv src/server/metrics.rs spells them).
pub const READS: [&str; 8] =
    ["raw_get", "raw_batch_get", "raw_scan", "raw_batch_scan", "kv_get", "kv_batch_get", "kv_scan", "coprocessor"];
pub const WRITES: [&str; 7] =
    ["raw_put", "raw_batch_put", "raw_delete", "raw_batch_delete", "kv_prewrite", "kv_commit", "kv_pessimistic_lock"];
