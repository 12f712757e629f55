//! The one table of keys. The footer, the `?` help and the buttons of the dialogs are made from it, so that none of them
//! can say what is not so.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{glyphs::Glyphs, model::Pane};

/// Where a key means something. The innermost one that knows the key decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Everywhere, whatever lies on top.
    Always,
    /// In every pane.
    Panes,
    Nodes,
    Picker,
    Types,
    Slider,
    Choice,
    Switch,
    Text,
    Button,
    TypingNumber,
    TypingText,
    Active,
    Log,
    Popup,
    Confirm,
    /// As `Confirm`, by typing the node's name.
    ConfirmName,
    Quit,
    /// As `Quit`, where the demo would stay behind: with nothing open, and with injections open.
    QuitDemo,
    QuitDemoOpen,
    Reverting,
    Recover,
    TooSmall,
}

impl Context {
    /// In the order and with the headings of the help.
    pub const HELP: [(Self, &'static str); 22] = [
        (Self::Panes, "Everywhere"),
        (Self::Always, ""),
        (Self::Nodes, "Nodes"),
        (Self::Picker, "Chaos"),
        (Self::Types, "Chaos: type"),
        (Self::Slider, "Chaos: number"),
        (Self::TypingNumber, "Chaos: typing a number"),
        (Self::Choice, "Chaos: choice"),
        (Self::Switch, "Chaos: switch"),
        (Self::Text, "Chaos: text"),
        (Self::TypingText, "Chaos: typing a text"),
        (Self::Button, "Chaos: Inject button"),
        (Self::Active, "Active"),
        (Self::Log, "Log"),
        (Self::Popup, "Popup"),
        (Self::Confirm, "Dialog: before an injection"),
        (Self::ConfirmName, "Dialog: before an injection that is refused otherwise"),
        (Self::Quit, "Dialog: quit"),
        (Self::QuitDemo, "Dialog: quit with the demo up"),
        (Self::QuitDemoOpen, "Dialog: quit with the demo up and injections open"),
        (Self::Reverting, "Dialog: while reverting"),
        (Self::Recover, "Dialog: injections left behind"),
    ];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Quit,
    Interrupt,
    Help,
    NextPane,
    PreviousPane,
    Focus(Pane),
    Inject,
    Revert,
    RevertAll,
    Undo,
    Guide,
    Measured,
    Commands,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Less,
    More,
    MuchLess,
    MuchMore,
    Least,
    Most,
    Edit,
    Insert,
    Erase,
    Accept,
    AcceptUp,
    AcceptDown,
    Cancel,
    Close,
    Confirm,
    Refuse,
    RevertAndQuit,
    LeaveAndQuit,
    TakeDownAndQuit,
    Stay,
    RevertLeftBehind,
    KeepLeftBehind,
    Panic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Is(KeyCode, KeyModifiers),
    Digit,
    AnyChar,
}

#[derive(Debug, Clone, Copy)]
pub struct Binding {
    pub context: Context,
    pub keys: &'static [Key],
    pub action: Action,
    /// For the footer and for buttons; empty where there is no room for it. Neighbours with the same one share an
    /// entry.
    pub label: &'static str,
    /// For the help; neighbours with the same one share a line.
    pub help: &'static str,
}

const fn key(code: KeyCode) -> Key {
    Key::Is(code, KeyModifiers::NONE)
}
const fn shift(code: KeyCode) -> Key {
    Key::Is(code, KeyModifiers::SHIFT)
}
const fn char(c: char) -> Key {
    key(KeyCode::Char(c))
}
const fn bind(
    context: Context,
    keys: &'static [Key],
    action: Action,
    label: &'static str,
    help: &'static str,
) -> Binding {
    Binding { context, keys, action, label, help }
}

const UP: &[Key] = &[key(KeyCode::Up), char('k')];
const DOWN: &[Key] = &[key(KeyCode::Down), char('j')];
const LEFT: &[Key] = &[key(KeyCode::Left), char('h')];
const RIGHT: &[Key] = &[key(KeyCode::Right), char('l')];
const PAGE_UP: &[Key] = &[key(KeyCode::PageUp)];
const PAGE_DOWN: &[Key] = &[key(KeyCode::PageDown)];
const FIRST: &[Key] = &[key(KeyCode::Home), char('g')];
const LAST: &[Key] = &[key(KeyCode::End), char('G')];
const ENTER: &[Key] = &[key(KeyCode::Enter)];
const ENTER_SPACE: &[Key] = &[key(KeyCode::Enter), char(' ')];
const ESC: &[Key] = &[key(KeyCode::Esc)];
const BACKSPACE: &[Key] = &[key(KeyCode::Backspace)];

pub const KEYS: &[Binding] = {
    use Action as A;
    use Context as C;
    &[
        bind(C::Panes, &[char('i')], A::Inject, "inject", "inject the fault into the target"),
        bind(C::Panes, &[key(KeyCode::Tab)], A::NextPane, "pane", "next pane, previous pane"),
        bind(C::Panes, &[key(KeyCode::BackTab)], A::PreviousPane, "", "next pane, previous pane"),
        bind(C::Panes, &[char('r')], A::Revert, "revert", "revert the selected injection, at once"),
        bind(C::Panes, &[char('u')], A::Undo, "undo", "show the undo commands of the selected injection"),
        bind(C::Panes, &[char('R')], A::RevertAll, "revert all", "revert all injections of this session, at once"),
        bind(C::Panes, &[char('e')], A::Guide, "expect", "show what to look for, before and after injecting"),
        bind(C::Panes, &[char('m')], A::Measured, "", "show what the selected injection does, measured"),
        bind(C::Panes, &[char('c')], A::Commands, "commands", "show all that the fault would run, and its undo"),
        bind(C::Panes, &[char('1')], A::Focus(Pane::Nodes), "", "go to the pane of that number"),
        bind(C::Panes, &[char('2')], A::Focus(Pane::Picker), "", "go to the pane of that number"),
        bind(C::Panes, &[char('3')], A::Focus(Pane::Active), "", "go to the pane of that number"),
        bind(C::Panes, &[char('4')], A::Focus(Pane::Log), "", "go to the pane of that number"),
        bind(C::Panes, &[char('?')], A::Help, "help", "show this help"),
        bind(C::Panes, &[char('q')], A::Quit, "quit", "quit; asks when an injection is open"),
        bind(
            C::Always,
            &[Key::Is(KeyCode::Char('x'), KeyModifiers::CONTROL)],
            A::Panic,
            "",
            "panic: end everything of every session, now",
        ),
        bind(
            C::Always,
            &[Key::Is(KeyCode::Char('c'), KeyModifiers::CONTROL)],
            A::Interrupt,
            "",
            "as q; again in its dialog: leave them and quit",
        ),
        bind(C::Nodes, UP, A::Up, "select", "select the target"),
        bind(C::Nodes, DOWN, A::Down, "select", "select the target"),
        bind(C::Nodes, FIRST, A::First, "", "first node, last node"),
        bind(C::Nodes, LAST, A::Last, "", "first node, last node"),
        bind(C::Nodes, ENTER, A::Focus(Pane::Picker), "chaos", "go on to what to do to it"),
        bind(C::Picker, UP, A::Up, "field", "previous field, next field"),
        bind(C::Picker, DOWN, A::Down, "field", "previous field, next field"),
        bind(C::Types, LEFT, A::Less, "type", "another type of chaos"),
        bind(C::Types, RIGHT, A::More, "type", "another type of chaos"),
        bind(C::Types, ENTER, A::Down, "", "go on to its parameters"),
        bind(C::Slider, LEFT, A::Less, "step", "one step less, more"),
        bind(C::Slider, RIGHT, A::More, "step", "one step less, more"),
        bind(C::Slider, &[key(KeyCode::PageDown), shift(KeyCode::Left)], A::MuchLess, "10 steps", "ten steps less"),
        bind(C::Slider, &[key(KeyCode::PageUp), shift(KeyCode::Right)], A::MuchMore, "10 steps", "ten steps more"),
        bind(C::Slider, &[key(KeyCode::Home)], A::Least, "", "the least, the most"),
        bind(C::Slider, &[key(KeyCode::End)], A::Most, "", "the least, the most"),
        bind(C::Slider, &[Key::Digit], A::Insert, "type", "type the number"),
        bind(C::Slider, ENTER, A::Edit, "", "type the number"),
        bind(C::TypingNumber, &[Key::Digit], A::Insert, "type", "add a digit"),
        bind(C::TypingNumber, BACKSPACE, A::Erase, "erase", "take the last digit away"),
        bind(C::TypingNumber, ENTER, A::Accept, "set", "set the number"),
        bind(C::TypingNumber, &[key(KeyCode::Up), key(KeyCode::BackTab)], A::AcceptUp, "", "set it and go on"),
        bind(C::TypingNumber, &[key(KeyCode::Down), key(KeyCode::Tab)], A::AcceptDown, "", "set it and go on"),
        bind(C::TypingNumber, ESC, A::Cancel, "cancel", "keep the old number"),
        bind(C::Choice, LEFT, A::Less, "change", "another choice"),
        bind(C::Choice, RIGHT, A::More, "change", "another choice"),
        bind(C::Choice, ENTER_SPACE, A::More, "", "another choice"),
        bind(C::Switch, ENTER_SPACE, A::More, "switch", "on, off"),
        bind(C::Switch, LEFT, A::Less, "", "on, off"),
        bind(C::Switch, RIGHT, A::More, "", "on, off"),
        bind(C::Text, ENTER, A::Edit, "edit", "edit the text"),
        bind(C::TypingText, &[Key::AnyChar], A::Insert, "", "add to the text"),
        bind(C::TypingText, BACKSPACE, A::Erase, "erase", "take the last character away"),
        bind(C::TypingText, ENTER, A::Accept, "set", "set the text"),
        bind(C::TypingText, &[key(KeyCode::Up), key(KeyCode::BackTab)], A::AcceptUp, "", "set it and go on"),
        bind(C::TypingText, &[key(KeyCode::Down), key(KeyCode::Tab)], A::AcceptDown, "", "set it and go on"),
        bind(C::TypingText, ESC, A::Cancel, "cancel", "keep the old text"),
        bind(C::Button, ENTER_SPACE, A::Inject, "inject", "inject the fault into the target"),
        bind(C::Active, UP, A::Up, "select", "select an injection"),
        bind(C::Active, DOWN, A::Down, "select", "select an injection"),
        bind(C::Active, FIRST, A::First, "", "first injection, last injection"),
        bind(C::Active, LAST, A::Last, "", "first injection, last injection"),
        bind(C::Active, ENTER, A::Undo, "", "show its undo commands"),
        bind(C::Active, &[char('m')], A::Measured, "measured", "show what it does, measured"),
        bind(C::Log, UP, A::Up, "scroll", "scroll by a line"),
        bind(C::Log, DOWN, A::Down, "scroll", "scroll by a line"),
        bind(C::Log, PAGE_UP, A::PageUp, "page", "scroll by a page"),
        bind(C::Log, PAGE_DOWN, A::PageDown, "page", "scroll by a page"),
        bind(C::Log, FIRST, A::First, "", "the oldest line, the newest line"),
        bind(C::Log, LAST, A::Last, "newest", "the oldest line, the newest line"),
        bind(C::Popup, UP, A::Up, "scroll", "scroll by a line"),
        bind(C::Popup, DOWN, A::Down, "scroll", "scroll by a line"),
        bind(C::Popup, PAGE_UP, A::PageUp, "page", "scroll by a page"),
        bind(C::Popup, PAGE_DOWN, A::PageDown, "page", "scroll by a page"),
        bind(C::Popup, FIRST, A::First, "", "the beginning, the end"),
        bind(C::Popup, LAST, A::Last, "", "the beginning, the end"),
        bind(
            C::Popup,
            &[key(KeyCode::Esc), key(KeyCode::Enter), char('q'), char('?'), char('u'), char('c'), char('e'), char('m')],
            A::Close,
            "close",
            "close it",
        ),
        bind(C::Confirm, &[char('y'), key(KeyCode::Enter)], A::Confirm, "inject", "inject"),
        bind(C::Confirm, &[char('n'), key(KeyCode::Esc)], A::Refuse, "cancel", "do not inject"),
        bind(C::ConfirmName, &[Key::AnyChar], A::Insert, "", "type the node's name"),
        bind(C::ConfirmName, BACKSPACE, A::Erase, "erase", "take the last character away"),
        bind(C::ConfirmName, ENTER, A::Confirm, "inject all the same", "inject it, if the name is right"),
        bind(C::ConfirmName, ESC, A::Refuse, "cancel", "do not inject"),
        bind(C::Quit, &[char('r')], A::RevertAndQuit, "revert all and quit", "revert all of mine and quit"),
        bind(
            C::Quit,
            &[char('l')],
            A::LeaveAndQuit,
            "leave them until their deadline and quit",
            "leave them until their deadline and quit",
        ),
        bind(C::Quit, &[char('s'), key(KeyCode::Esc)], A::Stay, "stay", "stay"),
        bind(
            C::QuitDemo,
            &[char('d')],
            A::TakeDownAndQuit,
            "take the demo down and quit",
            "take the demo down and quit",
        ),
        bind(C::QuitDemo, &[char('l')], A::LeaveAndQuit, "leave it up and quit", "leave it up and quit"),
        bind(C::QuitDemo, &[char('s'), key(KeyCode::Esc)], A::Stay, "stay", "stay"),
        bind(
            C::QuitDemoOpen,
            &[char('d')],
            A::TakeDownAndQuit,
            "revert all, take the demo down and quit",
            "revert all of mine, take the demo down and quit",
        ),
        bind(
            C::QuitDemoOpen,
            &[char('r')],
            A::RevertAndQuit,
            "revert all, leave the demo up and quit",
            "revert all of mine, leave the demo up and quit",
        ),
        bind(
            C::QuitDemoOpen,
            &[char('l')],
            A::LeaveAndQuit,
            "leave them until their deadline, and the demo, and quit",
            "leave them until their deadline, and the demo, and quit",
        ),
        bind(C::QuitDemoOpen, &[char('s'), key(KeyCode::Esc)], A::Stay, "stay", "stay"),
        bind(C::Reverting, &[char('s'), key(KeyCode::Esc)], A::Stay, "stay", "stay; the reverts go on"),
        bind(C::Recover, &[char('r')], A::RevertLeftBehind, "revert them", "revert them"),
        bind(C::Recover, &[char('k'), key(KeyCode::Esc)], A::KeepLeftBehind, "keep for now", "keep them for now"),
        bind(C::Recover, &[key(KeyCode::Up)], A::Up, "", "scroll by a line"),
        bind(C::Recover, &[key(KeyCode::Down)], A::Down, "", "scroll by a line"),
        bind(C::TooSmall, &[char('q')], A::Quit, "quit", "quit"),
    ]
};

/// What the key means in the first of the contexts that knows it.
pub fn lookup(contexts: &[Context], event: &KeyEvent) -> Option<Action> {
    contexts.iter().find_map(|context| {
        let here = KEYS.iter().filter(|binding| binding.context == *context);
        here.into_iter().find(|binding| binding.keys.iter().any(|key| key.matches(event))).map(|binding| binding.action)
    })
}

impl Key {
    fn matches(self, event: &KeyEvent) -> bool {
        let held = event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        // Shift is already in a capital letter and in a back tab.
        let besides_shift = held - KeyModifiers::SHIFT;
        match (self, event.code) {
            (Self::Is(KeyCode::Char(wanted), modifiers), KeyCode::Char(c)) => wanted == c && besides_shift == modifiers,
            (Self::Is(KeyCode::BackTab, _), code) => code == KeyCode::BackTab,
            (Self::Is(wanted, modifiers), code) => wanted == code && held == modifiers,
            (Self::Digit, KeyCode::Char(c)) => c.is_ascii_digit() && besides_shift.is_empty(),
            (Self::AnyChar, KeyCode::Char(_)) => besides_shift.is_empty(),
            (Self::Digit | Self::AnyChar, _) => false,
        }
    }

