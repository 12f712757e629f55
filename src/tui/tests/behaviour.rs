//! What keys, clicks and answers lead to.

use ratatui::crossterm::event::{KeyCode, MouseButton, MouseEventKind};

use super::fixtures::*;
use crate::{
    chaos::{Fault, FaultType, InjectionId, Signal, Value},
    safety::Grade,
    session::{Life, Loaded, recovery::Recovery},
    subject::{Marked, docker::State},
    tui::{
        Effect, Live, Message, Options,
        hits::Hit,
        keys::Action,
        model::{Dialog, Pane},
        picker::Field,
    },
};

fn id(number: u32) -> InjectionId {
    InjectionId::from_number(number)
}

fn one_of_mine() -> Message {
    mine(vec![injection(1, Life::Active, latency("demo-tikv0-1"), 48, Some(552))])
}

fn latency_fault(screen: &Screen) -> (u64, u64) {
    bounds(&screen.model.picker.fault().unwrap())
}

fn bounds(fault: &Fault) -> (u64, u64) {
    let Fault::Shape { kind: FaultType::Latency, impairment, .. } = fault else { panic!("{fault:?}") };
    let delay = impairment.delay.unwrap();
    ((delay.mean_us - delay.jitter_us) / 1000, (delay.mean_us + delay.jitter_us) / 1000)
}

fn greatest(screen: &Screen) -> Value {
    screen.model.picker.value(&FaultType::Latency.params()[1])
}

#[test]
fn a_changed_slider_asks_for_a_new_plan_and_old_answers_do_not_count() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("2jl");
    let [Effect::Plan { seq, fault, targets, .. }] = &screen.effects[..] else { panic!("{:?}", screen.effects) };
    assert_eq!(bounds(fault), (60, 150));
    assert_eq!(targets[..], ["demo-demo-tikv0-1-id"]);
    let old = seq - 1;
    screen.send(Message::Planned { seq: old, result: Err("old".into()) });
    assert!(!screen.model.picker.fresh && !screen.text().contains("old"));
    screen.planned();
    assert!(screen.model.picker.fresh);
}

#[test]
fn latency_begins_at_once_and_a_second_key_waits_for_the_answer() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("ii");
    let effects = screen.taken();
    assert_eq!(effects.len(), 1);
    assert!(matches!(&effects[0], Effect::Inject { ttl: Some(ttl), .. } if ttl.as_secs() == 600));
    let injection = injection(1, Life::Active, latency("demo-tikv0-1"), 0, Some(600));
    screen.send(Message::Injected { result: Ok(vec![injection]) });
    let last = screen.model.log.entries.back().unwrap();
    assert_eq!(last.text, "injected latency into demo-tikv0-1: 50-150 ms on eth0, by netem (00000001)");
    screen.keys("i");
    assert_eq!(screen.taken().len(), 1);
}

#[test]
fn a_kill_asks_first_and_looks_again_when_answered() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("2h");
    screen.planned();
    screen.keys("i");
    assert!(matches!(screen.model.dialog, Some(Dialog::Confirm { .. })));
    screen.keys("n");
    assert_eq!((screen.taken().len(), &screen.model.dialog), (0, &None));
    screen.keys("iy");
    assert!(matches!(&screen.taken()[..], [Effect::Inject { fault: Fault::NodeKill { signal: Signal::Kill }, .. }]));
    screen.send(Message::Injected { result: Err("no".into()) });
    screen.keys("i");
    let mut gone = cluster();
    gone.nodes[0].state = State::Exited;
    screen.send(up(gone));
    screen.keys("y");
    assert!(screen.taken().is_empty());
    assert!(screen.text().contains("not injected: demo-tikv0-1 is exited, not running"));
}

fn planned(screen: &mut Screen, grade: Grade, reason: &str) {
    let mut plan = plan();
    plan.verdict = plan.verdict.with(vec![(grade, reason.to_owned())]);
    let seq = screen.model.picker.seq;
    screen.send(Message::Planned { seq, result: Ok(Box::new(plan)) });
}

