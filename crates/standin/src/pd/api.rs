//! PD's HTTP API, in real PD's shapes (tikv/pd pkg/response, server/api). Pure: a view of the cluster in, JSON out.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    state::{Member, State},
    units::{bytes_size, go_duration},
};
use crate::{
    http::Answer,
    pace::Pace,
    settings,
    wire::{Heartbeat, Led, Region, StoreMeta},
};
use tikv_chaos_core::{
    assumed::{self, DISCONNECTED, DISCONNECTED_AFTER, DOWN, DOWN_AFTER, MAX_REPLICAS, UP},
    disk::DiskUsage,
};

/// `low-space-ratio`: a store with more than this share in use gets nothing more, unless it is young: has few regions and much
/// room (tikv/pd pkg/core/store.go, IsLowSpace).
const LOW_SPACE: f64 = 0.8;
const YOUNG_REGIONS: u64 = 100;
const YOUNG_ROOM: u64 = 8 << 30;
/// A slow score from which PD calls a store slow.
const SLOW: f64 = 80.0;
/// What PD's metric calls unhealthy: `storeUnhealthyDuration`, pkg/core/store.go.
const UNHEALTHY_AFTER: Duration = Duration::from_secs(600);

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
    /// A store that ends and gets no more leaders.
    pub stopping: Option<u64>,
    pub settings: &'a settings::Pd,
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
            "/pd/api/v1/leader" => member(self.state, self.leader, &self.settings.play.behaviour.to_string()),
            assumed::PD_CLUSTER_STATUS => self.cluster_status(),
            assumed::PD_REGION_STATS => self.region_stats(),
            assumed::PD_REGIONS => self.regions(),
            assumed::PD_REPLICATION => replication(),
            assumed::PD_RULES => json!([{
                "group_id": "pd", "id": "default", "start_key": "", "end_key": "", "role": "voter",
                "is_witness": false, "count": MAX_REPLICAS,
            }]),
            "/pd/api/v1/config/schedule" => self.schedule(),
            assumed::PD_CONFIG => json!({
                "lease": self.settings.lease.as_secs(), "replication": replication(), "schedule": self.schedule(),
                "standin": { "speed": self.settings.play.speed },
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
            let up = state_name(beat.at.elapsed(), self.settings.play.pace) == UP;
            well && up && !self.is_low(**id) && self.stopping != Some(**id)
        });
        fit.copied().collect()
    }

    /// Stores that said that their disks are.
    pub fn full(&self) -> Vec<u64> {
        let full = |id: &&u64| self.beat(**id).said.as_ref().is_some_and(|said| said.usage != DiskUsage::Normal);
        self.state.stores.keys().filter(full).copied().collect()
    }

    pub fn is_low(&self, store: u64) -> bool {
        self.beat(store).said.as_ref().is_some_and(|said| {
            let (space, few) = (said.space, said.region_count < YOUNG_REGIONS);
            let is_young = few && space.available > YOUNG_ROOM;
            !is_young && (space.available as f64) < (1.0 - LOW_SPACE) * space.capacity as f64
        })
    }

    /// The values of `pd_cluster_status`, by name and store.
    pub fn counts(&self) -> Vec<(&'static str, u64, f64)> {
        let of = |id: u64| {
            let beat = self.beat(id);
            let state = state_name(beat.at.elapsed(), self.settings.play.pace);
            let said = beat.said.as_ref();
            let leads = self.state.leaders.values().filter(|leader| leader.store == id).count();
            let is = |holds: bool| f64::from(u8::from(holds));
            [
                ("store_up_count", is(state == UP)),
                ("store_disconnected_count", is(state == DISCONNECTED)),
                ("store_down_count", is(state == DOWN)),
                ("store_unhealth_count", is(beat.at.elapsed() > self.settings.play.pace.of(UNHEALTHY_AFTER))),
                ("store_offline_count", 0.0),
                ("store_tombstone_count", 0.0),
                ("store_low_space_count", is(self.is_low(id))),
                ("store_slow_count", is(said.is_some_and(|said| said.slow_score >= SLOW))),
                ("region_count", said.map_or(0.0, |said| said.region_count as f64)),
                ("leader_count", leads as f64),
                ("storage_size", said.map_or(0.0, |said| said.space.used as f64)),
                ("storage_capacity", said.map_or(0.0, |said| said.space.capacity as f64)),
            ]
            .map(|(name, value)| (name, id, value))
        };
        self.state.stores.keys().flat_map(|id| of(*id)).collect()
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
            if self.settings.play.behaviour.has_network_score() && !said.network_slow_score.is_empty() {
                status["network_slow_score"] = json!(said.network_slow_score);
            }
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
                "node_state": 1, "state_name": state_name(beat.at.elapsed(), self.settings.play.pace),
            },
            "status": status,
        })
    }

    /// A region's size as PD counts it: whole MiB, and never less than one.
    fn mib(&self, region: u64) -> u64 {
        self.led(region).map_or(1, |led| (led.size >> 20).max(1))
    }

    fn schedule(&self) -> Value {
        json!({
            "max-store-down-time": go_duration(DOWN_AFTER), "leader-schedule-limit": 4, "region-schedule-limit": 0,
            "replica-schedule-limit": 0, "low-space-ratio": LOW_SPACE, "high-space-ratio": 0.7,
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

fn replication() -> Value {
    json!({
        "max-replicas": MAX_REPLICAS, "location-labels": "", "strictly-match-label": "false",
        "enable-placement-rules": "true", "isolation-level": "",
    })
}

/// The answer to `/members`, which a member that does not lead can give, too.
pub fn members(state: &State, leader: u64, version: &str) -> Value {
    let members: Vec<Value> = state.members.keys().map(|id| member(state, *id, version)).collect();
    let leader = member(state, leader, version);
    json!({
        "header": { "cluster_id": state.cluster_id },
        "members": members, "leader": leader, "etcd_leader": leader,
    })
}

fn member(state: &State, id: u64, version: &str) -> Value {
    let Some(Member { name, client, peer }) = state.members.get(&id) else { return json!({}) };
    json!({
        "name": name, "member_id": id, "peer_urls": [url(peer)], "client_urls": [url(client)],
        "deploy_path": "/", "binary_version": version, "git_hash": "",
    })
}

pub fn url(address: &str) -> String {
    format!("http://{address}")
}

/// As PD prints keys.
fn hex(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02X}")).collect()
}
