//! What the journal says at the moment of each call.

use std::{collections::VecDeque, sync::Mutex};

use super::*;
use crate::{
    chaos::{Command, FaultMetadata, Signal, undo_commands},
    subject::{Marked, Scan},
};

/// Writes down what the journal says at the moment of each call.
pub struct Witness {
    pub store: Store,
    pub seen: Mutex<Vec<(&'static str, Option<Life>)>>,
    /// Which injections fail, from which number on.
    fail: Option<fn() -> SubjectError>,
    from: u32,
    /// How the next changes go.
    pub changes: Mutex<VecDeque<fn() -> SubjectError>>,
    pub verdict: Verdict,
}

impl Witness {
    pub fn see(&self, call: &'static str) {
        let loaded = self.store.load().unwrap();
        let state = loaded.sessions.first().map(|seen| seen.file.injections[0].state);
        self.seen.lock().unwrap().push((call, state));
    }
}

fn metadata(number: u32) -> Metadata {
    Metadata {
        fault: FaultMetadata::NodeKill { target_container: "tikv0".into(), signal: Signal::Kill },
        id: InjectionId::from_number(number),
        container_id: "c".into(),
        container_started_at: String::new(),
        daemon_id: None,
        holder_image: None,
    }
}

impl Subject for Witness {
    async fn plan(&self, wishes: &[Wish<'_>]) -> Result<Vec<Vec<Plan>>, SubjectError> {
        self.see("plan");
        let plan = |number: usize| Plan {
            metadata: metadata(u32::try_from(number).unwrap()),
            commands: vec![],
            undo: vec![Command::new("docker", ["start", "tikv0"])],
            warnings: vec![],
            verdict: self.verdict.clone(),
        };
        Ok((1..=wishes.len()).map(|number| vec![plan(number)]).collect())
    }

    async fn inject(&self, metadata: &Metadata, _ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
        self.see("inject");
        self.fail
            .filter(|_| metadata.id.number() >= self.from)
            .map_or_else(|| Ok(metadata.clone()), |error| Err(error()))
    }

    async fn plan_change(&self, held: &Metadata, fault: &Fault) -> Result<Plan, SubjectError> {
        self.see("plan_change");
        let Fault::NodeKill { signal } = *fault else { panic!() };
        let fault = FaultMetadata::NodeKill { target_container: "tikv0".into(), signal };
        let metadata = Metadata { fault, ..held.clone() };
        let undo = undo_commands(&metadata);
        Ok(Plan { metadata, commands: vec![], undo, warnings: vec![], verdict: self.verdict.clone() })
    }

    async fn change(&self, _from: &Metadata, to: &Metadata, _: Option<Duration>) -> Result<Metadata, SubjectError> {
        tokio::task::yield_now().await;
        self.see("change");
        self.changes.lock().unwrap().pop_front().map_or_else(|| Ok(to.clone()), |error| Err(error()))
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

/// One injection alone.
pub async fn inject(
    subject: &Witness,
    store: &Store,
    request: &Request,
    before: impl FnOnce(&[Plan]) + Send,
) -> Result<Injected, LifeError> {
    inject_all(subject, store, std::slice::from_ref(request), before).await.map(|mut all| all.remove(0))
}

fn states(store: &Store) -> Vec<Life> {
    store.load().unwrap().sessions.iter().flat_map(|seen| &seen.file.injections).map(|one| one.state).collect()
}

pub fn request() -> Request {
    Request {
        fault: Fault::NodeKill { signal: Signal::Kill },
        target: None,
        ttl: Some(Duration::from_secs(60)),
        command: "inject",
        limits: Limits::default(),
        force: false,
    }
}

pub fn witness(fail: Option<fn() -> SubjectError>) -> (tempfile::TempDir, Witness) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    let verdict = Verdict { grade: Grade::Fine, consequence: String::new(), reasons: vec![] };
    (folder, Witness { store, seen: Mutex::default(), fail, from: 0, changes: Mutex::default(), verdict })
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
async fn an_act_is_on_disk_whole_before_its_first_change_and_is_undone_by_one_name() {
    let (_folder, subject) = witness(None);
    let requests = [request(), request(), request()];
    let before = |plans: &[Plan]| assert_eq!(plans.len(), 3);
    let injected = inject_all(&subject, &subject.store, &requests, before).await.unwrap();
    let group = injected[0].injection.group.clone().unwrap();
    assert!(injected.iter().all(|one| one.injection.group.as_ref() == Some(&group)));
    assert_eq!(states(&subject.store), [Life::Active; 3]);
    let loaded = subject.store.load().unwrap();
    assert_eq!(loaded.group(&group).len(), 3);
    join_all(loaded.group(&group).into_iter().map(|one| revert(&subject, &subject.store, one))).await;
    assert_eq!(states(&subject.store), [Life::Clean; 3]);
    let seen = subject.seen.into_inner().unwrap();
    assert_eq!(seen[..2], [("plan", None), ("inject", Some(Life::Applying))]);
}

#[tokio::test]
async fn where_one_fails_the_others_of_its_act_are_taken_back() {
    let (_folder, mut subject) = witness(Some(|| SubjectError::Image("no".into())));
    subject.from = 3;
    let error = inject_all(&subject, &subject.store, &[request(), request(), request()], |_| ()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "on tikv0: the helper's image cannot be made: no; nothing of it is left; it is all 3 or none: tikv0, tikv0 taken \
         back, read back and gone"
    );
    assert_eq!(states(&subject.store), [Life::Failed; 3]);
    let notes = subject.store.load().unwrap().sessions[0].file.injections.clone();
    assert!(notes[0].note.as_ref().unwrap().contains("taken back"), "{notes:?}");
    let calls = subject.seen.into_inner().unwrap();
    assert_eq!(calls.iter().filter(|(call, _)| *call == "cleanup").count(), 3);
}

#[tokio::test]
async fn the_ceiling_counts_every_member() {
    let (_folder, subject) = witness(None);
    let limits = Limits { most_active: 2, ..Limits::default() };
    let requests = vec![Request { limits, ..request() }; 3];
    let error = inject_all(&subject, &subject.store, &requests, |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("this act makes 3 more, and --max-active is 2"), "{error}");
    inject_all(&subject, &subject.store, &requests[..2], |_| ()).await.unwrap();
}
