//! Every action that is possible now, in whichever pane, found by a few letters of its name or of what it does.

use super::{
    keys::{Action, Binding, Context},
    matching::best,
    model::{Model, Pane},
    open::Owner,
    update::pane_contexts,
};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Palette {
    pub text: String,
    pub at: usize,
}

/// An action that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub action: Action,
    pub name: &'static str,
    pub help: &'static str,
    /// Its first key.
    pub key: String,
    /// The pane that must have the keys for it, where that is another one.
    pub pane: Option<Pane>,
}

/// The panes that have actions of their own.
const ELSEWHERE: [(Pane, Context); 3] =
    [(Pane::Nodes, Context::Nodes), (Pane::Active, Context::Active), (Pane::Log, Context::Log)];

/// Whether it is more than moving about in its pane.
fn is_own(action: Action) -> bool {
    use Action as A;
    matches!(action, A::Mark | A::Open | A::OlderHit | A::NewerHit | A::WithOthers | A::Gravity)
}

/// What somebody who asks for an action by name hardly looks for.
fn is_moving(action: Action) -> bool {
    use Action as A;
    matches!(action, A::Up | A::Down | A::First | A::Last | A::PageUp | A::PageDown | A::NextPane | A::PreviousPane)
        || matches!(action, A::Less | A::More | A::MuchLess | A::MuchMore | A::Least | A::Most)
}

/// As in the help; what shares a line there is told apart here.
fn help(binding: &Binding) -> &'static str {
    match binding.action {
        Action::Focus(Pane::Nodes) => "go to the nodes",
        Action::Focus(Pane::Picker) => "go to the fault and its sliders",
        Action::Focus(Pane::Active) => "go to what is injected",
        Action::Focus(Pane::Log) => "go to the log",
        Action::NextPane => "go to the next pane",
        Action::PreviousPane => "go to the previous pane",
        _ => binding.help,
    }
}

impl Model {
    /// What fits the text, the best first; all of it in the order of the help where there is none.
    pub(super) fn offers(&self, text: &str) -> Vec<Offer> {
        let mut offers: Vec<Offer> = Vec::new();
        let here = pane_contexts(self).into_iter().flat_map(|context| self.keys.of(context));
        let elsewhere = ELSEWHERE.into_iter().filter(|(pane, _)| *pane != self.focus);
        let elsewhere = elsewhere.flat_map(|(pane, context)| {
            self.keys.of(context).filter(|one| is_own(one.action)).map(move |binding| (Some(pane), binding))
        });
        for (pane, binding) in here.map(|binding| (None, binding)).chain(elsewhere) {
            let Some(name) = binding.action.name().filter(|_| self.is_possible(binding.action)) else { continue };
            if offers.iter().all(|offer| offer.name != name) {
                let key = binding.keys.first().map(|key| key.name(self.glyphs)).unwrap_or_default();
                offers.push(Offer { action: binding.action, name, help: help(binding), key, pane });
            }
        }
        offers.sort_by_key(|offer| is_moving(offer.action));
        let texts: Vec<String> = offers.iter().map(|offer| format!("{} {}", offer.name, offer.help)).collect();
        best(&texts, text).into_iter().filter_map(|at| offers.get(at).cloned()).collect()
    }

    /// Whether a change was refused that can be insisted on.
    fn is_refused(&self) -> bool {
        let problem = self.picker.held.as_ref().and_then(|held| held.problem.as_ref());
        problem.is_some_and(|problem| problem.refused)
    }

    /// Whether asking for it now would do more than nothing.
    pub(super) fn is_possible(&self, action: Action) -> bool {
        match action {
            Action::Inject => self.is_refused() || (self.ready().is_ok() && self.injecting.is_none()),
            Action::Revert => !self.options.read_only && self.selected_open().is_some(),
            Action::ByHand | Action::Measured | Action::Open => self.selected_open().is_some(),
            Action::Undo => !self.done.is_empty(),
            Action::Mark => self.target().is_some(),
            Action::Random => !self.nodes().is_empty(),
            Action::RevertAll => !self.options.read_only && !self.open_of(Owner::Mine).is_empty(),
            Action::Panic => !self.options.read_only,
            Action::Clear => !self.filter.is_empty() || !self.log.filter.is_empty() || !self.marks.is_empty(),
            Action::OlderHit | Action::NewerHit | Action::WithOthers => !self.log.filter.is_empty(),
            Action::Keep => self.picker.fault().is_ok(),
            Action::Palette => false,
            _ => true,
        }
    }
}
