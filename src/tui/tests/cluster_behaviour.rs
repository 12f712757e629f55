//! What comes of what a cluster says of itself.

use ratatui::crossterm::event::KeyCode;

use super::{fixtures::*, states::*};
use crate::{
    cluster::{ClusterState, NodeConfig},
    session::Life,
    tui::{
        Effect, Live, Message,
        model::Dialog,
        watched::{KEPT, Watched},
    },
};

fn log(screen: &Screen) -> Vec<&str> {
    screen.model.log.entries.iter().map(|entry| entry.text.as_str()).collect()
}

fn row(screen: &Screen, node: &str) -> String {
    let text = screen.text();
    text.lines().find(|line| line.contains(node)).expect("a row of the node").to_owned()
}

#[test]
fn what_a_kill_does_is_told_as_it_is_seen_and_what_goes_back_too() {
    let mut screen = loaded(120, 40);
    hurt(&mut screen, 30);
    for line in [
        "seen: Docker shows demo-tikv0-1 exited within 1 s",
        "seen: leaders left demo-tikv0-1 after 13.0 s",
        "seen: PD calls demo-tikv0-1 Disconnected after 16.0 s",
    ] {
        assert!(log(&screen).contains(&line), "{:?}", log(&screen));
    }
    healed(&mut screen, 30, 9);
    let healed: Vec<_> = log(&screen).into_iter().filter(|line| line.starts_with("healed")).collect();
    assert!(healed.contains(&"healed: leaders are back on demo-tikv0-1 after 1.0 s"), "{healed:?}");
    assert!(healed.contains(&"healed: PD calls demo-tikv0-1 Up after 1.0 s"), "{healed:?}");
    let told = log(&screen).len();
    seconds(&mut screen, 40, 60, state);
    assert_eq!(log(&screen).len(), told, "each is told once");
}

#[test]
fn an_injection_that_failed_is_not_followed_and_not_marked() {
    let mut screen = loaded(120, 40);
    screen.send(mine(vec![injected(Life::Applying)]));
    assert_eq!(screen.model.followed.len(), 1);
    screen.send(mine(vec![injected(Life::Failed)]));
    assert!(screen.model.followed.is_empty());
}

#[test]
fn changes_count_from_the_oldest_injection_on_and_end_with_it() {
    let mut screen = loaded(120, 40);
    hurt(&mut screen, 20);
    assert!(screen.text().contains("0 (-2)") && screen.text().contains("3 (+1)"));
    screen.send(mine(vec![injected(Life::Clean)]));
    seconds(&mut screen, 21, 22, |second| killed(second, second));
    assert!(!screen.text().contains("(-2)"));
}

#[test]
fn a_late_heartbeat_is_marked_before_pd_has_another_word() {
    let mut screen = loaded(80, 24);
    let mut late = state(1);
    let store = late.nodes.get_mut("demo-demo-tikv1-1-id").and_then(|node| node.store.as_mut()).unwrap();
    store.last_heartbeat = Some(at(-13));
    screen.send(Message::Cluster(vec![late]));
    let row = row(&screen, "demo-tikv1-1");
    assert!(row.contains("● Up") && row.contains(" 14s!"), "{row}");
}

#[test]
fn space_that_runs_out_is_marked_and_takes_the_place_of_other_figures() {
    let with = |gib: u64| {
        let mut screen = loaded(80, 24);
        assert!(!screen.text().contains("AVAILABLE"));
        let mut full = state(1);
        let store = full.nodes.get_mut("demo-demo-tikv1-1-id").and_then(|node| node.store.as_mut()).unwrap();
        store.available = Some(gib << 30);
        screen.send(Message::Cluster(vec![full]));
        row(&screen, "demo-tikv1-1")
    };
    let almost = with(4);
    assert!(almost.contains("4.0/21.0G!") && !almost.contains("!!"), "{almost}");
    let full = with(2);
    assert!(full.contains("2.0/21.0G!!"), "{full}");
}

#[test]
fn space_is_marked_by_the_reserve_of_the_node_and_questioned_where_that_is_not_known() {
    let shown = |reserve: Option<u64>| {
        let mut small = state(1);
        let node = small.nodes.get_mut("demo-demo-tikv1-1-id").unwrap();
        let store = node.store.as_mut().unwrap();
        (store.capacity, store.available) = (Some(1 << 30), Some(900 << 20));
        node.config.value = reserve.map(|bytes| NodeConfig { reserve_space: Some(bytes), ..NodeConfig::default() });
        let mut screen = loaded(160, 40);
        screen.send(Message::Cluster(vec![small]));
        let row = row(&screen, "demo-tikv1-1");
        row.split_once("0.9/1.0G").unwrap().1.chars().take(2).collect::<String>()
    };
    assert_eq!(shown(Some(256 << 20)).trim_end(), "");
    assert_eq!(shown(Some(5 << 30)), "!!");
    assert_eq!(shown(None).trim_end(), "?");
    assert_eq!(shown(Some(0)).trim_end(), "");
}

