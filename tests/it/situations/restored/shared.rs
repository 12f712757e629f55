//! Several nodes in one network namespace: one place of the network, with one owner.

use support::{docker_is_here, run, wait_for};

use super::lab::{Lab, RUNS};

/// Three stores, the second in the first one's network.
fn start() -> Lab {
    let lab = Lab::new();
    lab.node("tikv0", &[], RUNS, &["--addr=0.0.0.0:20160"]);
    let joined = format!("container:{}", lab.name("tikv0"));
    lab.node("tikv1", &["--network", &joined], RUNS, &["--addr=0.0.0.0:20161"]);
    lab.node("tikv2", &[], RUNS, &["--addr=0.0.0.0:20160"]);
    lab
}

#[test]
fn joined_node_is_shown_at_its_owners_address_and_in_its_cluster() {
    if !docker_is_here() {
        return;
    }
    let lab = start();
    let nodes = lab.program.run(&["nodes", "--json"]).ok().json();
    let ips = |at: usize| nodes["nodes"][at]["networks"].to_string();
    assert_eq!(nodes["nodes"][1]["network_of"]["name"], lab.name("tikv0"));
    assert_eq!(ips(1), ips(0));
    let table = lab.program.run(&["nodes"]).ok().stdout;
    let shown = format!("{} (shares {}'s network)", lab.ip("tikv0"), lab.name("tikv0"));
    assert!(table.contains(&shown), "{table}");
}

#[test]
fn network_fault_of_an_owner_names_all_that_share_its_network() {
    if !docker_is_here() {
        return;
    }
    let lab = start();
    let sidecar = format!("container:{}", lab.name("tikv0"));
    lab.container("sidecar", &["--label", "tikv-chaos.role=ignore", "--network", &sidecar], RUNS, &[]);
    for fault in [&["network_partition"][..], &["packet_loss", "--percent", "100"], &["latency"]] {
        let plan = lab.plan(&[fault, &["--target", "tikv0"]].concat());
        let warned = plan["warnings"].to_string();
        let names = [lab.name("tikv1"), lab.name("sidecar")];
        assert!(names.iter().all(|name| warned.contains(name.as_str())), "{fault:?}: {plan}");
    }
    // They stay with one another, and neither is cut off from itself.
    let plan = lab.plan(&["network_partition", "--target", "tikv0"]);
    assert_eq!(plan["metadata"]["target_ips"], serde_json::json!([lab.ip("tikv2")]));
    let consequence = plan["verdict"]["consequence"].as_str().unwrap();
    assert!(consequence.starts_with("this leaves 2 of 3 stores reachable"), "{consequence}");
    // The other way round both are cut off.
    let plan = lab.plan(&["network_partition", "--target", "tikv2", "--peers", "tikv0"]);
    let consequence = plan["verdict"]["consequence"].as_str().unwrap();
    assert!(consequence.starts_with("this leaves 2 of 3 stores reachable"), "{consequence}");

    let said = lab.refused(&["network_partition", "--target", "tikv1"]);
    assert!(said.contains(&format!("name {} instead", lab.name("tikv0"))), "{said}");
}

#[test]
fn reach_matrix_has_joined_nodes_at_their_owners_address() {
    if !docker_is_here() {
        return;
    }
    let lab = start();
    lab.program.inject(&["network_partition", "--target", "tikv0", "--ttl", "none"]);
    let reach = lab.program.run(&["reach", "--json"]).ok().json();
    let cell = |from: usize, to: usize| &reach["rows"][from][to];
    for (from, to) in [(0, 2), (1, 2), (2, 0), (2, 1)] {
        assert_eq!(cell(from, to)["reach"], "cut", "{from} to {to}: {reach}");
        assert_eq!(cell(from, to)["source"], "measured", "{from} to {to}: {reach}");
    }
    lab.program.run(&["revert", "--all"]).ok();
}

