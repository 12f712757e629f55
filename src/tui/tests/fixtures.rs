//! A small cluster, sessions and a driver that plays messages and keys against a model.

use std::net::IpAddr;

use jiff::{Timestamp, tz::TimeZone};
use ratatui::{
    buffer::Buffer,
    crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind},
    layout::Rect,
    style::{Color, Modifier},
};

use crate::{
    chaos::{Command, DataMount, FaultMetadata, InjectionId, Metadata, MountKind, Signal},
    safety::{Grade, Verdict, Voters},
    session::{Injection, Life, Loaded, SCHEMA, Seen, SessionFile},
    subject::{
        Plan,
        docker::{self, Health, Network, Node, Role, Snapshot, State},
    },
    tui::{Effect, Keymap, Live, Message, Model, Options, hits::Hit, theme::Theme, update, view},
};

pub const NOW: i64 = 1_770_000_000;

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

pub fn options() -> Options {
    Options {
        program: "tikv-chaos 0.1.0".into(),
        project: None,
        demo: None,
        read_only: false,
        ttl: None,
        utf8: true,
        keys: Keymap::default(),
        theme: Theme::default(),
        presets: crate::config::preset::all(None),
        colours: true,
        motion: true,
        time_zone: TimeZone::UTC,
    }
}

pub fn node(cluster: &str, name: &str, role: Role, last: u8) -> Node {
    let ips: Vec<IpAddr> = vec![[172, 28, 0, last].into(), format!("fd00:28::{last:x}").parse().unwrap()];
    Node {
        network_of: None,
        auto_remove: false,
        memory: vec![],
        id: format!("{cluster}-{name}-id"),
        name: name.into(),
        role,
        cluster: cluster.into(),
        project: Some(cluster.into()),
        service: Some(name.into()),
        image: "pingcap/tikv:v8.5.0".into(),
        state: State::Running,
        health: Health::Healthy,
        exit_code: None,
        restart_count: 0,
        started_at: "2026-02-02T00:00:00Z".into(),
        up_since: Some(at(-7_500)),
        networks: vec![Network { name: format!("{cluster}_default"), ips, link_local: None }],
        network_mode: format!("{cluster}_default"),
        data_dir: Some("/data".into()),
        config_file: None,
        several: None,
        mounts: Vec::new(),
        endpoints: docker::Endpoints::default(),
    }
}

/// Three of each; `pd2` is down, `tikv2` was restarted.
pub fn cluster() -> Snapshot {
    let mut nodes: Vec<Node> =
        (0..3).map(|at| node("demo", &format!("demo-tikv{at}-1"), Role::Tikv, 10 + at)).collect();
    nodes.extend((0..3).map(|at| node("demo", &format!("demo-pd{at}-1"), Role::Pd, 20 + at)));
    nodes[2].restart_count = 2;
    nodes[2].up_since = Some(at(-42));
    nodes[2].health = Health::Starting;
    nodes[5].state = State::Exited;
    nodes[5].health = Health::None;
    nodes[5].exit_code = Some(137);
    nodes[5].up_since = None;
    nodes[5].networks[0].ips.clear();
    Snapshot { nodes, ..Snapshot::default() }
}

pub fn up(snapshot: Snapshot) -> Message {
    Message::Docker(Live::Up { engine: "Docker 29.1.3".into(), snapshot })
}

pub fn injection(number: u32, state: Life, fault: FaultMetadata, age: i64, left: Option<i64>) -> Injection {
    let mut metadata = Metadata {
        fault,
        id: InjectionId::from_number(number),
        container_id: String::new(),
        container_started_at: String::new(),
        daemon_id: None,
        group: None,
        holder_image: Some("tikv-chaos-holder:0.1.0".into()),
        before: None,
        task: None,
    };
    metadata.container_id = format!("demo-{}-id", metadata.target());
    Injection {
        state,
        undo: vec![format!(
            "docker run --rm -i --network container:{} --cap-drop ALL --cap-add NET_ADMIN --entrypoint tc \
             tikv-chaos-holder:0.1.0 qdisc del dev eth0 root handle c4a0:",
            metadata.target()
        )],
        metadata,
        created_at: at(-age),
        deadline: left.map(at),
        deadline_since_boot_ms: None,
        left: false,
        former: None,
        measured: None,
        note: None,
    }
}

pub fn latency(target: &str) -> FaultMetadata {
    FaultMetadata::latency(target, 50, 150, &["eth0"])
}

pub fn kill(target: &str) -> FaultMetadata {
    FaultMetadata::NodeKill { target_container: target.into(), signal: Signal::Kill }
}

pub fn partition(target: &str) -> FaultMetadata {
    FaultMetadata::NetworkPartition {
        flavour: crate::chaos::network::Flavour::Nft,
        isolated_container: target.into(),
        target_ips: (10..14).map(|last| [172, 28, 0, last].into()).collect(),
        link_local: vec![],
        ends: vec![],
        far: vec![],
        peers: vec!["demo-tikv1-1".into(), "demo-tikv2-1".into()],
        direction: crate::chaos::network::Direction::Both,
        reject: false,
        peer_nodes: vec![],
    }
}

pub fn disk(target: &str) -> FaultMetadata {
    FaultMetadata::DiskPressure {
        whole: true,
        target_container: target.into(),
        fill_percent: 80,
        fill_file: "/data/chaos-fill-1769999400000.tmp".into(),
        fill_bytes: 13_314_398_617,
        mount: DataMount { kind: MountKind::Volume, source: "demo_tikv2".into(), destination: "/data".into() },
    }
}

