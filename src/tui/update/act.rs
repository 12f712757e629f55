//! What each action does, whether a key or a click asked for it.

use super::{change, dialog, inject, marks, pane, presets, say, sessions, undo};
use crate::{
    chaos::Kind,
    tui::{
        Effect, Level, Model,
        keys::Action,
        model::{Dialog, Pane},
        palette::Palette,
        picker::Field,
        prompt::Line,
    },
};

pub fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    model.dirty = true;
    match action {
        Action::Quit => return dialog::quit(model),
        Action::Interrupt => return dialog::interrupt(model),
        Action::Help => dialog::open(model, Dialog::Help),
        Action::Palette => dialog::open(model, Dialog::Palette(Palette::default())),
        Action::Filter => model.ask_for(filtered(model)),
        // One thing at a time: whoever wants all of it presses twice.
        Action::Clear if model.focus != Pane::Log && marks::clear(model) => {}
        Action::Clear => model.set_line(filtered(model), String::new()),
        Action::Timeline => dialog::open(model, Dialog::Timeline),
        Action::OlderHit => model.log.jump(true),
        Action::NewerHit => model.log.jump(false),
        Action::WithOthers => {
            model.log.with_others = !model.log.with_others;
            model.log.scroll = 0;
        }
        Action::Gravity => model.log.next_gravity(),
        Action::Presets => dialog::open(model, Dialog::Presets(0)),
        Action::Keep => presets::name(model),
        Action::Mark => marks::mark(model, model.node),
        Action::Random => return vec![Effect::Roll],
        Action::Open => change::open(model),
        Action::Leave => {
            change::leave(model);
            pane::focus(model, Pane::Active);
        }
        Action::Undo => return undo::last(model),
        Action::Copy => return copy(model),
        Action::Suspend => return suspend(model),
        Action::Commands => dialog::open(model, Dialog::Commands),
        Action::ByHand => {
            if let Some(id) = model.selected_open().map(|(_, open)| open.id().clone()) {
                dialog::open(model, Dialog::ByHand(id));
            }
        }
        Action::Measured => {
            if let Some(id) = model.selected_open().map(|(_, open)| open.id().clone()) {
                dialog::open(model, Dialog::Measured(id));
            }
        }
        Action::Guide => {
            // In the picker it is about what one is about to do.
            let selected = model.selected_open().filter(|_| model.focus != Pane::Picker);
            let id = selected.map(|(_, open)| open.id().clone());
            dialog::open(model, Dialog::Guide(id));
        }
        Action::NextPane => pane::focus_next(model, 1),
        Action::PreviousPane => pane::focus_next(model, Pane::ALL.len() - 1),
        Action::Focus(pane) => pane::focus(model, pane),
        Action::Inject => return inject::asked(model),
        Action::Revert => return sessions::revert_selected(model),
        Action::RevertAll => return sessions::revert_mine(model),
        Action::Up => pane::step(model, -1),
        Action::Down => pane::step(model, 1),
        Action::PageUp => pane::step(model, -PAGE),
        Action::PageDown => pane::step(model, PAGE),
        Action::First => pane::step(model, isize::MIN),
        Action::Last => pane::step(model, isize::MAX),
        Action::Less => pane::change(model, -1),
        Action::More => pane::change(model, 1),
        Action::MuchLess => pane::change(model, -10),
        Action::MuchMore => pane::change(model, 10),
        Action::Least => pane::change(model, i64::MIN),
        Action::Most => pane::change(model, i64::MAX),
        Action::Edit => edit(model),
        Action::Insert => {}
        Action::Erase => erase(model),
        Action::Accept => return accept(model),
        Action::AcceptUp => pane::step(model, -1),
        Action::AcceptDown => pane::step(model, 1),
        Action::Cancel => cancel(model),
        Action::Close | Action::Refuse | Action::Stay | Action::KeepLeftBehind => model.dialog = None,
        Action::Panic => return sessions::revert_everything(model),
        Action::Confirm if matches!(model.dialog, Some(Dialog::ConfirmChange { .. })) => {
            return change::confirmed(model);
        }
        Action::Confirm => return inject::confirmed(model),
        Action::RevertAndQuit => return dialog::revert_and_quit(model, false),
        Action::TakeDownAndQuit => return dialog::revert_and_quit(model, true),
        Action::LeaveAndQuit => return vec![Effect::Leave, Effect::Quit],
        Action::RevertLeftBehind => return sessions::revert_left_behind(model),
    }
    Vec::new()
}

/// What a filter is for in the pane that has the keys.
fn filtered(model: &Model) -> Line {
    if model.focus == Pane::Log { Line::LogFilter } else { Line::NodeFilter }
}

const PAGE: isize = 5;
/// As many letters as find anything.
const PALETTE: usize = 40;

