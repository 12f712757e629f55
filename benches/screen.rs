//! The screen's figures, printed: `cargo bench --bench screen`, and some of them by name, as in `-- frame idle`. What it is
//! compared to is measured beside it where it is installed. Nothing here passes or fails.

use std::{
    io::Read as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use ratatui::{
    backend::{Backend as _, CrosstermBackend},
    buffer::Buffer,
    layout::Rect,
};
use support::{Program, daemon::Daemon, demo::Demo, docker_is_here, proc, pty::Terminal};
use tikv_chaos::{
    chaos::{FaultMetadata, InjectionId, Metadata, Signal},
    cluster::{ClusterState, NodeConfig, NodeView, PdView, Quantiles, Read, StoreMetrics, StoreView},
    session::{History, Injection, Life, Loaded, SCHEMA, Seen, SessionFile, Store},
    subject::docker::{Endpoints, Health, Network, Node, Role, Snapshot, State},
    tui::{Keymap, Live, Message, Model, Options, difference, theme::Theme, update, view},
};

const FRAMES: usize = 2_000;
const KEYS: usize = 600;
const STARTS: usize = 20;
const SETTLE: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(30);
const BESIDE: [&str; 3] = ["oxker", "btm", "lazydocker"];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    if wanted("frame") {
        frame("6 nodes", 6, 0);
        frame("1000 nodes, 200 injections", 1_000, 200);
    }
    if wanted("start") {
        first_frame();
    }
    if wanted("keys") {
        keys(6);
        keys(1_000);
    }
    if wanted("idle") {
        idle(6, 0);
        idle(1_000, 200);
    }
    if wanted("beside") && docker_is_here() {
        compared();
    }
}

/// This program and others, over the Docker of this machine with the stand-in cluster in it.
fn compared() {
    let demo = Demo::up(&["--rate", "0"]);
    let project = demo.project.clone();
    let command = |program: &str| {
        let mut command = CommandBuilder::new(program);
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command
    };
    let mut ours = command(support::program_path().to_str().unwrap());
    ours.args(["--project", &project, "--state-dir"]);
    ours.arg(demo.program.state.path());
    beside("tikv-chaos, reading the stand-in cluster of 6 nodes", ours);
    for program in BESIDE {
        match installed(program) {
            true => beside(program, command(program)),
            false => println!("{program}: not installed here, not measured"),
        }
    }
}

fn percentile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    samples[((samples.len() - 1) as f64 * share).round() as usize]
}

/// What the loop does for a frame in which something changed: the view, what differs, and its bytes.
fn frame(what: &str, nodes: usize, injections: usize) {
    let mut model = model(nodes, injections);
    let area = Rect::new(0, 0, 120, 40);
    let (mut shown, mut next) = (Buffer::empty(area), Buffer::empty(area));
    let mut written = Vec::with_capacity(1 << 16);
    let mut samples: Vec<Duration> = (0..FRAMES)
        .map(|second| {
            update(&mut model, Message::Clock(at(i64::try_from(second).unwrap())));
            let start = Instant::now();
            next.reset();
            let hits = view(&model, &mut next);
            written.clear();
            CrosstermBackend::new(&mut written).draw(difference(&shown, &next).into_iter()).unwrap();
            let taken = start.elapsed();
            model.drawn(hits);
            std::mem::swap(&mut shown, &mut next);
            taken
        })
        .collect();
    let us = |sample: Duration| sample.as_secs_f64() * 1e6;
    let (median, last) = (percentile(&mut samples, 0.5), percentile(&mut samples, 0.99));
    println!("a frame at 120x40, {what}: median {:.0} us, 99th percentile {:.0} us of {FRAMES}", us(median), us(last));
}

/// From the start of the process to the first whole screen.
fn first_frame() {
    let daemon = Daemon::start(6);
    let program = Program::new(None);
    let mut samples: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let start = Instant::now();
            let terminal = open(&program, &daemon);
            terminal.wait_text(" 4 LOG ");
            start.elapsed()
        })
        .collect();
    let ms = |sample: Duration| sample.as_secs_f64() * 1e3;
    let (median, last) = (percentile(&mut samples, 0.5), percentile(&mut samples, 1.0));
    println!("start to the first frame: median {:.1} ms, worst {:.1} ms of {STARTS}", ms(median), ms(last));
}

fn open(program: &Program, daemon: &Daemon) -> Terminal {
    let host = daemon.host();
    Terminal::open_with(program, (40, 120), &[("DOCKER_HOST", &host), ("TIKV_CHAOS_READ_ONLY", "true")])
}

