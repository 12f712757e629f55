//! Marking nodes for one injection, and taking one at random.

use super::say;
use crate::{
    chaos::random,
    subject::docker::{Node, Role},
    tui::{
        Level, Model,
        undo::{self, Done},
    },
};

/// Sets or takes away the node's mark.
pub fn mark(model: &mut Model, at: usize) {
    let before = model.marks.clone();
    model.mark(at);
    if model.marks != before {
        undo::push(&mut model.done, Done::Aimed { node: None, marks: before });
    }
    model.dirty = true;
}

/// Takes all marks away; gives whether there were any.
pub fn clear(model: &mut Model) -> bool {
    let marks = std::mem::take(&mut model.marks);
    let any = !marks.is_empty();
    if any {
        undo::push(&mut model.done, Done::Aimed { node: None, marks });
    }
    any
}

/// Makes the node that the seed means the only target: among those that run in the selected one's cluster, by their names,
/// as `inject --random --seed` does.
pub fn rolled(model: &mut Model, seed: u32) {
    let cluster = model.target().map(|node| node.cluster.clone());
    let mut able: Vec<(usize, &Node)> = (model.nodes().iter().enumerate())
        .filter(|(_, node)| node.role == Role::Tikv && node.is_running() && Some(&node.cluster) == cluster.as_ref())
        .collect();
    able.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    let Some((at, node)) = random::place(seed, able.len()).and_then(|at| able.get(at)) else {
        return say(model, Level::Warn, "no TiKV node runs here that could be chosen".to_owned());
    };
    let (at, name, count) = (*at, node.name.clone(), able.len());
    let before = model.target().map(|node| node.id.clone());
    let marks = std::mem::take(&mut model.marks);
    undo::push(&mut model.done, Done::Aimed { node: before, marks });
    model.node = at;
    say(model, Level::Info, format!("chose {name}, at random of {count}: --random --seed {seed} chooses it again"));
}
