//! The life of an injection, and the one order that everything keeps: written down, done, read back, written down.
//!
//! Works with any subject. What it writes before and after each step is what recovery relies on.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{
    claim::Claim,
    clock::Clock,
    journal::{Durability, JournalError, Store, to},
    record::{Injection, Life, Loaded},
};
use crate::{
    chaos::{Fault, InjectionId, Metadata},
    safety::{Asked, Grade, Limits, Reason, Verdict},
    step::{Step, step},
    subject::{Cleaned, ErrorKind, Plan, Subject, SubjectError, Wish},
};

const OVERTAKEN: &str = "was reverted by somebody else while it was being made";

#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    #[error(transparent)]
    Subject(#[from] SubjectError),
    #[error("not injected: {}", .0.reasons.join("; "))]
    Unsafe(Verdict),
    #[error("nothing was injected, because it could not be written down first: {0}")]
    NotRecorded(JournalError),
    #[error("{cause}; nothing of it is left")]
    RolledBack { cause: SubjectError },
    #[error(
        "{cause}; and undoing what was half done failed: {undo_error}. It stays in the journal: `tikv-chaos recover`"
    )]
    NotRolledBack { cause: SubjectError, undo_error: SubjectError },
    #[error("{cause}")]
    Pending { cause: SubjectError },
    #[error("{id} could not be reverted: {cause}. By hand: {undo}")]
    NotReverted { id: String, cause: SubjectError, undo: String },
    #[error("{0} {OVERTAKEN}, and is undone")]
    Overtaken(String),
    #[error("{id} was not changed: {reason}")]
    NotChanged { id: String, reason: String },
    #[error("{id} was not changed: {cause}; it is as it was")]
    ChangedBack { id: String, cause: SubjectError },
    #[error(
        "{id} was not changed: {cause}; and changing it back failed: {back_error}. It may be either: `tikv-chaos revert {id}`"
    )]
    HalfChanged { id: String, cause: SubjectError, back_error: SubjectError },
    /// Some of an act that is made whole or not at all.
    #[error("{why}; it is all {of} or none{}", told(taken, left))]
    Act { kind: ErrorKind, of: usize, why: String, taken: Vec<String>, left: Vec<String> },
}

/// What became of the rest of an act.
fn told(taken: &[String], left: &[String]) -> String {
    let taken =
        if taken.is_empty() { String::new() } else { format!(": {} taken back, read back and gone", taken.join(", ")) };
    if left.is_empty() {
        return taken;
    }
    let left = left.join("; ");
    format!("{taken}; could not be taken back: {left}. It stays in the journal: `tikv-chaos recover`")
}

impl LifeError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unsafe(_) => ErrorKind::Refused,
            Self::Subject(error)
            | Self::RolledBack { cause: error }
            | Self::ChangedBack { cause: error, .. }
            | Self::Pending { cause: error } => error.kind(),
            Self::NotChanged { .. } => ErrorKind::Refused,
            Self::Act { kind, .. } => *kind,
            _ => ErrorKind::Failed,
        }
    }
}

/// What somebody wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub fault: Fault,
    pub target: Option<String>,
    /// `None` must have been said: it ends only when it is reverted.
    pub ttl: Option<Duration>,
    /// What the program is doing, for the journal: `tui`, `inject`.
    pub command: &'static str,
    pub limits: Limits,
    /// Whatever the verdict is.
    pub force: bool,
}

/// An injection that holds, with what the user was warned of.
#[derive(Debug, Clone)]
pub struct Injected {
    pub injection: Injection,
    pub warnings: Vec<String>,
}

/// What the act would do, judged by what it would leave of the cluster and by the limits: a plan for each injection that
/// it takes, with the verdict of all. Changes nothing.
pub async fn plan_all<S: Subject>(subject: &S, store: &Store, requests: &[Request]) -> Result<Vec<Plan>, SubjectError> {
    Ok(plan(subject, store, requests).await?.into_iter().map(|(_, plan)| plan).collect())
}

