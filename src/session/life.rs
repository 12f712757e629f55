//! The life of an injection, and the one order that everything keeps: written down, done, read back, written down.
//!
//! Works with any subject. What it writes before and after each step is what recovery relies on.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, join_all, select};
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use super::{
    claim::Claim,
    clock::Clock,
    guard::NoGuard,
    journal::{Durability, JournalError, Store, to},
    record::{Injection, Life, Loaded},
};
use crate::{
    chaos::{
        Fault, Metadata,
        measured::{Look, Measured, Moment},
    },
    safety::{Asked, Grade, Limits, Verdict},
    step::{Step, step},
    subject::{Cleaned, ErrorKind, Plan, Subject, SubjectError},
};

/// How long a look that was cut short may take to answer.
const CUT_SHORT: Duration = Duration::from_millis(100);

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
    #[error("the peers of {id} are not followed: {reason}")]
    NotFollowed { id: String, reason: String, refused: bool },
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
    let taken = if taken.is_empty() { String::new() } else { format!(": taken back on {}", taken.join(", ")) };
    let left = if left.is_empty() { String::new() } else { format!("; but {}", left.join("; ")) };
    taken + &left
}

impl LifeError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unsafe(_) => ErrorKind::Refused,
            Self::NotChanged { .. } | Self::NotFollowed { refused: true, .. } => ErrorKind::Refused,
            Self::Subject(error)
            | Self::RolledBack { cause: error }
            | Self::ChangedBack { cause: error, .. }
            | Self::Pending { cause: error } => error.kind(),
            Self::Act { kind, left, .. } if left.is_empty() => *kind,
            _ => ErrorKind::Failed,
        }
    }
}

/// What somebody wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub fault: Fault,
    /// Empty is one that is chosen at random.
    pub targets: Vec<String>,
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

/// What the injection would do, judged by what it would leave of the cluster and by the limits. Changes nothing. Several
/// nodes' plans are shown as one, with the first one's metadata.
pub async fn plan<S: Subject>(subject: &S, store: &Store, request: &Request) -> Result<Plan, SubjectError> {
    let plans = subject.plan(&request.fault, &request.targets).await?;
    let count = plans.len();
    let mut plan = Plan::together(plans).ok_or_else(|| SubjectError::NoNodes { scope: String::new() })?;
    let active = store.load().map_or(0, |loaded| loaded.open().len()) + count - 1;
    plan.verdict = plan.verdict.with(request.limits.reasons(&Asked { active, ttl: request.ttl }));
    Ok(plan)
}

/// [`inject_all`] for whoever looks at the first alone.
pub async fn inject<S: Subject>(
    subject: &S,
    store: &Store,
    request: &Request,
    before: impl FnOnce(&Plan) + Send,
) -> Result<Injected, LifeError> {
    let injected = inject_all(subject, store, request, before).await?;
    let first = injected.into_iter().next();
    first.ok_or_else(|| LifeError::Subject(SubjectError::NoNodes { scope: String::new() }))
}

/// Plans, records, makes and verifies what is asked for on every node that it takes: all or none. `before` sees the plan,
/// of all together, before anything happens.
pub async fn inject_all<S: Subject>(
    subject: &S,
    store: &Store,
    request: &Request,
    before: impl FnOnce(&Plan) + Send,
) -> Result<Vec<Injected>, LifeError> {
    let plans = subject.plan(&request.fault, &request.targets).await?;
    let active = store.load().map_or(0, |loaded| loaded.open().len()) + plans.len().saturating_sub(1);
    let all = Plan::together(plans.clone()).ok_or_else(|| SubjectError::NoNodes { scope: String::new() })?;
    let verdict = all.verdict.clone().with(request.limits.reasons(&Asked { active, ttl: request.ttl }));
    let all = Plan { verdict, ..all };
    if all.verdict.grade == Grade::Refused && !request.force {
        before(&all);
        return Err(LifeError::Unsafe(all.verdict));
    }
    // The looks begin first, and a fault that is made before they end cuts them short: their answers come a moment after
    // its own.
    let looks = pin!(join_all(plans.iter().map(|plan| subject.measure(&plan.metadata, Moment::Before, None))));
    let making = pin!(make_all(subject, store, request, &plans, |unguarded| {
        let warnings = all.warnings.iter().cloned().chain(unguarded).collect();
        before(&Plan { warnings, ..all.clone() });
    }));
    let (made, before) = match select(looks, making).await {
        Either::Left((before, making)) => (making.await?, before),
        Either::Right((made, looks)) => (made?, timeout(CUT_SHORT, looks).await.unwrap_or_default()),
    };
    let before = before.into_iter().chain(std::iter::repeat(None));
    let with = |(mut one, before): (Injected, Option<Look>)| {
        one.injection.measured = before.map(|before| Measured { before: Some(before), ..Measured::default() });
        one
    };
    Ok(made.into_iter().zip(before).map(with).collect())
}