fn erase(model: &mut Model) {
    match &mut model.dialog {
        Some(
            Dialog::Confirm { name: Some(typed), .. }
            | Dialog::ConfirmChange { name: typed, .. }
            | Dialog::Palette(Palette { text: typed, .. }),
        ) => {
            typed.pop();
        }
        None if model.prompt.is_some() => model.prompt_erase(),
        _ => {
            if let Some(typed) = &mut model.picker.typing {
                typed.pop();
            }
        }
    }
}

/// Takes what was typed, or does what was found.
fn accept(model: &mut Model) -> Vec<Effect> {
    match &model.dialog {
        Some(Dialog::Palette(palette)) => {
            let at = palette.at;
            return take_offer(model, at);
        }
        Some(Dialog::Presets(at)) => {
            let at = *at;
            presets::call(model, at);
        }
        None if model.prompt.is_some() => {
            let line = model.prompt.take().map(|prompt| prompt.line);
            if line == Some(Line::PresetName) {
                return presets::named(model);
            }
        }
        _ => model.picker.take_typed(),
    }
    Vec::new()
}

/// Does what the palette offers there, and closes it.
pub fn take_offer(model: &mut Model, at: usize) -> Vec<Effect> {
    let Some(Dialog::Palette(palette)) = &model.dialog else { return Vec::new() };
    let Some(offer) = model.offers(&palette.text).into_iter().nth(at) else { return Vec::new() };
    model.dialog = None;
    if let Some(pane) = offer.pane {
        pane::focus(model, pane);
    }
    act(model, offer.action)
}

fn cancel(model: &mut Model) {
    match &model.dialog {
        Some(Dialog::Palette(_) | Dialog::Presets(_)) => model.dialog = None,
        None if model.prompt.is_some() => model.prompt_cancel(),
        _ => model.picker.typing = None,
    }
}

/// What is under way comes to its end first: a program that stands still could neither go on with it nor undo it.
fn suspend(model: &mut Model) -> Vec<Effect> {
    if model.injecting.is_some() || model.reverting.values().any(|answered| !answered) {
        say(model, Level::Info, "back to the shell as soon as what is under way is done".to_owned());
    }
    vec![Effect::Suspend]
}

/// The undo that is shown, for a terminal elsewhere: a line for each command.
fn copy(model: &mut Model) -> Vec<Effect> {
    let Some(Dialog::ByHand(id)) = &model.dialog else { return Vec::new() };
    let open = model.open();
    let Some(one) = open.iter().find(|one| one.id() == id) else { return Vec::new() };
    let undo = &one.injection.undo;
    let (count, text) = (undo.len(), undo.join("\n") + "\n");
    let lines = if count == 1 { "1 command".to_owned() } else { format!("{count} commands") };
    say(
        model,
        Level::Info,
        format!("copied, where the terminal allows it: the undo of {id}, {lines}", id = id.clone()),
    );
    vec![Effect::Copy(text)]
}

/// Starts typing: a text from what it is, a number from nothing.
fn edit(model: &mut Model) {
    if let Field::Value(spec) = model.picker.current() {
        let number = matches!(spec.kind, Kind::Number { .. });
        let old = if number { String::new() } else { model.picker.value(spec).to_string() };
        model.picker.error = None;
        model.picker.typing = Some(old);
    }
}

/// Adds to what is being typed; a digit on a slider starts it.
pub fn insert(model: &mut Model, text: &str) {
    if let Some(Dialog::Palette(palette)) = &mut model.dialog {
        let room = PALETTE.saturating_sub(palette.text.chars().count());
        palette.text.extend(text.chars().filter(|c| !c.is_control()).take(room));
        palette.at = 0;
        model.dirty = true;
        return;
    }
    if let Some(Dialog::Presets(_)) = &model.dialog {
        model.dirty = true;
        return presets::pressed(model, text);
    }
    if model.dialog.is_none() && model.prompt.is_some() {
        model.dirty = true;
        return model.prompt_insert(text);
    }
    let named = match &mut model.dialog {
        Some(Dialog::Confirm { name: Some(typed), ready, .. }) => Some((ready.whom(), typed)),
        Some(Dialog::ConfirmChange { whom, name, .. }) => Some((whom.clone(), name)),
        _ => None,
    };
    if let Some((whom, typed)) = named {
        let room = whom.chars().count().saturating_sub(typed.chars().count());
        typed.extend(text.chars().filter(|c| !c.is_control()).take(room));
        model.dirty = true;
        return;
    }
    let Field::Value(spec) = model.picker.current() else { return };
    let number = matches!(spec.kind, Kind::Number { .. });
    if model.dialog.is_some() || model.focus != Pane::Picker || (model.picker.typing.is_none() && !number) {
        return;
    }
    let fits = |c: &char| if number { c.is_ascii_digit() } else { !c.is_control() };
    let added: String = text.chars().filter(fits).collect();
    if added.is_empty() {
        return;
    }
    let most = if number { 6 } else { 256 };
    model.dirty = true;
    model.picker.error = None;
    let typed = model.picker.typing.get_or_insert_default();
    typed.extend(added.chars().take(most - typed.chars().count().min(most)));
}
