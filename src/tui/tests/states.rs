//! What the small cluster says of itself, second by second.

use std::collections::BTreeMap;

use super::fixtures::*;
use crate::{
    cluster::{ClusterState, NodeConfig, NodeView, PdNode, PdView, Quantiles, Read, StoreMetrics, StoreView},
    session::{Injection, Life},
    tui::Message,
};

const GIB: u64 = 1 << 30;

/// All well: three stores with a load, PD led by `pd0`; `pd2`, which Docker shows exited, does not answer.
pub fn state(seconds: i64) -> ClusterState {
    let now = at(seconds);
    let store = |number: u64| StoreView {
        id: number + 1,
        address: format!("tikv{number}:20160"),
        state_name: "Up".into(),
        version: "8.5.5".into(),
        last_heartbeat: Some(at(seconds - 2 - i64::try_from(number).unwrap())),
        leaders: 2,
        regions: 6,
        slow_score: Some(1.0),
        capacity: Some(21 * GIB),
        available: Some(12 * GIB + 400 * (GIB >> 10)),
    };
    // A load that breathes a little.
    let breath = [0.0, 6.0, 11.0, 3.0, -4.0, -9.0, -2.0][usize::try_from(seconds.rem_euclid(7)).unwrap()];
    let metrics = |number: u64| StoreMetrics {
        reads_per_s: Some(201.0 + breath),
        writes_per_s: Some(198.0 - breath / 2.0),
        failures_per_s: Some(0.0),
        read: Some(Quantiles { p50: 0.0006, p99: 0.0021 }),
        write: Some(Quantiles { p50: 0.0040, p99: 0.0110 + breath / 1e4 }),
        commit: Some(Quantiles { p50: 0.0010, p99: 0.0040 }),
        append: Some(Quantiles { p50: 0.0010, p99: 0.0030 }),
        leaders: Some(2),
        regions: Some(6),
        available: Some(12 * GIB + number),
        capacity: Some(21 * GIB),
        ..StoreMetrics::default()
    };
    // TiKV's defaults.
    let config = NodeConfig { reserve_space: Some(5 * GIB), capacity: Some(0), ..NodeConfig::default() };
    let node = |number: u64| {
        let view = NodeView {
            store: Some(store(number)),
            metrics: Read { value: Some(metrics(number)), at: Some(now), error: None },
            config: Read { value: Some(config.clone()), at: Some(now), error: None },
            via: None,
        };
        (format!("demo-demo-tikv{number}-1-id"), view)
    };
    let pd = |number: u64| PdNode {
        container_id: format!("demo-demo-pd{number}-1-id"),
        name: format!("demo-pd{number}-1"),
        answered: number < 2,
        error: (number == 2).then(|| "PD at demo-pd2-1:2379 is exited".to_owned()),
        member: Some(format!("pd{number}")),
        is_leader: number == 0,
        healthy: Some(number < 2),
        via: None,
    };
    let view = PdView {
        answered_by: "demo-pd0-1".into(),
        version: Some("v8.5.5".into()),
        leader: Some("pd0".into()),
        max_replicas: Some(3),
        region_count: Some(6),
        regions_without_quorum: Some(0),
        stores: (0..3).map(store).collect(),
        ..PdView::default()
    };
    ClusterState {
        cluster: "demo".into(),
        at: now,
        pd: Read { value: Some(view), at: Some(now), error: None },
        pd_nodes: (0..3).map(pd).collect(),
        pd_config: Read::default(),
        nodes: BTreeMap::from_iter((0..3).map(node)),
    }
}

/// As [`state`], so many seconds after `tikv0` was killed.
pub fn killed(seconds: i64, after: i64) -> ClusterState {
    let mut state = state(seconds);
    let id = "demo-demo-tikv0-1-id";
    let gone = state.nodes.get_mut(id).unwrap();
    gone.metrics.at = Some(at(seconds - after));
    gone.metrics.error = Some("TiKV at demo-tikv0-1:20180 is exited".into());
    let moved = after >= 13;
    for (node, view) in &mut state.nodes {
        let store = view.store.as_mut().unwrap();
        if node == id {
            store.last_heartbeat = Some(at(seconds - after - 4));
            store.leaders = if moved { 0 } else { 2 };
            store.state_name = if after >= 16 { "Disconnected" } else { "Up" }.into();
        } else {
            store.leaders = if moved { 3 } else { 2 };
            let metrics = view.metrics.value.as_mut().unwrap();
            metrics.unreachable_per_s.insert(1, 4.0);
            let share = if moved { 1.4 } else { 0.35 };
            metrics.reads_per_s = metrics.reads_per_s.map(|rate| rate * share);
            metrics.writes_per_s = metrics.writes_per_s.map(|rate| rate * share);
            metrics.write = Some(Quantiles { p50: 0.006, p99: if moved { 0.018 } else { 0.160 } });
        }
    }
    let stores = state.nodes.values().filter_map(|node| node.store.clone()).collect();
    if let Some(pd) = &mut state.pd.value {
        pd.stores = stores;
    }
    state
}

/// As [`state`], with `tikv0` refusing all of its writes, three times as many as it had before.
pub fn refusing(seconds: i64) -> ClusterState {
    let mut state = state(seconds);
    let full = state.nodes.get_mut("demo-demo-tikv0-1-id").and_then(|node| node.metrics.value.as_mut()).unwrap();
    full.writes_per_s = Some(600.0);
    full.successful_writes_per_s = Some(0.0);
    full.refused_per_s = Some(600.0);
    full.refused_by_reason = [("err_disk_full".to_owned(), 590.0), ("err_not_leader".to_owned(), 10.0)].into();
    full.write = Some(Quantiles { p50: 0.0001, p99: 0.0002 });
    state
}

/// Every second from the one to the other, with the clock.
pub fn seconds(screen: &mut Screen, from: i64, until: i64, state: impl Fn(i64) -> ClusterState) {
    for second in from..=until {
        screen.tell(Message::Clock(at(second)));
        screen.tell(Message::Cluster(vec![state(second)]));
    }
    screen.draw();
}

/// Two minutes of load.
pub fn loaded(width: u16, height: u16) -> Screen {
    let mut screen = Screen::ready(width, height);
    seconds(&mut screen, -120, 0, state);
    screen
}

pub fn injected(life: Life) -> Injection {
    injection(1, life, kill("demo-tikv0-1"), 0, Some(600))
}

/// [`loaded`], and then `tikv0` killed at 0, so many seconds ago.
pub fn hurt(screen: &mut Screen, seconds_ago: i64) {
    screen.send(mine(vec![injected(Life::Active)]));
    let mut nodes = cluster();
    nodes.nodes[0].state = crate::subject::docker::State::Exited;
    nodes.nodes[0].exit_code = Some(137);
    nodes.nodes[0].up_since = None;
    screen.send(up(nodes));
    seconds(screen, 1, seconds_ago, |second| killed(second, second));
    screen.planned();
}

/// And reverted then, so many seconds ago.
pub fn healed(screen: &mut Screen, at: i64, seconds_ago: i64) {
    screen.send(mine(vec![injected(Life::Clean)]));
    screen.send(up(cluster()));
    seconds(screen, at + 1, at + seconds_ago, state);
    screen.planned();
}
