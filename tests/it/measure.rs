//! What the program measures, against faults that the test itself can see by other means.

use serde_json::Value;
use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    pty::Terminal,
    run, try_run, wait_for,
};

/// Whether a TCP connection from one node's namespace to the other's client port comes about.
fn reaches(cluster: &Cluster, from: usize, to: usize) -> bool {
    let pid = cluster.inspect(from, "{{.State.Pid}}");
    let script = format!("exec 3<>/dev/tcp/{}/2379", cluster.ip(to).unwrap());
    try_run("nsenter", &["-t", &pid, "-n", "timeout", "1", "bash", "-c", &script]).0
}

/// The row of one node: what it reaches, by name.
fn row(matrix: &Value, cluster: &Cluster, from: usize) -> Vec<Option<(String, String)>> {
    let names: Vec<&str> = matrix["nodes"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let at = |node: usize| names.iter().position(|name| *name == cluster.nodes[node]).unwrap();
    let cell = |to: usize| {
        let cell = &matrix["rows"][at(from)][at(to)];
        let word = |key: &str| cell[key].as_str().map(str::to_owned);
        word("reach").zip(word("source"))
    };
    (0..cluster.nodes.len()).map(cell).collect()
}

fn measured(reach: &str) -> Option<(String, String)> {
    Some((reach.to_owned(), "measured".to_owned()))
}

#[test]
fn partition_is_measured_before_during_and_after_revert() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options { ipv6: true, ..Options::default() });
    let program = Program::new(Some(&cluster.project));
    // No injection waits for a measurement: where the machine is busy, the fault may come before the first packet.
    let injected = wait_for("an injection that was measured before it held", || {
        let injected = program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
        if injected["measured"]["before"]["peers"].is_array() {
            return Some(injected);
        }
        assert_eq!(injected["measured"]["before"]["not_measured"], "the fault was there before an answer was");
        program.run(&["revert", injected["id"].as_str().unwrap()]).ok();
        None
    });
    assert!(!reaches(&cluster, 0, 1) && reaches(&cluster, 0, 2));

    let seen = &injected["measured"];
    assert_eq!(seen["judgement"]["outcome"], "as_asked", "{seen:#}");
    // The one peer's IPv4 and IPv6 address.
    assert_eq!(seen["judgement"]["findings"][0]["asked"], "2 addresses out of reach");
    assert_eq!(seen["judgement"]["findings"][0]["measured"], "2 of 2 out of reach", "{seen:#}");
    let answered = |moment: &str, node: usize| {
        let peers = seen[moment]["peers"].as_array().unwrap_or_else(|| panic!("{moment}: {seen:#}")).iter();
        let of = peers.filter(|peer| peer["name"] == cluster.nodes[node].as_str());
        of.map(|peer| peer["echo"]["answered"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(answered("during", 1), [0, 0]);
    assert!(answered("during", 2).iter().all(|answered| *answered > 0), "{seen:#}");
    assert!(answered("before", 1).iter().all(|answered| *answered > 0), "{seen:#}");

    // The record keeps it, for every program.
    let active = program.active();
    assert_eq!(active[0]["measured"], *seen);
    let listed = program.run(&["active"]).ok().stdout;
    assert!(listed.contains("asked 2 addresses out of reach, measured 2 of 2 out of reach: as asked"), "{listed}");

    // The target's row, and its peer's.
    let matrix = program.run(&["reach", "--json"]).ok().json();
    assert_eq!(row(&matrix, &cluster, 0), [None, measured("cut"), measured("reached")]);
    assert_eq!(row(&matrix, &cluster, 1), [measured("cut"), None, measured("reached")]);
    let text = program.run(&["reach"]).ok().stdout;
    assert_eq!(text.matches("CUT").count(), 2, "{text}");

    let id = injected["id"].as_str().unwrap();
    let reverted = program.run(&["revert", "--json", id]).ok().json();
    assert!(reaches(&cluster, 0, 1));
    let over = &reverted["reverted"][0]["measured"];
    assert_eq!(over["outcome"], "over", "{over:#}");
    assert_eq!(over["text"], "measured 0 of 2 out of reach: it is over");
    let matrix = program.run(&["reach", "--json"]).ok().json();
    assert_eq!(row(&matrix, &cluster, 0), [None, measured("reached"), measured("reached")]);
    cluster.assert_clean();
}

#[test]
fn partition_measurement_ignores_peers_killed_meanwhile() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let cut = ["network_partition", "--target", "tikv0", "--peers", "tikv1"];
    let over = |id: &Value| {
        let reverted = program.run(&["revert", "--json", id.as_str().unwrap()]).ok().json();
        reverted["reverted"][0]["measured"].clone()
    };
    let first = program.inject(&cut);
    run("docker", &["kill", &cluster.nodes[1]]);
    let seen = over(&first["id"]);
    assert_eq!(seen["text"], "not measured: none of the nodes that it was about runs");
    run("docker", &["start", &cluster.nodes[1]]);

    // Of several, by those that run.
    let second = program.inject(&["network_partition", "--target", "tikv0"]);
    run("docker", &["kill", &cluster.nodes[1]]);
    let seen = over(&second["id"]);
    assert_eq!(seen["text"], "measured 0 of 1 out of reach: it is over", "{seen:#}");
    cluster.assert_clean();
}

#[test]
fn node_kill_is_not_measured_but_shown_in_reach_matrix() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let injected = program.inject(&["node_kill", "--target", "tikv1"]);
    assert_eq!(injected["measured"], Value::Null);
    let matrix = program.run(&["reach", "--json"]).ok().json();
    let rules = |reach: &str| Some((reach.to_owned(), "rules".to_owned()));
    assert_eq!(row(&matrix, &cluster, 0), [None, rules("down"), measured("reached")]);
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

/// The shaper is on every kernel that has NFQUEUE, netem on few.
const SHAPER: [&str; 2] = ["--via", "shaper"];

fn inject(program: &Program, fault: &[&str]) -> Value {
    let injected = program.inject(&[fault, &["--target", "tikv0"], &SHAPER].concat());
    injected["measured"]["judgement"].clone()
}

#[test]
fn latency_is_measured_against_requested_delay() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let judged = inject(&program, &["latency", "--min-ms", "40", "--max-ms", "80"]);
    // Within a tenth or three standard errors, as the judge says.
    assert_eq!(judged["outcome"], "as_asked", "{judged:#}");
    let text = judged["text"].as_str().unwrap();
    assert!(text.starts_with("asked 60 ± 20 ms, measured ") && text.ends_with(" over 80: as asked"), "{text}");
    let id = program.active()[0]["id"].as_str().unwrap().to_owned();
    let changed = program.run(&["change", "--json", &id, "--min-ms", "20", "--max-ms", "20"]).ok().json();
    let text = &changed["measured"]["judgement"]["text"];
    assert!(text.as_str().unwrap().starts_with("asked 20 ms, measured 2"), "{text}");
    let reverted = program.run(&["revert", "--all"]).ok().stdout;
    assert!(reverted.contains("read back and gone; measured ") && reverted.contains(": it is over"), "{reverted}");
    cluster.assert_clean();
}

