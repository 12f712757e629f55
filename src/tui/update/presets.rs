//! Calling a fault by its name, and giving what the sliders say a name.

use super::{change, pane, say};
use crate::{
    config::preset::{Preset, check_name},
    tui::{Effect, Level, Model, keys::Action, model::Pane, prompt::Line},
};

/// The keys of the list, in its order.
const KEYS: &str = "123456789abcdefghijklmnopqrstuvwxyz";

/// The key of the preset at that place.
pub fn key(at: usize) -> Option<char> {
    KEYS.chars().nth(at)
}

/// The preset that has this key goes into the picker, if there is one.
pub fn pressed(model: &mut Model, text: &str) {
    let at = text.chars().next().and_then(|c| KEYS.chars().position(|key| key == c));
    if let Some(at) = at {
        call(model, at);
    }
}

/// Puts the preset at that place into the picker: nothing happens before it is asked for.
pub fn call(model: &mut Model, at: usize) {
    let Some(preset) = model.presets.get(at).cloned() else { return };
    model.dialog = None;
    change::leave(model);
    model.picker.put(preset.kind, preset.params);
    model.picker.field = 0;
    if let Some(ttl) = preset.ttl {
        model.picker.last(ttl);
    }
    pane::focus(model, Pane::Picker);
    let inject = model.key(Action::Inject);
    say(model, Level::Info, format!("{}, {}: {inject} injects it", preset.name, preset.kind));
}

/// Asks how what the sliders say is to be called.
pub fn name(model: &mut Model) {
    pane::focus(model, model.focus);
    match model.picker.fault() {
        Err(error) => say(model, Level::Warn, format!("not kept: {error}")),
        Ok(_) => {
            model.naming.clear();
            model.ask_for(Line::PresetName);
        }
    }
}

/// The name is there.
pub fn named(model: &mut Model) -> Vec<Effect> {
    let name = std::mem::take(&mut model.naming);
    if name.is_empty() {
        return Vec::new();
    }
    if let Err(reason) = check_name(&name) {
        say(model, Level::Warn, reason);
        return Vec::new();
    }
    let picker = &model.picker;
    // Of one that holds the picker does not show how long a new one would last.
    let ttl = picker.held.is_none().then(|| picker.ttl());
    let preset = Preset { name, kind: picker.kind, params: picker.params(), ttl, about: String::new() };
    vec![Effect::Keep(Box::new(preset))]
}

pub fn kept(model: &mut Model, name: &str, result: Result<(String, Vec<Preset>), String>) {
    match result {
        Ok((file, presets)) => {
            model.presets = presets;
            let key = model.presets.iter().position(|preset| preset.name == name).and_then(key);
            let call = format!("{}{}", model.key(Action::Presets), key.map_or(String::new(), |key| format!(" {key}")));
            say(model, Level::Done, format!("{name} stands in {file}: {call} calls it"));
        }
        Err(reason) => say(model, Level::Error, format!("{name} is not kept: {reason}")),
    }
}
