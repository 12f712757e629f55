//! The figures of the README, printed: `cargo bench`, or `cargo bench --bench figures -- guard recovery` for some of them.
//! Each stands beside what it is compared to, measured in the same run. Nothing here passes or fails.

use std::{
    io::Read as _,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    packets::{self, Echo},
    proc, program_path,
    pty::{ENTER, Terminal},
    run,
};
use tikv_chaos::{
    chaos::{Fault, FaultType, Params, Partition},
    config::{Config, Globals},
    session::{self, ChangeRequest, Request, Store, guard::Launch},
    subject::docker::{Source, TikvSubject, client},
};

const ROUNDS: usize = 20;
const IDLE: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_secs(65);
const GUARD_SETTLE: Duration = Duration::from_secs(5);
const RECOVERIES: usize = 5;

fn main() {
    if !docker_is_here() {
        return;
    }
    // cargo gives a flag of its own.
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &(&str, fn())| asked.is_empty() || asked.iter().any(|name| name == part.0);
    for (_, measure) in PARTS.iter().filter(|part| wanted(part)) {
        measure();
    }
}

const PARTS: [(&str, fn()); 8] = [
    ("partition", || runtime().block_on(partition(&three()))),
    ("change", || runtime().block_on(change(&three()))),
    ("first-frame", || first_frame(&three())),
    ("live", || live(&three())),
    ("follow", || follow(&three())),
    ("idle", || idle(&three())),
    ("guard", || guard(&three())),
    ("recovery", recovery),
];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn three() -> Cluster {
    Cluster::start(&Options::default())
}

fn print(what: &str, samples: &mut [Duration]) {
    samples.sort_unstable();
    let ms = |sample: Duration| sample.as_secs_f64() * 1e3;
    let (median, last) = (samples[samples.len() / 2], samples[samples.len() - 1]);
    println!("{what:<62} median {:>7.1} ms   worst {:>7.1} ms   of {}", ms(median), ms(last), samples.len());
}

/// What the program under the screen works with.
fn engine(cluster: &Cluster, program: &Program) -> (Config, TikvSubject) {
    let globals = Globals {
        project: Some(cluster.project.clone()),
        state_dir: Some(program.state.path().to_owned()),
        ..Globals::default()
    };
    let mut config = Config::new(&globals).unwrap();
    config.image = Source::Made { exe: program_path().into() };
    // Not this bench again.
    let options = vec!["--state-dir".into(), program.state.path().into()];
    config.store = Store::at(program.state.path()).guarded_by(Launch {
        program: program_path().into(),
        options,
        docker_host: client::host(),
    });
    let subject = config.subject(Arc::new(|_| ()));
    (config, subject)
}

/// Its watch knows the nodes, and what the clusters say of themselves is read once a second, whatever is done meanwhile.
async fn as_under_the_tui(subject: &TikvSubject) {
    let snapshot = subject.snapshot().await.unwrap();
    subject.hear(subject.cluster_states(&snapshot).await);
    subject.see(Some(snapshot));
}