#[test]
fn kill_of_an_owner_counts_all_in_its_network_and_its_undo_puts_all_back() {
    if !docker_is_here() {
        return;
    }
    let lab = start();
    let behind = format!("container:{}", lab.name("tikv1"));
    lab.node("tikv3", &["--network", &behind], RUNS, &["--addr=0.0.0.0:20162"]);
    let address = lab.kernel_addresses("tikv1");
    assert!(address.starts_with(&lab.ip("tikv0")));
    let plan = lab.plan(&["node_kill", "--target", "tikv0"]);
    let consequence = plan["verdict"]["consequence"].as_str().unwrap();
    assert!(consequence.starts_with("this leaves 1 of 4 stores reachable"), "{consequence}");

    // One in the middle takes no network along.
    let middle = lab.plan(&["node_kill", "--target", "tikv1"]);
    assert_eq!(middle["warnings"], serde_json::json!([]));
    assert!(middle["metadata"]["before"]["joined"].is_null(), "{middle}");

    let injected = lab.program.inject(&["node_kill", "--target", "tikv0", "--ttl", "none"]);
    let by_hand: Vec<&str> = injected["undo"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let id = |node: &str| lab.inspect(node, "{{.Id}}");
    let restart = |node: &str| format!("docker restart {}", id(node));
    assert_eq!(by_hand, [format!("docker start {}", id("tikv0")), restart("tikv1"), restart("tikv3")]);
    assert_eq!(lab.kernel_addresses("tikv1"), "", "its network is gone");
    let table = lab.program.run(&["nodes"]).ok().stdout;
    assert!(table.contains(&format!("has lost {}'s network", lab.name("tikv0"))), "{table}");

    let third = lab.inspect("tikv2", "{{.State.StartedAt}}");
    let reverted = lab.revert(&injected["id"]).ok().stdout;
    let restarted = format!("restarted for its network: {}, {}", lab.name("tikv1"), lab.name("tikv3"));
    assert!(reverted.contains(&restarted), "{reverted}");
    for node in ["tikv1", "tikv3"] {
        assert_eq!(lab.namespace(node), lab.namespace("tikv0"), "{node}");
        assert!(lab.kernel_addresses(node).starts_with(&lab.ip("tikv0")), "{node}");
    }
    assert_eq!(lab.inspect("tikv2", "{{.State.StartedAt}}"), third, "left alone");
    assert!(lab.program.active().is_empty());
}

#[test]
fn owner_and_joined_node_that_are_both_down_come_back_together() {
    if !docker_is_here() {
        return;
    }
    let lab = start();
    for node in ["tikv0", "tikv1"] {
        lab.program.inject(&["node_stop", "--target", node, "--ttl", "none"]);
    }
    lab.program.run(&["revert", "--all"]).ok();
    assert_eq!(lab.namespace("tikv1"), lab.namespace("tikv0"));
    assert!(lab.program.active().is_empty());
}

#[test]
fn joined_node_that_was_put_back_meanwhile_is_not_restarted_again() {
    if !docker_is_here() {
        return;
    }
    let lab = start();
    let injected = lab.program.inject(&["node_kill", "--target", "tikv0", "--ttl", "none"]);
    run("docker", &["start", &lab.name("tikv0")]);
    run("docker", &["restart", "-t", "1", &lab.name("tikv1")]);
    lab.wait_state("tikv1", "running");
    let began = lab.inspect("tikv1", "{{.State.StartedAt}}");
    lab.revert(&injected["id"]).ok();
    assert_eq!(lab.inspect("tikv1", "{{.State.StartedAt}}"), began);
}

#[test]
fn kill_that_would_leave_a_foreign_container_without_a_network_is_refused() {
    if !docker_is_here() {
        return;
    }
    let lab = start();
    let joined = format!("container:{}", lab.name("tikv0"));
    lab.container("sidecar", &["--label", "tikv-chaos.role=ignore", "--network", &joined], RUNS, &[]);
    let said = lab.refused(&["node_stop", "--target", "tikv0"]);
    assert!(said.contains(&lab.name("sidecar")) && said.contains("would lose its network"), "{said}");
    assert_eq!(lab.state("tikv0"), "running");
    let began = lab.inspect("sidecar", "{{.State.StartedAt}}");
    let injected = lab.program.inject(&["node_kill", "--target", "tikv0", "--ttl", "none"]);
    lab.revert(&injected["id"]).ok();
    assert_eq!(lab.inspect("sidecar", "{{.State.StartedAt}}"), began, "not ours to restart");
    wait_for("the joined node", || (lab.namespace("tikv1") == lab.namespace("tikv0")).then_some(()));
}
