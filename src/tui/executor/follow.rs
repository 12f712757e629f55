//! Following the peers of what this program has injected, and saying so.

use std::{sync::PoisonError, time::Duration};

use tokio::time::{Instant, sleep};

use super::{SETTLED, Shared, name};
use crate::{
    session::{self, Injection, Loaded, moved},
    subject::ErrorKind,
    tui::Level,
};

/// How long until what could not be followed is tried again by itself, and what must not be.
const AGAIN: Duration = Duration::from_secs(5);
const MUCH_LATER: Duration = Duration::from_secs(60);

impl Shared {
    /// The injections of this program whose peers are elsewhere, so far as the watch shows, and are to be followed now. What
    /// failed is tried again when there is `news` of Docker, and after a while.
    pub(super) fn behind(&self, news: bool) -> Vec<Injection> {
        self.to_follow(news, |one| one.is_astray() || self.subject.is_behind(&one.metadata))
    }

    /// Those whose peers may be anywhere, as Docker does not answer.
    pub(super) fn unseen(&self) -> Vec<Injection> {
        self.to_follow(true, |one| one.metadata.names_peers() && !one.is_astray())
    }

    /// Each counts as being followed from here on.
    fn to_follow(&self, news: bool, wanted: impl Fn(&Injection) -> bool) -> Vec<Injection> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let may = |one: &Injection| match following.get(&one.metadata.id) {
            None => true,
            Some(None) => false,
            Some(Some(again)) => news || *again <= Instant::now(),
        };
        let open = told.as_ref().map(Loaded::open).unwrap_or_default().into_iter();
        let mine = open.filter(|(seen, one)| seen.mine && one.can_follow()).map(|(_, one)| one);
        let wanted: Vec<Injection> = mine.filter(|one| wanted(one) && may(one)).cloned().collect();
        following.extend(wanted.iter().map(|one| (one.metadata.id.clone(), None)));
        wanted
    }

    pub(super) async fn follow(&self, injection: Injection) {
        let id = &injection.metadata.id;
        let result = session::follow(&*self.subject, &self.store, id).await;
        {
            let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
            match &result {
                Ok(_) => following.remove(id),
                Err(error) => {
                    let pause = if error.kind() == ErrorKind::Refused { MUCH_LATER } else { AGAIN };
                    following.insert(id.clone(), Some(Instant::now() + pause))
                }
            };
        }
        match result {
            Ok(Some(now)) => {
                let what = moved(injection.former.as_ref().unwrap_or(&injection.metadata), &now.metadata);
                self.say(Level::Info, format!("{} follows its peers: {what}", name(&injection))).await;
                self.tell_sessions().await;
                // The end of the program does not wait for it.
                let shared = self.clone();
                tokio::spawn(async move {
                    sleep(SETTLED).await;
                    shared.measure(&now).await;
                });
            }
            Ok(None) => drop(self.tell_sessions().await),
            Err(error) => {
                // Once is enough for the log; the record says it for as long as it is so.
                if !injection.is_astray() {
                    self.say(Level::Error, format!("{}: {error}", name(&injection))).await;
                }
                self.tell_sessions().await;
            }
        }
    }
}