/// Cutting one node off from two peers, journal and read-back included, against one `docker exec` a rule.
async fn partition(cluster: &Cluster) {
    let program = Program::new(Some(&cluster.project));
    let (config, subject) = engine(cluster, &program);
    let fault = Fault::NetworkPartition { shape: Partition::Isolate, peers: vec![], include_pd: false, reject: false };
    let request = Request {
        fault,
        targets: vec![cluster.nodes[0].clone()],
        ttl: Some(Duration::from_secs(600)),
        command: "bench",
        limits: config.limits.clone(),
        // With the one that stays it is more than the cluster can lose.
        force: true,
    };
    as_under_the_tui(&subject).await;
    // The first one makes the image and the holder.
    let first = session::inject(&subject, &config.store, &request, |_| ()).await.unwrap();
    session::revert(&subject, &config.store, &first.injection).await.unwrap();

    // One that stays, so that the guard does, as under the TUI.
    let another = Request { targets: vec![cluster.nodes[1].clone()], ..request.clone() };
    let stays = session::inject(&subject, &config.store, &another, |_| ()).await.unwrap();
    let (mut injects, mut reverts) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let injected = session::inject(&subject, &config.store, &request, |_| ()).await.unwrap();
        injects.push(start.elapsed());
        let start = Instant::now();
        session::revert(&subject, &config.store, &injected.injection).await.unwrap();
        reverts.push(start.elapsed());
    }
    print(&format!("{}: inject, warm holder", FaultType::NetworkPartition), &mut injects);
    print(&format!("{}: revert, warm holder", FaultType::NetworkPartition), &mut reverts);
    session::revert(&subject, &config.store, &stays.injection).await.unwrap();

    let holder = cluster.holders().remove(0);
    let peers = [cluster.ip(1).unwrap(), cluster.ip(2).unwrap()];
    let (mut injects, mut reverts) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        injects.push(by_exec(&holder, "-I", &peers));
        reverts.push(by_exec(&holder, "-D", &peers));
    }
    print("the contract's way, a docker exec for each rule: inject", &mut injects);
    print("the contract's way, a docker exec for each rule: revert", &mut reverts);
    subject.release().await;
}

/// Another delay for an injection that holds, from the key to the kernel: journal and read-back included; and what becomes
/// of packets meanwhile.
async fn change(cluster: &Cluster) {
    let program = Program::new(Some(&cluster.project));
    let (config, subject) = engine(cluster, &program);
    let _echo = Echo::on(cluster, 0);
    let to = packets::v4(cluster, 0);
    let delay = |ms: u64| {
        let params = Params::parse(FaultType::Latency, [("mean_ms".to_owned(), ms.to_string())]).unwrap();
        Fault::from_params(FaultType::Latency, &params).unwrap()
    };
    let request = Request {
        fault: delay(20),
        targets: vec![cluster.nodes[0].clone()],
        ttl: Some(Duration::from_secs(600)),
        command: "bench",
        limits: config.limits.clone(),
        force: false,
    };
    as_under_the_tui(&subject).await;
    let held = session::inject(&subject, &config.store, &request, |_| ()).await.unwrap().injection;
    let via = held.metadata.fault.shaped().unwrap().shape.via.name();
    let (count, pace) = (4000, packets::FAST);
    let mut samples = Vec::new();
    let felt = thread::scope(|scope| {
        let felt = scope.spawn(|| packets::echoes(cluster, 1, to, count, pace));
        // The sender needs a moment for its first packets, and what is late at the end its time.
        thread::sleep(Duration::from_millis(300));
        let changes = async {
            for round in 0..10 * ROUNDS as u64 {
                let request = ChangeRequest {
                    fault: Some(delay(20 + round % 7)),
                    ttl: None,
                    limits: config.limits.clone(),
                    force: false,
                };
                let start = Instant::now();
                session::change(&subject, &config.store, &held.metadata.id, &request, |_| ()).await.unwrap();
                samples.push(start.elapsed());
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(changes));
        felt.join().unwrap()
    });
    print(&format!("{} via {via}: change, warm holder", FaultType::Latency), &mut samples);
    let (least, most) = (felt.quantile(0.0), felt.quantile(1.0));
    println!(
        "of {count} packets under {} changes: {} lost, {} twice, round trips from {least:?} to {most:?}",
        samples.len(),
        felt.sent - felt.distinct(),
        felt.came.len() - felt.distinct()
    );
    session::revert(&subject, &config.store, &held).await.unwrap();
    subject.release().await;
}

fn by_exec(container: &str, verb: &str, peers: &[String]) -> Duration {
    let start = Instant::now();
    for peer in peers {
        run("docker", &["exec", container, "iptables-nft", verb, "OUTPUT", "-d", peer, "-j", "DROP"]);
        run("docker", &["exec", container, "iptables-nft", verb, "INPUT", "-s", peer, "-j", "DROP"]);
    }
    start.elapsed()
}

/// The program in a terminal, with what it writes and when.
struct Screen {
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
    start: Instant,
    output: mpsc::Receiver<(Duration, Vec<u8>)>,
}

impl Screen {
    fn open(program: &Program, project: &str, env: &[(&str, &str)]) -> Self {
        let pair =
            native_pty_system().openpty(PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new(program_path());
        command.args(["--project", project, "--state-dir"]);
        command.arg(program.state.path());
        for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8")].iter().chain(env) {
            command.env(name, value);
        }
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = mpsc::channel();
        let start = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send((start.elapsed(), buffer[..count].to_vec())).is_err() {
                    return;
                }
            }
        });
        Self { child, _master: pair.master, start, output }
    }

    /// When the text first stood in what was written.
    fn shows(&self, text: &str) -> Duration {
        let mut seen = Vec::new();
        loop {
            let (at, bytes) = self.output.recv_timeout(Duration::from_secs(30)).unwrap();
            seen.extend_from_slice(&bytes);
            if String::from_utf8_lossy(&seen).contains(text) {
                return at;
            }
            assert!(self.start.elapsed() < Duration::from_secs(60), "never shown: {text}");
        }
    }

    fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn first_frame(cluster: &Cluster) {
    let program = Program::new(Some(&cluster.project));
    let nowhere = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let measure = |env: &[(&str, &str)], text: &str| -> Vec<Duration> {
        (0..ROUNDS).map(|_| Screen::open(&program, &cluster.project, env).shows(text)).collect()
    };
    print("first frame", &mut measure(&[], "NODES"));
    print("first frame, Docker not there", &mut measure(&nowhere, "NODES"));
    print("first frame with the nodes in it", &mut measure(&[], &cluster.nodes[2]));
}