pub fn session(name: &str, mine: bool, alive: bool, injections: Vec<Injection>) -> Seen {
    let file = SessionFile {
        schema: SCHEMA,
        session: name.into(),
        program: "tikv-chaos 0.1.0".into(),
        command: if mine { "tui" } else { "inject" }.into(),
        pid: 4_242,
        boot_id: String::new(),
        docker_host: None,
        started_at: at(-3_600),
        injections,
        history: crate::session::History::default(),
    };
    Seen { file, alive, mine }
}

pub fn mine(injections: Vec<Injection>) -> Message {
    Message::Sessions(Loaded { sessions: vec![session("mine", true, true, injections)], unreadable: vec![] })
}

pub fn plan() -> Plan {
    let fault = latency("demo-tikv0-1");
    Plan {
        metadata: injection(9, Life::Planned, fault, 0, None).metadata,
        commands: vec![
            Command::new("tc", "qdisc add dev eth0 root handle c4a0: netem delay 100ms 50ms".split(' ')),
            Command::new("tc", "qdisc show dev eth0".split(' ')),
        ],
        undo: vec![Command::new(
            "docker",
            "run --rm -i --network container:demo-tikv0-1 --cap-drop ALL --cap-add NET_ADMIN --entrypoint tc \
             tikv-chaos-holder:0.1.0 qdisc del dev eth0 root handle c4a0:"
                .split(' '),
        )],
        warnings: vec!["demo-tikv0-1 is on two networks: both are delayed".into()],
        verdict: Verdict {
            grade: Grade::Fine,
            consequence: "all 3 stores stay reachable: every region keeps its quorum".into(),
            reasons: vec![],
            voters: Voters::Stores,
        },
    }
}

/// A model with a screen, and every effect that it asked for since the last look.
pub struct Screen {
    pub model: Model,
    pub effects: Vec<Effect>,
    buffer: Buffer,
}

impl Screen {
    pub fn new(width: u16, height: u16) -> Self {
        Self::with(options(), width, height)
    }

    pub fn with(options: Options, width: u16, height: u16) -> Self {
        let mut screen = Self {
            model: Model::new(options, at(0)),
            effects: vec![],
            buffer: Buffer::empty(Rect { x: 0, y: 0, width, height }),
        };
        screen.draw();
        screen
    }

    /// Docker is up with [`cluster`], nothing is injected, and the first plan is there.
    pub fn ready(width: u16, height: u16) -> Self {
        let mut screen = Self::new(width, height);
        screen.send(up(cluster()));
        screen.send(mine(vec![]));
        screen.planned();
        screen.effects.clear();
        screen
    }

    pub fn send(&mut self, message: Message) {
        self.tell(message);
        self.draw();
    }

    /// As [`Self::send`], and nobody looks.
    pub fn tell(&mut self, message: Message) {
        self.effects.extend(update(&mut self.model, message));
    }

    pub fn planned(&mut self) {
        let seq = self.model.picker.seq;
        self.send(Message::Planned { seq, result: Ok(Box::new(plan())) });
    }

    pub fn press(&mut self, code: KeyCode) {
        self.send(Message::Input(Event::Key(KeyEvent::new(code, KeyModifiers::NONE))));
    }

    pub fn control(&mut self, c: char) {
        self.send(Message::Input(Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL))));
    }

    pub fn keys(&mut self, keys: &str) {
        keys.chars().for_each(|c| self.press(KeyCode::Char(c)));
    }

    pub fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) {
        let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
        self.send(Message::Input(Event::Mouse(event)));
    }

    pub fn area_of(&self, wanted: impl Fn(Hit) -> bool) -> Rect {
        self.model.hits.area_of(wanted).expect("it is on the screen")
    }

    pub fn click(&mut self, wanted: impl Fn(Hit) -> bool) {
        let area = self.area_of(wanted);
        self.mouse(MouseEventKind::Down(MouseButton::Left), area.x, area.y);
        self.mouse(MouseEventKind::Up(MouseButton::Left), area.x, area.y);
    }

    /// The effects since the last call, without the plans.
    pub fn taken(&mut self) -> Vec<Effect> {
        let mut taken = std::mem::take(&mut self.effects);
        taken.retain(|effect| !matches!(effect, Effect::Plan { .. } | Effect::Read(_)));
        taken
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        self.buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
        self.draw();
    }

    pub fn draw(&mut self) {
        self.buffer.reset();
        let hits = view(&self.model, &mut self.buffer);
        self.model.drawn(hits);
    }

    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    pub fn text(&self) -> String {
        self.rows(|row, buffer| {
            let mut line = String::new();
            let mut x = 0;
            while x < buffer.area.width {
                let symbol = buffer[(x, row)].symbol();
                line.push_str(symbol);
                x += u16::try_from(crate::tui::text::width(symbol).max(1)).unwrap();
            }
            line
        })
    }

    /// The text with each run of a style behind its name: `{cyan bold}…{}`.
    pub fn styled(&self) -> String {
        self.rows(|row, buffer| {
            let mut line = String::new();
            let mut last = (Color::Reset, Modifier::empty());
            for x in 0..buffer.area.width {
                let cell = &buffer[(x, row)];
                if (cell.fg, cell.modifier) != last {
                    last = (cell.fg, cell.modifier);
                    let mut names: Vec<String> = Vec::new();
                    names.extend((last.0 != Color::Reset).then(|| last.0.to_string().to_lowercase()));
                    names.extend(last.1.iter_names().map(|(name, _)| name.to_lowercase()));
                    line.push_str(&format!("{{{}}}", names.join(" ")));
                }
                line.push_str(cell.symbol());
            }
            line
        })
    }

    fn rows(&self, row: impl Fn(u16, &Buffer) -> String) -> String {
        let buffer = self.buffer();
        let rows: Vec<String> = (0..buffer.area.height).map(|y| row(y, buffer).trim_end().to_owned()).collect();
        rows.join("\n")
    }
}
