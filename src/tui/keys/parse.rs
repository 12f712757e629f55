//! A key as it is written in a configuration: `i`, `R`, `Ctrl-x`, `Shift-Left`, `F5`, `Space`.

use ratatui::crossterm::event::{KeyCode, KeyModifiers};

use super::Key;

/// The key of that name, or what was expected.
pub fn key(text: &str) -> Result<Key, String> {
    let unknown = || {
        format!(
            "there is no key {text:?}; expected a character, Enter, Esc, Space, Tab, Shift-Tab, Backspace, Delete, \
             Insert, Up, Down, Left, Right, PgUp, PgDn, Home, End, F1 to F12, with Ctrl-, Alt- or Shift- before it"
        )
    };
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
        _ => named(rest).ok_or_else(unknown)?,
    };
    // A terminal sends the capital letter, and a code of its own for the tab.
    match (code, modifiers.contains(KeyModifiers::SHIFT)) {
        (KeyCode::Char(c), true) => {
            Ok(Key::Is(KeyCode::Char(c.to_ascii_uppercase()), modifiers - KeyModifiers::SHIFT))
        }
        (KeyCode::Tab, true) => Ok(Key::Is(KeyCode::BackTab, KeyModifiers::NONE)),
        (KeyCode::Char(c), false) if modifiers.contains(KeyModifiers::CONTROL) => {
            Ok(Key::Is(KeyCode::Char(c.to_ascii_lowercase()), modifiers))
        }
        _ => Ok(Key::Is(code, modifiers)),
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

    #[test]
    fn keys_are_read_as_they_are_shown() {
        let is = |code, modifiers| Ok(Key::Is(code, modifiers));
        assert_eq!(key("i"), is(KeyCode::Char('i'), KeyModifiers::NONE));
        assert_eq!(key("-"), is(KeyCode::Char('-'), KeyModifiers::NONE));
        assert_eq!(key("Ctrl-X"), is(KeyCode::Char('x'), KeyModifiers::CONTROL));
        assert_eq!(key("ctrl--"), is(KeyCode::Char('-'), KeyModifiers::CONTROL));
        assert_eq!(key("Shift-Tab"), is(KeyCode::BackTab, KeyModifiers::NONE));
        assert_eq!(key("shift-r"), is(KeyCode::Char('R'), KeyModifiers::NONE));
        assert_eq!(key("F12"), is(KeyCode::F(12), KeyModifiers::NONE));
        for bad in ["", "F13", "Hyper-x", "ab", "Ctrl-", "\u{1b}", "é\u{301}"] {
            assert!(key(bad).is_err(), "{bad:?}");
        }
    }
}