/// From Docker's answer that a node is paused to the word on the screen.
fn live(cluster: &Cluster) {
    let program = Program::new(Some(&cluster.project));
    let screen = Screen::open(&program, &cluster.project, &[]);
    screen.shows(&cluster.nodes[2]);
    let mut samples = Vec::new();
    for _ in 0..ROUNDS / 2 {
        for (verb, word) in [("pause", "paused"), ("unpause", "running")] {
            run("docker", &[verb, &cluster.nodes[1]]);
            let done = screen.start.elapsed();
            samples.push(screen.shows(word).saturating_sub(done));
        }
    }
    print("a change in Docker, from the command's end to the screen", &mut samples);
}

/// From Docker's answer that a peer has another address to the rule for it, with the screen and with the guard alone.
fn follow(cluster: &Cluster) {
    let late = format!("{}_late", cluster.project);
    run("docker", &["network", "create", &late]);
    for with in ["the screen", "the guard alone"] {
        let program = Program::new(Some(&cluster.project));
        let by_keys = with == "the screen";
        let screen = by_keys.then(|| cut_by_keys(cluster, &program));
        if !by_keys {
            program.inject(&["network_partition", "--target", &cluster.nodes[0], "--ttl", "1h"]);
        }
        let pid = cluster.inspect(0, "{{.State.Pid}}");
        let rules = || run("nsenter", &["-t", &pid, "-n", "iptables-nft-save", "-t", "filter"]);
        let template = format!("{{{{(index .NetworkSettings.Networks \"{late}\").IPAddress}}}}");
        let mut samples = Vec::new();
        for _ in 0..ROUNDS / 2 {
            // A guard that rests is the slower one.
            thread::sleep(GUARD_SETTLE);
            run("docker", &["network", "connect", &late, &cluster.nodes[1]]);
            let start = Instant::now();
            let ip = format!(" {}/32 ", cluster.inspect(1, &template));
            while !rules().contains(&ip) {}
            samples.push(start.elapsed());
            run("docker", &["network", "disconnect", &late, &cluster.nodes[1]]);
            while rules().contains(&ip) {}
        }
        print(&format!("a peer's new address, from the command's end to its rule, {with}"), &mut samples);
        drop(screen);
        program.run(&["revert", "--all", "--every-session"]).ok();
    }
    run("docker", &["network", "rm", &late]);
}

