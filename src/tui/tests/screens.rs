//! Whole screens, held as text. What they look like is decided by eye; these notice when it changes.

use insta::assert_snapshot;
use ratatui::crossterm::event::KeyCode;

use super::fixtures::*;
use crate::{
    safety::Grade,
    session::{Life, Loaded, Unreadable},
    subject::docker::{Role, Snapshot},
    tui::{Level, Live, Message, Options},
};

fn everybody() -> Message {
    let mut overdue = injection(3, Life::Active, disk("demo-tikv2-1"), 4_000, Some(-100));
    overdue.note = Some("cannot remove /data/chaos-fill-1769999400000.tmp: the container is gone".into());
    Message::Sessions(Loaded {
        sessions: vec![
            session("a", false, false, vec![overdue]),
            session("b", false, true, vec![injection(2, Life::Active, partition("demo-tikv1-1"), 200, Some(1_600))]),
            session("c", true, true, vec![injection(1, Life::Active, latency("demo-tikv0-1"), 48, Some(552))]),
        ],
        unreadable: vec![Unreadable {
            path: "/home/me/.local/state/tikv-chaos/x.json".into(),
            reason: "schema 2 is newer than 1".into(),
        }],
    })
}

fn injected(width: u16, height: u16) -> Screen {
    let mut screen = Screen::ready(width, height);
    screen.send(everybody());
    screen.planned();
    screen.send(Message::Log {
        at: at(-48),
        level: Level::Done,
        text: "injected latency into demo-tikv0-1: 50-150 ms on eth0 (00000001)".into(),
    });
    screen
}

#[test]
fn first_frame() {
    assert_snapshot!(Screen::new(80, 24).text());
}

#[test]
fn nodes_80x24() {
    let mut screen = Screen::ready(80, 24);
    screen.press(KeyCode::Down);
    screen.planned();
    assert_snapshot!(screen.text());
}

#[test]
fn nodes_120x40() {
    assert_snapshot!(Screen::ready(120, 40).text());
}

#[test]
fn two_clusters() {
    let mut screen = Screen::new(120, 40);
    let mut nodes = cluster().nodes;
    nodes.insert(0, node("alpha", "alpha-tikv0-1", Role::Tikv, 30));
    screen.send(up(Snapshot { nodes, ..Snapshot::default() }));
    assert_snapshot!(screen.text());
}

#[test]
fn no_nodes() {
    let mut screen = Screen::new(80, 24);
    screen.send(up(Snapshot::default()));
    assert_snapshot!(screen.text());
}

#[test]
fn picker_latency_80x24() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("2j");
    assert_snapshot!(screen.text());
}

#[test]
fn picker_disk_120x40() {
    let mut screen = Screen::ready(120, 40);
    screen.keys("2lj");
    screen.planned();
    assert_snapshot!(screen.text());
}

#[test]
fn picker_error_and_typing() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("2j900");
    screen.press(KeyCode::Enter);
    screen.keys("jj");
    screen.press(KeyCode::Enter);
    screen.keys("eth");
    assert_snapshot!(screen.text());
}

#[test]
fn target_is_not_running() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("Gi");
    assert_snapshot!(screen.text());
}

#[test]
fn active_80x24() {
    let mut screen = injected(80, 24);
    screen.keys("k3");
    screen.press(KeyCode::Esc);
    screen.keys("3");
    assert_snapshot!(screen.text());
}

#[test]
fn active_120x40() {
    let mut screen = injected(120, 40);
    screen.press(KeyCode::Esc);
    screen.keys("3");
    assert_snapshot!(screen.text());
}

#[test]
fn active_120x40_styled() {
    let mut screen = injected(120, 40);
    screen.press(KeyCode::Esc);
    assert_snapshot!(screen.styled());
}

#[test]
fn without_colours_there_is_no_colour() {
    let mut screen = Screen::with(Options { colours: false, ..options() }, 120, 40);
    screen.send(up(cluster()));
    screen.send(everybody());
    let styled = screen.styled();
    for colour in ["red", "green", "yellow", "blue", "magenta", "cyan", "gray", "white", "black"] {
        assert!(!styled.contains(&format!("{{{colour}")), "{colour}");
    }
}

#[test]
fn quit_dialog() {
    let mut screen = Screen::ready(80, 24);
    screen.send(mine(vec![
        injection(1, Life::Active, latency("demo-tikv0-1"), 48, Some(552)),
        injection(2, Life::Active, partition("demo-tikv0-1"), 20, Some(1_600)),
    ]));
    screen.keys("q");
    assert_snapshot!(screen.text());
}

#[test]
fn quitting_with_the_demo_up() {
    let mut screen = Screen::with(Options { demo: Some("demo-7f3a".into()), ..options() }, 80, 24);
    screen.send(up(cluster()));
    screen.send(mine(vec![]));
    screen.keys("q");
    assert_snapshot!(screen.text());
}

