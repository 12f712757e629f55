//! `wait`: until the cluster is healthy, or what is missing.

use std::process::Stdio;

use support::{
    docker_is_here,
    http::{Reply, stores},
    run, wait_for,
};

use super::{STORES, start};

#[test]
fn wait_healthy_succeeds_or_lists_unhealthy_nodes_and_stores() {
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
fn wait_healthy_returns_when_cluster_recovers() {
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
