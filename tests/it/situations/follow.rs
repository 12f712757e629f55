//! Peers that get another address while a fault names them.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use support::{
    Program,
    cluster::{Cluster, LABEL, Options},
    docker_is_here,
    packets::inside,
    proxy::Proxy,
    run, wait_for,
};

use crate::screen::reader::{LARGE, inject, open, quit};

fn start() -> (Cluster, Program) {
    let cluster = Cluster::start(&Options { apart: true, ..Options::default() });
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

/// The addresses in our rules in a table of the node's namespace, by iptables itself.
fn met(cluster: &Cluster, node: usize, table: &str) -> BTreeSet<String> {
    let rules = cluster.in_namespace(node, &["iptables-nft-save", "-t", table]);
    let ours = rules.lines().filter(|line| line.starts_with("-A TIKV-CHAOS-"));
    let words = ours.flat_map(|line| line.split_whitespace().skip_while(|word| !matches!(*word, "-s" | "-d")).nth(1));
    words.map(|address| address.trim_end_matches("/32").to_owned()).collect()
}

fn cut_off(cluster: &Cluster, node: usize) -> BTreeSet<String> {
    met(cluster, node, "filter")
}

fn wait_cut_off(cluster: &Cluster, node: usize, expected: &[&String]) {
    let expected: BTreeSet<String> = expected.iter().map(|ip| (*ip).clone()).collect();
    let what = format!("the rules to be for {expected:?}");
    wait_for(&what, || (cut_off(cluster, node) == expected).then_some(()));
}

/// Whether anything comes back from there, be it a refusal.
fn reaches(cluster: &Cluster, from: usize, ip: &str) -> bool {
    let address = SocketAddr::new(ip.parse().unwrap(), 2379);
    let connect = move || TcpStream::connect_timeout(&address, Duration::from_millis(700));
    match inside(cluster, from, connect).join().unwrap() {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    }
}

/// Kills two nodes and starts them in the other order, so that each has the other's address.
fn swap(cluster: &Cluster, one: usize, two: usize) {
    let before = [cluster.ip(two), cluster.ip(one)];
    run("docker", &["kill", &cluster.nodes[one], &cluster.nodes[two]]);
    for node in [two, one] {
        run("docker", &["start", &cluster.nodes[node]]);
    }
    assert_eq!([cluster.ip(one), cluster.ip(two)], before, "Docker gives the lowest free address first");
}

/// Waits until the guard knows nothing any more but what wakes it.
fn wait_for_rest(guard: i32) {
    let line = || fs::read_to_string(format!("/proc/{guard}/cmdline")).unwrap_or_default();
    wait_for("the guard to rest", || line().contains("--resting").then_some(()));
}

#[test]
fn guard_alone_follows_peer_that_swaps_addresses_with_another_node() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start();
    let [one, two] = [1, 2].map(|node| cluster.ip(node).unwrap());
    let injected = program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1", "--ttl", "none"]);
    wait_cut_off(&cluster, 0, &[&one]);
    let guard = program.guard().expect("it has nothing to keep but a peer to follow");
    wait_for_rest(guard);

    swap(&cluster, 1, 2);
    wait_cut_off(&cluster, 0, &[&two]);
    wait_for("the node at the old address to be reached", || reaches(&cluster, 0, &one).then_some(()));
    wait_for("the peer to listen again", || reaches(&cluster, 2, &two).then_some(()));
    assert!(!reaches(&cluster, 0, &two), "the peer is still cut off");

    let active = wait_for("the record to be settled", || {
        Some(program.active().remove(0))
            .filter(|one| one["state"] == "active" && one["metadata"]["target_ips"] == json!([two]))
    });
    let metadata = &active["metadata"];
    assert_eq!((&metadata["id"], &metadata["peers"]), (&injected["id"], &json!([cluster.nodes[1]])));
    assert_eq!((&active["note"], &active["deadline"]), (&json!(null), &json!(null)));
    assert_eq!(metadata["peer_nodes"][0]["container_id"], cluster.inspect(1, "{{.Id}}"));
    assert_eq!(program.guard(), Some(guard));

    // From what the injection returned, which names the old address.
    program.run_with(&["cleanup"], &injected["metadata"].to_string(), &[]).ok();
    program.wait_for_guards_end(guard);
    cluster.assert_clean();
}

