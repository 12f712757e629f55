//! What differs by the version that is played, and what a configuration file is held to.

use super::*;

/// Rows of the table by version, on a store of each kind: its metrics, its configuration, its log, and how it ends.
#[test]
fn stores_of_three_versions_differ_where_tikv_does() {
    let mut cluster = Standin::prepare();
    cluster.play("tikv0", "6.5.12");
    cluster.play("tikv1", "7.5.6");
    cluster.start_all();
    cluster.wait_healthy();
    let hand = Hand::new(&cluster);
    hand.put_everywhere("one");
    let stores = cluster.pd("/pd/api/v1/stores").unwrap();
    let rows = [
        ("tikv0", "6.5.12-standin", "tikv_raftstore_slow_score 1\n", "{type=\"raw_put\"}", 26, "96MiB", false),
        ("tikv1", "7.5.6-standin", "slow_score{type=\"raft\"} 1\n", "{type=\"raw_put\"}", 32, "96MiB", false),
        (
            "tikv2",
            "8.5.5-standin",
            "slow_score{type=\"network\"} ",
            "{priority=\"unknown\",type=\"raw_put\"}",
            32,
            "256MiB",
            true,
        ),
    ];
    for (name, version, slow_score, grpc, buckets, split, latest) in rows {
        assert_eq!(cluster.store_of(&stores, name).unwrap()["store"]["version"], version);
        let (_, metrics) = cluster.status(name, "/metrics").unwrap();
        assert!(metrics.contains(&format!("tikv_server_info{{hash=\"\",version=\"{version}\"}}")), "{metrics}");
        assert!(metrics.contains(slow_score), "{name}: {metrics}");
        assert_eq!(metrics.contains("slow_score{type=\"network\"}"), latest, "{name}: {metrics}");
        assert!(metrics.contains(&format!("tikv_grpc_msg_duration_seconds_count{grpc}")), "{name}: {metrics}");
        let finite = metrics.matches("tikv_raftstore_commit_log_duration_seconds_bucket{").count() - 1;
        assert_eq!(finite, buckets, "{name}");
        let config: serde_json::Value = serde_json::from_str(&cluster.status(name, "/config").unwrap().1).unwrap();
        assert_eq!(config["coprocessor"]["region-split-size"], split, "{name}");
        assert_eq!(config["server"].get("graceful-shutdown-timeout").is_some(), latest, "{name}");
        assert_eq!(cluster.log(name).contains("connection established"), latest, "{name}");
    }
    wait_for("only the latest to tell PD of the network", || {
        let stores = cluster.pd("/pd/api/v1/stores")?;
        let tells = |name: &str| Some(cluster.store_of(&stores, name)?["status"].get("network_slow_score").is_some());
        (STORES.map(tells) == [Some(false), Some(false), Some(true)]).then_some(())
    });

    // An older one ends at once, and the others elect.
    let elections = |cluster: &Standin, name: &str| cluster.log(name).matches("starting a new election").count();
    let before = elections(&cluster, "tikv0") + elections(&cluster, "tikv2");
    assert_eq!(cluster.terminate("tikv1"), Some(0));
    let log = cluster.log("tikv1");
    assert!(log.contains("receive signal 15, stopping server...") && !log.contains("leader eviction"), "{log}");
    wait_for("the others to elect", || {
        (elections(&cluster, "tikv0") + elections(&cluster, "tikv2") > before).then_some(())
    });
}

/// From 8.5.5 on PD takes a store's leaders before it ends.
#[test]
fn store_stops_gracefully_when_pd_moves_its_leaders() {
    let mut cluster = Standin::prepare();
    // Long enough for a busy machine.
    let patient = "[storage]\nreserve-space = \"1MiB\"\n[server]\ngraceful-shutdown-timeout = \"10m\"\n";
    cluster.configure("tikv1", patient);
    cluster.start_all();
    cluster.wait_healthy();
    let hand = Hand::new(&cluster);
    hand.put_everywhere("before");
    assert_eq!(cluster.terminate("tikv1"), Some(0));
    let log = cluster.log("tikv1");
    for line in [
        "receive signal 15, starting graceful shutdown...",
        "Waiting for leader eviction",
        "All leaders evicted, completing graceful shutdown",
    ] {
        assert!(log.contains(line), "{line} in\n{log}");
    }
    let leader = cluster.pd_leader().unwrap();
    let log = cluster.log(&leader);
    for line in ["detected stopping store, start to evict leaders", "evict-stopping-store-scheduler {transfer leader: "]
    {
        assert!(log.contains(line), "{line} in\n{log}");
    }
    hand.assert_everywhere("before");
    cluster.start_node("tikv1");
    wait_store(&cluster, "tikv1", "Up", true);
    wait_for("PD to let it lead again", || {
        cluster.log(&leader).contains("stopping store has been recovered").then_some(())
    });
}

