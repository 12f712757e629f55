//! The keys of one run: the table with what a configuration says over it, looked up and grouped for whatever shows them.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use toml::Value;

use super::{Action, Binding, Context, Key, parse::key, table::KEYS};
use crate::tui::glyphs::Glyphs;

#[derive(Debug, Clone)]
pub struct Keymap {
    bindings: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self { bindings: KEYS.to_vec() }
    }
}

/// Why keys cannot be used, with the name in the table that it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct KeyError {
    pub action: String,
    what: String,
}

/// What opened a popup closes it as well.
const TOGGLES: [Action; 7] =
    [Action::Quit, Action::Help, Action::ByHand, Action::Commands, Action::Guide, Action::Measured, Action::Timeline];

impl Keymap {
    /// The table with `action = "key"` or `action = ["key", …]` over it. Where an action has other keys in one place than
    /// in its first, as `inject` has Enter on its button, those stay.
    ///
    /// # Errors
    /// An action or a key that nobody knows, and a key that would mean two things at once.
    pub fn from_table(table: &toml::Table) -> Result<Self, KeyError> {
        let mut map = Self::default();
        let mut remapped = vec![false; map.bindings.len()];
        for (name, value) in table {
            let action = action_of(name)?;
            let keys = keys_of(name, value)?;
            let usual = KEYS.iter().find(|binding| binding.action == action).map(|binding| &binding.keys);
            for (at, default) in KEYS.iter().enumerate().filter(|(_, default)| default.action == action) {
                if Some(&default.keys) == usual {
                    map.bindings[at].keys = keys.clone().into();
                    remapped[at] = true;
                }
            }
        }
        if !table.contains_key("close") {
            map.close_by_toggles();
        }
        map.conflict(&remapped).map_or(Ok(map), Err)
    }

    fn close_by_toggles(&mut self) {
        let mut keys = [KeyCode::Esc, KeyCode::Enter].map(|code| Key::Is(code, KeyModifiers::NONE)).to_vec();
        keys.extend(TOGGLES.iter().flat_map(|action| self.keys_of(*action)));
        for binding in self.bindings.iter_mut().filter(|binding| binding.action == Action::Close) {
            binding.keys = keys.clone().into();
        }
    }