#[test]
fn what_needs_care_asks_first_and_what_is_refused_asks_for_the_name() {
    let mut screen = Screen::ready(80, 24);
    planned(&mut screen, Grade::Careful, "the disk is shared");
    screen.keys("i");
    assert!(screen.taken().is_empty() && screen.text().contains("the disk is shared"));
    screen.keys("y");
    assert!(matches!(&screen.taken()[..], [Effect::Inject { force: false, .. }]));
    screen.send(Message::Injected { result: Err("no".into()) });

    planned(&mut screen, Grade::Refused, "this leaves 1 of 3 stores reachable: writes stop");
    screen.keys("iy");
    screen.press(KeyCode::Enter);
    assert!(screen.taken().is_empty() && screen.text().contains("writes stop"));
    screen.press(KeyCode::Backspace);
    screen.keys("demo-tikv0-1");
    assert!(screen.taken().is_empty() && screen.text().contains("> demo-tikv0-1"));
    screen.press(KeyCode::Enter);
    assert!(matches!(&screen.taken()[..], [Effect::Inject { force: true, .. }]));
}

#[test]
fn inject_before_the_plan_is_known_waits_for_it_and_a_moved_slider_takes_it_back() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("2jli");
    assert!(screen.taken().is_empty());
    screen.planned();
    assert!(matches!(&screen.taken()[..], [Effect::Inject { .. }]));
    screen.send(Message::Injected { result: Err("no".into()) });
    screen.keys("lil");
    screen.planned();
    assert!(screen.taken().is_empty());
}

#[test]
fn the_panic_key_ends_everything_of_every_session_from_anywhere() {
    let mut screen = Screen::ready(80, 24);
    screen.control('x');
    assert_eq!(screen.taken(), [Effect::EndEverything { ids: vec![] }]);
    assert!(screen.text().contains("nothing is injected"));
    let of_mine = injection(1, Life::Active, latency("demo-tikv0-1"), 0, None);
    let of_another = injection(2, Life::Active, latency("demo-tikv1-1"), 0, None);
    let sessions = vec![session("mine", true, true, vec![of_mine]), session("other", true, false, vec![of_another])];
    screen.send(Message::Sessions(Loaded { sessions, unreadable: vec![] }));
    screen.keys("?");
    screen.control('x');
    assert!(matches!(&screen.taken()[..], [Effect::EndEverything { ids }] if ids.len() == 2));
}

#[test]
fn a_run_that_only_looks_changes_nothing_and_says_so() {
    let mut screen = Screen::with(Options { read_only: true, ..options() }, 80, 24);
    screen.send(up(cluster()));
    screen.send(one_of_mine());
    screen.effects.clear();
    assert!(screen.text().contains("READ-ONLY"));
    screen.keys("i");
    screen.keys("3r");
    screen.control('x');
    assert!(screen.taken().is_empty(), "{:?}", screen.effects);
    assert!(screen.text().contains("this run is --read-only"));
}

#[test]
fn crossed_sliders_are_an_error_that_disables_inject() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("2j");
    screen.press(KeyCode::End);
    screen.press(KeyCode::Char('i'));
    assert!(screen.taken().is_empty());
    assert!(screen.text().contains("min_ms 10000 is over max_ms 150"));
}

#[test]
fn a_number_can_be_typed_and_is_taken_on_leaving() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("2j42");
    screen.press(KeyCode::Enter);
    assert_eq!(latency_fault(&screen), (42, 150));
    screen.keys("7");
    screen.press(KeyCode::Esc);
    assert_eq!(latency_fault(&screen), (42, 150));
    screen.keys("77");
    screen.press(KeyCode::Down);
    assert_eq!(latency_fault(&screen), (77, 150));
    screen.keys("99999");
    screen.press(KeyCode::Enter);
    assert_eq!(latency_fault(&screen), (77, 150));
    assert!(screen.text().contains("max_ms cannot be \"99999\""));
}

#[test]
fn while_a_text_is_typed_letters_are_letters() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("2jjj");
    screen.press(KeyCode::Enter);
    screen.keys("qir2");
    screen.press(KeyCode::Enter);
    assert!(screen.taken().is_empty());
    let Ok(Fault::Shape { scope, .. }) = screen.model.picker.fault() else { panic!() };
    assert_eq!(scope.interface.as_deref(), Some("qir2"));
}

