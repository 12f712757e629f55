//! The stand-in cluster, as processes on this machine: it behaves as somebody who breaks a TiKV cluster expects, and
//! keeps its promises to clients meanwhile.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use support::{
    linear::{Action, Operation, check},
    standin::{PDS, STORES, Standin},
    wait_for,
};
use tikv_chaos::demo::{
    client::{Client, Outcome},
    wire::{KEYS, Op, Reply, Request, key},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long an operation may take that must succeed in the end.
const LONG: Duration = Duration::from_secs(60);
/// How long the random faults go on.
const STORM: Duration = Duration::from_secs(25);
/// A number that replays a storm's faults.
const SEED: &str = "TIKV_CHAOS_SEED";

/// A client that waits.
struct Hand {
    runtime: Runtime,
    client: Client,
}

impl Hand {
    fn new(cluster: &Standin) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client: cluster.client() }
    }

    /// Must succeed in the end.
    fn put(&self, number: u32, value: &str) {
        wait_for("a put to succeed", || (self.try_put(number, value, LONG) == Outcome::Ok(())).then_some(()));
    }

    fn try_put(&self, number: u32, value: &str, limit: Duration) -> Outcome<()> {
        self.runtime.block_on(self.client.put(&key(number), value, limit))
    }

    fn get(&self, number: u32) -> Option<String> {
        match self.runtime.block_on(self.client.get(&key(number), LONG)) {
            Outcome::Ok(value) => value,
            other => panic!("{other:?}"),
        }
    }

    /// Writes keys of every region, and reads them back.
    fn put_everywhere(&self, value: &str) {
        (0..KEYS).step_by(50).for_each(|number| self.put(number, value));
    }

    fn assert_everywhere(&self, value: &str) {
        (0..KEYS).step_by(50).for_each(|number| assert_eq!(self.get(number).as_deref(), Some(value)));
    }
}

/// Waits until PD says that of a store: its word, and whether it leads anything.
fn wait_store(cluster: &Standin, name: &str, word: &str, leads: bool) {
    wait_for(&format!("{name} to be {word}, leading {leads}"), || {
        cluster.store(name).filter(|(state, leaders)| state == word && (*leaders > 0) == leads)
    });
}

#[test]
fn standin_starts_healthy_and_serves_pd_and_store_status() {
    let mut cluster = Standin::start();
    cluster.wait_healthy();
    let hand = Hand::new(&cluster);
    assert_eq!(hand.get(1), None);
    hand.put_everywhere("one");
    hand.assert_everywhere("one");

    let health = wait_for("three healthy PDs", || {
        let health = cluster.pd("/pd/api/v1/health")?;
        health.as_array()?.iter().all(|one| one["health"] == true).then_some(health)
    });
    assert_eq!(health.as_array().unwrap().len(), 3);
    let regions = cluster.pd("/pd/api/v1/regions").unwrap();
    assert_eq!(regions["count"], 6);
    assert_eq!(regions["regions"][0]["peers"].as_array().unwrap().len(), 3);
    assert_eq!(cluster.pd("/pd/api/v1/config/replicate").unwrap()["max-replicas"], 3);
    assert_eq!(cluster.pd("/pd/api/v1/config/rules").unwrap()[0]["count"], 3);
    let version = cluster.pd("/pd/api/v1/version").unwrap();
    assert_eq!(version["version"], "8.5.5-standin");
    // Whichever member is asked, the leader answers.
    for name in PDS {
        let (status, body) = cluster.status(name, "/pd/api/v1/stores").unwrap();
        assert!(status == 200 && body.contains("\"capacity\""), "{body}");
    }

    for name in STORES {
        assert_eq!(cluster.status(name, "/status").unwrap().0, 200);
        let (_, metrics) = cluster.status(name, "/metrics").unwrap();
        for line in [
            "tikv_raftstore_region_count{type=\"leader\"} 2\n",
            "tikv_raftstore_region_count{type=\"region\"} 6\n",
            "tikv_grpc_msg_duration_seconds_bucket{priority=\"unknown\",type=\"raw_put\",le=\"0.0004\"}",
            "tikv_raftstore_append_log_duration_seconds_count ",
            "tikv_raftstore_commit_log_duration_seconds_count ",
            "tikv_raftstore_apply_log_duration_seconds_count ",
            "tikv_storage_engine_async_request_total{status=\"success\",type=\"write\"} ",
            "tikv_raftstore_slow_score{type=\"raft\"} 1\n",
            "tikv_raftstore_slow_score{type=\"network\"} ",
            "tikv_store_size_bytes{type=\"available\"} ",
            "tikv_raftstore_raft_sent_message_total{status=\"accept\",type=\"append\"} ",
            "tikv_server_info{hash=\"\",version=\"",
        ] {
            assert!(metrics.contains(line), "{line} in\n{metrics}");
        }
        let config: serde_json::Value = serde_json::from_str(&cluster.status(name, "/config").unwrap().1).unwrap();
        assert_eq!(config["storage"]["reserve-space"], "1MiB");
        assert_eq!(config["raftstore"]["raft-election-timeout-ticks"], 10);
        assert_eq!(config["server"]["graceful-shutdown-timeout"], "20s");
        assert!(cluster.log(name).lines().next().unwrap().contains("stand-in"), "the first line says so");
        assert!(cluster.log(name).contains("[\"became leader at term "));
    }
    for name in STORES.into_iter().chain(PDS) {
        assert_eq!(cluster.terminate(name), Some(0), "{name}");
    }
}

