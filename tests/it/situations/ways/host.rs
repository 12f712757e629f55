//! Nodes that advertise an address of the Docker host, as they do where clients outside of Docker are to reach them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;
use support::{
    Program,
    by_host::{Advertising, connects},
    cluster::{Cluster, Options},
    docker_is_here,
    packets::side_by_side,
    wait_for,
};

/// Every injection of an act, by its target's name.
fn members(injected: &Value) -> Vec<(String, Value)> {
    let each = injected["injections"].as_array().unwrap_or_else(|| panic!("no act: {injected:#}")).iter();
    each.map(|one| (one["metadata"]["isolated_container"].as_str().unwrap().to_owned(), one.clone())).collect()
}

#[test]
fn partition_of_leader_behind_docker_hosts_ports_elects_another() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options { by_host: true, ..Options::default() });
    let program = Program::new(Some(&cluster.project));
    let leader = wait_for("all to agree", || cluster.leader());
    let others: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    let before = cluster.view(leader).unwrap().member;

    let injected = program.inject(&["network_partition", "--target", &format!("tikv{leader}")]);
    wait_for("the others to elect another leader", || {
        let views: Vec<_> = others.iter().filter_map(|node| cluster.view(*node)).collect();
        (views.len() == 2 && views.iter().all(|view| view.has_leader() && view.leader != before)).then_some(())
    });
    // A client behind the same gateway is not cut off: it is told that there is no leader.
    wait_for("the node that is cut off to know of no leader", || {
        cluster.view(leader).filter(|view| !view.has_leader()).map(|_| ())
    });
    assert!(side_by_side(&others, |node| cluster.writes(*node)).contains(&true) && !cluster.writes(leader));

    // The record names the peers by their containers' addresses, as ever, and the ways beside these.
    let metadata = &injected["metadata"];
    let ips = |list: &Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let expected: BTreeSet<String> = others.iter().map(|node| cluster.ip(*node).unwrap()).collect();
    assert_eq!(ips(&metadata["target_ips"]), expected);
    let ends: BTreeSet<String> = others.iter().map(|node| cluster.by_host[*node].to_string()).collect();
    assert_eq!(ips(&metadata["ends"]), ends);

    // Measured on these ways, from both ends.
    let members = members(&injected);
    assert_eq!(members.len(), 3, "{injected:#}");
    for (name, one) in &members {
        let (judgement, peers) = (&one["measured"]["judgement"], &one["measured"]["during"]["peers"]);
        assert_eq!(judgement["outcome"], "as_asked", "{name}: {judgement:#}");
        let far = if *name == cluster.nodes[leader] { others[0] } else { leader };
        let tried = |peer: &Value| {
            peer["address"] == cluster.by_host[far].ip().to_string() && peer["port"] == cluster.by_host[far].port()
        };
        assert!(peers.as_array().unwrap().iter().any(tried), "{name}: {peers:#}");
    }

    program.run(&["revert", injected["group"].as_str().unwrap()]).ok();
    wait_for("all to agree again", || cluster.leader());
    assert!(program.active().is_empty());
    cluster.assert_clean();
}

#[test]
fn partition_cuts_published_ports_at_both_ends_and_spares_clients() {
    if !docker_is_here() {
        return;
    }
    let nodes = Advertising::start(|gateway, port| format!("{gateway}:{port}"));
    let program = Program::new(Some(&nodes.project));
    let reach = || [nodes.reaches(0, 1), nodes.reaches(1, 0), nodes.reaches(2, 0), nodes.reaches(1, 2)];
    assert_eq!(reach(), [true; 4]);

    // Nothing is connected: what they advertise is enough.
    let target = nodes.names[0].as_str();
    let plan = program.run(&["inject", "--json", "--dry-run", "network_partition", "--target", target]).ok().json();
    let commands = plan["commands"].to_string();
    for way in [&nodes.ways[1], &nodes.ways[2]] {
        assert!(commands.contains(&format!("-d {}/32 -p tcp -m tcp --dport {}", way.ip(), way.port())), "{commands}");
    }
    for (args, expected) in [
        (&["--peers", nodes.names[1].as_str()][..], [false, false, true, true]),
        (&[], [false, false, false, true]),
        (&["--reject"], [false, false, false, true]),
        // Nothing comes back over a connection of which one way is cut.
        (&["--shape", "one-way-in"], [false, false, false, true]),
    ] {
        let injected = program.inject(&[&["network_partition", "--target", target], args].concat());
        assert_eq!(reach(), expected, "{args:?}: {injected:#}");
        assert!(connects(nodes.ways[0]), "{args:?}: a client of the Docker host is cut off");
        for (name, one) in members(&injected) {
            assert_eq!(one["measured"]["judgement"]["outcome"], "as_asked", "{name}: {one:#}");
        }
        // One id is enough: what was made together ends together.
        program.run(&["revert", injected["group"].as_str().unwrap()]).ok();
        assert_eq!(reach(), [true; 4], "{args:?}");
    }
    assert!(program.active().is_empty());
    nodes.assert_clean();
}

