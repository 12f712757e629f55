//! Opening and ending dialogs, and the way out of the program: nothing of this session is left behind unasked.

use super::sessions;
use crate::tui::{Effect, Model, model::Dialog, open::Owner};

pub fn open(model: &mut Model, dialog: Dialog) {
    model.dirty = true;
    model.scroll = 0;
    model.drag = None;
    model.dialog = Some(dialog);
}

pub fn quit(model: &mut Model) -> Vec<Effect> {
    if !model.has_own_open() && model.options.demo.is_none() {
        return vec![Effect::Quit];
    }
    open(model, Dialog::Quit { error: None });
    Vec::new()
}

/// As [`quit`]; where that was already asked, the injections are left until their deadline.
pub fn interrupt(model: &mut Model) -> Vec<Effect> {
    match model.dialog {
        Some(Dialog::Quit { .. } | Dialog::Reverting { .. }) => vec![Effect::Leave, Effect::Quit],
        _ => quit(model),
    }
}

/// Where nothing is open, that is at once.
pub fn revert_and_quit(model: &mut Model, take_down: bool) -> Vec<Effect> {
    open(model, Dialog::Reverting { take_down });
    let mut effects = sessions::revert_mine(model);
    effects.extend(overtaken(model));
    effects
}

/// Ends a dialog that what happened meanwhile has answered.
pub fn overtaken(model: &mut Model) -> Vec<Effect> {
    match &model.dialog {
        Some(Dialog::Quit { .. }) if !model.has_own_open() && model.options.demo.is_none() => vec![Effect::Quit],
        Some(Dialog::Reverting { take_down: true }) if !model.has_own_open() => vec![Effect::QuitAndTakeDown],
        Some(Dialog::Reverting { .. }) if !model.has_own_open() => vec![Effect::Quit],
        // One that was still being injected when all were reverted.
        Some(Dialog::Reverting { .. }) => sessions::revert_mine(model),
        Some(Dialog::Recover) if model.open_of(Owner::LeftBehind).is_empty() && model.unrecorded.is_empty() => {
            model.dialog = None;
            model.dirty = true;
            Vec::new()
        }
        _ => Vec::new(),
    }
}
