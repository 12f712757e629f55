//! A key as it is written in a configuration: `i`, `R`, `Ctrl-x`, `Shift-Left`, `F5`, `Space`.

use ratatui::crossterm::event::{KeyCode, KeyModifiers};

use super::Key;

/// The key of that name, or what was expected.
pub fn key(text: &str) -> Result<Key, String> {
    let mut modifiers = KeyModifiers::NONE;
    let mut rest = text;
    for (prefix, modifier) in
        [("Ctrl-", KeyModifiers::CONTROL), ("Alt-", KeyModifiers::ALT), ("Shift-", KeyModifiers::SHIFT)]
    {
        if let Some((head, tail)) = rest.split_at_checked(prefix.len()).filter(|(_, tail)| !tail.is_empty())
            && head.eq_ignore_ascii_case(prefix)
        {
            modifiers |= modifier;
            rest = tail;
        }
    }
    let mut chars = rest.chars();
    let code = match (chars.next(), chars.next()) {
        (Some(c), None) if !c.is_control() && c != ' ' => KeyCode::Char(c),
        _ => named(rest).ok_or_else(|| {
            format!(
                "there is no key {text:?}; expected a character, Enter, Esc, Space, Tab, Shift-Tab, Backspace, \
                 Delete, Insert, Up, Down, Left, Right, PgUp, PgDn, Home, End or F1 to F12, with Ctrl-, Alt- or \
                 Shift- before it"
            )
        })?,
    };
    sent(code, modifiers).ok_or_else(|| {
        format!("a terminal cannot send {text:?}; expected Ctrl- before a letter but i and m, or before a key with a name, and no Shift- before a character: write that one itself")
    })
}

/// The press as a terminal without further protocols sends it, if it can: a capital letter for Shift, a code of its own
/// for the back tab, and nothing that tells Ctrl-i from Tab, or Ctrl-Enter from Enter.
fn sent(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
    let (control, shift) = (modifiers.contains(KeyModifiers::CONTROL), modifiers.contains(KeyModifiers::SHIFT));
    match code {
        KeyCode::Char(' ') if !shift => Some(Key::Is(code, modifiers)),
        KeyCode::Char(c) if control => {
            let plain = c.is_ascii_alphabetic() && !matches!(c.to_ascii_lowercase(), 'i' | 'm') && !shift;
            plain.then_some(Key::Is(KeyCode::Char(c.to_ascii_lowercase()), modifiers))
        }
        KeyCode::Char(c) if shift => {
            let capital = c.is_ascii_alphabetic().then_some(c.to_ascii_uppercase())?;
            Some(Key::Is(KeyCode::Char(capital), modifiers - KeyModifiers::SHIFT))
        }
        KeyCode::Tab if modifiers == KeyModifiers::SHIFT => Some(Key::Is(KeyCode::BackTab, KeyModifiers::NONE)),
        KeyCode::Enter | KeyCode::Esc | KeyCode::Tab | KeyCode::Backspace if control || shift => None,
        _ => Some(Key::Is(code, modifiers)),
    }
}

fn named(name: &str) -> Option<KeyCode> {
    Some(match name.to_ascii_lowercase().as_str() {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "space" => KeyCode::Char(' '),
        "tab" => KeyCode::Tab,
        "backspace" => KeyCode::Backspace,
        "delete" => KeyCode::Delete,
        "insert" => KeyCode::Insert,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        other => {
            let number = other.strip_prefix('f').and_then(|number| number.parse().ok())?;
            (1..=12).contains(&number).then_some(KeyCode::F(number))?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::{glyphs::Glyphs, keys::table::KEYS};

    #[test]
    fn keys_are_read_as_they_are_written() {
        let is = |code, modifiers| Ok(Key::Is(code, modifiers));
        assert_eq!(key("i"), is(KeyCode::Char('i'), KeyModifiers::NONE));
        assert_eq!(key("-"), is(KeyCode::Char('-'), KeyModifiers::NONE));
        assert_eq!(key("Ctrl-X"), is(KeyCode::Char('x'), KeyModifiers::CONTROL));
        assert_eq!(key("Shift-Tab"), is(KeyCode::BackTab, KeyModifiers::NONE));
        assert_eq!(key("shift-r"), is(KeyCode::Char('R'), KeyModifiers::NONE));
        assert_eq!(key("Ctrl-Shift-Left"), is(KeyCode::Left, KeyModifiers::CONTROL | KeyModifiers::SHIFT));
        assert_eq!(key("F12"), is(KeyCode::F(12), KeyModifiers::NONE));
    }

    #[test]
    fn what_is_no_key_or_what_no_terminal_sends_is_refused() {
        for bad in ["", "F13", "Hyper-x", "ab", "Ctrl-", "\u{1b}", "é\u{301}"] {
            assert!(key(bad).unwrap_err().contains("there is no key"), "{bad:?}");
        }
        for bad in ["Ctrl-i", "Ctrl-M", "Ctrl-5", "Shift-1", "Ctrl-Enter", "Ctrl-Shift-x"] {
            assert!(key(bad).unwrap_err().contains("cannot send"), "{bad:?}");
        }
    }

    #[test]
    fn every_key_of_the_table_is_written_as_it_is_shown() {
        for shown in KEYS.iter().flat_map(|binding| binding.keys.iter()).filter(|key| matches!(key, Key::Is(..))) {
            assert_eq!(key(&shown.name(Glyphs::new(false))), Ok(*shown));
        }
    }
}
