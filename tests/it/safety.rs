//! What is refused before it happens, and that a refusal changes nothing.

use serde_json::{Value, json};
use support::{
    Program,
    cluster::{Cluster, Options},
    demo::Demo,
    docker_is_here, run,
};

#[test]
fn inject_refuses_second_of_three_nodes_unless_forced() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let one = ["inject", "--json", "node_kill", "--target", "tikv0"];
    program.run(&one).ok();

    // Another session, with another journal, sees the exited node all the same.
    let other = Program::new(Some(&cluster.project));
    for (program, target) in [(&program, "tikv1"), (&other, "tikv2")] {
        for kind in ["node_kill", "network_partition"] {
            let ran = program.run(&["inject", kind, "--target", target]);
            assert_eq!(ran.status, 3, "{ran:?}");
            let words = ["this leaves 1 of 3 stores reachable", "tikv0", "is exited", "writes stop", "--force"];
            assert!(words.iter().all(|word| ran.stderr.contains(word)), "{ran:?}");
        }
    }
    let dry = program.run(&["inject", "--dry-run", "--json", "node_kill", "--target", "tikv1"]).ok().json();
    assert_eq!(dry["verdict"]["grade"], "refused");
    assert_eq!(program.active().len(), 1);
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    assert!(cluster.traces(1).is_empty() && cluster.traces(2).is_empty());

    // A delay takes nobody away, where the kernel can make one; and force is force.
    let forced = program.inject(&["node_kill", "--target", "tikv1"]);
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "exited");
    assert_eq!(forced["state"], "active");
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

#[test]
fn change_that_loses_quorum_is_refused_unless_forced() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let late = program.inject(&["latency", "--target", "tikv1", "--via", "shaper", "--mean-ms", "10"]);
    run("docker", &["stop", "-t", "0", &cluster.nodes[0]]);
    let id = late["id"].as_str().unwrap();
    let refused = program.run(&["change", id, "--mean-ms", "9000"]);
    assert_eq!(refused.status, 3, "{refused:?}");
    let words = ["this leaves 1 of 3 stores reachable", "tikv0", "is exited", "writes stop", "--force"];
    assert!(words.iter().all(|word| refused.stderr.contains(word)), "{refused:?}");
    assert_eq!(program.active()[0]["metadata"], late["metadata"]);
    let forced = program.run(&["change", id, "--mean-ms", "9000", "--force", "--json"]).ok().json();
    assert_eq!(forced["metadata"]["min_ms"], 9000);
    program.run(&["revert", "--all"]).ok();
    run("docker", &["start", &cluster.nodes[0]]);
    cluster.assert_clean();
}

#[test]
fn max_ttl_max_active_and_read_only_prevent_any_change() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let inject = ["inject", "network_partition", "--target", "tikv0", "--peers", "tikv1"];
    let refused = |further: &[&str], words: &str| {
        let ran = program.run(&[&inject[..], further].concat());
        assert_eq!(ran.status, 3, "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
        assert!(cluster.traces(0).is_empty() && program.active().is_empty());
    };
    refused(&["--ttl", "31m"], "--max-ttl is 30m: PD moves the replicas");
    refused(&["--ttl", "none"], "it would never end by itself");
    refused(&["--ttl", "2m", "--max-ttl", "1m"], "it would last 2m");
    refused(&["--max-active", "0"], "--max-active is 0");
    refused(&["--read-only"], "this run is --read-only");
    assert!(cluster.holders().is_empty(), "a run that only looks made a helper");

    program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
    for undo in [&["revert", "--all", "--read-only"][..], &["recover", "--read-only"]] {
        let ran = program.run(undo);
        assert_eq!(ran.status, 3, "{ran:?}");
        assert!(ran.stderr.contains("this run is --read-only"), "{ran:?}");
        assert!(!cluster.traces(0).is_empty());
    }
    assert_eq!(program.active()[0]["state"], "active");
    program.run(&["nodes", "--read-only"]).ok();
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

/// What a store keeps free stands in its configuration, and on no command line of TiKV's.
#[test]
fn reserve_is_asked_of_the_node_and_known_while_it_is_silent() {
    if !docker_is_here() {
        return;
    }
    let demo = Demo::up(&["--rate", "0"]);
    let target = demo.container("tikv0");
    let verdict = |program: &Program| {
        let args = ["inject", "node_kill", "--dry-run", "--json", "--target", &target];
        program.run(&args).ok().json()["verdict"].clone()
    };
    let first = verdict(&demo.program);
    assert_eq!(first["grade"], "fine", "{first}");
    assert!(first["consequence"].as_str().unwrap().starts_with("this leaves 2 of 3 stores reachable: "), "{first}");
    assert!(!first.to_string().contains("full disk"), "{first}");
    let nodes = demo.program.run(&["nodes", "--json"]).ok().json();
    let node = |name: &str| nodes["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
    let config = &node(&target)["config"];
    assert_eq!((&config["value"]["reserve_space"], &config["error"]), (&json!(64 << 20), &Value::Null), "{config}");

    // Frozen, it runs to Docker and is Up to PD for a while, and answers nobody.
    run("docker", &["kill", "--signal", "STOP", &target]);
    let silent = verdict(&demo.program);
    assert_eq!((&silent["grade"], &silent["consequence"]), (&first["grade"], &first["consequence"]), "{silent}");
    // A program that never met it knows what it does not know.
    let stranger = Program::new(Some(&demo.project));
    let unknown = verdict(&stranger);
    assert_eq!(unknown["grade"], "careful", "{unknown}");
    let words = format!("storage.reserve-space of {target} is not known: at TiKV's default of 5.0 GiB");
    assert!(unknown["reasons"].to_string().contains(&words), "{unknown}");
    run("docker", &["kill", "--signal", "CONT", &target]);
}
