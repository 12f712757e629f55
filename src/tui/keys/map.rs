//! The keys of one run, looked up and grouped for whatever shows them.

use ratatui::crossterm::event::KeyEvent;

use super::{Action, Binding, Context, table::KEYS};

#[derive(Debug, Clone)]
pub struct Keymap {
    bindings: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self { bindings: KEYS.to_vec() }
    }
}

impl Keymap {
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
