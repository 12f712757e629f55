//! What the cluster says of itself, on the command line: `nodes`, `state`, `wait`, `watch`.

mod support;

use std::{
    io::BufReader,
    process::{Child, ChildStdout, Stdio},
    sync::Arc,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use support::{
    Program, docker_is_here,
    fake::Fake,
    http::{Reply, metrics, stores},
    run, wait_for,
};
use tikv_chaos::subject::docker::{Options, Source, TikvSubject, read_on};
use tokio::sync::{mpsc, watch};

const STORES: &str = "/pd/api/v1/stores";

fn start(pds: usize, tikvs: usize) -> (Fake, Program) {
    let fake = Fake::start(pds, tikvs);
    let program = Program::new(Some(&fake.project));
    (fake, program)
}

#[test]
fn nodes_carry_what_the_cluster_says() {
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
fn without_a_pd_the_nodes_are_listed_all_the_same() {
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
fn state_is_what_the_contract_captures() {
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

#[test]
fn waiting_says_what_is_missing_or_that_nothing_is() {
    if !docker_is_here() {
        return;
    }
    let (mut fake, program) = start(1, 3);
    let wait = |args: &[&str]| program.run(&[&["wait", "--healthy", "--json"], args].concat());
    let ran = wait(&["--timeout", "5s"]).ok();
    assert_eq!(ran.json()["healthy"], true);

    fake.pds[0].set(STORES, stores(&["Up", "Up", "Disconnected"]));
    run("docker", &["pause", &fake.names[1]]);
    let ran = wait(&["--timeout", "0s"]);
    assert_eq!((ran.status, &ran.json()["healthy"]), (1, &false.into()));
    let expected =
        [format!("{} is paused", fake.names[1]), "2 of 3 stores are Up (PD says: 2 Up, 1 Disconnected)".to_owned()];
    assert_eq!(ran.json()["missing"], serde_json::json!(expected));
    assert!(ran.stderr.starts_with("tikv-chaos: not healthy after 0s: "), "{ran:?}");
    run("docker", &["unpause", &fake.names[1]]);
    wait(&["--timeout", "5s", "--stores", "2"]).ok();

    // A health check that fails counts, although everything else is well.
    fake.pds[0].set(STORES, stores(&["Up"; 3]));
    let check = ["--health-cmd", "exit 1", "--health-interval", "1s", "--health-retries", "1"];
    fake.add("tikv", 3, &check, &[]);
    let sick = fake.names.last().unwrap();
    wait_for("the check to fail", || {
        (run("docker", &["inspect", "-f", "{{.State.Health.Status}}", sick]) == "unhealthy").then_some(())
    });
    let ran = wait(&["--timeout", "0s"]);
    assert_eq!((ran.status, &ran.json()["missing"]), (1, &serde_json::json!([format!("{sick} is unhealthy")])));

    let ran = program.run(&["wait"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    let ran = wait(&["--timeout", "soon"]);
    assert!(ran.status == 2 && ran.stderr.contains("90s"), "{ran:?}");
}

#[test]
fn waiting_ends_when_the_cluster_is_well() {
    if !docker_is_here() {
        return;
    }
    let (fake, program) = start(1, 1);
    fake.pds[0].set_all(&Reply::Status("503 Service Unavailable", "text/plain", "no leader".into()));
    let args = ["wait", "--healthy", "--timeout", "60s"];
    let mut waiting = program.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("PD to be asked", || (fake.pds[0].times_asked(STORES) > 0).then_some(()));
    for (path, reply) in support::http::healthy_pd() {
        fake.pds[0].set(&path, reply);
    }
    assert!(waiting.wait().unwrap().success());
}

/// `watch` under way, and its lines.
fn watching(program: &Program, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = program.command(&[&["watch"], args].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

fn next_line(lines: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line
}

#[test]
fn watching_tells_each_change_until_it_is_told_to_end() {
    if !docker_is_here() {
        return;
    }
    let (fake, program) = start(1, 1);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        fake.pds[0].set(STORES, stores(&["Up"; 3]));
        let (mut child, mut lines) = watching(&program, &["--json"]);
        let first: Value = serde_json::from_str(&next_line(&mut lines)).unwrap();
        assert_eq!(first["clusters"][0]["pd"]["value"]["stores"][2]["state_name"], "Up");
        assert_eq!(first["nodes"][0]["store"]["state_name"], "Up");
        fake.pds[0].set(STORES, stores(&["Up", "Up", "Disconnected"]));
        // Rates may be a change of their own before it.
        let state = |document: &Value| document["clusters"][0]["pd"]["value"]["stores"][2]["state_name"].clone();
        let changed = |_| serde_json::from_str(&next_line(&mut lines)).unwrap();
        assert!((0..5).map(changed).any(|document: Value| state(&document) == "Disconnected"));
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert!(child.wait().unwrap().success(), "{signal}");
    }
}

#[test]
fn watching_ends_with_its_reader() {
    if !docker_is_here() {
        return;
    }
    let (fake, program) = start(1, 1);
    let (mut child, mut lines) = watching(&program, &["--json"]);
    next_line(&mut lines);
    // Nothing changes any more, so nothing is written that would fail.
    drop(lines);
    assert!(child.wait().unwrap().success());
    drop(fake);
}

#[test]
fn watching_in_text_is_a_line_a_second() {
    if !docker_is_here() {
        return;
    }
    let (fake, program) = start(1, 1);
    let (mut child, mut lines) = watching(&program, &[]);
    let first = next_line(&mut lines);
    assert!(first.ends_with(&format!("Z {}: 3 Up; leaders tikv0 7\n", fake.project)), "{first}");
    fake.tikvs[0].set("/metrics", metrics(1000));
    let served = |_| next_line(&mut lines);
    assert!((0..5).map(served).any(|line| line.contains(" op/s, p99 9.9 ms")));
    fake.pds[0].set_all(&Reply::Json("nonsense".into()));
    let said = format!("PD at pd0:{} answered something that is not JSON", fake.pds[0].port);
    let failed = |_| next_line(&mut lines);
    assert!((0..5).map(failed).any(|line| line.contains(&said)));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_of_the_screen_asks_while_somebody_looks_and_ends_with_whoever_listens() {
    if !docker_is_here() {
        return;
    }
    let fake = Fake::start(1, 1);
    let options = Options {
        project: Some(fake.project.clone()),
        image: Source::Ready("none".into()),
        tls: None,
        progress: Arc::new(|_| {}),
        known: Arc::new(Vec::new),
        read_only: false,
    };
    let subject = Arc::new(TikvSubject::new(options));
    let (look, looked) = watch::channel(false);
    let (sender, mut states) = mpsc::channel(1);
    let reading = tokio::spawn(read_on(Arc::clone(&subject), looked, sender));
    // Another reading of the same subject, so that it had its chance.
    let snapshot = subject.snapshot().await.unwrap();
    assert_eq!(subject.cluster_states(&snapshot).await[0].pd.error, None);
    assert!(states.try_recv().is_err(), "nobody looks");
    look.send_replace(true);
    for _ in 0..2 {
        assert_eq!(states.recv().await.unwrap()[0].nodes.len(), 1);
    }
    drop(states);
    reading.await.unwrap();
}

#[test]
fn a_bad_certificate_file_is_a_sentence_and_status_2() {
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
