//! Standing still and coming back: a program that is stopped keeps no deadline, so while it is, its session counts as
//! one whose program is gone, and the guard is in charge of it.

use std::{fs, os::unix::fs::MetadataExt as _, sync::PoisonError};

use super::journal::{JournalError, Store, io};

impl Store {
    /// Stands aside for as long as `meanwhile` takes. Nothing of this program is in the middle of a change then, so that
    /// no other waits for us. Whoever wants to change something must have a guard before: see [`Store::start_guard`].
    ///
    /// # Errors
    /// The session cannot be let go of, and then `meanwhile` was not called; or not be taken up again, and then it stays
    /// the guard's, and what is injected next is in a new one.
    pub fn stand_aside(&self, meanwhile: impl FnOnce()) -> Result<(), JournalError> {
        let _gate = self.gate();
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(session) = own.take() else {
            meanwhile();
            return Ok(());
        };
        let path = self.session_lock(&session.session);
        if let Err(reason) = session.alive.unlock() {
            *own = Some(session);
            return Err(io("let go of", &path)(reason));
        }
        meanwhile();
        let _lock = self.lock_file()?;
        // With nothing left open in it the session may have been ended for us.
        let same = || Ok::<_, std::io::Error>(fs::metadata(&path)?.ino() == session.alive.metadata()?.ino());
        if same().unwrap_or(false) && self.path(&session.session).exists() {
            // Others hold it for a look alone.
            session.alive.lock().map_err(io("lock", &path))?;
            *own = Some(session);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::{
        chaos::{FaultMetadata, InjectionId, Metadata, Signal},
        session::{Durability, Injection, Life, Loaded},
    };

    fn injection(number: u32) -> Injection {
        let now = Timestamp::now();
        Injection {
            state: Life::Active,
            metadata: Metadata {
                fault: FaultMetadata::NodeKill { target_container: "tikv0".into(), signal: Signal::Kill },
                id: InjectionId::from_number(number),
                container_id: "c0".into(),
                container_started_at: String::new(),
                daemon_id: None,
                group: None,
                holder_image: None,
                before: None,
                task: None,
            },
            undo: vec![],
            created_at: now,
            deadline: Some(now + SignedDuration::from_secs(60)),
            deadline_since_boot_ms: None,
            left: false,
            former: None,
            measured: None,
            note: None,
        }
    }

    fn alive(loaded: &Loaded) -> Vec<bool> {
        loaded.sessions.iter().map(|seen| seen.alive).collect()
    }

    #[test]
    fn a_session_is_nobodys_while_its_program_stands_aside_and_its_own_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (program, other) = (Store::at(folder.path()), Store::at(folder.path()));
        program.record("tui", vec![injection(1)]).unwrap();
        assert_eq!(alive(&other.load().unwrap()), [true]);
        program.stand_aside(|| assert_eq!(alive(&other.load().unwrap()), [false])).unwrap();
        assert_eq!(alive(&other.load().unwrap()), [true]);
        program.record("tui", vec![injection(2)]).unwrap();
        let loaded = program.load().unwrap();
        assert_eq!(loaded.sessions.len(), 1);
        assert!(loaded.sessions[0].mine);
    }

    #[test]
    fn what_others_ended_meanwhile_stays_ended_and_the_next_injection_begins_a_new_session() {
        let folder = tempfile::tempdir().unwrap();
        let (program, other) = (Store::at(folder.path()), Store::at(folder.path()));
        program.record("tui", vec![injection(1)]).unwrap();
        let first = program.load().unwrap().sessions[0].file.session.clone();
        let end = || {
            let id = InjectionId::from_number(1);
            other.update(&id, Durability::Visible, |one| one.state = Life::Clean).unwrap();
            other.prune().unwrap();
        };
        program.stand_aside(end).unwrap();
        assert!(program.load().unwrap().sessions.is_empty());
        program.record("tui", vec![injection(2)]).unwrap();
        let loaded = other.load().unwrap();
        assert_eq!(alive(&loaded), [true]);
        assert_ne!(loaded.sessions[0].file.session, first);
    }

    #[test]
    fn without_a_session_there_is_nothing_to_let_go_of() {
        let folder = tempfile::tempdir().unwrap();
        let mut called = false;
        Store::at(folder.path()).stand_aside(|| called = true).unwrap();
        assert!(called && !folder.path().join("sessions").exists());
    }
}
