//! Every screen and every dialog at every size, in colour, without, and in ASCII. A file a scene: the whole screen with
//! its styles, of a dialog only the rows that it changes. What has no colour must be the same but for the colours, so it
//! needs no text of its own; in ASCII two sizes are held, and all of them are looked at for what is no ASCII.

use std::fmt::Write as _;

use insta::assert_snapshot;
use ratatui::{crossterm::event::KeyCode, style::Color};

use super::{fixtures::*, states::*};
use crate::{
    safety::Grade,
    session::{Life, Loaded},
    subject::docker::Snapshot,
    tui::{Level, Live, Message, Options},
};

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];

/// What is sent to a screen before it is looked at.
type Scene = fn(&mut Screen);

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

/// Name, and how it comes about.
const SCREENS: [(&str, Scene); 8] = [
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
];

/// Name, what lies under it, and how it comes up.
const DIALOGS: [(&str, Scene, Scene); 13] = [
    ("help", base, |screen| screen.keys("?")),
    ("palette", base, |screen| screen.keys(":rev")),
    ("commands", base, |screen| screen.keys("c")),
    ("expect", hurt_cluster, |screen| screen.keys("e")),
    ("timeline", hurt_cluster, |screen| screen.keys("t")),
    ("undo", busy, |screen| screen.keys("U")),
    ("measured", busy, |screen| screen.keys("m")),
    ("confirm", base, confirms),
    ("name", base, by_name),
    ("quit", busy, |screen| screen.keys("q")),
    ("quit_demo", base, |screen| screen.keys("q")),
    ("reverting", busy, |screen| screen.keys("qr")),
    ("recover", |screen| screen.send(up(cluster())), left_behind),
];

fn shown(options: &Options, (width, height): (u16, u16), scenes: &[Scene]) -> Screen {
    let mut screen = Screen::with(options.clone(), width, height);
    scenes.iter().for_each(|scene| scene(&mut screen));
    screen
}

fn options_of(name: &str) -> Options {
    Options { demo: (name == "quit_demo").then(|| "demo-7f3a".to_owned()), ..options() }
}

/// The rows of the one that are not as in the other.
fn changed(before: &str, after: &str) -> String {
    let mut text = String::new();
    for (row, (old, new)) in before.lines().chain(std::iter::repeat("")).zip(after.lines()).enumerate() {
        if old != new {
            let _ = writeln!(text, "{row:2} {new}");
        }
    }
    text
}

fn look_at(name: &str, scenes: &[Scene]) {
    let mut text = String::new();
    let under = &scenes[..scenes.len() - 1];
    let in_colour = options_of(name);
    let plain = Options { colours: false, ..in_colour.clone() };
    let ascii = Options { utf8: false, ..in_colour.clone() };
    for size in SIZES {
        let screen = shown(&in_colour, size, scenes);
        let mut add = |what: &str, options: &Options, of: fn(&Screen) -> String| {
            let after = of(&shown(options, size, scenes));
            let after =
                if under.is_empty() { after + "\n" } else { changed(&of(&shown(options, size, under)), &after) };
            let _ = write!(text, "-- {}x{} {what}\n{after}", size.0, size.1);
        };
        add("in colour", &in_colour, Screen::styled);
        if size.0 <= 80 {
            add("in ASCII", &ascii, Screen::text);
        }
        let colourless = shown(&plain, size, scenes);
        for (one, other) in screen.buffer().content.iter().zip(&colourless.buffer().content) {
            assert_eq!((other.fg, other.bg), (Color::Reset, Color::Reset), "{name} at {size:?}: {other:?}");
            assert_eq!((one.symbol(), one.modifier), (other.symbol(), other.modifier), "{name} at {size:?}");
        }
        let ascii = shown(&ascii, size, scenes);
        for cell in &ascii.buffer().content {
            assert!(cell.symbol().is_ascii(), "{name} at {size:?}: {cell:?}");
        }
    }
    assert_snapshot!(format!("grid_{name}"), text);
}

#[test]
fn every_screen_at_every_size() {
    SCREENS.iter().for_each(|(name, scene)| look_at(name, &[*scene]));
}

#[test]
fn every_dialog_at_every_size() {
    DIALOGS.iter().for_each(|(name, under, scene)| look_at(name, &[*under, *scene]));
}

/// Whatever a terminal may be made to: nothing leaves the screen.
#[test]
fn any_size_can_be_drawn() {
    for (_, scene) in SCREENS {
        let mut screen = shown(&options(), (80, 24), &[scene]);
        for (width, height) in [(0, 0), (1, 1), (1, 60), (200, 1), (39, 10), (40, 9), (79, 24), (80, 23), (500, 200)] {
            screen.resize(width, height);
        }
    }
}
