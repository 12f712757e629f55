//! A cluster of three that is hurt and healed second by second, as a reader would tell it.

use jiff::Timestamp;

use super::*;
use crate::{
    chaos::FaultType,
    cluster::{ClusterState, NodeView, PdView, Quantiles, Read, StoreMetrics, StoreView},
    subject::docker::Role,
};

fn at(tenths: i64) -> Timestamp {
    Timestamp::from_millisecond(1_770_000_000_000 + tenths * 100).unwrap()
}

/// Three nodes with two leaders each, a load, and one second between two readings.
fn healthy(tenths: i64) -> ClusterState {
    let now = at(tenths);
    let quantiles = |p99| Some(Quantiles { p50: p99 / 2.0, p99 });
    let node = |number: u64| {
        let store = StoreView {
            id: number,
            state_name: "Up".into(),
            last_heartbeat: Some(at(tenths - 20)),
            leaders: 2,
            regions: 6,
            available: Some(10 << 30),
            ..StoreView::default()
        };
        let metrics = StoreMetrics {
            reads_per_s: Some(200.0),
            writes_per_s: Some(200.0),
            write: quantiles(0.010),
            commit: quantiles(0.004),
            available: Some(10 << 30),
            ..StoreMetrics::default()
        };
        (
            format!("id{number}"),
            NodeView {
                store: Some(store),
                metrics: Read { value: Some(metrics), at: Some(now), error: None },
                config: Read::default(),
                via: None,
            },
        )
    };
    let nodes = (1..=3).map(node).collect();
    let pd = Read { value: Some(PdView::default()), at: Some(now), error: None };
    ClusterState { cluster: "demo".into(), at: now, pd, pd_nodes: vec![], pd_config: Read::default(), nodes }
}

fn store(state: &mut ClusterState) -> &mut StoreView {
    state.nodes.get_mut("id1").and_then(|node| node.store.as_mut()).unwrap()
}

fn metrics(state: &mut ClusterState, node: &str) -> StoreMetrics {
    state.nodes[node].metrics.value.clone().unwrap()
}

/// A track of an injection at 0, between healthy seconds.
fn track(kind: FaultType) -> Track {
    let readings: Vec<_> = (1..=10).map(|second| healthy(-10 * second)).rev().collect();
    let before = Before::of(readings.iter(), "id1", at(0));
    let mut track = Track::new(kind, Role::Tikv, ("id1".into(), "tikv1".into()), at(0), before);
    assert!(track.look(at(5), None, Some(&healthy(5))).is_empty());
    track
}

fn texts(seen: Vec<Seen>) -> Vec<String> {
    seen.into_iter().map(|one| one.text).collect()
}

fn mark(track: &Track, name: &str) -> Option<Mark> {
    track.expectations().find(|(one, ..)| one.name == name).expect("an expectation of that name").1
}

#[test]
fn leaders_that_leave_and_come_back_are_told_once_with_their_seconds() {
    let mut track = track(FaultType::NetworkPartition);
    assert_eq!(
        texts(track.look(at(113), None, Some(&healthy(113)))),
        ["the status port of tikv1 answers all the same after 11.3 s"]
    );
    let mut hurt = healthy(123);
    store(&mut hurt).leaders = 0;
    assert_eq!(texts(track.look(at(123), None, Some(&hurt)))[0], "leaders left tikv1 after 12.3 s");
    assert!(!texts(track.look(at(123), None, Some(&hurt))).iter().any(|text| text.starts_with("leaders")));
    track.ended = Some(at(600));
    assert!(!track.is_healed());
    hurt.at = at(610);
    hurt.pd.at = Some(at(610));
    assert!(!texts(track.look(at(610), None, Some(&hurt))).iter().any(|text| text.starts_with("leaders")));
    let seen = track.look(at(690), None, Some(&healthy(690)));
    assert!(seen.contains(&Seen { text: "leaders are back on tikv1 after 9.0 s".into(), healed: true }), "{seen:?}");
}

#[test]
fn what_goes_back_without_having_been_seen_is_not_told() {
    let mut track = track(FaultType::NodeKill);
    track.ended = Some(at(30));
    assert!(track.look(at(60), None, Some(&healthy(60))).is_empty());
    assert!(track.is_healed());
}

