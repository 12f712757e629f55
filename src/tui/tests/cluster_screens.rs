//! Screens of a cluster that says something of itself, held as text.

use insta::assert_snapshot;

use super::{fixtures::*, states::*};
use crate::tui::{Message, Options};

#[test]
fn a_calm_cluster_80x24() {
    assert_snapshot!(loaded(80, 24).text());
}

#[test]
fn a_calm_cluster_120x40() {
    assert_snapshot!(loaded(120, 40).text());
}

#[test]
fn a_killed_node_40x10() {
    let mut screen = loaded(40, 10);
    hurt(&mut screen, 25);
    assert_snapshot!(screen.text());
}

#[test]
fn a_killed_node_80x24() {
    let mut screen = loaded(80, 24);
    hurt(&mut screen, 25);
    assert_snapshot!(screen.text());
}

#[test]
fn a_killed_node_120x40() {
    let mut screen = loaded(120, 40);
    hurt(&mut screen, 25);
    assert_snapshot!(screen.text());
}

#[test]
fn a_killed_node_200x60() {
    let mut screen = loaded(200, 60);
    hurt(&mut screen, 25);
    assert_snapshot!(screen.text());
}

#[test]
fn a_killed_node_in_ascii() {
    for (width, height) in [(40, 10), (80, 24), (120, 40)] {
        let mut screen = Screen::with(Options { utf8: false, ..options() }, width, height);
        screen.send(up(cluster()));
        screen.send(mine(vec![]));
        seconds(&mut screen, -120, 0, state);
        hurt(&mut screen, 25);
        assert!(screen.text().is_ascii());
        assert_snapshot!(format!("killed_ascii_{width}x{height}"), screen.text());
    }
}

#[test]
fn a_killed_node_without_colours() {
    let mut screen = Screen::with(Options { colours: false, ..options() }, 120, 40);
    screen.send(up(cluster()));
    screen.send(mine(vec![]));
    seconds(&mut screen, -120, 0, state);
    hurt(&mut screen, 25);
    assert_snapshot!(screen.styled());
}

#[test]
fn a_killed_node_in_colour() {
    let mut screen = loaded(80, 24);
    hurt(&mut screen, 25);
    assert_snapshot!(screen.styled());
}

#[test]
fn before_during_and_after() {
    let mut screen = loaded(120, 40);
    hurt(&mut screen, 60);
    healed(&mut screen, 60, 45);
    assert_snapshot!(screen.text());
}

#[test]
fn a_silent_pd_dims_what_it_said() {
    let mut screen = loaded(120, 40);
    seconds(&mut screen, 1, 9, |second| {
        let mut state = state(second);
        state.pd.at = Some(at(0));
        state.pd.error = Some("PD at demo-pd0-1:2379 did not answer within 1 s".into());
        for pd in &mut state.pd_nodes[..2] {
            pd.answered = false;
            pd.error =
                Some(format!("PD at {}:2379 cannot be reached at 172.28.0.20:2379: Connection refused", pd.name));
        }
        state
    });
    assert_snapshot!(screen.styled());
}

#[test]
fn regions_without_a_quorum_are_said_on_the_narrowest() {
    let mut screen = loaded(80, 24);
    let mut lost = state(1);
    if let Some(pd) = &mut lost.pd.value {
        pd.regions_without_quorum = Some(4);
        pd.leader = None;
    }
    screen.send(Message::Cluster(vec![lost]));
    assert!(screen.text().contains("! 4 regions without a quorum"), "{}", screen.text());
    assert!(screen.text().contains("! PD has no leader"));
}

#[test]
fn refused_requests_are_told_from_served_ones() {
    let mut screen = loaded(120, 40);
    assert!(!screen.text().contains("refused"), "{}", screen.text());
    seconds(&mut screen, 1, 3, refusing);
    let text = screen.text();
    assert!(text.contains("! refused 600/s: disk_full"), "{text}");
    let row = text.lines().find(|line| line.contains("tikv0-1")).unwrap();
    assert!(row.contains("+600!") && !row.contains("0.2 ms"), "the time of refusals is no P99: {row}");
    let served = refusing(3).throughput().unwrap();
    assert!(served < state(3).throughput().unwrap(), "what is refused is not served");

    let mut narrow = loaded(80, 24);
    seconds(&mut narrow, 1, 3, refusing);
    assert!(narrow.text().contains("! refused 600/s: disk_full"), "{}", narrow.text());
}

#[test]
fn writes_that_wait_are_counted_beside_the_cluster() {
    let mut screen = loaded(120, 40);
    assert!(!screen.text().contains("waiting"), "{}", screen.text());
    let mut stuck = state(1);
    for (view, count) in stuck.nodes.values_mut().zip([60, 4, 0]) {
        view.metrics.value.as_mut().unwrap().waiting_writes = Some(count);
    }
    screen.send(Message::Cluster(vec![stuck]));
    assert!(screen.text().contains("! 64 writes waiting"), "{}", screen.text());
}

#[test]
fn the_guide_of_an_injection() {
    let mut screen = loaded(120, 40);
    hurt(&mut screen, 25);
    screen.keys("3e");
    assert_snapshot!(screen.text());
}

#[test]
fn the_guide_before_injecting_80x24() {
    let mut screen = loaded(80, 24);
    screen.keys("2e");
    assert_snapshot!(screen.text());
}
