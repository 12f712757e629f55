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
    chaos::{Fault, InjectionId, Metadata, undo_commands},
    safety::{Asked, Grade, Limits, Verdict, Voters},
    step::{Step, step},
    subject::{Plan, Subject, SubjectError},
};

/// What an injection is to be from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRequest {
    /// Of its own type; `None` leaves it as it is.
    pub fault: Option<Fault>,
    /// From now on; `None` keeps the deadline, `Some(None)` takes it away.
    pub ttl: Option<Option<Duration>>,
    pub limits: Limits,
    /// Whatever the verdict is.
    pub force: bool,
}

/// What the change would do, judged as if the injection were made anew. Changes nothing.
pub async fn plan_change<S: Subject>(
    subject: &S,
    held: &Injection,
    request: &ChangeRequest,
) -> Result<Plan, SubjectError> {
    plan_beside(subject, held, request, &[]).await
}

/// What changing several would do, each judged beside those before it as they will be then. Changes nothing.
pub async fn plan_changes<S: Subject>(
    subject: &S,
    changes: &[(&Injection, ChangeRequest)],
) -> Vec<Result<Plan, SubjectError>> {
    let (mut plans, mut later) = (Vec::new(), Vec::new());
    for (held, request) in changes {
        let plan = plan_beside(subject, held, request, &later).await;
        later.extend(plan.as_ref().map(|plan| plan.metadata.clone()));
        plans.push(plan);
    }
    plans
}

async fn plan_beside<S: Subject>(
    subject: &S,
    held: &Injection,
    request: &ChangeRequest,
    beside: &[Metadata],
) -> Result<Plan, SubjectError> {
    let mut plan = match &request.fault {
        Some(fault) => subject.replan(&held.metadata, fault, beside).await?,
        None => stays(&held.metadata),
    };
    if let Some(ttl) = request.ttl {
        // It is active already, however many there are.
        plan.verdict = plan.verdict.with(request.limits.reasons(&Asked { active: 0, ttl }));
    }
    Ok(plan)
}

/// Nothing but its deadline is another.
fn stays(held: &Metadata) -> Plan {
    let consequence = "it stays as it is".to_owned();
    Plan {
        metadata: held.clone(),
        commands: Vec::new(),
        undo: undo_commands(held),
        warnings: Vec::new(),
        verdict: Verdict { grade: Grade::Fine, consequence, reasons: Vec::new(), voters: Voters::Stores },
    }
}

/// Makes the injection what is asked for. If that fails it is what it was before, and the record says so. `before` sees
/// the plan before anything happens.
pub async fn change<S: Subject>(
    subject: &S,
    store: &Store,
    id: &InjectionId,
    request: &ChangeRequest,
    before: impl FnOnce(&Plan) + Send,
) -> Result<Injected, LifeError> {
    let not_changed =
        |reason: &dyn std::fmt::Display| LifeError::NotChanged { id: id.to_string(), reason: reason.to_string() };
    // Neither two changes nor a change and a revert at once.
    let _claim = Claim::take(store.folder(), id).await.map_err(|error| not_changed(&error))?;
    step(Step::Claimed);
    let loaded = store.load().map_err(|error| not_changed(&error))?;
    let mut all = loaded.sessions.iter().flat_map(|seen| &seen.file.injections);
    let held = all.find(|one| one.metadata.id == *id).ok_or_else(|| not_changed(&"no journal knows it any more"))?;
    if held.state != Life::Active {
        return Err(not_changed(&not_active(held.state)));
    }
    let plan = plan_change(subject, held, request).await?;
    before(&plan);
    if plan.verdict.grade == Grade::Refused && !request.force {
        return Err(LifeError::Unsafe(plan.verdict));
    }
    let end = request.ttl.map(|ttl| deadline(&Clock::now(), ttl));
    let other = Other { held, to: &plan.metadata, end, note: None };
    let blame = |cause: &SubjectError| format!("could not be changed: {cause}");
    let injection = make(subject, store, other, blame).await?;
    Ok(Injected { injection, warnings: plan.warnings })
}

fn not_active(state: Life) -> String {
    format!("it is {state}, and only what is active can be changed")
}

type End = (Option<Timestamp>, Option<u64>);

/// What an injection that is active is to be from now on.
pub(super) struct Other<'a> {
    pub(super) held: &'a Injection,
    pub(super) to: &'a Metadata,
    /// `None` keeps the deadline.
    pub(super) end: Option<End>,
    /// What its record says once it is that.
    pub(super) note: Option<String>,
}

