//! `watch`: one document or line for each change, until its reader or a signal ends it.

use std::{
    collections::BTreeSet,
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
};
use tikv_chaos::{
    cluster::ConfigCache,
    subject::docker::{Options, Source, TikvSubject, read_on},
};
use tokio::sync::{mpsc, watch};

use super::{STORES, start};

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
fn watch_json_reports_changes_until_sigint_or_sigterm() {
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
fn watch_ends_when_reader_closes_pipe() {
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
fn watch_text_prints_leaders_throughput_and_pd_error() {
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
async fn screen_reader_polls_only_on_demand_and_ends_with_receiver() {
    if !docker_is_here() {
        return;
    }
    let fake = Fake::start(1, 1);
    let options = Options {
        project: Some(fake.project.clone()),
        identity: Arc::default(),
        image: Source::Ready("none".into()),
        tls: None,
        progress: Arc::new(|_| {}),
        known: Arc::new(Vec::new),
        under_way: Arc::new(BTreeSet::new),
        configs: ConfigCache::default(),
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
