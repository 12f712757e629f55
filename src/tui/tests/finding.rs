//! What is found by typing, and keys that somebody chose: the filter, the palette, the configuration's keys.

use ratatui::crossterm::event::{KeyCode, MouseEventKind};

use super::{fixtures::*, states::*};
use crate::{
    session::Life,
    subject::docker::State,
    tui::{
        Effect, Keymap, Level, Message, Options,
        hits::Hit,
        keys::Action,
        log::Gravity,
        model::{Dialog, Pane},
    },
};

fn listed(screen: &Screen) -> Vec<String> {
    let nodes = screen.model.shown_nodes();
    nodes.into_iter().map(|at| screen.model.nodes()[at].name.clone()).collect()
}

#[test]
fn a_filter_shows_the_nodes_with_its_text_and_moves_the_target_among_them() {
    let mut screen = Screen::ready(120, 40);
    let all = listed(&screen);
    screen.keys("/tikv");
    let some = listed(&screen);
    assert!(some.len() < all.len() && some.iter().all(|name| name.contains("tikv")), "{some:?}");
    assert!(screen.text().contains(&format!("with \"tikv\": {} of {}", some.len(), all.len())), "{}", screen.text());
    // What is typed is text, whatever the keys mean elsewhere.
    assert!(screen.taken().is_empty() && screen.model.dialog.is_none());
    screen.press(KeyCode::Enter);
    screen.keys("G");
    assert_eq!(screen.model.target().unwrap().name, *some.last().unwrap());
    screen.press(KeyCode::Esc);
    assert_eq!(listed(&screen), all);
}

#[test]
fn cancelling_a_filter_brings_back_the_one_before() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("/tikv");
    screen.press(KeyCode::Enter);
    screen.keys("/1x");
    screen.press(KeyCode::Backspace);
    assert_eq!(screen.model.filter, "tikv1");
    screen.press(KeyCode::Esc);
    assert_eq!(screen.model.filter, "tikv");
}

/// `i` acts on the target, so it is on the screen whatever happens to it and whatever is typed.
#[test]
fn the_target_is_never_filtered_away() {
    let mut screen = Screen::ready(120, 40);
    screen.keys("/running");
    screen.press(KeyCode::Enter);
    let target = screen.model.target().unwrap().name.clone();
    let mut changed = cluster();
    changed.nodes[0].state = State::Exited;
    screen.send(up(changed));
    assert_eq!(screen.model.target().unwrap().name, target);
    assert!(screen.text().contains(&target), "{}", screen.text());
    screen.keys("/no node has this");
    assert_eq!(listed(&screen), [target]);
}

#[test]
fn the_palette_finds_an_action_by_letters_and_does_it() {
    let mut screen = Screen::ready(80, 24);
    screen.keys(":wlog");
    screen.press(KeyCode::Backspace);
    screen.control('c');
    assert!(matches!(&screen.taken()[..], [Effect::Quit]), "what holds everywhere holds here");
    for _ in 0..3 {
        screen.press(KeyCode::Backspace);
    }
    screen.keys("log pane");
    screen.press(KeyCode::Enter);
    assert!(screen.model.dialog.is_none());
    assert_eq!(screen.model.focus, Pane::Log);
    screen.keys(":zzz");
    assert!(screen.text().contains("Nothing that is possible now"), "{}", screen.text());
    screen.press(KeyCode::Enter);
    assert!(matches!(screen.model.dialog, Some(Dialog::Palette(_))));
    screen.press(KeyCode::Esc);
    assert!(screen.model.dialog.is_none());
}

#[test]
fn the_palette_offers_what_is_possible_with_its_keys() {
    let mut screen = Screen::ready(80, 24);
    let names = |screen: &Screen| screen.model.offers("").into_iter().map(|offer| offer.name).collect::<Vec<_>>();
    assert!(!names(&screen).contains(&"revert") && !names(&screen).contains(&"clear"));
    screen.send(mine(vec![injection(1, Life::Active, kill("demo-tikv0-1"), 5, Some(60))]));
    assert!(names(&screen).contains(&"revert") && names(&screen).contains(&"revert_all"));
    // What belongs to another pane is offered as well, and goes there.
    screen.keys(":grav");
    screen.press(KeyCode::Enter);
    assert_eq!((screen.model.focus, screen.model.log.least), (Pane::Log, Gravity::Warn));
    screen.keys(":mark");
    screen.press(KeyCode::Enter);
    assert_eq!((screen.model.focus, screen.model.marks.len()), (Pane::Nodes, 1));
    screen.keys(" ");
    let looking = Screen::with(Options { read_only: true, ..options() }, 80, 24);
    assert!(!names(&looking).contains(&"panic"));
    let offers = screen.model.offers("revert all");
    assert_eq!((offers[0].action, offers[0].key.as_str()), (Action::RevertAll, "R"));
}

