//! Every state that the screen can be in, by the way there: what fills it, and what lies over that.

use ratatui::crossterm::event::KeyCode;

use super::{fixtures::*, states::*};
use crate::{
    chaos::{FaultMetadata, InjectionId},
    safety::Grade,
    session::{Injection, Life, Loaded, recovery::Recovery},
    subject::{
        Marked,
        docker::{Role, Snapshot, State},
    },
    tui::{Level, Live, Message, message::NotChanged},
};

/// What is sent to a screen before it is looked at.
pub type Scene = fn(&mut Screen);

fn base(screen: &mut Screen) {
    screen.send(up(cluster()));
    screen.send(mine(vec![]));
    screen.planned();
}

fn busy(screen: &mut Screen) {
    screen.send(up(cluster()));
    let overdue = injection(3, Life::Active, disk("demo-tikv2-1"), 700, Some(-100));
    screen.send(Message::Sessions(Loaded {
        sessions: vec![
            session("b", false, true, vec![injection(2, Life::Active, partition("demo-tikv1-1"), 200, Some(1_600))]),
            session("c", true, true, vec![injection(1, Life::Active, latency("demo-tikv0-1"), 48, Some(552)), overdue]),
        ],
        unreadable: vec![],
    }));
    screen.planned();
    for (level, text) in [
        (Level::Info, "looking at the nodes"),
        (Level::Done, "injected latency into demo-tikv0-1: 50-150 ms on eth0 (00000001)"),
        (Level::Warn, "demo-tikv2-1 is on two networks: both are delayed"),
        (Level::Error, "00000003 disk_pressure on demo-tikv2-1 could not be reverted: it is gone"),
    ] {
        screen.send(Message::Log { at: at(0), level, text: text.to_owned() });
    }
    screen.keys("3");
}

fn left_behind(screen: &mut Screen) {
    screen.send(up(cluster()));
    let left = session("a", false, false, vec![injection(3, Life::Active, disk("demo-tikv2-1"), 4_000, Some(-100))]);
    screen.send(Message::Sessions(Loaded { sessions: vec![left], unreadable: vec![] }));
}

fn hurt_cluster(screen: &mut Screen) {
    base(screen);
    seconds(screen, -120, 0, state);
    hurt(screen, 25);
}

fn looks_at_the_log(screen: &mut Screen) {
    busy(screen);
    screen.keys("4/demo-tikv2");
    screen.press(KeyCode::Enter);
}

fn refused(screen: &mut Screen) {
    base(screen);
    by_name(screen);
    screen.press(KeyCode::Esc);
}

fn by_name(screen: &mut Screen) {
    let mut plan = plan();
    let why = "this leaves 1 of 3 stores reachable (demo-tikv1-1 is exited): writes stop";
    plan.verdict = plan.verdict.with(vec![(Grade::Refused, why.to_owned())]);
    let seq = screen.model.picker.seq;
    screen.send(Message::Planned { seq, result: Ok(Box::new(plan)) });
    screen.keys("idemo-t");
}

fn confirms(screen: &mut Screen) {
    screen.keys("2h");
    screen.planned();
    screen.keys("i");
}

fn docker_is_down(screen: &mut Screen) {
    base(screen);
    let (host, reason) = ("unix:///var/run/docker.sock".into(), "connection refused".into());
    screen.send(Message::Docker(Live::Down { host, reason, retry_s: 2 }));
}

fn several_clusters(screen: &mut Screen) {
    let mut nodes = cluster().nodes;
    nodes.truncate(3);
    nodes.extend((0..3).map(|at| node("prod", &format!("prod-tikv{at}-1"), Role::Tikv, 30 + at)));
    nodes[4].state = State::Paused;
    screen.send(up(Snapshot { nodes, ..Snapshot::default() }));
    screen.send(mine(vec![]));
    screen.planned();
}

fn slow(min_ms: u64, node: usize) -> Injection {
    let target = format!("demo-tikv{node}-1");
    injection(1, Life::Active, FaultMetadata::latency(&target, min_ms, 150, &["eth0"]), 48, Some(552))
}

/// The only injection, its sliders in the picker's place.
fn opened(screen: &mut Screen) {
    base(screen);
    screen.send(mine(vec![slow(50, 0)]));
    screen.keys("3");
    screen.press(KeyCode::Enter);
}

/// Two of one act.
fn opened_group(screen: &mut Screen) {
    base(screen);
    let both = [(1, 0), (2, 1)].map(|(number, node)| {
        let mut one = slow(50, node);
        one.metadata.id = InjectionId::from_number(number);
        one.metadata.group = Some(InjectionId::from_number(1));
        one
    });
    screen.send(mine(both.to_vec()));
    screen.keys("3");
    screen.press(KeyCode::Enter);
}

