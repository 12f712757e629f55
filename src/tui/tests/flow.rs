//! Changing what holds, taking back what was done, several nodes at once, a node at random.

use ratatui::crossterm::event::{KeyCode, MouseButton, MouseEventKind};

use super::fixtures::*;
use crate::{
    chaos::{Fault, FaultType, InjectionId},
    session::{Injection, Life},
    subject::docker::{Role, State},
    tui::{
        Effect, Message,
        hits::Hit,
        keys::Action,
        message::NotChanged,
        model::{Dialog, Pane},
    },
};

fn id(number: u32) -> InjectionId {
    InjectionId::from_number(number)
}

fn slow(number: u32, node: u32, min_ms: u64) -> Injection {
    let target = format!("demo-tikv{node}-1");
    let fault = crate::chaos::FaultMetadata::latency(&target, min_ms, 150, &["eth0"]);
    let mut injection = injection(number, Life::Active, fault, 48, Some(552));
    injection.metadata.container_id = format!("demo-{target}-id");
    injection
}

/// One latency of 50 to 150 ms in the first node, opened.
fn opened(width: u16, height: u16) -> Screen {
    let mut screen = Screen::ready(width, height);
    screen.send(mine(vec![slow(1, 0, 50)]));
    screen.keys("3");
    screen.press(KeyCode::Enter);
    screen.taken();
    screen
}

fn bounds(fault: &Fault) -> (u64, u64) {
    let Fault::Shape { kind: FaultType::Latency, impairment, .. } = fault else { panic!("{fault:?}") };
    let delay = impairment.delay.unwrap();
    ((delay.mean_us - delay.jitter_us) / 1000, (delay.mean_us + delay.jitter_us) / 1000)
}

