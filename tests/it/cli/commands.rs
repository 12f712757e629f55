//! The command line as a script sees it: documents, exit statuses, and bad input that changes nothing.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use support::{
    Program,
    cluster::{Cluster, Names, Options},
    docker_is_here, run, try_run, wait_for,
};

#[test]
fn types_lists_chaos_types_in_order_with_latency_defaults() {
    let types = Program::new(None).run(&["types", "--json"]).ok().json();
    let names: Vec<&str> =
        types["types"].as_array().unwrap().iter().map(|kind| kind["chaos_type"].as_str().unwrap()).collect();
    assert_eq!(names[..4], ["node_kill", "latency", "disk_pressure", "network_partition"]);
    let further = ["packet_loss", "packet_duplicate", "packet_corrupt", "packet_reorder", "bandwidth"];
    assert_eq!(names[4..], [&further[..], &["node_pause", "node_stop"]].concat());
    let latency = &types["types"][1]["parameters"];
    assert_eq!((&latency[0]["name"], &latency[0]["default"]), (&"min_ms".into(), &50.into()));
    assert_eq!((&latency[1]["name"], &latency[1]["default"]), (&"max_ms".into(), &150.into()));
}

#[test]
fn usage_error_prints_one_line_exits_2_and_makes_no_session() {
    let program = Program::new(None);
    let cases: [(&[&str], &str); 7] = [
        (&["inject", "clock_skew"], "node_kill, latency, disk_pressure, network_partition"),
        (&["inject", "latency", "--min-ms", "99999"], "from 0 to 10000 ms"),
        (&["inject", "latency", "--min-ms", "200", "--max-ms", "100"], "min_ms 200 is over max_ms 100"),
        (&["inject", "disk_pressure", "--fill-percent", "101"], "from 0 to 100 %"),
        (&["inject", "disk_pressure", "--target-path", "data"], "an absolute path"),
        (&["inject", "latency", "--jitter", "3"], "--min-ms, --max-ms, --interface"),
        (&["revert", "00000000"], "nothing is injected"),
    ];
    for (args, expected) in cases {
        let ran = program.run(args);
        assert_eq!(ran.status, 2, "{args:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(ran.stderr.contains(expected), "{ran:?}");
        let ran = program.run(&[args, &["--json"]].concat());
        assert_eq!((ran.status, &ran.json()["status"]), (2, &2.into()));
    }
    assert!(!program.state.path().join("sessions").exists());
}

#[test]
fn docker_unreachable_names_tried_socket_and_exits_1() {
    let program = Program::new(None);
    for args in [&["nodes"][..], &["inject", "node_kill"], &["doctor"]] {
        let ran = program.run_with(args, "", &[("DOCKER_HOST", "unix:///nonexistent/docker.sock")]);
        assert_eq!(ran.status, 1, "{ran:?}");
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(text.contains("unix:///nonexistent/docker.sock") && text.contains("is the daemon running"), "{text}");
        assert!(!text.contains("RUST_BACKTRACE") && !text.contains("panicked"), "{text}");
    }
}

#[test]
fn cleanup_refuses_malformed_or_foreign_metadata() {
    let program = Program::new(None);
    let fill = r#"{"chaos_type":"disk_pressure","target_container":"x","fill_percent":1,"fill_bytes":1,"whole":true,
        "fill_file":"/etc/passwd","mount":{"kind":"bind","source":"/etc","destination":"/etc"},"id":"00000001",
        "container_id":"x","container_started_at":""}"#;
    for (text, expected) in [("", "EOF"), ("{}", "chaos_type"), ("[1]", "chaos_type"), (fill, "/etc/passwd")] {
        let ran = program.run_with(&["cleanup"], text, &[]);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
}

#[test]
fn unreadable_journal_is_named_by_recover_and_kept() {
    let program = Program::new(Some("no-such-cluster"));
    let folder = program.state.path().join("sessions");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("torn.json"), "{\"schema\": 1, \"sess").unwrap();
    let active = program.run(&["active", "--json"]).ok().json();
    assert!(active["unreadable"][0]["path"].as_str().unwrap().ends_with("torn.json"));
    let recover = program.run(&["recover"]);
    assert_eq!(recover.status, 1, "what cannot be read may hold something open: {recover:?}");
    assert!(recover.stderr.contains("torn.json"));
    assert!(folder.join("torn.json").exists());
}

