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

/// The contexts that the next key is looked up in, the innermost first.
pub fn contexts(model: &Model) -> Vec<Context> {
    let innermost = match &model.dialog {
        Some(dialog) => dialog.context(model),
        None if model.hits.too_small => Context::TooSmall,
        None if model.prompt.is_some() => Context::Prompt,
        None => return pane_contexts(model),
    };
    innermost.outwards().collect()
}

/// The contexts of the pane that has, or will again have, the keys.
pub fn pane_contexts(model: &Model) -> Vec<Context> {
    let typing = model.picker.typing.is_some();
    let innermost = match (model.focus, model.picker.current()) {
        (Pane::Nodes, _) => Context::Nodes,
        (Pane::Active, _) => Context::Active,
        (Pane::Log, _) => Context::Log,
        (Pane::Picker, Field::Value(spec)) if typing && matches!(spec.kind, Kind::Number { .. }) => {
            Context::TypingNumber
        }
        (Pane::Picker, _) if typing => Context::TypingText,
        (Pane::Picker, field) => field.context(),
    };
    let mut contexts: Vec<Context> = innermost.outwards().collect();
    // What is around the fields of an injection that holds is another thing than around those of a new one.
    let held = model.picker.held.is_some() && model.focus == Pane::Picker;
    if let Some(at) = contexts.iter().position(|context| *context == Context::Panes).filter(|_| held) {
        contexts.insert(at, Context::Opened);
    }
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
            Self::Help | Self::Timeline | Self::Commands | Self::Measured(_) | Self::Guide(_) => Context::Popup,
            Self::ByHand(_) => Context::ByHand,
            Self::Palette(_) => Context::Palette,
            Self::Presets(_) => Context::Presets,
            Self::Confirm { name: None, .. } => Context::Confirm,
            Self::Confirm { name: Some(_), .. } => Context::ConfirmName,
            Self::ConfirmChange { .. } => Context::ConfirmChange,
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
