//! What was made as one act is opened and changed as one, and a change that is refused can be insisted on.

use ratatui::crossterm::event::KeyCode;

use super::fixtures::*;
use crate::{
    chaos::{Fault, FaultMetadata, InjectionId},
    session::{Injection, Life},
    tui::{
        Effect, Message,
        hits::Hit,
        keys::Action,
        message::NotChanged,
        model::{Dialog, Pane},
    },
};

const REASON: &str = "this leaves 1 of 3 stores reachable (demo-tikv2-1 is exited): writes stop";

fn id(number: u32) -> InjectionId {
    InjectionId::from_number(number)
}

/// Latencies of one act, in the first nodes, from these minima to 150 ms.
fn act(minima: &[u64]) -> Vec<Injection> {
    let one = |(node, min_ms): (u32, &u64)| {
        let target = format!("demo-tikv{node}-1");
        let fault = FaultMetadata::latency(&target, *min_ms, 150, &["eth0"]);
        let mut injection = injection(node + 1, Life::Active, fault, 48, Some(552));
        injection.metadata.group = (minima.len() > 1).then(|| id(1));
        injection
    };
    (0..).zip(minima).map(one).collect()
}

fn opened(minima: &[u64]) -> Screen {
    let mut screen = Screen::ready(120, 40);
    screen.send(mine(act(minima)));
    screen.keys("3");
    screen.press(KeyCode::Enter);
    screen.taken();
    screen
}

/// The one change that was asked for: whether the name was typed, and of each its number and bounds in ms.
fn asked(screen: &mut Screen) -> (bool, Vec<(InjectionId, u64, u64)>) {
    let taken = screen.taken();
    let [Effect::Change { changes, force }] = &taken[..] else { panic!("{taken:?}\n{}", screen.text()) };
    let bounds = |(id, fault): &(InjectionId, Fault)| {
        let Fault::Shape { impairment, .. } = fault else { panic!("{fault:?}") };
        let delay = impairment.delay.unwrap();
        (id.clone(), (delay.mean_us - delay.jitter_us) / 1000, (delay.mean_us + delay.jitter_us) / 1000)
    };
    (*force, changes.iter().map(bounds).collect())
}

fn answer(screen: &mut Screen, result: Result<Vec<Injection>, NotChanged>, count: u32) {
    if let Ok(changed) = &result {
        screen.send(mine(changed.clone()));
    }
    screen.send(Message::Changed { ids: (1..=count).map(id).collect(), plan: Some(Box::new(plan())), result });
}

fn refused() -> Result<Vec<Injection>, NotChanged> {
    Err(NotChanged { reason: REASON.into(), refused: true })
}

fn last_word(screen: &Screen) -> &str {
    screen.model.log.entries.back().map_or("", |entry| &entry.text)
}

#[test]
fn what_was_made_as_one_act_is_opened_changed_and_changed_back_as_one() {
    let mut screen = opened(&[50, 50]);
    assert!(screen.text().contains("latency on 2 nodes"), "{}", screen.text());
    screen.keys("l");
    assert_eq!(asked(&mut screen), (false, vec![(id(1), 60, 150), (id(2), 60, 150)]));
    answer(&mut screen, Ok(act(&[60, 60])), 2);
    assert!(last_word(&screen).starts_with("changed latency on 2 nodes: 60-150 ms"), "{}", last_word(&screen));
    screen.keys("u");
    assert_eq!(asked(&mut screen), (false, vec![(id(1), 50, 150), (id(2), 50, 150)]));
}

#[test]
fn a_slider_moves_its_own_value_in_each_and_leaves_the_others_as_they_are() {
    let mut screen = opened(&[50, 90]);
    screen.keys("jl");
    assert_eq!(asked(&mut screen), (false, vec![(id(1), 50, 160), (id(2), 90, 160)]));
}

