//! What the journal says at the moment of each call.

use std::{collections::VecDeque, sync::Mutex};

use super::*;
use crate::{
    chaos::{Command, FaultMetadata, InjectionId, Signal},
    safety::Voters,
    subject::{Fate, Marked, Scan},
};

/// Writes down what the journal says at the moment of each call.
pub struct Witness {
    pub store: Store,
    seen: Mutex<Vec<(&'static str, Option<Life>)>>,
    fail: Option<fn() -> SubjectError>,
    /// The first injection that fails.
    fail_from: u32,
    pub verdict: Verdict,
    /// How the next changes go.
    pub changes: Mutex<VecDeque<fn() -> SubjectError>>,
    /// The record while it was last changed.
    pub on_disk: Mutex<Option<Injection>>,
    pub undone: Mutex<Vec<Metadata>>,
    /// What became of every target.
    pub fate: Mutex<Fate>,
    /// How many were on the disk when each was made.
    recorded: Mutex<Vec<usize>>,
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
        before: None,
        task: None,
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

    async fn replan(&self, held: &Metadata, fault: &Fault, _: &[Metadata]) -> Result<Plan, SubjectError> {
        let Fault::NodeKill { signal } = *fault else { panic!() };
        let fault = FaultMetadata::NodeKill { target_container: "tikv0".into(), signal };
        let metadata = Metadata { fault, ..held.clone() };
        let verdict = self.verdict.clone();
        Ok(Plan { metadata, commands: vec![], undo: vec![], warnings: vec![], verdict })
    }

    async fn change(&self, to: &Metadata, _ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
        tokio::task::yield_now().await;
        *self.on_disk.lock().unwrap() = Some(self.store.load().unwrap().open()[0].1.clone());
        self.changes.lock().unwrap().pop_front().map_or_else(|| Ok(to.clone()), |error| Err(error()))
    }

    async fn inject(&self, metadata: &Metadata, _ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
        self.see("inject");
        self.recorded.lock().unwrap().push(states(&self.store).len());
        let fails = self.fail.filter(|_| metadata.id.number() >= self.fail_from);
        fails.map_or_else(|| Ok(metadata.clone()), |error| Err(error()))
    }

    async fn cleanup(&self, metadata: &Metadata) -> Result<Cleaned, SubjectError> {
        // As a real one, which waits for Docker.
        tokio::task::yield_now().await;
        self.see("cleanup");
        self.undone.lock().unwrap().push(metadata.clone());
        Ok(Cleaned::Clean)
    }

    async fn fate(&self, _: &Metadata) -> Result<Fate, SubjectError> {
        Ok(self.fate.lock().unwrap().clone())
    }

    async fn scan(&self) -> Result<Scan, SubjectError> {
        Ok(Scan::default())
    }

    async fn clear(&self, _mark: &Marked) -> Result<Cleaned, SubjectError> {
        Ok(Cleaned::Clean)
    }
}

pub fn request() -> Request {
    Request {
        fault: Fault::NodeKill { signal: Signal::Kill },
        targets: vec![],
        ttl: Some(Duration::from_secs(60)),
        command: "inject",
        limits: Limits::default(),
        force: false,
    }
}

pub fn witness(fail: Option<fn() -> SubjectError>) -> (tempfile::TempDir, Witness) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    let verdict = Verdict { grade: Grade::Fine, consequence: String::new(), reasons: vec![], voters: Voters::Stores };
    let subject = Witness {
        store,
        seen: Mutex::default(),
        fail,
        fail_from: 0,
        verdict,
        changes: Mutex::default(),
        on_disk: Mutex::default(),
        undone: Mutex::default(),
        fate: Mutex::new(Fate::Stands),
        recorded: Mutex::default(),
    };
    (folder, subject)
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

fn three() -> Request {
    Request { targets: vec!["a".into(), "b".into(), "c".into()], ..request() }
}

fn states(store: &Store) -> Vec<Life> {
    store.load().unwrap().sessions.iter().flat_map(|seen| &seen.file.injections).map(|one| one.state).collect()
}

#[tokio::test]
async fn an_act_is_on_disk_whole_before_its_first_change() {
    let (_folder, subject) = witness(None);
    let made = inject_all(&subject, &subject.store, &three(), |_| ()).await.unwrap();
    assert_eq!(made.len(), 3);
    assert_eq!(*subject.recorded.lock().unwrap(), [3, 3, 3]);
    assert_eq!(states(&subject.store), [Life::Active; 3]);
}

#[tokio::test]
async fn where_one_fails_the_others_of_its_act_are_taken_back() {
    let (_folder, mut subject) = witness(Some(|| SubjectError::Image("no".into())));
    subject.fail_from = 3;
    let error = inject_all(&subject, &subject.store, &three(), |_| ()).await.unwrap_err();
    assert!(
        error.to_string().ends_with("nothing of it is left; it is all 3 or none: taken back on tikv0, tikv0"),
        "{error}"
    );
    assert_eq!(states(&subject.store), [Life::Clean, Life::Clean, Life::Failed]);
    assert_eq!(subject.undone.lock().unwrap().len(), 3);
}
