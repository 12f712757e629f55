use std::slice::from_ref;

use super::*;
use crate::cluster::pd::{Store, stores};

const V8: &str = include_str!("../../../../tests/data/pd/v8.5.5/stores.json");
const LISTED: &str = include_str!("../../../../tests/data/pd/v8.5.5/regions.json");
const CHANGING: &str = include_str!("../../../../tests/data/pd/v8.5.5/regions-changing.json");

#[test]
fn region_without_quorum_has_most_voters_on_stores_that_do_not_serve() {
    let views: Vec<StoreView> = stores(V8).unwrap().into_iter().map(|store| store.view).collect();
    let now = views[0].last_heartbeat.unwrap();
    let serving = |id| views.iter().any(|one| one.id == id && serves(one, &views, now));
    // Region 2: one of three voters. Region 8: its one voter, the learner does not count. Region 11: one of two.
    assert_eq!(regions(LISTED).unwrap().without_quorum(serving), 2);
    assert_eq!(regions(r#"{"count":0,"regions":null}"#), Ok(Regions::default()));
}

#[test]
fn roles_of_a_region_that_changes_its_peers_are_read() {
    let regions = regions(CHANGING).unwrap();
    let lost = |out: &[u64]| regions.without_quorum(|store| !out.contains(&store));
    // Region 2 moves a voter from store 1 to 4 and needs two of {1, 2, 3} and of {2, 3, 4}; region 6 has a witness on 5;
    // region 10 has a learner on 5; region 14 has one voter, on 2.
    assert_eq!((lost(&[]), lost(&[1]), lost(&[4]), lost(&[1, 4])), (0, 0, 0, 0));
    assert_eq!((lost(&[2]), lost(&[1, 3]), lost(&[3, 4])), (1, 3, 1));
    assert_eq!((lost(&[5]), lost(&[3, 5]), lost(&[1, 2, 3, 4, 5])), (0, 1, 4));
}

#[test]
fn store_that_is_being_removed_serves_while_it_is_heard() {
    let at = |seconds: i64| Timestamp::from_second(1_770_000_000 + seconds).unwrap();
    let store = |id: u64, state: &str, beat: Option<i64>| StoreView {
        id,
        state_name: state.to_owned(),
        last_heartbeat: beat.map(at),
        ..StoreView::default()
    };
    let alone = |one: StoreView, seconds| serves(&one, from_ref(&one), at(seconds));
    assert!(alone(store(1, "Offline", Some(0)), 20));
    assert!(!alone(store(1, "Offline", Some(0)), 21));
    assert!(!alone(store(1, "Offline", None), 0), "never heard");
    // PD's own word is enough of others, whenever they were heard.
    assert!(alone(store(1, "Up", None), 100));
    for state in ["Disconnected", "Down", "Tombstone", "Unheard-of", ""] {
        assert!(!alone(store(1, state, Some(0)), 0), "{state}");
    }
    // Our clock is a minute behind PD's.
    let all = [store(1, "Offline", Some(30)), store(2, "Up", Some(60))];
    assert!(!serves(&all[0], &all, at(0)));
    assert!(serves(&store(1, "Offline", Some(50)), &all, at(0)));
}

#[test]
fn tiflash_is_told_by_its_label() {
    let answer = |labels: &str| stores(&format!(r#"{{"stores":[{{"store":{{"id":1,"labels":{labels}}}}}]}}"#));
    let is_tiflash = |labels| answer(labels).map(|stores: Vec<Store>| stores[0].is_tiflash);
    assert_eq!(is_tiflash(r#"[{"key":"engine","value":"tiflash"}]"#), Ok(true));
    assert_eq!(is_tiflash(r#"[{"key":"zone","value":"tiflash"}]"#), Ok(false));
    assert_eq!(is_tiflash("null"), Ok(false));
}

#[test]
fn region_list_that_is_not_understood_is_not_guessed() {
    for (text, expected) in [
        ("", "answered nothing"),
        ("null", "another document"),
        ("[]", "another document"),
        ("{}", "missing field `regions`"),
        (r#"{"error":"no leader"}"#, "missing field `regions`"),
        (&LISTED[..LISTED.len() / 2], "answered half a JSON document"),
        (r#"{"count":2,"regions":[{"peers":[{"store_id":1}]}]}"#, "1 regions instead of its `count`"),
        (r#"{"regions":[{"id":2,"peers":null}]}"#, "no voter in regions[0]"),
        (r#"{"regions":[{"peers":[{"store_id":1,"role_name":"Learner"}]}]}"#, "no voter in regions[0]"),
        (r#"{"regions":[{"peers":[{"id":3}]}]}"#, "regions[0].peers[0]"),
        (r#"{"regions":[{"peers":[{"store_id":1,"role_name":"Emperor"}]}]}"#, "regions[0].peers[0].role_name"),
        (r#"{"regions":[{"peers":[{"store_id":-1}]}]}"#, "regions[0].peers[0].store_id"),
    ] {
        let error = regions(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    // PD before 5.0 tells learners alone.
    let old = regions(r#"{"regions":[{"peers":[{"store_id":1},{"store_id":4,"is_learner":true}]}]}"#).unwrap();
    assert_eq!((old.without_quorum(|store| store == 1), old.without_quorum(|store| store == 4)), (0, 1));
}
