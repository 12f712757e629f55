use proptest::prelude::*;

use super::*;

const V8: &str = include_str!("../../../tests/data/pd/v8.5.5/stores.json");
const GIB: u64 = 1 << 30;

#[test]
fn stores_of_today_are_read_and_tombstones_left_out() {
    let stores = stores(V8).unwrap();
    let views: Vec<&StoreView> = stores.iter().map(|store| &store.view).collect();
    assert_eq!(views.iter().map(|view| view.id).collect::<Vec<_>>(), [1, 4]);
    assert_eq!((views[0].state_name.as_str(), views[1].state_name.as_str()), ("Up", "Disconnected"));
    assert_eq!((views[0].leaders, views[0].regions, views[0].slow_score), (12, 31, Some(1.0)));
    assert_eq!(
        (views[0].capacity, views[0].available, views[1].available),
        (Some(854 * GIB), Some(138 * GIB), Some(0))
    );
    assert_eq!(views[0].last_heartbeat.unwrap().to_string(), "2026-01-30T09:05:00.871102157Z");
    assert_eq!(stores[0].status_address, "tikv0:20180");
    assert_eq!(count_states(views), "1 Up, 1 Disconnected");
}

#[test]
fn stores_of_older_versions_are_read() {
    let old = stores(include_str!("../../../tests/data/pd/v5.4/stores.json")).unwrap();
    assert_eq!(old[0].view.available, Some(78_512_002_171));
    // Only the number says when it beat.
    assert_eq!(old[0].view.last_heartbeat.unwrap().as_nanosecond(), 1_645_000_100_123_456_789);
    let older = stores(include_str!("../../../tests/data/pd/v3.0/stores.json")).unwrap();
    let views: Vec<&StoreView> = older.iter().map(|store| &store.view).collect();
    assert_eq!((views[0].capacity, views[1].capacity), (Some(854 * GIB), Some(854 * GIB)));
    assert_eq!((views[0].leaders, views[0].slow_score), (0, None));
    assert_eq!(views[0].last_heartbeat.unwrap().to_string(), "2019-06-01T00:05:00.871102157Z");
    assert_eq!(views[1].last_heartbeat, None, "Go's zero time is no heartbeat");
}

#[test]
fn a_leader_is_named_or_there_is_none() {
    let now = members(include_str!("../../../tests/data/pd/v8.5.5/members.json")).unwrap();
    assert_eq!((now.leader.as_deref(), now.members.len()), (Some("pd1"), 2));
    assert_eq!(now.members[0].client_urls, ["http://pd0:2379"]);
    for electing in [
        include_str!("../../../tests/data/pd/v5.4/members.json"),
        include_str!("../../../tests/data/pd/v3.0/members.json"),
    ] {
        assert_eq!(members(electing).unwrap().leader, None);
    }
    let health = health(include_str!("../../../tests/data/pd/v8.5.5/health.json")).unwrap();
    let healthy: Vec<_> = health.iter().map(|member| (member.name.as_str(), member.health)).collect();
    assert_eq!(healthy, [("pd0", Some(true)), ("pd1", Some(false))]);
}

#[test]
fn the_small_answers_are_read() {
    assert_eq!(region_count(include_str!("../../../tests/data/pd/v8.5.5/region-stats.json")), Ok(31));
    assert_eq!(max_replicas(include_str!("../../../tests/data/pd/v8.5.5/replication.json")), Ok(Some(3)));
    assert_eq!(max_replicas("{}"), Ok(None));
    assert_eq!(version(include_str!("../../../tests/data/pd/v8.5.5/version.json")).as_deref(), Ok("v8.5.5"));
}

#[test]
fn sizes_are_read_as_go_writes_them() {
    let cases = [
        ("854GiB", Some(854 * GIB)),
        ("854 GiB", Some(854 * GIB)),
        ("31.42MiB", Some(32_946_258)),
        ("0B", Some(0)),
        ("1024", Some(1024)),
        ("1.5 TiB", Some(1536 * GIB)),
        ("5KiB", Some(5120)),
        ("-3GiB", None),
        ("GiB", None),
        ("", None),
        ("3XiB", None),
        ("1.2.3GiB", None),
    ];
    for (text, expected) in cases {
        assert_eq!(bytes_of(text), expected, "{text:?}");
    }
}

#[test]
fn what_is_no_answer_is_named() {
    let half = &V8[..V8.len() / 2];
    let cases = [
        ("", "answered nothing"),
        (half, "answered half a JSON document"),
        ("hello", "answered something that is not JSON"),
        ("{}", "missing field `stores`"),
        (r#"{"error":"no leader"}"#, "missing field `stores`"),
        ("[]", "another document"),
        (r#"{"stores":7}"#, "wrong at stores: invalid type: integer `7`"),
        (r#"{"stores":[{"store":{"id":"one"}}]}"#, "wrong at stores[0].store.id"),
        (
            r#"{"stores":[{"store":{"id":1},"status":{"capacity":"much"}}]}"#,
            "stores[0].status.capacity: \"much\" is no size",
        ),
        (r#"{"stores":[{"store":{"id":1},"status":{"leader_count":-1}}]}"#, "stores[0].status.leader_count"),
    ];
    for (text, expected) in cases {
        let error = stores(text).unwrap_err();
        assert!(error.contains(expected), "{text:.40}: {error}");
    }
}

#[test]
fn an_address_is_split() {
    assert_eq!(host_and_port("tikv0:20160"), Some(("tikv0", 20160)));
    assert_eq!(host_and_port("http://pd0:2379"), Some(("pd0", 2379)));
    assert_eq!(host_and_port("http://pd0:2379/pd/api/v1/stores?x"), Some(("pd0", 2379)));
    assert_eq!(host_and_port("[fd00::1]:20160"), Some(("fd00::1", 20160)));
    assert_eq!(host_and_port("tikv0"), None);
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(text in ".{0,200}", cut in 0..V8.len()) {
        let half = V8.get(..cut).unwrap_or_default();
        for text in [text.as_str(), half, &format!(r#"{{"stores":[{{"store":{{"id":1}},"status":{{"capacity":{text:?}}}}}]}}"#)] {
            let _ = (stores(text), members(text), health(text), version(text), region_count(text));
            let _ = (regions(text), voter_counts(text));
        }
    }
}
