//! A change as the journal tells it, at the moment of each call and after it.

use super::*;
use crate::{
    chaos::{FaultMetadata, Signal},
    session::{
        life::{
            inject, revert,
            tests::{Witness, request, witness},
        },
        record::Loaded,
    },
};

fn to(signal: Signal) -> ChangeRequest {
    ChangeRequest { fault: Some(Fault::NodeKill { signal }), ttl: None, limits: Limits::default(), force: false }
}

fn signal(metadata: &Metadata) -> Signal {
    match metadata.fault {
        FaultMetadata::NodeKill { signal, .. } => signal,
        _ => panic!(),
    }
}

fn only(loaded: &Loaded) -> &Injection {
    &loaded.sessions[0].file.injections[0]
}

async fn injected() -> (tempfile::TempDir, Witness, Injection) {
    let (folder, subject) = witness(None);
    let injected = inject(&subject, &subject.store, &request(), |_| ()).await.unwrap();
    (folder, subject, injected.injection)
}

async fn changed(subject: &Witness, held: &Injection, request: &ChangeRequest) -> Result<Injection, LifeError> {
    change(subject, &subject.store, &held.metadata.id, request, |_| ()).await.map(|changed| changed.injection)
}

const NO: fn() -> SubjectError = || SubjectError::Image("no".into());

#[tokio::test]
async fn both_are_on_disk_while_it_changes_and_one_afterwards() {
    let (_folder, subject, held) = injected().await;
    let now = changed(&subject, &held, &to(Signal::Term)).await.unwrap();
    assert_eq!((now.state, signal(&now.metadata), &now.former), (Life::Active, Signal::Term, &None));
    assert_eq!((&now.metadata.id, now.deadline), (&held.metadata.id, held.deadline));
    let on_disk = subject.on_disk.lock().unwrap().take().unwrap();
    assert_eq!((on_disk.state, signal(&on_disk.metadata)), (Life::Applying, Signal::Term));
    assert_eq!(on_disk.former.as_ref().map(signal), Some(Signal::Kill));
    assert_eq!(only(&subject.store.load().unwrap()), &now);
}

#[tokio::test]
async fn a_deadline_is_changed_alone_and_within_the_limits() {
    let (_folder, subject, held) = injected().await;
    let mut wish = ChangeRequest { fault: None, ttl: Some(None), ..to(Signal::Kill) };
    let refused = changed(&subject, &held, &wish).await.unwrap_err();
    assert!(refused.to_string().contains("never end by itself"), "{refused}");
    assert_eq!(only(&subject.store.load().unwrap()), &held);
    wish.force = true;
    let now = changed(&subject, &held, &wish).await.unwrap();
    assert_eq!((now.deadline, now.deadline_since_boot_ms, &now.metadata), (None, None, &held.metadata));
    wish.ttl = Some(Some(Duration::from_secs(3)));
    let now = changed(&subject, &held, &wish).await.unwrap();
    assert!(now.deadline.unwrap() < held.deadline.unwrap());
}

#[tokio::test]
async fn what_is_refused_is_not_written_down() {
    let (_folder, mut subject, held) = injected().await;
    subject.verdict = subject.verdict.with(vec![(Grade::Refused, "writes stop".to_owned())]);
    let refused = changed(&subject, &held, &to(Signal::Term)).await.unwrap_err();
    assert!(matches!(refused, LifeError::Unsafe(_)), "{refused}");
    assert_eq!(only(&subject.store.load().unwrap()), &held);
    let gone = InjectionId::from_number(99);
    let error = change(&subject, &subject.store, &gone, &to(Signal::Term), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("no journal knows it"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_changed_is_as_it_was_and_says_so() {
    let (_folder, subject, held) = injected().await;
    subject.changes.lock().unwrap().push_back(NO);
    let error = changed(&subject, &held, &to(Signal::Term)).await.unwrap_err();
    assert!(error.to_string().ends_with("no; it is as it was"), "{error}");
    let loaded = subject.store.load().unwrap();
    let now = only(&loaded);
    assert_eq!((now.state, signal(&now.metadata), now.deadline), (Life::Active, Signal::Kill, held.deadline));
    assert!(now.former.is_none() && now.note.as_ref().unwrap().contains("could not be changed"));
}

#[tokio::test]
async fn what_may_be_either_is_undone_as_both() {
    let (_folder, subject, held) = injected().await;
    subject.changes.lock().unwrap().extend([NO, NO]);
    let error = changed(&subject, &held, &to(Signal::Term)).await.unwrap_err();
    assert!(error.to_string().contains("It may be either"), "{error}");
    let loaded = subject.store.load().unwrap();
    let now = only(&loaded);
    assert_eq!((now.state, signal(&now.metadata)), (Life::Applying, Signal::Term));
    assert_eq!(now.former.as_ref().map(signal), Some(Signal::Kill));
    // By somebody who looked before it was changed.
    revert(&subject, &subject.store, &held).await.unwrap();
    let undone: Vec<_> = subject.undone.lock().unwrap().iter().map(signal).collect();
    assert_eq!(undone, [Signal::Term, Signal::Kill]);
    let loaded = subject.store.load().unwrap();
    assert_eq!((only(&loaded).state, &only(&loaded).former), (Life::Clean, &None));
}

#[tokio::test]
async fn changes_and_a_revert_wait_for_one_another() {
    let (_folder, subject, held) = injected().await;
    let (term, int, quit) = (to(Signal::Term), to(Signal::Int), to(Signal::Quit));
    let (one, two) = tokio::join!(changed(&subject, &held, &term), changed(&subject, &held, &int));
    assert!(one.is_ok() && two.is_ok());
    let (gone, late) = tokio::join!(revert(&subject, &subject.store, &held), changed(&subject, &held, &quit));
    gone.unwrap();
    assert!(late.unwrap_err().to_string().contains("only what is active can be changed"));
    // What it had become, not what the caller had seen.
    assert_eq!(subject.undone.lock().unwrap().iter().map(signal).collect::<Vec<_>>(), [Signal::Int]);
}
