//! One key: whether a press is it, and how it is shown.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::glyphs::Glyphs;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Is(KeyCode, KeyModifiers),
    Digit,
    AnyChar,
}

impl Key {
    pub(super) fn matches(self, event: &KeyEvent) -> bool {
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
    pub(super) fn meets(self, other: Self) -> bool {
        let typed = |key, c: char| key == Self::AnyChar || (key == Self::Digit && c.is_ascii_digit());
        match (self, other) {
            (Self::Is(KeyCode::Char(c), KeyModifiers::NONE), other) if typed(other, c) => true,
            (other, Self::Is(KeyCode::Char(c), KeyModifiers::NONE)) if typed(other, c) => true,
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