#[test]
fn killed_store_loses_leaders_and_returns_with_data() {
    let mut cluster = Standin::start();
    cluster.wait_healthy();
    let hand = Hand::new(&cluster);
    hand.put_everywhere("before");
    cluster.kill("tikv1");
    wait_store(&cluster, "tikv1", "Disconnected", false);
    hand.assert_everywhere("before");
    hand.put_everywhere("meanwhile");
    let (_, metrics) = cluster.status("tikv0", "/metrics").unwrap();
    assert!(metrics.contains("tikv_server_report_failure_msg_total{store_id="), "{metrics}");
    assert!(cluster.log("tikv0").contains("connection abort"), "{}", cluster.log("tikv0"));

    cluster.start_node("tikv1");
    wait_store(&cluster, "tikv1", "Up", true);
    cluster.wait_healthy();
    hand.assert_everywhere("meanwhile");
}

#[test]
fn paused_store_loses_leaders_and_leads_again_on_resume() {
    let cluster = Standin::start();
    cluster.wait_healthy();
    let hand = Hand::new(&cluster);
    hand.put_everywhere("before");
    cluster.signal("tikv2", Signal::SIGSTOP);
    wait_store(&cluster, "tikv2", "Disconnected", false);
    hand.put_everywhere("meanwhile");
    wait_for("its peers to miss the answer to a keepalive", || {
        cluster.log("tikv0").contains("keepalive watchdog timeout").then_some(())
    });
    wait_for("the healthy ones to call the network slow, as the mean over their peers", || {
        cluster.metric("tikv0", "tikv_raftstore_slow_score", &["type=\"network\""]).filter(|score| *score >= 50.0)
    });
    wait_for("PD to say whom they mean, and nothing of their disks", || {
        let stores = cluster.pd("/pd/api/v1/stores")?;
        let status = |name: &str| cluster.store_of(&stores, name).map(|store| store["status"].clone());
        let paused = cluster.store_of(&stores, "tikv2")?["store"]["id"].to_string();
        let (one, other) = (status("tikv0")?, status("tikv1")?);
        let mean_it = [&one, &other].iter().all(|status| status["network_slow_score"][&paused] == 100);
        (mean_it && one["slow_score"] == 1.0 && other["slow_score"] == 1.0).then_some(())
    });
    cluster.signal("tikv2", Signal::SIGCONT);
    wait_store(&cluster, "tikv2", "Up", true);
    hand.assert_everywhere("meanwhile");
}