#[test]
fn the_mouse_selects_slides_drags_and_presses() {
    let mut screen = Screen::ready(120, 40);
    screen.click(|hit| hit == Hit::Node(1));
    assert_eq!((screen.model.focus, screen.model.node), (Pane::Nodes, 1));
    let track = screen.area_of(|hit| matches!(hit, Hit::Track(2, _)));
    screen.mouse(MouseEventKind::Down(MouseButton::Left), track.x, track.y);
    assert_eq!((screen.model.focus, greatest(&screen)), (Pane::Picker, Value::Number(0)));
    screen.mouse(MouseEventKind::Drag(MouseButton::Left), track.right() + 9, track.y + 4);
    assert_eq!(greatest(&screen), Value::Number(10_000));
    screen.mouse(MouseEventKind::Up(MouseButton::Left), track.x, track.y);
    screen.mouse(MouseEventKind::Drag(MouseButton::Left), track.x, track.y);
    assert_eq!(greatest(&screen), Value::Number(10_000));
    screen.click(|hit| hit == Hit::Kind(FaultType::DiskPressure));
    assert_eq!(screen.model.picker.kind, FaultType::DiskPressure);
    screen.planned();
    screen.click(|hit| hit == Hit::Act(Action::Inject));
    assert!(matches!(&screen.taken()[..], [Effect::Inject { targets, .. }] if targets[..] == ["demo-demo-tikv1-1-id"]));
    screen.click(|hit| hit == Hit::Act(Action::Help));
    assert_eq!(screen.model.dialog, Some(Dialog::Help));
    screen.click(|hit| hit == Hit::Act(Action::Close));
    assert_eq!(screen.model.dialog, None);
}

#[test]
fn a_dialog_hides_what_lies_under_it_from_the_mouse() {
    let mut screen = Screen::ready(80, 24);
    let row = screen.area_of(|hit| hit == Hit::Node(1));
    screen.keys("?");
    screen.mouse(MouseEventKind::Down(MouseButton::Left), row.x, row.y);
    assert_eq!(screen.model.node, 0);
}

#[test]
fn quitting_asks_only_when_something_of_mine_is_open() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("q");
    assert_eq!(screen.taken(), [Effect::Quit]);
    screen.send(one_of_mine());
    screen.keys("q");
    assert!(screen.taken().is_empty());
    screen.press(KeyCode::Esc);
    assert_eq!(screen.model.dialog, None);
    screen.keys("ql");
    assert_eq!(screen.taken(), [Effect::Leave, Effect::Quit]);
    screen.press(KeyCode::Esc);
    screen.control('c');
    assert!(screen.taken().is_empty());
    screen.control('c');
    assert_eq!(screen.taken(), [Effect::Leave, Effect::Quit]);
}

#[test]
fn revert_and_quit_waits_until_the_journal_shows_none() {
    let mut screen = Screen::ready(80, 24);
    screen.send(one_of_mine());
    screen.keys("qr");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(1)] }]);
    screen.send(Message::Reverted { id: id(1), result: Ok("reverted".into()) });
    screen.send(Message::Clock(at(1)));
    assert!(screen.taken().is_empty());
    screen.send(mine(vec![injection(1, Life::Clean, latency("demo-tikv0-1"), 48, Some(552))]));
    assert_eq!(screen.taken(), [Effect::Quit]);
}

#[test]
fn a_failed_revert_returns_to_the_question_with_its_reason() {
    let mut screen = Screen::ready(80, 24);
    screen.send(one_of_mine());
    screen.keys("qr");
    screen.send(Message::Reverted { id: id(1), result: Err("the holder does not answer".into()) });
    assert!(screen.text().contains("A revert failed: the holder does not answer"));
    screen.taken();
    screen.keys("r");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(1)] }]);
}

#[test]
fn what_is_still_being_injected_is_reverted_before_quitting_too() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("iqr");
    assert!(matches!(&screen.taken()[..], [Effect::Inject { .. }]));
    screen.send(one_of_mine());
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(1)] }]);
    screen.send(Message::Injected { result: Err("was reverted".into()) });
    assert!(screen.taken().is_empty());
    screen.send(mine(vec![]));
    assert_eq!(screen.taken(), [Effect::Quit]);
}