/// From a key to the frame that answers it, while Docker sends 200 events a second.
fn keys(nodes: usize) {
    let daemon = Daemon::start(nodes);
    let program = Program::new(None);
    let mut terminal = open(&program, &daemon);
    terminal.wait_text("lab-tikv0");
    daemon.pour(200);
    thread::sleep(Duration::from_secs(2));
    let before = proc::cpu_time(terminal.pid());
    let start = Instant::now();
    let mut samples: Vec<Duration> = (0..KEYS)
        .map(|at| {
            // At any place between two frames.
            thread::sleep(Duration::from_micros(7_000 + 1_733 * (u64::try_from(at).unwrap() % 23)));
            let pressed = Instant::now();
            if at % 2 == 0 {
                terminal.send("?");
                terminal.wait_text(" Keys ");
            } else {
                terminal.send("q");
                terminal.wait_gone(" Keys ");
            }
            pressed.elapsed()
        })
        .collect();
    let percent = 100.0 * (proc::cpu_time(terminal.pid()) - before).as_secs_f64() / start.elapsed().as_secs_f64();
    let ms = |sample: Duration| sample.as_secs_f64() * 1e3;
    let (median, last) = (percentile(&mut samples, 0.5), percentile(&mut samples, 0.99));
    println!(
        "key to frame, 200 events a second, {nodes} nodes: median {:.1} ms, 99th percentile {:.1} ms of {KEYS}, {percent:.1} % of a core",
        ms(median),
        ms(last)
    );
}

/// With nothing to read and nothing that counts.
fn idle(nodes: usize, injections: usize) {
    let daemon = Daemon::start(nodes);
    let program = Program::new(None);
    let store = Store::at(program.state.path());
    if injections > 0 {
        store.record("bench", loaded(nodes, injections).sessions.remove(0).file.injections).unwrap();
    }
    let terminal = open(&program, &daemon);
    terminal.wait_text("lab-tikv0");
    thread::sleep(SETTLE);
    let (before, written) = (proc::cpu_time(terminal.pid()), terminal.written().len());
    thread::sleep(IDLE);
    let percent = 100.0 * (proc::cpu_time(terminal.pid()) - before).as_secs_f64() / IDLE.as_secs_f64();
    let written = terminal.written().len() - written;
    let resident = proc::resident(terminal.pid());
    println!(
        "idle, {nodes} nodes, {injections} injections: {percent:.3} % of a core and {written} bytes over {} s, {resident} resident",
        IDLE.as_secs()
    );
    store.end().unwrap();
}

/// A program over the Docker of this machine: what it costs while nobody touches it.
fn beside(what: &str, command: CommandBuilder) {
    let pair = native_pty_system().openpty(PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut reader = pair.master.try_clone_reader().unwrap();
    let bytes = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let counted = Arc::clone(&bytes);
    let (sender, first) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            let _ = sender.send(start.elapsed());
            counted.fetch_add(count as u64, Ordering::SeqCst);
        }
    });
    let first = first.recv_timeout(Duration::from_secs(10)).map_or(f64::NAN, |at| at.as_secs_f64() * 1e3);
    thread::sleep(SETTLE);
    let pid = child.process_id().unwrap();
    let (before, written) = (proc::cpu_time(pid), bytes.load(Ordering::SeqCst));
    thread::sleep(IDLE);
    let percent = 100.0 * (proc::cpu_time(pid) - before).as_secs_f64() / IDLE.as_secs_f64();
    let written = bytes.load(Ordering::SeqCst) - written;
    println!(
        "{what}: {percent:.3} % of a core and {written} bytes over {} s, {} resident, first bytes after {first:.1} ms",
        IDLE.as_secs(),
        proc::resident(pid)
    );
    let _ = child.kill();
    let _ = child.wait();
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + seconds).unwrap()
}

fn name(number: usize, nodes: usize) -> String {
    format!("lab-{}{number}", if number + 3 >= nodes { "pd" } else { "tikv" })
}

fn id(number: usize) -> String {
    format!("{number:08x}{:056}", 0)
}

/// A cluster under load with its injections, five minutes after they began.
fn model(nodes: usize, injections: usize) -> Model {
    let options = Options {
        program: "tikv-chaos 0.1.0".into(),
        project: None,
        demo: None,
        read_only: false,
        ttl: None,
        keys: Keymap::default(),
        presets: Vec::new(),
        utf8: true,
        theme: Theme::default(),
        colours: true,
        motion: true,
        time_zone: TimeZone::UTC,
    };
    let mut model = Model::new(options, at(-300));
    let snapshot = Snapshot { nodes: (0..nodes).map(|number| node(number, nodes)).collect(), ..Snapshot::default() };
    update(&mut model, Message::Docker(Live::Up { engine: "Docker 29.1.3".into(), snapshot }));
    for second in -300..0 {
        update(&mut model, Message::Clock(at(second)));
        update(&mut model, Message::Cluster(vec![state(second, nodes)]));
        if second == -290 {
            update(&mut model, Message::Sessions(loaded(nodes, injections)));
        }
    }
    model
}

