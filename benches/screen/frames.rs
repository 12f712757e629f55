//! What a frame costs: the model is drawn as the loop draws it, to ratatui's own terminal with crossterm's backend, whose
//! bytes go nowhere. Between two frames a second passes, so that each has something to write.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::IpAddr,
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};
use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};
use serde_json::{Value, json};
use tikv_chaos::{
    chaos::Command,
    cluster::{ClusterState, NodeView, PdNode, PdView, Quantiles, Read, StoreMetrics, StoreView},
    safety::{Grade, Verdict},
    session::{Loaded, SCHEMA, Seen},
    subject::{
        Plan,
        docker::{Endpoints, Health, Network, Node, Role, Snapshot, State},
    },
    tui::{Effect, HitMap, Level, Live, Message, Model, Options, update, view},
};

const NOW: i64 = 1_770_000_000;
const GIB: u64 = 1 << 30;
const WARM_UP: usize = 200;
const FRAMES: usize = 2_000;
/// Of so many runs the one with the least median is printed: other programs disturb a run, nothing speeds one up.
const RUNS: usize = 5;

pub fn frames() {
    println!("a frame of 120x40, drawn and encoded, the bytes thrown away; the best of {RUNS} runs of {FRAMES}");
    for (nodes, injections) in [(6, 0), (6, 3), (1_000, 200)] {
        for clusters_speak in [false, true] {
            let said = if clusters_speak { ", the cluster speaks" } else { "" };
            let what = format!("{nodes} nodes, {injections} injections{said}");
            let mut drawn = Drawn::new(nodes, injections, clusters_speak);
            print_best(&format!("{what}: frame"), || drawn.frames());
            print_best(&format!("{what}: a change in Docker taken in"), || drawn.changes(nodes));
        }
    }
}

/// The run with the least median.
fn print_best(what: &str, mut run: impl FnMut() -> Vec<Duration>) {
    let best = (0..RUNS).map(|_| run()).map(|mut samples| {
        samples.sort_unstable();
        (samples[samples.len() / 2], samples[samples.len() * 99 / 100], samples.len())
    });
    if let Some((median, p99, count)) = best.min() {
        let us = |sample: Duration| sample.as_secs_f64() * 1e6;
        println!("{what:<74} median {:>7.1} us   p99 {:>7.1} us   of {count}", us(median), us(p99));
    }
}

struct Drawn {
    model: Model,
    terminal: Terminal<CrosstermBackend<Nowhere>>,
    second: i64,
    speaks: Option<u64>,
}

impl Drawn {
    fn new(nodes: u64, injections: u64, speaks: bool) -> Self {
        let options = Options {
            program: "tikv-chaos".into(),
            project: None,
            demo: None,
            read_only: false,
            utf8: true,
            colours: true,
            time_zone: TimeZone::UTC,
        };
        let viewport = Viewport::Fixed(Rect::new(0, 0, 120, 40));
        let terminal = Terminal::with_options(CrosstermBackend::new(Nowhere), TerminalOptions { viewport }).unwrap();
        let speaks = speaks.then_some(nodes / 2);
        let mut drawn = Self { model: Model::new(options, at(0)), terminal, second: 0, speaks };
        drawn.take(up(nodes, None));
        drawn.take(Message::Sessions(sessions(nodes, injections)));
        for entry in 0..200 {
            // A log that is full, as after an hour.
            let text = format!("injected latency into demo-tikv{entry}-1: 50 to 150 ms on eth0 ({entry:08x})");
            drawn.take(Message::Log { at: at(entry), level: Level::Done, text });
        }
        for _ in 0..120 {
            drawn.pass_a_second();
        }
        drawn
    }

    fn take(&mut self, message: Message) {
        let effects = update(&mut self.model, message);
        for effect in effects {
            if let Effect::Plan { seq, .. } = effect {
                update(&mut self.model, Message::Planned { seq, result: Ok(Box::new(plan())) });
            }
        }
    }

