//! An injection that holds, opened in the picker's place: its sliders are its own, and moving one changes it. One change at
//! a time is under way; what is moved meanwhile waits, and of that the last counts.

use super::{pane, say};
use crate::{
    chaos::InjectionId,
    session::{Injection, Life},
    subject::Plan,
    tui::{
        Effect, Level, Model,
        keys::Action,
        model::Pane,
        open::Standing,
        picker::Picker,
        undo::{self, Change, Done},
    },
};

/// Opens the selected injection, if it has something to change.
pub fn open(model: &mut Model) {
    let Some((_, open)) = model.selected_open() else { return };
    let metadata = open.injection.metadata.clone();
    let what = format!("{} on {}", metadata.fault_type(), metadata.target());
    let not_active = open.standing != Standing::Underway(Life::Active);
    let standing = open.standing.word();
    let picker = Picker::holding(&metadata);
    if model.picker.held.as_ref().is_some_and(|held| held.id == metadata.id) {
        return pane::focus(model, Pane::Picker);
    }
    let picker = match picker {
        _ if model.options.read_only => {
            return say(model, Level::Warn, "nothing is changed: this run is --read-only".into());
        }
        None => {
            let key = model.key(Action::Revert);
            return say(model, Level::Info, format!("{what} has nothing to change while it holds: {key} reverts it"));
        }
        Some(_) if not_active => {
            return say(model, Level::Info, format!("{what} is {standing}, and only what is active can be changed"));
        }
        Some(picker) => picker,
    };
    shelve(model, picker);
    pane::focus(model, Pane::Picker);
}

fn shelve(model: &mut Model, picker: Picker) {
    let mut former = std::mem::replace(&mut model.picker, picker);
    if former.held.is_none() {
        // Its plan is asked for anew when it comes back: the answer to the last question would be missed.
        (former.wanted, former.fresh) = (None, false);
        model.shelved = Some(former);
    }
    model.wished = false;
    model.drag = None;
}

/// Back to new injections.
pub fn leave(model: &mut Model) {
    if let Some(former) = model.shelved.take() {
        model.picker = former;
        model.drag = None;
        model.dirty = true;
    }
}

/// What the journal says of the one that is open: it may be over, or somebody else may have changed it.
pub fn keep_up(model: &mut Model) {
    let Some(held) = &mut model.picker.held else { return };
    let now = model.sessions.open().into_iter().find(|(_, one)| one.metadata.id == held.id);
    let Some(now) = now.map(|(_, one)| one.metadata.clone()) else {
        let text = format!("the injection {} is over: back to new ones", held.id);
        leave(model);
        return say(model, Level::Info, text);
    };
    if now == held.seen || model.changing.contains_key(&held.id) {
        return;
    }
    let Some(params) = now.params() else { return };
    held.seen = now;
    (held.holds, held.asked) = (params.clone(), params.clone());
    model.picker.put(model.picker.kind, params);
    model.dirty = true;
}

/// Asks for what the sliders say, where that is not what was asked for last.
pub fn ask(model: &mut Model) -> Option<Effect> {
    let held = model.picker.held.as_ref()?;
    let params = model.picker.params();
    if params == held.asked || !model.is_up() || model.changing.contains_key(&held.id) {
        return None;
    }
    let fault = model.picker.fault().ok()?;
    let active =
        |open: &crate::tui::open::Open| open.id() == &held.id && open.standing == Standing::Underway(Life::Active);
    if !model.open().iter().any(active) {
        return None;
    }
    let change = Change {
        id: held.id.clone(),
        kind: model.picker.kind,
        target: held.target.clone(),
        from: held.holds.clone(),
        to: params.clone(),
        undoes: false,
    };
    let id = held.id.clone();
    model.changing.insert(id.clone(), change);
    model.picker.fresh = false;
    if let Some(held) = &mut model.picker.held {
        held.asked = params;
    }
    Some(Effect::Change { id, fault })
}

pub fn answered(model: &mut Model, id: &InjectionId, plan: Option<Box<Plan>>, result: Result<Box<Injection>, String>) {
    model.dirty = true;
    let Some(change) = model.changing.remove(id) else { return };
    let wanted = model.picker.params();
    let held = model.picker.held.as_mut().filter(|held| held.id == *id);
    let text = match result {
        Ok(injection) => {
            let last = held.is_none() || wanted == change.to;
            if let Some(held) = held {
                held.holds.clone_from(&change.to);
                held.seen.clone_from(&injection.metadata);
                held.problem = None;
                model.picker.plan = plan.map(Ok);
                model.picker.fresh = true;
            }
            if let Some(made) = model.made.get_mut(id) {
                made.params.clone_from(&change.to);
            }
            let text = format!("changed {} on {}: {} ({id})", change.kind, change.target, injection.metadata.fault);
            if !change.undoes {
                undo::push(&mut model.done, Done::Changed(change));
            }
            // Not each step of a slider that moves on.
            last.then_some((Level::Done, text))
        }
        Err(reason) => {
            if let Some(held) = held {
                held.problem = Some(reason.clone());
                model.picker.plan = plan.map(Ok);
                model.picker.fresh = true;
            }
            Some((Level::Error, reason))
        }
    };
    if let Some((level, text)) = text {
        say(model, level, text);
    }
}

/// The values of before again.
pub fn take_back(model: &mut Model, change: Change) -> Vec<Effect> {
    if model.changing.contains_key(&change.id) {
        undo::push(&mut model.done, Done::Changed(change));
        say(model, Level::Info, "still changing it: once more when that is done".to_owned());
        return Vec::new();
    }
    let fault = match crate::chaos::Fault::from_params(change.kind, &change.from) {
        Ok(fault) => fault,
        Err(error) => {
            say(model, Level::Error, format!("not changed back: {error}"));
            return Vec::new();
        }
    };
    if let Some(held) = model.picker.held.as_mut().filter(|held| held.id == change.id) {
        held.asked.clone_from(&change.from);
        model.picker.put(change.kind, change.from.clone());
    }
    let (from, to) = (change.to, change.from);
    let id = change.id.clone();
    model.changing.insert(id.clone(), Change { from, to, undoes: true, ..change });
    vec![Effect::Change { id, fault }]
}