fn one_cluster(options: &Options) -> (Cluster, Program) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

#[test]
fn nodes_are_detected_and_targeted_by_any_unambiguous_name() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = one_cluster(&Options { second_network: true, ..Options::default() });
    let nodes = program.run(&["nodes", "--json"]).ok().json();
    let nodes = nodes["nodes"].as_array().unwrap();
    let names: Vec<&str> = nodes.iter().map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!(names, cluster.nodes);
    for node in nodes {
        assert_eq!((&node["role"], &node["state"]), (&"tikv".into(), &"running".into()));
        assert_eq!(node["networks"].as_array().unwrap().len(), 2);
        assert_eq!(node["data_dir"], "/data/db");
    }
    // By container, by Compose service, by an unambiguous part.
    for name in [cluster.nodes[1].as_str(), "tikv1", "kv1"] {
        let plan = program.run(&["inject", "node_kill", "--target", name, "--dry-run", "--json"]).ok().json();
        assert_eq!(plan["metadata"]["target_container"], cluster.nodes[1].as_str());
    }
    for (name, expected) in [("tikv", "could be any of"), ("tikv9", "no node is named")] {
        let ran = program.run(&["inject", "node_kill", "--target", name]);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.contains(expected) && ran.stderr.contains(&cluster.nodes[2]), "{ran:?}");
    }
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    cluster.assert_clean();
}