#[test]
fn readings_from_before_the_injection_or_the_revert_do_not_count() {
    let mut track = track(FaultType::NodeKill);
    let mut old = healthy(-5);
    store(&mut old).state_name = "Disconnected".into();
    assert!(track.look(at(1), None, Some(&old)).is_empty());
    // Put together after, but PD was last heard before.
    old.at = at(9);
    assert!(track.look(at(9), None, Some(&old)).is_empty());
}

#[test]
fn what_a_silent_pd_said_last_is_no_sign() {
    let mut track = track(FaultType::NodeKill);
    let mut state = healthy(50);
    store(&mut state).state_name = "Disconnected".into();
    state.pd.error = Some("no answer within 1 s".into());
    assert!(track.look(at(50), None, Some(&state)).is_empty());
    state.pd.error = None;
    assert_eq!(texts(track.look(at(50), None, Some(&state))), ["PD calls tikv1 Disconnected after 5.0 s"]);
}

#[test]
fn a_measure_must_hold_for_three_readings_and_counts_from_the_first() {
    let mut track = track(FaultType::Latency);
    let slow = |tenths| {
        let mut state = healthy(tenths);
        let mut value = metrics(&mut state, "id1");
        value.write = Some(Quantiles { p50: 0.1, p99: 0.15 });
        state.nodes.get_mut("id1").unwrap().metrics.value = Some(value);
        state
    };
    assert!(track.look(at(10), None, Some(&slow(10))).is_empty());
    assert!(track.look(at(20), None, Some(&healthy(20))).is_empty());
    assert!(track.look(at(30), None, Some(&slow(30))).is_empty());
    assert!(track.look(at(40), None, Some(&slow(40))).is_empty());
    assert!(track.look(at(40), None, Some(&slow(40))).is_empty(), "the same reading twice is one");
    assert_eq!(texts(track.look(at(50), None, Some(&slow(50)))), ["writes on tikv1 take twice as long after 3.0 s"]);
}

#[test]
fn the_others_and_the_status_port_tell_a_kill() {
    let mut track = track(FaultType::NodeKill);
    let mut state = healthy(20);
    let mut other = metrics(&mut state, "id2");
    other.unreachable_per_s.insert(1, 3.0);
    state.nodes.get_mut("id2").unwrap().metrics.value = Some(other);
    state.nodes.get_mut("id1").unwrap().metrics.error = Some("connection refused".into());
    let seen = texts(track.look(at(20), None, Some(&state)));
    assert_eq!(seen, ["the status port of tikv1 is silent after 2.0 s", "the others cannot reach tikv1 after 2.0 s"]);
}

#[test]
fn what_must_not_change_is_ticked_when_its_time_has_come() {
    let mut track = track(FaultType::NetworkPartition);
    track.look(at(240), None, Some(&healthy(240)));
    assert_eq!(mark(&track, "PD still says Up"), None);
    track.look(at(260), None, Some(&healthy(260)));
    assert_eq!(mark(&track, "PD still says Up"), Some(Mark::After(26.0)));
}

#[test]
fn a_first_look_that_comes_late_says_already_and_tells_nothing() {
    let mut track =
        Track::new(FaultType::NodeKill, Role::Tikv, ("id1".into(), "tikv1".into()), at(0), Before::default());
    let mut state = healthy(3_000);
    store(&mut state).state_name = "Disconnected".into();
    assert!(track.look(at(3_000), None, Some(&state)).is_empty());
    assert_eq!(mark(&track, "PD: Disconnected"), Some(Mark::Already));
}

#[test]
fn less_space_is_a_share_of_what_there_was() {
    let mut track = track(FaultType::DiskPressure);
    let mut state = healthy(100);
    let mut value = metrics(&mut state, "id1");
    value.available = Some(2 << 30);
    state.nodes.get_mut("id1").unwrap().metrics.value = Some(value);
    let seen = texts(track.look(at(100), None, Some(&state)));
    assert_eq!(seen, ["tikv1 has less than 80 % of its space available after 10.0 s"]);
}