#[test]
fn partitioned_store_stays_up_for_pd_and_leads_nothing() {
    let cluster = Standin::start();
    cluster.wait_healthy();
    let hand = Hand::new(&cluster);
    hand.put_everywhere("before");
    cluster.cut_off("tikv1", true);
    wait_store(&cluster, "tikv1", "Up", false);
    hand.put_everywhere("meanwhile");
    wait_for("it to ask for votes again and again", || {
        (cluster.log("tikv1").matches("became pre-candidate").count() > 3).then_some(())
    });
    let (_, metrics) = cluster.status("tikv1", "/metrics").unwrap();
    assert!(metrics.contains("type=\"unreachable\""), "{metrics}");
    assert_eq!(cluster.status("tikv1", "/status").unwrap().0, 200);
    cluster.cut_off("tikv1", false);
    wait_store(&cluster, "tikv1", "Up", true);
    hand.assert_everywhere("meanwhile");
}

#[test]
fn quorum_loss_blocks_writes_until_a_store_returns() {
    let mut cluster = Standin::start();
    cluster.wait_healthy();
    let hand = Hand::new(&cluster);
    hand.put_everywhere("before");
    let (number, before) = (led_by(&cluster, "tikv2"), answered(&cluster, "tikv2"));
    assert_eq!(waiting(&cluster, "tikv2"), 0.0);
    cluster.kill("tikv0");
    cluster.kill("tikv1");
    let short = Duration::from_secs(3);
    assert!(matches!(hand.try_put(number, "waits", short), Outcome::Unknown(_)));
    // What waits for a quorum ends when it ends: until then it's neither done nor failed.
    assert!(waiting(&cluster, "tikv2") > 0.0);
    assert_eq!(answered(&cluster, "tikv2"), before);
    (0..KEYS).step_by(200).for_each(|number| assert_ne!(hand.try_put(number, "lost?", short), Outcome::Ok(())));
    wait_for("the one that is left to step down", || {
        cluster.log("tikv2").contains("stepped down to follower since quorum is not active").then_some(())
    });
    wait_for("it not to disturb", || cluster.log("tikv2").contains("became pre-candidate").then_some(()));
    cluster.start_node("tikv0");
    hand.put_everywhere("after");
    wait_for("the end of what waited", || (waiting(&cluster, "tikv2") == 0.0).then_some(()));
    wait_for("it to find its client gone", || (failed(&cluster, "tikv2") > 0.0).then_some(()));
    cluster.start_node("tikv1");
    cluster.wait_healthy();
    hand.assert_everywhere("after");
}

const REQUESTS: &str = "tikv_storage_engine_async_request_total";

/// Writes that a store has begun and not ended.
fn waiting(cluster: &Standin, name: &str) -> f64 {
    let all = cluster.metric(name, REQUESTS, &["type=\"write\"", "status=\"all\""]).unwrap();
    2.0 * all - cluster.metric(name, REQUESTS, &["type=\"write\""]).unwrap()
}

/// Writes that a store has answered.
fn answered(cluster: &Standin, name: &str) -> f64 {
    cluster.metric(name, "tikv_grpc_msg_duration_seconds_count", &["type=\"raw_put\""]).unwrap()
}

fn failed(cluster: &Standin, name: &str) -> f64 {
    cluster.metric(name, "tikv_grpc_msg_fail_total", &["type=\"raw_put\""]).unwrap()
}

/// A key whose region this store leads.
fn led_by(cluster: &Standin, name: &str) -> u32 {
    let stores = cluster.pd("/pd/api/v1/stores").unwrap();
    let id = cluster.store_of(&stores, name).unwrap()["store"]["id"].clone();
    let regions = cluster.pd("/pd/api/v1/regions").unwrap();
    let led = |region: u64| {
        let mut all = regions["regions"].as_array().unwrap().iter();
        all.any(|one| one["id"] == region && one["leader"]["store_id"] == id)
    };
    (0..KEYS).step_by(50).find(|number| led(region(cluster, *number))).unwrap()
}