/// More lines than any pane has rows, now and then a grave one.
fn talkative(screen: &mut Screen) {
    base(screen);
    for line in 0..60 {
        let (level, text) = match line % 10 {
            3 => (Level::Warn, format!("demo-tikv{} is on two networks: both are delayed", line % 3)),
            7 => (Level::Error, format!("{line:08} on demo-tikv{} could not be reverted: it is gone", line % 3)),
            5 => (Level::Done, format!("injected latency into demo-tikv{}-1: 50-150 ms on eth0", line % 3)),
            _ => (Level::Info, format!("demo-tikv{} is looked at", line % 3)),
        };
        screen.tell(Message::Log { at: at(line), level, text });
    }
    screen.keys("4");
}

/// More nodes and more injections than any pane has rows.
fn crowded(screen: &mut Screen) {
    let nodes = (0..70).map(|at| node("demo", &format!("demo-tikv{at}-1"), Role::Tikv, 30 + at)).collect();
    screen.send(up(Snapshot { nodes, ..Snapshot::default() }));
    let open = (0..30).map(|at| {
        let left = i64::from(at) * 20 + 5;
        injection(at + 1, Life::Active, latency(&format!("demo-tikv{at}-1")), 600 - left, Some(left))
    });
    screen.send(mine(open.collect()));
    screen.keys("3jjjjjjj1");
    (0..45).for_each(|_| screen.press(KeyCode::Down));
    screen.planned();
}

/// One in each state that an injection can be in.
fn every_state(screen: &mut Screen) {
    base(screen);
    let states = [
        (Life::Planned, None),
        (Life::Applying, None),
        (Life::Active, None),
        (Life::Reverting, None),
        (Life::Reverting, Some("cannot remove c4a0: on eth0: the container is gone".to_owned())),
    ];
    let every = (1..).zip(states).map(|(number, (state, note))| {
        let mut one = injection(number, state, latency(&format!("demo-tikv{}-1", number % 3)), 48, Some(552));
        one.note = note;
        one
    });
    screen.send(mine(every.collect()));
    screen.keys("3");
}

fn no_plan(screen: &mut Screen) {
    base(screen);
    let reason = "eth0 of demo-tikv0-1 already has a queueing discipline that is not ours: tbf 8001:";
    let seq = screen.model.picker.seq;
    screen.send(Message::Planned { seq, result: Err(reason.into()) });
}

fn unrecorded(screen: &mut Screen) {
    base(screen);
    let mark = Marked::Fault(injection(4, Life::Active, partition("demo-tikv1-1"), 0, None).metadata);
    screen.send(Message::Scanned(Box::new(Recovery { unrecorded: vec![mark], ..Recovery::default() })));
}

fn read_only(screen: &mut Screen) {
    busy(screen);
    screen.keys("r1");
    screen.press(KeyCode::Enter);
    screen.keys("i");
}

/// Name, and how it comes about.
pub const SCREENS: [(&str, Scene); 30] = [
    ("connecting", |_| {}),
    ("no_nodes", |screen| screen.send(up(Snapshot::default()))),
    ("calm", base),
    ("picker", |screen| {
        base(screen);
        screen.keys("2j900");
    }),
    ("busy", busy),
    ("log", looks_at_the_log),
    ("hurt", hurt_cluster),
    ("docker_down", docker_is_down),
    ("clusters", several_clusters),
    ("marks", |screen| {
        base(screen);
        screen.keys(" j ");
        screen.planned();
    }),
    ("random", |screen| {
        base(screen);
        screen.keys("d");
        screen.send(Message::Rolled(7));
        screen.planned();
    }),
    ("filtered", |screen| {
        base(screen);
        screen.keys("/tikv");
        screen.press(KeyCode::Enter);
    }),
    ("opened", |screen| {
        opened(screen);
        screen.keys("l");
        let changed = slow(60, 0);
        screen.send(mine(vec![changed.clone()]));
        let id = changed.metadata.id.clone();
        screen.send(Message::Changed { ids: vec![id], plan: Some(Box::new(plan())), result: Ok(vec![changed]) });
    }),
    ("under_way", |screen| {
        base(screen);
        screen.keys("i");
        screen.send(Message::Progress(Some("making the holder image".into())));
    }),
    ("read_only", read_only),
    ("log_scrolled", |screen| {
        talkative(screen);
        screen.keys("kkkkkkk");
    }),
    ("log_searched", |screen| {
        talkative(screen);
        screen.keys("/tikv1");
        screen.press(KeyCode::Enter);
        screen.keys("fnn");
    }),
    ("log_grave", |screen| {
        talkative(screen);
        screen.keys("v");
    }),
    ("log_without", |screen| {
        talkative(screen);
        screen.keys("/no line has this");
        screen.press(KeyCode::Enter);
    }),
    ("crowded", crowded),
    ("every_state", every_state),
    ("no_plan", no_plan),
    ("refused", refused),
    ("not_running", |screen| {
        base(screen);
        screen.keys("Gi");
    }),
    ("filtered_to_none", |screen| {
        base(screen);
        screen.keys("/no node has this");
        screen.press(KeyCode::Enter);
    }),
    ("choices", |screen| {
        base(screen);
        screen.keys("2lljj");
    }),
    ("crossed", |screen| {
        base(screen);
        screen.keys("2j900");
        screen.press(KeyCode::Enter);
        screen.keys("i");
    }),
    ("unrecorded", |screen| {
        unrecorded(screen);
        screen.press(KeyCode::Esc);
        screen.keys("3");
    }),
    ("docker_down_at_first", |screen| {
        let (host, reason) = ("unix:///var/run/docker.sock".into(), "no such file".into());
        screen.send(Message::Docker(Live::Down { host, reason, retry_s: 2 }));
    }),
    ("silent_pd", |screen| {
        base(screen);
        seconds(screen, -120, 0, state);
        seconds(screen, 1, 20, |second| {
            let mut gone = state(0);
            gone.at = at(second);
            gone.pd.error = Some("PD at demo-pd0-1:2379 is exited".to_owned());
            gone
        });
    }),
];

