//! PD's HTTP API, in real PD's shapes (tikv/pd pkg/response, server/api). Pure: a view of the cluster in, JSON out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    state::{Member, State},
    units::{bytes_size, go_duration},
};
use crate::{
    VERSION,
    http::Answer,
    pace::Pace,
    wire::{DiskUsage, Heartbeat, Led, Region, StoreMeta},
};
use tikv_chaos_core::assumed::{self, DISCONNECTED, DISCONNECTED_AFTER, DOWN, DOWN_AFTER, MAX_REPLICAS, UP};

/// `low-space-ratio`: a store with more than this share in use gets nothing more.
const LOW_SPACE: f64 = 0.8;
/// A slow score from which PD calls a store slow.
const SLOW: f64 = 80.0;

/// A store's last heartbeat.
#[derive(Debug, Clone)]
pub struct Beat {
    pub at: Instant,
    pub time: Timestamp,
    /// None since this PD leads.
    pub said: Option<Heartbeat>,
}

/// What PD's leader knows at one moment.
pub struct View<'a> {
    pub state: &'a State,
    pub beats: &'a HashMap<u64, Beat>,
    /// For stores that have not beaten since this PD leads.
    pub leading_since: Beat,
    pub leader: u64,
    /// Members that answer.
    pub healthy: BTreeSet<u64>,
    pub pace: Pace,
}

/// PD's word for a store that it last heard of so long ago.
pub fn state_name(age: Duration, pace: Pace) -> &'static str {
    if age > pace.of(DOWN_AFTER) {
        DOWN
    } else if age > pace.of(DISCONNECTED_AFTER) {
        DISCONNECTED
    } else {
        UP
    }
}

