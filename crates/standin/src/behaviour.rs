//! What TiKV and PD do differently from one version to the next, as far as the stand-in does it at all: by the facts that
//! readers and guides go by too, and here what only the stand-in has a use for. No other file of it looks at a version's number.
//!
//! Paths are tikv/tikv's or tikv/pd's at v6.5.12, v7.5.6, v8.5.0, v8.5.3, v8.5.4 and v8.5.5. A version between two of these is
//! taken to behave as the earlier one.

use std::{fmt, time::Duration};

use tikv_chaos_core::{
    Version,
    assumed::{
        check,
        facts::{self, Amount},
        log, metric,
    },
};

/// The version played where the configuration names none.
pub const DEFAULT: Version = Version::new(8, 5, 5);

/// The columns of the table, one field a row. Times are at TiKV's own pace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behaviour {
    pub version: Version,
    /// How often TiKV compares its free space with its reserve.
    pub disk_check: Duration,
    /// How old `tikv_store_size_bytes`, and what PD is told of it, may be.
    pub size_refresh: Duration,
    /// Whether `connection established` is logged: it is at DEBUG before.
    pub connections_are_logged: bool,
    /// Doubling buckets of `tikv_raftstore_commit_log_duration_seconds`: components/raftstore/src/store/metrics.rs.
    pub commit_buckets: usize,
    /// How long SIGTERM lets leaders move away first; 0 where it ends the node at once. PD's part of it came with the same
    /// version: pkg/schedule/schedulers/evict_stopping_store.go.
    pub graceful_shutdown: Duration,
    /// `coprocessor.region-split-size` in bytes.
    pub region_split: u64,
    /// Whether a PD that does not lead answers [`LOCAL_PATHS`] itself, and lets other requests wait for a leader: PD's
    /// pkg/utils/apiutil/serverapi/middleware.go, 7.5.6:145 and 8.5.5:175.
    pub pd_answers_locally: bool,
    /// How long no other member leads after PD's leader was heard of last: PD's server/config/config.go, 8.5.0:178 and
    /// 8.5.3.
    pub pd_lease: Duration,
}

/// `localOnlyPaths` of PD's middleware.go, those that the stand-in has.
pub const LOCAL_PATHS: [&str; 4] = ["/pd/api/v1/version", "/pd/api/v1/status", "/pd/api/v1/health", "/pd/api/v1/ping"];

impl Behaviour {
    pub fn of(version: Version) -> Self {
        let since = |major, minor, patch| version >= Version::new(major, minor, patch);
        let seconds = Duration::from_secs;
        // Every version that is played has a row of each.
        let time = |name| facts::time_of(name, Some(version)).unwrap_or_default();
        Self {
            version,
            disk_check: time("disk check"),
            size_refresh: time("store size"),
            connections_are_logged: check::line(log::CONNECTED, Some(version)).is_ok(),
            commit_buckets: if since(7, 5, 0) { 32 } else { 26 },
            graceful_shutdown: time("graceful shutdown"),
            region_split: match facts::setting("region split size", Some(version)) {
                Some(Amount::Bytes(bytes)) => bytes,
                _ => 0,
            },
            pd_answers_locally: since(8, 5, 5),
            pd_lease: seconds(if since(8, 5, 3) { 5 } else { 3 }),
        }
    }

    pub fn has_graceful_shutdown(&self) -> bool {
        !self.graceful_shutdown.is_zero()
    }

    /// Values of the label `type` of `tikv_raftstore_slow_score`; without any the metric has no label.
    pub fn slow_scores(&self) -> Vec<&'static str> {
        check::values(metric::SLOW_SCORE, "type", self.version)
    }

    /// Labels of `tikv_grpc_msg_duration_seconds`.
    pub fn grpc_labels(&self) -> Vec<&'static str> {
        check::labels(metric::GRPC_DURATION, self.version)
    }

    /// Labels of `pd_cluster_status`.
    pub fn pd_status_labels(&self) -> Vec<&'static str> {
        check::labels(metric::PD_CLUSTER_STATUS, self.version)
    }

    /// Whether a store tells how long others take to answer, in metrics and to PD.
    pub fn has_network_score(&self) -> bool {
        self.slow_scores().contains(&"network")
    }
}

/// What it says of itself wherever TiKV would say its version, such as `8.5.5-standin`.
impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-standin", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played<T>(row: impl Fn(Behaviour) -> T) -> [T; 5] {
        [(6, 5, 12), (7, 5, 6), (8, 5, 0), (8, 5, 4), (8, 5, 5)]
            .map(|(major, minor, patch)| row(Behaviour::of(Version::new(major, minor, patch))))
    }

    #[test]
    fn every_row_follows_version() {
        assert_eq!(played(|it| it.disk_check.as_secs()), [1, 1, 1, 60, 60]);
        assert_eq!(played(|it| it.size_refresh.as_secs()), [10, 10, 1, 60, 60]);
        assert_eq!(played(|it| it.connections_are_logged), [false, false, false, true, true]);
        assert_eq!(
            played(|it| it.slow_scores().join(" ")),
            ["", "raft kvdb", "raft kvdb", "raft kvdb", "raft kvdb network"]
        );
        assert_eq!(played(|it| it.grpc_labels().len()), [1, 1, 2, 2, 2]);
        assert_eq!(played(|it| it.commit_buckets), [26, 32, 32, 32, 32]);
        assert_eq!(played(|it| it.graceful_shutdown.as_secs()), [0, 0, 0, 0, 20]);
        assert_eq!(played(|it| it.region_split >> 20), [96, 96, 256, 256, 256]);
        assert_eq!(played(|it| it.pd_answers_locally), [false, false, false, false, true]);
        assert_eq!(played(|it| it.pd_lease.as_secs()), [3, 3, 3, 5, 5]);
        assert_eq!(played(|it| it.pd_status_labels().len()), [1, 1, 1, 1, 3]);
        assert_eq!(played(|it| it.has_network_score()), [false, false, false, false, true]);
    }

    /// A version that changed nothing but its number would be a line in the table that says nothing.
    #[test]
    fn no_two_versions_behave_alike() {
        let same_number = played(|it| Behaviour { version: DEFAULT, ..it });
        for (at, one) in same_number.iter().enumerate() {
            assert!(!same_number[at + 1..].contains(one), "{one:?}");
        }
    }

    #[test]
    fn version_is_told_as_stand_in() {
        assert_eq!(Behaviour::of(Version::new(7, 5, 6)).to_string(), "7.5.6-standin");
        assert_eq!(Version::parse("7.5.6-standin"), Some(Version::new(7, 5, 6)), "as readers take it");
    }
}
