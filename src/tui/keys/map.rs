//! The keys of a run: the table with what the configuration's `[keys]` says over it. A key that would mean two things
//! at once is refused with both named.

use ratatui::crossterm::event::KeyEvent;
use toml::Value;

use super::{Action, Binding, Context, Key, parse::key, table::KEYS};
use crate::tui::glyphs::Glyphs;

#[derive(Debug, Clone)]
pub struct Keymap {
    bindings: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        let bindings = KEYS.iter().map(|entry| Binding {
            context: entry.context,
            keys: entry.keys.to_vec(),
            action: entry.action,
            label: entry.label,
            help: entry.help,
        });
        Self { bindings: bindings.collect() }
    }
}

/// Why a table of keys cannot be used. `action` is the name in the table that it is about, to find its line by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct KeyError {
    pub action: String,
    pub what: String,
}

/// What may be open at the same time, the innermost first.
const TOGETHER: &[&[Context]] = {
    use Context as C;
    &[
        &[C::Nodes, C::Panes, C::Always],
        &[C::Types, C::Changing, C::Picker, C::Panes, C::Always],
        &[C::Slider, C::Changing, C::Picker, C::Panes, C::Always],
        &[C::Choice, C::Changing, C::Picker, C::Panes, C::Always],
        &[C::Switch, C::Changing, C::Picker, C::Panes, C::Always],
        &[C::Text, C::Changing, C::Picker, C::Panes, C::Always],
        &[C::Button, C::Changing, C::Picker, C::Panes, C::Always],
        &[C::Active, C::Panes, C::Always],
        &[C::Log, C::Panes, C::Always],
        &[C::TypingNumber, C::Always],
        &[C::TypingText, C::Always],
        &[C::Prompt, C::Always],
        &[C::Palette, C::Always],
        &[C::Presets, C::Always],
        &[C::Popup, C::Always],
        &[C::Recover, C::Always],
        &[C::TooSmall, C::Always],
    ]
};

impl Keymap {
    /// The table with `action = "key"` or `action = ["key", …]` over it.
    ///
    /// # Errors
    /// An action or a key that nobody knows, and a key that would mean two things.
    pub fn from_table(table: &toml::Table) -> Result<Self, KeyError> {
        let mut map = Self::default();
        let mut said = vec![false; map.bindings.len()];
        for (name, value) in table {
            let keys = keys_of(name, value)?;
            let action = action_of(name)?;
            // Where an action has further keys in some place (Enter on a button), those stay.
            let first = KEYS.iter().find(|entry| entry.action == action).map(|entry| entry.keys);
            for (at, entry) in KEYS.iter().enumerate() {
                if entry.action == action && Some(entry.keys) == first {
                    map.bindings[at].keys.clone_from(&keys);
                    said[at] = true;
                }
            }
        }
        map.conflict(&said).map_or(Ok(map), Err)
    }

    fn conflict(&self, said: &[bool]) -> Option<KeyError> {
        for (at, one) in self.bindings.iter().enumerate().filter(|(at, _)| said[*at]) {
            for other in self.bindings.iter().filter(|other| other.action != one.action) {
                if !together(one.context, other.context) {
                    continue;
                }
                let Some(key) = one.keys.iter().find(|key| other.keys.iter().any(|other| key.meets(*other))) else {
                    continue;
                };
                let name = one.action.name().unwrap_or_default().to_owned();
                let what = format!(
                    "the key {} cannot be both {name} ({}) and {} ({})",
                    key.name(Glyphs::new(false)),
                    KEYS[at].help,
                    other.action.name().unwrap_or("what stands there already"),
                    other.help
                );
                return Some(KeyError { action: name, what });
            }
        }
        None
    }

    /// What the key means in the first of the contexts that knows it.
    pub fn lookup(&self, contexts: &[Context], event: &KeyEvent) -> Option<Action> {
        contexts.iter().find_map(|context| {
            let mut here = self.bindings.iter().filter(|binding| binding.context == *context);
            here.find(|binding| binding.keys.iter().any(|key| key.matches(event))).map(|binding| binding.action)
        })
    }

