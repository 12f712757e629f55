//! From a key to what it means here: which contexts are open now, innermost first.

use ratatui::crossterm::event::{Event, KeyEvent, KeyEventKind};

use super::{act, mouse};
use crate::{
    chaos::Kind,
    tui::{
        Effect, Model,
        keys::{Action, Context},
        model::{Dialog, Pane},
        picker::Field,
    },
};

pub fn event(model: &mut Model, event: &Event) -> Vec<Effect> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => pressed(model, key),
        Event::Mouse(mouse) => mouse::event(model, mouse),
        Event::Paste(text) => {
            act::insert(model, text);
            Vec::new()
        }
        Event::Resize(..) | Event::FocusGained => {
            model.dirty = true;
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn pressed(model: &mut Model, key: &KeyEvent) -> Vec<Effect> {
    let Some(action) = model.keys.lookup(&contexts(model), key) else { return Vec::new() };
    model.dirty = true;
    if let (Action::Insert, Some(c)) = (action, key.code.as_char()) {
        act::insert(model, c.encode_utf8(&mut [0; 4]));
        return Vec::new();
    }
    act::act(model, action)
}

/// The contexts that the next key is looked up in.
pub fn contexts(model: &Model) -> Vec<Context> {
    if let Some(dialog) = &model.dialog {
        return vec![dialog.context(model), Context::Always];
    }
    if model.hits.too_small {
        return vec![Context::TooSmall, Context::Always];
    }
    pane_contexts(model)
}

/// The contexts of the pane that has, or will again have, the keys.
pub fn pane_contexts(model: &Model) -> Vec<Context> {
    let mut contexts = match model.focus {
        Pane::Nodes => vec![Context::Nodes],
        Pane::Active => vec![Context::Active],
        Pane::Log => vec![Context::Log],
        Pane::Picker => {
            let typing = model.picker.typing.is_some();
            match (model.picker.current(), typing) {
                (Field::Value(spec), true) if matches!(spec.kind, Kind::Number { .. }) => {
                    return vec![Context::TypingNumber, Context::Always];
                }
                (_, true) => return vec![Context::TypingText, Context::Always],
                (field, false) => vec![field.context(), Context::Picker],
            }
        }
    };
    contexts.extend([Context::Panes, Context::Always]);
    contexts
}

impl Field {
    fn context(self) -> Context {
        match self {
            Self::Kind => Context::Types,
            Self::Button => Context::Button,
            Self::Value(spec) => match spec.kind {
                Kind::Number { .. } => Context::Slider,
                Kind::Choice { .. } => Context::Choice,
                Kind::Switch { .. } => Context::Switch,
                Kind::Text { .. } | Kind::List { .. } => Context::Text,
            },
        }
    }
}

impl Dialog {
    pub fn context(&self, model: &Model) -> Context {
        match self {
            Self::Help | Self::Commands | Self::Undo(_) | Self::Measured(_) | Self::Guide(_) => Context::Popup,
            Self::Confirm { name: None, .. } => Context::Confirm,
            Self::Confirm { name: Some(_), .. } => Context::ConfirmName,
            Self::Quit { .. } => match (&model.options.demo, model.has_own_open()) {
                (None, _) => Context::Quit,
                (Some(_), false) => Context::QuitDemo,
                (Some(_), true) => Context::QuitDemoOpen,
            },
            Self::Reverting { .. } => Context::Reverting,
            Self::Recover => Context::Recover,
        }
    }
}
