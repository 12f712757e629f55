//! Everything that can be done now, found by a few letters: actions with their keys, nodes, faults, presets, themes.

use super::{
    keys::{Action, Context},
    matching::best,
    model::Model,
};
use crate::chaos::FaultType;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Palette {
    pub text: String,
    pub at: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Act(Action),
    /// A random node by that seed.
    Random(u64),
    Node(String),
    Kind(FaultType),
    Preset(String),
    Theme(String),
}

pub struct Offer {
    pub name: String,
    pub help: String,
    pub key: String,
    pub choice: Choice,
}

const CONTEXTS: [Context; 6] =
    [Context::Panes, Context::Always, Context::Nodes, Context::Active, Context::Log, Context::Picker];

/// What fits, the best first.
pub fn offers(model: &Model, text: &str) -> Vec<Offer> {
    if let Some(seed) = text.trim().strip_prefix("random-node ").and_then(|seed| seed.trim().parse().ok()) {
        let help = "the node that this seed gives".to_owned();
        return vec![Offer { name: text.trim().to_owned(), help, key: String::new(), choice: Choice::Random(seed) }];
    }
    let mut all = all(model);
    let texts: Vec<String> = all.iter().map(|offer| format!("{} {}", offer.name, offer.help)).collect();
    let mut found: Vec<Option<Offer>> = all.drain(..).map(Some).collect();
    best(&texts, text).into_iter().filter_map(|at| found[at].take()).collect()
}

fn all(model: &Model) -> Vec<Offer> {
    let mut all: Vec<Offer> = Vec::new();
    for context in CONTEXTS {
        for binding in model.keys.bindings().iter().filter(|binding| binding.context == context) {
            let moves = matches!(binding.action, Action::Up | Action::Down);
            let Some(name) = binding.action.name().filter(|_| !moves) else { continue };
            if all.iter().any(|offer| offer.name == name) {
                continue;
            }
            let key = binding.keys.first().map(|key| key.name(model.glyphs)).unwrap_or_default();
            all.push(Offer {
                name: name.to_owned(),
                help: binding.help.to_owned(),
                key,
                choice: Choice::Act(binding.action),
            });
        }
    }
    let offer = |name: String, help: String, choice| Offer { name, help, key: String::new(), choice };
    let presets = model.presets.all().iter().map(|preset| {
        offer(format!("preset {}", preset.name), preset.summary(), Choice::Preset(preset.name.clone()))
    });
    let kinds = FaultType::ALL
        .into_iter()
        .map(|kind| offer(format!("fault {kind}"), kind.summary().to_owned(), Choice::Kind(kind)));
    let nodes = model.nodes().iter().map(|node| {
        offer(format!("node {}", node.name), format!("{} of {}", node.state, node.cluster), Choice::Node(node.id.clone()))
    });
    let themes = model.themes.iter().map(|theme| {
        offer(format!("theme {}", theme.name), "how the screen looks".to_owned(), Choice::Theme(theme.name.clone()))
    });
    all.extend(presets.chain(kinds).chain(nodes).chain(themes));
    all
}
