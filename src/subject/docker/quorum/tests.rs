use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::cluster::{NodeView, Read, pd::regions};

fn store(id: u64) -> StoreView {
    StoreView {
        id,
        address: format!("tikv{id}:20160"),
        state_name: "Up".into(),
        last_heartbeat: Some(Timestamp::UNIX_EPOCH),
        regions: 6,
        ..StoreView::default()
    }
}

/// Stores 1 to 3 with containers `a`, `b` and `c`, one region on all of them.
fn cluster() -> ClusterState {
    let listed = regions(r#"{"regions":[{"peers":[{"store_id":1},{"store_id":2},{"store_id":3}]}]}"#).unwrap();
    let pd = PdView {
        stores: (1..=3).map(store).collect(),
        regions: Some(Arc::new(listed)),
        voter_counts: vec![3, 5],
        max_replicas: Some(3),
        ..PdView::default()
    };
    let node =
        |(id, number): (&str, u64)| (String::from(id), NodeView { store: Some(store(number)), ..NodeView::default() });
    ClusterState {
        pd: Read { value: Some(pd), at: Some(Timestamp::UNIX_EPOCH), error: None },
        nodes: [("a", 1), ("b", 2), ("c", 3)].map(node).into(),
        ..ClusterState::default()
    }
}

fn pd(cluster: &mut ClusterState) -> &mut PdView {
    cluster.pd.value.as_mut().unwrap()
}

fn by_regions(placement: &Placement) -> bool {
    matches!(placement, Placement::Regions(_))
}

#[test]
fn regions_are_taken_where_they_were_read() {
    let (placement, elsewhere) = of_stores(&["c", "b", "a"], Some(&cluster()));
    let Placement::Regions(found) = placement else { panic!("{placement:?}") };
    assert_eq!((found[0].0.stores(), found[0].1, elsewhere.len()), (vec![0, 1, 2], 1, 0));
}

#[test]
fn without_regions_the_rules_decide_then_max_replicas_then_the_default() {
    let mut cluster = cluster();
    let any = |counts: &[usize], known| Placement::Any { counts: counts.to_vec(), known };
    let found = |cluster: &ClusterState| of_stores(&["a", "b", "c"], Some(cluster)).0;
    // PD is silent: what it said of regions is too old.
    cluster.pd.error = Some("PD at pd0:2379 did not answer within 1 s".into());
    assert_eq!(found(&cluster), any(&[3, 5], Known::Rules));
    cluster.pd.error = None;
    pd(&mut cluster).regions = None;
    assert_eq!(found(&cluster), any(&[3, 5], Known::Rules));
    pd(&mut cluster).voter_counts = vec![];
    assert_eq!(found(&cluster), any(&[3], Known::MaxReplicas));
    pd(&mut cluster).rules_error = Some("nonsense".into());
    assert_eq!(found(&cluster), any(&[3], Known::Instead("nonsense".into())));
    *pd(&mut cluster) = PdView::default();
    assert_eq!(found(&cluster), any(&[3], Known::Not));
    assert_eq!(of_stores(&["a"], None).0, any(&[3], Known::Not));
}

#[test]
fn voters_on_stores_without_container_count() {
    let listed = r#"{"regions":[{"peers":[{"store_id":1},{"store_id":7},{"store_id":8}]}]}"#;
    let mut cluster = cluster();
    let down = StoreView { state_name: "Down".into(), ..store(7) };
    pd(&mut cluster).stores.push(down);
    pd(&mut cluster).regions = Some(Arc::new(regions(listed).unwrap()));
    let (placement, elsewhere) = of_stores(&["a", "b", "c"], Some(&cluster));
    assert!(by_regions(&placement));
    let said: Vec<_> = elsewhere.iter().map(|one| (one.name.as_str(), one.out.as_deref())).collect();
    assert_eq!(said, [("tikv7:20160", Some("is Down in PD")), ("store 8", Some("is not in PD's list of stores"))]);
    // One of the containers may be that store.
    let (placement, elsewhere) = of_stores(&["a", "b", "c", "d"], Some(&cluster));
    assert!(!by_regions(&placement) && elsewhere.is_empty());
    // Where regions are not read, those that have some; TiFlash has no voters.
    pd(&mut cluster).regions = None;
    pd(&mut cluster).stores.push(StoreView { regions: 0, ..store(9) });
    pd(&mut cluster).stores.push(store(10));
    pd(&mut cluster).tiflash.insert(10);
    let (_, elsewhere) = of_stores(&["a", "b", "c"], Some(&cluster));
    assert_eq!(elsewhere.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["tikv7:20160"]);
}

#[test]
fn container_that_is_no_store_does_not_hide_the_regions() {
    assert!(by_regions(&of_stores(&["a", "b", "c", "new"], Some(&cluster())).0));
}

#[test]
fn store_that_is_being_removed_serves_until_it_is_silent() {
    let mut cluster = cluster();
    let said =
        |cluster: &ClusterState, state: &str| not_serving(&StoreView { state_name: state.into(), ..store(1) }, cluster);
    assert_eq!((said(&cluster, "Up"), said(&cluster, "Offline")), (None, None));
    assert_eq!(said(&cluster, "Disconnected").as_deref(), Some("is Disconnected in PD"));
    cluster.pd.at = Some(Timestamp::from_second(21).unwrap());
    assert_eq!(said(&cluster, "Offline").as_deref(), Some("is Offline in PD and sends no heartbeats"));
}