/// The one change that was asked for, by its bounds.
fn asked(screen: &mut Screen) -> (u64, u64) {
    match &screen.taken()[..] {
        [Effect::Change { changes, force: false }] => match &changes[..] {
            [(changed, fault)] if *changed == id(1) => bounds(fault),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn changed(screen: &mut Screen, min_ms: u64) {
    let injection = slow(1, 0, min_ms);
    screen.send(mine(vec![injection.clone()]));
    screen.send(Message::Changed { ids: vec![id(1)], plan: Some(Box::new(plan())), result: Ok(vec![injection]) });
}

fn failed(reason: &str) -> NotChanged {
    NotChanged { reason: reason.into(), refused: false }
}

fn last_word(screen: &Screen) -> &str {
    screen.model.log.entries.back().map_or("", |entry| &entry.text)
}

#[test]
fn a_slider_of_what_holds_changes_it_and_of_many_steps_the_last_counts() {
    let mut screen = opened(80, 24);
    assert_eq!(screen.model.focus, Pane::Picker);
    assert!(screen.text().contains("latency on demo-tikv0-1 ━"), "{}", screen.text());
    screen.keys("l");
    assert_eq!(asked(&mut screen), (60, 150));
    screen.keys("lll");
    assert!(screen.taken().is_empty(), "one change at a time");
    changed(&mut screen, 60);
    assert_eq!(asked(&mut screen), (90, 150));
    assert!(!last_word(&screen).contains("changed latency"), "not each step is told");
    changed(&mut screen, 90);
    assert!(screen.taken().is_empty());
    assert!(last_word(&screen).starts_with("changed latency on demo-tikv0-1: 90-150 ms"), "{}", last_word(&screen));
    screen.press(KeyCode::Esc);
    assert_eq!(screen.model.focus, Pane::Active);
    assert!(screen.text().contains("target demo-tikv0-1"), "{}", screen.text());
}

#[test]
fn a_change_that_cannot_be_says_why_and_is_not_tried_again_by_itself() {
    let mut screen = opened(80, 24);
    screen.press(KeyCode::End);
    assert!(screen.taken().is_empty());
    assert!(screen.text().contains("not changed: min_ms 10000 is over"), "{}", screen.text());
    screen.press(KeyCode::Home);
    assert_eq!(asked(&mut screen), (0, 150));
    screen.send(Message::Changed { ids: vec![id(1)], plan: None, result: Err(failed("the helper is gone")) });
    assert!(screen.text().contains("the helper is gone"), "{}", screen.text());
    screen.send(Message::Clock(at(1)));
    assert!(screen.taken().is_empty());
    screen.keys("l");
    assert_eq!(asked(&mut screen), (10, 150));
}

#[test]
fn nothing_new_is_injected_by_the_sliders_of_what_holds() {
    let mut screen = opened(80, 24);
    screen.keys("i");
    assert!(screen.taken().is_empty() && last_word(&screen).contains("Esc goes back to new ones"));
    screen.press(KeyCode::Esc);
    screen.planned();
    screen.keys("i");
    assert!(matches!(&screen.taken()[..], [Effect::Inject { fault, .. }] if bounds(fault) == (50, 150)));
}

#[test]
fn what_is_open_closes_when_it_is_over_and_follows_a_change_from_elsewhere() {
    let mut screen = opened(80, 24);
    screen.send(mine(vec![slow(1, 0, 80)]));
    assert!(screen.taken().is_empty() && screen.text().contains("80 ms"), "{}", screen.text());
    screen.send(mine(vec![]));
    assert!(screen.model.picker.held.is_none() && last_word(&screen).contains("is over"));
}

#[test]
fn only_what_has_sliders_is_opened() {
    let mut screen = Screen::ready(80, 24);
    screen.send(mine(vec![injection(1, Life::Active, kill("demo-tikv0-1"), 5, Some(60))]));
    screen.keys("3");
    screen.press(KeyCode::Enter);
    assert!(screen.model.picker.held.is_none());
    assert!(last_word(&screen).contains("has nothing to change while it holds: r reverts it"));
    let mut reverting = slow(1, 0, 50);
    reverting.state = Life::Reverting;
    screen.send(mine(vec![reverting]));
    screen.press(KeyCode::Enter);
    assert!(screen.model.picker.held.is_none() && last_word(&screen).contains("is reverting"));
}

#[test]
fn the_mouse_opens_what_is_selected_and_slides_it() {
    let mut screen = Screen::ready(120, 40);
    screen.send(mine(vec![slow(1, 0, 50)]));
    screen.click(|hit| hit == Hit::Active(0));
    assert!(screen.model.picker.held.is_none(), "the first click selects");
    screen.click(|hit| hit == Hit::Active(0));
    let track = screen.area_of(|hit| matches!(hit, Hit::Track(0, _)));
    screen.mouse(MouseEventKind::Down(MouseButton::Left), track.x, track.y);
    screen.mouse(MouseEventKind::Up(MouseButton::Left), track.x, track.y);
    assert_eq!(asked(&mut screen), (0, 150));
    screen.click(|hit| hit == Hit::Act(Action::Leave));
    assert!(screen.model.picker.held.is_none());
}

#[test]
fn undo_takes_back_an_injection_a_change_and_a_revert() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("u");
    assert_eq!(last_word(&screen), "there is nothing to undo");
    screen.keys("i");
    screen.taken();
    screen.keys("u");
    assert!(screen.taken().is_empty() && last_word(&screen).starts_with("still injecting latency"));
    screen.send(mine(vec![slow(1, 0, 50)]));
    screen.send(Message::Injected { result: Ok(vec![slow(1, 0, 50)]) });

    screen.keys("3");
    screen.press(KeyCode::Enter);
    screen.keys("ll");
    assert_eq!(asked(&mut screen), (60, 150));
    changed(&mut screen, 60);
    assert_eq!(asked(&mut screen), (70, 150));
    changed(&mut screen, 70);
    // The steps of one slider are one change.
    screen.keys("u");
    assert_eq!(asked(&mut screen), (50, 150));
    changed(&mut screen, 50);
    assert!(screen.text().contains("50 ms"), "{}", screen.text());

    screen.keys("r");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(1)] }]);
    screen.send(Message::Reverted { id: id(1), result: Ok("reverted".into()) });
    screen.send(mine(vec![]));
    screen.planned();
    screen.taken();
    screen.keys("u");
    screen.planned();
    match &screen.taken()[..] {
        [Effect::Inject { fault, targets, .. }] => {
            assert_eq!((bounds(fault), &targets[..]), ((50, 150), &["demo-demo-tikv0-1-id".to_owned()][..]));
        }
        other => panic!("{other:?}"),
    }
    screen.send(mine(vec![slow(2, 0, 50)]));
    screen.send(Message::Injected { result: Ok(vec![slow(2, 0, 50)]) });
    screen.keys("u");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(2)] }]);
    screen.send(Message::Reverted { id: id(2), result: Ok("reverted".into()) });
    screen.send(mine(vec![]));
    // An undo is no action of its own; the injection before is over already.
    screen.keys("u");
    assert!(screen.taken().is_empty() && last_word(&screen).contains("is over already"), "{}", last_word(&screen));
}

