//! The stand-in cluster as processes on the loopback interface, and what can be done to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rand::RngExt as _;
use serde_json::Value;
use tikv_chaos::demo::client::Client;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Runtime,
    sync::watch,
};

use crate::{program_path, wait_for};

/// The network between the stores: each is advertised under an address of its own here, and what goes there is handed
/// on unless one end is cut off. Clients that know a store's own address go past it.
struct Network {
    /// Stores' ids.
    cut: watch::Sender<BTreeSet<u64>>,
    runtime: Runtime,
}

impl Network {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { cut: watch::Sender::default(), runtime }
    }

    /// An address that leads to `to`, the store `name`.
    fn way(&self, to: String, ids: Arc<Mutex<BTreeMap<String, u64>>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (cut, me) = (self.cut.clone(), address.clone());
        self.runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (ids, me) = (Arc::clone(&ids), me.clone());
                let target = move || ids.lock().unwrap().get(&me).copied();
                tokio::spawn(carry(stream, to.clone(), target, cut.subscribe()));
            }
        });
        address
    }
}

/// Hands on one connection until it ends or is cut; one between nodes that are cut off hangs, as behind a firewall.
async fn carry(
    mut from: tokio::net::TcpStream,
    to: String,
    target: impl Fn() -> Option<u64>,
    mut cut: watch::Receiver<BTreeSet<u64>>,
) -> Option<()> {
    let length = from.read_u32_le().await.ok()?;
    let mut hello = vec![0; length as usize];
    from.read_exact(&mut hello).await.ok()?;
    let source = serde_json::from_slice::<Value>(&hello).ok()?["id"].as_u64();
    // Clients go everywhere.
    let is_cut =
        |cut: &BTreeSet<u64>| source.is_some() && [source, target()].iter().flatten().any(|id| cut.contains(id));
    let mut stream = tokio::net::TcpStream::connect(to).await.ok()?;
    stream.write_u32_le(length).await.ok()?;
    stream.write_all(&hello).await.ok()?;
    let was_cut = tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut from, &mut stream) => false,
        _ = cut.wait_for(&is_cut) => true,
    };
    if was_cut {
        // Both ends stay open and hear nothing.
        let _ = cut.wait_for(|cut| !is_cut(cut)).await;
    }
    Some(())
}

/// A file system of its own size, whatever else the machine keeps.
const MEMORY: &str = "/dev/shm";

/// How much faster than real TiKV the tests' clusters live.
const SPEED: &str = "20";

/// Three PDs and three stores, all killed when the value is dropped.
pub struct Standin {
    pub folder: tempfile::TempDir,
    nodes: BTreeMap<String, Node>,
    pub pds: Vec<String>,
    network: Network,
    /// Stores' ids by their advertised addresses.
    ids: Arc<Mutex<BTreeMap<String, u64>>>,
}

struct Node {
    args: Vec<String>,
    /// The `[standin]` table of its configuration, and the others.
    played: String,
    settings: String,
    log: PathBuf,
    /// Where clients and peers find it, and where it is.
    client: String,
    own: String,
    status: String,
    child: Option<Child>,
}

pub const STORES: [&str; 3] = ["tikv0", "tikv1", "tikv2"];
pub const PDS: [&str; 3] = ["pd0", "pd1", "pd2"];

/// A port below those that the system gives to outgoing connections.
fn free_port() -> u16 {
    static TAKEN: Mutex<Vec<u16>> = Mutex::new(vec![]);
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = rand::rng().random_range(10_000..32_000);
        if !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.push(port);
            return port;
        }
    }
}

fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}

impl Standin {
    pub fn start() -> Self {
        let mut cluster = Self::prepare();
        cluster.start_all();
        cluster
    }

    pub fn start_all(&mut self) {
        PDS.into_iter().chain(STORES).for_each(|name| self.start_node(name));
    }

