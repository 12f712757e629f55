//! Whether a node that was killed or stopped is back, and what is lost with a stop.

mod lab;
mod memory;
mod shared;

use std::fs;

use serde_json::json;
use support::{cluster::Cluster, cluster::Options, docker_is_here, run, wait_for};

use self::lab::{Lab, MAY_FAIL, RUNS};

#[test]
fn killed_node_that_ends_again_after_its_start_is_not_called_back() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    lab.node("tikv0", &[], MAY_FAIL, &[]);
    for kind in ["node_kill", "node_stop"] {
        let injected = lab.program.inject(&[kind, "--target", "tikv0", "--ttl", "none"]);
        fs::write(lab.file("fail"), "").unwrap();
        let reverted = lab.revert(&injected["id"]);
        assert_eq!(reverted.status, 1, "{reverted:?}");
        assert!(reverted.stderr.contains("is not back: it ended again after 0.") && reverted.stderr.contains("code 7"));
        assert!(!reverted.stdout.contains("gone"), "{reverted:?}");
        let open = lab.program.active();
        assert_eq!((open.len(), &open[0]["state"]), (1, &json!("reverting")));
        assert!(open[0]["note"].as_str().unwrap().contains("exit code 7"), "{open:?}");
        // Nor by the next who tries, as long as that is so.
        let recovered = lab.program.run(&["recover"]);
        assert_eq!(recovered.status, 1, "{recovered:?}");
        assert!(!recovered.stdout.contains("not ours"), "{recovered:?}");
        assert_eq!(lab.program.active().len(), 1);
        fs::remove_file(lab.file("fail")).unwrap();
        let recovered = lab.program.run(&["recover"]).ok();
        assert!(recovered.stdout.contains("has stayed up for 2 s (it has no health check"), "{recovered:?}");
        assert_eq!((lab.state("tikv0").as_str(), lab.program.active().len()), ("running", 0));
    }
}

#[test]
fn restart_policy_that_starts_a_failing_node_over_does_not_make_it_back() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    lab.node("tikv0", &["--restart", "on-failure"], MAY_FAIL, &[]);
    let injected = lab.program.inject(&["node_kill", "--target", "tikv0", "--ttl", "none"]);
    fs::write(lab.file("fail"), "").unwrap();
    let reverted = lab.revert(&injected["id"]);
    assert_eq!(reverted.status, 1, "{reverted:?}");
    assert!(reverted.stderr.contains("its restart policy starts it over"), "{reverted:?}");
    assert_eq!(lab.program.active().len(), 1);
    fs::remove_file(lab.file("fail")).unwrap();
    let removed = run("date", &["-u", "+%Y-%m-%dT%H:%M:%S.%NZ"]);
    let is_new = || lab.inspect("tikv0", "{{.State.StartedAt}}").as_str() > removed.trim();
    wait_for("the policy to have it running", || (lab.state("tikv0") == "running" && is_new()).then_some(()));
    lab.program.run(&["recover"]).ok();
    assert!(lab.program.active().is_empty());
}

#[test]
fn killed_node_counts_as_back_only_once_its_health_check_says_so() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    fs::write(lab.file("well"), "").unwrap();
    let check = ["--health-cmd", "test -e /lab/well", "--health-interval", "1s", "--health-retries", "1"];
    lab.node("tikv0", &check, RUNS, &[]);
    let health = || lab.inspect("tikv0", "{{.State.Health.Status}}");
    wait_for("the first health check", || (health() == "healthy").then_some(()));
    let injected = lab.program.inject(&["node_kill", "--target", "tikv0", "--ttl", "none"]);
    fs::remove_file(lab.file("well")).unwrap();
    let mut child = lab.start_revert(&injected["id"]);
    wait_for("it to run unwell", || (health() == "unhealthy").then_some(()));
    assert!(child.try_wait().unwrap().is_none(), "it runs, and is not back");
    assert_eq!(lab.program.active()[0]["state"], "reverting");
    fs::write(lab.file("well"), "").unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success() && said.contains("read back and gone; it is healthy"), "{said}");
    assert_eq!(health(), "healthy");
    assert!(lab.program.active().is_empty());
}

/// It has others to look after and gives a node a few seconds at a time.
#[test]
fn guard_keeps_the_record_until_the_node_is_healthy() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    fs::write(lab.file("well"), "").unwrap();
    let check = ["--health-cmd", "test -e /lab/well", "--health-interval", "1s", "--health-retries", "1"];
    lab.node("tikv0", &check, RUNS, &[]);
    let health = || lab.inspect("tikv0", "{{.State.Health.Status}}");
    wait_for("the first health check", || (health() == "healthy").then_some(()));
    fs::remove_file(lab.file("well")).unwrap();
    lab.program.inject(&["node_kill", "--target", "tikv0", "--ttl", "1s"]);
    let note = || lab.program.active()[0]["note"].as_str().map(str::to_owned);
    let note = wait_for("the guard's first try", note);
    assert!(note.contains("is not back: it runs, and its health check calls it"), "{note}");
    assert_eq!(lab.state("tikv0"), "running");
    fs::write(lab.file("well"), "").unwrap();
    wait_for("the record to be closed", || lab.program.active().is_empty().then_some(()));
    assert_eq!(health(), "healthy");
}

/// A health check that was no help before is none afterwards.
#[test]
fn node_that_was_unhealthy_before_needs_not_be_healthy_to_be_back() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let check = ["--health-cmd", "exit 1", "--health-interval", "1s", "--health-retries", "1"];
    lab.node("tikv0", &check, RUNS, &[]);
    let health = || lab.inspect("tikv0", "{{.State.Health.Status}}");
    wait_for("the first health check", || (health() == "unhealthy").then_some(()));
    let injected = lab.program.inject(&["node_kill", "--target", "tikv0", "--ttl", "none"]);
    let reverted = lab.revert(&injected["id"]).ok();
    assert!(reverted.stdout.contains("called it unhealthy before too"), "{reverted:?}");
}

#[test]
fn node_that_answered_at_its_status_port_is_back_once_it_answers_again() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options { apart: true, nodes: 1, ..Options::default() });
    let program = support::Program::new(Some(&cluster.project));
    let name = cluster.run_listener("http://0.0.0.0:20180", &["--label", "tikv-chaos.role=tikv"], &[]);
    let answers = || program.run(&["nodes", "--json"]).ok().json()["nodes"].to_string().contains("started_at");
    wait_for("the node", || answers().then_some(()));
    let plan = || program.run(&["inject", "--dry-run", "--json", "node_kill", "--target", &name]).ok().json();
    wait_for("its port", || (plan()["metadata"]["before"]["answered"] == true).then_some(()));
    let injected = program.inject(&["node_kill", "--target", &name, "--ttl", "none"]);
    let reverted = program.run(&["revert", injected["id"].as_str().unwrap()]).ok();
    assert!(reverted.stdout.contains("read back and gone; it answers at its status port"), "{reverted:?}");
}

#[test]
fn node_that_was_removed_while_it_was_down_is_said_to_be_so() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let name = lab.node("tikv0", &[], RUNS, &[]);
    let injected = lab.program.inject(&["node_kill", "--target", "tikv0", "--ttl", "none"]);
    support::run("docker", &["rm", "-f", &name]);
    let reverted = lab.revert(&injected["id"]).ok();
    assert!(
        reverted.stdout.contains("nothing left to undo") && reverted.stdout.contains("was removed"),
        "{reverted:?}"
    );
}