/// A screen that has cut the first node off, and runs on.
fn cut_by_keys(cluster: &Cluster, program: &Program) -> Terminal {
    let mut terminal = Terminal::open(program, (40, 120));
    terminal.wait_text(cluster.nodes[2].trim_start_matches(&format!("{}-", cluster.project)));
    terminal.send(&format!("1g{ENTER}"));
    while !terminal.wait_text(" 2 CHAOS ").contains("● network_partition ") {
        terminal.send("l");
        thread::sleep(Duration::from_millis(100));
    }
    terminal.send("i");
    terminal.wait_text("● active");
    terminal
}

fn idle(cluster: &Cluster) {
    let program = Program::new(Some(&cluster.project));
    let screen = Screen::open(&program, &cluster.project, &[]);
    screen.shows(&cluster.nodes[2]);
    // What starting cost is not part of being idle.
    thread::sleep(SETTLE);
    let before = proc::cpu_time(screen.pid());
    while screen.output.try_recv().is_ok() {}
    thread::sleep(IDLE);
    let spent = proc::cpu_time(screen.pid()) - before;
    let bytes: usize = screen.output.try_iter().map(|(_, bytes)| bytes.len()).sum();
    // Linux counts in hundredths of a second (proc(5), USER_HZ).
    let percent = 100.0 * spent.as_secs_f64() / IDLE.as_secs_f64();
    println!("idle with three nodes: {percent:.3} % of a core over {} s, {bytes} bytes written", IDLE.as_secs());
    println!("idle with three nodes: {} resident", proc::resident(screen.pid()));
}

/// The guard while it waits for a deadline.
fn guard(cluster: &Cluster) {
    let program = Program::new(Some(&cluster.project));
    program.inject(&["network_partition", "--target", &cluster.nodes[0], "--ttl", "1h"]);
    let pid = u32::try_from(program.guard().unwrap()).unwrap();
    // It rests when nothing happened for a while.
    thread::sleep(GUARD_SETTLE);
    let before = proc::cpu_time(pid);
    thread::sleep(IDLE);
    println!("a waiting guard: {:?} of CPU in {} s", proc::cpu_time(pid) - before, IDLE.as_secs());
    println!("a waiting guard: {} resident, of which {}", proc::resident(pid), proc::shares(pid));
    program.run(&["revert", "--all"]).ok();
}

/// Fifty injections over ten containers that nobody is in charge of, and the panic key's work with twenty.
fn recovery() {
    let cluster = Cluster::start(&Options { own_volumes_mib: Some(256), ..Options::default() });
    let further = (3..10).map(|number| cluster.run_further(number, &["--network", &cluster.networks[0]]));
    let nodes: Vec<String> = cluster.nodes.iter().cloned().chain(further).collect();
    let program = Program::new(Some(&cluster.project));
    let end = |what: &str, each: usize, command: &[&str]| {
        let fill_up = |at: usize| {
            for step in 1..=each {
                let (node, peer) = (&nodes[at], &nodes[(at + step) % nodes.len()]);
                program.inject(&["network_partition", "--target", node, "--peers", peer, "--ttl", "none"]);
            }
        };
        let mut samples: Vec<Duration> = (0..RECOVERIES)
            .map(|_| {
                thread::scope(|scope| (0..nodes.len()).for_each(|at| drop(scope.spawn(move || fill_up(at)))));
                assert_eq!(program.active().len(), each * nodes.len());
                let start = Instant::now();
                program.run(command).ok();
                start.elapsed()
            })
            .collect();
        print(what, &mut samples);
    };
    end("recover: 50 injections that were left in 10 containers", 5, &["recover"]);
    end("revert --all --every-session: 20 active in 10 containers", 2, &["revert", "--all", "--every-session"]);
}