#[test]
fn screen_follows_restarted_peer_and_spares_node_at_its_old_address() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start();
    let [one, two] = [1, 2].map(|node| cluster.ip(node).unwrap());
    let mut terminal = open(&program, LARGE);
    inject(&mut terminal, 0, "network_partition");
    wait_cut_off(&cluster, 0, &[&one, &two]);
    // What happens now the guard cannot have done.
    let guard = Pid::from_raw(program.guard().unwrap());
    kill(guard, Signal::SIGSTOP).unwrap();

    run("docker", &["kill", &cluster.nodes[1]]);
    wait_cut_off(&cluster, 0, &[&two]);
    let bystander = cluster.run_further(9, &["--network", &cluster.networks[0]]);
    let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    assert_eq!(
        run("docker", &["inspect", "-f", template, &bystander]),
        one,
        "Docker gives the lowest free address first"
    );
    assert!(reaches(&cluster, 0, &one), "the node that took the address was never named");

    run("docker", &["start", &cluster.nodes[1]]);
    let anew = cluster.ip(1).unwrap();
    assert_ne!(anew, one);
    wait_cut_off(&cluster, 0, &[&anew, &two]);
    assert!(reaches(&cluster, 0, &one));
    terminal.wait_text("follows its peers");

    kill(guard, Signal::SIGCONT).unwrap();
    terminal.send("3r");
    terminal.wait_text("Nothing is injected.");
    quit(&mut terminal);
    cluster.assert_clean();
}

#[test]
fn network_connected_meanwhile_is_in_partition_and_latency() {
    if !docker_is_here() {
        return;
    }
    let (mut cluster, program) = start();
    let one = cluster.ip(1).unwrap();
    program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
    program.inject(&["latency", "--target", "tikv0", "--to", "tikv1", "--via", "shaper"]);
    let late = format!("{}_late", cluster.project);
    run("docker", &["network", "create", "--label", &format!("{LABEL}={}", cluster.run), &late]);
    cluster.networks.push(late.clone());
    for node in [1, 0] {
        run("docker", &["network", "connect", &late, &cluster.nodes[node]]);
    }
    let template = format!("{{{{(index .NetworkSettings.Networks \"{late}\").IPAddress}}}}");
    let second = cluster.inspect(1, &template);
    wait_cut_off(&cluster, 0, &[&one, &second]);
    let rules = || cluster.in_namespace(0, &["iptables-nft-save", "-t", "mangle"]);
    let on = |rules: &str, interface: &str, ip: &str| {
        rules.lines().any(|line| line.contains(&format!("-i {interface} ")) && line.contains(&format!("{ip}/32")))
    };
    wait_for("the latency on the new interface", || on(&rules(), "eth1", &second).then_some(()));
    assert!(on(&rules(), "eth0", &one), "{}", rules());

    run("docker", &["network", "disconnect", &late, &cluster.nodes[1]]);
    wait_cut_off(&cluster, 0, &[&one]);
    wait_for("the latency to leave it", || (!met(&cluster, 0, "mangle").contains(&second)).then_some(()));
    program.run(&["revert", "--all", "--every-session"]).ok();
    cluster.assert_clean();
}

