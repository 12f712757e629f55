//! The guard's loop: look at the journal, end what is overdue and has no program, follow peers, wait.

use std::{
    collections::HashMap,
    fs::File,
    io,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use super::{
    look,
    peers::Peers,
    wait::{Bell, DockerBell},
};
use crate::{
    chaos::InjectionId,
    session::{Injection, Loaded, Seen, Store},
    step::{Step, step},
};

/// How long after a first failure the next try is; it doubles with each one, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// How long nothing must have happened before the guard rests: while something does it is quicker to stay awake.
const QUIET: Duration = Duration::from_secs(2);
/// How long to wait where the journal itself cannot be read.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(5);

/// How far past its deadline something is when it is ended although its program lives: that may stand still, with its lock,
/// after a `kill -STOP` or under a debugger. Should it go on, it finds nothing left to do.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// How an attempt to end one injection went: whether it is gone and the journal says so.
pub struct Attempt {
    pub id: InjectionId,
    pub closed: bool,
}

/// What failed, how often, and when it may be tried again.
type Failures = HashMap<InjectionId, (u32, Instant)>;

/// What the guard has done, with the program's own code.
pub trait Work {
    /// Ends injections, and says how each went.
    fn end(&mut self, due: Vec<Injection>) -> Vec<Attempt>;

    /// Lets Docker ring from now on when a container or a network changes; once may be all, until this is called again.
    fn listen(&mut self, bell: DockerBell) -> io::Result<()>;

    /// Docker need not ring any more.
    fn hush(&mut self);

    /// Makes these injections hold for their peers where they are now; whether all do.
    fn follow(&mut self, ids: Vec<InjectionId>) -> bool;

    /// Waits for a change of what was found, for Docker's ring or for a moment at less cost than we do, where it can; it
    /// comes back to have another look.
    fn rest(&mut self, found: &Loaded, left: Option<Duration>) -> io::Result<()>;
}

/// Guards until nothing is left to be guarded. `lock` is the guard's.
pub fn keep(store: &Store, lock: &File, work: &mut impl Work) {
    let mut bell = Bell::on(store.folder());
    let mut failures = Failures::new();
    let mut peers = Peers::default();
    let mut may_rest = true;
    loop {
        let loaded = match look(store, lock) {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return,
            Err(_) if !store.folder().exists() => {
                tracing::warn!("the folder of journals is gone");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be read");
                bell.wait(UNREADABLE_PAUSE);
                continue;
            }
        };
        for seen in loaded.sessions.iter().filter(|seen| seen.alive) {
            bell.on_end_of(&seen.file.session, &store.session_lock(&seen.file.session));
        }
        let guarded = store.guarded(&loaded);
        let due = due(&guarded, &failures, Instant::now());
        if due.is_empty() {
            if peers.follow(&guarded, &mut bell, work) {
                continue;
            }
            let pause = pause(&guarded, &failures, Timestamp::now(), Instant::now());
            let pause = [pause, peers.again()].into_iter().flatten().min();
            let long =
                pause.is_none_or(|pause| pause > QUIET) && failures.is_empty() && may_rest && peers.again().is_none();
            let quiet = !bell.wait(if long { QUIET } else { pause.unwrap_or(Duration::MAX) });
            if long
                && quiet
                && let Err(error) = work.rest(&loaded, pause.map(|pause| pause.saturating_sub(QUIET)))
            {
                tracing::warn!(%error, "waiting awake");
                may_rest = false;
            }
            continue;
        }
        step(Step::Overdue);
        for attempt in work.end(due) {
            if attempt.closed {
                failures.remove(&attempt.id);
                continue;
            }
            let (count, again) = failures.entry(attempt.id).or_insert((0, Instant::now()));
            *again = Instant::now() + FIRST_PAUSE.saturating_mul(1 << (*count).min(16)).min(LAST_PAUSE);
            *count += 1;
        }
        if let Err(error) = store.prune() {
            tracing::warn!(%error, "ended sessions stay listed");
        }
    }
}

/// An open injection with its session.
pub(super) type Guarded<'a> = (&'a Seen, &'a Injection);

/// Each with the moment from which on it is the guard's to end.
fn with_ends<'a>(guarded: &[Guarded<'a>]) -> impl Iterator<Item = (&'a Injection, Timestamp)> {
    guarded.iter().filter_map(|(seen, injection)| {
        let deadline = injection.deadline?;
        let end = if seen.alive { deadline.checked_add(GRACE).ok()? } else { deadline };
        Some((*injection, end))
    })
}

/// What is to be ended now.
fn due(guarded: &[Guarded], failures: &Failures, now: Instant) -> Vec<Injection> {
    let wall = Timestamp::now();
    let may = |injection: &Injection| failures.get(&injection.metadata.id).is_none_or(|(_, again)| *again <= now);
    with_ends(guarded).filter(|(one, end)| *end <= wall && may(one)).map(|(one, _)| one.clone()).collect()
}