#[test]
fn figures_of_a_node_that_fell_silent_are_left_out_after_a_while() {
    let mut screen = loaded(120, 40);
    let silent = |second| killed(second, second);
    seconds(&mut screen, 1, 4, silent);
    assert!(row(&screen, "demo-tikv0-1").contains('+'));
    seconds(&mut screen, 5, 7, silent);
    assert!(!row(&screen, "demo-tikv0-1").contains('+'));
}

#[test]
fn a_cluster_that_says_nothing_leaves_the_screen_as_it_is() {
    let mut with = Screen::ready(120, 40);
    let without = with.text();
    let mut nothing = state(0);
    nothing.pd = crate::cluster::Read { error: Some("connection refused".into()), ..Default::default() };
    nothing.nodes.values_mut().for_each(|node| *node = Default::default());
    with.send(Message::Cluster(vec![nothing]));
    assert_eq!(with.text(), without);
}

#[test]
fn clusters_are_read_only_while_somebody_looks() {
    let mut screen = Screen::new(80, 24);
    let asked = |screen: &mut Screen| {
        let effects = std::mem::take(&mut screen.effects).into_iter();
        effects.filter(|effect| matches!(effect, Effect::Read(_))).collect::<Vec<_>>()
    };
    screen.send(up(cluster()));
    assert_eq!(asked(&mut screen), [Effect::Read(true)]);
    screen.send(up(cluster()));
    assert_eq!(asked(&mut screen), []);
    screen.send(Message::Docker(Live::Down { host: "h".into(), reason: "gone".into(), retry_s: 1 }));
    assert_eq!(asked(&mut screen), [Effect::Read(false)]);
    screen.send(up(cluster()));
    screen.resize(40, 10);
    screen.send(Message::Clock(at(1)));
    assert_eq!(asked(&mut screen), [Effect::Read(true)], "a glance is a look");
    screen.resize(20, 5);
    screen.send(Message::Clock(at(2)));
    assert_eq!(asked(&mut screen), [Effect::Read(false)]);
    screen.send(mine(vec![injected(Life::Active)]));
    assert_eq!(asked(&mut screen), [Effect::Read(true)], "what an injection does is noted all the same");
}

#[test]
fn history_does_not_grow_beyond_what_the_timeline_shows() {
    let mut watched = Watched::default();
    let calm = state(0);
    for second in 0..2 * KEPT {
        watched.take(ClusterState { at: at(second), ..calm.clone() });
    }
    assert_eq!(watched.history(2 * KEPT).count(), 4 * 3_600);
    assert_eq!(watched.history(60).count(), 60);
}

#[test]
fn e_shows_the_guide_of_the_selected_injection_and_in_chaos_that_of_the_fault() {
    let mut screen = loaded(120, 40);
    screen.keys("e");
    assert_eq!(screen.model.dialog, Some(Dialog::Guide(None)));
    screen.keys("e");
    assert_eq!(screen.model.dialog, None);
    hurt(&mut screen, 5);
    screen.keys("e");
    assert!(screen.text().contains("What to look for: node_kill in demo-tikv0-1"));
    screen.press(KeyCode::Esc);
    screen.keys("2e");
    assert!(screen.text().contains("What to look for: latency"));
}

#[test]
fn a_member_of_pd_is_a_target_of_which_the_guide_knows_nothing() {
    let mut screen = loaded(200, 70);
    assert!(screen.text().contains("What to look for"), "{}", screen.text());
    screen.keys("jjj");
    screen.planned();
    screen.keys("i");
    assert!(screen.text().contains("injecting latency into demo-pd0-1"), "{}", screen.text());
    assert!(!screen.text().contains("What to look for"), "{}", screen.text());
    screen.keys("e");
    assert!(screen.text().contains("is written down for TiKV nodes"), "{}", screen.text());
    screen.keys("e");
    let held = injection(9, Life::Active, latency("demo-pd0-1"), 0, Some(600));
    screen.send(mine(vec![held]));
    assert!(screen.text().contains("latency"), "{}", screen.text());
    assert!(!screen.text().contains("What to look for"), "{}", screen.text());
    // Its bar is on the timeline all the same.
    assert_eq!(screen.model.followed.len(), 1);
    screen.keys("3e");
    assert!(screen.text().contains("is written down for TiKV nodes"), "{}", screen.text());
}
