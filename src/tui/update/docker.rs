//! What Docker shows now, and keeping the selection on the same node while the list changes under it.

use super::dialog;
use crate::{
    subject::docker::Node,
    tui::{Effect, Live, Model, model::Link},
};

pub fn heard(model: &mut Model, live: Live) -> Vec<Effect> {
    let (link, snapshot) = match live {
        Live::Connecting => (Link::Connecting, None),
        Live::Up { engine, snapshot } => (Link::Up { engine }, Some(snapshot)),
        Live::Down { host, reason, retry_s } => (Link::Down { host, reason, retry_s }, None),
    };
    model.dirty |= link != model.link;
    model.link = link;
    if let Some(snapshot) = snapshot
        && model.snapshot.as_ref() != Some(&snapshot)
    {
        model.dirty = true;
        let selected = model.target().cloned();
        let before = model.snapshot.replace(snapshot);
        model.marks_follow(before.as_ref());
        model.node = same_node(model.nodes(), selected.as_ref(), model.node);
    }
    model.follow();
    model.look(None);
    dialog::overtaken(model)
}

/// The node of that id, else of that name, because a recreated container has another id; else the nearest place.
fn same_node(nodes: &[Node], selected: Option<&Node>, at: usize) -> usize {
    let by_id = selected.and_then(|old| nodes.iter().position(|node| node.id == old.id));
    let by_name = || selected.and_then(|old| nodes.iter().position(|node| node.name == old.name));
    by_id.or_else(by_name).unwrap_or(at.min(nodes.len().saturating_sub(1)))
}
