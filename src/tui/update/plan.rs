//! Asking for the commands of what the picker holds, whenever that changed, and taking only the newest answer.

use super::inject;
use crate::{
    subject::Plan,
    tui::{Effect, Model, picker::Wanted},
};

/// Asks if what is wanted is not what was asked for last.
pub fn ask(model: &mut Model) -> Option<Effect> {
    if model.picker.held.is_some() {
        return None;
    }
    let wanted = model.ready().ok().map(|ready| {
        let started_at = model.targets().iter().map(|node| node.started_at.clone()).collect();
        Wanted {
            targets: ready.ids(),
            fault: ready.fault,
            ttl: ready.ttl,
            started_at,
            beside: model.open().iter().map(|open| open.id().clone()).collect(),
            states: model.nodes().iter().map(|node| (node.id.clone(), node.state)).collect(),
        }
    });
    if wanted == model.picker.wanted {
        return None;
    }
    let picker = &mut model.picker;
    let kin = |one: &Wanted, other: &Wanted| {
        one.targets == other.targets && one.fault.fault_type() == other.fault.fault_type()
    };
    // The old commands stay, dimmed, while a slider moves; those of another target or type do not.
    if !matches!((&picker.wanted, &wanted), (Some(old), Some(new)) if kin(old, new)) {
        picker.plan = None;
        picker.scroll = 0;
    }
    // A wish is for what was shown; the nodes and the other injections may change under it and are judged anew.
    let same =
        |one: &Wanted, other: &Wanted| (&one.fault, &one.targets, one.ttl) == (&other.fault, &other.targets, other.ttl);
    model.wished &= matches!((&picker.wanted, &wanted), (Some(old), Some(new)) if same(old, new));
    picker.fresh = false;
    picker.seq += 1;
    picker.wanted.clone_from(&wanted);
    let Wanted { fault, targets, ttl, .. } = wanted?;
    Some(Effect::Plan { seq: picker.seq, fault, targets, ttl: Some(ttl) })
}

pub fn answered(model: &mut Model, seq: u64, result: Result<Box<Plan>, String>) -> Vec<Effect> {
    if seq != model.picker.seq || model.picker.wanted.is_none() || model.picker.held.is_some() {
        return Vec::new();
    }
    model.dirty = true;
    model.picker.plan = Some(result);
    model.picker.fresh = true;
    if std::mem::take(&mut model.wished) { inject::asked(model) } else { Vec::new() }
}
