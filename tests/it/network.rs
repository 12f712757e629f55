//! Every fault of the network on real containers, by measurement: packets that this test sends between the nodes'
//! namespaces and counts itself. On a kernel without netem this is the shaper with iptables-nft; `tests/proof/netem.rs` is the
//! other half.

use std::{
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    packets::{Echo, FAST, assert_well, echoes, every_type, inside, throughput, v4, v6},
    run,
};

fn start(options: &Options) -> (Cluster, Program) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

#[test]
fn shaper_applies_and_reverts_every_type_over_ipv4_and_ipv6() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { ipv6: true, ..Options::default() });
    every_type(&cluster, &program, "shaper", &[v4(&cluster, 1), v6(&cluster, 1)]);
    cluster.assert_clean();
}

#[test]
fn bandwidth_limits_tcp_throughput_until_revert() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let args = ["bandwidth", "--target", "tikv1", "--via", "shaper", "--rate-kbit", "8000"];
    program.inject(&args);
    let got = throughput(&cluster, 1, (0, v4(&cluster, 0)), 2_000_000);
    assert!((5e6..9e6).contains(&got), "asked 8 Mbit/s, measured {got}");
    program.run(&["revert", "--all"]).ok();
    assert!(throughput(&cluster, 1, (0, v4(&cluster, 0)), 20_000_000) > 50e6);
    cluster.assert_clean();
}

#[test]
fn latency_filters_hit_only_matching_peers_and_ports() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let _echo = Echo::on(&cluster, 1);
    let to = v4(&cluster, 1);
    let delayed = |from: usize| echoes(&cluster, from, to, 20, FAST).quantile(0.5) > Duration::from_millis(90);
    for (args, expected) in [
        (&["--to", "tikv0"][..], [true, false]),
        (&["--to", "clients"], [false, false]),
        (&["--to", "tikv"], [true, true]),
        (&["--ports", "7007"], [true, true]),
        (&["--ports", "1,2,3"], [false, false]),
        (&["--spare-status"], [true, true]),
    ] {
        let args = [&["latency", "--target", "tikv1", "--via", "shaper", "--mean-ms", "100"], args].concat();
        let id = program.inject(&args)["id"].as_str().unwrap().to_owned();
        assert_eq!([delayed(0), delayed(2)], expected, "{args:?}");
        program.run(&["revert", &id]).ok();
    }
    let nobody = program.run(&["inject", "latency", "--target", "tikv1", "--via", "shaper", "--to", "pd", "--dry-run"]);
    assert!(nobody.stderr.contains("no packet is meant"), "{nobody:?}");
    cluster.assert_clean();
}

#[test]
fn latency_and_packet_loss_compose_and_revert_separately() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let _echo = Echo::on(&cluster, 1);
    let to = v4(&cluster, 1);
    let inject = |args: &[&str]| {
        let id = program.inject(&[args, &["--target", "tikv1", "--via", "shaper"]].concat())["id"].clone();
        id.as_str().unwrap().to_owned()
    };
    let late = inject(&["latency", "--mean-ms", "60"]);
    let rules = cluster.traces(1);
    let later = inject(&["latency", "--mean-ms", "40"]);
    let lossy = inject(&["packet_loss", "--percent", "50"]);
    let all = echoes(&cluster, 0, to, 200, FAST);
    assert!((0.35..0.65).contains(&all.lost()) && all.quantile(0.5) > Duration::from_millis(98), "{}", all.lost());
    program.run(&["revert", &lossy]).ok();
    program.run(&["revert", &later]).ok();
    let one = echoes(&cluster, 0, to, 50, FAST);
    assert_eq!(one.lost(), 0.0);
    assert!((58..90).contains(&one.quantile(0.5).as_millis()), "{:?}", one.quantile(0.5));
    assert_eq!(cluster.traces(1), rules);
    program.run(&["revert", &late]).ok();
    cluster.assert_clean();
}

#[test]
fn active_now_reports_packets_dropped_over_limit() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let _echo = Echo::on(&cluster, 1);
    let injected = program.inject(&["latency", "--target", "tikv1", "--via", "shaper", "--mean-ms", "900"]);
    let id = injected["id"].as_str().unwrap();
    let packets = || program.run(&["active", "--now", "--json"]).ok().json()["active"][0]["measured"]["now"].clone();
    let within = packets();
    assert!(within["packets"]["met"].as_u64() > Some(40) && within["packets"]["over_limit"] == 0, "{within:#}");
    program.run(&["change", id, "--limit", "30"]).ok();
    let lost = echoes(&cluster, 0, v4(&cluster, 1), 400, FAST).lost() * 400.0;
    let over = packets();
    // Others' packets wait, and are dropped, with those of this test.
    let [met, over_limit] = ["met", "over_limit"].map(|key| over["packets"][key].as_f64().unwrap());
    assert!(lost > 300.0 && over_limit >= lost.round() && met >= 400.0, "{lost} lost: {over:#}");
    let text = program.run(&["active", "--now"]).ok().stdout;
    assert!(text.contains("packets dropped over its limit"), "{text}");
    program.run(&["revert", id]).ok();
    assert_well(&cluster, v4(&cluster, 1));
    cluster.assert_clean();
}

