//! The one table of keys. The footer, the `?` help and the buttons of the dialogs are made from it, so that none of them
//! can say what is not so.

mod action;
mod key;
mod map;
mod parse;
mod table;

use std::borrow::Cow;

pub use self::{
    action::Action,
    key::Key,
    map::{KeyError, Keymap},
};

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
    /// The picker, while its fields are those of an injection that holds.
    Opened,
    Active,
    Log,
    /// A line is typed at the foot of the screen.
    Prompt,
    Palette,
    Presets,
    Popup,
    /// The undo of an injection by hand, to read.
    ByHand,
    Confirm,
    /// As `Confirm`, by typing the node's name.
    ConfirmName,
    /// As `ConfirmName`, for injections that hold.
    ConfirmChange,
    Quit,
    /// As `Quit`, where the demo would stay behind: with nothing open, and with injections open.
    QuitDemo,
    QuitDemoOpen,
    Reverting,
    Recover,
    TooSmall,
}

impl Context {
    /// The one around it, which is asked for the keys that this one does not know.
    pub const fn outer(self) -> Option<Self> {
        match self {
            Self::Always => None,
            Self::Nodes | Self::Picker | Self::Opened | Self::Active | Self::Log => Some(Self::Panes),
            Self::Types | Self::Slider | Self::Choice | Self::Switch | Self::Text | Self::Button => Some(Self::Picker),
            Self::ByHand => Some(Self::Popup),
            _ => Some(Self::Always),
        }
    }

    /// It and all that are around it, itself first.
    pub fn outwards(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |context| context.outer())
    }

    /// In the order and with the headings of the help.
    pub const HELP: [(Self, &'static str); 28] = [
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
        (Self::Opened, "Chaos: an injection that holds"),
        (Self::Active, "Active"),
        (Self::Log, "Log"),
        (Self::Prompt, "Typing a line"),
        (Self::Palette, "Palette"),
        (Self::Presets, "Presets"),
        (Self::Popup, "Popup"),
        (Self::ByHand, "Popup: undo by hand"),
        (Self::Confirm, "Dialog: before an injection"),
        (Self::ConfirmName, "Dialog: before an injection that is refused otherwise"),
        (Self::ConfirmChange, "Dialog: before a change that is refused otherwise"),
        (Self::Quit, "Dialog: quit"),
        (Self::QuitDemo, "Dialog: quit with the demo up"),
        (Self::QuitDemoOpen, "Dialog: quit with the demo up and injections open"),
        (Self::Reverting, "Dialog: while reverting"),
        (Self::Recover, "Dialog: injections left behind"),
    ];
}

#[derive(Debug, Clone)]
pub struct Binding {
    pub context: Context,
    pub keys: Cow<'static, [Key]>,
    pub action: Action,
    /// For the footer and for buttons; empty where there is no room for it. Neighbours with the same one share an
    /// entry.
    pub label: &'static str,
    /// For the help; neighbours with the same one share a line.
    pub help: &'static str,
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::{table::KEYS, *};

    #[test]
    fn no_key_means_two_things_in_one_context() {
        for (at, one) in KEYS.iter().enumerate() {
            for other in KEYS[at + 1..].iter().filter(|other| other.context == one.context) {
                for key in &*one.keys {
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
        let keys = Keymap::default();
        let contexts = [Context::Slider, Context::Panes];
        let press = |code, modifiers| keys.lookup(&contexts, &KeyEvent::new(code, modifiers));
        assert_eq!(press(KeyCode::Left, KeyModifiers::NONE), Some(Action::Less));
        assert_eq!(press(KeyCode::Left, KeyModifiers::SHIFT), Some(Action::MuchLess));
        assert_eq!(press(KeyCode::Char('R'), KeyModifiers::SHIFT), Some(Action::RevertAll));
        assert_eq!(press(KeyCode::Char('r'), KeyModifiers::CONTROL), None);
        assert_eq!(press(KeyCode::Char('2'), KeyModifiers::NONE), Some(Action::Insert));
    }
}
