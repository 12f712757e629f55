//! Undoing: at a key, at a deadline, and of what has no record.

use std::sync::PoisonError;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{AGAIN, Shared, name, progress};
use crate::{
    chaos::InjectionId,
    config::Config,
    session::{
        self, Injection, LifeError,
        recovery::{Reach, Recovery, sort},
    },
    subject::{Cleaned, Marked, Subject as _, SubjectError, docker::TikvSubject},
    tui::{Level, Message},
};

impl Shared {
    pub(super) fn is_reverting(&self, id: &InjectionId) -> bool {
        self.reverting.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Ends what is over its time. Where that fails it is tried now and then, not at every look.
    pub(super) async fn end_overdue(&self, injection: &Injection) {
        let id = &injection.metadata.id;
        if self.is_reverting(id) {
            return;
        }
        let before = {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            if tried.get(id).is_some_and(|last| last.is_some_and(|last| last.elapsed() < AGAIN)) {
                return;
            }
            tried.insert(id.clone(), Some(Instant::now()))
        };
        if before.is_none() {
            self.say(Level::Info, format!("{} is over its time", name(injection))).await;
        }
        self.revert(injection.clone()).await;
    }

    /// Writes down what went with its target, and tells it as one tells of what was reverted.
    pub(super) async fn settle(&self) {
        match session::settle(&*self.subject, &self.store, true).await {
            Ok(lost) => {
                for one in lost {
                    let id = one.injection.metadata.id.clone();
                    if one.written && !self.is_reverting(&id) {
                        self.send(Message::Reverted { id, result: Ok(one.words()) }).await;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "what is recorded is not compared with the nodes"),
        }
        self.tell_sessions().await;
    }

    pub(super) async fn revert(&self, injection: Injection) {
        let id = injection.metadata.id.clone();
        if !self.reverting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone()) {
            return;
        }
        let result = match session::revert(&*self.subject, &self.store, &injection).await {
            Ok(reverted) => {
                if reverted.cleaned == Cleaned::Clean {
                    let (shared, injection) = (self.clone(), injection.clone());
                    tokio::spawn(async move { shared.measure_over(&injection).await });
                }
                if let Some(error) = reverted.journal_error {
                    self.say(Level::Warn, format!("{id} is undone, but the journal cannot say so: {error}")).await;
                }
                Ok(match reverted.cleaned {
                    Cleaned::Clean => format!("{} is reverted: read back and gone", name(&injection)),
                    Cleaned::Back(how) => format!("{} is reverted: read back and gone; {how}", name(&injection)),
                    Cleaned::Lost(how) => format!("{}: nothing left to undo: {how}", name(&injection)),
                })
            }
            // The undo by hand is a key away; in the log it would push the reason out of sight.
            Err(LifeError::NotReverted { cause, .. }) => {
                Err(format!("{} could not be reverted: {cause}", name(&injection)))
            }
            Err(error) => Err(error.to_string()),
        };
        self.reverting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.send(Message::Reverted { id, result }).await;
        self.tell_sessions().await;
        if let Err(error) = self.store.prune() {
            tracing::warn!(%error, "ended sessions stay listed");
        }
    }

    /// An engine of its own for a look at every node, whose helpers go with it and are not kept for injections.
    pub(super) fn aside(&self, config: &Config) -> TikvSubject {
        config.subject(progress(self.messages.clone()))
    }

    /// Tells the screen what the nodes show of ours, compared with the journals as they are afterwards.
    pub(super) async fn scan(&self, config: &Config) {
        let subject = self.aside(config);
        let scan = subject.scan().await;
        subject.release().await;
        match scan.map(|scan| (scan, self.store.load().unwrap_or_default())) {
            Ok((scan, loaded)) => {
                let mut found = sort(&loaded, scan, Reach::LeftBehind);
                // What this program reverted between the two looks has a record that is closed.
                let mine = loaded.sessions.iter().filter(|seen| seen.mine).flat_map(|seen| &seen.file.injections);
                let mine: Vec<_> = mine.map(|injection| &injection.metadata).collect();
                let is_mine = |what: &Marked| match what {
                    Marked::Fault(mark) => mine.iter().any(|metadata| metadata.claims(mark)),
                    Marked::Helper(_) => false,
                };
                found.unrecorded.retain(|what| !is_mine(what));
                self.send(Message::Scanned(Box::new(found))).await;
            }
            Err(error) => self.cannot_look(&error).await,
        }
    }

    pub(super) async fn cannot_look(&self, error: &SubjectError) {
        self.say(Level::Warn, format!("the nodes cannot be looked at for what no journal knows: {error}")).await;
    }

    /// Looks for what there still is of ours, and undoes it.
    pub(super) async fn end_unrecorded(&self, config: &Config) {
        let subject = self.aside(config);
        match subject.scan().await {
            Ok(scan) => {
                let loaded = self.store.load().unwrap_or_default();
                let Recovery { unrecorded, unseen, .. } = sort(&loaded, scan, Reach::Everything);
                for one in &unseen {
                    self.say(Level::Warn, format!("cannot look at {}: {}", one.target, one.reason)).await;
                }
                if unrecorded.is_empty() && unseen.is_empty() {
                    self.say(Level::Done, "nothing of ours is left in any node without a record".to_owned()).await;
                }
                self.clear(&subject, unrecorded).await;
            }
            Err(error) => self.cannot_look(&error).await,
        }
        subject.release().await;
    }

    pub(super) async fn clear(&self, subject: &TikvSubject, marks: Vec<Marked>) {
        let all = marks.into_iter().map(|mark| async move {
            let what = mark.words();
            let result = match subject.clear(&mark).await {
                Ok(Cleaned::Clean) => Ok(format!("{what}, without a record, is undone: read back and gone")),
                Ok(Cleaned::Back(how)) => Ok(format!("{what}, without a record, is undone: read back and gone; {how}")),
                Ok(Cleaned::Lost(how)) => Ok(format!("{what}: nothing left to undo: {how}")),
                Err(error) => {
                    let by_hand = mark.by_hand().join("; ");
                    Err(format!("{what} without a record could not be undone: {error}. By hand: {by_hand}"))
                }
            };
            self.send(Message::Cleared { mark: Box::new(mark), result }).await;
        });
        join_all(all).await;
    }
}
