//! One key that takes the last action back, whatever it was.

use super::{change, inject, plan, say, sessions};
use crate::{
    chaos::InjectionId,
    tui::{
        Effect, Level, Model,
        undo::{self, Again, Done},
    },
};

pub fn last(model: &mut Model) -> Vec<Effect> {
    if let Some(what) = &model.injecting {
        let text = format!("still {what}: once more when that is done");
        say(model, Level::Info, text);
        return Vec::new();
    }
    let Some(done) = model.done.pop() else {
        say(model, Level::Info, "there is nothing to undo".to_owned());
        return Vec::new();
    };
    match done {
        Done::Injected { ids, what } => {
            let open: Vec<InjectionId> = model.open().iter().map(|open| open.id().clone()).collect();
            let ids: Vec<InjectionId> = ids.into_iter().filter(|id| open.contains(id)).collect();
            if ids.is_empty() {
                say(model, Level::Info, format!("nothing to undo: {what} is over already"));
                return Vec::new();
            }
            say(model, Level::Info, format!("undoing: {what}"));
            let effects = sessions::revert(model, ids.clone());
            // It is taken back, and not an action that could be taken back in turn.
            ids.iter().for_each(|id| drop(model.again.remove(id)));
            effects
        }
        Done::Reverted(again) => inject_again(model, again),
        Done::Gone { what } => {
            say(
                model,
                Level::Warn,
                format!("{what} cannot be injected again: its record does not say how it was asked for"),
            );
            Vec::new()
        }
        Done::Changed(mut change) => {
            let open: Vec<InjectionId> = model.open().iter().map(|open| open.id().clone()).collect();
            change.keep(|id| open.contains(id));
            if change.ids.is_empty() {
                let text = format!("nothing to undo: {} on {} is over already", change.kind, change.whom);
                say(model, Level::Info, text);
                return Vec::new();
            }
            say(model, Level::Info, format!("undoing the change of {} on {}", change.kind, change.whom));
            change::take_back(model, change)
        }
        Done::Aimed { node, marks } => {
            model.marks = marks;
            model.keep_marks();
            let node = node.and_then(|id| model.nodes().iter().position(|one| one.id == id));
            model.node = node.unwrap_or(model.node);
            say(model, Level::Info, format!("undone: the target is {} again", model.whom()));
            Vec::new()
        }
    }
}

/// Puts it into the picker and asks for it, as if it were put together and asked for by hand: judged, and confirmed where
/// that would be asked for.
fn inject_again(model: &mut Model, again: Again) -> Vec<Effect> {
    change::leave(model);
    let what = again.what();
    let places: Vec<usize> = (again.targets.iter())
        .filter_map(|target| {
            let nodes = model.nodes();
            let by_id = nodes.iter().position(|node| node.id == target.id);
            by_id.or_else(|| nodes.iter().position(|node| node.name == target.name))
        })
        .collect();
    if places.len() < again.targets.len() {
        say(model, Level::Warn, format!("{what} cannot be injected again: not all of its nodes are there"));
        return Vec::new();
    }
    say(model, Level::Info, format!("undoing: injecting {what} again"));
    model.aim_at(&places);
    model.picker.put(again.kind, again.params);
    if let Some(ttl) = again.ttl {
        model.picker.last(ttl);
    }
    let asked = plan::ask(model);
    let mut effects: Vec<Effect> = asked.into_iter().collect();
    effects.extend(inject::asked(model));
    effects
}

/// Notes how what is about to be reverted would be injected again, for when that is done.
pub fn note(model: &mut Model, ids: &[InjectionId]) {
    let open = model.open();
    let records = open.iter().filter(|open| ids.contains(open.id()));
    let noted: Vec<(InjectionId, Option<Again>)> = records
        .map(|open| {
            let made = model.made.get(open.id()).cloned();
            (open.id().clone(), made.or_else(|| Again::of(open.injection)))
        })
        .collect();
    for (id, again) in noted {
        model.again.insert(id, again);
    }
}

/// One of those is reverted.
pub fn reverted(model: &mut Model, id: &InjectionId) {
    let Some(again) = model.again.remove(id) else { return };
    let open = model.open();
    let what = open.iter().find(|open| open.id() == id).map(|open| {
        let metadata = &open.injection.metadata;
        format!("{} on {}", metadata.fault_type(), metadata.target())
    });
    let done = match again {
        Some(again) => Done::Reverted(again),
        None => Done::Gone { what: what.unwrap_or_else(|| format!("injection {id}")) },
    };
    undo::push(&mut model.done, done);
}