/// Until the next deadline or the next try.
fn pause(guarded: &[Guarded], failures: &Failures, wall: Timestamp, now: Instant) -> Option<Duration> {
    let pauses = with_ends(guarded).map(|(injection, deadline)| {
        let left = Duration::try_from(deadline.duration_since(wall)).unwrap_or_default();
        let again = failures.get(&injection.metadata.id).map(|(_, again)| again.saturating_duration_since(now));
        left.max(again.unwrap_or_default())
    });
    pauses.min()
}

#[cfg(test)]
mod tests {
    use std::{fs::File, sync::mpsc::channel, thread};

    use super::*;
    use crate::{
        chaos::{FaultMetadata, Metadata, Signal},
        session::{Durability, Life, guard::Launch},
    };

    fn injection(number: u32, deadline: Option<SignedDuration>) -> Injection {
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
            created_at: now.min(deadline.map_or(now, |left| now + left)),
            deadline: deadline.map(|left| now + left),
            deadline_since_boot_ms: None,
            left: false,
            former: None,
            measured: None,
            note: None,
        }
    }

    fn close(store: &Store, one: &Injection) {
        let close = |one: &mut Injection| one.state = Life::Clean;
        store.update(&one.metadata.id, Durability::Visible, close).unwrap();
    }

    /// Without resting, and without following peers.
    struct Awake<F>(F);

    impl<F: FnMut(Vec<Injection>) -> Vec<Attempt>> Work for Awake<F> {
        fn end(&mut self, due: Vec<Injection>) -> Vec<Attempt> {
            (self.0)(due)
        }

        fn listen(&mut self, _: DockerBell) -> io::Result<()> {
            Ok(())
        }

        fn hush(&mut self) {}

        fn follow(&mut self, _: Vec<InjectionId>) -> bool {
            true
        }

        fn rest(&mut self, _: &Loaded, _: Option<Duration>) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn attempts(due: Vec<Injection>, closed: bool) -> Vec<Attempt> {
        due.into_iter().map(|one| Attempt { id: one.metadata.id, closed }).collect()
    }

    #[test]
    fn what_a_living_program_is_in_charge_of_is_left_to_it_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let program = Store::at(folder.path());
        program.record("tui", vec![injection(1, Some(SignedDuration::from_secs(-5)))]).unwrap();
        let lock = File::create(folder.path().join("lock")).unwrap();
        lock.lock().unwrap();
        let loaded = look(&program, &lock).unwrap().unwrap();
        let guarded = program.guarded(&loaded);
        assert!(due(&guarded, &Failures::new(), Instant::now()).is_empty());
        // One that stands still keeps nothing from being ended.
        let late = Timestamp::now() + SignedDuration::from_secs(6);
        let left = pause(&guarded, &Failures::new(), Timestamp::now(), Instant::now()).unwrap();
        assert!(left > Duration::ZERO && left <= Duration::from_secs(5), "{left:?}");
        assert_eq!(pause(&guarded, &Failures::new(), late, Instant::now()), Some(Duration::ZERO));

        let (sender, ended) = channel();
        let guard = Store::at(folder.path());
        let guarding = thread::spawn(move || {
            let end = |due: Vec<Injection>| {
                due.iter().for_each(|one| close(&guard, one));
                sender.send(due.len()).unwrap();
                attempts(due, true)
            };
            keep(&guard, &lock, &mut Awake(end));
            lock
        });
        program.end().unwrap();
        assert_eq!(ended.recv().unwrap(), 1);
        let lock = guarding.join().unwrap();
        // Let go with the look that found nothing.
        assert!(File::open(folder.path().join("lock")).unwrap().try_lock().is_ok());
        drop(lock);
    }

    #[test]
    fn what_fails_is_tried_again_and_what_somebody_else_reverts_ends_the_guard() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        for (number, left) in [(1, Some(-5)), (2, Some(3600)), (3, None)] {
            store.record("inject", vec![injection(number, left.map(SignedDuration::from_secs))]).unwrap();
        }
        store.end().unwrap();
        let lock = File::create(folder.path().join("lock")).unwrap();
        let mut tries = 0;
        let end = |due: Vec<Injection>| {
            assert_eq!(due.len(), 1);
            tries += 1;
            if tries == 2 {
                // The other one's deadline is an hour away; it is reverted before.
                close(&store, &injection(2, None));
                close(&store, &due[0]);
            }
            attempts(due, tries == 2)
        };
        keep(&store, &lock, &mut Awake(end));
        assert_eq!(tries, 2);
    }

    #[test]
    fn what_another_docker_must_undo_is_another_guards() {
        let folder = tempfile::tempdir().unwrap();
        let through = |host: &str| {
            let launch = Launch { program: "/bin/true".into(), options: vec![], docker_host: host.into() };
            Store::at(folder.path()).guarded_by(launch)
        };
        let (here, there) = (through("unix:///here"), through("tcp://there"));
        here.record("inject", vec![injection(1, Some(SignedDuration::from_secs(60)))]).unwrap();
        let count = |store: &Store| store.guarded(&store.load().unwrap()).len();
        assert_eq!((count(&here), count(&there)), (1, 0));
    }
}
