//! Several faults on one path are judged by what all of them should do; what was not tried or cannot be told is said.

use serde_json::Value;
use support::{cluster::Options, docker_is_here, run};

use super::{id, shaped, start};

fn judgement(injected: &Value) -> &Value {
    &injected["measured"]["judgement"]
}

#[test]
fn delays_at_both_ends_of_a_connection_are_each_as_asked() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { nodes: 2, ..Options::default() });
    let far = shaped(&program, "tikv0", &["latency", "--min-ms", "50", "--max-ms", "90"]);
    assert_eq!(judgement(&far)["outcome"], "as_asked", "{far:#}");
    let near = shaped(&program, "tikv1", &["latency", "--min-ms", "40", "--max-ms", "60"]);
    let judged = judgement(&near);
    assert_eq!(judged["outcome"], "as_asked", "{judged:#}");
    let finding = &judged["findings"][0];
    assert_eq!((&finding["asked"], &finding["together"]["asked"]), (&"50 ± 10 ms".into(), &"120 ± 30 ms".into()));
    let with = format!("latency on {}", cluster.nodes[0]);
    assert_eq!(finding["together"]["with"][0], with.as_str());
    let text = judged["text"].as_str().unwrap();
    assert!(text.starts_with("asked 50 ± 10 ms, adds ") && text.contains(&with), "{text}");

    // The first one's look now has the second on its way, at the other end.
    let active = program.run(&["active", "--now", "--json"]).ok().json();
    for one in active["active"].as_array().unwrap() {
        assert_eq!(judgement(one)["outcome"], "as_asked", "{one:#}");
        assert_eq!(judgement(one)["findings"][0]["together"]["asked"], "120 ± 30 ms", "{one:#}");
    }
    // What is left after a revert is the other's.
    let reverted = program.run(&["revert", &id(&far)]).ok().stdout;
    let other = format!("of latency on {}: it is over", cluster.nodes[1]);
    assert!(reverted.contains(&other), "{reverted}");
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

#[test]
fn three_latencies_of_one_node_and_a_loss_are_each_as_asked() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    for (least, most) in [("30", "70"), ("20", "40"), ("35", "45")] {
        let one = shaped(&program, "tikv0", &["latency", "--min-ms", least, "--max-ms", most]);
        assert_eq!(judgement(&one)["outcome"], "as_asked", "{:#}", judgement(&one));
    }
    let lossy = shaped(&program, "tikv0", &["packet_loss", "--percent", "30"]);
    assert_eq!(judgement(&lossy)["outcome"], "as_asked", "{:#}", judgement(&lossy));
    let lossier = shaped(&program, "tikv0", &["packet_loss", "--percent", "40"]);
    let judged = judgement(&lossier);
    assert_eq!(judged["findings"][0]["together"]["asked"], "58 %", "{judged:#}");
    assert_eq!(judged["outcome"], "as_asked", "{judged:#}");
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

#[test]
fn delay_behind_a_partition_of_either_end_is_hidden_and_not_as_asked() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { nodes: 2, ..Options::default() });
    let late = shaped(&program, "tikv0", &["latency", "--mean-ms", "40"]);
    assert_eq!(judgement(&late)["outcome"], "as_asked", "{late:#}");
    // The rules stand on the other one.
    let cut = program.inject(&["network_partition", "--target", "tikv1", "--ttl", "none"]);
    assert_eq!(judgement(&cut)["outcome"], "as_asked", "{cut:#}");
    let now = program.run(&["active", "--now", "--json"]).ok().json();
    let seen = judgement(&now["active"][0]);
    assert_eq!(seen["outcome"], "hidden", "{seen:#}");
    let why = format!("hidden by another: network_partition on {} lets nothing through", cluster.nodes[1]);
    assert_eq!(seen["text"], why);
    // A second partition of the same pair does nothing that could be seen.
    let again = program.inject(&["network_partition", "--target", "tikv0", "--ttl", "none"]);
    assert_eq!(judgement(&again)["outcome"], "hidden", "{again:#}");
    let reverted = program.run(&["revert", &id(&late)]).ok().stdout;
    assert!(!reverted.contains("still") && reverted.contains("nothing through"), "{reverted}");
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

#[test]
fn reach_says_not_tried_where_no_probe_ran() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    // In the host's network nothing is made to ask from.
    let of_host = cluster.run_stranger(&["--network", "host"]);
    let text = program.run(&["reach"]).ok().stdout;
    assert!(text.contains("not tried") && !text.contains("ok"), "{text}");
    let matrix = program.run(&["reach", "--json"]).ok().json();
    let names: Vec<&str> = matrix["nodes"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let at = names.iter().position(|name| *name == of_host).unwrap();
    let cells = matrix["rows"][at].as_array().unwrap().iter().filter(|cell| !cell.is_null());
    assert!(cells.clone().count() == 3 && cells.clone().all(|cell| cell["reach"] == "not_tried"), "{matrix:#}");
    run("docker", &["rm", "-f", "-v", &of_host]);
    cluster.assert_clean();
}

#[test]
fn revert_on_a_node_without_a_network_says_one_true_sentence() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let network = &cluster.networks[0];
    for fault in [&["latency", "--mean-ms", "40", "--via", "shaper"][..], &["network_partition"]] {
        let injected = program.inject(&[fault, &["--target", "tikv0", "--ttl", "none"]].concat());
        run("docker", &["network", "disconnect", network, &cluster.nodes[0]]);
        let reverted = program.run(&["revert", &id(&injected)]).ok().stdout;
        let expected = format!("read back and gone; not measured: {} is on no network now\n", cluster.nodes[0]);
        assert!(reverted.ends_with(&expected), "{reverted}");
        run("docker", &["network", "connect", "--alias", "tikv0", network, &cluster.nodes[0]]);
    }
    // Its peer is the one that went.
    let injected = shaped(&program, "tikv0", &["latency", "--mean-ms", "40", "--to", "tikv1"]);
    run("docker", &["network", "disconnect", network, &cluster.nodes[1]]);
    let reverted = program.run(&["revert", &id(&injected)]).ok().stdout;
    assert!(reverted.contains("read back and gone; not measured: ") && !reverted.contains("still"), "{reverted}");
    cluster.assert_clean();
}