#[test]
fn a_signal_quits_at_once() {
    let mut screen = Screen::ready(80, 24);
    screen.send(one_of_mine());
    screen.keys("q");
    screen.send(Message::Quit);
    assert_eq!(screen.taken(), [Effect::Quit]);
}

#[test]
fn reverting_never_asks_and_asks_only_once_for_each() {
    let mut screen = Screen::ready(80, 24);
    screen.send(mine(vec![
        injection(1, Life::Active, latency("demo-tikv0-1"), 48, Some(552)),
        injection(2, Life::Active, disk("demo-tikv0-1"), 40, Some(552)),
    ]));
    screen.keys("rr");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(1)] }]);
    screen.keys("R");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(2)] }]);
    assert!(screen.text().contains("2 left to undo"));
    screen.send(Message::Reverted { id: id(1), result: Err("no".into()) });
    screen.keys("r");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(1)] }]);
}

#[test]
fn what_was_left_behind_is_offered_once() {
    let left = || {
        let injection = injection(7, Life::Applying, kill("demo-tikv0-1"), 4_000, Some(-10));
        Message::Sessions(Loaded { sessions: vec![session("dead", false, false, vec![injection])], unreadable: vec![] })
    };
    let mut screen = Screen::new(80, 24);
    screen.send(left());
    assert_eq!(screen.model.dialog, Some(Dialog::Recover));
    screen.keys("k");
    screen.send(left());
    assert_eq!(screen.model.dialog, None);
    screen.keys("r");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(7)] }]);

    let mut screen = Screen::new(80, 24);
    screen.send(left());
    screen.keys("r");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(7)] }]);
}

fn found(unrecorded: Vec<Marked>) -> Message {
    Message::Scanned(Box::new(Recovery { unrecorded, ..Recovery::default() }))
}

#[test]
fn what_the_nodes_show_without_a_record_is_offered_with_what_was_left_behind() {
    let stray = || Marked::Fault(injection(8, Life::Active, partition("demo-tikv1-1"), 0, None).metadata);
    let mut screen = Screen::ready(80, 24);
    screen.send(found(vec![]));
    assert_eq!(screen.model.dialog, None);
    screen.send(found(vec![stray()]));
    assert_eq!(screen.model.dialog, Some(Dialog::Recover));
    assert!(screen.text().contains("network_partition on demo-tikv1-1"), "{}", screen.text());
    screen.keys("k");
    assert!(screen.taken().is_empty() && screen.text().contains("Ctrl-X ends it:"), "{}", screen.text());

    let left = injection(7, Life::Applying, kill("demo-tikv0-1"), 4_000, Some(-10));
    screen.send(Message::Sessions(Loaded {
        sessions: vec![session("dead", false, false, vec![left])],
        unreadable: vec![],
    }));
    screen.model.dialog = Some(Dialog::Recover);
    screen.keys("r");
    assert_eq!(screen.taken(), [Effect::Revert { ids: vec![id(7)] }, Effect::Clear { marks: vec![stray()] }]);
    screen.send(Message::Cleared { mark: Box::new(stray()), result: Err("no".into()) });
    assert!(screen.text().contains("2 left behind"), "{}", screen.text());
    screen.send(Message::Cleared { mark: Box::new(stray()), result: Ok("undone".into()) });
    assert!(screen.text().contains("1 left behind"));
}

#[test]
fn a_look_at_the_nodes_interrupts_no_question() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("?");
    screen.send(found(vec![Marked::Fault(injection(8, Life::Active, latency("demo-tikv1-1"), 0, None).metadata)]));
    assert_eq!(screen.model.dialog, Some(Dialog::Help));
    screen.keys("?");
    assert!(screen.text().contains("bears our mark"), "{}", screen.text());
}