#[test]
fn partition_over_published_ports_is_undone_by_hand_and_from_its_metadata() {
    if !docker_is_here() {
        return;
    }
    let nodes = Advertising::start(|gateway, port| format!("{gateway}:{port}"));
    let program = Program::new(Some(&nodes.project));
    let reach = || [nodes.reaches(0, 1), nodes.reaches(1, 0)];
    let cut = ["network_partition", "--target", nodes.names[0].as_str(), "--peers", nodes.names[1].as_str()];
    let injected = program.inject(&cut);
    assert_eq!(reach(), [false, false]);
    for (_, one) in members(&injected) {
        for command in one["undo"].as_array().unwrap() {
            support::run("/bin/sh", &["-c", command.as_str().unwrap()]);
        }
    }
    assert_eq!(reach(), [true, true]);
    program.run(&["revert", "--all"]).ok();

    // The first object is enough, and the journal of another state folder knows nothing of it.
    let injected = program.inject(&cut);
    let elsewhere = Program::new(Some(&nodes.project));
    for _ in 0..2 {
        elsewhere.run_with(&["cleanup"], &injected["metadata"].to_string(), &[]).ok();
        assert_eq!(reach(), [true, true]);
    }
    nodes.assert_clean();
    program.run(&["revert", "--all"]).ok();
}

#[test]
fn way_that_a_partition_cannot_cover_is_named_and_refused() {
    if !docker_is_here() {
        return;
    }
    // A name of which only the nodes' own resolvers know where it leads.
    let nodes = Advertising::start(|_, port| format!("db.invalid:{port}"));
    let program = Program::new(Some(&nodes.project));
    let cut = ["inject", "network_partition", "--target", nodes.names[0].as_str()];
    let refused = program.run(&cut);
    let named = format!("{} reaches {} by db.invalid:{}", nodes.names[0], nodes.names[1], nodes.ways[1].port());
    assert!(refused.status == 3 && refused.stderr.contains(&named), "{refused:?}");
    assert!(program.active().is_empty());
    nodes.assert_clean();

    // Once a connection shows where it leads, it is covered.
    let held: Vec<_> = [(0, 1), (0, 2), (1, 0), (2, 0)].map(|(from, to)| nodes.hold(from, to)).into();
    let injected = program.run(&[&cut[..], &["--json", "--force"]].concat()).ok().json();
    assert_eq!([nodes.reaches(0, 1), nodes.reaches(2, 0)], [false, false], "{injected:#}");
    program.run(&["revert", "--all"]).ok();
    drop(held);
    nodes.assert_clean();
}

#[test]
fn latency_to_peers_is_felt_and_measured_over_published_ports() {
    if !docker_is_here() {
        return;
    }
    let nodes = Advertising::start(|gateway, port| format!("{gateway}:{port}"));
    let program = Program::new(Some(&nodes.project));
    let took = |from: usize, to: usize| nodes.round_trip(from, to).as_millis();
    let target = nodes.names[0].as_str();
    let slow = ["latency", "--via", "shaper", "--min-ms", "150", "--max-ms", "150", "--target", target];
    let injected = program.inject(&[&slow[..], &["--to", nodes.names[1].as_str()]].concat());
    assert!(took(0, 1) >= 148 && took(0, 2) < 100, "{} {}", took(0, 1), took(0, 2));
    // What comes of the node over connections that the peer makes is as late.
    assert!(took(1, 0) >= 148 && took(2, 0) < 100, "{} {}", took(1, 0), took(2, 0));
    let measured = &injected["measured"];
    assert_eq!(measured["judgement"]["outcome"], "as_asked", "{measured:#}");
    let (ip, port): (IpAddr, u16) = (nodes.ways[1].ip(), nodes.ways[1].port());
    let peers = measured["during"]["peers"].as_array().unwrap();
    assert!(peers.iter().any(|peer| peer["address"] == ip.to_string() && peer["port"] == port), "{measured:#}");
    program.run(&["revert", "--all"]).ok();

    // All but the nodes: a client's way is none of theirs.
    program.inject(&[&slow[..], &["--to", "clients"]].concat());
    assert!(took(0, 1) < 100, "{}", took(0, 1));
    program.run(&["revert", "--all"]).ok();
    nodes.assert_clean();
}

#[test]
fn connection_that_a_fault_does_not_meet_is_named() {
    if !docker_is_here() {
        return;
    }
    let nodes = Advertising::start(|_, port| format!("db.invalid:{port}"));
    let program = Program::new(Some(&nodes.project));
    let cut = ["network_partition", "--target", nodes.names[0].as_str(), "--peers", nodes.names[1].as_str()];
    let injected = program.inject(&cut);
    assert_eq!(injected["measured"]["judgement"]["outcome"], "as_asked", "{injected:#}");
    // One that comes about later, by a way that was not known then.
    let held = nodes.hold(0, 1);
    let now = program.run(&["active", "--now", "--json"]).ok().json()["active"][0]["measured"]["judgement"].clone();
    let way: SocketAddr = nodes.ways[1];
    assert_eq!(now["outcome"], "differs", "{now:#}");
    assert!(
        now["text"].as_str().unwrap().contains(&format!("the connection with {} at {way}", nodes.names[1])),
        "{now:#}"
    );
    drop(held);
    program.run(&["revert", "--all"]).ok();
    nodes.assert_clean();
}