#[test]
fn undoing_a_revert_of_a_kill_asks_as_the_kill_did() {
    let mut screen = Screen::ready(80, 24);
    screen.send(mine(vec![injection(1, Life::Active, kill("demo-tikv1-1"), 5, Some(60))]));
    screen.keys("r");
    screen.send(Message::Reverted { id: id(1), result: Ok("reverted".into()) });
    screen.send(mine(vec![]));
    screen.taken();
    screen.keys("u");
    screen.planned();
    assert!(screen.taken().is_empty());
    assert!(matches!(&screen.model.dialog, Some(Dialog::Confirm { ready, .. }) if ready.whom() == "demo-tikv1-1"));
}

#[test]
fn the_undo_by_hand_is_copied_for_a_terminal_elsewhere() {
    let mut screen = Screen::ready(80, 24);
    screen.send(mine(vec![slow(1, 0, 50)]));
    screen.keys("U");
    assert!(screen.text().contains("[y] copy"), "{}", screen.text());
    screen.keys("y");
    assert!(
        matches!(&screen.taken()[..], [Effect::Copy(text)] if text.starts_with("docker run") && text.ends_with('\n'))
    );
    screen.keys("U");
    assert_eq!(screen.model.dialog, None);
}

#[test]
fn marked_nodes_are_the_targets_of_one_injection() {
    let mut screen = Screen::ready(80, 24);
    screen.keys(" j ");
    assert!(screen.text().contains("2 marked") && screen.text().contains("target 2 nodes"), "{}", screen.text());
    let marked = screen.text().lines().filter(|line| line.contains('◆') && line.contains("tikv")).count();
    assert_eq!(marked, 2, "{}", screen.text());
    // Where the selection is does not matter any more.
    screen.keys("j");
    screen.planned();
    screen.keys("i");
    let text = screen.text();
    assert!(text.contains("Inject latency into 2 nodes?") && text.contains("demo-tikv0-1, demo-tikv1-1"), "{text}");
    screen.keys("y");
    match &screen.taken()[..] {
        [Effect::Inject { targets, .. }] => assert_eq!(targets[..], ["demo-demo-tikv0-1-id", "demo-demo-tikv1-1-id"]),
        other => panic!("{other:?}"),
    }
    let group = Some(id(1));
    let both: Vec<Injection> = [(1, 0), (2, 1)]
        .map(|(number, node)| {
            let mut one = slow(number, node, 50);
            one.metadata.group = group.clone();
            one
        })
        .to_vec();
    screen.send(mine(both.clone()));
    screen.send(Message::Injected { result: Ok(both) });
    assert!(!screen.text().contains("marked"));
    screen.keys("r");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(1), id(2)] }], "what was made together ends together");
    for number in [1, 2] {
        screen.send(Message::Reverted { id: id(number), result: Ok("reverted".into()) });
    }
    screen.send(mine(vec![]));
    screen.keys("u");
    screen.planned();
    assert!(screen.text().contains("Inject latency into 2 nodes?"), "{}", screen.text());
}

#[test]
fn marks_are_cleared_by_esc_brought_back_by_undo_and_follow_their_node() {
    let mut screen = Screen::ready(80, 24);
    screen.keys(" ");
    screen.press(KeyCode::Esc);
    assert!(screen.model.marks.is_empty());
    screen.keys("u");
    assert_eq!(screen.model.marks.len(), 1);
    let mut again = cluster();
    again.nodes[0].id = "recreated".into();
    screen.send(up(again));
    assert_eq!(screen.model.marks.iter().collect::<Vec<_>>(), ["recreated"]);
    screen.mouse(MouseEventKind::Down(MouseButton::Right), 20, screen.area_of(|hit| hit == Hit::Node(1)).y);
    assert_eq!(screen.model.marks.len(), 2);
    screen.click(|hit| hit == Hit::Mark(0));
    assert_eq!(screen.model.marks.len(), 1);
}

