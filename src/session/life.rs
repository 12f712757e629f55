//! The life of an injection, and the one order that everything keeps: written down, done, read back, written down.
//!
//! Works with any subject. What it writes before and after each step is what recovery relies on.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, FutureExt as _, join_all, select};
use jiff::SignedDuration;

use super::{
    claim::Claim,
    clock::Clock,
    journal::{Durability, JournalError, Store, to},
    record::{Injection, Life, Loaded},
};
use crate::{
    chaos::{
        Command, Fault, InjectionId, Metadata,
        measured::{Look, Measured, Moment},
        undo_commands,
    },
    safety::{Asked, Grade, Limits, Verdict},
    step::{Step, step},
    subject::{Cleaned, ErrorKind, Plan, Subject, SubjectError},
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
    #[error("not changed, because it could not be written down first: {0}")]
    NotChanged(JournalError),
    #[error("{error}; what was made on other nodes is undone{}", stay(.stays))]
    NotAll { error: Box<LifeError>, stays: Vec<String> },
    #[error("{0} {OVERTAKEN}, and is undone")]
    Overtaken(String),
}

fn stay(stays: &[String]) -> String {
    if stays.is_empty() { String::new() } else { format!(", but not all: {}", stays.join("; ")) }
}

impl LifeError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unsafe(_) => ErrorKind::Refused,
            Self::NotAll { error, stays } if stays.is_empty() => error.kind(),
            Self::Subject(error) | Self::RolledBack { cause: error } | Self::Pending { cause: error } => error.kind(),
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
    before(&all);
    if all.verdict.grade == Grade::Refused && !request.force {
        return Err(LifeError::Unsafe(all.verdict));
    }
    // The looks begin first and are not waited for: where a fault is made before they end, they are what they have become.
    let looks = pin!(join_all(plans.iter().map(|plan| subject.measure(&plan.metadata, Moment::Before, None))));
    let making = pin!(make_all(subject, store, request, &plans));
    let (made, before) = match select(looks, making).await {
        Either::Left((before, making)) => (making.await?, before),
        Either::Right((made, looks)) => (made?, looks.now_or_never().unwrap_or_default()),
    };
    let before = before.into_iter().chain(std::iter::repeat(None));
    let with = |(mut one, before): (Injected, Option<Look>)| {
        one.injection.measured = before.map(|before| Measured { before: Some(before), ..Measured::default() });
        one
    };
    Ok(made.into_iter().zip(before).map(with).collect())
}

async fn make_all<S: Subject>(
    subject: &S,
    store: &Store,
    request: &Request,
    plans: &[Plan],
) -> Result<Vec<Injected>, LifeError> {
    let mut made: Vec<Injected> = Vec::new();
    for plan in plans {
        match inject_one(subject, store, request, plan).await {
            Ok(injected) => made.push(injected),
            Err(error) => {
                let mut stays = Vec::new();
                for one in made.iter().rev() {
                    if let Err(error) = revert(subject, store, &one.injection).await {
                        stays.push(error.to_string());
                    }
                }
                return Err(if made.is_empty() { error } else { LifeError::NotAll { error: Box::new(error), stays } });
            }
        }
    }
    Ok(made)
}

async fn inject_one<S: Subject>(
    subject: &S,
    store: &Store,
    request: &Request,
    plan: &Plan,
) -> Result<Injected, LifeError> {
    let clock = Clock::now();
    let created_at = clock.wall;
    let ttl_ms = request.ttl.and_then(|ttl| u64::try_from(ttl.as_millis()).ok());
    let injection = Injection {
        state: Life::Planned,
        metadata: plan.metadata.clone(),
        undo: plan.undo.iter().map(ToString::to_string).collect(),
        created_at,
        deadline: request.ttl.and_then(|ttl| SignedDuration::try_from(ttl).ok()).map(|ttl| created_at + ttl),
        deadline_since_boot_ms: ttl_ms.and_then(|ttl| clock.since_boot_ms?.checked_add(ttl)),
        left: false,
        measured: None,
        note: None,
    };
    step(Step::Planned);
    store.record(request.command, injection).map_err(LifeError::NotRecorded)?;
    step(Step::Recorded);
    let mut warnings = plan.warnings.clone();
    // After the record, or it would find nothing to guard; before the act, or our death in between would leave it to
    // nobody.
    if let Err(error) = store.start_guard() {
        tracing::error!(%error, "no guard");
        warnings.push(format!("{error}; its deadline is kept by this program and its helper alone"));
    }
    step(Step::GuardStarted);
    let id = &plan.metadata.id;
    store.update(id, Durability::Visible, to(Life::Applying)).map_err(LifeError::NotRecorded)?;
    step(Step::ApplyingWritten);
    let made = match subject.inject(&plan.metadata, request.ttl).await {
        Ok(metadata) => activate(subject, store, metadata).await,
        Err(cause) => Err(roll_back(subject, store, &plan.metadata, cause).await),
    };
    made.map(|injection| Injected { injection, warnings })
}

