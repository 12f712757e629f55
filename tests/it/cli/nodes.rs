//! `nodes`: the containers with what PD and the status ports say of them.

use serde_json::Value;
use support::{Program, docker_is_here, http::Reply};

use super::start;

#[test]
fn nodes_report_store_state_metrics_and_pd_status() {
    if !docker_is_here() {
        return;
    }
    let (fake, program) = start(2, 2);
    fake.pds[0].set_all(&Reply::Status("503 Service Unavailable", "text/plain", "no leader".into()));
    let document = program.run(&["nodes", "--json"]).ok().json();
    let nodes = document["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 4);
    assert_eq!((&nodes[1]["store"]["id"], &nodes[1]["store"]["state_name"]), (&4.into(), &"Up".into()));
    assert_eq!(nodes[1]["metrics"]["value"]["leaders"], 7);
    assert_eq!(nodes[1]["endpoints"]["advertised"], "tikv1:20160");
    assert!(nodes[2].get("store").is_none(), "a PD is no store");
    let cluster = &document["clusters"][0];
    assert_eq!((&cluster["cluster"], &cluster["pd"]["error"]), (&fake.project.as_str().into(), &Value::Null));
    assert_eq!(cluster["pd"]["value"]["region_count"], 20);
    assert_eq!(cluster["pd_nodes"][0]["answered"], false);
    let said = format!("PD at pd0:{} answered 503 Service Unavailable", fake.pds[0].port);
    assert!(cluster["pd_nodes"][0]["error"].as_str().unwrap().starts_with(&said), "{cluster}");
    let expected = format!("port {} of the Docker host", fake.pds[1].address());
    assert_eq!(cluster["pd_nodes"][1]["via"], expected.as_str());

    let table = program.run(&["nodes"]).ok().stdout;
    let mut lines = table.lines();
    let heading: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(heading[7..], ["STORE", "LEADERS", "REGIONS", "AVAIL", "ADDRESSES"]);
    let second = lines.nth(1).unwrap();
    assert!(second.contains("Up     1        20       8.0 GiB (80 %)"), "{table}");
}

#[test]
fn nodes_are_listed_and_state_fails_when_pd_hangs() {
    if !docker_is_here() {
        return;
    }
    let (fake, program) = start(1, 1);
    fake.pds[0].set_all(&Reply::Hang);
    let ran = program.run(&["nodes"]).ok();
    assert!(ran.stdout.contains(&fake.names[0]) && !ran.stdout.contains("STORE"), "{ran:?}");
    let said = format!("PD at pd0:{} did not answer within 1 s", fake.pds[0].port);
    assert!(ran.stderr.contains(&said), "{ran:?}");
    let ran = program.run(&["state"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains(&format!("cannot be captured: {said}")), "{ran:?}");
}

#[test]
fn pd_certificate_error_names_option_and_exits_2() {
    let program = Program::new(None);
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.pem");
    std::fs::write(&bad, "no certificate\n").unwrap();
    let bad = bad.to_str().unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["--pd-ca", "/nonexistent/ca.pem"], "--pd-ca \"/nonexistent/ca.pem\" cannot be read: No such file"),
        (&["--pd-ca", bad], "--pd-ca cannot be used: there is no certificate in it"),
        (&["--pd-cert", bad], "--pd-cert needs --pd-key too"),
        (&["--pd-key", bad], "--pd-key needs --pd-cert too"),
        (&["--pd-cert", bad, "--pd-key", bad], "--pd-cert needs --pd-ca too"),
    ];
    for (args, expected) in cases {
        let ran = program.run(&[&["types"], args].concat());
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    let ran = program.run_with(&["types"], "", &[("TIKV_CHAOS_PD_CA", bad)]);
    assert_eq!(ran.status, 2, "{ran:?}");
}
