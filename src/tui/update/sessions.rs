//! The journal's truth: which injections are open, whose they are, and reverting them.

use super::{change, dialog, say, undo};
use crate::{
    chaos::{InjectionId, Metadata},
    session::{Loaded, recovery::Recovery},
    subject::{Left, Marked},
    tui::{Effect, Level, Model, keys::Action, model::Dialog, open::Owner, text::span},
};

pub fn loaded(model: &mut Model, loaded: Loaded) -> Vec<Effect> {
    if model.sessions != loaded {
        model.dirty = true;
        let selected = model.selected_open().map(|(at, open)| (at, open.id().clone()));
        model.sessions = loaded;
        // The next one takes the place of a selected one that is gone.
        (model.active_row, model.active_id) = selected.map_or((0, None), |(at, id)| (at, Some(id)));
        (model.active_row, model.active_id) =
            model.selected_open().map_or((0, None), |(at, open)| (at, Some(open.id().clone())));
    }
    model.reverting.retain(|_, answered| !*answered);
    model.follow();
    change::keep_up(model);
    tell_unreadable(model);
    if !std::mem::replace(&mut model.recovery_offered, true) && !model.open_of(Owner::LeftBehind).is_empty() {
        dialog::open(model, Dialog::Recover);
    }
    dialog::overtaken(model)
}

/// What the nodes themselves show beside the journals. What is foreign and stands in no node's way is seen in its state.
pub fn scanned(model: &mut Model, recovery: Recovery) -> Vec<Effect> {
    model.dirty = true;
    for one in recovery.foreign.iter().filter(|one| one.stopped.is_none()) {
        say(model, Level::Info, format!("{} {}: not ours, left alone", one.target, one.what));
    }
    for (mark, left) in &recovery.held {
        let end = match left {
            Left::Until(left) => format!("ends by itself in {}", span(left.as_secs().cast_signed())),
            Left::ForEver => "does not end by itself".to_owned(),
        };
        let what = mark.words();
        say(model, Level::Info, format!("{what}: a running helper keeps it and no record here knows it; it {end}"));
    }
    for unseen in recovery.unseen {
        say(model, Level::Warn, format!("cannot look at {}: {}", unseen.target, unseen.reason));
    }
    model.sights = recovery.recorded;
    model.unrecorded = recovery.unrecorded;
    match (model.unrecorded.len(), &model.dialog) {
        (0, _) | (_, Some(Dialog::Recover)) => {}
        (_, None) => dialog::open(model, Dialog::Recover),
        // Whatever is being asked now is not pushed aside.
        (_, Some(_)) => {
            let key = model.key(Action::Panic);
            for mark in model.unrecorded.clone() {
                let words = mark.words();
                say(model, Level::Warn, format!("{words} bears our mark and has no record: {key} ends it"));
            }
        }
    }
    Vec::new()
}

pub fn cleared(model: &mut Model, mark: &Marked, result: Result<String, String>) {
    match result {
        Ok(text) => {
            model.unrecorded.retain(|one| one != mark);
            say(model, Level::Done, text);
        }
        Err(reason) => say(model, Level::Error, reason),
    }
}

fn tell_unreadable(model: &mut Model) {
    let new: Vec<_> =
        model.sessions.unreadable.iter().filter(|file| !model.unreadable_told.contains(&file.path)).cloned().collect();
    for file in new {
        say(
            model,
            Level::Warn,
            format!("unreadable session file, kept as it is: {}: {}", file.path.display(), file.reason),
        );
        model.unreadable_told.insert(file.path);
    }
}

pub fn reverted(model: &mut Model, id: &InjectionId, result: Result<String, String>) {
    match result {
        Ok(text) => {
            undo::reverted(model, id);
            // It counts as open until the journal says otherwise.
            model.reverting.insert(id.clone(), true);
            say(model, Level::Done, text);
        }
        Err(reason) => {
            model.reverting.remove(id);
            model.again.remove(id);
            if matches!(model.dialog, Some(Dialog::Reverting { .. })) {
                dialog::open(model, Dialog::Quit { error: Some(reason.clone()) });
            }
            say(model, Level::Error, reason);
        }
    }
}

/// With those that were made together with it.
pub fn revert_selected(model: &mut Model) -> Vec<Effect> {
    let open = model.open();
    let selected = model.selected_open().map(|(_, open)| &open.injection.metadata);
    let together =
        |one: &&Metadata| selected.is_some_and(|it| it.id == one.id || (it.group.is_some() && it.group == one.group));
    let ids = open.iter().map(|open| &open.injection.metadata).filter(together).map(|one| one.id.clone()).collect();
    revert(model, ids)
}

pub fn revert_mine(model: &mut Model) -> Vec<Effect> {
    let ids = model.open_of(Owner::Mine);
    revert(model, ids)
}

pub fn revert_left_behind(model: &mut Model) -> Vec<Effect> {
    model.dialog = None;
    let ids = model.open_of(Owner::LeftBehind);
    let mut effects = revert(model, ids);
    if !model.unrecorded.is_empty() && !model.options.read_only {
        effects.push(Effect::Clear { marks: model.unrecorded.clone() });
    }
    effects
}

/// Asks for those that were not asked for already.
pub fn revert(model: &mut Model, ids: Vec<InjectionId>) -> Vec<Effect> {
    let ids: Vec<_> = ids.into_iter().filter(|id| !model.reverting.contains_key(id)).collect();
    if ids.is_empty() {
        return Vec::new();
    }
    if model.options.read_only {
        say(model, Level::Warn, "not reverted: this run is --read-only".to_owned());
        return Vec::new();
    }
    undo::note(model, &ids);
    model.reverting.extend(ids.iter().map(|id| (id.clone(), false)));
    vec![Effect::Revert { ids }]
}

/// Everything of ours that may still hold, whichever session made it and whether or not a journal knows it.
pub fn revert_everything(model: &mut Model) -> Vec<Effect> {
    if model.options.read_only {
        say(model, Level::Warn, "not reverted: this run is --read-only".to_owned());
        return Vec::new();
    }
    let open: Vec<InjectionId> = model.open().iter().map(|open| open.id().clone()).collect();
    let ids: Vec<_> = open.iter().filter(|id| !model.reverting.contains_key(id)).cloned().collect();
    model.reverting.extend(ids.iter().map(|id| (id.clone(), false)));
    if open.is_empty() {
        say(model, Level::Info, "nothing is injected, by any session; looking at the nodes themselves".to_owned());
    }
    vec![Effect::EndEverything { ids }]
}
