//! The journal's truth: which injections are open, whose they are, and reverting them.

use std::collections::BTreeSet;

use super::{dialog, say};
use crate::{
    chaos::InjectionId,
    session::Loaded,
    tui::{
        Effect, Level, Model,
        model::Dialog,
        open::{Open, Owner},
    },
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
    tell_unreadable(model);
    if !std::mem::replace(&mut model.recovery_offered, true) && !model.open_of(Owner::LeftBehind).is_empty() {
        dialog::open(model, Dialog::Recover);
    }
    dialog::overtaken(model)
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
            // It counts as open until the journal says otherwise.
            model.reverting.insert(id.clone(), true);
            say(model, Level::Done, text);
        }
        Err(reason) => {
            model.reverting.remove(id);
            if matches!(model.dialog, Some(Dialog::Reverting { .. })) {
                dialog::open(model, Dialog::Quit { error: Some(reason.clone()) });
            }
            say(model, Level::Error, reason);
        }
    }
}

pub fn revert_selected(model: &mut Model) -> Vec<Effect> {
    let id = model.selected_open().map(|(_, open)| open.id().clone());
    revert(model, id.into_iter().collect())
}

pub fn revert_mine(model: &mut Model) -> Vec<Effect> {
    let ids = model.open_of(Owner::Mine);
    revert(model, ids)
}

pub fn revert_left_behind(model: &mut Model) -> Vec<Effect> {
    model.dialog = None;
    let ids = model.open_of(Owner::LeftBehind);
    revert(model, ids)
}

/// Asks for those that were not asked for already.
fn revert(model: &mut Model, ids: Vec<InjectionId>) -> Vec<Effect> {
    let ids: Vec<_> = ids.into_iter().filter(|id| !model.reverting.contains_key(id)).collect();
    if ids.is_empty() {
        return Vec::new();
    }
    model.reverting.extend(ids.iter().map(|id| (id.clone(), false)));
    vec![Effect::Revert { ids }]
}

/// The names of the other nodes of a target's cluster that have an open injection.
pub fn hurt_neighbours(model: &Model, target: &str) -> BTreeSet<String> {
    let open: Vec<Open<'_>> = model.open();
    let cluster = model.nodes().iter().find(|node| node.id == target).map(|node| &node.cluster);
    let neighbours = model.nodes().iter().filter(|node| Some(&node.cluster) == cluster && node.id != target);
    neighbours.filter(|node| open.iter().any(|open| open.is_in(node))).map(|node| node.name.clone()).collect()
}
