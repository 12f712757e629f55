//! What is said of TiKV and PD as a table: each metric with its labels, each word for a store, each line of a log, each
//! default and threshold, with the place in the source and the versions it holds for. A guide may name nothing else.
//!
//! Read at tikv/tikv and tikv/pd v6.5.12, v7.5.6, v8.5.5 and master of August 2026; paths and lines are v8.5.5's, and tikv/tikv's
//! where no repository is named.

use std::time::Duration;

use super::{
    DISCONNECTED, DISCONNECTED_AFTER, DISK_CHECK, DOWN, DOWN_AFTER, GRPC_KEEPALIVE, GRPC_KEEPALIVE_TIMEOUT,
    MAX_PEER_DOWN, OFFLINE, RAFT_CLIENT_MAX_BACKOFF, RAFT_ELECTION_TICKS, RAFT_HEARTBEAT_TICKS, RAFT_TICK,
    RESERVE_SPACE, STORE_HEARTBEAT, TOMBSTONE, UP, log, metric,
};
use crate::{Version, Versions};

const BEFORE_7_5: Versions = Versions(&[(Version::new(6, 5, 0), Version::new(7, 5, 0))]);
const BEFORE_8_5: Versions = Versions(&[(Version::new(6, 5, 0), Version::new(8, 5, 0))]);
const BEFORE_8_5_4: Versions = Versions(&[(Version::new(6, 5, 0), Version::new(8, 5, 4))]);
const BEFORE_8_5_5: Versions = Versions(&[(Version::new(6, 5, 0), Version::new(8, 5, 5))]);
const FROM_8_5_0_TO_3: Versions = Versions(&[(Version::new(8, 5, 0), Version::new(8, 5, 4))]);

/// A metric and the labels that tell its series apart.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [Label],
    pub source: &'static str,
    pub versions: Versions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug)]
pub struct Label {
    pub name: &'static str,
    /// What it may say; anything where there is nothing, such as a store's id.
    pub values: &'static [(&'static str, Versions)],
    pub versions: Versions,
}