/// An injection that was changed while it holds.
#[derive(Debug, Clone)]
pub struct Changed {
    pub injection: Injection,
    pub commands: Vec<Command>,
    pub warnings: Vec<String>,
}

/// Puts another fault of its type in the place of one that holds: written down first, made in one step, read back. Its
/// deadline stays. On an error the former holds, and stands in the journal.
pub async fn change<S: Subject>(
    subject: &S,
    store: &Store,
    id: &InjectionId,
    fault: &Fault,
    force: bool,
) -> Result<Changed, LifeError> {
    let loaded = store.load().map_err(LifeError::NotRecorded)?;
    let held = loaded.open().into_iter().map(|(_, one)| one).find(|one| one.metadata.id == *id).cloned();
    let not_active = |reason: &str| SubjectError::NotChangeable { id: id.to_string(), reason: reason.to_owned() };
    let held = held.ok_or_else(|| not_active("is not active"))?;
    if held.state != Life::Active {
        return Err(not_active(&format!("is {}", held.state)).into());
    }
    let plan = subject.replan(&held.metadata, fault).await?;
    if plan.verdict.grade == Grade::Refused && !force {
        return Err(LifeError::Unsafe(plan.verdict));
    }
    // Two that change one at once do so one after the other, and nobody reverts it in between.
    let claimed = Claim::take(store.folder(), id).await;
    if let Err(error) = &claimed {
        tracing::warn!(%error, %id, "changing without having claimed it");
    }
    let mut open = false;
    let wanted = |injection: &mut Injection| {
        open = injection.state == Life::Active;
        if open {
            injection.metadata = plan.metadata.clone();
            // What was measured is of the former.
            if let Some(measured) = &mut injection.measured {
                measured.during = None;
            }
            injection.undo = plan.undo.iter().map(ToString::to_string).collect();
        }
    };
    let written = store.update(id, Durability::Synced, wanted).map_err(LifeError::NotChanged)?;
    let Some(injection) = written.filter(|_| open) else { return Err(not_active("was reverted meanwhile").into()) };
    if let Err(cause) = subject.change(&plan.metadata).await {
        let restore = |injection: &mut Injection| {
            injection.metadata = held.metadata.clone();
            injection.undo.clone_from(&held.undo);
        };
        if let Err(error) = store.update(id, Durability::Synced, restore) {
            // Its undo is the same, so the record still brings somebody to it.
            tracing::error!(%error, %id, "the journal says what could not be made");
        }
        return Err(cause.into());
    }
    Ok(Changed { injection, commands: plan.commands, warnings: plan.warnings })
}

