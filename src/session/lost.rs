//! Injections that ended with the life of their target: found by comparing the records with the targets, written down as
//! lost, and told once. Nothing is undone here, as nothing is left to be.

use futures_util::future::join_all;

use super::{
    claim::Claim,
    journal::{Durability, Store},
    record::{Injection, Life, Seen},
};
use crate::subject::{Fate, Subject, SubjectError, lost_words};

/// An injection that is over without having been reverted.
#[derive(Debug, Clone)]
pub struct Lost {
    /// Its session's file, for lists.
    pub seen: Seen,
    /// As lost, with how it came to that as its note.
    pub injection: Injection,
    /// The journal says so too.
    pub written: bool,
}

impl Lost {
    /// `1f0c93ab latency on tikv1 is lost: tikv1 was restarted, and the fault went with it`.
    pub fn words(&self) -> String {
        let metadata = &self.injection.metadata;
        let how = self.injection.note.as_deref().unwrap_or_default();
        format!("{} {} on {} is lost: {how}", metadata.id, metadata.fault_type(), metadata.target())
    }
}

/// How the injection came to be lost, in words, if it did.
pub fn lost(injection: &Injection, fate: &Fate) -> Option<String> {
    let over = fate.over(injection.state == Life::Active)?;
    injection.is_open().then(|| lost_words(injection.metadata.target(), over))
}

/// Compares every open injection with its target, and gives those that are lost. They are written down as that, unless nothing
/// may be changed or another program is just at it; the helpers that they leave are let go of.
///
/// # Errors
/// The targets cannot be looked at: then nothing is known. A target that cannot be looked at for itself leaves its own
/// injections as they are.
pub async fn settle<S: Subject>(subject: &S, store: &Store, may_write: bool) -> Result<Vec<Lost>, SettleError> {
    let loaded = store.load()?;
    let open = loaded.open();
    let fates = join_all(open.iter().map(|(_, injection)| subject.fate(&injection.metadata))).await;
    let mut found = Vec::new();
    for ((seen, injection), fate) in open.into_iter().zip(fates) {
        let fate = match fate {
            Ok(fate) => fate,
            Err(error @ SubjectError::NoDocker { .. }) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, id = %injection.metadata.id, "its target cannot be looked at");
                continue;
            }
        };
        let Some(how) = lost(injection, &fate) else { continue };
        let one = Injection { state: Life::Lost, note: Some(how), former: None, ..injection.clone() };
        // A program that is making or undoing it finds out by itself.
        let settled = injection.state == Life::Active || !seen.alive;
        let written = may_write && settled && write(subject, store, &one, injection.state).await;
        found.push(Lost { seen: (*seen).clone(), injection: one, written });
    }
    Ok(found)
}

#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    #[error(transparent)]
    Journal(#[from] super::JournalError),
    #[error(transparent)]
    Subject(#[from] SubjectError),
}

/// The record is closed if it still is what it was when its target was looked at; whether it is.
async fn write<S: Subject>(subject: &S, store: &Store, lost: &Injection, was: Life) -> bool {
    let id = &lost.metadata.id;
    let claim = match Claim::try_take(store.folder(), id) {
        Ok(Some(claim)) => claim,
        Ok(None) => return false,
        Err(error) => {
            tracing::warn!(%error, %id, "lost, and its record cannot be claimed");
            return false;
        }
    };
    let mut closed = false;
    let close = |one: &mut Injection| {
        if one.state == was {
            closed = true;
            (one.state, one.former) = (Life::Lost, None);
            one.note.clone_from(&lost.note);
        }
    };
    if let Err(error) = store.update(id, Durability::Synced, close) {
        tracing::warn!(%error, %id, "lost, and the journal cannot say so");
        return false;
    }
    drop(claim);
    if !closed {
        return false;
    }
    if let Err(error) = subject.forget(&lost.metadata).await {
        tracing::warn!(%error, %id, "lost, and its helper stays");
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::life::{
        inject,
        tests::{Witness, request, witness},
    };

    async fn injected() -> (tempfile::TempDir, Witness) {
        let (folder, subject) = witness(None);
        inject(&subject, &subject.store, &request(), |_| ()).await.unwrap();
        (folder, subject)
    }

    fn states(store: &Store) -> Vec<Life> {
        let loaded = store.load().unwrap();
        loaded.sessions.iter().flat_map(|seen| &seen.file.injections).map(|one| one.state).collect()
    }

    #[tokio::test]
    async fn what_went_with_its_target_is_written_down_as_lost_and_told_once() {
        let (_folder, subject) = injected().await;
        assert!(settle(&subject, &subject.store, true).await.unwrap().is_empty());
        *subject.fate.lock().unwrap() = Fate::Gone("was restarted");
        let shown = settle(&subject, &subject.store, false).await.unwrap();
        assert_eq!((shown.len(), states(&subject.store)), (1, vec![Life::Active]), "nothing may be changed");
        let found = settle(&subject, &subject.store, true).await.unwrap();
        assert!(found[0].words().ends_with("on tikv0 is lost: tikv0 was restarted, and the fault went with it"));
        assert_eq!(states(&subject.store), [Life::Lost]);
        assert!(settle(&subject, &subject.store, true).await.unwrap().is_empty());
        assert!(subject.undone.lock().unwrap().is_empty(), "nothing is undone");
    }

    #[tokio::test]
    async fn injection_being_made_or_undone_is_left_to_its_program() {
        let (_folder, subject) = injected().await;
        *subject.fate.lock().unwrap() = Fate::Ended("was started again");
        let id = crate::chaos::InjectionId::from_number(1);
        subject.store.update(&id, Durability::Visible, |one| one.state = Life::Reverting).unwrap();
        assert!(settle(&subject, &subject.store, true).await.unwrap().is_empty());
        *subject.fate.lock().unwrap() = Fate::Gone("was restarted");
        assert_eq!(settle(&subject, &subject.store, true).await.unwrap().len(), 1);
        assert_eq!(states(&subject.store), [Life::Reverting]);
        subject.store.update(&id, Durability::Visible, |one| one.state = Life::Active).unwrap();
        let claim = Claim::take(subject.store.folder(), &id).await.unwrap();
        settle(&subject, &subject.store, true).await.unwrap();
        assert_eq!(states(&subject.store), [Life::Active], "another is just at it");
        drop(claim);
        settle(&subject, &subject.store, true).await.unwrap();
        assert_eq!(states(&subject.store), [Life::Lost]);
    }
}