#[test]
fn the_palette_is_used_with_the_mouse_alone() {
    let mut screen = Screen::ready(80, 24);
    screen.click(|hit| hit == Hit::Act(Action::Palette));
    let offers = screen.model.offers("");
    let help = offers.iter().position(|offer| offer.action == Action::Help).unwrap();
    for _ in 0..help {
        screen.mouse(MouseEventKind::ScrollDown, 40, 12);
    }
    screen.click(|hit| hit == Hit::Offer(help));
    assert_eq!(screen.model.dialog, Some(Dialog::Help));
    screen.click(|hit| hit == Hit::Act(Action::Close));
    screen.click(|hit| hit == Hit::Act(Action::Palette));
    screen.click(|hit| hit == Hit::Act(Action::Cancel));
    assert!(screen.model.dialog.is_none());
}

#[test]
fn keys_that_somebody_chose_are_the_ones_that_work_and_that_are_shown() {
    let table = "inject = \"F5\"\nhelp = \"F1\"\npanic = \"Ctrl-k\"\nconfirm = \"o\"\nexpect = \"w\"".parse().unwrap();
    let keys = Keymap::from_table(&table).unwrap();
    let mut screen = Screen::with(Options { keys, ..options() }, 120, 40);
    screen.send(up(cluster()));
    screen.keys("2h");
    screen.planned();
    let text = screen.text();
    assert!(text.contains("F5 inject") && text.contains("F1 help") && text.contains("w expect"), "{text}");
    screen.keys("i");
    assert!(screen.model.dialog.is_none());
    screen.press(KeyCode::F(5));
    assert!(screen.text().contains("[o] inject"), "{}", screen.text());
    screen.keys("y");
    assert!(screen.taken().is_empty());
    screen.keys("o");
    assert!(matches!(&screen.taken()[..], [Effect::Inject { .. }]));
    screen.press(KeyCode::F(1));
    assert!(screen.text().contains("F5 "), "{}", screen.text());
    screen.press(KeyCode::F(1));
    assert!(screen.model.dialog.is_none());
}

#[test]
fn palette_80x24() {
    let mut screen = Screen::ready(80, 24);
    screen.keys(":pane");
    insta::assert_snapshot!(screen.text());
}

#[test]
fn filter_80x24() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("/tikv1");
    insta::assert_snapshot!(screen.text());
}

#[test]
fn the_log_is_filtered_searched_and_sifted_in_its_pane() {
    let mut screen = Screen::ready(120, 40);
    for at_line in 0..60 {
        let level = if at_line % 20 == 7 { Level::Error } else { Level::Info };
        screen.send(Message::Log {
            at: at(at_line),
            level,
            text: format!("line {at_line} of demo-tikv{}", at_line % 3),
        });
    }
    screen.keys("4/TIKV1");
    assert!(screen.text().contains("with \"TIKV1\", 20 of 60"), "{}", screen.text());
    assert!(screen.text().contains("line 58 of demo-tikv1") && !screen.text().contains("line 59"));
    assert_eq!(listed(&screen).len(), cluster().nodes.len(), "the nodes are not filtered by it");
    screen.press(KeyCode::Enter);
    // All lines again, with the text marked, and from one to the next.
    screen.keys("f");
    assert!(screen.text().contains("\"TIKV1\" marked in 20 of 60") && screen.text().contains("line 59"));
    screen.keys("nn");
    assert_eq!(screen.model.log.scroll, 4);
    screen.keys("N");
    assert_eq!(screen.model.log.scroll, 1);
    screen.press(KeyCode::Esc);
    screen.keys("v");
    assert!(screen.text().contains("warnings and errors, 3 of 60"), "{}", screen.text());
    screen.keys("v");
    assert!(screen.text().contains("errors, 3 of 60"), "{}", screen.text());
    screen.keys("v");
    assert!(screen.text().contains("line 59"));
}

#[test]
fn the_timeline_tells_what_was_injected_when_although_it_is_long_over() {
    let mut screen = loaded(120, 40);
    hurt(&mut screen, 60);
    healed(&mut screen, 60, 30);
    screen.keys("t");
    assert!(screen.text().contains("node_kill demo-tikv0-1") && screen.text().contains(" 1m"), "{}", screen.text());
    screen.press(KeyCode::Esc);
    // Longer than the chart above the nodes looks back.
    screen.send(Message::Clock(at(2_000)));
    screen.send(mine(vec![]));
    assert!(screen.model.followed.is_empty());
    screen.keys("t");
    assert!(screen.text().contains("node_kill demo-tikv0-1"), "{}", screen.text());
}

/// Where nothing may move by itself, time is told by the minute and the screen is the same until one is over.
#[test]
fn without_motion_the_screen_stands_still() {
    let mut screen = Screen::with(Options { motion: false, ..options() }, 120, 40);
    screen.send(up(cluster()));
    screen.send(mine(vec![injection(1, Life::Active, latency("demo-tikv0-1"), 48, Some(552))]));
    assert!(screen.text().contains("mine <1m") && screen.text().contains("9m left"), "{}", screen.text());
    screen.model.take_dirty();
    // Also where something else has it drawn.
    let before = screen.text();
    screen.send(Message::Clock(at(1)));
    assert!(!screen.model.take_dirty());
    assert_eq!(screen.text(), before);
    screen.keys("t");
    assert!(screen.text().contains("open, <1m"), "{}", screen.text());
    screen.send(Message::Clock(at(61)));
    assert!(screen.model.take_dirty());
}
