//! A subject is a system that chaos is done to: it can say what it takes, plan a fault, make it and clean it up.
//!
//! The order in which these happen, and what is written down in between, is `session`'s business.

pub mod docker;
mod error;
mod fate;
mod scan;

pub use error::{ErrorKind, SubjectError, WAY_OUT};
pub use fate::{Fate, lost_words};
pub use scan::{Foreign, Helper, Left, Looked, Mark, Marked, Scan, Unseen};

use std::{future::Future, time::Duration};

use crate::{
    chaos::{
        Command, Fault, FaultType, Metadata,
        measured::{Look, Moment, Reading},
    },
    safety::Verdict,
};

/// The contract's operations, with planning set apart from doing so that the intent can be on disk in between.
pub trait Subject: Send + Sync {
    /// The names of what [`Self::plan`] takes; `node_kill` first.
    fn chaos_types(&self) -> Vec<&'static str> {
        FaultType::ALL.map(FaultType::name).to_vec()
    }

    /// What injecting the fault would do: a plan for each target, and more where the fault is one of several nodes; these
    /// are made all or none. Changes nothing in the targets. Without a target a random running TiKV node is taken.
    fn plan(&self, fault: &Fault, targets: &[String]) -> impl Future<Output = Result<Vec<Plan>, SubjectError>> + Send;

    /// What changing a fault that holds into another of its type would do, as far as it can be changed. `beside` is what
    /// others that hold are about to become.
    fn replan(
        &self,
        held: &Metadata,
        fault: &Fault,
        beside: &[Metadata],
    ) -> impl Future<Output = Result<Plan, SubjectError>> + Send;

    /// What an injection that names peers should be now that these are where they are; `None` where that is what it is.
    /// Changes nothing.
    fn follow(&self, held: &Metadata) -> impl Future<Output = Result<Option<Metadata>, SubjectError>> + Send {
        let _ = held;
        std::future::ready(Ok(None))
    }

    /// Makes `to` hold in the place of what holds under the same id, in one step, so that there is no moment in which nothing
    /// holds; reads it back, and gives the metadata with what was really done. `ttl` counts from now.
    fn change(
        &self,
        to: &Metadata,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Metadata, SubjectError>> + Send;

    /// Makes the fault, reads it back, and gives the metadata with what was really done. The fault ends by itself
    /// after `ttl` where it has a holder.
    fn inject(
        &self,
        metadata: &Metadata,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Metadata, SubjectError>> + Send;

    /// What the fault does to the network, as seen from inside its target; `None` where it is nothing that can be seen
    /// there. The peers are those of a former look, if one is known. Takes its time, and never more than some seconds.
    fn measure(
        &self,
        metadata: &Metadata,
        moment: Moment,
        known: Option<&Reading>,
    ) -> impl Future<Output = Option<Look>> + Send {
        let _ = (metadata, moment, known);
        std::future::ready(None)
    }

    /// Undoes the fault and reads back that it is gone. Nothing left to undo is not an error, and twice is as good as
    /// once.
    fn cleanup(&self, metadata: &Metadata) -> impl Future<Output = Result<Cleaned, SubjectError>> + Send;

    /// What became of a recorded injection, by its target as the system shows it now. Changes nothing.
    fn fate(&self, metadata: &Metadata) -> impl Future<Output = Result<Fate, SubjectError>> + Send {
        let _ = metadata;
        std::future::ready(Ok(Fate::Stands))
    }

    /// Lets go of what helped with an injection whose target's life is over. Changes nothing in the target.
    fn forget(&self, metadata: &Metadata) -> impl Future<Output = Result<(), SubjectError>> + Send {
        let _ = metadata;
        std::future::ready(Ok(()))
    }

    /// Looks at the system itself for whatever bears our marks. Changes nothing in the targets.
    fn scan(&self) -> impl Future<Output = Result<Scan, SubjectError>> + Send;

    /// Undoes what a scan found, from the mark alone.
    fn clear(&self, mark: &Marked) -> impl Future<Output = Result<Cleaned, SubjectError>> + Send;
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
    /// Several plans that are one, for whoever looks at them: everything that will run, and the worst verdict.
    pub fn together(plans: Vec<Self>) -> Option<Self> {
        let verdict = Verdict::together(&plans.iter().map(|plan| &plan.verdict).collect::<Vec<_>>())?;
        let all = plans.into_iter().reduce(|mut all, one| {
            all.commands.extend(one.commands);
            all.undo.extend(one.undo);
            all.warnings
                .extend(one.warnings.into_iter().filter(|text| !all.warnings.contains(text)).collect::<Vec<_>>());
            all
        })?;
        Some(Self { verdict, ..all })
    }
}

/// How a clean-up ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cleaned {
    /// Read back and gone.
    Clean,
    /// The same of a node that was taken out; the text says how it shows that it is back.
    Back(String),
    /// The target went away and took the fault with it; the text says how.
    Lost(String),
}
