//! Which nodes are shown. What an injection would be made on is shown whatever the filter says.

use super::{Model, matching::holds};
use crate::subject::docker::Node;

impl Model {
    /// The places of the nodes that are shown.
    pub(super) fn shown_nodes(&self) -> Vec<usize> {
        let nodes = self.nodes().iter().enumerate();
        nodes.filter(|(at, node)| *at == self.node || self.passes(node)).map(|(at, _)| at).collect()
    }

    /// How many nodes pass the filter.
    pub(super) fn passing_nodes(&self) -> usize {
        self.nodes().iter().filter(|node| self.passes(node)).count()
    }

    fn passes(&self, node: &Node) -> bool {
        if self.filter.is_empty() {
            return true;
        }
        let state = node.state.to_string();
        let texts = [&node.name, &node.cluster, &state].into_iter().chain(&node.service);
        texts.into_iter().any(|text| holds(text, &self.filter))
    }

    /// Selects a node that passes the filter, if there is one.
    pub(super) fn select_passing(&mut self) {
        if self.target().is_some_and(|node| self.passes(node)) {
            return;
        }
        if let Some(first) = self.nodes().iter().position(|node| self.passes(node)) {
            self.node = first;
        }
    }
}
