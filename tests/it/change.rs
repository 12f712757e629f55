//! Changing what holds, as a script does: in place, on real containers, one or a whole act.

use serde_json::Value;
use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here, run, wait_for,
};

fn start(options: &Options) -> (Cluster, Program) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

fn id(document: &Value) -> &str {
    document["id"].as_str().unwrap()
}

#[test]
fn change_disk_pressure_resizes_fill_file_and_moves_deadline() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { own_volumes_mib: Some(256), ..Options::default() });
    let volume = &cluster.volumes[1];
    let empty = cluster.available(volume);
    let held = program.inject(&["disk_pressure", "--target", "tikv1", "--fill-percent", "20", "--ttl", "1h"]);
    let file = cluster.fill_files(volume);
    let taken = || (100 * (empty - cluster.available(volume)) + empty / 2) / empty;
    assert_eq!(taken(), 20);

    let dry = program.run(&["change", id(&held), "--fill-percent", "60", "--dry-run", "--json"]).ok().json();
    let words = dry["commands"][0].as_str().unwrap();
    assert!(words.starts_with("fallocate -l") && dry["verdict"]["grade"] == "careful", "{dry}");
    assert_eq!((taken(), &program.active()[0]["metadata"]), (20, &held["metadata"]));

    for percent in [60, 10] {
        let changed = program.run(&["change", id(&held), "--fill-percent", &percent.to_string(), "--json"]).ok().json();
        assert_eq!((taken(), cluster.fill_files(volume)), (percent, file.clone()));
        assert_eq!(changed["metadata"]["fill_percent"], percent);
        assert_eq!((&changed["deadline"], &changed["state"]), (&held["deadline"], &"active".into()));
    }
    let elsewhere = program.run(&["change", id(&held), "--target-path", "/"]);
    assert_eq!(elsewhere.status, 2, "{elsewhere:?}");

    let text = program.run(&["change", id(&held), "--ttl", "2s"]).ok().stdout;
    assert!(text.contains("now 10 %") && text.contains(", until "), "{text}");
    wait_for("its new deadline", || program.active().is_empty().then_some(()));
    cluster.assert_clean();
}

#[test]
fn change_deadline_enforces_max_ttl_and_restarts_killed_node() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let held = program.inject(&["node_kill", "--target", "tikv1", "--ttl", "1h"]);
    let refusals =
        [("none", "it would never end by itself"), ("31m", "--max-ttl is 30m")].map(|(ttl, words)| (ttl, 3, words));
    for (ttl, status, words) in [&refusals[..], &[("soon", 2, "allowed: 1s to 7d")]].concat() {
        let ran = program.run(&["change", id(&held), "--ttl", ttl]);
        assert!(ran.status == status && ran.stderr.contains(words), "{ran:?}");
    }
    let nothing = program.run(&["change", id(&held)]);
    assert!(nothing.status == 2 && nothing.stderr.contains("needs something to change"), "{nothing:?}");
    let other = program.run(&["change", id(&held), "--percent", "3"]);
    assert!(other.status == 3 && other.stderr.contains("but its --ttl"), "{other:?}");
    assert_eq!(program.active()[0]["deadline"], held["deadline"]);

    program.run(&["change", id(&held), "--ttl", "2s"]).ok();
    wait_for("the node to run again", || (cluster.inspect(1, "{{.State.Status}}") == "running").then_some(()));
    wait_for("the record to go", || program.active().is_empty().then_some(()));
    cluster.assert_clean();
}