const fn label(name: &'static str, values: &'static [(&'static str, Versions)]) -> Label {
    Label { name, values, versions: Versions::ALL }
}

const fn all(name: &'static str) -> (&'static str, Versions) {
    (name, Versions::ALL)
}

const fn histogram(name: &'static str, source: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels: &[], source, versions: Versions::ALL }
}

/// The `type`s that the program reads: a table of all of them would be TiKV's own.
const CALLS: &[(&str, Versions)] = &[
    all("raw_get"),
    all("raw_batch_get"),
    all("raw_batch_get_command"),
    all("raw_scan"),
    all("raw_batch_scan"),
    all("raw_get_key_ttl"),
    all("raw_checksum"),
    all("raw_coprocessor"),
    all("kv_get"),
    all("kv_batch_get"),
    all("kv_batch_get_command"),
    ("kv_buffer_batch_get", Versions::SINCE_8_5),
    all("kv_scan"),
    all("coprocessor"),
    all("raw_put"),
    all("raw_batch_put"),
    all("raw_delete"),
    all("raw_batch_delete"),
    all("raw_delete_range"),
    all("raw_compare_and_swap"),
    all("kv_prewrite"),
    ("kv_flush", Versions::SINCE_8_5),
    all("kv_commit"),
    all("kv_pessimistic_lock"),
    all("kv_pessimistic_rollback"),
    all("kv_resolve_lock"),
    all("kv_check_txn_status"),
    all("kv_txn_heart_beat"),
    all("kv_batch_rollback"),
];

const STATUSES: &[(&str, Versions)] = &[
    all("all"),
    all(metric::SUCCESS),
    all(metric::DISK_FULL),
    all("err_not_leader"),
    all("err_region_not_found"),
    all("err_epoch_not_match"),
    all("err_server_is_busy"),
    all("err_stale_command"),
    all("err_store_not_match"),
    all("err_timeout"),
    all("err_other"),
];

pub const METRICS: [Metric; 17] = [
    Metric {
        name: metric::GRPC_DURATION,
        kind: Kind::Histogram,
        labels: &[label("type", CALLS), Label { name: "priority", values: &[], versions: Versions::SINCE_8_5 }],
        source: "src/server/metrics.rs:248; observed once answered: src/server/service/kv.rs:258",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::GRPC_FAILURES,
        kind: Kind::Counter,
        labels: &[label("type", CALLS)],
        source: "src/server/metrics.rs; grows where the handler or the sending fails: src/server/service/kv.rs:233",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::ASYNC_REQUESTS,
        kind: Kind::Counter,
        labels: &[label("type", &[all("write"), all("snapshot")]), label("status", STATUSES)],
        source: "src/server/metrics.rs:508,553,566; src/server/raftkv/mod.rs:620",
        versions: Versions::ALL,
    },
    histogram(metric::APPEND_LOG, "components/raftstore/src/store/async_io/write.rs:1006"),
    histogram(metric::COMMIT_LOG, "components/raftstore/src/store/peer.rs:3196"),
    histogram(metric::APPLY_LOG, "components/raftstore/src/store/metrics.rs"),
    Metric {
        name: metric::REGION_COUNT,
        kind: Kind::Gauge,
        labels: &[label("type", &[all("leader"), all("region")])],
        source: "components/raftstore/src/coprocessor/metrics.rs; every 10 s: region_info_accessor.rs:819",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::DROPPED_MESSAGES,
        kind: Kind::Counter,
        labels: &[label(
            "type",
            &[
                all("mismatch_store_id"),
                all("mismatch_region_epoch"),
                all("stale_msg"),
                all("region_no_peer"),
                all("region_nonexistent"),
                all("applying_snap"),
                all("disk_full"),
            ],
        )],
        source: "components/raftstore/src/store/fsm/peer.rs:2774,2785,2897,3272",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::SENT_MESSAGES,
        kind: Kind::Counter,
        labels: &[label("type", &[]), label("status", &[all("accept"), all("drop")])],
        source: "components/raftstore/src/store/peer.rs:1958",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::REPORT_FAILURE,
        kind: Kind::Counter,
        labels: &[label("type", &[all("unreachable")]), label("store_id", &[])],
        source: "src/server/raft_client.rs:698,875,931",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::SLOW_SCORE,
        kind: Kind::Gauge,
        labels: &[Label {
            name: "type",
            values: &[("raft", Versions::SINCE_7_5), ("kvdb", Versions::SINCE_7_5), ("network", Versions::SINCE_8_5_5)],
            versions: Versions::SINCE_7_5,
        }],
        source: "components/raftstore/src/store/metrics.rs; network: components/health_controller/src/slow_score.rs:19-33",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::INSPECT_NETWORK,
        kind: Kind::Histogram,
        labels: &[label("target", &[]), label("source", &[])],
        source: "components/raftstore/src/store/metrics.rs:890",
        versions: Versions::SINCE_8_5_5,
    },
    Metric {
        name: metric::STORE_SIZE,
        kind: Kind::Gauge,
        labels: &[label("type", &[all("capacity"), all("available"), all("used")])],
        source: "components/pd_client/src/metrics.rs",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::SERVER_INFO,
        kind: Kind::Gauge,
        labels: &[label("version", &[]), label("hash", &[])],
        source: "src/server/metrics.rs",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::PROCESS_START,
        kind: Kind::Gauge,
        labels: &[],
        source: "components/tikv_util/src/metrics/process_linux.rs",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::RESIDENT,
        kind: Kind::Gauge,
        labels: &[],
        source: "components/tikv_util/src/metrics/process_linux.rs",
        versions: Versions::ALL,
    },
    Metric {
        name: metric::PD_CLUSTER_STATUS,
        kind: Kind::Gauge,
        // A series for each engine and store from 8.5.5 on: what counts stores is their sum.
        labels: &[
            label("type", &[]),
            Label { name: "engine", values: &[], versions: Versions::SINCE_8_5_5 },
            Label { name: "store", values: &[], versions: Versions::SINCE_8_5_5 },
        ],
        source: "tikv/pd pkg/statistics/metrics.go:51",
        versions: Versions::ALL,
    },
];

/// A word or a line, and where it was read.
#[derive(Debug)]
pub struct Words {
    pub text: &'static str,
    pub source: &'static str,
    pub versions: Versions,
}

const fn words(text: &'static str, source: &'static str, versions: Versions) -> Words {
    Words { text, source, versions }
}

pub const STATES: [Words; 5] = [
    words(UP, "kvproto metapb.proto StoreState", Versions::ALL),
    words(DISCONNECTED, "tikv/pd pkg/core/store.go:628", Versions::ALL),
    words(DOWN, "tikv/pd pkg/response/store.go:139", Versions::ALL),
    words(OFFLINE, "kvproto metapb.proto StoreState", Versions::ALL),
    words(TOMBSTONE, "kvproto metapb.proto StoreState", Versions::ALL),
];

/// As far as they are written at the level that TiKV and PD ship with, INFO.
pub const LINES: [Words; 16] = [
    words(log::ELECTION, "tikv/raft-rs src/raft.rs:1161-1571", Versions::ALL),
    words(log::PRE_CANDIDATE, "tikv/raft-rs src/raft.rs:1161-1571", Versions::ALL),
    words(log::CANDIDATE, "tikv/raft-rs src/raft.rs:1161-1571", Versions::ALL),
    words(log::LEADER, "tikv/raft-rs src/raft.rs:1161-1571", Versions::ALL),
    words(log::FOLLOWER, "tikv/raft-rs src/raft.rs:1161-1571", Versions::ALL),
    words(log::HIGHER_TERM, "tikv/raft-rs src/raft.rs:1161-1571", Versions::ALL),
    words(log::NO_QUORUM, "tikv/raft-rs src/raft.rs:2056", Versions::ALL),
    words(log::CONNECTION_ABORT, "src/server/raft_client.rs:698-712", Versions::ALL),
    words(log::CONNECT_TIMEOUT, "src/server/raft_client.rs:875", Versions::ALL),
    // At DEBUG before.
    words(log::CONNECTED, "src/server/raft_client.rs:889", Versions::SINCE_8_5_4),
    words(log::DISK_USAGE, "components/server/src/server.rs:1519", Versions::ALL),
    words(log::STOPPING, "components/server/src/signal_handler.rs:35", Versions::SINCE_8_5_5),
    words(log::EVICTING, "components/server/src/server.rs:1683-1735", Versions::SINCE_8_5_5),
    words(log::EVICTED, "components/server/src/server.rs:1683-1735", Versions::SINCE_8_5_5),
    words(log::NOT_EVICTED, "components/server/src/server.rs:1683-1735", Versions::SINCE_8_5_5),
    words(log::LOW_SPACE, "tikv/pd server/cluster/cluster.go:1086", Versions::ALL),
];

/// A default or a threshold.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub amount: Amount,
    pub source: &'static str,
    pub versions: Versions,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    Time(Duration),
    Count(u32),
    Bytes(u64),
}

const fn time(name: &'static str, seconds: u64, source: &'static str, versions: Versions) -> Setting {
    Setting { name, amount: Amount::Time(Duration::from_secs(seconds)), source, versions }
}

const fn span(name: &'static str, span: Duration, source: &'static str, versions: Versions) -> Setting {
    Setting { name, amount: Amount::Time(span), source, versions }
}

const RAFT_CONFIG: &str = "components/raftstore/src/store/config.rs:518-648";

/// With several rows where versions differ.
pub const SETTINGS: [Setting; 25] = [
    span("raft tick", RAFT_TICK, RAFT_CONFIG, Versions::ALL),
    Setting {
        name: "raft heartbeat ticks",
        amount: Amount::Count(RAFT_HEARTBEAT_TICKS),
        source: RAFT_CONFIG,
        versions: Versions::ALL,
    },
    // An election begins after one to two times as many.
    Setting {
        name: "raft election ticks",
        amount: Amount::Count(RAFT_ELECTION_TICKS),
        source: RAFT_CONFIG,
        versions: Versions::ALL,
    },
    time("raft lease", 9, RAFT_CONFIG, Versions::ALL),
    span("max peer down", MAX_PEER_DOWN, RAFT_CONFIG, Versions::ALL),
    span("store heartbeat", STORE_HEARTBEAT, RAFT_CONFIG, Versions::ALL),
    span("store disconnected", DISCONNECTED_AFTER, "tikv/pd pkg/core/store.go:628", Versions::ALL),
    span("store down", DOWN_AFTER, "tikv/pd pkg/response/store.go:139", Versions::ALL),
    span("keepalive", GRPC_KEEPALIVE, "src/server/config.rs:323", Versions::ALL),
    span("keepalive timeout", GRPC_KEEPALIVE_TIMEOUT, "src/server/config.rs:324", Versions::ALL),
    span("connect at most", RAFT_CLIENT_MAX_BACKOFF, "src/server/config.rs:310", Versions::ALL),
    // TiKV's look at its disk.
    time("disk check", 1, "v7.5.6 components/server/src/server.rs:237", BEFORE_8_5_4),
    span("disk check", DISK_CHECK, "components/server/src/server.rs:262", Versions::SINCE_8_5_4),
    // How old `tikv_store_size_bytes` gets.
    time("store size", 10, "v7.5.6 components/raftstore/src/store/worker/pd.rs:1390", BEFORE_8_5),
    time("store size", 1, "v8.5.0 components/server/src/server.rs:1481", FROM_8_5_0_TO_3),
    time("store size", 60, "components/server/src/server.rs:1547", Versions::SINCE_8_5_4),
    Setting {
        name: "reserve space",
        amount: Amount::Bytes(RESERVE_SPACE),
        source: "src/storage/config.rs:50",
        versions: Versions::ALL,
    },
    // From 1 to 100, with every look at the disk too late.
    time("slow score climbs", 105, "v6.5.12 components/raftstore/src/store/worker/pd.rs:788", BEFORE_7_5),
    time("slow score climbs", 21, "components/health_controller/src/slow_score.rs", Versions::SINCE_7_5),
    // A round trip that counts as too slow for the network's score, and how long that takes to come back.
    time("slow network", 1, "components/health_controller/src/slow_score.rs:23", Versions::SINCE_8_5_5),
    time("slow network recovers", 600, "components/health_controller/src/slow_score.rs:19", Versions::SINCE_8_5_5),
    time("graceful shutdown", 0, "none: v8.5.4 ends at once", BEFORE_8_5_5),
    time("graceful shutdown", 20, "src/server/config.rs:256,299", Versions::SINCE_8_5_5),
    Setting {
        name: "region split size",
        amount: Amount::Bytes(96 << 20),
        source: "v7.5.6 components/raftstore/src/coprocessor/config.rs",
        versions: BEFORE_8_5,
    },
    Setting {
        name: "region split size",
        amount: Amount::Bytes(256 << 20),
        source: "components/raftstore/src/coprocessor/config.rs:75",
        versions: Versions::SINCE_8_5,
    },
];

/// The metric of that name.
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// What a default or threshold is in that version; `None` where its source was not read.
pub fn setting(name: &str, version: Option<Version>) -> Option<Amount> {
    SETTINGS.iter().find(|row| row.name == name && row.versions.has(version) == Some(true)).map(|row| row.amount)
}

/// [`setting`], of a time.
pub fn time_of(name: &str, version: Option<Version>) -> Option<Duration> {
    match setting(name, version)? {
        Amount::Time(time) => Some(time),
        Amount::Count(_) | Amount::Bytes(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assumed::{READS, STORE_STATES, WRITES};

    const VERSIONS: [Version; 7] = [
        Version::new(6, 5, 12),
        Version::new(7, 5, 6),
        Version::new(8, 1, 2),
        Version::new(8, 5, 0),
        Version::new(8, 5, 3),
        Version::new(8, 5, 4),
        Version::new(8, 5, 5),
    ];

    #[test]
    fn every_fact_stands_once_and_says_where_it_was_read() {
        let places = METRICS.iter().map(|one| (one.name, one.source));
        let places = places.chain(STATES.iter().chain(&LINES).map(|one| (one.text, one.source)));
        let mut seen = std::collections::BTreeSet::new();
        for (name, source) in places {
            assert!(seen.insert(name), "{name} twice");
            assert!(!source.is_empty(), "{name}");
        }
        assert_eq!(STATES.map(|state| state.text), STORE_STATES);
    }

    #[test]
    fn versions_agree_on_at_most_one_value() {
        for version in VERSIONS {
            for row in &SETTINGS {
                let holding = SETTINGS.iter().filter(|one| one.name == row.name);
                let holding = holding.filter(|one| one.versions.has(Some(version)) == Some(true)).count();
                assert!(holding <= 1, "{} at {version}: {holding} values", row.name);
            }
        }
        let check = |at| time_of("disk check", Version::parse(at)).map(|time| time.as_secs());
        assert_eq!(["7.5.6", "8.5.3", "8.5.4", "9.1.0"].map(check), [Some(1), Some(1), Some(60), None]);
    }

    #[test]
    fn every_call_that_is_read_is_a_type_of_the_histogram() {
        let types: Vec<&str> = CALLS.iter().map(|(name, _)| *name).collect();
        assert!(READS.iter().chain(&WRITES).all(|call| types.contains(call)));
        assert_eq!(types.len(), READS.len() + WRITES.len());
    }
}
