//! The faults on real containers: what an operator sees when they hold, and that nothing is left when they end.

use support::{
    Program,
    cluster::{Cluster, Names, Options, bare_image},
    docker_is_here, run, try_run, wait_for,
};

fn start(options: &Options) -> (Cluster, Program) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

#[test]
fn partitioned_leader_is_replaced_and_rejoins_after_revert() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let old = cluster.leader().unwrap();
    let injected = program.inject(&["network_partition", "--target", &format!("tikv{old}")]);
    assert_eq!(injected["metadata"]["chaos_type"], "network_partition");
    assert_eq!(injected["metadata"]["isolated_container"], cluster.nodes[old].as_str());
    assert_eq!(injected["metadata"]["target_ips"].as_array().unwrap().len(), 2);
    assert_eq!(injected["state"], "active");

    let others: Vec<usize> = (0..3).filter(|node| *node != old).collect();
    let new = wait_for("a new leader elsewhere", || {
        let leaders: Vec<String> = others.iter().filter_map(|node| Some(cluster.view(*node)?.leader)).collect();
        let agreed = leaders.len() == 2 && leaders[0] == leaders[1] && leaders[0] != "0";
        let elected = others.iter().find(|node| cluster.view(**node).is_some_and(|view| view.member == leaders[0]));
        elected.copied().filter(|_| agreed)
    });
    assert_ne!(new, old);
    wait_for("the isolated node to know no leader", || cluster.view(old).filter(|view| !view.has_leader()));

    program.run(&["revert", injected["id"].as_str().unwrap()]).ok();
    wait_for("all three to agree again", || cluster.leader());
    cluster.assert_clean();
    assert!(program.active().is_empty());
}

#[test]
fn partition_from_one_peer_keeps_other_peers_reachable() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { names: Names::ComposeV1, second_network: true, ..Options::default() });
    let injected = program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
    // Both of the peer's networks.
    assert_eq!(injected["metadata"]["target_ips"].as_array().unwrap().len(), 2);
    assert!(!reaches(&cluster, 0, 1), "tikv0 still reaches tikv1");
    assert!(reaches(&cluster, 0, 2), "tikv0 does not reach tikv2 any more");
    program.run(&["revert", "--all"]).ok();
    assert!(reaches(&cluster, 0, 1));
    cluster.assert_clean();
}

#[test]
fn partition_cuts_ipv4_and_ipv6() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { ipv6: true, ..Options::default() });
    let pid = cluster.inspect(0, "{{.State.Pid}}");
    let ip = cluster.inspect(1, "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}");
    let script = format!("exec 3<>/dev/tcp/{ip}/2379");
    let reaches_v6 = || try_run("nsenter", &["-t", &pid, "-n", "timeout", "2", "bash", "-c", &script]).0;
    wait_for("IPv6 between the nodes", || reaches_v6().then_some(()));
    let injected = program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
    assert_eq!(injected["metadata"]["target_ips"].as_array().unwrap().len(), 2);
    assert_eq!(injected["undo"].as_array().unwrap().len(), 2);
    assert!(!reaches_v6() && !reaches(&cluster, 0, 1));
    program.run(&["revert", "--all"]).ok();
    assert!(reaches_v6() && reaches(&cluster, 0, 1));
    cluster.assert_clean();
}

/// Whether a TCP connection from one node's namespace to the other's client port comes about.
fn reaches(cluster: &Cluster, from: usize, to: usize) -> bool {
    let pid = cluster.inspect(from, "{{.State.Pid}}");
    let script = format!("exec 3<>/dev/tcp/{}/2379", cluster.ip(to).unwrap());
    try_run("nsenter", &["-t", &pid, "-n", "timeout", "1", "bash", "-c", &script]).0
}