fn node(number: usize, nodes: usize) -> Node {
    let role = if number + 3 >= nodes { Role::Pd } else { Role::Tikv };
    Node {
        id: id(number),
        name: name(number, nodes),
        role,
        cluster: "lab".into(),
        project: Some("lab".into()),
        service: None,
        image: "pingcap/tikv:v8.5.5".into(),
        state: State::Running,
        health: Health::Healthy,
        exit_code: None,
        restart_count: 0,
        started_at: "2026-02-02T00:00:00Z".into(),
        up_since: Some(at(-7_500)),
        networks: vec![Network {
            name: "lab".into(),
            ips: vec![[172, 28, (number / 250) as u8, (number % 250) as u8].into()],
            link_local: None,
        }],
        network_mode: "lab".into(),
        network_of: None,
        auto_remove: false,
        memory: vec![],
        data_dir: Some("/data".into()),
        config_file: None,
        several: None,
        mounts: Vec::new(),
        endpoints: Endpoints::default(),
    }
}

fn state(second: i64, nodes: usize) -> ClusterState {
    let now = at(second);
    let store = |number: usize| StoreView {
        id: number as u64 + 1,
        address: format!("tikv{number}:20160"),
        state_name: "Up".into(),
        version: "8.5.5".into(),
        last_heartbeat: Some(at(second - 3)),
        leaders: 2,
        regions: 6,
        slow_score: Some(1.0),
        capacity: Some(21 << 30),
        available: Some(12 << 30),
    };
    let metrics = StoreMetrics {
        reads_per_s: Some(201.0),
        writes_per_s: Some(198.0 + second.rem_euclid(7) as f64),
        read: Some(Quantiles { p50: 0.0006, p99: 0.0021 }),
        write: Some(Quantiles { p50: 0.0040, p99: 0.0110 }),
        ..StoreMetrics::default()
    };
    let stores = nodes - 3;
    let config = NodeConfig { reserve_space: Some(5 << 30), capacity: Some(0), ..NodeConfig::default() };
    let view = |number: usize| NodeView {
        store: Some(store(number)),
        metrics: Read { value: Some(metrics.clone()), at: Some(now), error: None },
        config: Read { value: Some(config.clone()), at: Some(now), error: None },
        via: None,
    };
    let pd = PdView {
        answered_by: "lab-pd".into(),
        version: Some("v8.5.5".into()),
        leader: Some("pd0".into()),
        max_replicas: Some(3),
        region_count: Some(6),
        regions_without_quorum: Some(0),
        stores: (0..stores).map(store).collect(),
        ..PdView::default()
    };
    ClusterState {
        cluster: "lab".into(),
        at: now,
        pd: Read { value: Some(pd), at: Some(now), error: None },
        pd_nodes: Vec::new(),
        pd_config: Read::default(),
        nodes: (0..stores).map(|number| (id(number), view(number))).collect(),
    }
}

/// A session with so many injections, one a node.
fn loaded(nodes: usize, injections: usize) -> Loaded {
    let injection = |number: usize| {
        let fault = FaultMetadata::NodeKill { target_container: name(number, nodes), signal: Signal::Kill };
        let metadata = Metadata {
            fault,
            id: InjectionId::from_number(u32::try_from(number).unwrap() + 1),
            container_id: id(number),
            container_started_at: "2026-02-02T00:00:00Z".into(),
            daemon_id: None,
            group: None,
            holder_image: None,
            before: None,
            task: None,
        };
        Injection {
            state: Life::Active,
            undo: vec![format!("docker start {}", name(number, nodes))],
            metadata,
            created_at: at(-290),
            deadline: None,
            deadline_since_boot_ms: None,
            left: false,
            former: None,
            measured: None,
            note: None,
        }
    };
    let file = SessionFile {
        schema: SCHEMA,
        session: "lab".into(),
        program: "tikv-chaos 0.1.0".into(),
        command: "tui".into(),
        pid: 4_242,
        boot_id: String::new(),
        docker_host: None,
        started_at: at(-300),
        injections: (0..injections).map(injection).collect(),
        history: History::default(),
    };
    Loaded { sessions: vec![Seen { file, alive: true, mine: true }], unreadable: Vec::new() }
}