    fn pass_a_second(&mut self) {
        self.second += 1;
        self.take(Message::Clock(at(self.second)));
        if let Some(stores) = self.speaks {
            self.take(Message::Cluster(vec![state(stores, self.second)]));
        }
    }

    fn frames(&mut self) -> Vec<Duration> {
        let mut samples = Vec::new();
        for frame in 0..WARM_UP + FRAMES {
            self.second += 1;
            // Not into the next hour, where all is overdue.
            self.second %= 3_000;
            self.take(Message::Clock(at(self.second)));
            let start = Instant::now();
            self.draw();
            if frame >= WARM_UP {
                samples.push(start.elapsed());
            }
        }
        samples
    }

    fn draw(&mut self) {
        let mut hits = HitMap::default();
        let model = &self.model;
        self.terminal.draw(|frame| hits = view(model, frame)).unwrap();
        self.model.drawn(hits);
    }

    fn changes(&mut self, nodes: u64) -> Vec<Duration> {
        let mut samples = Vec::new();
        for change in 0..100 {
            let message = up(nodes, (change % 2 == 0).then_some(1));
            let start = Instant::now();
            self.take(message);
            samples.push(start.elapsed());
        }
        samples
    }
}

/// Where the bytes go.
struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(std::hint::black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

/// The first half of the nodes are TiKV, the others PD. One may be paused.
fn up(nodes: u64, paused: Option<u64>) -> Message {
    let half = nodes / 2;
    let node = |number: u64| {
        let (role, name) = if number < half {
            (Role::Tikv, format!("demo-tikv{number}-1"))
        } else {
            (Role::Pd, format!("demo-pd{}-1", number - half))
        };
        let last = u16::try_from(number).unwrap() + 2;
        let [high, low] = last.to_be_bytes();
        let ips: Vec<IpAddr> = vec![[172, 28, high, low].into(), format!("fd00:28::{last:x}").parse().unwrap()];
        Node {
            id: id(number),
            name: name.clone(),
            role,
            cluster: "demo".into(),
            project: Some("demo".into()),
            service: Some(name),
            image: "pingcap/tikv:v8.5.5".into(),
            state: if paused == Some(number) { State::Paused } else { State::Running },
            health: Health::Healthy,
            exit_code: None,
            restart_count: 0,
            started_at: "2026-02-02T00:00:00Z".into(),
            up_since: Some(at(-7_500)),
            networks: vec![Network { name: "demo_default".into(), ips }],
            network_mode: "demo_default".into(),
            auto_remove: false,
            data_dir: Some("/data".into()),
            reserve_space: None,
            mounts: Vec::new(),
            endpoints: Endpoints::default(),
        }
    };
    let snapshot = Snapshot { nodes: (0..nodes).map(node).collect() };
    Message::Docker(Live::Up { version: "29.1.3".into(), snapshot })
}

/// As long as Docker's.
fn id(number: u64) -> String {
    format!("{number:064x}")
}

/// So many injections into as many of the TiKV nodes, by this session, in the shape of its file.
fn sessions(nodes: u64, count: u64) -> Loaded {
    let kinds = |number: u64, target: &str| -> Value {
        match number % 3 {
            0 => json!({"chaos_type": "latency", "target_container": target, "min_ms": 50, "max_ms": 150,
                "interface": "eth0", "interfaces": ["eth0"]}),
            1 => json!({"chaos_type": "node_kill", "target_container": target, "signal": "SIGKILL"}),
            _ => json!({"chaos_type": "network_partition", "isolated_container": target,
                "target_ips": ["172.28.0.3", "172.28.0.4"], "peers": ["demo-tikv1-1", "demo-tikv2-1"]}),
        }
    };
    let injection = |number: u64| {
        let node = number % (nodes / 2);
        let mut metadata = kinds(number, &format!("demo-tikv{node}-1"));
        metadata["id"] = json!(format!("{number:08x}"));
        metadata["container_id"] = json!(id(node));
        metadata["container_started_at"] = json!("2026-02-02T00:00:00Z");
        json!({
            "state": "active", "metadata": metadata, "undo": ["docker start it", "docker inspect it"],
            "created_at": at(-i64::try_from(count - number).unwrap()), "deadline": at(3_600),
        })
    };
    let file = json!({
        "schema": SCHEMA, "session": "20260202T000000Z-4242", "program": "tikv-chaos", "command": "tui", "pid": 4242,
        "boot_id": "", "started_at": at(-3_600), "injections": (0..count).map(injection).collect::<Vec<_>>(),
    });
    let file = serde_json::from_value(file).unwrap();
    Loaded { sessions: vec![Seen { file, alive: true, mine: true }], unreadable: vec![] }
}

fn state(stores: u64, second: i64) -> ClusterState {
    let now = at(second);
    let store = |number: u64| StoreView {
        id: number + 1,
        address: format!("tikv{number}:20160"),
        state_name: "Up".into(),
        version: "8.5.5".into(),
        last_heartbeat: Some(at(second - 3)),
        leaders: 2,
        regions: 6,
        slow_score: Some(1.0),
        capacity: Some(21 * GIB),
        available: Some(12 * GIB),
    };
    let breath = f64::from(i32::try_from(second % 7).unwrap());
    let metrics = StoreMetrics {
        reads_per_s: Some(201.0 + breath),
        writes_per_s: Some(198.0 - breath),
        read: Some(Quantiles { p50: 0.0006, p99: 0.0021 }),
        write: Some(Quantiles { p50: 0.0040, p99: 0.0110 + breath / 1e4 }),
        ..StoreMetrics::default()
    };
    let node = |number: u64| {
        let metrics = Read { value: Some(metrics.clone()), at: Some(now), error: None };
        (id(number), NodeView { store: Some(store(number)), metrics, via: None })
    };
    let pd = |number: u64| PdNode {
        container_id: id(stores + number),
        name: format!("demo-pd{number}-1"),
        answered: true,
        member: Some(format!("pd{number}")),
        is_leader: number == 0,
        healthy: Some(true),
        ..PdNode::default()
    };
    let view = PdView {
        answered_by: "demo-pd0-1".into(),
        version: Some("v8.5.5".into()),
        leader: Some("pd0".into()),
        max_replicas: Some(3),
        region_count: Some(6),
        regions_without_quorum: Some(0),
        stores: (0..stores).map(store).collect(),
    };
    ClusterState {
        cluster: "demo".into(),
        at: now,
        pd: Read { value: Some(view), at: Some(now), error: None },
        pd_nodes: (0..stores).map(pd).collect(),
        nodes: BTreeMap::from_iter((0..stores).map(node)),
    }
}

fn plan() -> Plan {
    let metadata = json!({"chaos_type": "latency", "target_container": "demo-tikv0-1", "min_ms": 50, "max_ms": 150,
        "interface": "eth0", "interfaces": ["eth0"], "id": "00000009", "container_id": id(0),
        "container_started_at": "2026-02-02T00:00:00Z"});
    let add = "qdisc add dev eth0 root handle c4a0: netem delay 100ms 50ms";
    Plan {
        metadata: serde_json::from_value(metadata).unwrap(),
        commands: vec![Command::new("tc", add.split(' ')), Command::new("tc", "qdisc show dev eth0".split(' '))],
        undo: vec![Command::new("tc", "qdisc del dev eth0 root handle c4a0:".split(' '))],
        warnings: vec!["demo-tikv0-1 is on two networks: both are delayed".into()],
        verdict: Verdict {
            grade: Grade::Fine,
            consequence: "all 3 stores stay reachable: every region keeps its quorum".into(),
            reasons: vec![],
        },
    }
}
