//! The keys where nobody said otherwise.

use std::borrow::Cow;

use ratatui::crossterm::event::{KeyCode, KeyModifiers};

use super::{Action, Binding, Context, Key};
use crate::tui::model::Pane;

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
    Binding { context, keys: Cow::Borrowed(keys), action, label, help }
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

pub static KEYS: &[Binding] = {
    use Action as A;
    use Context as C;
    &[
        bind(C::Panes, &[char('i')], A::Inject, "inject", "inject the fault into the target"),
        bind(C::Panes, &[key(KeyCode::Tab)], A::NextPane, "pane", "next pane, previous pane"),
        bind(C::Panes, &[key(KeyCode::BackTab)], A::PreviousPane, "", "next pane, previous pane"),
        bind(C::Panes, &[char('r')], A::Revert, "revert", "revert the selected injection, at once"),
        bind(C::Panes, &[char('u')], A::Undo, "undo", "undo the last action, whatever it was"),
        bind(C::Panes, &[char('R')], A::RevertAll, "revert all", "revert all injections of this session, at once"),
        bind(C::Panes, &[char('U')], A::ByHand, "", "show the selected injection's undo by hand, to copy"),
        bind(C::Panes, &[char('p')], A::Presets, "presets", "call a fault by the key of its name"),
        bind(C::Panes, &[char('P')], A::Keep, "", "give what the sliders say a name, in the configuration file"),
        bind(C::Panes, &[char('d')], A::Random, "", "make a node the target at random, and say the seed"),
        bind(C::Panes, &[char('e')], A::Guide, "expect", "show what to look for, before and after injecting"),
        bind(C::Panes, &[char('t')], A::Timeline, "timeline", "show this session over time, with every injection"),
        bind(C::Panes, &[char('m')], A::Measured, "", "show what the selected injection does, measured"),
        bind(C::Panes, &[char('c')], A::Commands, "commands", "show all that the fault would run, and its undo"),
        bind(C::Panes, &[char('1')], A::Focus(Pane::Nodes), "", "go to the pane of that number"),
        bind(C::Panes, &[char('2')], A::Focus(Pane::Picker), "", "go to the pane of that number"),
        bind(C::Panes, &[char('3')], A::Focus(Pane::Active), "", "go to the pane of that number"),
        bind(C::Panes, &[char('4')], A::Focus(Pane::Log), "", "go to the pane of that number"),
        bind(C::Panes, &[char(':')], A::Palette, "find", "find an action by a few letters"),
        bind(C::Panes, &[char('/')], A::Filter, "", "show only the nodes with a text"),
        bind(C::Panes, ESC, A::Clear, "", "take all marks away; then show all nodes again"),
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
        bind(
            C::Always,
            &[Key::Is(KeyCode::Char('z'), KeyModifiers::CONTROL)],
            A::Suspend,
            "",
            "back to the shell until `fg`; deadlines are kept meanwhile",
        ),
        bind(C::Nodes, UP, A::Up, "select", "select the target"),
        bind(C::Nodes, DOWN, A::Down, "select", "select the target"),
        bind(C::Nodes, FIRST, A::First, "", "first node, last node"),
        bind(C::Nodes, LAST, A::Last, "", "first node, last node"),
        bind(C::Nodes, &[char(' ')], A::Mark, "mark", "mark the node, for one injection into several"),
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
        bind(C::Opened, ESC, A::Leave, "back", "back to new injections"),
        bind(C::Opened, &[char('i')], A::Inject, "", "make a change that was refused, by the node's name"),
        bind(C::Active, UP, A::Up, "select", "select an injection"),
        bind(C::Active, DOWN, A::Down, "select", "select an injection"),
        bind(C::Active, FIRST, A::First, "", "first injection, last injection"),
        bind(C::Active, LAST, A::Last, "", "first injection, last injection"),
        bind(C::Active, &[char('r')], A::Revert, "revert", "revert it, at once"),
        bind(C::Active, ENTER, A::Open, "change", "open it, to change it while it holds"),
        bind(C::Active, &[char('m')], A::Measured, "measured", "show what it does, measured"),
        bind(C::Log, &[char('/')], A::Filter, "filter", "show only the lines with a text"),
        bind(
            C::Log,
            &[char('n')],
            A::OlderHit,
            "hit",
            "go to the next older line with the text, to the next newer one",
        ),
        bind(
            C::Log,
            &[char('N')],
            A::NewerHit,
            "hit",
            "go to the next older line with the text, to the next newer one",
        ),
        bind(C::Log, &[char('f')], A::WithOthers, "others", "the lines without the text as well, or no longer"),
        bind(C::Log, &[char('v')], A::Gravity, "level", "only warnings and errors, only errors, everything"),
        bind(C::Log, UP, A::Up, "scroll", "scroll by a line"),
        bind(C::Log, DOWN, A::Down, "scroll", "scroll by a line"),
        bind(C::Log, PAGE_UP, A::PageUp, "page", "scroll by a page"),
        bind(C::Log, PAGE_DOWN, A::PageDown, "page", "scroll by a page"),
        bind(C::Log, FIRST, A::First, "", "the oldest line, the newest line"),
        bind(C::Log, LAST, A::Last, "newest", "the oldest line, the newest line"),
        bind(C::Log, ESC, A::Clear, "", "show all lines again"),
        bind(C::Prompt, &[Key::AnyChar], A::Insert, "", "add to the line"),
        bind(C::Prompt, BACKSPACE, A::Erase, "erase", "take the last character away"),
        bind(C::Prompt, ENTER, A::Accept, "done", "done"),
        bind(C::Prompt, ESC, A::Cancel, "cancel", "as it was before"),
        bind(C::Palette, &[Key::AnyChar], A::Insert, "", "letters of what is wanted, in their order"),
        bind(C::Palette, BACKSPACE, A::Erase, "", "take the last character away"),
        bind(C::Palette, &[key(KeyCode::Up), key(KeyCode::BackTab)], A::Up, "select", "select"),
        bind(C::Palette, &[key(KeyCode::Down), key(KeyCode::Tab)], A::Down, "select", "select"),
        bind(C::Palette, ENTER, A::Accept, "do it", "do it"),
        bind(C::Palette, ESC, A::Cancel, "close", "close it"),
        bind(C::Presets, &[Key::AnyChar], A::Insert, "", "call the one with this key"),
        bind(C::Presets, &[key(KeyCode::Up), key(KeyCode::BackTab)], A::Up, "select", "select"),
        bind(C::Presets, &[key(KeyCode::Down), key(KeyCode::Tab)], A::Down, "select", "select"),
        bind(C::Presets, ENTER, A::Accept, "take it", "take the selected one"),
        bind(C::Presets, ESC, A::Cancel, "close", "close it"),
        bind(C::Popup, UP, A::Up, "scroll", "scroll by a line"),
        bind(C::Popup, DOWN, A::Down, "scroll", "scroll by a line"),
        bind(C::Popup, PAGE_UP, A::PageUp, "page", "scroll by a page"),
        bind(C::Popup, PAGE_DOWN, A::PageDown, "page", "scroll by a page"),
        bind(C::Popup, FIRST, A::First, "", "the beginning, the end"),
        bind(C::Popup, LAST, A::Last, "", "the beginning, the end"),
        bind(
            C::Popup,
            &[
                key(KeyCode::Esc),
                key(KeyCode::Enter),
                char('q'),
                char('?'),
                char('U'),
                char('c'),
                char('e'),
                char('m'),
                char('t'),
            ],
            A::Close,
            "close",
            "close it",
        ),
        bind(C::ByHand, &[char('y')], A::Copy, "copy", "copy it, through the terminal (OSC 52)"),
        bind(C::Confirm, &[char('y'), key(KeyCode::Enter)], A::Confirm, "inject", "inject"),
        bind(C::Confirm, &[char('n'), key(KeyCode::Esc)], A::Refuse, "cancel", "do not inject"),
        bind(C::ConfirmName, &[Key::AnyChar], A::Insert, "", "type the node's name"),
        bind(C::ConfirmName, BACKSPACE, A::Erase, "erase", "take the last character away"),
        bind(C::ConfirmName, ENTER, A::Confirm, "inject all the same", "inject it, if the name is right"),
        bind(C::ConfirmName, ESC, A::Refuse, "cancel", "do not inject"),
        bind(C::ConfirmChange, &[Key::AnyChar], A::Insert, "", "type the node's name"),
        bind(C::ConfirmChange, BACKSPACE, A::Erase, "erase", "take the last character away"),
        bind(C::ConfirmChange, ENTER, A::Confirm, "change all the same", "change it, if the name is right"),
        bind(C::ConfirmChange, ESC, A::Refuse, "cancel", "do not change it"),
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
