//! Random faults on all nodes while clients read and write, and whether one copy could have answered so.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use support::{
    linear::{Action, Operation, check},
    standin::{PDS, STORES, Standin},
};
use tikv_chaos::demo::{
    client::{Client, Outcome},
    wire::{Op, Reply, Request, key},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Hand, region};

/// How long the random faults go on.
const STORM: Duration = Duration::from_secs(25);
/// A number that replays a storm's faults.
const SEED: &str = "TIKV_CHAOS_SEED";

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
