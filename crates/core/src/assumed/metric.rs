//! The names of TiKV's and PD's metrics, and what its calls are. Labels, sources and versions: [`super::facts::METRICS`].

/// How long answered requests took, the refused ones among them; what still waits is not in it.
pub const GRPC_DURATION: &str = "tikv_grpc_msg_duration_seconds";
/// Requests whose caller went away, or that TiKV failed to answer at all. None that was refused.
pub const GRPC_FAILURES: &str = "tikv_grpc_msg_fail_total";
/// What became of reads and writes at the Raft layer: `success`, or why they were refused.
pub const ASYNC_REQUESTS: &str = "tikv_storage_engine_async_request_total";
/// The local disk, the network with the quorum, the state machine.
pub const APPEND_LOG: &str = "tikv_raftstore_append_log_duration_seconds";
pub const COMMIT_LOG: &str = "tikv_raftstore_commit_log_duration_seconds";
pub const APPLY_LOG: &str = "tikv_raftstore_apply_log_duration_seconds";
pub const REGION_COUNT: &str = "tikv_raftstore_region_count";
/// Messages that were received and dropped; those that could not be sent are in the next one.
pub const DROPPED_MESSAGES: &str = "tikv_raftstore_raft_dropped_message_total";
pub const SENT_MESSAGES: &str = "tikv_raftstore_raft_sent_message_total";
pub const REPORT_FAILURE: &str = "tikv_server_report_failure_msg_total";
/// 1 to 100. `raft` and `kvdb` are about the node's own disk, `network` is how slowly it reaches the others.
pub const SLOW_SCORE: &str = "tikv_raftstore_slow_score";
/// How long a look at another store took, of those over 100 ms.
pub const INSPECT_NETWORK: &str = "tikv_raftstore_inspect_network_duration_seconds";
pub const STORE_SIZE: &str = "tikv_store_size_bytes";
/// The value is the start time.
pub const SERVER_INFO: &str = "tikv_server_info";
pub const PROCESS_START: &str = "process_start_time_seconds";
pub const RESIDENT: &str = "process_resident_memory_bytes";
/// PD's count of stores by `type`: store_up_count, store_disconnected_count, …
pub const PD_CLUSTER_STATUS: &str = "pd_cluster_status";

/// In [`ASYNC_REQUESTS`]: the status of all that began (src/server/raftkv/mod.rs, `async_write`), of what succeeded, how those of
/// all that were refused begin, and of those refused by a full disk.
pub const BEGUN: &str = "all";
pub const SUCCESS: &str = "success";
pub const REFUSED: &str = "err_";
pub const DISK_FULL: &str = "err_disk_full";

/// The `type`s of [`GRPC_DURATION`] that read and that write, as tikv src/server/metrics.rs spells them. Several gets in one
/// frame of BatchCommands are counted as `…_batch_get_command` and as nothing else (src/server/service/batch.rs:191-342).
pub const READS: [&str; 14] = [
    "raw_get",
    "raw_batch_get",
    "raw_batch_get_command",
    "raw_scan",
    "raw_batch_scan",
    "raw_get_key_ttl",
    "raw_checksum",
    "raw_coprocessor",
    "kv_get",
    "kv_batch_get",
    "kv_batch_get_command",
    "kv_buffer_batch_get",
    "kv_scan",
    "coprocessor",
];
pub const WRITES: [&str; 15] = [
    "raw_put",
    "raw_batch_put",
    "raw_delete",
    "raw_batch_delete",
    "raw_delete_range",
    "raw_compare_and_swap",
    "kv_prewrite",
    "kv_flush",
    "kv_commit",
    "kv_pessimistic_lock",
    "kv_pessimistic_rollback",
    "kv_resolve_lock",
    "kv_check_txn_status",
    "kv_txn_heart_beat",
    "kv_batch_rollback",
];