#[test]
fn a_marked_node_that_cannot_be_a_target_keeps_all_from_being_one() {
    let mut screen = Screen::ready(80, 24);
    screen.keys(" j ");
    let mut down = cluster();
    down.nodes[1].state = State::Exited;
    screen.send(up(down));
    screen.keys("i");
    assert!(screen.taken().is_empty() && last_word(&screen).contains("demo-tikv1-1 is exited, not running"));
}

#[test]
fn a_node_at_random_is_a_running_one_and_its_seed_is_told() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("d");
    assert_eq!(screen.taken(), [Effect::Roll]);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        screen.send(Message::Rolled(seed));
        let node = screen.model.target().unwrap();
        assert!(node.role == Role::Tikv && node.is_running());
        seen.insert(node.name.clone());
        let again = node.name.clone();
        screen.send(Message::Rolled(seed));
        assert_eq!(screen.model.target().unwrap().name, again);
        assert!(last_word(&screen).ends_with(&format!("--random --seed {seed} chooses it again")));
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_preset_is_called_with_two_keys_and_injected_with_a_third() {
    let mut screen = Screen::ready(120, 40);
    let at = screen.model.presets.iter().position(|preset| preset.name == "frozen").unwrap();
    screen.keys("p");
    assert!(screen.text().contains("frozen") && screen.text().contains("stands still"), "{}", screen.text());
    screen.keys(&crate::tui::update::preset_key(at).unwrap().to_string());
    assert_eq!((&screen.model.dialog, screen.model.focus), (&None, Pane::Picker));
    assert!(screen.taken().is_empty(), "nothing happens before it is asked for");
    screen.planned();
    screen.keys("i");
    match &screen.taken()[..] {
        [Effect::Inject { fault: Fault::NodePause, ttl, .. }] => assert_eq!(ttl.unwrap().as_secs(), 120),
        other => panic!("{other:?}"),
    }
    // With the mouse, and with arrows.
    screen.keys("p");
    screen.click(|hit| hit == Hit::Preset(1));
    assert_eq!(screen.model.picker.kind, screen.model.presets[1].kind);
    screen.keys("p");
    screen.press(KeyCode::Down);
    screen.press(KeyCode::Down);
    screen.press(KeyCode::Enter);
    assert_eq!(screen.model.picker.kind, screen.model.presets[2].kind);
}

#[test]
fn what_the_sliders_say_is_given_a_name_and_kept() {
    let mut screen = Screen::ready(120, 40);
    screen.keys("2jl");
    screen.keys("Pslow net");
    assert!(screen.text().contains("keep these sliders as: slow net"), "{}", screen.text());
    screen.press(KeyCode::Enter);
    assert!(screen.taken().is_empty() && last_word(&screen).contains("allowed: up to 30 letters"));
    screen.keys("Pslow");
    screen.press(KeyCode::Enter);
    let preset = match &screen.taken()[..] {
        [Effect::Keep(preset)] => (**preset).clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((preset.name.as_str(), preset.kind), ("slow", FaultType::Latency));
    assert_eq!(preset.params, screen.model.picker.params());
    let result = Ok(("/etc/config.toml".to_owned(), vec![preset]));
    screen.send(Message::Kept { name: "slow".into(), result });
    assert_eq!(last_word(&screen), "slow stands in /etc/config.toml: p 1 calls it");
    screen.send(Message::Kept { name: "slow".into(), result: Err("no".into()) });
    assert_eq!(last_word(&screen), "slow is not kept: no");
}

#[test]
fn presets_80x24() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("p");
    insta::assert_snapshot!(screen.text());
}

#[test]
fn opened_80x24() {
    insta::assert_snapshot!(opened(80, 24).text());
}

#[test]
fn opened_120x40() {
    let mut screen = opened(120, 40);
    screen.keys("l");
    changed(&mut screen, 60);
    insta::assert_snapshot!(screen.text());
}

#[test]
fn marked_80x24() {
    let mut screen = Screen::ready(80, 24);
    screen.keys(" j ");
    screen.planned();
    insta::assert_snapshot!(screen.text());
}
