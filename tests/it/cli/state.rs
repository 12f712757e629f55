//! `state`: the stores and regions as PD counts them.

use support::{docker_is_here, http::stores};

use super::{STORES, start};

#[test]
fn state_reports_stores_and_region_count() {
    if !docker_is_here() {
        return;
    }
    let (fake, program) = start(1, 3);
    fake.pds[0].set(STORES, stores(&["Up", "Disconnected", "Up"]));
    let state = program.run(&["state", "--json"]).ok().json();
    let expected = serde_json::json!([
        {"id": 1, "address": "tikv0:20160", "state_name": "Up"},
        {"id": 4, "address": "tikv1:20160", "state_name": "Disconnected"},
        {"id": 5, "address": "tikv2:20160", "state_name": "Up"},
    ]);
    assert_eq!((&state["stores"], &state["region_count"]), (&expected, &20.into()));
    let text = program.run(&["state"]).ok().stdout;
    assert!(text.contains("tikv1:20160  Disconnected") && text.contains("regions: 20"), "{text}");
}
