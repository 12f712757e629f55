//! A subject is a system that chaos is done to: it can say what it takes, plan a fault, make it and clean it up.
//!
//! The order in which these happen, and what is written down in between, is `session`'s business.

pub mod docker;
mod error;
mod scan;

pub use error::{ErrorKind, SubjectError};
pub use scan::{Foreign, Helper, Left, Mark, Marked, Scan, Unseen};

use std::{future::Future, time::Duration};

use crate::{
    chaos::{Command, Fault, FaultType, Metadata},
    safety::Verdict,
};

/// The contract's operations, with planning set apart from doing so that the intent can be on disk in between.
pub trait Subject: Send + Sync {
    /// The names of what [`Self::plan`] takes; `node_kill` first.
    fn chaos_types(&self) -> Vec<&'static str> {
        FaultType::ALL.map(FaultType::name).to_vec()
    }

    /// What making these faults in one act would do: for each wish the injections that it takes, since a fault may need
    /// several nodes. The verdict of every one is that of all of them together. Changes nothing in the targets. Without a
    /// target a random running TiKV node is taken.
    fn plan(&self, wishes: &[Wish<'_>]) -> impl Future<Output = Result<Vec<Vec<Plan>>, SubjectError>> + Send;

    /// Makes the fault, reads it back, and gives the metadata with what was really done. The fault ends by itself
    /// after `ttl` where it has a holder.
    fn inject(
        &self,
        metadata: &Metadata,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Metadata, SubjectError>> + Send;

    /// What making an injection that holds another fault of its type would do, under the same id. A type that cannot be
    /// changed says why. Changes nothing.
    fn plan_change(&self, held: &Metadata, fault: &Fault) -> impl Future<Output = Result<Plan, SubjectError>> + Send;

    /// Makes `to` hold in the place of `from`, which has the same id, in one step, so that there is no moment in which nothing holds, reads it
    /// back, and gives the metadata with what was really done. `ttl` counts from now.
    fn change(
        &self,
        from: &Metadata,
        to: &Metadata,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Metadata, SubjectError>> + Send;

    /// Undoes the fault and reads back that it is gone. Nothing left to undo is not an error, and twice is as good as
    /// once.
    fn cleanup(&self, metadata: &Metadata) -> impl Future<Output = Result<Cleaned, SubjectError>> + Send;

    /// Looks at the system itself for whatever bears our marks. Changes nothing in the targets.
    fn scan(&self) -> impl Future<Output = Result<Scan, SubjectError>> + Send;

    /// Undoes what a scan found, from the mark alone.
    fn clear(&self, mark: &Marked) -> impl Future<Output = Result<Cleaned, SubjectError>> + Send;
}

/// One fault that somebody wants, and on which node.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub fault: &'a Fault,
    pub target: Option<&'a str>,
}

/// An injection that could begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub metadata: Metadata,
    /// Exactly what will run, in order.
    pub commands: Vec<Command>,
    /// The undo as a person would type it.
    pub undo: Vec<Command>,
    /// What the user should know before it happens.
    pub warnings: Vec<String>,
    /// What it would leave of the cluster.
    pub verdict: Verdict,
}

impl Plan {
    /// The plans of one act as one, to be shown: the commands of all of them under the first one's name.
    pub fn joined(plans: Vec<Self>) -> Option<Self> {
        plans.into_iter().reduce(|mut all, plan| {
            all.commands.extend(plan.commands);
            all.undo.extend(plan.undo);
            all.warnings.extend(plan.warnings);
            all
        })
    }
}

/// How a clean-up ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cleaned {
    /// Read back and gone.
    Clean,
    /// The target went away and took the fault with it; the text says how.
    Lost(String),
}
