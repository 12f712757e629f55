//! Changing an injection while it holds: written down with what it was and what it will be, changed in one step, read
//! back. A crash anywhere in between leaves a record of both, and whoever undoes it undoes both.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    claim::Claim,
    clock::Clock,
    journal::{Durability, Store},
    life::{Injected, LifeError, deadline},
    record::{Injection, Life},
};
use crate::{
    chaos::{Fault, Metadata},
    safety::{Asked, Grade, Limits},
    step::{Step, step},
    subject::{Plan, Subject, SubjectError},
};

/// What an injection is to be from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub fault: Fault,
    /// From now on; `None` keeps the deadline, `Some(None)` takes it away.
    pub ttl: Option<Option<Duration>>,
    pub limits: Limits,
    /// Whatever the verdict is.
    pub force: bool,
}

/// What the change would do, judged as if the injection were made anew. Changes nothing.
pub async fn plan_change<S: Subject>(
    subject: &S,
    injection: &Injection,
    change: &Change,
) -> Result<Plan, SubjectError> {
    let mut plan = subject.plan_change(&injection.metadata, &change.fault).await?;
    if let Some(ttl) = change.ttl {
        // It is active already, however many there are.
        plan.verdict = plan.verdict.with(change.limits.reasons(&Asked { active: 0, new: 0, ttl }));
    }
    Ok(plan)
}

/// Makes the injection what is asked for. If that fails it is what it was before, and the record says so. `before` sees
/// the plan before anything happens.
pub async fn change<S: Subject>(
    subject: &S,
    store: &Store,
    injection: &Injection,
    change: &Change,
    before: impl FnOnce(&Plan) + Send,
) -> Result<Injected, LifeError> {
    let id = &injection.metadata.id;
    let not_changed = |reason: &str| LifeError::NotChanged { id: id.to_string(), reason: reason.to_owned() };
    // Neither two changes nor a change and a revert at once.
    let _claim = Claim::take(store.folder(), id).await.map_err(|error| not_changed(&error.to_string()))?;
    let held = store.update(id, Durability::Visible, |_| ()).map_err(|error| not_changed(&error.to_string()))?;
    let held = held.ok_or_else(|| not_changed("no journal knows it any more"))?;
    if held.state != Life::Active {
        return Err(not_changed(&format!("it is {}, and only what is active can be changed", held.state)));
    }
    let plan = plan_change(subject, &held, change).await?;
    before(&plan);
    if plan.verdict.grade == Grade::Refused && !change.force {
        return Err(LifeError::Unsafe(plan.verdict));
    }
    let clock = Clock::now();
    let (end, end_since_boot_ms) =
        change.ttl.map_or((held.deadline, held.deadline_since_boot_ms), |ttl| deadline(&clock, ttl));
    let intent = |injection: &mut Injection| {
        injection.state = Life::Applying;
        injection.undo = Injection::undo_by_hand(&plan.metadata, Some(&held.metadata));
        injection.former = Some(std::mem::replace(&mut injection.metadata, plan.metadata.clone()));
        (injection.deadline, injection.deadline_since_boot_ms) = (end, end_since_boot_ms);
    };
    store.update(id, Durability::Synced, intent).map_err(LifeError::NotRecorded)?;
    step(Step::ChangeWritten);
    // It may have its first deadline now.
    if let Err(error) = store.start_guard() {
        tracing::error!(%error, "no guard");
    }
    match subject.change(&held.metadata, &plan.metadata, left(end, clock.wall)).await {
        Ok(made) => {
            step(Step::ChangeMade);
            let written = store.update(id, Durability::Synced, |injection| settle(injection, &made, None));
            step(Step::ChangedWritten);
            match written {
                Ok(Some(injection)) => Ok(Injected { injection, warnings: plan.warnings }),
                // Both are on disk and would be undone; it holds as it was asked for.
                Ok(None) => Err(not_changed("it was changed, and its record went away meanwhile")),
                Err(error) => {
                    let reason = format!("it was changed, but the journal cannot say so: {error}");
                    Err(not_changed(&reason))
                }
            }
        }
        Err(cause) => Err(change_back(subject, store, &held, &plan.metadata, cause).await),
    }
}

/// The former values again.
async fn change_back<S: Subject>(
    subject: &S,
    store: &Store,
    held: &Injection,
    to: &Metadata,
    cause: SubjectError,
) -> LifeError {
    let id = &held.metadata.id;
    let back = subject.change(to, &held.metadata, left(held.deadline, Timestamp::now())).await;
    let write = |injection: &mut Injection| {
        (injection.deadline, injection.deadline_since_boot_ms) = (held.deadline, held.deadline_since_boot_ms);
        match &back {
            Ok(metadata) => settle(injection, metadata, Some(format!("could not be changed: {cause}"))),
            Err(error) => injection.note = Some(format!("{cause}; nor changed back: {error}")),
        }
    };
    if let Err(error) = store.update(id, Durability::Synced, write) {
        tracing::error!(%error, %id, "the journal could not be written");
    }
    match back {
        Ok(_) => LifeError::ChangedBack { id: id.to_string(), cause },
        Err(back_error) => LifeError::HalfChanged { id: id.to_string(), cause, back_error },
    }
}

/// It is this, and nothing else.
fn settle(injection: &mut Injection, metadata: &Metadata, note: Option<String>) {
    injection.metadata = metadata.clone();
    injection.former = None;
    injection.undo = Injection::undo_by_hand(metadata, None);
    injection.note = note;
    if injection.state == Life::Applying {
        injection.state = Life::Active;
    }
}

/// The time until then: what its holder is told.
fn left(deadline: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    deadline.map(|end| Duration::try_from(end.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