#[test]
fn change_of_group_is_judged_as_one_and_applied_where_possible() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let cut = program.run(&["inject", "network_partition", "--target", "tikv0", "--target", "tikv1"]);
    assert!(cut.status == 3 && cut.stderr.contains("writes stop"), "each alone would be fine: {cut:?}");
    assert!(program.active().is_empty());

    let late = ["latency", "--target", "tikv0", "--target", "tikv1", "--via", "shaper", "--mean-ms", "10"];
    let act = program.inject(&late);
    let group = act["group"].as_str().unwrap();
    let means = || -> Vec<(String, u64)> {
        let active = program.active();
        let mean = |one: &Value| {
            let name = one["metadata"]["target_container"].as_str().unwrap().to_owned();
            (name, one["metadata"]["min_ms"].as_u64().unwrap())
        };
        let mut all: Vec<_> = active.iter().map(mean).collect();
        all.sort();
        all
    };
    let [tikv0, tikv1] = [0, 1].map(|at| cluster.nodes[at].clone());
    for further in [&["--dry-run"][..], &[]] {
        let ran = program.run(&[&["change", group, "--mean-ms", "9000"], further].concat());
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(told.contains("writes stop") && ran.status == if further.is_empty() { 3 } else { 0 }, "{ran:?}");
        assert_eq!(means(), [(tikv0.clone(), 10), (tikv1.clone(), 10)]);
    }
    let both = program.run(&["change", group, "--mean-ms", "20", "--json"]).ok().json();
    assert_eq!((both["changed"].as_array().unwrap().len(), &both["ok"]), (2, &true.into()));
    assert_eq!(means(), [(tikv0.clone(), 20), (tikv1.clone(), 20)]);

    // What ended with its node is lost, and the rest of the group is changed.
    run("docker", &["stop", "-t", "0", &tikv0]);
    let one = program.run(&["change", group, "--mean-ms", "30", "--json"]).ok().json();
    assert_eq!((one["changed"].as_array().unwrap().len(), &one["ok"]), (1, &true.into()), "{one}");
    assert_eq!(means(), [(tikv1, 30)]);
    run("docker", &["start", &tikv0]);
    program.run(&["revert", group]).ok();
    cluster.assert_clean();
}

/// The rules that drop or refuse packets on a node.
fn verdicts(cluster: &Cluster, node: usize) -> Vec<String> {
    let saved = cluster.in_namespace(node, &["iptables-save", "-t", "filter"]);
    let rules = saved.lines().filter(|line| line.contains("-j DROP") || line.contains("-j REJECT"));
    rules.map(str::to_owned).collect()
}

#[test]
fn change_partition_of_one_node_replaces_rules_in_place() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let held = program.inject(&["network_partition", "--target", "tikv0", "--ttl", "1h"]);
    let [one, other] = [1, 2].map(|node| cluster.ip(node).unwrap());
    let names = |ip: &String| verdicts(&cluster, 0).iter().filter(|rule| rule.contains(ip.as_str())).count();
    assert_eq!((names(&one), names(&other)), (2, 2), "both ways");

    program.run(&["change", id(&held), "--reject"]).ok();
    let rules = verdicts(&cluster, 0);
    // TCP is reset, the rest told by ICMP.
    assert!(rules.len() == 8 && rules.iter().all(|rule| rule.contains("-j REJECT")), "{rules:?}");
    program.run(&["change", id(&held), "--shape", "one-way-in", "--peers", "tikv1", "--reject=false"]).ok();
    let rules = verdicts(&cluster, 0);
    assert!(rules.len() == 1 && rules[0].contains(&format!("-s {one}")) && rules[0].contains("-j DROP"), "{rules:?}");
    let active = &program.active()[0];
    assert_eq!((&active["id"], &active["deadline"]), (&held["id"], &held["deadline"]));

    let several = program.run(&["change", id(&held), "--shape", "bridge", "--peers", ""]);
    assert!(several.status == 3 && several.stderr.contains("is on this node alone"), "{several:?}");
    assert_eq!(verdicts(&cluster, 0), rules);

    program.run(&["revert", id(&held)]).ok();
    cluster.assert_clean();
    let both = program.inject(&["network_partition", "--target", "tikv0", "--target", "tikv1", "--force"]);
    let part = program.active()[0]["id"].as_str().unwrap().to_owned();
    let refused = program.run(&["change", &part, "--reject"]);
    assert!(refused.status == 3 && refused.stderr.contains("one node's part"), "{refused:?}");
    program.run(&["revert", both["group"].as_str().unwrap()]).ok();
    cluster.assert_clean();
}