#[test]
fn node_kill_cleanup_restarts_node_and_is_idempotent() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { names: Names::Plain, ..Options::default() });
    let injected = program.inject(&["node_kill", "--target", "tikv1"]);
    assert_eq!(injected["metadata"]["signal"], "SIGKILL");
    assert_eq!(injected["metadata"]["target_container"], cluster.nodes[1].as_str());
    assert_eq!(cluster.inspect(1, "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
    let metadata = injected["metadata"].to_string();
    for _ in 0..2 {
        program.run_with(&["cleanup"], &metadata, &[]).ok();
        assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    }
    wait_for("all three to agree again", || cluster.leader());
    assert!(program.active().is_empty());
    cluster.assert_clean();
}

#[test]
fn disk_pressure_fills_own_volume_completely_and_frees_it() {
    if !docker_is_here() {
        return;
    }
    let options = Options { data: "/var/lib/ti kv", own_volumes_mib: Some(256), ..Options::default() };
    let (cluster, program) = start(&options);
    let volume = &cluster.volumes[2];
    let before = cluster.available(volume);
    let half = program.inject(&["disk_pressure", "--target", "tikv2", "--fill-percent", "50"]);
    let filled = half["metadata"]["fill_bytes"].as_u64().unwrap();
    assert!(filled.abs_diff(before / 2) <= 4 << 20, "{filled} of {before}");
    let file = half["metadata"]["fill_file"].as_str().unwrap();
    assert!(file.starts_with("/var/lib/ti kv/db/chaos-fill-") && file.ends_with(".tmp"), "{file}");

    program.inject(&["disk_pressure", "--target", "tikv2", "--fill-percent", "100"]);
    assert_eq!(cluster.available(volume), 0);
    assert_eq!(cluster.fill_files(volume).len(), 2);
    assert!(cluster.fill_files(&cluster.volumes[0]).is_empty());
    program.run(&["revert", half["id"].as_str().unwrap()]).ok();
    assert_eq!(cluster.fill_files(volume).len(), 1);
    program.run(&["revert", "--all"]).ok();
    assert!(cluster.available(volume) >= before / 2);
    cluster.assert_clean();
}

#[test]
fn disk_pressure_on_shared_disk_names_it_and_keeps_reserve() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let plan =
        program.run(&["inject", "disk_pressure", "--target", "tikv0", "--fill-percent", "100", "--dry-run", "--json"]);
    // With less than the reserve free, it is refused; both ways it says why.
    let text = format!("{}{}", plan.stdout, plan.stderr);
    assert!(text.contains("Docker's own folder"), "{text}");
    if plan.status == 0 {
        let bytes = plan.json()["metadata"]["fill_bytes"].as_u64().unwrap();
        assert!(bytes + (2 << 30) <= cluster.available(&cluster.volumes[0]) + (64 << 20));
    } else {
        assert_eq!(plan.status, 3);
    }
    cluster.assert_clean();
}

/// What happens to the target while its disk is full.
fn fill_then(change: impl Fn(&Cluster)) {
    let (cluster, program) = start(&Options { own_volumes_mib: Some(256), ..Options::default() });
    let metadata = program.inject(&["disk_pressure", "--target", "tikv1"])["metadata"].to_string();
    assert_eq!(cluster.fill_files(&cluster.volumes[1]).len(), 1);
    change(&cluster);
    program.run_with(&["cleanup"], &metadata, &[]).ok();
    cluster.assert_clean();
    program.run_with(&["cleanup"], &metadata, &[]).ok();
}

#[test]
fn disk_pressure_cleanup_survives_container_lifecycle_changes() {
    if !docker_is_here() {
        return;
    }
    fill_then(|cluster| drop(run("docker", &["stop", "-t", "1", &cluster.nodes[1]])));
    fill_then(|cluster| drop(run("docker", &["pause", &cluster.nodes[1]])));
    fill_then(|cluster| drop(run("docker", &["restart", "-t", "1", &cluster.nodes[1]])));
    fill_then(|cluster| drop(run("docker", &["rm", "-f", &cluster.nodes[1]])));
}

/// What happens to the target while it is cut off.
fn cut_off_then(change: impl Fn(&Cluster)) {
    let (cluster, program) = start(&Options::default());
    let metadata = program.inject(&["network_partition", "--target", "tikv1"])["metadata"].to_string();
    assert!(!cluster.traces(1).is_empty());
    change(&cluster);
    program.run_with(&["cleanup"], &metadata, &[]).ok();
    cluster.assert_clean();
    program.run_with(&["cleanup"], &metadata, &[]).ok();
}

#[test]
fn partition_cleanup_survives_container_and_helper_changes() {
    if !docker_is_here() {
        return;
    }
    cut_off_then(|cluster| drop(run("docker", &["stop", "-t", "1", &cluster.nodes[1]])));
    cut_off_then(|cluster| drop(run("docker", &["pause", &cluster.nodes[1]])));
    cut_off_then(|cluster| drop(run("docker", &["restart", "-t", "1", &cluster.nodes[1]])));
    cut_off_then(|cluster| drop(run("docker", &["rm", "-f", &cluster.nodes[1]])));
    cut_off_then(|cluster| drop(run("docker", &["rm", "-f", &cluster.holder_of(1)])));
}

#[test]
fn partitions_of_two_programs_on_one_target_are_independent() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let other = Program::new(Some(&cluster.project));
    let from_one = program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
    let from_two = other.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv2"]);
    assert!(!reaches(&cluster, 0, 1) && !reaches(&cluster, 0, 2));
    program.run(&["revert", from_one["id"].as_str().unwrap()]).ok();
    assert!(reaches(&cluster, 0, 1) && !reaches(&cluster, 0, 2));
    other.run(&["revert", from_two["id"].as_str().unwrap()]).ok();
    assert!(reaches(&cluster, 0, 2));
    cluster.assert_clean();
}

#[test]
fn partition_ends_at_deadline_without_program_or_guard() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    program.inject(&["network_partition", "--target", "tikv0", "--ttl", "15s"]);
    program.kill_guard();
    wait_for("the rules to go", || cluster.traces(0).is_empty().then_some(()));
    let active = program.active();
    assert_eq!(active[0]["overdue"], true);
    program.run(&["recover"]).ok();
    assert!(program.active().is_empty());
    cluster.assert_clean();
}