#[test]
fn killed_pd_leader_is_replaced_by_another_member() {
    let mut cluster = Standin::start();
    cluster.wait_healthy();
    let stores = |cluster: &Standin| STORES.map(|name| cluster.store(name));
    let killed = cluster.pd_leader().unwrap();
    cluster.kill(&killed);
    wait_for("another leader", || cluster.pd_leader().filter(|leader| *leader != killed));
    wait_for("the stores to be known as they were", || {
        stores(&cluster).iter().all(|store| *store == Some(("Up".to_owned(), 2))).then_some(())
    });
    wait_for("the dead member to be unhealthy", || {
        let health = cluster.pd("/pd/api/v1/health")?;
        let ill: Vec<_> = health.as_array()?.iter().filter(|one| one["health"] == false).collect();
        (ill.len() == 1 && ill[0]["name"] == killed.as_str()).then_some(())
    });
    let others: Vec<&str> = PDS.into_iter().filter(|name| *name != killed).collect();
    cluster.kill(others[0]);
    let status = |path: &str| cluster.status(others[1], path).map(|(status, _)| status);
    wait_for("no leader without a majority", || (status("/pd/api/v1/stores") == Some(503)).then_some(()));
    // It answers by itself, and asks etcd who the members are; until an election is due, it takes the dead leader for one.
    wait_for("health to fail", || (status("/pd/api/v1/health") == Some(500)).then_some(()));
    cluster.start_node(others[0]);
    cluster.start_node(&killed);
    cluster.wait_healthy();
}

#[test]
fn full_disk_moves_leaders_refuses_puts_and_allows_reads() {
    let mut cluster = Standin::start();
    cluster.wait_healthy();
    let hand = Hand::new(&cluster);
    hand.put_everywhere("before");
    // More than any disk has: the store finds its disk full when it looks.
    let reserve = "[storage]\nreserve-space = \"1048576TiB\"\n";
    cluster.kill("tikv0");
    cluster.configure("tikv0", reserve);
    cluster.start_node("tikv0");
    wait_for("its log to say so", || cluster.log("tikv0").contains("disk usage Normal->AlreadyFull").then_some(()));
    // It hands over what it leads as it refuses to propose; PD may give it leaders again meanwhile.
    wait_for("it to be Up and to lead nothing after puts", || {
        hand.put_everywhere("two of three are enough");
        cluster.store("tikv0").filter(|(state, leaders)| state == "Up" && *leaders == 0)
    });
    for name in ["tikv1", "tikv2"] {
        cluster.kill(name);
        cluster.configure(name, reserve);
        cluster.start_node(name);
    }
    let refused = || match hand.try_put(1, "no room", Duration::from_secs(3)) {
        Outcome::Failed(why) => why.contains("DiskFull").then_some(()),
        _ => None,
    };
    wait_for("puts to be refused", refused);
    hand.assert_everywhere("two of three are enough");

    // A refusal is an answer, which is counted and timed as such, and says nothing in the log.
    let all = |count: &dyn Fn(&str) -> f64| STORES.iter().map(|name| count(name)).sum::<f64>();
    let full = ["type=\"write\"", "status=\"err_disk_full\""];
    let counts = || {
        let refused = all(&|name| cluster.metric(name, REQUESTS, &full).unwrap());
        (refused, all(&|name| answered(&cluster, name)), all(&|name| failed(&cluster, name)))
    };
    let before = counts();
    assert_eq!(refused(), Some(()));
    let after = counts();
    assert!(after.0 > before.0 && after.1 >= before.1 + (after.0 - before.0), "{before:?} {after:?}");
    assert_eq!(after.2, before.2, "{before:?} {after:?}");
    for name in STORES {
        let log = cluster.log(name);
        assert!(!log.contains("disk full"), "{log}");
    }
}

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
    wait_for("the older one to have nobody to ask", || {
        (answer(&cluster, "pd1") == (503, "no leader\n".to_owned())).then_some(())
    });
    assert_eq!(cluster.own_answer("pd1", path).unwrap().0, 200);
    cluster.kill("pd1");
    cluster.start_node("pd2");
    wait_for("the later one to say what it is", || {
        cluster.status("pd2", path).filter(|(status, body)| *status == 200 && body.contains("8.5.5-standin"))
    });
    wait_for("it to have nobody to ask for more", || {
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

#[test]
fn store_with_wiped_data_is_refused_as_duplicate_address() {
    let mut cluster = Standin::start();
    cluster.wait_healthy();
    cluster.kill("tikv0");
    cluster.wipe("tikv0");
    cluster.start_node("tikv0");
    assert_eq!(cluster.wait_end("tikv0"), Some(1));
    assert!(cluster.log("tikv0").contains("duplicated store address"), "{}", cluster.log("tikv0"));
}

/// Kills, restarts, pauses and continues stores and PDs at random while clients read and write, and checks that what
/// they saw could have happened on one copy.
#[test]
fn client_history_stays_linearizable_under_random_faults() {
    let seed = support::seed();
    let mut cluster = Standin::start();
    cluster.wait_healthy();
    let history = Arc::new(Mutex::new(vec![]));
    let end = Instant::now() + STORM;
    let clients = {
        let (history, pds) = (Arc::clone(&history), cluster.pds.clone());
        let (stores, regions) =
            (STORES.map(|name| cluster.own_address(name)), KEYS_AT_WORK.map(|number| region(&cluster, number)));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let start = Instant::now();
                let mut tasks = JoinSet::new();
                (0..6).for_each(|id| drop(tasks.spawn(work(id, pds.clone(), start, end, Arc::clone(&history)))));
                for (id, store) in (6..).zip(stores) {
                    tasks.spawn(probe(id, store, regions, start, end, Arc::clone(&history)));
                }
                tasks.join_all().await;
            });
        })
    };
    storm(&mut cluster, StdRng::seed_from_u64(seed), end);
    clients.join().unwrap();
    cluster.wait_healthy();

    let mut history = Arc::into_inner(history).unwrap().into_inner().unwrap();
    let hand = Hand::new(&cluster);
    let at = u64::MAX - 2;
    for number in KEYS_AT_WORK {
        let action = Action::Read(hand.get(number).map(|value| value.parse().unwrap()));
        history.push(Operation { key: key(number), client: 99, action, called: at, returned: Some(at + 1) });
    }
    let done = history.iter().filter(|one| one.returned.is_some()).count();
    assert!(done > 300, "only {done} of {} operations were done; {SEED}={seed}", history.len());
    if let Err(why) = check(&history) {
        panic!("not linearizable; {SEED}={seed} replays the faults\n{why}");
    }
}