#[test]
fn the_selection_stays_on_the_same_node_and_the_same_injection() {
    let mut screen = Screen::ready(80, 24);
    screen.keys("jj");
    let mut fewer = cluster();
    fewer.nodes.remove(0);
    fewer.nodes[1].id = "recreated".into();
    screen.send(up(fewer));
    assert_eq!(screen.model.target().unwrap().name, "demo-tikv2-1");

    let both =
        [1, 2].map(|number| injection(number, Life::Active, latency("demo-tikv0-1"), 60 - i64::from(number), None));
    screen.send(mine(both.to_vec()));
    screen.keys("3j");
    screen.send(mine(both[1..].to_vec()));
    assert_eq!(screen.model.selected_open().unwrap().1.id(), &id(2));
    screen.send(mine(vec![]));
    assert!(screen.model.selected_open().is_none());
}

#[test]
fn nothing_is_injected_while_docker_does_not_answer() {
    let mut screen = Screen::ready(80, 24);
    screen.send(Message::Docker(Live::Down { host: "h".into(), reason: "gone".into(), retry_s: 1 }));
    screen.keys("i");
    assert!(screen.taken().is_empty());
}

#[test]
fn only_what_shows_makes_a_new_frame() {
    let mut screen = Screen::ready(80, 24);
    screen.send(Message::Clock(at(100)));
    screen.model.take_dirty();
    screen.send(Message::Clock(at(101)));
    screen.send(up(cluster()));
    screen.send(mine(vec![]));
    screen.send(Message::Input(ratatui::crossterm::event::Event::FocusLost));
    screen.press(KeyCode::F(5));
    assert!(!screen.model.take_dirty());
    screen.send(one_of_mine());
    assert!(screen.model.take_dirty());
    screen.send(Message::Clock(at(102)));
    assert!(screen.model.take_dirty());
}

#[test]
fn tab_goes_round_the_panes_and_digits_go_to_one() {
    let mut screen = Screen::ready(80, 24);
    for pane in [Pane::Picker, Pane::Active, Pane::Log, Pane::Nodes] {
        screen.press(KeyCode::Tab);
        assert_eq!(screen.model.focus, pane);
    }
    screen.press(KeyCode::BackTab);
    assert_eq!(screen.model.focus, Pane::Log);
    screen.keys("2");
    assert_eq!(screen.model.focus, Pane::Picker);
    assert!(matches!(screen.model.picker.current(), Field::Kind));
    screen.keys("4");
    assert_eq!(screen.model.focus, Pane::Log);
}

fn demo_injection(life: Life) -> Message {
    mine(vec![injection(1, life, kill("demo-tikv0-1"), 0, Some(600))])
}

fn with_demo() -> Screen {
    let mut screen = Screen::with(Options { demo: Some("demo-7f3a".into()), ..options() }, 80, 24);
    screen.send(up(cluster()));
    screen.send(mine(vec![]));
    screen.taken();
    screen
}

#[test]
fn with_a_demo_up_quitting_asks_what_becomes_of_it() {
    let mut screen = with_demo();
    screen.keys("q");
    assert!(screen.taken().is_empty());
    screen.send(Message::Clock(at(1)));
    assert!(screen.taken().is_empty(), "the question waits");
    screen.keys("s");
    assert_eq!(screen.model.dialog, None);
    screen.keys("ql");
    assert_eq!(screen.taken(), [Effect::Leave, Effect::Quit]);
    screen.keys("sqd");
    assert_eq!(screen.taken(), [Effect::QuitAndTakeDown]);
}

#[test]
fn the_demo_is_taken_down_only_when_everything_is_reverted() {
    let mut screen = with_demo();
    screen.send(demo_injection(Life::Active));
    screen.keys("qd");
    assert!(matches!(&screen.taken()[..], [Effect::Revert { .. }]));
    screen.send(demo_injection(Life::Clean));
    assert_eq!(screen.taken(), [Effect::QuitAndTakeDown]);

    let mut screen = with_demo();
    screen.send(demo_injection(Life::Active));
    screen.keys("qds");
    screen.taken();
    screen.send(demo_injection(Life::Clean));
    assert!(screen.taken().is_empty(), "whoever stays takes nothing down");
}

#[test]
fn a_signal_leaves_the_demo_up() {
    let mut screen = with_demo();
    screen.send(Message::Quit);
    assert_eq!(screen.taken(), [Effect::Quit]);
}
