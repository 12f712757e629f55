//! Waiting for whichever comes first, at no cost: a change of the journal (inotify), the end of a program (its lock),
//! news of Docker, a moment.

use std::{
    collections::HashSet,
    fs::File,
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

#[cfg(target_os = "linux")]
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// The clock of a sleeping thread stands still while the machine sleeps, so it looks up from time to time.
const LONGEST: Duration = Duration::from_secs(60);

pub struct Bell {
    ring: Sender<Rung>,
    rung: Receiver<Rung>,
    /// Sessions whose end will ring.
    ends: HashSet<String>,
    /// Docker had news that was not asked for since.
    docker: bool,
}

/// What rang.
enum Rung {
    Journal,
    End(String),
    Docker,
}

/// Rings when Docker has news, once or more often.
pub struct DockerBell(Sender<Rung>);

impl DockerBell {
    /// False once the receiver is gone.
    pub fn ring(&self) -> bool {
        self.0.send(Rung::Docker).is_ok()
    }
}

impl Bell {
    /// Rings when something in the folder of journals changes. Where the kernel cannot tell, the looks in between must do.
    pub fn on(folder: &Path) -> Self {
        let (ring, rung) = channel();
        #[cfg(target_os = "linux")]
        if let Err(error) = watch(folder, ring.clone()) {
            tracing::warn!(%error, "the journal cannot be watched");
        }
        Self { ring, rung, ends: HashSet::new(), docker: false }
    }

    /// Rings when the program of this session has ended.
    pub fn on_end_of(&mut self, session: &str, lock: &Path) {
        if !self.ends.insert(session.to_owned()) {
            return;
        }
        let (ring, lock, session) = (self.ring.clone(), lock.to_owned(), session.to_owned());
        thread::spawn(move || {
            // Where it cannot be opened the session has ended.
            if let Err(error) = File::open(&lock).and_then(|lock| lock.lock_shared()) {
                tracing::info!(%error, lock = %lock.display(), "not waited for");
            }
            let _ = ring.send(Rung::End(session));
        });
    }

    pub fn of_docker(&self) -> DockerBell {
        DockerBell(self.ring.clone())
    }

    /// Whether Docker has had news since this was last asked.
    pub fn docker_rang(&mut self) -> bool {
        std::mem::take(&mut self.docker)
    }

    /// Waits for a ring, `longest` at most; several rings are one. True if it rang.
    pub fn wait(&mut self, longest: Duration) -> bool {
        match self.rung.recv_timeout(longest.min(LONGEST)) {
            Ok(first) => {
                for rung in std::iter::once(first).chain(self.rung.try_iter()) {
                    match rung {
                        // Its program may come back to it, and then end once more.
                        Rung::End(session) => drop(self.ends.remove(&session)),
                        Rung::Docker => self.docker = true,
                        Rung::Journal => {}
                    }
                }
                return true;
            }
            Err(RecvTimeoutError::Timeout) => {}
            // We hold a sender ourselves.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(longest.min(LONGEST)),
        }
        false
    }
}

#[cfg(target_os = "linux")]
fn watch(folder: &Path, ring: Sender<Rung>) -> nix::Result<()> {
    let inotify = changes(folder)?;
    thread::spawn(move || while inotify.read_events().is_ok() && ring.send(Rung::Journal).is_ok() {});
    Ok(())
}

/// Journals are replaced by renaming and removed by unlinking; the folder itself may go too.
#[cfg(target_os = "linux")]
pub fn changes(folder: &Path) -> nix::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    let changes = AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF;
    inotify.add_watch(folder, changes)?;
    Ok(inotify)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_is_let_go_of_again_and_again_rings_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let lock = File::create(&path).unwrap();
        let mut bell = Bell::on(folder.path());
        for _ in 0..2 {
            lock.lock().unwrap();
            bell.on_end_of("a", &path);
            lock.unlock().unwrap();
            bell.wait(LONGEST);
            assert!(bell.ends.is_empty(), "it did not ring");
        }
    }
}