/// Written down with what it was, changed, read back, written down. `blame` says why it could not be, in a record that is
/// as it was. The caller has claimed the injection.
pub(super) async fn make<S: Subject>(
    subject: &S,
    store: &Store,
    other: Other<'_>,
    blame: impl Fn(&SubjectError) -> String + Send,
) -> Result<Injection, LifeError> {
    let Other { held, to, end, note } = other;
    let id = &held.metadata.id;
    let not_changed =
        |reason: &dyn std::fmt::Display| LifeError::NotChanged { id: id.to_string(), reason: reason.to_string() };
    let mut was = held.state;
    let intent = |injection: &mut Injection| {
        was = injection.state;
        if was != Life::Active {
            return;
        }
        injection.state = Life::Applying;
        injection.former = Some(std::mem::replace(&mut injection.metadata, to.clone()));
        injection.undo = injection.undo_by_hand();
        if let Some(end) = end {
            (injection.deadline, injection.deadline_since_boot_ms) = end;
        }
    };
    let written = store.update(id, Durability::Synced, intent);
    let written = written.map_err(|error| not_changed(&format!("it could not be written down first: {error}")))?;
    if written.is_none() || was != Life::Active {
        return Err(not_changed(&not_active(was)));
    }
    step(Step::ChangeWritten);
    // It may have its first deadline now.
    if let Err(error) = store.start_guard() {
        tracing::error!(%error, "no guard");
    }
    let end = end.map_or(held.deadline, |(end, _)| end);
    match subject.change(to, left(end, Timestamp::now())).await {
        Ok(made) => {
            step(Step::Changed);
            // What is on the disk would be undone as well, should this be lost.
            let written = store.update(id, Durability::Visible, |injection| settle(injection, &made, note));
            step(Step::ChangeSettled);
            match written {
                Ok(Some(injection)) if injection.state == Life::Active => Ok(injection),
                Ok(Some(_)) => Err(overtaken(subject, store, &made).await),
                Ok(None) => Err(not_changed(&"it was changed, and its record went away meanwhile")),
                Err(error) => Err(not_changed(&format!("it was changed, but the journal cannot say so: {error}"))),
            }
        }
        Err(cause) => Err(change_back(subject, store, held, (cause, blame)).await),
    }
}

/// Another program reverted it although it was ours, as happens where a program is stopped: what was made since is undone.
pub(super) async fn overtaken<S: Subject>(subject: &S, store: &Store, made: &Metadata) -> LifeError {
    let Err(undo_error) = subject.cleanup(made).await else { return LifeError::Overtaken(made.id.to_string()) };
    let reason = "it was reverted by somebody else while it was being changed".to_owned();
    // It stands, so the record must say so.
    let note = Some(undo_error.to_string());
    let written = store.update(&made.id, Durability::Synced, |injection| {
        (injection.state, injection.note) = (Life::Applying, note);
    });
    if let Err(error) = written {
        tracing::error!(%error, id = %made.id, "the journal could not be written");
    }
    LifeError::NotRolledBack { cause: SubjectError::Refused { target: made.target().to_owned(), reason }, undo_error }
}

/// The former values again.
async fn change_back<S: Subject>(
    subject: &S,
    store: &Store,
    held: &Injection,
    (cause, blame): (SubjectError, impl Fn(&SubjectError) -> String + Send),
) -> LifeError {
    let id = &held.metadata.id;
    // Its network went, and both went with it: there is nothing to choose between.
    let is_gone = held.metadata.network().is_some() && matches!(cause, SubjectError::TargetChanged { .. });
    let back = match is_gone {
        true => Ok(held.metadata.clone()),
        false => subject.change(&held.metadata, left(held.deadline, Timestamp::now())).await,
    };
    if back.is_ok() && !is_gone {
        step(Step::ChangedBack);
    }
    let write = |injection: &mut Injection| {
        (injection.deadline, injection.deadline_since_boot_ms) = (held.deadline, held.deadline_since_boot_ms);
        match &back {
            Ok(metadata) => {
                settle(injection, metadata, if is_gone { held.note.clone() } else { Some(blame(&cause)) });
                injection.measured.clone_from(&held.measured);
            }
            Err(error) => injection.note = Some(format!("{}; nor changed back: {error}", blame(&cause))),
        }
    };
    if let Err(error) = store.update(id, Durability::Synced, write) {
        tracing::error!(%error, %id, "the journal could not be written");
    }
    step(Step::ChangeSettled);
    match back {
        Ok(_) => LifeError::ChangedBack { id: id.to_string(), cause },
        Err(back_error) => LifeError::HalfChanged { id: id.to_string(), cause, back_error },
    }
}

/// It is this, and nothing else; what was measured of it is of the former.
pub(super) fn settle(injection: &mut Injection, metadata: &Metadata, note: Option<String>) {
    if injection.state != Life::Applying {
        return;
    }
    injection.metadata = metadata.clone();
    injection.former = None;
    injection.undo = injection.undo_by_hand();
    injection.note = note;
    if let Some(measured) = &mut injection.measured {
        measured.during = None;
    }
    injection.state = Life::Active;
}

/// The time until then: what its holder is told.
pub(super) fn left(deadline: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    deadline.map(|end| Duration::try_from(end.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
