//! Injections that hold, opened in the picker's place: the sliders are their own, and moving one changes them. What was
//! made as one act is changed as one. One change at a time is under way; what is moved meanwhile waits, and of that the
//! last counts.

use super::{dialog, pane, say};
use crate::{
    chaos::{Fault, FaultType, InjectionId, Metadata, ParamError, Params},
    session::{Injection, Life},
    subject::Plan,
    tui::{
        Effect, Level, Model,
        keys::Action,
        message::NotChanged,
        model::{Dialog, Pane},
        open::{Open, Standing},
        picker::Picker,
        undo::{self, Change, Done},
    },
};

/// Opens the selected injection with those that were made together with it, if there is something to change.
pub fn open(model: &mut Model) {
    let Some((_, selected)) = model.selected_open() else { return };
    let metadata = selected.injection.metadata.clone();
    let what = format!("{} on {}", metadata.fault_type(), metadata.target());
    let (not_active, standing) = (!is_active(&selected), selected.standing.word());
    let open = model.open();
    let together = |one: &&Open| {
        let other = &one.injection.metadata;
        other.id != metadata.id && metadata.group.is_some() && other.group == metadata.group && is_active(one)
    };
    let others = open.iter().filter(together).map(|one| one.injection.metadata.clone());
    let picker = Picker::holding(std::iter::once(metadata.clone()).chain(others).collect());
    if model.picker.held.as_ref().is_some_and(|held| held.ids().contains(&metadata.id)) {
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

fn is_active(open: &Open) -> bool {
    matches!(open.standing, Standing::Underway(Life::Active) | Standing::NotFollowed)
}

/// Whether a change of one of these was asked for and not answered.
fn is_changing(model: &Model, ids: &[InjectionId]) -> bool {
    model.changing.iter().any(|change| change.ids.iter().any(|id| ids.contains(id)))
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

/// What the journal says of those that are open: they may be over, or somebody else may have changed them.
pub fn keep_up(model: &mut Model) {
    let Some(held) = &model.picker.held else { return };
    let ids = held.ids();
    let records = model.sessions.open();
    let now: Vec<Metadata> = ids
        .iter()
        .filter_map(|id| records.iter().find(|(_, one)| one.metadata.id == *id))
        .map(|(_, one)| one.metadata.clone())
        .collect();
    if now.is_empty() {
        let over = if let [id] = &ids[..] { format!("the injection {id} is") } else { "the injections are".to_owned() };
        leave(model);
        close(model);
        return say(model, Level::Info, format!("{over} over: back to new ones"));
    }
    if now == held.seen || is_changing(model, &ids) {
        return;
    }
    let Some(holds) = now.iter().map(Metadata::params).collect::<Option<Vec<Params>>>() else { return };
    let Some(first) = holds.first().cloned() else { return };
    if let Some(held) = &mut model.picker.held {
        (held.seen, held.holds, held.asked) = (now, holds, first.clone());
        held.problem = None;
    }
    close(model);
    model.picker.put(model.picker.kind, first);
    model.dirty = true;
}

/// What the question is about is another thing by now.
fn close(model: &mut Model) {
    if matches!(model.dialog, Some(Dialog::ConfirmChange { .. })) {
        model.dialog = None;
    }
}

/// Asks for what the sliders say, where that is not what was asked for last.
pub fn ask(model: &mut Model) -> Option<Effect> {
    let held = model.picker.held.as_ref()?;
    if model.picker.params() == held.asked { None } else { ask_for(model, false) }
}

/// Asks for what the sliders say, if it can be changed now.
fn ask_for(model: &mut Model, force: bool) -> Option<Effect> {
    let held = model.picker.held.as_ref()?;
    let ids = held.ids();
    model.picker.fault().ok()?;
    let open = model.open();
    let active = |id: &InjectionId| open.iter().any(|one| one.id() == id && is_active(one));
    if !model.is_up() || is_changing(model, &ids) || !ids.iter().all(active) {
        return None;
    }
    let (kind, to) = (model.picker.kind, model.picker.followed(held));
    // What one of them has of its own may not go with what was moved: that one's error is as good as any.
    let faults = faults(kind, &to).ok()?;
    let change = Change { kind, whom: held.whom(), from: held.holds.clone(), to, undoes: false, ids };
    let changes = change.ids.iter().cloned().zip(faults).collect();
    model.changing.push(change);
    model.picker.fresh = false;
    let params = model.picker.params();
    if let Some(held) = &mut model.picker.held {
        held.asked = params;
        held.problem = None;
    }
    Some(Effect::Change { changes, force })
}

fn faults(kind: FaultType, each: &[Params]) -> Result<Vec<Fault>, ParamError> {
    each.iter().map(|params| Fault::from_params(kind, params)).collect()
}

/// What was refused for what it leaves of the cluster can be done all the same, by the name.
pub fn insisted(model: &mut Model) {
    let refused = model.picker.held.as_ref().and_then(|held| {
        let problem = held.problem.as_ref().filter(|problem| problem.refused)?;
        (model.picker.params() == held.asked).then(|| (held.whom(), problem.reason.clone()))
    });
    if let Some((whom, reason)) = refused {
        return dialog::open(model, Dialog::ConfirmChange { whom, reason, name: String::new() });
    }
    let back = model.key(Action::Leave);
    let text = format!("not injected: these sliders are of an injection that holds: {back} goes back to new ones");
    say(model, Level::Warn, text);
}

/// The name was typed, or some of it.
pub fn confirmed(model: &mut Model) -> Vec<Effect> {
    if !matches!(&model.dialog, Some(Dialog::ConfirmChange { whom, name, .. }) if whom == name) {
        return Vec::new();
    }
    model.dialog = None;
    let effect = ask_for(model, true);
    if effect.is_none() {
        say(model, Level::Warn, "not changed: it cannot be just now".to_owned());
    }
    effect.into_iter().collect()
}

pub fn answered(
    model: &mut Model,
    ids: &[InjectionId],
    plan: Option<Box<Plan>>,
    result: Result<Vec<Injection>, NotChanged>,
) {
    model.dirty = true;
    let Some(at) = model.changing.iter().position(|change| change.ids == ids) else { return };
    let change = model.changing.remove(at);
    let followed = model.picker.held.as_ref().map(|held| model.picker.followed(held));
    let held = model.picker.held.as_mut().filter(|held| held.ids() == ids);
    match result {
        Ok(injections) => {
            let last = held.is_none() || followed.as_ref() == Some(&change.to);
            if let Some(held) = held {
                held.holds.clone_from(&change.to);
                held.seen = injections.iter().map(|one| one.metadata.clone()).collect();
                held.problem = None;
                model.picker.plan = plan.map(Ok);
                model.picker.fresh = true;
            }
            for (id, params) in ids.iter().zip(&change.to) {
                if let Some(made) = model.made.get_mut(id) {
                    made.params.clone_from(params);
                }
            }
            let what = injections.first().map_or_else(String::new, |one| one.metadata.fault.to_string());
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            let text = format!("changed {} on {}: {what} ({})", change.kind, change.whom, ids.join(", "));
            if !change.undoes && change.from != change.to {
                undo::push(&mut model.done, Done::Changed(change));
            }
            // Not each step of a slider that moves on.
            if last {
                say(model, Level::Done, text);
            }
        }
        Err(problem) => {
            let said = if problem.refused { "not changed: " } else { "" };
            let reason = format!("{said}{}", problem.reason);
            if let Some(held) = held {
                held.problem = Some(problem);
                model.picker.plan = plan.map(Ok);
                model.picker.fresh = true;
            }
            say(model, Level::Error, reason);
            // Some of them may have been changed.
            keep_up(model);
        }
    }
}

/// The values of before again.
pub fn take_back(model: &mut Model, change: Change) -> Vec<Effect> {
    if is_changing(model, &change.ids) {
        undo::push(&mut model.done, Done::Changed(change));
        say(model, Level::Info, "still changing it: once more when that is done".to_owned());
        return Vec::new();
    }
    let faults = match faults(change.kind, &change.from) {
        Ok(faults) => faults,
        Err(error) => {
            say(model, Level::Error, format!("not changed back: {error}"));
            return Vec::new();
        }
    };
    if let (Some(held), Some(first)) =
        (model.picker.held.as_mut().filter(|held| held.ids() == change.ids), change.from.first())
    {
        held.asked.clone_from(first);
        model.picker.put(change.kind, first.clone());
    }
    let changes = change.ids.iter().cloned().zip(faults).collect();
    let (from, to) = (change.to, change.from);
    model.changing.push(Change { from, to, undoes: true, ..change });
    vec![Effect::Change { changes, force: false }]
}