    fn conflict(&self, remapped: &[bool]) -> Option<KeyError> {
        for (at, one) in self.bindings.iter().enumerate().filter(|(at, _)| remapped[*at]) {
            for (beside, other) in self.bindings.iter().enumerate().filter(|(_, other)| other.action != one.action) {
                let nested = |inner: Context, outer| inner.outwards().any(|context| context == outer);
                if !nested(one.context, other.context) && !nested(other.context, one.context) {
                    continue;
                }
                // Where the table itself lets an inner meaning hide an outer one, as a digit on a slider, that is meant.
                let meant = |key: &Key, met: &Key| KEYS[at].keys.contains(key) && KEYS[beside].keys.contains(met);
                let met = |key: &&Key| other.keys.iter().any(|met| key.meets(*met) && !meant(key, met));
                let Some(key) = one.keys.iter().find(met) else { continue };
                let name = one.action.name().unwrap_or_default().to_owned();
                let what = format!(
                    "the key {} cannot be both {name} ({}) and {} ({}): give one of them another key",
                    key.name(Glyphs::new(false)),
                    one.help,
                    other.action.name().unwrap_or("what is typed"),
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

    /// The bindings of the context, in the order of the table.
    pub fn of(&self, context: Context) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| binding.context == context)
    }

    /// Whether one of the contexts knows the action.
    pub fn knows(&self, contexts: &[Context], action: Action) -> bool {
        contexts.iter().any(|context| self.of(*context).any(|binding| binding.action == action))
    }

    /// The keys of the action where it stands first.
    fn keys_of(&self, action: Action) -> Vec<Key> {
        self.bindings.iter().find(|binding| binding.action == action).map_or(vec![], |binding| binding.keys.to_vec())
    }

    /// The action's first key, for texts that name it.
    pub fn name_of(&self, action: Action, glyphs: Glyphs) -> String {
        self.keys_of(action).first().map(|key| key.name(glyphs)).unwrap_or_default()
    }

    /// Neighbouring bindings of one context that say the same, with `text` choosing what they say.
    pub fn groups(&self, context: Context, text: fn(&Binding) -> &'static str) -> Vec<Vec<&Binding>> {
        let mut groups: Vec<Vec<&Binding>> = Vec::new();
        for binding in self.of(context).filter(|binding| !text(binding).is_empty()) {
            match groups.last_mut() {
                Some(group) if group.last().is_some_and(|last| text(last) == text(binding)) => group.push(binding),
                _ => groups.push(vec![binding]),
            }
        }
        groups
    }
}

/// Every action that has a name, with its usual keys, in the order of the table.
fn named() -> Vec<(&'static str, &'static Binding)> {
    let mut named: Vec<(&str, &Binding)> = Vec::new();
    for binding in KEYS {
        if let Some(name) = binding.action.name().filter(|name| named.iter().all(|(known, _)| known != name)) {
            named.push((name, binding));
        }
    }
    named
}

fn action_of(name: &str) -> Result<Action, KeyError> {
    let named = named();
    named.iter().find(|(known, _)| *known == name).map(|(_, binding)| binding.action).ok_or_else(|| {
        let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
        let what = format!("there is no action {name:?}; expected one of {}", names.join(", "));
        KeyError { action: name.to_owned(), what }
    })
}

fn keys_of(name: &str, value: &Value) -> Result<Vec<Key>, KeyError> {
    let wrong = |what: String| KeyError { action: name.to_owned(), what };
    let expected = || {
        let kind = value.type_str();
        wrong(format!("{name}: this {kind} is no key; expected a key such as \"i\", or a list of keys"))
    };
    let words: Vec<&str> = match value {
        Value::String(word) => vec![word],
        Value::Array(words) if !words.is_empty() => {
            words.iter().map(|word| word.as_str().ok_or_else(expected)).collect::<Result<_, _>>()?
        }
        _ => return Err(expected()),
    };
    words.into_iter().map(|word| key(word).map_err(|what| wrong(format!("{name}: {what}")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_FILE;

    fn from(text: &str) -> Result<Keymap, KeyError> {
        Keymap::from_table(&text.parse().unwrap())
    }

    fn means(map: &Keymap, context: Context, code: KeyCode) -> Option<Action> {
        let contexts: Vec<Context> = context.outwards().collect();
        map.lookup(&contexts, &KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn an_action_takes_the_keys_that_are_given_and_lets_its_own_go() {
        let map = from("inject = \"F5\"\nrevert = [\"x\", \"Delete\"]").unwrap();
        assert_eq!(means(&map, Context::Nodes, KeyCode::F(5)), Some(Action::Inject));
        assert_eq!(means(&map, Context::Nodes, KeyCode::Char('i')), None);
        assert_eq!(means(&map, Context::Nodes, KeyCode::Delete), Some(Action::Revert));
        assert_eq!(means(&map, Context::Button, KeyCode::Enter), Some(Action::Inject), "the button stays a button");
        let swapped = from("inject = \"r\"\nrevert = \"i\"").unwrap();
        assert_eq!(means(&swapped, Context::Log, KeyCode::Char('r')), Some(Action::Inject));
        assert_eq!(swapped.name_of(Action::Revert, Glyphs::new(true)), "i");
    }

    #[test]
    fn the_key_that_opens_a_popup_closes_it_whatever_it_is() {
        let map = from("help = \"F1\"").unwrap();
        assert_eq!(means(&map, Context::Popup, KeyCode::F(1)), Some(Action::Close));
        assert_eq!(means(&map, Context::Popup, KeyCode::Char('?')), None);
        assert_eq!(means(&from("close = \"o\"").unwrap(), Context::Popup, KeyCode::Char('q')), None);
        let mut usual = Keymap::default();
        usual.close_by_toggles();
        assert_eq!(usual.keys_of(Action::Close), Keymap::default().keys_of(Action::Close));
    }

    #[test]
    fn a_key_that_would_mean_two_things_is_refused_with_both_named() {
        for (text, both) in [
            ("inject = \"r\"", ["inject", "revert"]),
            ("help = \"j\"", ["help", "down"]),
            ("commands = \"Ctrl-x\"", ["commands", "panic"]),
            ("inject = \"5\"", ["inject", "type the number"]),
            ("accept = \"a\"", ["accept", "what is typed"]),
            ("stay = \"r\"", ["stay", "revert_and_quit"]),
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
        for wrong in ["5", "[]", "[5]", "{ a = 1 }"] {
            let error = from(&format!("inject = {wrong}")).unwrap_err().to_string();
            assert!(error.contains("expected a key"), "{error}");
        }
    }

    /// The commented `[keys]` of the default file, with the comments taken away.
    #[test]
    fn the_default_file_names_every_action_with_its_usual_keys() {
        let (_, keys) = DEFAULT_FILE.split_once("#[keys]\n").unwrap();
        let (keys, _) = keys.split_once("#[presets.").unwrap();
        let keys: String =
            keys.lines().filter(|line| line.contains(" = ")).map(|line| format!("{}\n", &line[1..])).collect();
        let table: toml::Table = keys.parse().unwrap();
        for (name, binding) in named() {
            let value = table.get(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(keys_of(name, value).unwrap(), &*binding.keys, "{name}");
        }
        assert_eq!(table.len(), named().len());
        Keymap::from_table(&table).unwrap();
    }
}
