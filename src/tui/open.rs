//! An open injection as the screen speaks of it: whose it is, how it stands, how long it has left.

use jiff::Timestamp;

use super::{
    model::Model,
    text::{minutes, span},
};
use crate::{
    chaos::InjectionId,
    session::{Injection, Life, SessionFile, lost},
    subject::docker::{Node, fate},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Mine,
    /// Another program that still runs.
    Other,
    /// A program that is gone.
    LeftBehind,
}

impl Owner {
    pub fn word(self) -> &'static str {
        match self {
            Self::Mine => "mine",
            Self::Other => "other",
            Self::LeftBehind => "left behind",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Underway(Life),
    Overdue,
    Reverting,
    /// It was tried, and may be half undone.
    NotReverted,
    /// Its target shows that it is over; the journal does not say so yet, or may not.
    Lost,
    /// Its peers are elsewhere, and it is not for them any more.
    NotFollowed,
}

impl Standing {
    /// Whether somebody should look at it.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Overdue | Self::NotReverted | Self::NotFollowed)
    }

    pub fn word(self) -> String {
        match self {
            Self::Underway(life) => life.to_string(),
            Self::Overdue => "overdue".to_owned(),
            Self::Reverting => Life::Reverting.to_string(),
            Self::NotReverted => "not reverted".to_owned(),
            Self::Lost => Life::Lost.to_string(),
            Self::NotFollowed => "not followed".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    pub injection: &'a Injection,
    pub session: &'a SessionFile,
    pub owner: Owner,
    pub standing: Standing,
    /// How a span of seconds is told.
    pub told: fn(i64) -> String,
}

impl<'a> Open<'a> {
    pub fn id(&self) -> &'a InjectionId {
        &self.injection.metadata.id
    }

    pub fn age(&self, now: Timestamp) -> String {
        (self.told)(now.as_second() - self.injection.created_at.as_second())
    }

    /// `9m 12s left`, `due 1m 40s ago`, `no deadline`.
    pub fn left(&self, now: Timestamp) -> String {
        // The screen's clock may be a second behind, and ten minutes are never ten and a second.
        let now = now.max(self.injection.created_at);
        match self.injection.deadline {
            None => "no deadline".to_owned(),
            Some(deadline) if deadline <= now => {
                format!("due {} ago", (self.told)(now.as_second() - deadline.as_second()))
            }
            Some(deadline) => format!("{} left", (self.told)(deadline.as_second() - now.as_second())),
        }
    }

    /// How much of its time is left, in parts of all of it; `None` where it has no end.
    #[expect(clippy::cast_precision_loss, reason = "a share of some hours")]
    pub fn share_left(&self, now: Timestamp) -> Option<f64> {
        let deadline = self.injection.deadline?.as_second();
        let whole = deadline - self.injection.created_at.as_second();
        let left = deadline - now.max(self.injection.created_at).as_second();
        Some((left as f64 / whole.max(1) as f64).clamp(0.0, 1.0))
    }

    /// Whether it is in that node. A recreated container has another id and keeps its name.
    pub fn is_in(&self, node: &Node) -> bool {
        if self.standing == Standing::Lost {
            return false;
        }
        self.injection.metadata.container_id == node.id || self.injection.metadata.target() == node.name
    }
}

impl Model {
    /// Every injection that may have something to undo, the oldest first.
    pub fn open(&self) -> Vec<Open<'_>> {
        let open = self.sessions.open().into_iter();
        let told = if self.options.motion { span } else { minutes };
        open.map(|(seen, injection)| Open {
            injection,
            told,
            session: &seen.file,
            owner: match (seen.mine, seen.alive) {
                (true, _) => Owner::Mine,
                (false, true) => Owner::Other,
                (false, false) => Owner::LeftBehind,
            },
            standing: if self.reverting.contains_key(&injection.metadata.id) {
                Standing::Reverting
            } else if self.is_lost(injection) {
                Standing::Lost
            } else if injection.state == Life::Reverting && injection.note.is_some() {
                Standing::NotReverted
            } else if injection.is_overdue(self.now) && injection.state != Life::Reverting {
                Standing::Overdue
            } else if injection.state == Life::Active && injection.is_astray() {
                Standing::NotFollowed
            } else {
                Standing::Underway(injection.state)
            },
        })
        .collect()
    }

    /// Whether its target, as Docker shows it, is beyond what the record says. Of one that is not shown nothing is known here.
    fn is_lost(&self, injection: &Injection) -> bool {
        let target = self.nodes().iter().find(|node| node.id == injection.metadata.container_id);
        target.is_some_and(|node| lost(injection, &fate(&injection.metadata, Some(node))).is_some())
    }

    pub fn open_of(&self, owner: Owner) -> Vec<InjectionId> {
        self.open().iter().filter(|open| open.owner == owner).map(|open| open.id().clone()).collect()
    }

    /// The selected one and its place in the list.
    pub fn selected_open(&self) -> Option<(usize, Open<'_>)> {
        self.selected_of(&self.open())
    }

    /// As [`Self::selected_open`], of those that are open.
    pub(super) fn selected_of<'a>(&self, open: &[Open<'a>]) -> Option<(usize, Open<'a>)> {
        let by_id = self.active_id.as_ref().and_then(|id| open.iter().position(|one| one.id() == id));
        let at = by_id.unwrap_or(self.active_row.min(open.len().saturating_sub(1)));
        open.get(at).map(|one| (at, *one))
    }
}