    /// Nothing of it runs yet.
    pub fn prepare() -> Self {
        // In memory: PD gives no leader to a store whose disk has less than a fifth left, as the machine's own may.
        let folder = tempfile::tempdir_in(MEMORY).unwrap();
        let peers: Vec<String> = PDS.iter().map(|_| address()).collect();
        let pds: Vec<String> = PDS.iter().map(|_| address()).collect();
        let initial: Vec<String> = PDS.iter().zip(&peers).map(|(name, peer)| format!("{name}=http://{peer}")).collect();
        let mut nodes = BTreeMap::new();
        let network = Network::new();
        let ids = Arc::new(Mutex::new(BTreeMap::new()));
        let mut add = |name: &str, args: Vec<String>, client: String, own: String, status: String| {
            let data = format!("--data-dir={}", folder.path().join(name).display());
            let config = format!("--config={}", folder.path().join(format!("{name}.toml")).display());
            let args = args.into_iter().chain([data, config]).collect();
            let log = folder.path().join(format!("{name}.log"));
            let (played, settings) = (format!("speed = {SPEED}\n"), String::new());
            nodes.insert(name.to_owned(), Node { args, played, settings, log, client, own, status, child: None });
        };
        for ((name, peer), client) in PDS.into_iter().zip(&peers).zip(&pds) {
            let args = vec![
                "pd".to_owned(),
                format!("--name={name}"),
                format!("--client-urls=http://{client}"),
                format!("--peer-urls=http://{peer}"),
                format!("--advertise-client-urls=http://{client}"),
                format!("--advertise-peer-urls=http://{peer}"),
                format!("--initial-cluster={}", initial.join(",")),
            ];
            add(name, args, client.clone(), client.clone(), client.clone());
        }
        for name in STORES {
            let (own, status) = (address(), address());
            let client = network.way(own.clone(), Arc::clone(&ids));
            let args = vec![
                "store".to_owned(),
                format!("--addr={own}"),
                format!("--advertise-addr={client}"),
                format!("--status-addr={status}"),
                format!("--advertise-status-addr={status}"),
                format!("--pd={}", pds.join(",")),
            ];
            add(name, args, client, own, status);
        }
        let mut cluster = Self { folder, nodes, pds, network, ids };
        STORES.iter().for_each(|name| cluster.configure(name, "[storage]\nreserve-space = \"1MiB\"\n"));
        cluster
    }

    /// What its configuration says from its next start on, beside what it plays.
    pub fn configure(&mut self, name: &str, settings: &str) {
        self.nodes.get_mut(name).unwrap().settings = settings.to_owned();
    }

    /// The version that it plays from its next start on.
    pub fn play(&mut self, name: &str, version: &str) {
        self.nodes.get_mut(name).unwrap().played = format!("speed = {SPEED}\nversion = \"{version}\"\n");
    }

    pub fn start_node(&mut self, name: &str) {
        let node = self.nodes.get_mut(name).unwrap();
        assert!(node.child.is_none(), "{name} runs");
        let config = format!("{}\n[standin]\n{}", node.settings, node.played);
        fs::write(self.folder.path().join(format!("{name}.toml")), config).unwrap();
        let log = File::options().create(true).append(true).open(&node.log).unwrap();
        let mut command = Command::new(program_path());
        command.arg("demo-node").args(&node.args).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        node.child = Some(command.spawn().unwrap());
    }

    /// SIGKILL.
    pub fn kill(&mut self, name: &str) {
        let mut child = self.nodes.get_mut(name).unwrap().child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM: the exit status.
    pub fn terminate(&mut self, name: &str) -> Option<i32> {
        self.signal(name, Signal::SIGTERM);
        self.nodes.get_mut(name).unwrap().child.take().unwrap().wait().unwrap().code()
    }

    /// Waits until it ends by itself: the exit status.
    pub fn wait_end(&mut self, name: &str) -> Option<i32> {
        let child = self.nodes.get_mut(name).unwrap().child.as_mut().unwrap();
        let status = wait_for("the node to end", || child.try_wait().unwrap());
        self.nodes.get_mut(name).unwrap().child = None;
        status.code()
    }

    pub fn signal(&self, name: &str, signal: Signal) {
        let child = self.nodes[name].child.as_ref().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    }

    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(&self.nodes[name].log).unwrap()
    }

