//! The guard at rest: this program once more, which knows nothing but what wakes it, so that waiting takes a fraction of
//! the memory. What wakes it makes it the whole guard again: the same process throughout, with the same lock.
//!
//! It is entered before anything else of the program is touched, and every page of it counts.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{fs::MetadataExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    time::{ClockId, clock_gettime},
};

use super::{AGAIN, DETACHED, SUBCOMMAND, wait::changes};
use crate::session::{Loaded, Store};

/// The first word after the subcommand of a guard at rest, and what stands before the way back.
const RESTING: &str = "--resting";
const BACK: &str = "--";
/// What stands before the locks where standard error is a connection on which Docker tells its news.
const LISTENING: &str = "--listening";

/// A sleeping thread's clock stands still while the machine sleeps, so it looks up from time to time.
const LOOK_UP: Duration = Duration::from_secs(60);
/// How far the wall's clock may move against the other before deadlines are reckoned anew.
const DRIFT: Duration = Duration::from_secs(2);
/// How long until an exec that failed, for want of memory, say, is tried again.
const PAUSE: Duration = Duration::from_secs(1);

impl Store {
    /// Rests for as long as the journals stay as they were found and Docker says nothing on the connection, `left` at most;
    /// then the guard begins anew in this same process. Comes back only where the journals changed already, or where it
    /// cannot be.
    pub fn rest(&self, found: &Loaded, left: Option<Duration>, docker: Option<BorrowedFd>) -> io::Result<()> {
        let launch = self.launch().ok_or_else(|| io::Error::other("nothing says how to come back"))?;
        let changes = OwnedFd::from(changes(self.folder())?);
        // From here on a change wakes; this look finds one that came before.
        if self.load().ok().as_ref() != Some(found) {
            return Ok(());
        }
        let until = left.map(|left| since_boot().saturating_add(left).as_millis().to_string());
        let mut command = Command::new(this_program(&launch.program));
        command.arg0(&launch.program).args([SUBCOMMAND, RESTING, until.as_deref().unwrap_or_default()]);
        if let Some(docker) = docker {
            // What it says from now on, and what it has said, waits there.
            command.arg(LISTENING).stderr(Stdio::from(docker.try_clone_to_owned()?));
        }
        let alive = found.sessions.iter().filter(|seen| seen.alive);
        command.args(alive.map(|seen| self.session_lock(&seen.file.session)));
        command.arg(BACK).arg(&launch.program).arg(SUBCOMMAND).args(&launch.options).args([DETACHED, AGAIN]);
        // The guard's lock stays where it is, at standard input.
        Err(command.stdout(Stdio::from(changes)).exec())
    }
}

/// What a guard at rest was told on its command line.
pub struct Resting {
    /// In milliseconds since the machine's start.
    until_ms: Option<u64>,
    /// Standard error is Docker's news.
    listening: bool,
    locks: Vec<OsString>,
    /// The whole guard's command line, the program first.
    back: Vec<OsString>,
}

impl Resting {
    /// `None` for every other run of the program.
    pub fn from_args(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        if args.nth(1)? != SUBCOMMAND || args.next()? != RESTING {
            return None;
        }
        let until_ms = args.next()?.to_str()?.parse().ok();
        let mut locks: Vec<OsString> = args.collect();
        let back = locks.split_off(locks.iter().position(|one| one == BACK)?).split_off(1);
        let listening = locks.first().is_some_and(|one| one == LISTENING);
        if listening {
            locks.remove(0);
        }
        Some(Self { until_ms, listening, locks, back })
    }

    /// Rests, and then is the whole guard.
    pub fn rest(self) -> ! {
        for lock in self.locks {
            let back = self.back.clone();
            // Where it cannot be opened the session has ended.
            thread::spawn(move || {
                let _ended = File::open(lock).and_then(|lock| lock.lock_shared());
                wake(&back)
            });
        }
        let (changes, docker) = (io::stdout(), io::stderr());
        let wall_ahead = wall_ahead();
        loop {
            let left = match self.until_ms {
                Some(until) => Duration::from_millis(until).saturating_sub(since_boot()),
                None => LOOK_UP,
            };
            let clock_was_set = wall_ahead.abs_diff(self::wall_ahead()) > DRIFT;
            if left.is_zero() || clock_was_set {
                wake(&self.back);
            }
            // To the next whole millisecond, so as not to wake before it.
            let longest = PollTimeout::try_from(left.min(LOOK_UP) + Duration::from_millis(1));
            let news = |fd| PollFd::new(fd, PollFlags::POLLIN);
            let mut polled = [news(changes.as_fd()), news(docker.as_fd())];
            let polled = if self.listening { &mut polled[..] } else { &mut polled[..1] };
            // One that is closed is news too.
            if poll(polled, longest.unwrap_or(PollTimeout::MAX)).is_ok_and(|ready| ready > 0) {
                wake(&self.back);
            }
        }
    }
}

fn wake(back: &[OsString]) -> ! {
    loop {
        if let [program, args @ ..] = back {
            let mut command = Command::new(this_program(Path::new(program)));
            let _failed = command.arg0(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).exec();
        }
        thread::sleep(PAUSE);
    }
}

/// This very program, even where its file was replaced since; by its own name where that still is it.
fn this_program(named: &Path) -> PathBuf {
    let this = Path::new("/proc/self/exe");
    let file = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let same = file(named).is_some_and(|named| Some(named) == file(this));
    if same { named } else { this }.to_owned()
}

fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// By how much the wall's clock is ahead of the time since the machine's start.
fn wall_ahead() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().saturating_sub(since_boot())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Option<Resting> {
        // A split at every blank keeps the empty word.
        Resting::from_args(line.split(' ').map(OsString::from))
    }

    #[test]
    fn a_guard_at_rest_knows_what_wakes_it_and_the_way_back_and_is_no_other_run() {
        let one = told("p guard --resting 17 /s/a.lock /s/b.lock -- /bin/p guard --state-dir /s -- --again").unwrap();
        assert!(!one.listening);
        assert_eq!((one.until_ms, one.locks), (Some(17), vec!["/s/a.lock".into(), "/s/b.lock".into()]));
        assert_eq!(one.back, ["/bin/p", "guard", "--state-dir", "/s", "--", "--again"].map(OsString::from));
        let listening = told("p guard --resting 17 --listening /s/a.lock -- /bin/p guard").unwrap();
        assert_eq!((listening.listening, listening.locks), (true, vec!["/s/a.lock".into()]));
        let none = told("p guard --resting  -- /bin/p guard").unwrap();
        assert_eq!((none.until_ms, none.locks.len(), none.back.len()), (None, 0, 2));
        for line in ["p", "p guard", "p guard --detached", "p inject --resting", "p guard --resting 17"] {
            assert!(told(line).is_none(), "{line}");
        }
    }

    #[test]
    fn a_program_that_was_replaced_comes_back_as_itself() {
        let this = std::env::current_exe().unwrap();
        assert_eq!(this_program(&this), this);
        let other = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(this_program(other.path()), Path::new("/proc/self/exe"));
        assert_eq!(this_program(Path::new("/nowhere")), Path::new("/proc/self/exe"));
    }
}