#[test]
fn peer_without_address_is_not_measured_and_met_again_once_recreated() {
    if !docker_is_here() {
        return;
    }
    let (mut cluster, program) = start();
    program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
    run("docker", &["kill", &cluster.nodes[1]]);
    wait_cut_off(&cluster, 0, &[]);
    let said = program.run(&["active", "--now"]).ok().stdout;
    assert!(said.contains("not measured") && !said.contains("as asked"), "{said}");
    assert!(said.contains(&format!("{} has none now", cluster.nodes[1])), "{said}");

    // Another node has its address when it comes back as another container of its name.
    cluster.run_further(9, &["--network", &cluster.networks[0]]);
    cluster.recreate(1);
    let anew = cluster.ip(1).unwrap();
    wait_cut_off(&cluster, 0, &[&anew]);
    wait_for("the peer to listen", || reaches(&cluster, 2, &anew).then_some(()));
    let said = program.run(&["active", "--now"]).ok().stdout;
    assert!(said.contains("measured 1 of 1 out of reach: as asked"), "{said}");
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn record_says_that_peers_are_not_followed_while_docker_is_away() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start();
    let [one, two] = [1, 2].map(|node| cluster.ip(node).unwrap());
    let mut proxy = Proxy::start();
    let inject = ["inject", "--force", "network_partition", "--target", "tikv0", "--peers", "tikv1"];
    program.run_with(&inject, "", &[("DOCKER_HOST", &proxy.host())]).ok();
    wait_cut_off(&cluster, 0, &[&one]);
    proxy.stop();
    let note = wait_for("the record to say so", || program.active()[0]["note"].as_str().map(str::to_owned));
    assert!(note.starts_with("may no longer do what it says"), "{note}");
    let said = program.run(&["active"]).ok().stdout;
    assert!(said.contains(&note), "{said}");
    swap(&cluster, 1, 2);
    assert_eq!(cut_off(&cluster, 0), [one].into());
    proxy.restart();
    wait_cut_off(&cluster, 0, &[&two]);
    wait_for("the record to be settled", || program.active()[0]["note"].is_null().then_some(()));
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn next_guard_goes_on_where_one_died_while_it_followed() {
    if !docker_is_here() {
        return;
    }
    for step in ["ChangeWritten", "Changed"] {
        let (cluster, program) = start();
        let two = cluster.ip(2).unwrap();
        let inject = ["inject", "--force", "network_partition", "--target", "tikv0", "--peers", "tikv1"];
        program.run_with(&inject, "", &[("GUARD_FAILPOINTS", &format!("{step}=return"))]).ok();
        let guard = program.guard().unwrap();
        swap(&cluster, 1, 2);
        program.wait_for_guards_end(guard);
        assert_eq!(program.active()[0]["state"], "applying");
        program.inject(&["latency", "--target", "tikv2", "--via", "shaper"]);
        wait_cut_off(&cluster, 0, &[&two]);
        wait_for("the record to be settled", || (program.active()[0]["state"] == "active").then_some(()));
        program.run(&["recover"]).ok();
        cluster.assert_clean();
    }
}

#[test]
fn inject_says_first_that_nothing_follows_peers_where_no_guard_can_run() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start();
    program.inject(&["latency", "--target", "tikv0", "--via", "shaper"]);
    program.kill_guard();
    program.run(&["recover"]).ok();
    // Its lock cannot be a folder.
    let sessions = fs::read_dir(program.state.path().join("sessions")).unwrap().flatten().map(|file| file.path());
    let lock =
        sessions.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with("guard-")).unwrap();
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();

    let inject = ["inject", "--force", "network_partition", "--target", "tikv0", "--ttl", "none"];
    let mut first = program.command(&inject);
    first.env("FAILPOINTS", "ApplyingWritten=return").stdin(Stdio::null());
    let died = first.output().unwrap();
    let said = String::from_utf8_lossy(&died.stderr).into_owned();
    assert!(!died.status.success() && cut_off(&cluster, 0).is_empty());
    assert!(said.contains("peers that get other addresses are followed only while this program runs"), "{said}");

    program.run(&inject).ok();
    let listed = program.run(&["active"]).ok().stdout;
    assert!(listed.contains("its peers are followed only while its program runs"), "{listed}");
    assert!(listed.contains("peers that get other addresses are not followed"), "{listed}");
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn partition_undone_by_hand_is_not_made_again_when_a_peer_moves() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start();
    let injected = program.inject(&["network_partition", "--target", "tikv0", "--ttl", "none"]);
    for line in injected["undo"].as_array().unwrap() {
        run("sh", &["-c", line.as_str().unwrap()]);
    }
    wait_cut_off(&cluster, 0, &[]);
    run("docker", &["kill", &cluster.nodes[1]]);
    let note = wait_for("the record to say so", || program.active()[0]["note"].as_str().map(str::to_owned));
    assert!(note.starts_with("no longer does what it says") && note.contains("undone by other means"), "{note}");
    run("docker", &["start", &cluster.nodes[1]]);
    wait_for("the guard to have looked again", || (program.log().matches("not followed").count() > 1).then_some(()));
    assert!(cut_off(&cluster, 0).is_empty());
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}
