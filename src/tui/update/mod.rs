//! What each message does to the model, and what it asks of the outside. Total and without a clock: every message is
//! taken in every state.

mod act;
mod change;
mod cluster;
mod dialog;
mod docker;
mod inject;
mod input;
mod marks;
mod mouse;
mod pane;
mod plan;
mod presets;
mod sessions;
mod undo;

pub use input::{contexts, pane_contexts};
pub use presets::key as preset_key;

use std::collections::BTreeSet;

use super::{Effect, Level, Message, Model};
use crate::chaos::InjectionId;

/// Takes the message into the model and says what should be done.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let mut effects = take(model, message);
    effects.extend(plan::ask(model));
    effects.extend(change::ask(model));
    effects.extend(cluster::ask(model));
    effects
}

fn take(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Input(event) => return input::event(model, &event),
        Message::Clock(now) => {
            model.dirty |= clock_shows(model, now);
            model.now = now;
            return dialog::overtaken(model);
        }
        Message::Quit => return vec![Effect::Quit],
        Message::Docker(live) => return docker::heard(model, live),
        Message::Cluster(states) => cluster::heard(model, states),
        Message::Sessions(loaded) => return sessions::loaded(model, loaded),
        Message::Planned { seq, result } => return plan::answered(model, seq, result),
        Message::Injected { result } => {
            model.dirty = true;
            inject::answered(model, result);
            return dialog::overtaken(model);
        }
        Message::Changed { ids, plan, result } => change::answered(model, &ids, plan, result),
        Message::Kept { name, result } => presets::kept(model, &name, result),
        Message::Rolled(seed) => marks::rolled(model, seed),
        Message::Reverted { id, result } => {
            model.dirty = true;
            sessions::reverted(model, &id, result);
            return dialog::overtaken(model);
        }
        Message::Scanned(recovery) => return sessions::scanned(model, *recovery),
        Message::Cleared { mark, result } => {
            sessions::cleared(model, &mark, result);
            return dialog::overtaken(model);
        }
        Message::Measured { id, look } => {
            let news = model.looks.get(&id) != Some(&look);
            model.dirty |= news;
            model.looks.insert(id, look);
            let open: BTreeSet<InjectionId> = model.open().iter().map(|one| one.id().clone()).collect();
            model.looks.retain(|id, _| open.contains(id));
        }
        Message::Progress(progress) => {
            model.dirty |= model.progress != progress;
            model.progress = progress;
        }
        Message::Log { at, level, text } => {
            model.dirty = true;
            model.log.push(at, level, text);
        }
    }
    Vec::new()
}

fn say(model: &mut Model, level: Level, text: String) {
    model.dirty = true;
    model.log.push(model.now, level, text);
}

/// Whether anything on the screen counts seconds, or a minute is over.
fn clock_shows(model: &Model, now: jiff::Timestamp) -> bool {
    let young = |node: &crate::subject::docker::Node| {
        node.up_since.is_some_and(|since| now.as_second() - since.as_second() <= 60)
    };
    let turns = model.injecting.is_some() || model.progress.is_some();
    let counts = || turns || !model.open().is_empty() || model.nodes().iter().any(young);
    (model.options.motion && counts()) || now.as_second().div_euclid(60) != model.now.as_second().div_euclid(60)
}
