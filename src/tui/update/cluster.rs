//! What the clusters say of themselves: kept, and held against what was to be expected. Read only while somebody looks.

use crate::{
    cluster::ClusterState,
    tui::{Effect, Model},
};

pub fn heard(model: &mut Model, states: Vec<ClusterState>) {
    // Of a cluster in which nothing answers there is nothing to see.
    let known = |model: &Model| model.clusters.keys().any(|name| model.state_of(name).is_some());
    let before = known(model);
    for state in states {
        let name = state.cluster.clone();
        model.clusters.entry(name.clone()).or_default().take(state);
        model.look(Some(&name));
    }
    // A cluster that is gone takes its figures with it.
    let named: Vec<String> = model.nodes().iter().map(|node| node.cluster.clone()).collect();
    model.clusters.retain(|name, _| named.contains(name));
    model.dirty |= before || known(model);
}

/// Asks to begin or to end reading, if that changed: while Docker answers and shows nodes, and either the screen shows
/// them or an injection is open, whose effects are noted.
pub fn ask(model: &mut Model) -> Option<Effect> {
    let looks = !model.hits.blind || model.followed.iter().any(|one| one.track.ended.is_none());
    let reading = model.is_up() && !model.nodes().is_empty() && looks;
    (std::mem::replace(&mut model.reading, reading) != reading).then_some(Effect::Read(reading))
}
