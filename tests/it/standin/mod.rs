//! The stand-in cluster, as processes on this machine: it behaves as a user who breaks a TiKV cluster expects, and
//! keeps its promises to clients meanwhile.

mod storm;
mod versions;

use std::time::Duration;

use nix::sys::signal::Signal;
use support::{
    standin::{PDS, STORES, Standin},
    wait_for,
};
use tikv_chaos::demo::{
    client::{Client, Outcome},
    wire::{KEYS, key},
};
use tokio::runtime::Runtime;

/// How long an operation may take that must succeed in the end.
const LONG: Duration = Duration::from_secs(60);

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
