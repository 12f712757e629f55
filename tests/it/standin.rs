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
    let version = cluster.pd("/pd/api/v1/version").unwrap();
    assert!(version["version"].as_str().unwrap().ends_with("-standin"), "{version}");
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
            "tikv_raftstore_slow_score{type=\"raft\"} 1\n",
            "tikv_store_size_bytes{type=\"available\"} ",
            "tikv_raftstore_raft_sent_message_total{status=\"accept\",type=\"append\"} ",
            "tikv_server_info{hash=\"\",version=\"",
        ] {
            assert!(metrics.contains(line), "{line} in\n{metrics}");
        }
        let config: serde_json::Value = serde_json::from_str(&cluster.status(name, "/config").unwrap().1).unwrap();
        assert_eq!(config["storage"]["reserve-space"], "1MiB");
        assert_eq!(config["raftstore"]["raft-election-timeout-ticks"], 10);
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
    cluster.kill("tikv0");
    cluster.kill("tikv1");
    let short = Duration::from_secs(3);
    (0..KEYS).step_by(200).for_each(|number| assert_ne!(hand.try_put(number, "lost?", short), Outcome::Ok(())));
    wait_for("the one that is left to step down", || {
        cluster.log("tikv2").contains("stepped down to follower since quorum is not active").then_some(())
    });
    wait_for("it not to disturb", || cluster.log("tikv2").contains("became pre-candidate").then_some(()));
    cluster.start_node("tikv0");
    hand.put_everywhere("after");
    cluster.start_node("tikv1");
    cluster.wait_healthy();
    hand.assert_everywhere("after");
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
    let status = |name: &str| cluster.status(name, "/pd/api/v1/health").map(|(status, _)| status);
    wait_for("no leader without a majority", || (status(others[1]) == Some(503)).then_some(()));
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
    let reserve = "--reserve-space=1048576TiB";
    cluster.kill("tikv0");
    cluster.start_node_with("tikv0", &[reserve]);
    wait_store(&cluster, "tikv0", "Up", false);
    wait_for("its log to say so", || cluster.log("tikv0").contains("disk usage Normal->AlreadyFull").then_some(()));
    hand.put_everywhere("two of three are enough");
    for name in ["tikv1", "tikv2"] {
        cluster.kill(name);
        cluster.start_node_with(name, &[reserve]);
    }
    wait_for("puts to be refused", || match hand.try_put(1, "no room", Duration::from_secs(3)) {
        Outcome::Failed(why) => why.contains("DiskFull").then_some(()),
        _ => None,
    });
    hand.assert_everywhere("two of three are enough");
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