/// Active, unless somebody reverted it in the meantime: then what was made is undone again.
async fn activate<S: Subject>(subject: &S, store: &Store, metadata: Metadata) -> Result<Injection, LifeError> {
    step(Step::Made);
    let update = store.update(&metadata.id, Durability::Synced, |injection| {
        injection.metadata = metadata.clone();
        injection.undo = undo_commands(&metadata).iter().map(ToString::to_string).collect();
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
    match store.update(&metadata.id, Durability::Visible, begin) {
        Ok(Some(done)) if injection.is_open() && !done.is_open() => {
            let how = done.note.unwrap_or_else(|| "it was reverted".to_owned());
            let cleaned = if done.state == Life::Clean { Cleaned::Clean } else { Cleaned::Lost(how) };
            return Ok(Reverted { cleaned, journal_error: None });
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, id = %metadata.id, "reverting without having written so"),
    }
    step(Step::RevertingWritten);
    match subject.cleanup(metadata).await {
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

fn note(store: &Store, metadata: &Metadata, state: Life, text: Option<String>) -> Option<String> {
    let update = store.update(&metadata.id, Durability::Synced, |injection| {
        injection.state = state;
        injection.note = text;
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
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        chaos::{Command, FaultMetadata, InjectionId, Signal},
        subject::{Marked, Scan},
    };

    /// Writes down what the journal says at the moment of each call.
    struct Witness {
        store: Store,
        seen: Mutex<Vec<(&'static str, Option<Life>)>>,
        fail: Option<fn() -> SubjectError>,
        /// The first injection that fails.
        fail_from: u32,
        verdict: Verdict,
    }

    impl Witness {
        fn see(&self, call: &'static str) {
            let loaded = self.store.load().unwrap();
            let state = loaded.sessions.first().map(|seen| seen.file.injections[0].state);
            self.seen.lock().unwrap().push((call, state));
        }
    }

    fn metadata() -> Metadata {
        Metadata {
            fault: FaultMetadata::NodeKill { target_container: "tikv0".into(), signal: Signal::Kill },
            id: InjectionId::from_number(1),
            container_id: "c".into(),
            container_started_at: String::new(),
            daemon_id: None,
            group: None,
            holder_image: None,
        }
    }

    impl Subject for Witness {
        async fn plan(&self, _fault: &Fault, targets: &[String]) -> Result<Vec<Plan>, SubjectError> {
            self.see("plan");
            let plan = |number: usize| Plan {
                metadata: Metadata { id: InjectionId::from_number(number as u32 + 1), ..metadata() },
                commands: vec![],
                undo: vec![Command::new("docker", ["start", "tikv0"])],
                warnings: vec![],
                verdict: self.verdict.clone(),
            };
            Ok((0..targets.len().max(1)).map(plan).collect())
        }

        async fn replan(&self, held: &Metadata, _fault: &Fault) -> Result<Plan, SubjectError> {
            let fault = FaultMetadata::NodeKill { target_container: "tikv0".into(), signal: Signal::Term };
            let metadata = Metadata { fault, ..held.clone() };
            let verdict = self.verdict.clone();
            Ok(Plan { metadata, commands: vec![], undo: vec![], warnings: vec![], verdict })
        }

        async fn change(&self, metadata: &Metadata) -> Result<(), SubjectError> {
            let loaded = self.store.load().unwrap();
            assert_eq!(loaded.open()[0].1.metadata, *metadata, "the change is written down before it is made");
            self.see("change");
            self.fail.map_or(Ok(()), |error| Err(error()))
        }

        async fn inject(&self, metadata: &Metadata, _ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
            self.see("inject");
            let fails = self.fail.filter(|_| metadata.id.number() >= self.fail_from);
            fails.map_or_else(|| Ok(metadata.clone()), |error| Err(error()))
        }

        async fn cleanup(&self, _metadata: &Metadata) -> Result<Cleaned, SubjectError> {
            // As a real one, which waits for Docker.
            tokio::task::yield_now().await;
            self.see("cleanup");
            Ok(Cleaned::Clean)
        }

        async fn scan(&self) -> Result<Scan, SubjectError> {
            Ok(Scan::default())
        }

        async fn clear(&self, _mark: &Marked) -> Result<Cleaned, SubjectError> {
            Ok(Cleaned::Clean)
        }
    }

    fn request() -> Request {
        Request {
            fault: Fault::NodeKill { signal: Signal::Kill },
            targets: vec![],
            ttl: Some(Duration::from_secs(60)),
            command: "inject",
            limits: Limits::default(),
            force: false,
        }
    }

    fn witness(fail: Option<fn() -> SubjectError>) -> (tempfile::TempDir, Witness) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let verdict = Verdict { grade: Grade::Fine, consequence: String::new(), reasons: vec![] };
        (folder, Witness { store, seen: Mutex::default(), fail, fail_from: 0, verdict })
    }

    #[tokio::test]
    async fn the_intent_is_on_disk_before_the_act_and_until_it_is_undone() {
        let (_folder, subject) = witness(None);
        let injected = inject(&subject, &subject.store, &request(), |_| ()).await.unwrap();
        assert_eq!(injected.injection.state, Life::Active);
        revert(&subject, &subject.store, &injected.injection).await.unwrap();
        subject.see("end");
        let seen = subject.seen.into_inner().unwrap();
        let expected = [
            ("plan", None),
            ("inject", Some(Life::Applying)),
            ("cleanup", Some(Life::Reverting)),
            ("end", Some(Life::Clean)),
        ];
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn two_reverters_at_once_undo_it_once() {
        let (_folder, subject) = witness(None);
        let injected = inject(&subject, &subject.store, &request(), |_| ()).await.unwrap();
        let revert = || revert(&subject, &subject.store, &injected.injection);
        let (one, two) = tokio::join!(revert(), revert());
        let clean = Reverted { cleaned: Cleaned::Clean, journal_error: None };
        assert_eq!((one.unwrap(), two.unwrap()), (clean.clone(), clean));
        let calls = subject.seen.into_inner().unwrap();
        assert_eq!(calls.iter().filter(|(call, _)| *call == "cleanup").count(), 1);
    }

    #[tokio::test]
    async fn what_fails_is_rolled_back_and_never_active() {
        let (_folder, subject) = witness(Some(|| SubjectError::Image("no".into())));
        let error = inject(&subject, &subject.store, &request(), |_| ()).await.unwrap_err();
        assert!(matches!(error, LifeError::RolledBack { .. }));
        subject.see("end");
        let seen = subject.seen.into_inner().unwrap();
        assert_eq!(seen[2..], [("cleanup", Some(Life::Applying)), ("end", Some(Life::Failed))]);
    }

    #[tokio::test]
    async fn what_is_refused_is_neither_written_down_nor_done_unless_forced() {
        let (_folder, mut subject) = witness(None);
        subject.verdict = subject.verdict.with(vec![(Grade::Refused, "writes stop".to_owned())]);
        let error = inject(&subject, &subject.store, &request(), |_| ()).await.unwrap_err();
        assert_eq!(error.to_string(), "not injected: writes stop");
        assert_eq!(*subject.seen.lock().unwrap(), [("plan", None)]);
        inject(&subject, &subject.store, &Request { force: true, ..request() }, |_| ()).await.unwrap();
    }

    #[tokio::test]
    async fn what_may_yet_happen_stays_written_down() {
        let slow = || SubjectError::StillRunning { target: "tikv0".into(), signal: "SIGTERM", seconds: 10 };
        let (_folder, subject) = witness(Some(slow));
        let error = inject(&subject, &subject.store, &request(), |_| ()).await.unwrap_err();
        assert!(matches!(error, LifeError::Pending { .. }), "{error}");
        assert_eq!(subject.store.load().unwrap().open().len(), 1);
    }

    #[tokio::test]
    async fn what_was_not_begun_is_not_undone() {
        let stopped = || {
            let cause = SubjectError::TargetChanged { target: "tikv0".into(), what: "stopped".into() };
            SubjectError::NotBegun(Box::new(cause))
        };
        let (_folder, subject) = witness(Some(stopped));
        inject(&subject, &subject.store, &request(), |_| ()).await.unwrap_err();
        subject.see("end");
        let calls: Vec<_> = subject.seen.into_inner().unwrap();
        assert_eq!(calls[2..], [("end", Some(Life::Failed))]);
    }

    #[tokio::test]
    async fn what_cannot_be_written_down_is_not_done() {
        let (_folder, subject) = witness(None);
        let nowhere = Store::at(std::path::Path::new("/proc/nowhere"));
        let error = inject(&subject, &nowhere, &request(), |_| ()).await.unwrap_err();
        assert!(matches!(error, LifeError::NotRecorded(_)), "{error}");
        assert_eq!(subject.seen.into_inner().unwrap(), [("plan", None)]);
    }

    #[tokio::test]
    async fn several_are_made_all_or_none() {
        let (_folder, mut subject) = witness(Some(|| SubjectError::Image("no".into())));
        subject.fail_from = 3;
        let three = Request { targets: vec!["a".into(), "b".into(), "c".into()], ..request() };
        let error = inject_all(&subject, &subject.store, &three, |_| ()).await.unwrap_err();
        assert!(
            error.to_string().contains("no; nothing of it is left; what was made on other nodes is undone"),
            "{error}"
        );
        assert!(subject.store.load().unwrap().open().is_empty());
        let (_folder, subject) = witness(None);
        let made = inject_all(&subject, &subject.store, &three, |_| ()).await.unwrap();
        assert_eq!(made.len(), 3);
    }

    #[tokio::test]
    async fn a_change_is_written_down_first_and_taken_back_where_it_fails() {
        let (_folder, mut subject) = witness(None);
        let id = inject(&subject, &subject.store, &request(), |_| ()).await.unwrap().injection.metadata.id;
        let fault = Fault::NodeKill { signal: Signal::Term };
        let changed = change(&subject, &subject.store, &id, &fault, false).await.unwrap();
        let said = |subject: &Witness| subject.store.load().unwrap().open()[0].1.metadata.fault.clone();
        assert_eq!(said(&subject), changed.injection.metadata.fault);
        subject.fail = Some(|| SubjectError::Image("no".into()));
        change(&subject, &subject.store, &id, &fault, false).await.unwrap_err();
        assert_eq!(said(&subject), changed.injection.metadata.fault);
        let gone = InjectionId::from_number(99);
        let error = change(&subject, &subject.store, &gone, &fault, false).await.unwrap_err();
        assert!(error.to_string().contains("is not active"), "{error}");
    }
}