#[test]
fn latency_change_has_no_gap_and_loses_no_packets() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let _echo = Echo::on(&cluster, 1);
    let to = v4(&cluster, 1);
    let injected = program.inject(&["latency", "--target", "tikv1", "--via", "shaper", "--mean-ms", "100"]);
    let id = injected["id"].as_str().unwrap();
    thread::scope(|scope| {
        let watched = scope.spawn(|| echoes(&cluster, 0, to, 1200, FAST));
        let changed = program.run(&["change", id, "--mean-ms", "250", "--json"]).ok().json();
        assert_eq!((&changed["metadata"]["min_ms"], &changed["deadline"]), (&250.into(), &injected["deadline"]));
        let watched = watched.join().unwrap();
        assert_eq!(watched.lost(), 0.0);
        let [least, most] = [0.0, 1.0].map(|share| watched.quantile(share).as_millis());
        assert!(least >= 98 && most >= 248, "from {least} to {most} ms");
    });
    assert_eq!(program.active()[0]["metadata"]["max_ms"], 250);
    let refused = program.run(&["change", id, "--min-ms", "300", "--max-ms", "1"]);
    assert_eq!(refused.status, 2, "{refused:?}");
    program.run(&["revert", id]).ok();
    assert_well(&cluster, to);
    cluster.assert_clean();
}

#[test]
fn shaper_stops_with_dead_helper_and_resumes_with_successor() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let _echo = Echo::on(&cluster, 1);
    let to = v4(&cluster, 1);
    program.inject(&["latency", "--target", "tikv1", "--via", "shaper", "--mean-ms", "100"]);
    program.kill_guard();
    run("docker", &["rm", "-f", &cluster.holder_of(1)]);
    assert_well(&cluster, to);
    assert!(!cluster.traces(1).is_empty(), "its rules are marks");
    // Whatever makes a new holder hands over what is written down.
    program.run(&["doctor"]).ok();
    assert!(echoes(&cluster, 0, to, 20, FAST).quantile(0.5) > Duration::from_millis(98));
    program.run(&["recover"]).ok();
    assert_well(&cluster, to);
    cluster.assert_clean();
}

/// Whether a TCP connection comes about, and how soon it is known.
fn connects(cluster: &Cluster, from: usize, to: usize) -> (bool, Duration) {
    let address = SocketAddr::new(v4(cluster, to), 2379);
    let work = move || {
        let start = Instant::now();
        (TcpStream::connect_timeout(&address, Duration::from_millis(700)).is_ok(), start.elapsed())
    };
    inside(cluster, from, work).join().unwrap()
}

#[test]
fn partition_shapes_and_reject_cut_requested_connections() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let cases: [(&[&str], [bool; 3]); 5] = [
        (&["--shape", "halves"], [false, true, false]),
        // The target reaches both, and they not one another.
        (&["--shape", "bridge"], [true, false, true]),
        (&["--shape", "pair", "--peers", "tikv1"], [false, true, true]),
        (&["--shape", "one-way-in"], [false, true, false]),
        (&["--shape", "one-way-out"], [false, true, false]),
    ];
    for (args, expected) in cases {
        let args = [&["network_partition", "--target", "tikv0"], args].concat();
        let injected = program.inject(&args);
        let seen = [(0, 1), (1, 2), (2, 0)].map(|(from, to)| connects(&cluster, from, to).0);
        assert_eq!(seen, expected, "{args:?}");
        program.run(&["revert", injected["id"].as_str().unwrap()]).ok();
        cluster.assert_clean();
    }
    let ring = program.run(&["inject", "network_partition", "--shape", "majorities-ring", "--target", "tikv0"]);
    assert!(ring.status == 3 && ring.stderr.contains("at least 4"), "{ring:?}");
    // A second one that is no other TiKV node.
    let none =
        program.run(&["inject", "network_partition", "--shape", "pair", "--target", "tikv0", "--peers", "tikv0"]);
    assert!(none.status == 3 && none.stderr.contains("pair is about two TiKV nodes"), "{none:?}");
    cluster.assert_clean();

    program.inject(&["network_partition", "--target", "tikv0", "--reject"]);
    for (from, to) in [(0, 1), (1, 0)] {
        let (came, after) = connects(&cluster, from, to);
        assert!(!came && after < Duration::from_millis(600), "refused at once, not dropped: {after:?}");
    }
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

#[test]
fn partition_of_several_targets_is_one_group_reverted_together() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let args = ["network_partition", "--target", "tikv0", "--target", "tikv1", "--peers", "tikv2"];
    let injected = program.inject(&args);
    assert_eq!(injected["injections"].as_array().unwrap().len(), 2);
    let group = injected["group"].as_str().unwrap();
    assert!(program.active().iter().all(|one| one["metadata"]["group"] == group));
    assert!(!connects(&cluster, 0, 2).0 && !connects(&cluster, 1, 2).0 && connects(&cluster, 0, 1).0);
    program.run(&["revert", group]).ok();
    assert!(program.active().is_empty());
    cluster.assert_clean();

    // None where one cannot be.
    run("docker", &["pause", &cluster.nodes[1]]);
    let ran = program.run(&["inject", "--force", "network_partition", "--target", "tikv0", "--target", "tikv1"]);
    run("docker", &["unpause", &cluster.nodes[1]]);
    assert_eq!(ran.status, 3, "{ran:?}");
    cluster.assert_clean();
}

#[test]
fn node_pause_and_node_stop_revert_but_foreign_pause_stays() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    for (fault, state) in [("node_pause", "paused"), ("node_stop", "exited")] {
        let injected = program.inject(&[fault, "--target", "tikv1"]);
        assert_eq!(cluster.inspect(1, "{{.State.Status}}"), state);
        let metadata = injected["metadata"].to_string();
        for _ in 0..2 {
            program.run_with(&["cleanup"], &metadata, &[]).ok();
            assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
        }
        assert!(program.active().is_empty());
    }
    // Somebody else's pause is not ours to end.
    run("docker", &["pause", &cluster.nodes[1]]);
    assert_eq!(program.run(&["inject", "node_pause", "--force", "--target", "tikv1"]).status, 3);
    program.run(&["recover"]).ok();
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "paused");
    run("docker", &["unpause", &cluster.nodes[1]]);
    cluster.assert_clean();
}
