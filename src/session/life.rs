//! The life of an injection, and the one order that everything keeps: written down, done, read back, written down.
//!
//! Works with any subject. What it writes before and after each step is what recovery relies on.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, FutureExt as _, select};
use jiff::SignedDuration;

use super::{
    claim::Claim,
    clock::Clock,
    journal::{Durability, JournalError, Store, to},
    record::{Injection, Life, Loaded},
};
use crate::{
    chaos::{
        Fault, Metadata,
        measured::{Measured, Moment},
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
    #[error("{0} {OVERTAKEN}, and is undone")]
    Overtaken(String),
}

impl LifeError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unsafe(_) => ErrorKind::Refused,
            Self::Subject(error) | Self::RolledBack { cause: error } | Self::Pending { cause: error } => error.kind(),
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

/// What the injection would do, judged by what it would leave of the cluster and by the limits. Changes nothing.
pub async fn plan<S: Subject>(subject: &S, store: &Store, request: &Request) -> Result<Plan, SubjectError> {
    let mut plan = subject.plan(&request.fault, request.target.as_deref()).await?;
    let active = store.load().map_or(0, |loaded| loaded.open().len());
    plan.verdict = plan.verdict.with(request.limits.reasons(&Asked { active, ttl: request.ttl }));
    Ok(plan)
}

/// Plans, records, makes and verifies one injection. `before` sees the plan before anything happens.
pub async fn inject<S: Subject>(
    subject: &S,
    store: &Store,
    request: &Request,
    before: impl FnOnce(&Plan) + Send,
) -> Result<Injected, LifeError> {
    let plan = plan(subject, store, request).await?;
    before(&plan);
    if plan.verdict.grade == Grade::Refused && !request.force {
        return Err(LifeError::Unsafe(plan.verdict));
    }
    // The look begins first and is not waited for: where the fault is made before it ends, it is what it has become.
    let look = pin!(subject.measure(&plan.metadata, Moment::Before));
    let making = pin!(make(subject, store, request, &plan));
    let (made, before) = match select(look, making).await {
        Either::Left((before, making)) => (making.await, before),
        Either::Right((made, look)) => (made, look.now_or_never().flatten()),
    };
    made.map(|mut injected| {
        injected.injection.measured = before.map(|before| Measured { before: Some(before), ..Measured::default() });
        injected
    })
}

/// Records, makes and verifies what is planned.
async fn make<S: Subject>(subject: &S, store: &Store, request: &Request, plan: &Plan) -> Result<Injected, LifeError> {
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
            holder_image: None,
        }
    }

    impl Subject for Witness {
        async fn plan(&self, _fault: &Fault, _target: Option<&str>) -> Result<Plan, SubjectError> {
            self.see("plan");
            let undo = vec![Command::new("docker", ["start", "tikv0"])];
            Ok(Plan { metadata: metadata(), commands: vec![], undo, warnings: vec![], verdict: self.verdict.clone() })
        }

        async fn inject(&self, metadata: &Metadata, _ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
            self.see("inject");
            self.fail.map_or_else(|| Ok(metadata.clone()), |error| Err(error()))
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
            target: None,
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
        (folder, Witness { store, seen: Mutex::default(), fail, verdict })
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
}