/// The same, each with the request that it is of.
async fn plan<'a, S: Subject>(
    subject: &S,
    store: &Store,
    requests: &'a [Request],
) -> Result<Vec<(&'a Request, Plan)>, SubjectError> {
    let wish = |request: &'a Request| Wish { fault: &request.fault, target: request.target.as_deref() };
    let planned = subject.plan(&requests.iter().map(wish).collect::<Vec<_>>()).await?;
    let active = store.load().map_or(0, |loaded| loaded.open().len());
    let new = planned.iter().map(Vec::len).sum();
    let reasons = requests.iter().flat_map(|one| one.limits.reasons(&Asked { active, new, ttl: one.ttl }));
    let reasons: BTreeSet<Reason> = reasons.collect();
    let of = |(request, plans): (&'a Request, Vec<Plan>)| plans.into_iter().map(move |plan| (request, plan));
    let mut plans: Vec<_> = requests.iter().zip(planned).flat_map(of).collect();
    for (_, plan) in &mut plans {
        plan.verdict = plan.verdict.clone().with(reasons.iter().cloned().collect());
    }
    Ok(plans)
}

/// Plans, records, makes and verifies one act: every injection that the requests take, or none of them. All are on disk
/// before the first is made; they are made at the same time; if one fails, the others are taken back. `before` sees the
/// plans before anything happens.
pub async fn inject_all<S: Subject>(
    subject: &S,
    store: &Store,
    requests: &[Request],
    before: impl FnOnce(&[Plan]) + Send,
) -> Result<Vec<Injected>, LifeError> {
    let planned = plan(subject, store, requests).await?;
    let (requests, plans): (Vec<&Request>, Vec<Plan>) = planned.into_iter().unzip();
    before(&plans);
    let Some(first) = requests.first() else { return Ok(Vec::new()) };
    let forced = requests.iter().all(|request| request.force);
    if let Some(plan) = plans.iter().find(|plan| plan.verdict.grade == Grade::Refused && !forced) {
        return Err(LifeError::Unsafe(plan.verdict.clone()));
    }
    let (clock, group) = (Clock::now(), (plans.len() > 1).then(InjectionId::random));
    let injections: Vec<Injection> =
        requests.iter().zip(&plans).map(|(request, plan)| planned_at(&clock, request, plan, group.as_ref())).collect();
    step(Step::Planned);
    store.record(first.command, injections).map_err(LifeError::NotRecorded)?;
    step(Step::Recorded);
    // After the record, or it would find nothing to guard; before the act, or our death in between would leave it to
    // nobody.
    let guard = store.start_guard().err().map(|error| {
        tracing::error!(%error, "no guard");
        format!("{error}; its deadline is kept by this program and its helper alone")
    });
    step(Step::GuardStarted);
    let ids: Vec<&InjectionId> = plans.iter().map(|plan| &plan.metadata.id).collect();
    for id in &ids {
        store.update(id, Durability::Visible, to(Life::Applying)).map_err(LifeError::NotRecorded)?;
    }
    step(Step::ApplyingWritten);
    let act = requests.iter().zip(&plans).map(|(request, plan)| async move {
        match subject.inject(&plan.metadata, request.ttl).await {
            Ok(made) => Ok(made),
            Err(cause) => Err(roll_back(subject, store, &plan.metadata, cause).await),
        }
    });
    let made = all_or_none(subject, store, &plans, join_all(act).await, |made| made).await?;
    step(Step::Made);
    let activated = join_all(made.into_iter().map(|metadata| activate(subject, store, metadata))).await;
    let active = all_or_none(subject, store, &plans, activated, |one| &one.metadata).await?;
    step(Step::ActiveWritten);
    let warnings = plans.into_iter().map(|plan| plan.warnings.into_iter().chain(guard.clone()).collect());
    Ok(active.into_iter().zip(warnings).map(|(injection, warnings)| Injected { injection, warnings }).collect())
}

fn planned_at(clock: &Clock, request: &Request, plan: &Plan, group: Option<&InjectionId>) -> Injection {
    let created_at = clock.wall;
    let (deadline, deadline_since_boot_ms) = deadline(clock, request.ttl);
    Injection {
        state: Life::Planned,
        metadata: plan.metadata.clone(),
        group: group.cloned(),
        former: None,
        undo: plan.undo.iter().map(ToString::to_string).collect(),
        created_at,
        deadline,
        deadline_since_boot_ms,
        left: false,
        note: None,
    }
}

/// When so much time from now is over, by the wall clock and by the time since the machine's start.
pub(super) fn deadline(clock: &Clock, ttl: Option<Duration>) -> (Option<Timestamp>, Option<u64>) {
    let ttl_ms = ttl.and_then(|ttl| u64::try_from(ttl.as_millis()).ok());
    let wall = ttl.and_then(|ttl| SignedDuration::try_from(ttl).ok()).map(|ttl| clock.wall + ttl);
    (wall, ttl_ms.and_then(|ttl| clock.since_boot_ms?.checked_add(ttl)))
}

/// The error with its target's name, which most have already.
fn named(target: &str, error: &str) -> String {
    if error.contains(target) { error.to_owned() } else { format!("on {target}: {error}") }
}

/// What every part of the act came to, if none failed. What did fail was rolled back already; the others are taken back
/// here, as carefully.
async fn all_or_none<S: Subject, T: Sync>(
    subject: &S,
    store: &Store,
    plans: &[Plan],
    results: Vec<Result<T, LifeError>>,
    metadata: impl Fn(&T) -> &Metadata,
) -> Result<Vec<T>, LifeError> {
    let of = results.len();
    let (mut made, mut errors) = (Vec::new(), Vec::new());
    for (plan, result) in plans.iter().zip(results) {
        match result {
            Ok(one) => made.push(one),
            Err(error) => errors.push((plan.metadata.target(), error)),
        }
    }
    let kind = match errors.first() {
        None => return Ok(made),
        Some(_) if of == 1 => return Err(errors.remove(0).1),
        Some((_, error)) => error.kind(),
    };
    let why = errors.iter().map(|(target, error)| named(target, &error.to_string())).collect::<Vec<_>>().join("; ");
    let back = join_all(made.iter().map(|one| {
        let metadata = metadata(one);
        let note = format!("taken back, because another of the same act failed: {why}");
        async move { (metadata.target().to_owned(), undo(subject, store, metadata, note).await) }
    }));
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for (target, result) in back.await {
        match result {
            Ok(()) => taken.push(target),
            Err(error) => left.push(format!("{target}: {error}")),
        }
    }
    Err(LifeError::Act { kind, of, why, taken, left })
}

/// Active, unless somebody reverted it in the meantime: then what was made is undone again.
async fn activate<S: Subject>(subject: &S, store: &Store, metadata: Metadata) -> Result<Injection, LifeError> {
    let update = store.update(&metadata.id, Durability::Synced, |injection| {
        injection.metadata = metadata.clone();
        injection.undo = Injection::undo_by_hand(&metadata, None);
        if injection.state == Life::Applying {
            injection.state = Life::Active;
        }
    });
    match update {
        Ok(Some(injection)) if injection.state == Life::Active => Ok(injection),
        Ok(_) => match subject.cleanup(&metadata).await {
            Ok(_) => Err(LifeError::Overtaken(metadata.id.to_string())),
            Err(undo_error) => {
                // It stands, so the record must say so, whoever wrote that it is clean.
                note(store, &metadata, Life::Applying, Some(undo_error.to_string()));
                let cause =
                    SubjectError::Refused { target: metadata.target().to_owned(), reason: OVERTAKEN.to_owned() };
                Err(LifeError::NotRolledBack { cause, undo_error })
            }
        },
        // The intent is on disk and is recovered like an active one; only the state's name is behind.
        Err(error) => {
            tracing::error!(%error, id = %metadata.id, "active, but the journal still says applying");
            let cause = SubjectError::Refused { target: metadata.target().to_owned(), reason: error.to_string() };
            Err(roll_back(subject, store, &metadata, cause).await)
        }
    }
}

async fn roll_back<S: Subject>(subject: &S, store: &Store, metadata: &Metadata, cause: SubjectError) -> LifeError {
    match cause {
        SubjectError::NotBegun(_) => {
            note(store, metadata, Life::Failed, Some(cause.to_string()));
            return LifeError::RolledBack { cause };
        }
        // It may yet happen, and then the record is what brings somebody to undo it.
        SubjectError::StillRunning { .. } => {
            note(store, metadata, Life::Applying, Some(cause.to_string()));
            return LifeError::Pending { cause };
        }
        _ => {}
    }
    match undo(subject, store, metadata, cause.to_string()).await {
        Ok(()) => LifeError::RolledBack { cause },
        Err(undo_error) => LifeError::NotRolledBack { cause, undo_error },
    }
}

/// Undoes what was made of an injection that is not to be, and writes down why.
async fn undo<S: Subject>(subject: &S, store: &Store, metadata: &Metadata, why: String) -> Result<(), SubjectError> {
    match subject.cleanup(metadata).await {
        Ok(cleaned) => {
            step(Step::RolledBack);
            let state = if matches!(cleaned, Cleaned::Lost(_)) { Life::Lost } else { Life::Failed };
            note(store, metadata, state, Some(why));
            step(Step::FailedWritten);
            Ok(())
        }
        Err(undo_error) => {
            note(store, metadata, Life::Applying, Some(format!("{why}; undoing failed: {undo_error}")));
            Err(undo_error)
        }
    }
}

/// How a revert ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverted {
    pub cleaned: Cleaned,
    /// The journal could not be written, so the injection is shown once more although it is gone.
    pub journal_error: Option<String>,
}