/// In different regions.
const KEYS_AT_WORK: [u32; 3] = [7, 400, 900];

/// One client's reads and writes, one after the other, written down.
async fn work(id: usize, pds: Vec<String>, start: Instant, end: Instant, history: Arc<Mutex<Vec<Operation>>>) {
    let client = Client::new(pds, Duration::from_millis(300));
    let limit = Duration::from_secs(2);
    let now = || u64::try_from(start.elapsed().as_nanos()).unwrap();
    let mut written = 0;
    while Instant::now() < end {
        let number = KEYS_AT_WORK[rand::random_range(0..KEYS_AT_WORK.len())];
        let called = now();
        let (action, returned) = if rand::random() {
            written += 1;
            let value = id as u64 * 1_000_000 + written;
            let returned = match client.put(&key(number), &value.to_string(), limit).await {
                Outcome::Ok(()) => Some(now()),
                Outcome::Unknown(_) => None,
                Outcome::Failed(_) => continue,
            };
            (Action::Write(value), returned)
        } else {
            match client.get(&key(number), limit).await {
                Outcome::Ok(value) => (Action::Read(value.map(|value| value.parse().unwrap())), Some(now())),
                Outcome::Unknown(_) | Outcome::Failed(_) => continue,
            }
        };
        history.lock().unwrap().push(Operation { key: key(number), client: id, action, called, returned });
        sleep(Duration::from_millis(rand::random_range(0..30))).await;
    }
}

