//! Following the peers of an injection while it holds: what it was and what it is to be are on the disk before its
//! addresses are others, as with every change. One that cannot follow says so in its record.

use jiff::Timestamp;

use super::{
    change::{Other, left, make, overtaken, settle},
    claim::Claim,
    journal::{Durability, JournalError, Store},
    life::LifeError,
    record::{Injection, Life, Seen},
};
use crate::{
    chaos::{InjectionId, Metadata},
    step::{Step, step},
    subject::{Subject, SubjectError},
};

/// How the notes begin that say so, and those where Docker cannot be asked.
const ASTRAY: &str = "no longer does what it says: ";
const UNKNOWN: &str = "may no longer do what it says, as it is not known where its peers are: ";
const NO_FOLLOWER: &str = "its peers are followed only while its program runs: ";
/// The sessions of this command follow their own peers while they live; every other ends its work before that.
const FOLLOWS: &str = "tui";

impl Injection {
    /// Whether its peers are or may be elsewhere and could not be followed.
    pub fn is_astray(&self) -> bool {
        self.note.as_ref().is_some_and(|note| [ASTRAY, UNKNOWN].iter().any(|text| note.starts_with(text)))
    }

    /// Whether its peers can be followed: it is active, or a follower has left it half done.
    pub fn can_follow(&self) -> bool {
        self.state == Life::Active || self.is_cut_short()
    }

    /// Whether its follower died while it followed: it is written down where the peers are, and perhaps done.
    fn is_cut_short(&self) -> bool {
        let only_moved = |former: &Metadata| former.differs_in_aim(&self.metadata);
        self.state == Life::Applying && self.former.as_ref().is_some_and(only_moved)
    }

    /// Says that nothing follows its peers once its program is gone.
    pub(super) fn without_follower(&mut self, reason: &dyn std::fmt::Display) {
        self.note = Some(format!("{NO_FOLLOWER}{reason}"));
    }
}

/// Whether the injection's peers are the guard's to follow.
pub fn is_guards(seen: &Seen, injection: &Injection) -> bool {
    let program_follows = seen.alive && seen.file.command == FOLLOWS;
    injection.can_follow() && injection.metadata.names_peers() && !program_follows
}

/// Makes an injection hold for its peers where they are now; `None` where it does, or is not active. If that fails, its
/// record says that it no longer does what it says.
pub async fn follow<S: Subject>(subject: &S, store: &Store, id: &InjectionId) -> Result<Option<Injection>, LifeError> {
    let failed = |reason: &dyn std::fmt::Display| LifeError::NotFollowed {
        id: id.to_string(),
        reason: reason.to_string(),
        refused: false,
    };
    // Neither a change nor a revert at once.
    let _claim = Claim::take(store.folder(), id).await.map_err(|error| failed(&error))?;
    step(Step::Claimed);
    let find = || {
        let mut all = store.load()?.sessions.into_iter().flat_map(|seen| seen.file.injections);
        Ok::<_, JournalError>(all.find(|one| one.metadata.id == *id))
    };
    let Some(held) = find().map_err(|error| failed(&error))? else { return Ok(None) };
    if let Some(former) = held.former.as_ref().filter(|_| held.is_cut_short()) {
        return go_on(subject, store, &held, former).await;
    }
    if held.state != Life::Active {
        return Ok(None);
    }
    // What a former try has said is no news any more once one succeeds.
    let note = held.note.clone().filter(|_| !held.is_astray());
    let to = match subject.follow(&held.metadata).await {
        Ok(Some(to)) => to,
        Ok(None) => {
            if held.is_astray() {
                say(store, id, note);
            }
            return Ok(None);
        }
        Err(error) => return Err(not_followed(store, id, &error)),
    };
    let moved = moved(&held.metadata, &to);
    let blame = |cause: &SubjectError| format!("{ASTRAY}{moved}, and could not be followed: {cause}");
    make(subject, store, Other { held: &held, to: &to, end: None, note }, blame).await.map(Some)
}

/// What a follower that died has begun: it holds for where the peers were or for where it was to be.
async fn go_on<S: Subject>(
    subject: &S,
    store: &Store,
    held: &Injection,
    former: &Metadata,
) -> Result<Option<Injection>, LifeError> {
    let id = &held.metadata.id;
    // Where either has no address nothing need be in the kernel.
    let silent = held.metadata.network().is_some_and(|fault| !fault.means_any());
    let from = if silent { &held.metadata } else { former };
    let to = subject.follow(from).await.map(|to| to.unwrap_or_else(|| from.clone()));
    let made = match to {
        Ok(to) => subject.change(&to, left(held.deadline, Timestamp::now())).await,
        Err(error) => Err(error),
    };
    let made = made.map_err(|error| not_followed(store, id, &error))?;
    match store.update(id, Durability::Visible, |injection| settle(injection, &made, None)) {
        Ok(Some(injection)) if injection.state != Life::Active => Err(overtaken(subject, store, &made).await),
        settled => settled.map_err(|error| LifeError::NotFollowed {
            id: id.to_string(),
            reason: error.to_string(),
            refused: false,
        }),
    }
}

/// In the record, and as an error.
fn not_followed(store: &Store, id: &InjectionId, error: &SubjectError) -> LifeError {
    let refused = matches!(error, SubjectError::Refused { .. });
    say(store, id, Some(format!("{}{error}", if refused { ASTRAY } else { UNKNOWN })));
    LifeError::NotFollowed { id: id.to_string(), reason: error.to_string(), refused }
}

/// `tikv1 has 172.18.0.9, tikv2 has no address`: what is another.
pub fn moved(was: &Metadata, now: &Metadata) -> String {
    let before: Vec<_> = was.fault.named().collect();
    let others =
        now.fault.named().filter(|peer| before.iter().all(|one| (&one.name, &one.ips) != (&peer.name, &peer.ips)));
    let said = others.map(|peer| {
        let ips: Vec<String> = peer.ips.iter().map(ToString::to_string).collect();
        let ips = if ips.is_empty() { "no address".to_owned() } else { ips.join(" and ") };
        format!("{} has {ips}", peer.name)
    });
    let said: Vec<String> = said.collect();
    match said.is_empty() {
        true => format!("{} is on other networks", now.target()),
        false => said.join(", "),
    }
}

/// A record that could not say so is no reason to follow less.
fn say(store: &Store, id: &InjectionId, note: Option<String>) {
    let write = |injection: &mut Injection| {
        if matches!(injection.state, Life::Active | Life::Applying) {
            injection.note = note;
        }
    };
    if let Err(error) = store.update(id, Durability::Aside, write) {
        tracing::error!(%error, %id, "the journal could not be written");
    }
}

#[cfg(test)]
mod tests;
