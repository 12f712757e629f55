//! The configuration file of a store or a PD (`--config PATH`): TOML with TiKV's and PD's own tables, keys and units, of which
//! the stand-in reads the few that it obeys, and one table of its own, `[standin]`.
//!
//! As TiKV does at a start, it ignores keys that it does not know: a real node's file can be given to it as it is. In
//! `[standin]`, which only it reads, they are errors.

mod file;

use std::{path::Path, time::Duration};

use tikv_chaos_core::{
    Version,
    assumed::{MAX_PEER_DOWN, RAFT_ELECTION_TICKS, RAFT_HEARTBEAT_TICKS, RAFT_TICK, RESERVE_SPACE, STORE_HEARTBEAT},
};

use super::{
    behaviour::{self, Behaviour},
    pace::Pace,
};
use file::File;

/// What a node plays, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Play {
    pub pace: Pace,
    /// As it is written.
    pub speed: f64,
    pub behaviour: Behaviour,
}

/// A store's. Times are at TiKV's own pace.
#[derive(Debug, Clone)]
pub struct Store {
    pub play: Play,
    /// `storage.reserve-space` in bytes; 0 switches the check of the disk off.
    pub reserve_space: u64,
    /// `raftstore.capacity` in bytes; 0 is the disk's own.
    pub capacity: u64,
    pub raft_tick: Duration,
    pub heartbeat_ticks: u32,
    pub election_ticks: u32,
    pub store_heartbeat: Duration,
    pub max_peer_down: Duration,
    /// 0 stops at once.
    pub graceful_shutdown: Duration,
    /// `coprocessor.region-split-size` in bytes. Nothing splits here; it is told.
    pub region_split: u64,
}

/// A PD's. Times are at PD's own pace.
#[derive(Debug, Clone)]
pub struct Pd {
    pub play: Play,
    pub lease: Duration,
    /// Regions are made when so many stores are there.
    pub stores: usize,
    pub regions: u32,
}

impl Store {
    /// # Errors
    /// One sentence: the file can't be read, or what in it is not allowed.
    pub fn load(path: Option<&Path>) -> Result<Self, String> {
        Self::read(&File::load(path)?)
    }

    fn read(file: &File) -> Result<Self, String> {
        let play = Play::read(file, &[])?;
        let split = file.size("coprocessor", "region-split-size")?;
        let settings = Self {
            play,
            reserve_space: file.size("storage", "reserve-space")?.unwrap_or(RESERVE_SPACE),
            capacity: file.size("raftstore", "capacity")?.unwrap_or(0),
            raft_tick: file.time("raftstore", "raft-base-tick-interval")?.unwrap_or(RAFT_TICK),
            heartbeat_ticks: file.count("raftstore", "raft-heartbeat-ticks")?.unwrap_or(RAFT_HEARTBEAT_TICKS),
            election_ticks: file.count("raftstore", "raft-election-timeout-ticks")?.unwrap_or(RAFT_ELECTION_TICKS),
            store_heartbeat: file.time("raftstore", "pd-store-heartbeat-tick-interval")?.unwrap_or(STORE_HEARTBEAT),
            max_peer_down: file.time("raftstore", "max-peer-down-duration")?.unwrap_or(MAX_PEER_DOWN),
            graceful_shutdown: file
                .duration("server", "graceful-shutdown-timeout")?
                .unwrap_or(play.behaviour.graceful_shutdown),
            region_split: split.unwrap_or(play.behaviour.region_split),
        };
        if settings.election_ticks <= settings.heartbeat_ticks {
            return Err(file.refused("raftstore.raft-election-timeout-ticks must be more than raft-heartbeat-ticks"));
        }
        Ok(settings)
    }
}

impl Pd {
    /// # Errors
    /// As [`Store::load`].
    pub fn load(path: Option<&Path>) -> Result<Self, String> {
        Self::read(&File::load(path)?)
    }

    fn read(file: &File) -> Result<Self, String> {
        let play = Play::read(file, &["stores", "regions"])?;
        let lease = file.count("", "lease")?.map(|seconds| Duration::from_secs(seconds.into()));
        let regions = file.count("standin", "regions")?.unwrap_or(6);
        if regions > 100 {
            return Err(file.refused(&format!("standin.regions cannot be {regions}; allowed: 1 to 100")));
        }
        Ok(Self {
            play,
            lease: lease.unwrap_or(play.behaviour.pd_lease),
            stores: file.count("standin", "stores")?.unwrap_or(3) as usize,
            regions,
        })
    }
}