#[test]
fn stopped_and_paused_nodes_are_listed_but_refused_by_inject() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = one_cluster(&Options { names: Names::Plain, ..Options::default() });
    run("docker", &["stop", "-t", "1", &cluster.nodes[0]]);
    run("docker", &["pause", &cluster.nodes[1]]);
    let nodes = program.run(&["nodes", "--json"]).ok().json();
    let states: Vec<&str> =
        nodes["nodes"].as_array().unwrap().iter().map(|node| node["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["exited", "paused", "running"]);
    for (target, state) in [("tikv0", "exited"), ("tikv1", "paused")] {
        let ran = program.run(&["inject", "network_partition", "--target", target]);
        assert_eq!(ran.status, 3, "{ran:?}");
        assert!(ran.stderr.contains(state), "{ran:?}");
    }
    // Where none is named, only the running one can be taken.
    let plan = program.run(&["inject", "node_kill", "--dry-run", "--json"]).ok().json();
    assert_eq!(plan["metadata"]["target_container"], cluster.nodes[2].as_str());
}

#[test]
fn inject_among_several_clusters_requires_known_project() {
    if !docker_is_here() {
        return;
    }
    let (one, _) = one_cluster(&Options::default());
    let (two, _) = one_cluster(&Options { names: Names::Plain, ..Options::default() });
    let ran = Program::new(None).run(&["inject", "node_kill"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.stderr.contains(&one.project) && ran.stderr.contains(&two.project), "{ran:?}");
    assert!(ran.stderr.contains("--project"), "{ran:?}");
    // A name that is none of theirs is answered with those that there are.
    let ran = Program::new(Some("nope")).run(&["inject", "node_kill"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    let listed = Program::new(Some("nope")).run(&["nodes"]).ok();
    for text in [&ran.stderr, &listed.stdout] {
        assert!(text.contains("nope") && text.contains(&one.project) && text.contains(&two.project), "{text}");
    }
}

#[test]
fn inject_dry_run_shows_commands_and_leaves_no_trace() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = one_cluster(&Options { second_network: true, ..Options::default() });
    let legacy_before = cluster.legacy_tables(0);
    let plan = program.run(&["inject", "latency", "--target", "tikv0", "--dry-run", "--json"]).ok().json();
    let commands: Vec<&str> = plan["commands"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    if commands[0].starts_with("tc ") {
        let add =
            |interface| format!("tc qdisc add dev {interface} root handle c4a0: netem delay 100ms 50ms limit 20000");
        assert_eq!(commands, ["eth0", "eth1"].map(add));
    } else {
        // Without netem one queue takes both, of either family.
        assert_eq!(commands.len(), 2, "{commands:?}");
        for (command, tool) in commands.iter().zip([" iptables-nft-restore ", " ip6tables-nft-restore "]) {
            let queue =
                |interface| command.contains(&format!("-i {interface} -j NFQUEUE --queue-num 50336 --queue-bypass"));
            assert!(queue("eth0") && queue("eth1") && command.contains(tool), "{command}");
        }
    }
    let second = &cluster.networks[1];
    let args = ["inject", "latency", "--target", "tikv0", "--interface", second, "--dry-run", "--json"];
    assert_eq!(program.run(&args).ok().json()["metadata"]["interfaces"], serde_json::json!(["eth1"]));
    assert!(!program.state.path().join("sessions").exists());
    // Not even an empty table, which looking with the wrong tool would make.
    assert_eq!(cluster.legacy_tables(0), legacy_before);
    cluster.assert_clean();
}

#[test]
fn foreign_qdisc_survives_latency_injection() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = one_cluster(&Options::default());
    let add = [
        "tc", "qdisc", "add", "dev", "eth0", "root", "handle", "7:", "tbf", "rate", "1gbit", "burst", "1mb", "latency",
        "9ms",
    ];
    cluster.in_namespace(0, &add);
    let stays = || assert!(cluster.in_namespace(0, &["tc", "qdisc", "show", "dev", "eth0"]).contains("tbf 7: root"));
    let ran = program.run(&["inject", "latency", "--target", "tikv0"]);
    stays();
    if ran.status == 0 {
        // The shaper needs no qdisc, and the kernel has no netem to put in its place.
        assert!(ran.stdout.contains("by the shaper"), "{ran:?}");
        assert_eq!(program.run(&["inject", "latency", "--target", "tikv0", "--via", "netem"]).status, 3);
        program.run(&["revert", "--all", "--every-session"]).ok();
        stays();
    } else {
        assert_eq!(ran.status, 3, "{ran:?}");
        assert!(ran.stderr.contains("tbf 7:"), "{ran:?}");
    }
    cluster.assert_clean();
}

#[test]
fn inject_with_unwritable_journal_leaves_node_running() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = one_cluster(&Options::default());
    // A file where the folder should be: not even root can write there.
    fs::write(program.state.path().join("sessions"), "").unwrap();
    let ran = program.run(&["inject", "node_kill", "--target", "tikv0"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("nothing was injected"), "{ran:?}");
    assert_eq!(cluster.inspect(0, "{{.State.Status}}"), "running");
    cluster.assert_clean();
}

#[test]
fn inject_with_state_folder_on_full_disk_leaves_node_running() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = one_cluster(&Options::default());
    let full = program.state.path().join("full");
    fs::create_dir(&full).unwrap();
    let target = full.to_str().unwrap();
    if !support::can_run(
        "docker",
        (!try_run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", target]).0)
            .then(|| "a tmpfs cannot be mounted".into()),
    ) {
        return;
    }
    // Folders exist, blocks do not.
    fs::create_dir_all(full.join("sessions")).unwrap();
    let _ = fs::write(full.join("ballast"), vec![1; 1 << 20]);
    let ran = Program::at(&full, &cluster.project).run(&["inject", "node_kill", "--target", "tikv0"]);
    run("umount", &[target]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("nothing was injected"), "{ran:?}");
    assert_eq!(cluster.inspect(0, "{{.State.Status}}"), "running");
}

/// Kills the program as soon as its journal says that the injection is active.
fn inject_and_kill(program: &Program, args: &[&str]) {
    let sessions = program.state.path().join("sessions");
    let before = active_on_disk(&sessions);
    let mut child = program.command(&[&["inject", "--force"], args].concat()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the injection to be active", || (active_on_disk(&sessions) > before).then_some(()));
    let _ = child.kill();
    child.wait().unwrap();
}

fn active_on_disk(sessions: &Path) -> usize {
    let files = fs::read_dir(sessions).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    texts.map(|text| text.matches("\"state\": \"active\"").count()).sum()
}

#[test]
fn recover_reverts_injections_of_killed_program() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = one_cluster(&Options { own_volumes_mib: Some(256), ..Options::default() });
    inject_and_kill(&program, &["network_partition", "--target", "tikv0"]);
    assert!(!cluster.traces(0).is_empty());
    inject_and_kill(&program, &["disk_pressure", "--target", "tikv1", "--fill-percent", "50"]);
    assert!(!cluster.fill_files(&cluster.volumes[1]).is_empty());
    inject_and_kill(&program, &["node_kill", "--target", "tikv2"]);
    assert_eq!(cluster.inspect(2, "{{.State.Status}}"), "exited");

    let dry = program.run(&["recover", "--dry-run", "--json"]).ok().json();
    assert_eq!(dry["recoverable"].as_array().unwrap().len(), 3);
    assert!(!cluster.traces(0).is_empty(), "a dry run changed something");
    let recovered = program.run(&["recover", "--json"]).ok().json();
    assert_eq!(recovered["recovered"].as_array().unwrap().len(), 3);
    assert_eq!(cluster.inspect(2, "{{.State.Status}}"), "running");
    cluster.assert_clean();
    assert!(program.active().is_empty());
    assert_eq!(program.run(&["recover", "--json"]).ok().json()["recovered"], serde_json::json!([]));
}

#[test]
fn undo_commands_revert_faults_without_the_program() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) =
        one_cluster(&Options { own_volumes_mib: Some(256), data: "/a, \"b\"", ..Options::default() });
    for args in [
        &["network_partition", "--target", "tikv0"][..],
        &["disk_pressure", "--target", "tikv1"],
        &["node_kill", "--target", "tikv2"],
    ] {
        for line in program.inject(args)["undo"].as_array().unwrap() {
            run("sh", &["-c", line.as_str().unwrap()]);
        }
    }
    assert!(cluster.traces(0).is_empty());
    assert!(cluster.fill_files(&cluster.volumes[1]).is_empty());
    assert_eq!(cluster.inspect(2, "{{.State.Status}}"), "running");
    // The journal still knows them, and finds nothing left to do.
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn inject_during_node_restart_fails_cleanly_or_is_revertible() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = one_cluster(&Options::default());
    for _ in 0..3 {
        let mut restart = Command::new("docker");
        let mut restart =
            restart.args(["restart", "-t", "0", &cluster.nodes[0]]).stdout(Stdio::null()).spawn().unwrap();
        let ran = program.run(&["inject", "network_partition", "--target", "tikv0", "--json"]);
        restart.wait().unwrap();
        if ran.status == 0 {
            // It came through before or after the restart; a later restart is `revert`'s to find.
            program.run(&["revert", "--all"]).ok();
        } else {
            assert!(program.active().is_empty(), "{ran:?}");
        }
        cluster.assert_clean();
    }
}

#[test]
fn doctor_reports_docker_helper_image_and_node_capabilities() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = one_cluster(&Options { own_volumes_mib: Some(256), ..Options::default() });
    let checks = program.run(&["doctor", "--json"]).ok().json();
    let checks = checks["checks"].as_array().unwrap();
    let detail = |what: &str| {
        let check = checks.iter().find(|check| check["what"].as_str().unwrap().contains(what));
        check.unwrap_or_else(|| panic!("no line about {what}: {checks:?}"))["detail"].as_str().unwrap()
    };
    assert!(detail("docker").contains("API"));
    assert!(detail("holder image").starts_with("tikv-chaos-holder:"));
    assert!(detail("iptables").contains("flavour"));
    assert!(detail(&cluster.nodes[0]).contains("tmpfs"));
    detail("netem");
    cluster.assert_clean();
}