#[test]
fn helper_replacing_dead_one_enforces_its_deadlines() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { own_volumes_mib: Some(256), ..Options::default() });
    // Long enough for both to hold at the same time on a busy machine.
    program.inject(&["network_partition", "--target", "tikv0", "--ttl", "20s"]);
    program.inject(&["disk_pressure", "--target", "tikv0", "--fill-percent", "10", "--ttl", "20s"]);
    program.kill_guard();
    run("docker", &["rm", "-f", &cluster.holder_of(0)]);
    wait_for("both to be overdue", || program.active().iter().all(|one| one["overdue"] == true).then_some(()));
    assert!(!cluster.traces(0).is_empty() && !cluster.fill_files(&cluster.volumes[0]).is_empty());
    // Whatever makes a new holder hands over what is written down.
    program.run(&["doctor"]).ok();
    wait_for("the rules to go", || cluster.traces(0).is_empty().then_some(()));
    wait_for("the file to go", || cluster.fill_files(&cluster.volumes[0]).is_empty().then_some(()));
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn partition_undone_by_hand_is_not_restored_by_new_helper() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let injected = program.inject(&["network_partition", "--target", "tikv0"]);
    run("docker", &["rm", "-f", &cluster.holder_of(0)]);
    run("sh", &["-c", injected["undo"][0].as_str().unwrap()]);
    assert!(cluster.traces(0).is_empty());
    program.run(&["doctor"]).ok();
    assert!(cluster.traces(0).is_empty(), "a new holder made it again");
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn cleanup_refuses_record_of_another_docker_daemon() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut metadata = program.inject(&["network_partition", "--target", "tikv0"])["metadata"].clone();
    metadata["daemon_id"] = "ELSE:WHERE".into();
    let ran = program.run_with(&["cleanup"], &metadata.to_string(), &[]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.stderr.contains("another Docker daemon"), "{ran:?}");
    assert!(!cluster.traces(0).is_empty());
    assert_eq!(program.active().len(), 1);
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn inject_refuses_auto_removed_or_network_sharing_containers() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let sharing = format!("container:{}", cluster.nodes[0]);
    let cases: [(&[&str], &str, &str); 3] = [
        (&["--rm"], "node_kill", "--rm"),
        (&["--network", "host"], "network_partition", "host's own network"),
        (&["--network", &sharing], "network_partition", "shares another container's network"),
    ];
    for (options, fault, expected) in cases {
        let name = cluster.run_stranger(options);
        let ran = program.run(&["inject", fault, "--target", &name]);
        let state = run("docker", &["inspect", "-f", "{{.State.Status}}", &name]);
        run("docker", &["rm", "-f", "-v", &name]);
        assert_eq!((ran.status, state.as_str()), (3, "running"), "{ran:?}");
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    cluster.assert_clean();
}

#[test]
fn helper_stop_ends_every_partition_it_holds() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
    program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv2", "--ttl", "none"]);
    run("docker", &["stop", &cluster.holder_of(0)]);
    assert!(cluster.traces(0).is_empty());
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn helper_image_without_tools_refuses_only_network_faults() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { own_volumes_mib: Some(256), ..Options::default() });
    let image = bare_image(support::program_path().to_str().unwrap());
    let run_with = |args: &[&str]| program.run(&[args, &["--holder-image", &image]].concat());
    for (fault, tool) in [("latency", "tc"), ("network_partition", "iptables-nft-restore")] {
        let ran = run_with(&["inject", fault, "--target", "tikv0"]);
        assert_eq!(ran.status, 3, "{ran:?}");
        assert!(ran.stderr.contains(&format!("the holder's image has no {tool}")), "{ran:?}");
    }
    run_with(&["inject", "disk_pressure", "--target", "tikv0", "--fill-percent", "10"]).ok();
    assert_eq!(cluster.fill_files(&cluster.volumes[0]).len(), 1);
    run_with(&["recover"]).ok();
    cluster.assert_clean();
    run("docker", &["rmi", &image]);
}

#[test]
fn latency_uses_netem_if_available_and_shaper_otherwise() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let pid = cluster.inspect(0, "{{.State.Pid}}");
    let on_loopback = ["-t", &pid, "-n", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"];
    let has_netem = try_run("nsenter", &on_loopback).0;
    if has_netem {
        cluster.in_namespace(0, &["tc", "qdisc", "del", "dev", "lo", "root"]);
    }
    let shown = || cluster.in_namespace(0, &["tc", "qdisc", "show", "dev", "eth0"]).contains("netem c4a0:");
    let made = program.inject(&["latency", "--target", "tikv0"]);
    assert_eq!((&made["metadata"]["via"], shown()), (&(if has_netem { "netem" } else { "shaper" }).into(), has_netem));
    program.run(&["revert", "--all"]).ok();
    if !has_netem {
        let ran = program.run(&["inject", "latency", "--target", "tikv0", "--via", "netem"]);
        assert_eq!(ran.status, 3, "{ran:?}");
        assert!(ran.stderr.contains("has no sch_netem") && ran.stderr.contains("modprobe sch_netem"), "{ran:?}");
        assert!(program.active().is_empty());
    }
    cluster.assert_clean();
}