/// Undoes one injection and drops its record once it is read back and gone. Where somebody else is at it, waits and
/// gives how that ended. A journal that cannot be written does not keep anything from being undone.
pub async fn revert<S: Subject>(subject: &S, store: &Store, injection: &Injection) -> Result<Reverted, LifeError> {
    let metadata = &injection.metadata;
    let claimed = Claim::take(store.folder(), &metadata.id).await;
    if let Err(error) = &claimed {
        tracing::warn!(%error, id = %metadata.id, "reverting without having claimed it");
    }
    step(Step::Claimed);
    let begin = |injection: &mut Injection| {
        if injection.is_open() {
            injection.state = Life::Reverting;
            // What went wrong the last time is no news any more.
            injection.note = None;
        }
    };
    let now = match store.update(&metadata.id, Durability::Visible, begin) {
        Ok(Some(done)) if injection.is_open() && !done.is_open() => {
            let how = done.note.unwrap_or_else(|| "it was reverted".to_owned());
            let cleaned = if done.state == Life::Clean { Cleaned::Clean } else { Cleaned::Lost(how) };
            return Ok(Reverted { cleaned, journal_error: None });
        }
        // It may have been changed since the caller looked.
        Ok(now) => now,
        Err(error) => {
            tracing::warn!(%error, id = %metadata.id, "reverting without having written so");
            None
        }
    };
    step(Step::RevertingWritten);
    match undo_either(subject, now.as_ref().unwrap_or(injection)).await {
        Ok(cleaned) => {
            step(Step::Undone);
            let (state, text) = match &cleaned {
                Cleaned::Clean => (Life::Clean, None),
                Cleaned::Lost(how) => (Life::Lost, Some(how.clone())),
            };
            let journal_error = note(store, metadata, state, text);
            step(Step::CleanWritten);
            Ok(Reverted { cleaned, journal_error })
        }
        Err(cause) => {
            note(store, metadata, Life::Reverting, Some(cause.to_string()));
            Err(LifeError::NotReverted { id: metadata.id.to_string(), cause, undo: injection.undo.join("; ") })
        }
    }
}

/// What it is, and what it was where a change was under way.
async fn undo_either<S: Subject>(subject: &S, injection: &Injection) -> Result<Cleaned, SubjectError> {
    let cleaned = subject.cleanup(&injection.metadata).await?;
    match &injection.former {
        Some(former) => subject.cleanup(former).await.map(|_| cleaned),
        None => Ok(cleaned),
    }
}

pub(super) fn note(store: &Store, metadata: &Metadata, state: Life, text: Option<String>) -> Option<String> {
    let update = store.update(&metadata.id, Durability::Synced, |injection| {
        injection.state = state;
        injection.note = text;
        if !injection.is_open() {
            injection.former = None;
        }
    });
    let error = update.err()?;
    tracing::error!(%error, id = %metadata.id, %state, "the journal could not be written");
    Some(error.to_string())
}

/// What ended sessions left: everything that may still hold, and what is past its deadline first.
pub fn recoverable(loaded: &Loaded) -> Vec<&Injection> {
    loaded.open().into_iter().filter(|(seen, _)| !seen.alive).map(|(_, injection)| injection).collect()
}

#[cfg(test)]
pub(super) mod tests;