#[test]
fn role_label_decides_role_and_include_pd_adds_pd_to_partition() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = one_cluster(&Options::default());
    let roles = |name: &str| -> Option<String> {
        let nodes = program.run(&["nodes", "--json"]).ok().json();
        let found = nodes["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name)?.clone();
        Some(found["role"].as_str().unwrap().to_owned())
    };
    let hidden = cluster.run_stranger(&["--label", "tikv-chaos.role=ignore"]);
    assert_eq!(roles(&hidden), None);
    run("docker", &["rm", "-f", "-v", &hidden]);

    let pd = cluster.run_stranger(&["--label", "tikv-chaos.role=pd", "--network", &cluster.networks[0]]);
    assert_eq!(roles(&pd).as_deref(), Some("pd"));
    let peers = |args: &[&str]| -> usize {
        let args = [&["inject", "network_partition", "--target", "tikv0", "--dry-run", "--json"], args].concat();
        program.run(&args).ok().json()["metadata"]["target_ips"].as_array().unwrap().len()
    };
    assert_eq!((peers(&[]), peers(&["--include-pd"])), (2, 3));
    assert_eq!((peers(&["--peers", "tikv1"]), peers(&["--peers", "tikv1", "--include-pd"])), (1, 2));
    cluster.assert_clean();
}