    pub fn name(self, glyphs: Glyphs) -> String {
        match self {
            Self::Digit => "0-9".to_owned(),
            Self::AnyChar => "a character".to_owned(),
            Self::Is(code, modifiers) => {
                let plain = match code {
                    KeyCode::Char(' ') => "Space".to_owned(),
                    KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => c.to_uppercase().to_string(),
                    KeyCode::Char(c) => c.to_string(),
                    KeyCode::Up => glyphs.up_key().to_owned(),
                    KeyCode::Down => glyphs.down_key().to_owned(),
                    KeyCode::Left => glyphs.left_key().to_owned(),
                    KeyCode::Right => glyphs.right_key().to_owned(),
                    KeyCode::PageUp => "PgUp".to_owned(),
                    KeyCode::PageDown => "PgDn".to_owned(),
                    KeyCode::BackTab => "Shift-Tab".to_owned(),
                    other => other.to_string(),
                };
                let held = [(KeyModifiers::CONTROL, "Ctrl-"), (KeyModifiers::SHIFT, "Shift-")];
                let prefix: String =
                    held.iter().filter(|(flag, _)| modifiers.contains(*flag)).map(|(_, name)| *name).collect();
                prefix + &plain
            }
        }
    }
}

/// Neighbouring bindings of one context that say the same, with `text` choosing what they say.
pub fn groups(context: Context, text: fn(&Binding) -> &'static str) -> Vec<Vec<&'static Binding>> {
    let mut groups: Vec<Vec<&Binding>> = Vec::new();
    for binding in KEYS.iter().filter(|binding| binding.context == context && !text(binding).is_empty()) {
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|last| text(last) == text(binding)) => group.push(binding),
            _ => groups.push(vec![binding]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_context() {
        for (at, one) in KEYS.iter().enumerate() {
            for other in KEYS[at + 1..].iter().filter(|other| other.context == one.context) {
                for key in one.keys {
                    assert!(!other.keys.contains(key), "{key:?} is {:?} and {:?}", one.action, other.action);
                }
            }
        }
    }

    #[test]
    fn every_binding_has_help_and_every_context_but_one_is_in_the_help() {
        for binding in KEYS {
            assert!(!binding.help.is_empty(), "{:?}", binding.action);
            let listed = Context::HELP.iter().any(|(context, _)| *context == binding.context);
            assert!(listed || binding.context == Context::TooSmall, "{:?}", binding.context);
        }
    }

    #[test]
    fn shift_matters_for_arrows_and_not_for_letters() {
        let press = |code, modifiers| lookup(&[Context::Slider, Context::Panes], &KeyEvent::new(code, modifiers));
        assert_eq!(press(KeyCode::Left, KeyModifiers::NONE), Some(Action::Less));
        assert_eq!(press(KeyCode::Left, KeyModifiers::SHIFT), Some(Action::MuchLess));
        assert_eq!(press(KeyCode::Char('R'), KeyModifiers::SHIFT), Some(Action::RevertAll));
        assert_eq!(press(KeyCode::Char('r'), KeyModifiers::CONTROL), None);
        assert_eq!(press(KeyCode::Char('2'), KeyModifiers::NONE), Some(Action::Insert));
    }
}
