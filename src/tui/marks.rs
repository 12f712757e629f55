//! Which nodes an injection is for: those that are marked, else the selected one. A mark follows its node when the
//! container is made anew under the same name.

use super::model::Model;
use crate::subject::docker::{Node, Snapshot};

impl Model {
    /// The nodes that what the picker holds would be injected into, in the order of the list.
    pub(super) fn targets(&self) -> Vec<&Node> {
        let marked: Vec<&Node> = self.nodes().iter().filter(|node| self.marks.contains(&node.id)).collect();
        if marked.is_empty() { self.target().into_iter().collect() } else { marked }
    }

    /// The target's name, or how many there are.
    pub(super) fn whom(&self) -> String {
        match &self.targets()[..] {
            [] => "nobody".to_owned(),
            [one] => one.name.clone(),
            several => format!("{} nodes", several.len()),
        }
    }

    /// Makes these, by their place in the list, the targets.
    pub(super) fn aim_at(&mut self, places: &[usize]) {
        let ids: Vec<String> =
            places.iter().filter_map(|at| self.nodes().get(*at)).map(|node| node.id.clone()).collect();
        self.node = places.first().copied().unwrap_or(self.node);
        self.marks = if ids.len() > 1 { ids.into_iter().collect() } else { Default::default() };
    }

    /// Sets or takes away a mark.
    pub(super) fn mark(&mut self, at: usize) {
        let Some(node) = self.nodes().get(at) else { return };
        let id = node.id.clone();
        if !self.marks.remove(&id) {
            self.marks.insert(id);
        }
    }

    /// Drops the marks of what is not there any more.
    pub(super) fn keep_marks(&mut self) {
        let there: Vec<String> = self.nodes().iter().map(|node| node.id.clone()).collect();
        self.marks.retain(|id| there.contains(id));
    }

    /// Hands the marks on to the new list.
    pub(super) fn marks_follow(&mut self, before: Option<&Snapshot>) {
        let marks = std::mem::take(&mut self.marks);
        let place = |id: &String| {
            let now = self.nodes();
            let name = || before.and_then(|before| before.by_id(id)).map(|node| node.name.clone());
            let same = now.iter().find(|node| node.id == *id);
            let found = same.or_else(|| name().and_then(|name| now.iter().find(|node| node.name == name)));
            found.map(|node| node.id.clone())
        };
        self.marks = marks.iter().filter_map(place).collect();
    }
}
