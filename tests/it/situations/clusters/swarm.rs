//! Tasks of Docker Swarm, played by containers that bear their labels: this machine's daemon joins no swarm. What Swarm would
//! do, the test does.

use std::process::Stdio;

use serde_json::Value;
use support::{docker_is_here, run, wait_for};

use super::lab::Lab;

/// A task of the stack that has the lab's name.
fn task(lab: &Lab, network: &str, service: &str, id: &str) -> String {
    let service_name = format!("{}_{service}", lab.name);
    let labels = [
        "tikv-chaos.role=tikv".to_owned(),
        format!("com.docker.stack.namespace={}", lab.name),
        format!("com.docker.swarm.service.name={service_name}"),
        format!("com.docker.swarm.task.id={id}"),
        format!("com.docker.swarm.task.name={service_name}.1.{id}"),
    ];
    let mut options = vec!["--network", network, "--network-alias", service];
    options.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
    lab.container(&format!("{service}.1.{id}"), (&options, &["tikv"]))
}

fn state(container: &str) -> String {
    run("docker", &["inspect", "-f", "{{.State.Status}} {{.State.StartedAt}}", container])
}

#[test]
fn killed_swarm_task_is_left_to_swarm_and_its_history_is_no_node() {
    if !docker_is_here() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("overlay");
    let history = task(&lab, &network, "tikv0", "first");
    run("docker", &["kill", &history]);
    let current = task(&lab, &network, "tikv0", "second");
    task(&lab, &network, "tikv1", "third");
    task(&lab, &network, "tikv2", "fourth");
    let program = lab.program();
    let names = |stack: &str| {
        let clusters = lab.clusters(&program);
        assert!(clusters.iter().all(|(_, cluster)| cluster == stack), "{clusters:?}");
        clusters.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names("lab"), ["tikv0.1.second", "tikv1.1.third", "tikv2.1.fourth"]);

    let plan = program.run(&["inject", "node_kill", "--target", "tikv0", "--dry-run", "--json"]).json();
    assert!(plan["warnings"].to_string().contains("Swarm replaces it by itself"), "{plan}");
    let injected = program.inject(&["node_kill", "--target", "tikv0"]);
    let undo = injected["undo"].as_array().unwrap();
    assert!(undo.iter().all(|line| !line.as_str().unwrap().contains("docker start")), "{undo:?}");
    assert!(undo[0].as_str().unwrap().contains("start nothing"), "{undo:?}");
    assert_eq!(undo[1], Value::from(format!("docker service ps {}_tikv0", lab.name)));
    // A store that is down, until another is there.
    assert_eq!(names("lab"), ["tikv0.1.second", "tikv1.1.third", "tikv2.1.fourth"]);

    let dead = state(&current);
    assert!(dead.starts_with("exited "), "{dead}");
    let mut revert =
        program.command(&["revert", "--all"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the revert to begin", || (program.active()[0]["state"] == "reverting").then_some(()));
    assert!(revert.try_wait().unwrap().is_none(), "it did not wait");
    assert_eq!(state(&current), dead);
    let replacement = task(&lab, &network, "tikv0", "fifth");
    let ended = revert.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!((state(&current), program.active().len()), (dead, 0));
    assert!(state(&replacement).starts_with("running "));
    assert_eq!(names("lab"), ["tikv0.1.fifth", "tikv1.1.third", "tikv2.1.fourth"]);
    assert!(program.run(&["recover"]).ok().stderr.is_empty());
}

#[test]
fn task_that_swarm_replaced_meanwhile_is_undone_at_once() {
    if !docker_is_here() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("overlay");
    let current = task(&lab, &network, "tikv0", "first");
    task(&lab, &network, "tikv1", "second");
    let program = lab.program();
    program.inject(&["node_stop", "--target", "tikv0", "--timeout-s", "0"]);
    task(&lab, &network, "tikv0", "third");
    let dead = state(&current);
    program.run(&["recover"]).ok();
    assert!(program.active().is_empty());
    assert_eq!(state(&current), dead, "a task beside its replacement would be a second store with its data");
}