/// The region of a key.
fn region(cluster: &Standin, number: u32) -> u64 {
    let regions = cluster.pd("/pd/api/v1/regions").unwrap();
    let hex: String = key(number).bytes().map(|byte| format!("{byte:02X}")).collect();
    let holds = |one: &&serde_json::Value| {
        let border = |name: &str| one[name].as_str().unwrap().to_owned();
        border("start_key") <= hex && (border("end_key").is_empty() || hex < border("end_key"))
    };
    regions["regions"].as_array().unwrap().iter().find(holds).unwrap()["id"].as_u64().unwrap()
}

/// Reads from one store whether it leads or not, and whether it answered the last read or not: what a leader says that
/// was asleep while another was elected is what no client that follows the leader would ever hear.
async fn probe(
    id: usize,
    store: String,
    regions: [u64; 3],
    start: Instant,
    end: Instant,
    history: Arc<Mutex<Vec<Operation>>>,
) {
    let mut reads = JoinSet::new();
    while Instant::now() < end {
        let at = rand::random_range(0..KEYS_AT_WORK.len());
        let key = key(KEYS_AT_WORK[at]);
        let request = Request { region: regions[at], op: Op::Get { key: key.clone() } };
        let (store, history) = (store.clone(), Arc::clone(&history));
        reads.spawn(async move {
            let now = || u64::try_from(start.elapsed().as_nanos()).unwrap();
            let called = now();
            if let Ok(Ok(Reply::Value(value))) = timeout(Duration::from_secs(5), ask(&store, &request)).await {
                let action = Action::Read(value.map(|value| value.parse().unwrap()));
                history.lock().unwrap().push(Operation { key, client: id, action, called, returned: Some(now()) });
            }
        });
        sleep(Duration::from_millis(40)).await;
    }
    reads.join_all().await;
}

/// One request in the stores' own protocol.
async fn ask(store: &str, request: &Request) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(store).await?;
    for frame in [br#"{"role":"client"}"#.to_vec(), serde_json::to_vec(request)?] {
        stream.write_u32_le(u32::try_from(frame.len()).unwrap()).await?;
        stream.write_all(&frame).await?;
    }
    let mut reply = vec![0; stream.read_u32_le().await? as usize];
    stream.read_exact(&mut reply).await?;
    Ok(serde_json::from_slice(&reply)?)
}

/// Faults one after another, some at the same time but never on all stores, and everything undone at the end.
fn storm(cluster: &mut Standin, mut random: StdRng, end: Instant) {
    // Who suffers what, the longest first.
    let mut suffering: Vec<(&str, Fault)> = vec![];
    while Instant::now() < end {
        let all = if random.random_ratio(3, 4) { STORES } else { PDS };
        let name = all[random.random_range(0..3)];
        let fault = [Fault::Killed, Fault::Paused, Fault::CutOff][random.random_range(0..3)];
        let wait = Duration::from_millis(random.random_range(100..2000));
        let enough = suffering.iter().filter(|(one, _)| all.contains(one)).count() == 2;
        let healed = suffering.iter().position(|(one, _)| *one == name || enough && all.contains(one));
        match (healed, fault) {
            (Some(at), _) => heal(cluster, suffering.remove(at)),
            (None, Fault::CutOff) if all == PDS => {}
            (None, fault) => {
                match fault {
                    Fault::Killed => cluster.kill(name),
                    Fault::Paused => cluster.signal(name, Signal::SIGSTOP),
                    Fault::CutOff => cluster.cut_off(name, true),
                }
                suffering.push((name, fault));
            }
        }
        std::thread::sleep(wait.min(end.saturating_duration_since(Instant::now())));
    }
    suffering.into_iter().for_each(|one| heal(cluster, one));
}

#[derive(Clone, Copy)]
enum Fault {
    Killed,
    Paused,
    CutOff,
}

fn heal(cluster: &mut Standin, (name, fault): (&str, Fault)) {
    match fault {
        Fault::Killed => cluster.start_node(name),
        Fault::Paused => cluster.signal(name, Signal::SIGCONT),
        Fault::CutOff => cluster.cut_off(name, false),
    }
}