    /// Removes what a node has written.
    pub fn wipe(&self, name: &str) {
        fs::remove_dir_all(self.folder.path().join(name)).unwrap();
    }

    /// Where a node listens.
    pub fn own_address(&self, name: &str) -> String {
        self.nodes[name].own.clone()
    }

    /// Cuts a store off from the other stores, and only those, or no longer: PDs and clients still reach it.
    pub fn cut_off(&self, name: &str, cut: bool) {
        let id = self.ids.lock().unwrap()[&self.nodes[name].client];
        self.network.cut.send_modify(|all| {
            let _ = if cut { all.insert(id) } else { all.remove(&id) };
        });
    }

    pub fn client(&self) -> Client {
        Client::new(self.pds.clone(), Duration::from_millis(500))
    }

    /// What a node's status port says, and its status; none where nobody answers.
    pub fn status(&self, name: &str, path: &str) -> Option<(u16, String)> {
        get(&self.nodes[name].status, path, "")
    }

    /// What this PD says by itself, whichever leads.
    pub fn own_answer(&self, name: &str, path: &str) -> Option<(u16, String)> {
        get(&self.nodes[name].client, path, "PD-Allow-follower-handle: true\r\n")
    }

    /// The sum of a metric's series whose labels contain all these.
    pub fn metric(&self, name: &str, metric: &str, labels: &[&str]) -> Option<f64> {
        let (_, body) = self.status(name, "/metrics")?;
        let of_it = |line: &&str| {
            let rest = line.strip_prefix(metric);
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && labels.iter().all(|label| line.contains(label))
        };
        let values = body.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Some(values.sum())
    }

    /// The first PD's answer that is a good one.
    pub fn pd(&self, path: &str) -> Option<Value> {
        let answers = PDS.iter().filter_map(|name| get(&self.nodes[*name].client, path, ""));
        let (_, body) = answers.into_iter().find(|(status, _)| *status == 200)?;
        serde_json::from_str(&body).ok()
    }

    /// PD's word for a store, and how many leaders it has.
    pub fn store(&self, name: &str) -> Option<(String, u64)> {
        let stores = self.pd("/pd/api/v1/stores")?;
        let store = self.store_of(&stores, name)?;
        Some((store["store"]["state_name"].as_str()?.to_owned(), store["status"]["leader_count"].as_u64()?))
    }

    /// A store in PD's answer.
    pub fn store_of<'a>(&self, stores: &'a Value, name: &str) -> Option<&'a Value> {
        let is = |one: &&Value| one["store"]["address"] == self.nodes[name].client.as_str();
        stores["stores"].as_array()?.iter().find(is)
    }

    pub fn wait_healthy(&self) {
        wait_for("three stores up, with two of six leaders each", || {
            STORES.iter().all(|name| self.store(name) == Some(("Up".to_owned(), 2))).then_some(())
        });
        let stores = self.pd("/pd/api/v1/stores").unwrap();
        let store = |one: &Value| Some((one["store"]["address"].as_str()?.to_owned(), one["store"]["id"].as_u64()?));
        *self.ids.lock().unwrap() = stores["stores"].as_array().unwrap().iter().filter_map(store).collect();
    }

    pub fn pd_leader(&self) -> Option<String> {
        Some(self.pd("/pd/api/v1/leader")?["name"].as_str()?.to_owned())
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, node) in &self.nodes {
                let log = fs::read_to_string(&node.log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                eprintln!("--- {name}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
        }
        for mut child in self.nodes.values_mut().filter_map(|node| node.child.take()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// HTTP by hand, with further lines in the head: status and body.
fn get(address: &str, path: &str, head: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address.parse().ok()?, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{head}\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