#[test]
fn store_stops_after_timeout_without_pd_and_at_once_on_sigint() {
    let mut cluster = Standin::start();
    cluster.wait_healthy();
    PDS.iter().for_each(|name| cluster.signal(name, Signal::SIGSTOP));
    assert_eq!(cluster.terminate("tikv0"), Some(0));
    let log = cluster.log("tikv0");
    assert!(log.contains("Graceful shutdown timeout reached with 2 leaders remaining"), "{log}");
    cluster.signal("tikv1", Signal::SIGINT);
    assert_eq!(cluster.wait_end("tikv1"), Some(0));
    let log = cluster.log("tikv1");
    assert!(log.contains("receive signal 2, stopping server...") && !log.contains("leader eviction"), "{log}");
}

/// A member of PD that does not lead: before 8.5.5 it hands on whatever it is asked.
#[test]
fn pd_follower_answers_for_itself_from_8_5_5_on_or_when_asked_to() {
    let mut cluster = Standin::prepare();
    cluster.play("pd1", "7.5.6");
    cluster.start_all();
    cluster.wait_healthy();
    let path = "/pd/api/v1/version";
    let answer = |cluster: &Standin, name: &str| cluster.status(name, path).unwrap();
    if cluster.pd_leader().unwrap() != "pd1" {
        assert!(answer(&cluster, "pd1").1.contains("8.5.5-standin"), "the leader's answer");
    }
    assert!(cluster.own_answer("pd1", path).unwrap().1.contains("7.5.6-standin"));
    let status = &cluster.status("pd1", "/metrics").unwrap().1;
    assert!(!status.contains("pd_cluster_status{engine="), "{status}");

    cluster.kill("pd0");
    cluster.kill("pd2");
    wait_for("the older one to have no leader to ask", || {
        (answer(&cluster, "pd1") == (503, "no leader\n".to_owned())).then_some(())
    });
    assert_eq!(cluster.own_answer("pd1", path).unwrap().0, 200);
    cluster.kill("pd1");
    cluster.start_node("pd2");
    wait_for("the later one to say what it is", || {
        cluster.status("pd2", path).filter(|(status, body)| *status == 200 && body.contains("8.5.5-standin"))
    });
    wait_for("it to have no leader to ask for more", || {
        cluster.status("pd2", "/pd/api/v1/stores").filter(|(status, _)| *status == 503)
    });
}

/// From 8.5.5 on PD counts by store.
#[test]
fn pd_status_metric_sums_up_to_the_cluster() {
    let cluster = Standin::start();
    cluster.wait_healthy();
    let leader = cluster.pd_leader().unwrap();
    let up = |labels: &[&str]| cluster.metric(&leader, "pd_cluster_status", labels);
    assert_eq!(up(&["type=\"store_up_count\""]), Some(3.0));
    assert_eq!(up(&["type=\"store_up_count\"", "engine=\"tikv\"", "store=\"1\""]), Some(1.0));
    assert_eq!(up(&["type=\"leader_count\""]), Some(6.0));
}

#[test]
fn bad_configuration_ends_node_with_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tikv.toml");
    let run = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let data = format!("--data-dir={}", folder.path().join("data").display());
        let config = format!("--config={}", file.display());
        let args = ["--addr=127.0.0.1:0", "--advertise-addr=a:1", "--status-addr=127.0.0.1:0"];
        let more = ["--advertise-status-addr=a:2", "--pd=127.0.0.1:1", &data, &config];
        let mut command = std::process::Command::new(support::program_path());
        command.args(["demo-node", "store"]).args(args).args(more).output().unwrap()
    };
    for (text, expected) in [
        ("[storage]\nreserve-space = \"much\"\n", "storage.reserve-space cannot be \"much\"; allowed: a size"),
        ("[standin]\nversion = \"9.9.9\"\n", "standin.version cannot be \"9.9.9\"; allowed: a release from 6.5.0"),
        ("[standin]\nspeeed = 2\n", "standin.speeed is not known; allowed: version, speed"),
    ] {
        let ended = run(text);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(expected) && said.contains("tikv.toml: ") && said.lines().count() == 1, "{said}");
        assert!(!folder.path().join("data").exists(), "nothing is begun");
    }
}
