//! The printed undo of one of two faults on a node, as a person runs it: that one ends and the other stays.

use std::time::Duration;

use serde_json::Value;
use support::{
    cluster::{Cluster, Options},
    docker_is_here,
    packets::{Echo, FAST, echoes, v4},
    run,
};

use super::{id, shaped, start};

fn by_hand(injected: &Value) {
    for line in injected["undo"].as_array().unwrap() {
        run("sh", &["-c", line.as_str().unwrap()]);
    }
}

/// The rules in a node's namespace that bear the injection's id.
fn rules(cluster: &Cluster, node: usize, injected: &Value) -> Vec<String> {
    let saved = cluster.in_namespace(node, &["iptables-nft-save"]);
    saved.lines().filter(|line| line.contains(&id(injected))).map(str::to_owned).collect()
}

/// The middle of the round trips to the node, in milliseconds.
fn late(cluster: &Cluster, node: usize) -> u128 {
    echoes(cluster, 0, v4(cluster, node), 30, FAST).quantile(0.5).as_millis()
}

#[test]
fn undo_by_hand_of_one_of_two_shaper_faults_leaves_the_other() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let _echo = Echo::on(&cluster, 1);
    let one = shaped(&program, "tikv1", &["latency", "--mean-ms", "60"]);
    let two = shaped(&program, "tikv1", &["latency", "--mean-ms", "40", "--spare-status"]);
    let lossy = shaped(&program, "tikv1", &["packet_loss", "--percent", "100", "--ports", "9"]);
    assert!(late(&cluster, 1) >= 98);
    let (of_two, of_loss) = (rules(&cluster, 1, &two), rules(&cluster, 1, &lossy));
    assert!(!of_two.is_empty() && !of_loss.is_empty() && !rules(&cluster, 1, &one).is_empty());
    by_hand(&one);
    assert_eq!(rules(&cluster, 1, &one), Vec::<String>::new());
    assert_eq!((rules(&cluster, 1, &two), rules(&cluster, 1, &lossy)), (of_two.clone(), of_loss.clone()));
    assert!((38..58).contains(&late(&cluster, 1)), "{}", late(&cluster, 1));
    // Nothing is left to be undone, and the other stays.
    by_hand(&one);
    assert!((38..58).contains(&late(&cluster, 1)));

    // Nor does the next change by any program bring it back.
    let third = shaped(&program, "tikv1", &["latency", "--mean-ms", "20"]);
    assert_eq!(rules(&cluster, 1, &one), Vec::<String>::new());
    assert!((58..80).contains(&late(&cluster, 1)));
    by_hand(&third);

    // Without a living helper nothing is delayed, and the rules of this one alone go.
    run("docker", &["rm", "-f", &cluster.holder_of(1)]);
    by_hand(&lossy);
    assert_eq!((rules(&cluster, 1, &lossy), rules(&cluster, 1, &two)), (Vec::new(), of_two));
    program.run(&["doctor"]).ok();
    assert!((38..58).contains(&late(&cluster, 1)), "the next helper goes on with what is left");
    for one in [&one, &two, &third, &lossy] {
        program.run(&["revert", &id(one)]).ok();
    }
    assert!(echoes(&cluster, 0, v4(&cluster, 1), 10, FAST).quantile(0.5) < Duration::from_millis(20));
    cluster.assert_clean();
}

#[test]
fn undo_by_hand_of_one_of_two_partitions_leaves_the_other_and_is_not_made_again() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { ipv6: true, ..Options::default() });
    let one = program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1", "--ttl", "none"]);
    let two = program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv2", "--ttl", "none"]);
    let of_two = rules(&cluster, 0, &two);
    by_hand(&one);
    assert_eq!((rules(&cluster, 0, &one), rules(&cluster, 0, &two)), (Vec::new(), of_two));
    shaped(&program, "tikv0", &["latency", "--mean-ms", "20"]);
    assert_eq!(rules(&cluster, 0, &one), Vec::<String>::new());
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}