impl View<'_> {
    /// The answer to a path under `/pd/api/v1`.
    pub fn answer(&self, path: &str) -> Answer {
        if let Some(id) = path.strip_prefix("/pd/api/v1/store/") {
            let store = id.parse().ok().and_then(|id| self.state.stores.get(&id));
            return match store {
                Some(store) => Answer::json(&self.store(store)),
                None => Answer::text(404, &format!("store {id} not found\n")),
            };
        }
        Answer::json(&match path {
            assumed::PD_STORES => self.stores(),
            assumed::PD_HEALTH => self.health(),
            assumed::PD_MEMBERS => self.members(),
            "/pd/api/v1/leader" => self.member(self.leader),
            assumed::PD_CLUSTER_STATUS => self.cluster_status(),
            assumed::PD_REGION_STATS => self.region_stats(),
            assumed::PD_REGIONS => self.regions(),
            assumed::PD_REPLICATION => json!({
                "max-replicas": MAX_REPLICAS, "location-labels": "", "strictly-match-label": "false",
                "enable-placement-rules": "true", "isolation-level": ""
            }),
            "/pd/api/v1/config/schedule" => json!({
                "max-store-down-time": go_duration(self.pace.of(DOWN_AFTER)), "leader-schedule-limit": 1,
                "region-schedule-limit": 0, "replica-schedule-limit": 0, "low-space-ratio": LOW_SPACE,
                "high-space-ratio": 0.7
            }),
            _ => return Answer::text(404, "404 page not found\n"),
        })
    }

    pub fn beat(&self, store: u64) -> &Beat {
        self.beats.get(&store).unwrap_or(&self.leading_since)
    }

    /// Stores that may get more leaders.
    pub fn fit(&self) -> Vec<u64> {
        let fit = self.state.stores.keys().filter(|id| {
            let beat = self.beat(**id);
            let well = beat.said.as_ref().is_some_and(|said| said.usage == DiskUsage::Normal && said.slow_score < SLOW);
            well && state_name(beat.at.elapsed(), self.pace) == UP && !self.is_low(**id)
        });
        fit.copied().collect()
    }

    /// Stores that said that their disks are.
    pub fn full(&self) -> Vec<u64> {
        let full = |id: &&u64| self.beat(**id).said.as_ref().is_some_and(|said| said.usage != DiskUsage::Normal);
        self.state.stores.keys().filter(full).copied().collect()
    }

    pub fn is_low(&self, store: u64) -> bool {
        let space = self.beat(store).said.as_ref().map(|said| said.space);
        space.is_some_and(|space| (space.available as f64) < (1.0 - LOW_SPACE) * space.capacity as f64)
    }

    /// The values of `pd_cluster_status`.
    pub fn counts(&self) -> BTreeMap<&'static str, f64> {
        let mut counts: BTreeMap<&'static str, f64> = [
            "store_up_count",
            "store_disconnected_count",
            "store_down_count",
            "store_unhealth_count",
            "store_offline_count",
            "store_tombstone_count",
            "store_low_space_count",
            "store_slow_count",
            "region_count",
            "leader_count",
            "storage_size",
            "storage_capacity",
        ]
        .map(|name| (name, 0.0))
        .into();
        let mut add = |name, value| *counts.entry(name).or_default() += value;
        for id in self.state.stores.keys() {
            let beat = self.beat(*id);
            match state_name(beat.at.elapsed(), self.pace) {
                UP => add("store_up_count", 1.0),
                DISCONNECTED => add("store_disconnected_count", 1.0),
                _ => add("store_down_count", 1.0),
            }
            if let Some(said) = &beat.said {
                add("store_low_space_count", f64::from(self.is_low(*id)));
                add("store_slow_count", f64::from(said.slow_score >= SLOW));
                add("storage_capacity", said.space.capacity as f64);
                add("storage_size", said.space.used as f64);
                add("region_count", said.region_count as f64);
            }
        }
        add("leader_count", self.state.leaders.len() as f64);
        counts
    }

    fn led(&self, region: u64) -> Option<&Led> {
        let leader = self.state.leaders.get(&region)?;
        self.beat(leader.store).said.as_ref()?.leads.iter().find(|led| led.region == region)
    }

    fn stores(&self) -> Value {
        let stores: Vec<Value> = self.state.stores.values().map(|store| self.store(store)).collect();
        json!({ "count": stores.len(), "stores": stores })
    }

    fn store(&self, store: &StoreMeta) -> Value {
        let beat = self.beat(store.id);
        let leaders: Vec<u64> =
            self.state.leaders.iter().filter(|(_, leader)| leader.store == store.id).map(|(id, _)| *id).collect();
        let here: Vec<u64> =
            self.state.regions.values().filter(|one| one.peer_on(store.id).is_some()).map(|one| one.id).collect();
        let mib = |regions: &[u64]| regions.iter().map(|id| self.mib(*id)).sum::<u64>();
        let mut status = json!({
            "capacity": "0B", "available": "0B", "used_size": "0B",
            "leader_count": leaders.len(), "leader_weight": 1, "leader_score": leaders.len(),
            "leader_size": mib(&leaders),
            "region_count": here.len(), "region_weight": 1, "region_score": mib(&here), "region_size": mib(&here),
        });
        if let Some(said) = &beat.said {
            status["capacity"] = bytes_size(said.space.capacity).into();
            status["available"] = bytes_size(said.space.available).into();
            status["used_size"] = bytes_size(said.space.used).into();
            status["slow_score"] = said.slow_score.into();
            if said.pending_peers > 0 {
                status["pending_peer_count"] = said.pending_peers.into();
            }
        }
        let start = Timestamp::from_second(store.start_timestamp).unwrap_or_default();
        status["start_ts"] = start.to_string().into();
        status["last_heartbeat_ts"] = beat.time.to_string().into();
        let uptime = Duration::try_from(beat.time.duration_since(start)).unwrap_or_default();
        if !uptime.is_zero() {
            status["uptime"] = go_duration(uptime).into();
        }
        json!({
            "store": {
                "id": store.id, "address": store.address, "version": store.version, "peer_address": store.address,
                "status_address": store.status_address, "git_hash": "", "start_timestamp": store.start_timestamp,
                "deploy_path": store.deploy_path, "last_heartbeat": beat.time.as_nanosecond() as i64,
                "node_state": 1, "state_name": state_name(beat.at.elapsed(), self.pace),
            },
            "status": status,
        })
    }

    /// A region's size as PD counts it: whole MiB, and never less than one.
    fn mib(&self, region: u64) -> u64 {
        self.led(region).map_or(1, |led| (led.size >> 20).max(1))
    }

    fn health(&self) -> Value {
        let members = self.state.members.iter().map(|(id, member)| {
            json!({
                "name": member.name, "member_id": id, "client_urls": [url(&member.client)],
                "health": self.healthy.contains(id),
            })
        });
        members.collect()
    }

    fn members(&self) -> Value {
        let members: Vec<Value> = self.state.members.keys().map(|id| self.member(*id)).collect();
        let leader = self.member(self.leader);
        json!({
            "header": { "cluster_id": self.state.cluster_id },
            "members": members, "leader": leader, "etcd_leader": leader,
        })
    }

    fn member(&self, id: u64) -> Value {
        let Some(Member { name, client, peer }) = self.state.members.get(&id) else { return json!({}) };
        json!({
            "name": name, "member_id": id, "peer_urls": [url(peer)], "client_urls": [url(client)],
            "deploy_path": "/", "binary_version": VERSION, "git_hash": "",
        })
    }

    fn cluster_status(&self) -> Value {
        json!({
            "raft_bootstrap_time": self.state.bootstrapped.unwrap_or_default().to_string(),
            "is_initialized": self.state.bootstrapped.is_some(), "replication_status": "",
        })
    }

    fn region_stats(&self) -> Value {
        let (mut leaders, mut peers) = (BTreeMap::<u64, u64>::new(), BTreeMap::<u64, u64>::new());
        for region in self.state.regions.values() {
            region.peers.iter().for_each(|peer| *peers.entry(peer.store_id).or_default() += 1);
            if let Some(leader) = self.state.leaders.get(&region.id) {
                *leaders.entry(leader.store).or_default() += 1;
            }
        }
        let led = || self.state.regions.keys().map(|id| self.led(*id));
        json!({
            "count": self.state.regions.len(),
            "empty_count": led().filter(|led| led.is_none_or(|led| led.keys == 0)).count(),
            "storage_size": self.state.regions.keys().map(|id| self.mib(*id)).sum::<u64>(),
            "storage_keys": led().flatten().map(|led| led.keys).sum::<u64>(),
            "store_leader_count": leaders, "store_peer_count": peers,
        })
    }

    fn regions(&self) -> Value {
        let regions: Vec<Value> = self.state.regions.values().map(|region| self.region(region)).collect();
        json!({ "count": regions.len(), "regions": regions })
    }

    fn region(&self, region: &Region) -> Value {
        let peer = |id: u64| {
            json!({
                "id": id, "store_id": region.store_of(id), "role_name": "Voter", "is_learner": false,
            })
        };
        let leader = self.state.leaders.get(&region.id).and_then(|leader| region.peer_on(leader.store));
        let led = self.led(region.id).cloned().unwrap_or_default();
        let mut value = json!({
            "id": region.id, "start_key": hex(&region.start_key), "end_key": hex(&region.end_key),
            "epoch": { "conf_ver": region.peers.len(), "version": 1 },
            "peers": region.peers.iter().map(|one| peer(one.id)).collect::<Vec<_>>(),
            "leader": leader.map_or(json!({}), |leader| peer(leader.id)),
            "cpu_usage": 0, "written_bytes": 0, "read_bytes": 0, "written_keys": 0, "read_keys": 0,
            "approximate_size": self.mib(region.id), "approximate_keys": led.keys,
        });
        if !led.down.is_empty() {
            let down = led.down.iter().map(|(id, seconds)| json!({ "peer": peer(*id), "down_seconds": seconds }));
            value["down_peers"] = down.collect();
        }
        if !led.pending.is_empty() {
            value["pending_peers"] = led.pending.iter().map(|id| peer(*id)).collect();
        }
        value
    }
}

fn url(address: &str) -> String {
    format!("http://{address}")
}

/// As PD prints keys.
fn hex(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02X}")).collect()
}
