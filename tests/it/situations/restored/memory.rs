//! Data that is lost with a stop is known before, and said as what it is.

use support::{demo::Demo, docker_is_here, fake::Fake, run, try_run};

use super::lab::{Lab, RUNS};

const DATA: &[&str] = &["--data-dir=/data/db"];

#[test]
fn kill_of_a_node_whose_data_is_lost_with_it_is_refused_unless_forced() {
    if !docker_is_here() {
        return;
    }
    let mut lab = Lab::new();
    let volume = lab.memory_volume("data");
    let volume = format!("{volume}:/data");
    let cases: [(&str, &[&str], &[&str], &str); 5] = [
        ("tikv0", &["--tmpfs", "/data"], DATA, "keeps /data/db in memory (tmpfs): its data is lost when it stops"),
        ("tikv1", &["--mount", "type=tmpfs,destination=/data"], DATA, "keeps /data/db in memory (tmpfs)"),
        ("tikv2", &["-v", &volume], DATA, "which is in memory and which no other running container holds"),
        ("tikv3", &["--rm", "-v", "/data"], DATA, "--rm"),
        ("tikv4", &[], &["--data-dir", "/dev/shm/tikv"], "keeps /dev/shm/tikv in memory"),
    ];
    for (node, options, flags, expected) in cases {
        let name = lab.node(node, options, RUNS, flags);
        for kind in [&["node_kill"][..], &["node_stop", "--timeout-s", "1"]] {
            let args = [kind, &["--target", node]].concat();
            let said = lab.refused(&args);
            assert!(said.contains(expected) && said.contains("--force"), "{node}: {said}");
            assert_eq!(lab.plan(&args)["verdict"]["grade"], "refused");
            assert_eq!(lab.state(node), "running");
        }
        let forced = lab.program.inject(&["node_kill", "--target", node, "--ttl", "none"]);
        assert_ne!(try_run("docker", &["inspect", "-f", "{{.State.Status}}", &name]).1.trim(), "running");
        lab.revert(&forced["id"]).ok();
        try_run("docker", &["rm", "-f", "-v", &name]);
    }
}

#[test]
fn data_that_outlives_the_node_is_no_reason_to_refuse() {
    if !docker_is_here() {
        return;
    }
    let mut lab = Lab::new();
    let (kept, lonely) = (lab.memory_volume("kept"), lab.memory_volume("lonely"));
    lab.container("keeper", &["--label", "tikv-chaos.role=ignore", "-v", &format!("{kept}:/kept")], RUNS, &[]);
    let lies_on = [format!("{kept}:/data"), format!("{lonely}:/data"), format!("{lonely}:/data/tmp")];
    let cases: [(&str, &[&str]); 5] = [
        ("tikv0", &["-v", &lies_on[0]]),
        // In its own layer, which a stop leaves as it is.
        ("tikv1", &[]),
        ("tikv2", &["-v", "/data"]),
        ("tikv3", &["-v", "/data/db", "--tmpfs", "/data"]),
        ("tikv4", &["-v", "/data", "--tmpfs", "/run", "-v", &lies_on[2]]),
    ];
    for (node, options) in cases {
        lab.node(node, options, RUNS, DATA);
        let said = lab.reasons(&["node_kill", "--target", node]);
        assert!(!said.contains("memory") && !said.contains("lost when"), "{node}: {said}");
    }
    // A keeper that has ended keeps nothing, and neither does our helper.
    run("docker", &["rm", "-f", &lab.name("keeper")]);
    lab.program.inject(&["network_partition", "--target", "tikv0", "--ttl", "none"]);
    let said = lab.reasons(&["node_kill", "--target", "tikv0"]);
    assert!(said.contains("no other running container holds"), "{said}");
    lab.program.run(&["revert", "--all"]).ok();
    // Of two that hold it in one act none is left.
    run("docker", &["rm", "-f", "-v", &lab.name("tikv4")]);
    lab.node("tikv5", &["-v", &lies_on[1]], RUNS, DATA);
    lab.node("tikv6", &["-v", &lies_on[1]], RUNS, DATA);
    let one = lab.reasons(&["node_kill", "--target", "tikv5"]);
    assert!(!one.contains("memory"), "{one}");
    let both = lab.reasons(&["node_kill", "--target", "tikv5", "--target", "tikv6"]);
    assert!(both.contains("no other running container holds"), "{both}");
}

/// The same shape as the shipped Compose file has: volumes in memory, which another container holds as well.
#[test]
fn demo_whose_load_holds_the_volumes_is_not_refused() {
    if !docker_is_here() {
        return;
    }
    let demo = Demo::up(&[]);
    for host in ["tikv0", "pd0"] {
        let args = ["inject", "--dry-run", "--json", "node_kill", "--target", &demo.container(host)];
        let verdict = demo.program.run(&args).ok().json()["verdict"].to_string();
        assert!(!verdict.contains("memory") && !verdict.contains("lost when"), "{host}: {verdict}");
    }
}

#[test]
fn data_folder_on_tmpfs_is_called_in_memory_and_not_a_layer() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    lab.node("tikv0", &["--tmpfs", "/data"], RUNS, DATA);
    let said = lab.refused(&["disk_pressure", "--target", "tikv0", "--fill-percent", "10"]);
    assert!(said.contains("keeps /data/db in memory (tmpfs)") && !said.contains("own layer"), "{said}");
    let nodes = lab.program.run(&["nodes", "--json"]).ok().json();
    assert!(nodes["nodes"][0]["memory"].to_string().contains("\"/data\""), "{nodes}");
}

#[test]
fn partition_of_nodes_in_the_hosts_network_names_that_as_the_reason() {
    if !docker_is_here() {
        return;
    }
    let fake = Fake::start(1, 3);
    let program = support::Program::new(Some(&fake.project));
    let ran = program.run(&["inject", "network_partition", "--target", "tikv0"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.stderr.contains("Docker host's own network") && !ran.stderr.contains("no other node"), "{ran:?}");

    // One with a network of its own, whose peers have none.
    let lab = Lab::new();
    lab.node("tikv0", &[], RUNS, &[]);
    lab.node("tikv1", &["--network", "host"], RUNS, &[]);
    let said = lab.refused(&["network_partition", "--target", "tikv0"]);
    assert!(said.contains("tikv1-1 uses the Docker host's own network"), "{said}");
}