#[test]
fn packet_loss_and_two_way_latency_are_measured_together() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let twice = inject(&program, &["latency", "--min-ms", "30", "--max-ms", "30", "--direction", "both"]);
    assert_eq!(twice["findings"][0]["asked"], "60 ms", "{twice:#}");
    assert_eq!(twice["outcome"], "as_asked", "{twice:#}");
    // What was there before is no part of what this one does.
    let lost = inject(&program, &["packet_loss", "--percent", "30"]);
    assert_eq!(lost["findings"][0]["asked"], "30 % lost", "{lost:#}");
    assert_eq!(lost["outcome"], "as_asked", "{lost:#}");
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

#[test]
fn latency_filter_is_measured_on_matches_or_has_no_effect() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let delay = ["latency", "--min-ms", "50", "--max-ms", "50"];
    let peer = cluster.ip(1).unwrap();
    let one = inject(&program, &[&delay[..], &["--to", &peer]].concat());
    assert_eq!(one["outcome"], "as_asked", "{one:#}");
    assert!(one["text"].as_str().unwrap().ends_with(" over 40: as asked"), "{one:#}");
    program.run(&["revert", "--all"]).ok();

    // An address for documentation, which is nobody's (RFC 5737).
    let nobody = inject(&program, &[&delay[..], &["--to", "192.0.2.1"]].concat());
    assert_eq!(nobody["outcome"], "no_effect", "{nobody:#}");
    assert!(nobody["text"].as_str().unwrap().ends_with("; no packet has met it so far"), "{nobody:#}");
    program.run(&["revert", "--all"]).ok();

    // Known before it is made: etcd talks with its peers on 2380 and listens for clients on 2379.
    let warned = |filter: [&str; 2]| {
        let plan =
            program.run(&[&["inject", "--dry-run"], &delay[..], &SHAPER, &["--target", "tikv0"], &filter].concat());
        assert_eq!(plan.status, 0, "{plan:?}");
        plan.stderr.contains("its filter matches none of the") || plan.stdout.contains("its filter matches none of the")
    };
    let named = |word: &str| warned(["--to", word]);
    assert_eq!([named(&peer), named("tikv2"), named("192.0.2.1")], [false, false, true]);
    assert_eq!(["2380", "2379", "9"].map(|port| warned(["--ports", port])), [false, false, true]);
    cluster.assert_clean();
}

#[test]
fn duplicate_corrupt_reorder_bandwidth_are_measured_as_asked() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let kinds: [(&[&str], &str); 4] = [
        (&["packet_duplicate", "--percent", "40"], "40 % twice"),
        (&["packet_corrupt", "--percent", "50"], "50 % lost"),
        (&["packet_reorder", "--percent", "50", "--delay-ms", "40"], "20 ± 20 ms"),
        (&["bandwidth", "--rate-kbit", "2000"], "2 Mbit/s"),
    ];
    for (fault, asked) in kinds {
        let judged = inject(&program, fault);
        let findings = judged["findings"].as_array().unwrap();
        assert!(findings.iter().any(|finding| finding["asked"] == asked), "{judged:#}");
        // Of the bits that may be flipped some are in fields that no checksum covers.
        assert_eq!(judged["outcome"], "as_asked", "{judged:#}");
        program.run(&["revert", "--all"]).ok();
    }
    cluster.assert_clean();
}

#[test]
fn screen_shows_partition_measurement_and_its_end() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
    let mut terminal = Terminal::open(&program, (45, 160));
    // What another program measured stands in the record that they share.
    terminal.wait_text("as asked: 1 of 1 out of reach");
    terminal.wait_text("[k/Esc] keep for now");
    terminal.send("k3");
    terminal.send("m");
    terminal.wait_text("Who reaches whom now");
    assert!(terminal.screen().contains("✗"), "{}", terminal.screen());
    terminal.send("\x1b");
    terminal.wait_gone("Who reaches whom now");
    terminal.send("r");
    terminal.wait_text("measured 0 of 1 out of reach: it is over");
    assert!(reaches(&cluster, 0, 1));
    terminal.send("q");
    terminal.wait_success();
    cluster.assert_clean();
}