    /// Whether one of the contexts knows the action.
    pub fn knows(&self, contexts: &[Context], action: Action) -> bool {
        self.bindings.iter().any(|binding| binding.action == action && contexts.contains(&binding.context))
    }

    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Neighbouring bindings of one context that say the same, with `text` choosing what they say.
    pub fn groups(&self, context: Context, text: fn(&Binding) -> &'static str) -> Vec<Vec<&Binding>> {
        let mut groups: Vec<Vec<&Binding>> = Vec::new();
        for binding in self.bindings.iter().filter(|binding| binding.context == context && !text(binding).is_empty()) {
            match groups.last_mut() {
                Some(group) if group.last().is_some_and(|last| text(last) == text(binding)) => group.push(binding),
                _ => groups.push(vec![binding]),
            }
        }
        groups
    }
}

fn together(one: Context, other: Context) -> bool {
    one == other || TOGETHER.iter().any(|chain| chain.contains(&one) && chain.contains(&other))
}

fn action_of(name: &str) -> Result<Action, KeyError> {
    let known = || KEYS.iter().filter_map(|entry| entry.action.name().map(|name| (name, entry.action)));
    known().find(|(known, _)| *known == name).map(|(_, action)| action).ok_or_else(|| {
        let mut names: Vec<&str> = known().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        KeyError { action: name.to_owned(), what: format!("there is no action {name:?}; there are {}", names.join(", ")) }
    })
}

fn keys_of(name: &str, value: &Value) -> Result<Vec<Key>, KeyError> {
    let wrong = |what: String| KeyError { action: name.to_owned(), what };
    let expected = || wrong(format!("{name} cannot be {value}; expected a key such as \"i\", or a list of keys"));
    let words: Vec<&str> = match value {
        Value::String(word) => vec![word],
        Value::Array(words) => words.iter().map(|word| word.as_str().ok_or_else(expected)).collect::<Result<_, _>>()?,
        _ => return Err(expected()),
    };
    words.into_iter().map(|word| key(word).map_err(|what| wrong(format!("{name}: {what}")))).collect()
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::{KeyCode, KeyModifiers};

    use super::*;

    fn from(text: &str) -> Result<Keymap, KeyError> {
        Keymap::from_table(&text.parse().unwrap())
    }

    fn means(map: &Keymap, context: Context, code: KeyCode) -> Option<Action> {
        map.lookup(&[context, Context::Panes], &KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn an_action_takes_the_keys_that_are_given_and_lets_its_own_go() {
        let map = from("inject = \"F5\"\nrevert = [\"d\", \"Delete\"]").unwrap();
        assert_eq!(means(&map, Context::Nodes, KeyCode::F(5)), Some(Action::Inject));
        assert_eq!(means(&map, Context::Nodes, KeyCode::Char('i')), None);
        assert_eq!(means(&map, Context::Nodes, KeyCode::Delete), Some(Action::Revert));
        assert_eq!(means(&map, Context::Button, KeyCode::Enter), Some(Action::Inject), "the button stays a button");
        let swapped = from("inject = \"r\"\nrevert = \"i\"").unwrap();
        assert_eq!(means(&swapped, Context::Log, KeyCode::Char('r')), Some(Action::Inject));
    }

    #[test]
    fn a_key_that_would_mean_two_things_is_refused_with_both_named() {
        for (text, both) in [
            ("inject = \"r\"", ["inject", "revert"]),
            ("mark = \"i\"", ["mark", "inject"]),
            ("help = \"j\"", ["help", "down"]),
            ("search = \"Ctrl-x\"", ["search", "panic"]),
            ("inject = \"5\"", ["inject", "type the number"]),
        ] {
            let error = from(text).unwrap_err().to_string();
            assert!(both.iter().all(|name| error.contains(name)), "{text}: {error}");
        }
    }

    #[test]
    fn what_nobody_knows_is_refused_with_what_is_known() {
        let error = from("injekt = \"r\"").unwrap_err();
        assert_eq!(error.action, "injekt");
        assert!(error.to_string().contains("inject, "), "{error}");
        assert!(from("inject = \"Hyper-r\"").unwrap_err().to_string().contains("expected"));
        assert!(from("inject = 5").unwrap_err().to_string().contains("expected a key"));
    }
}
