//! The guard: a detached process that ends what is overdue when the program that injected it is gone.
//!
//! One for each folder of journals and each Docker, told by the lock that it holds. It is started with the first injection
//! that has a deadline or names peers, and goes with the last. It follows the peers of what no living screen follows, see
//! `peers`. Else it waits: it wakes when the journal changes, when a session's lock is let go, for deadlines and, where it
//! has peers to follow, at Docker's news; when nothing happens it rests, see `rest`. Knows no Docker and no terminal.

mod keep;
mod peers;
#[cfg(target_os = "linux")]
mod rest;
mod wait;

pub use keep::{Attempt, Work, keep};
#[cfg(target_os = "linux")]
pub use rest::Resting;
pub use wait::DockerBell;

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    journal::{JournalError, Store, is_held, private},
    record::{Injection, Loaded, Seen},
};
use crate::step::{Step, step};

/// The first word on the command line of both starts of a guard, and what the second one has besides.
pub const SUBCOMMAND: &str = "guard";
pub const DETACHED: &str = "--detached";
/// What the second one has besides when it comes back from its rest.
#[cfg(target_os = "linux")]
const AGAIN: &str = "--again";

/// A look at a lock holds it for microseconds, and a guard that starts must not take that for another guard.
const LOOKS: u32 = 20;
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// How this program is started again as a guard.
#[derive(Debug)]
pub struct Launch {
    pub program: PathBuf,
    /// Its options, without the subcommand.
    pub options: Vec<OsString>,
    /// The Docker that both talk to, as `DOCKER_HOST` names it.
    pub docker_host: String,
}

impl Launch {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Somewhere that can always be unmounted from under nobody.
        command.arg(SUBCOMMAND).args(&self.options).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Why no guard runs.
#[derive(Debug, thiserror::Error)]
#[error("no guard could be started: {0}")]
pub struct NoGuard(String);

/// A guard that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Running {
    pub pid: u32,
}

impl Store {
    fn guard_lock(&self) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        self.launch().map(|launch| &launch.docker_host).hash(&mut hasher);
        self.folder().join(format!("guard-{:016x}.lock", hasher.finish()))
    }

    /// The open injections that have a deadline or name peers and were made through our own Docker, each with its session:
    /// what a guard is for. What was made through another Docker is another guard's.
    pub fn guarded<'a>(&self, loaded: &'a Loaded) -> Vec<(&'a Seen, &'a Injection)> {
        let ours = |seen: &Seen| match (&seen.file.docker_host, self.launch()) {
            (Some(host), Some(launch)) => *host == launch.docker_host,
            _ => true,
        };
        let needs = |one: &Injection| one.deadline.is_some() || one.metadata.names_peers();
        loaded.open().into_iter().filter(|(seen, one)| needs(one) && ours(seen)).collect()
    }

    /// The guard that our own Docker's injections have, if one runs.
    pub fn guard(&self) -> Option<Running> {
        running(&self.guard_lock())
    }

    /// Every guard of these journals.
    pub fn guards(&self) -> Vec<Running> {
        let files = fs::read_dir(self.folder()).into_iter().flatten().flatten().map(|file| file.path());
        let is_lock =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("guard-"));
        files.filter(is_lock).filter_map(|path| running(&path)).collect()
    }

    /// Starts a guard where one is needed and none runs. When this returns, it runs.
    pub fn start_guard(&self) -> Result<(), NoGuard> {
        let Some(launch) = self.launch() else { return Ok(()) };
        if self.guard().is_some() || self.load().is_ok_and(|loaded| self.guarded(&loaded).is_empty()) {
            return Ok(());
        }
        let status = launch.command().stdin(Stdio::null()).status();
        let status = status.map_err(|error| NoGuard(format!("{}: {error}", launch.program.display())))?;
        if status.success() { Ok(()) } else { Err(NoGuard(format!("it ended with {status}; its log may say why"))) }
    }

    /// The first of a guard's two processes: leaves the terminal's session and starts the second, which holds the
    /// guard's lock from its first moment, as its standard input. Not being the leader of the new session, that one
    /// can never come by a terminal.
    pub fn detach_guard(&self) -> Result<(), NoGuard> {
        let failed = |what: &str, error: &dyn std::fmt::Display| NoGuard(format!("{what}: {error}"));
        let launch = self.launch().ok_or_else(|| NoGuard("nothing says how".to_owned()))?;
        nix::unistd::setsid().map_err(|error| failed("leaving the terminal's session", &error))?;
        let path = self.guard_lock();
        let lock = private().create(true).truncate(false).open(&path);
        let mut lock = lock.map_err(|error| failed(&path.display().to_string(), &error))?;
        if !try_lock(&lock).map_err(|error| failed("locking", &error))? {
            return Ok(());
        }
        step(Step::GuardLocked);
        let stdin = lock.try_clone().map_err(|error| failed("sharing the lock", &error))?;
        let mut second = launch.command();
        let second = second.arg(DETACHED).stdin(stdin).spawn().map_err(|error| failed("the second start", &error))?;
        // Only told to people.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", second.id()));
        Ok(())
    }

    /// Where there is no telling what a change of a folder is, the guard waits awake.
    #[cfg(not(target_os = "linux"))]
    pub fn rest(&self, _found: &Loaded, _left: Option<Duration>, _docker: Option<BorrowedFd>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The lock that the first process handed over.
    pub fn take_over_guard_lock(&self) -> io::Result<File> {
        let lock = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let (given, named) = (lock.metadata()?, fs::metadata(self.guard_lock())?);
        if (given.dev(), given.ino()) == (named.dev(), named.ino()) {
            return Ok(lock);
        }
        Err(io::Error::other("a guard is started by the program itself"))
    }
}

fn try_lock(lock: &File) -> io::Result<bool> {
    for _ in 0..LOOKS {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => thread::sleep(LOOK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

fn running(lock: &Path) -> Option<Running> {
    let pid = || fs::read_to_string(lock).ok()?.trim().parse().ok();
    is_held(lock).then(|| Running { pid: pid().unwrap_or_default() })
}

/// What there is to guard; `None` where there is nothing, and then the guard's lock is free. The two happen under the
/// journal's lock: whoever records something afterwards finds no guard and starts one.
fn look(store: &Store, lock: &File) -> Result<Option<Loaded>, JournalError> {
    let loaded = store.load()?;
    if !store.guarded(&loaded).is_empty() {
        return Ok(Some(loaded));
    }
    // Not made where it is gone: somebody is removing the folder.
    let _journal = store.lock_if_there()?;
    let loaded = store.load()?;
    if !store.guarded(&loaded).is_empty() {
        return Ok(Some(loaded));
    }
    // The end of the process would let it go too, but later.
    let _ = lock.unlock();
    Ok(None)
}