/// Name, what lies under it, and how it comes up.
pub const DIALOGS: [(&str, Scene, Scene); 36] = [
    ("help", base, |screen| screen.keys("?")),
    ("palette", base, |screen| screen.keys(":rev")),
    ("commands", base, |screen| screen.keys("c")),
    ("expect", hurt_cluster, |screen| screen.keys("e")),
    ("timeline", hurt_cluster, |screen| screen.keys("t")),
    ("undo", busy, |screen| screen.keys("U")),
    ("measured", busy, |screen| screen.keys("m")),
    ("presets", base, |screen| screen.keys("pj")),
    ("expect_picker", base, |screen| screen.keys("2e")),
    ("filter_nodes", base, |screen| screen.keys("/tikv")),
    ("filter_log", busy, |screen| screen.keys("4/demo")),
    ("keep", base, |screen| screen.keys("Pslow")),
    ("typing", base, |screen| screen.keys("2j95")),
    ("not_changed", opened, |screen| {
        screen.keys("l");
        let reason = "this leaves 1 of 3 stores reachable (demo-tikv1-1 is exited): writes stop";
        let id = slow(50, 0).metadata.id;
        let problem = NotChanged { reason: reason.into(), refused: true };
        screen.send(Message::Changed { ids: vec![id], plan: None, result: Err(problem) });
    }),
    ("not_changed_name", opened_group, |screen| {
        screen.keys("l");
        let reason = "this leaves 1 of 3 stores reachable (demo-tikv1-1 is exited): writes stop";
        let problem = NotChanged { reason: reason.into(), refused: true };
        let ids = vec![InjectionId::from_number(1), InjectionId::from_number(2)];
        screen.send(Message::Changed { ids, plan: None, result: Err(problem) });
        screen.keys("i2 no");
    }),
    ("confirm", base, confirms),
    ("confirm_several", base, |screen| {
        screen.keys(" j ");
        screen.planned();
        screen.keys("i");
    }),
    ("name", base, by_name),
    ("quit", busy, |screen| screen.keys("q")),
    ("quit_failed", busy, |screen| {
        screen.keys("qr");
        let result = Err("00000001 latency on demo-tikv0-1 could not be reverted: Docker is not answering".into());
        screen.send(Message::Reverted { id: InjectionId::from_number(1), result });
    }),
    ("quit_demo", base, |screen| screen.keys("q")),
    ("quit_demo_open", busy, |screen| screen.keys("q")),
    ("reverting", busy, |screen| screen.keys("qr")),
    ("recover", |screen| screen.send(up(cluster())), left_behind),
    ("recover_unrecorded", base, unrecorded),
    ("help_below", base, |screen| screen.keys("?GGkk")),
    ("palette_all", base, |screen| screen.keys(":")),
    ("palette_none", base, |screen| screen.keys(":zzz")),
    ("commands_none", no_plan, |screen| screen.keys("c")),
    ("timeline_empty", base, |screen| screen.keys("t")),
    ("timeline_no_node", |_| {}, |screen| screen.keys("t")),
    ("timeline_long", crowded, |screen| screen.keys("tjjj")),
    ("undo_gone", busy, |screen| {
        screen.keys("U");
        screen.send(mine(vec![]));
    }),
    ("undo_not_reverted", every_state, |screen| screen.keys("GU")),
    ("editing", base, |screen| {
        screen.keys("2jjj");
        screen.press(KeyCode::Enter);
        screen.keys("eth");
    }),
    ("quit_under_way", base, |screen| screen.keys("iq")),
];
