//! The one table of keys, and what a configuration makes of it. The footer, the `?` help and the buttons of the dialogs are made from it, so that none of them
//! can say what is not so.

mod map;
mod parse;
mod table;

pub use map::{KeyError, Keymap};

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
    /// The sliders are those of an injection that is active.
    Changing,
    Active,
    Log,
    /// A line is typed: a filter, a search, a name.
    Prompt,
    Palette,
    Presets,
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
    pub const HELP: [(Self, &'static str); 26] = [
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
        (Self::Changing, "Chaos: changing an active injection"),
        (Self::Active, "Active"),
        (Self::Log, "Log"),
        (Self::Prompt, "Typing a line"),
        (Self::Palette, "Palette"),
        (Self::Presets, "Presets"),
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
    Mark,
    Random,
    Clear,
    UndoLast,
    Copy,
    Change,
    StopChanging,
    Filter,
    Search,
    NextFound,
    PreviousFound,
    Palette,
    Presets,
    SavePreset,
    Theme,
    Mouse,
    Suspend,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    Is(KeyCode, KeyModifiers),
    Digit,
    AnyChar,
}

/// What a key is bound to. The table says what holds where nobody said otherwise.
#[derive(Debug, Clone)]
pub struct Binding {
    pub context: Context,
    pub keys: Vec<Key>,
    pub action: Action,
    /// For the footer and for buttons; empty where there is no room for it. Neighbours with the same one share an
    /// entry.
    pub label: &'static str,
    /// For the help; neighbours with the same one share a line.
    pub help: &'static str,
}

impl Action {
    /// What it is called in a configuration and in the palette; none where a dialog's own answer, or what is typed, is
    /// meant.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Quit => "quit",
            Self::Help => "help",
            Self::NextPane => "next-pane",
            Self::PreviousPane => "previous-pane",
            Self::Focus(Pane::Nodes) => "nodes",
            Self::Focus(Pane::Picker) => "chaos",
            Self::Focus(Pane::Active) => "active",
            Self::Focus(Pane::Log) => "log",
            Self::Inject => "inject",
            Self::Revert => "revert",
            Self::RevertAll => "revert-all",
            Self::Undo => "undo-commands",
            Self::Guide => "expect",
            Self::Commands => "commands",
            Self::Up => "up",
            Self::Down => "down",
            Self::PageUp => "page-up",
            Self::PageDown => "page-down",
            Self::First => "first",
            Self::Last => "last",
            Self::Less => "less",
            Self::More => "more",
            Self::MuchLess => "much-less",
            Self::MuchMore => "much-more",
            Self::Least => "least",
            Self::Most => "most",
            Self::Panic => "panic",
            Self::Mark => "mark",
            Self::Random => "random-node",
            Self::Clear => "clear",
            Self::UndoLast => "undo-last",
            Self::Copy => "copy-undo",
            Self::Change => "change",
            Self::Filter => "filter",
            Self::Search => "search",
            Self::NextFound => "next-found",
            Self::PreviousFound => "previous-found",
            Self::Palette => "palette",
            Self::Presets => "presets",
            Self::SavePreset => "save-preset",
            Self::Theme => "next-theme",
            Self::Mouse => "mouse",
            Self::Suspend => "suspend",
            Self::Interrupt
            | Self::Edit
            | Self::Insert
            | Self::Erase
            | Self::Accept
            | Self::AcceptUp
            | Self::AcceptDown
            | Self::Cancel
            | Self::Close
            | Self::Confirm
            | Self::Refuse
            | Self::RevertAndQuit
            | Self::LeaveAndQuit
            | Self::TakeDownAndQuit
            | Self::Stay
            | Self::RevertLeftBehind
            | Self::KeepLeftBehind
            | Self::StopChanging => return None,
        })
    }
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

    /// Whether a press could be both.
    fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Is(KeyCode::Char(c), modifiers), Self::Digit) => c.is_ascii_digit() && modifiers.is_empty(),
            (Self::Is(KeyCode::Char(_), modifiers), Self::AnyChar) => modifiers.is_empty(),
            _ => self == other,
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
                let held =
                    [(KeyModifiers::CONTROL, "Ctrl-"), (KeyModifiers::ALT, "Alt-"), (KeyModifiers::SHIFT, "Shift-")];
                let prefix: String =
                    held.iter().filter(|(flag, _)| modifiers.contains(*flag)).map(|(_, name)| *name).collect();
                prefix + &plain
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{table::KEYS, *};

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
        let press = |code, modifiers| Keymap::default().lookup(&[Context::Slider, Context::Panes], &KeyEvent::new(code, modifiers));
        assert_eq!(press(KeyCode::Left, KeyModifiers::NONE), Some(Action::Less));
        assert_eq!(press(KeyCode::Left, KeyModifiers::SHIFT), Some(Action::MuchLess));
        assert_eq!(press(KeyCode::Char('R'), KeyModifiers::SHIFT), Some(Action::RevertAll));
        assert_eq!(press(KeyCode::Char('r'), KeyModifiers::CONTROL), None);
        assert_eq!(press(KeyCode::Char('2'), KeyModifiers::NONE), Some(Action::Insert));
    }
}
