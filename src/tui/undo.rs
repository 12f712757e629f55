//! What was done from this screen, and what undoing it takes. The last action is undone first, each only once: an undo is
//! no action of its own, so that one goes back step by step.

use std::{collections::BTreeSet, time::Duration};

use super::model::Target;
use crate::{
    chaos::{FaultType, InjectionId, Params},
    session::Injection,
};

/// As far as anybody goes back.
const KEPT: usize = 100;

/// Something that was done and can be undone.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// These were injected, as one act.
    Injected {
        ids: Vec<InjectionId>,
        what: String,
    },
    /// This was reverted, and would be injected again like this.
    Reverted(Again),
    /// This was reverted, and its record does not say how it was asked for.
    Gone {
        what: String,
    },
    Changed(Change),
    /// Other nodes were made the targets; these were marked, and that one selected where it was another.
    Aimed {
        node: Option<String>,
        marks: BTreeSet<String>,
    },
}

/// How something would be injected again.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    pub kind: FaultType,
    pub params: Params,
    pub targets: Vec<Target>,
    pub ttl: Option<Duration>,
    /// What was one act is injected again as one.
    pub group: Option<InjectionId>,
}

impl Again {
    /// By its record alone; `None` where that does not say enough.
    pub fn of(injection: &Injection) -> Option<Self> {
        let metadata = &injection.metadata;
        let ttl = injection.deadline.and_then(|end| Duration::try_from(end.duration_since(injection.created_at)).ok());
        let target = Target { id: metadata.container_id.clone(), name: metadata.target().to_owned() };
        Some(Self {
            kind: metadata.fault_type(),
            params: metadata.asked()?,
            targets: vec![target],
            ttl,
            group: metadata.group.clone(),
        })
    }

    pub fn what(&self) -> String {
        let names: Vec<&str> = self.targets.iter().map(|target| target.name.as_str()).collect();
        format!("{} on {}", self.kind, names.join(", "))
    }
}

/// Other parameters for injections that hold and were made as one act.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub ids: Vec<InjectionId>,
    pub kind: FaultType,
    /// The target's name, or how many there are.
    pub whom: String,
    /// Of each.
    pub from: Vec<Params>,
    pub to: Vec<Params>,
    /// It takes back another one.
    pub undoes: bool,
}

impl Change {
    /// Leaves out the others.
    pub fn keep(&mut self, wanted: impl Fn(&InjectionId) -> bool) {
        let kept: Vec<bool> = self.ids.iter().map(wanted).collect();
        let mut of_from = kept.iter();
        self.from.retain(|_| of_from.next() == Some(&true));
        let mut of_to = kept.iter();
        self.to.retain(|_| of_to.next() == Some(&true));
        let mut of_ids = kept.iter();
        self.ids.retain(|_| of_ids.next() == Some(&true));
    }

    /// The parameters that it moves.
    fn moves(&self) -> Vec<&'static str> {
        let moves = |name: &&str| self.from.iter().zip(&self.to).any(|(from, to)| from.get(name) != to.get(name));
        self.kind.params().iter().map(|spec| spec.name).filter(moves).collect()
    }
}

/// Adds what was done. The steps of one slider are one change, whatever it went through, and the nodes of one act that are
/// reverted one after the other are injected again together.
pub fn push(done: &mut Vec<Done>, one: Done) {
    match (done.last_mut(), &one) {
        (Some(Done::Changed(last)), Done::Changed(next)) if last.ids == next.ids && last.moves() == next.moves() => {
            last.to.clone_from(&next.to);
            if last.from == last.to {
                done.pop();
            }
            return;
        }
        (Some(Done::Reverted(last)), Done::Reverted(next)) if last.group.is_some() && last.group == next.group => {
            let new = next.targets.iter().filter(|target| !last.targets.contains(target));
            let new: Vec<_> = new.cloned().collect();
            last.targets.extend(new);
            return;
        }
        _ => {}
    }
    if done.len() == KEPT {
        done.remove(0);
    }
    done.push(one);
}