#[test]
fn of_one_act_only_what_still_holds_is_changed() {
    let mut screen = Screen::ready(120, 40);
    let mut both = act(&[50, 50]);
    both[1].state = Life::Reverting;
    screen.send(mine(both));
    screen.keys("3");
    screen.press(KeyCode::Enter);
    screen.taken();
    assert!(screen.text().contains("latency on demo-tikv0-1"), "{}", screen.text());
    screen.keys("l");
    assert_eq!(asked(&mut screen), (false, vec![(id(1), 60, 150)]));

    let mut screen = opened(&[50, 50]);
    screen.send(mine(act(&[50])));
    assert!(screen.text().contains("latency on demo-tikv0-1"), "{}", screen.text());
}

#[test]
fn a_refused_change_is_made_all_the_same_by_the_nodes_name() {
    let mut screen = opened(&[50]);
    screen.keys("l");
    screen.taken();
    answer(&mut screen, refused(), 1);
    assert!(screen.text().contains("refused, i insists: this leaves 1 of 3"), "{}", screen.text());
    assert!(screen.taken().is_empty(), "not by itself");
    screen.keys("i");
    assert!(screen.text().contains("type the node's name: demo-tikv0-1"), "{}", screen.text());
    screen.keys("demo-tikv1-1");
    screen.press(KeyCode::Enter);
    assert!(screen.taken().is_empty() && screen.model.dialog.is_some(), "another name is none");
    for _ in 0..12 {
        screen.press(KeyCode::Backspace);
    }
    screen.keys("demo-tikv0-1");
    screen.press(KeyCode::Enter);
    assert_eq!(asked(&mut screen), (true, vec![(id(1), 60, 150)]));
    answer(&mut screen, Ok(act(&[60])), 1);
    assert_eq!((&screen.model.dialog, screen.model.focus), (&None, Pane::Picker));
    assert!(last_word(&screen).starts_with("changed latency on demo-tikv0-1"), "{}", last_word(&screen));
}

#[test]
fn a_refused_change_of_an_act_is_insisted_on_as_one_with_the_mouse_too() {
    let mut screen = opened(&[50, 50]);
    screen.keys("l");
    screen.taken();
    answer(&mut screen, refused(), 2);
    screen.click(|hit| hit == Hit::Act(Action::Inject));
    assert!(matches!(&screen.model.dialog, Some(Dialog::ConfirmChange { whom, .. }) if whom == "2 nodes"));
    screen.keys("2 nodes");
    screen.press(KeyCode::Enter);
    assert_eq!(asked(&mut screen), (true, vec![(id(1), 60, 150), (id(2), 60, 150)]));
}

#[test]
fn a_refusal_is_of_what_was_asked_and_of_what_holds() {
    // A slider that moves on asks anew, and there is nothing to insist on until that is answered.
    let mut screen = opened(&[50]);
    screen.keys("l");
    screen.taken();
    answer(&mut screen, refused(), 1);
    screen.keys("h");
    assert_eq!(asked(&mut screen), (false, vec![(id(1), 50, 150)]));
    screen.keys("i");
    assert_eq!(screen.model.dialog, None);

    // What is over meanwhile takes the question with it.
    let mut screen = opened(&[50]);
    screen.keys("l");
    screen.taken();
    answer(&mut screen, refused(), 1);
    screen.keys("i");
    screen.send(mine(vec![]));
    assert_eq!(screen.model.dialog, None);
    assert!(last_word(&screen).contains("is over"), "{}", last_word(&screen));
}

#[test]
fn what_of_an_act_could_not_be_changed_is_told_and_the_rest_is_shown_as_it_is() {
    let mut screen = opened(&[50, 50]);
    screen.keys("l");
    screen.taken();
    screen.send(mine(act(&[60, 50])));
    answer(&mut screen, Err(NotChanged { reason: "00000002 was not changed: it is gone".into(), refused: false }), 2);
    assert!(last_word(&screen).contains("00000002 was not changed"), "{}", last_word(&screen));
    screen.keys("l");
    assert_eq!(asked(&mut screen), (false, vec![(id(1), 70, 150), (id(2), 70, 150)]));
}