impl Play {
    /// `more` are the further keys of `[standin]`.
    fn read(file: &File, more: &[&str]) -> Result<Self, String> {
        let known = ["version", "speed"].iter().chain(more).copied().collect::<Vec<_>>();
        file.only("standin", &known)?;
        let version = file.text("standin", "version")?;
        let version = match &version {
            None => behaviour::DEFAULT,
            Some(text) => Version::parse(text).filter(|version| version.is_known()).ok_or_else(|| {
                file.refused(&format!("standin.version cannot be {text:?}; allowed: a release from 6.5.0 to 8.5"))
            })?,
        };
        let speed = file.number("standin", "speed")?.unwrap_or(1.0);
        let pace = Pace::parse(&speed.to_string())
            .map_err(|allowed| file.refused(&format!("standin.speed cannot be {speed}; {allowed}")))?;
        Ok(Self { pace, speed, behaviour: Behaviour::of(version) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(text: &str) -> Result<Store, String> {
        Store::read(&File::parse("tikv.toml", text)?)
    }

    fn pd(text: &str) -> Result<Pd, String> {
        Pd::read(&File::parse("pd.toml", text)?)
    }

    #[test]
    fn nothing_given_is_what_tikv_has() {
        let store = store("").unwrap();
        assert_eq!((store.reserve_space, store.capacity, store.region_split), (5 << 30, 0, 256 << 20));
        assert_eq!((store.raft_tick.as_secs(), store.heartbeat_ticks, store.election_ticks), (1, 2, 10));
        assert_eq!((store.graceful_shutdown.as_secs(), store.store_heartbeat.as_secs()), (20, 10));
        assert_eq!((store.play.speed, store.play.behaviour.to_string().as_str()), (1.0, "8.5.5-standin"));
        let pd = pd("").unwrap();
        assert_eq!((pd.stores, pd.regions, pd.lease.as_secs()), (3, 6, 5));
    }

    #[test]
    fn keys_and_units_are_those_of_tikv_and_pd() {
        let store = store(
            "[storage]\nreserve-space = \"64MiB\"\n[server]\ngraceful-shutdown-timeout = \"1m5s\"\n\
             [raftstore]\ncapacity = \"1.5GB\"\nraft-base-tick-interval = \"500ms\"\n\
             [standin]\nversion = \"v6.5.12\"\nspeed = 2.5\n",
        );
        let store = store.unwrap();
        assert_eq!((store.reserve_space, store.capacity), (64 << 20, 3 << 29));
        assert_eq!((store.graceful_shutdown.as_secs(), store.raft_tick.as_millis()), (65, 500));
        assert_eq!(store.region_split, 96 << 20, "its version's own");
        assert_eq!((store.play.speed, store.play.behaviour.version), (2.5, Version::new(6, 5, 12)));
        let pd = pd("lease = 9\n[standin]\nstores = 5\nregions = 10\nspeed = 10\n").unwrap();
        assert_eq!((pd.lease.as_secs(), pd.stores, pd.regions, pd.play.speed), (9, 5, 10, 10.0));
    }

    /// A user who moves on to the cluster of `compose` can keep the file.
    #[test]
    fn file_of_real_node_is_taken_as_it_is() {
        let store = store(include_str!("../../../../compose/tikv.toml")).unwrap();
        assert_eq!(store.reserve_space, 256 << 20);
        assert!(self::store("[raftstore]\nhibernate-regions = true\n[nonsense]\nx = 1\n").is_ok());
    }

    #[test]
    fn bad_value_is_one_sentence_with_what_is_allowed() {
        let cases = [
            (
                "[storage]\nreserve-space = \"64 apples\"",
                "storage.reserve-space cannot be \"64 apples\"; allowed: a size",
            ),
            ("[storage]\nreserve-space = -1", "storage.reserve-space cannot be -1; allowed: a size"),
            ("[raftstore]\ncapacity = \"99999999PiB\"", "raftstore.capacity cannot be"),
            ("[raftstore]\nraft-base-tick-interval = \"0s\"", "allowed: a time of more than nothing"),
            ("[raftstore]\nraft-heartbeat-ticks = 10", "must be more than raft-heartbeat-ticks"),
            (
                "[server]\ngraceful-shutdown-timeout = 20",
                "server.graceful-shutdown-timeout cannot be 20; allowed: a time",
            ),
            ("[standin]\nversion = \"5.4.0\"", "standin.version cannot be \"5.4.0\"; allowed: a release from 6.5.0"),
            ("[standin]\nspeed = 0.5", "standin.speed cannot be 0.5; allowed: 1 to 50"),
            ("[standin]\nsped = 2", "standin.sped is not known; allowed: version, speed"),
            ("storage = 5", "storage cannot be 5; allowed: a table"),
            ("[storage\nreserve-space = 1", "tikv.toml: line 1: "),
        ];
        for (text, expected) in cases {
            let error = store(text).unwrap_err();
            assert!(error.contains(expected) && error.starts_with("tikv.toml: "), "{text:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        assert!(pd("[standin]\nregions = 101").unwrap_err().contains("allowed: 1 to 100"));
        assert!(Store::load(Some(Path::new("/nowhere/tikv.toml"))).unwrap_err().contains("/nowhere/tikv.toml: "));
    }
}
