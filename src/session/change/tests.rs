//! A change as the journal tells it, at the moment of each call and after it.

use super::*;
use crate::{
    chaos::{FaultMetadata, Signal},
    session::{
        life::{
            inject_all, revert,
            tests::{Witness, request, witness},
        },
        record::Loaded,
    },
};

fn to(signal: Signal) -> Change {
    Change { fault: Fault::NodeKill { signal }, ttl: None, limits: Limits::default(), force: false }
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
    let injected = inject_all(&subject, &subject.store, &[request()], |_| ()).await.unwrap().remove(0);
    (folder, subject, injected.injection)
}

const NO: fn() -> SubjectError = || SubjectError::Image("no".into());

#[tokio::test]
async fn both_are_on_disk_while_it_changes_and_one_afterwards() {
    let (_folder, subject, held) = injected().await;
    let mut wish = to(Signal::Term);
    wish.ttl = Some(None);
    let refused = change(&subject, &subject.store, &held, &wish, |_| ()).await.unwrap_err();
    assert!(refused.to_string().contains("never end by itself"), "{refused}");
    wish.force = true;
    let changed = change(&subject, &subject.store, &held, &wish, |_| ()).await.unwrap().injection;
    assert_eq!((changed.state, signal(&changed.metadata), &changed.former), (Life::Active, Signal::Term, &None));
    assert_eq!((changed.metadata.id.clone(), changed.deadline), (held.metadata.id.clone(), None));
    let calls = subject.seen.lock().unwrap().clone();
    assert_eq!(calls[calls.len() - 1], ("change", Some(Life::Applying)));
    assert_eq!(only(&subject.store.load().unwrap()), &changed);
}

#[tokio::test]
async fn what_cannot_be_changed_is_as_it_was_and_says_so() {
    let (_folder, subject, held) = injected().await;
    subject.changes.lock().unwrap().push_back(NO);
    let error = change(&subject, &subject.store, &held, &to(Signal::Term), |_| ()).await.unwrap_err();
    assert!(error.to_string().ends_with("cannot be made: no; it is as it was"), "{error}");
    let loaded = subject.store.load().unwrap();
    let now = only(&loaded);
    assert_eq!((now.state, signal(&now.metadata), now.deadline), (Life::Active, Signal::Kill, held.deadline));
    assert!(now.former.is_none() && now.note.as_ref().unwrap().contains("could not be changed"));
}

#[tokio::test]
async fn what_may_be_either_is_undone_as_both() {
    let (_folder, subject, held) = injected().await;
    subject.changes.lock().unwrap().extend([NO, NO]);
    let error = change(&subject, &subject.store, &held, &to(Signal::Term), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("It may be either"), "{error}");
    let loaded = subject.store.load().unwrap();
    let now = only(&loaded);
    assert_eq!((now.state, signal(&now.metadata)), (Life::Applying, Signal::Term));
    assert_eq!(now.former.as_ref().map(signal), Some(Signal::Kill));
    // As a program finds it that comes after a crash.
    revert(&subject, &subject.store, now).await.unwrap();
    let calls = subject.seen.lock().unwrap().clone();
    assert_eq!(calls.iter().filter(|(call, _)| *call == "cleanup").count(), 2);
    let loaded = subject.store.load().unwrap();
    assert_eq!((only(&loaded).state, &only(&loaded).former), (Life::Clean, &None));
}

#[tokio::test]
async fn changes_and_a_revert_wait_for_one_another() {
    let (_folder, subject, held) = injected().await;
    let change = |signal| {
        let subject = &subject;
        let held = &held;
        async move { change(subject, &subject.store, held, &to(signal), |_| ()).await }
    };
    let (one, two) = tokio::join!(change(Signal::Term), change(Signal::Int));
    assert!(one.is_ok() && two.is_ok());
    let (gone, late) = tokio::join!(revert(&subject, &subject.store, &held), change(Signal::Quit));
    gone.unwrap();
    assert!(late.unwrap_err().to_string().contains("only what is active can be changed"));
}