#[test]
fn quitting_with_the_demo_up_and_injections_open() {
    let mut screen = Screen::with(Options { demo: Some("demo-7f3a".into()), ..options() }, 80, 24);
    screen.send(up(cluster()));
    screen.send(mine(vec![injection(1, Life::Active, kill("demo-tikv0-1"), 0, Some(600))]));
    screen.keys("q");
    assert_snapshot!(screen.text());
}

#[test]
fn reverting_before_quitting() {
    let mut screen = Screen::ready(80, 24);
    screen.send(mine(vec![injection(1, Life::Active, latency("demo-tikv0-1"), 48, Some(552))]));
    screen.keys("qr");
    assert_snapshot!(screen.text());
}

#[test]
fn recovery_dialog() {
    let mut screen = Screen::new(80, 24);
    screen.send(up(cluster()));
    screen.send(everybody());
    assert_snapshot!(screen.text());
}

#[test]
fn confirm_dialog() {
    let mut screen = Screen::ready(80, 24);
    screen.send(mine(vec![injection(1, Life::Active, latency("demo-tikv1-1"), 48, Some(552))]));
    screen.keys("2h");
    screen.planned();
    screen.keys("i");
    assert_snapshot!(screen.text());
}

#[test]
fn name_dialog() {
    let mut screen = Screen::ready(80, 24);
    let mut plan = plan();
    let why = "this leaves 1 of 3 stores reachable (demo-tikv1-1 is exited): writes stop";
    plan.verdict = plan.verdict.with(vec![(Grade::Refused, why.to_owned())]);
    let seq = screen.model.picker.seq;
    screen.send(Message::Planned { seq, result: Ok(Box::new(plan)) });
    screen.keys("idemo-t");
    assert_snapshot!(screen.text());
}

#[test]
fn help() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("?");
    assert_snapshot!(screen.text());
}

#[test]
fn help_120x40() {
    let mut screen = Screen::ready(120, 40);
    screen.keys("?");
    assert_snapshot!(screen.text());
}

#[test]
fn commands_popup() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("c");
    assert_snapshot!(screen.text());
}

#[test]
fn undo_popup() {
    let mut screen = injected(120, 40);
    screen.press(KeyCode::Esc);
    screen.keys("3gU");
    assert_snapshot!(screen.text());
}

#[test]
fn docker_down() {
    let mut screen = Screen::ready(80, 24);
    screen.send(Message::Docker(Live::Down {
        host: "unix:///var/run/docker.sock".into(),
        reason: "connection refused".into(),
        retry_s: 2,
    }));
    assert_snapshot!(screen.text());
}

#[test]
fn too_small() {
    let mut screen = Screen::ready(60, 20);
    assert_snapshot!(screen.text());
    screen.resize(1, 1);
    screen.resize(80, 24);
    assert!(screen.text().contains("NODES"));
}

#[test]
fn ascii() {
    let mut screen = Screen::with(Options { utf8: false, ..options() }, 80, 24);
    screen.send(up(cluster()));
    screen.send(mine(vec![injection(1, Life::Active, latency("demo-tikv0-1"), 48, Some(552))]));
    screen.planned();
    screen.keys("2j");
    assert!(screen.text().is_ascii());
    assert_snapshot!(screen.text());
}

#[test]
fn another_clusters_name() {
    let mut screen = Screen::new(80, 24);
    screen.model.options.project = Some("staging".into());
    screen.send(up(cluster().only(Some("staging"))));
    assert_snapshot!(screen.text());
}

#[test]
fn compose_names_and_a_plan_that_fails() {
    let mut screen = Screen::new(80, 24);
    let mut nodes = cluster().nodes;
    nodes.truncate(4);
    for node in &mut nodes {
        node.name = node.name.replace("demo", "tikv-chaos");
        node.restart_count = 11;
        node.networks[0].ips[0] = "192.168.128.111".parse().unwrap();
    }
    screen.send(up(Snapshot { nodes, ..Snapshot::default() }));
    screen.send(mine(vec![injection(1, Life::Reverting, partition("tikv-chaos-tikv2-1"), 48, None)]));
    let reason = "eth0 of tikv-chaos-tikv0-1 already has a queueing discipline that is not ours: tbf 8001:";
    let seq = screen.model.picker.seq;
    screen.send(Message::Planned { seq, result: Err(reason.into()) });
    screen.send(Message::Progress(Some("making the holder's image…".into())));
    assert_snapshot!(screen.text());
}

#[test]
fn odd_names_keep_the_columns() {
    let mut screen = Screen::new(80, 24);
    let mut nodes = cluster().nodes;
    nodes[1].name = "tikv-\u{1b}[31m世界世界世界世界世界世界-1".into();
    screen.send(up(Snapshot { nodes, ..Snapshot::default() }));
    assert_snapshot!(screen.text());
}