/// All are on the disk before the first is made; they are made at the same time; where one fails, the others are taken
/// back. `before` is told what is not kept, if there is no guard.
async fn make_all<S: Subject>(
    subject: &S,
    store: &Store,
    request: &Request,
    plans: &[Plan],
    before: impl FnOnce(Option<String>) + Send,
) -> Result<Vec<Injected>, LifeError> {
    let clock = Clock::now();
    let injections = plans.iter().map(|plan| planned_at(&clock, request, plan)).collect();
    step(Step::Planned);
    store.record(request.command, injections).map_err(LifeError::NotRecorded)?;
    step(Step::Recorded);
    // After the record, or it would find nothing to guard; before the act, or our death in between would leave it to
    // nobody.
    let no_guard = store.start_guard().err();
    let unguarded = no_guard.as_ref().map(|error| {
        tracing::error!(%error, "no guard");
        unguarded(error, request, plans)
    });
    step(Step::GuardStarted);
    before(unguarded.clone());
    for plan in plans {
        let apply = |injection: &mut Injection| {
            to(Life::Applying)(injection);
            if let Some(error) = no_guard.as_ref().filter(|_| injection.metadata.names_peers()) {
                injection.without_follower(error);
            }
        };
        store.update(&plan.metadata.id, Durability::Visible, apply).map_err(LifeError::NotRecorded)?;
    }
    step(Step::ApplyingWritten);
    let act = plans.iter().map(|plan| async move {
        match subject.inject(&plan.metadata, request.ttl).await {
            Ok(metadata) => activate(subject, store, metadata).await,
            Err(cause) => Err(roll_back(subject, store, &plan.metadata, cause).await),
        }
    });
    let made = all_or_none(subject, store, plans, join_all(act).await).await?;
    let warnings = plans.iter().map(|plan| plan.warnings.iter().chain(&unguarded).cloned().collect());
    Ok(made.into_iter().zip(warnings).map(|(injection, warnings)| Injected { injection, warnings }).collect())
}

/// What there is no guard for.
fn unguarded(error: &NoGuard, request: &Request, plans: &[Plan]) -> String {
    let mut text = error.to_string();
    if request.ttl.is_some() {
        text += "; its deadline is kept by this program and its helper alone";
    }
    if plans.iter().any(|plan| plan.metadata.names_peers()) {
        text += "; peers that get other addresses are followed only while this program runs";
    }
    text
}

fn planned_at(clock: &Clock, request: &Request, plan: &Plan) -> Injection {
    let (deadline, deadline_since_boot_ms) = deadline(clock, request.ttl);
    Injection {
        state: Life::Planned,
        metadata: plan.metadata.clone(),
        former: None,
        undo: plan.undo.iter().map(ToString::to_string).collect(),
        created_at: clock.wall,
        deadline,
        deadline_since_boot_ms,
        left: false,
        measured: None,
        note: None,
    }
}

/// When so much time from now is over, by the wall clock and by the time since the machine's start.
pub(super) fn deadline(clock: &Clock, ttl: Option<Duration>) -> (Option<Timestamp>, Option<u64>) {
    let ttl_ms = ttl.and_then(|ttl| u64::try_from(ttl.as_millis()).ok());
    let wall = ttl.and_then(|ttl| SignedDuration::try_from(ttl).ok()).map(|ttl| clock.wall + ttl);
    (wall, ttl_ms.and_then(|ttl| clock.since_boot_ms?.checked_add(ttl)))
}

/// Every injection of the act, if none failed. What did fail was rolled back already; the others are taken back here, as
/// carefully.
async fn all_or_none<S: Subject>(
    subject: &S,
    store: &Store,
    plans: &[Plan],
    results: Vec<Result<Injection, LifeError>>,
) -> Result<Vec<Injection>, LifeError> {
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
    // Most name their target already.
    let named = |(target, error): &(&str, LifeError)| match error.to_string() {
        text if text.contains(target) => text,
        text => format!("on {target}: {text}"),
    };
    let why = errors.iter().map(named).collect::<Vec<_>>().join("; ");
    let back = made.iter().map(|one| async { (one.metadata.target(), revert(subject, store, one).await) });
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for (target, result) in join_all(back).await {
        match result {
            Ok(_) => taken.push(target.to_owned()),
            Err(error) => left.push(error.to_string()),
        }
    }
    Err(LifeError::Act { kind, of, why, taken, left })
}

/// Active, unless somebody reverted it in the meantime: then what was made is undone again.
async fn activate<S: Subject>(subject: &S, store: &Store, metadata: Metadata) -> Result<Injection, LifeError> {
    step(Step::Made);
    let update = store.update(&metadata.id, Durability::Synced, |injection| {
        injection.metadata = metadata.clone();
        injection.undo = injection.undo_by_hand();
        if injection.state == Life::Applying {
            injection.state = Life::Active;
        }
    });
    match update {
        Ok(Some(injection)) if injection.state == Life::Active => {
            step(Step::ActiveWritten);
            Ok(injection)
        }
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
    match subject.cleanup(metadata).await {
        Ok(cleaned) => {
            step(Step::RolledBack);
            let state = if matches!(cleaned, Cleaned::Lost(_)) { Life::Lost } else { Life::Failed };
            note(store, metadata, state, Some(cause.to_string()));
            step(Step::FailedWritten);
            LifeError::RolledBack { cause }
        }
        Err(undo_error) => {
            note(store, metadata, Life::Applying, Some(format!("{cause}; undoing failed: {undo_error}")));
            LifeError::NotRolledBack { cause, undo_error }
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
                Cleaned::Clean | Cleaned::Back(_) => (Life::Clean, None),
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

fn note(store: &Store, metadata: &Metadata, state: Life, text: Option<String>) -> Option<String> {
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
