//! The journal: one file a session, written so that a crash at any moment leaves either the old text or the new.
//!
//! The files are the truth that every running program shares; nobody keeps a copy and writes it back. A change is
//! read, made and written under one lock, so that a program may also write down that it reverted another's injection.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    clock::Clock,
    guard::Launch,
    history::{Change, History, Rates, Throughput, Who},
    record::{Injection, Life, Loaded, SCHEMA, Seen, SessionFile, Unreadable},
    trust,
};
use crate::{
    chaos::{InjectionId, Metadata},
    step::{Step, step},
};

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {what} {path}: {reason}", path = path.display())]
    Io { what: &'static str, path: PathBuf, reason: io::Error },
    #[error("the journal at {path} cannot be used: {reason}", path = path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("neither XDG_STATE_HOME nor HOME is set: say where the journal goes with --state-dir")]
    NoHome,
}

/// Whether a change must be on the disk before we go on, or only in sight of other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives a loss of power: for intents, and for the news that one is clean.
    Synced,
    /// It survives the death of the program. Enough between two states that are recovered alike.
    Visible,
    /// As [`Self::Visible`], and no undo relies on it: it is no step on the way of anything.
    Aside,
}

/// How long a change waits for another program's, which takes milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// The folder of journals.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    pub(super) own: Arc<Mutex<Option<Own>>>,
    /// Held by whatever of this program changes the journal, so that it can stand still without being in its way.
    gate: Arc<Mutex<()>>,
    launch: Option<Arc<Launch>>,
    /// The image of the holder that this run was told of, if it was.
    image: Option<String>,
    /// What this program is doing, for the history of what it changes.
    doing: &'static str,
    rates: Arc<Mutex<Rates>>,
}

/// The session of this program, from its first injection on.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) session: String,
    /// Held while the program lives: how others know that it does.
    pub(super) alive: File,
}

/// The journal's lock, among programs and within this one.
struct Locked<'a> {
    _file: File,
    _gate: MutexGuard<'a, ()>,
}

impl Store {
    /// The journals under this state folder. Nothing is made or touched until there is something to write.
    pub fn at(state_dir: &Path) -> Self {
        let folder = state_dir.join("sessions");
        Self {
            folder,
            own: Arc::default(),
            gate: Arc::default(),
            launch: None,
            image: None,
            doing: "",
            rates: Arc::default(),
        }
    }

    /// The same journals, with a guard that is started as told when there is a deadline to keep.
    pub fn guarded_by(self, launch: Launch) -> Self {
        Self { launch: Some(Arc::new(launch)), ..self }
    }

    /// The same journals, with one more image that may stand in an undo besides those that we make.
    pub fn trusting(self, image: Option<String>) -> Self {
        Self { image, ..self }
    }

    /// The same journals, with the name of the command that is at work.
    pub fn doing(self, doing: &'static str) -> Self {
        Self { doing, ..self }
    }

    /// What the cluster does now, for this session's report if there will be one.
    pub fn note_throughput(&self, ops_per_s: u64) {
        let reading = Throughput { at: Timestamp::now(), ops_per_s };
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).push(reading);
    }

    pub(super) fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    pub(super) fn launch(&self) -> Option<&Launch> {
        self.launch.as_deref()
    }

    /// `$XDG_STATE_HOME/tikv-chaos`, by default `~/.local/state/tikv-chaos` (XDG Base Directory Specification 0.8).
    pub fn default_dir() -> Result<PathBuf, JournalError> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        state.map(|state| state.join("tikv-chaos")).ok_or(JournalError::NoHome)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether an injection could be written down now, tried by doing so.
    pub fn check_writable(&self) -> Result<(), JournalError> {
        self.make_folder()?;
        let _lock = self.lock()?;
        let probe = tempfile::NamedTempFile::new_in(&self.folder).map_err(io("write in", &self.folder))?;
        probe.as_file().sync_all().map_err(io("write in", &self.folder))
    }

    /// Writes new injections down, in this program's session: all of them or none. When this returns, they are on the disk.
    pub fn record(&self, command: &str, injections: Vec<Injection>) -> Result<(), JournalError> {
        self.make_folder()?;
        let _lock = self.lock()?;
        let session = self.own_session()?;
        let path = self.path(&session);
        let mut file = if path.exists() { read(&path)? } else { self.new_file(&session, command) };
        for injection in injections {
            if file.injections.iter().any(|other| other.metadata.id == injection.metadata.id) {
                let reason = format!("it has an injection {} already", injection.metadata.id);
                return Err(JournalError::Unreadable { path, reason });
            }
            file.history.changes.push(self.change(&injection));
            file.injections.push(injection);
        }
        self.write(&path, &file, Durability::Synced)
    }

    /// Changes one injection, wherever it is written down; gives what it is now, or `None` where nobody knows it.
    pub fn update(
        &self,
        id: &InjectionId,
        durability: Durability,
        change: impl FnOnce(&mut Injection),
    ) -> Result<Option<Injection>, JournalError> {
        if !self.folder.exists() {
            return Ok(None);
        }
        let _lock = self.lock()?;
        for path in self.files()? {
            // Only the one that names it is worth understanding: there may be fifty.
            let Ok(text) = read_text(&path) else { continue };
            if !text.contains(id.as_str()) {
                continue;
            }
            let Ok(mut file) = parse(&path, &text) else { continue };
            let Some(injection) = file.injections.iter_mut().find(|injection| injection.metadata.id == *id) else {
                continue;
            };
            let before = injection.clone();
            change(injection);
            let mut after = injection.clone();
            if after != before {
                if after.state != before.state {
                    file.history.changes.push(self.change(&after));
                }
                self.write(&path, &file, durability)?;
            }
            trust::distrust(&mut after, self.image());
            return Ok(Some(after));
        }
        Ok(None)
    }

    /// Marks this session's open injections as left on purpose, until their deadlines.
    pub fn leave(&self) -> Result<(), JournalError> {
        let Some(session) = self.own_name() else { return Ok(()) };
        let _lock = self.lock()?;
        let path = self.path(&session);
        let mut file = read(&path)?;
        file.injections.iter_mut().filter(|injection| injection.is_open()).for_each(|injection| injection.left = true);
        self.write(&path, &file, Durability::Synced)
    }

    /// All sessions there are. A folder that does not exist yet holds none.
    pub fn load(&self) -> Result<Loaded, JournalError> {
        let mut loaded = Loaded::default();
        let (own, clock) = (self.own_name(), Clock::now());
        for path in self.files()? {
            match read(&path) {
                Ok(mut file) => {
                    clock.settle(&mut file);
                    file.injections.iter_mut().for_each(|injection| trust::distrust(injection, self.image.as_deref()));
                    let mine = own.as_ref() == Some(&file.session);
                    let alive = mine || is_held(&path.with_extension("lock"));
                    loaded.sessions.push(Seen { file, alive, mine });
                }
                Err(JournalError::Unreadable { path, reason }) => loaded.unreadable.push(Unreadable { path, reason }),
                // Its session ended between the listing and the reading.
                Err(JournalError::Io { reason, .. }) if reason.kind() == io::ErrorKind::NotFound => {}
                Err(error) => loaded.unreadable.push(Unreadable { path, reason: error.to_string() }),
            }
        }
        loaded.sessions.sort_by_key(|seen| seen.file.started_at);
        Ok(loaded)
    }

    /// Lays aside the files of ended sessions that have nothing open.
    pub fn prune(&self) -> Result<(), JournalError> {
        if !self.folder.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        for seen in self.load()?.sessions {
            if !seen.alive && seen.file.injections.iter().all(|injection| !injection.is_open()) {
                self.forget(&seen.file.session)?;
            }
        }
        self.clear_ended();
        step(Step::Pruned);
        Ok(())
    }

    /// Ends this program's session: its file goes if nothing is open in it, and others see from now on that it ended.
    pub fn end(&self) -> Result<(), JournalError> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(own) = own {
            if let Err(error) = self.write_throughput(&own.session) {
                tracing::warn!(%error, "the report will have no throughput");
            }
            drop(own);
            self.prune()?;
        }
        Ok(())
    }

    /// What became of an injection, by this program, now.
    fn change(&self, injection: &Injection) -> Change {
        Change {
            at: Timestamp::now(),
            id: injection.metadata.id.clone(),
            state: injection.state,
            pid: std::process::id(),
            command: self.doing.to_owned(),
            note: injection.note.clone(),
        }
    }

    /// Writes down what the cluster did during this session.
    fn write_throughput(&self, session: &str) -> Result<(), JournalError> {
        let _lock = self.lock()?;
        let path = self.path(session);
        let mut file = read(&path)?;
        file.history.throughput = self.rates.lock().unwrap_or_else(PoisonError::into_inner).since(file.started_at);
        if file.history.throughput.is_empty() {
            return Ok(());
        }
        self.write(&path, &file, Durability::Visible)
    }

    fn new_file(&self, session: &str, command: &str) -> SessionFile {
        let clock = Clock::now();
        SessionFile {
            schema: SCHEMA,
            session: session.to_owned(),
            program: concat!("tikv-chaos ", env!("CARGO_PKG_VERSION")).to_owned(),
            command: command.to_owned(),
            pid: std::process::id(),
            boot_id: clock.boot_id,
            docker_host: self.launch().map(|launch| launch.docker_host.clone()),
            started_at: clock.wall,
            injections: Vec::new(),
            history: History { who: Some(Who::here()), ..History::default() },
        }
    }

    fn forget(&self, session: &str) -> Result<(), JournalError> {
        let path = self.path(session);
        // A report is worth less than a journal without what is over.
        if let Err(error) = self.lay_aside(&path) {
            tracing::warn!(%error, path = %path.display(), "there will be no report of it");
            fs::remove_file(&path).map_err(io("remove", &path))?;
        }
        let _ = fs::remove_file(path.with_extension("lock"));
        Ok(())
    }

    fn own_name(&self) -> Option<String> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.as_ref().map(|own| own.session.clone())
    }

    /// This program's session, begun on the first call.
    fn own_session(&self) -> Result<String, JournalError> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = &*own {
            return Ok(own.session.clone());
        }
        let session = format!("{}-{}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), InjectionId::random());
        let path = self.session_lock(&session);
        let alive = private().create_new(true).open(&path).map_err(io("make", &path))?;
        alive.lock().map_err(io("lock", &path))?;
        *own = Some(Own { session: session.clone(), alive });
        Ok(session)
    }

    pub(super) fn path(&self, session: &str) -> PathBuf {
        self.folder.join(format!("{session}.json"))
    }

    /// What a session's program holds while it lives.
    pub(super) fn session_lock(&self, session: &str) -> PathBuf {
        self.path(session).with_extension("lock")
    }

    fn make_folder(&self) -> Result<(), JournalError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(io("make the journal's folder", &self.folder))?;
        self.files().map(|_| ())
    }

    pub(super) fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held for the time of one change.
    fn lock(&self) -> Result<Locked<'_>, JournalError> {
        let _gate = self.gate();
        Ok(Locked { _file: self.lock_file()?, _gate })
    }

    pub(super) fn lock_file(&self) -> Result<File, JournalError> {
        let path = self.lock_path();
        let file = private().create(true).truncate(false).open(&path).map_err(io("make", &path))?;
        wait_for_lock(&file).map_err(io("lock", &path))?;
        Ok(file)
    }

    /// The same, but nothing is made where no journal was ever written.
    pub(super) fn lock_if_there(&self) -> Result<Option<File>, JournalError> {
        let path = self.lock_path();
        match private().open(&path) {
            Ok(file) => wait_for_lock(&file).map_err(io("lock", &path)).map(|()| Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("open", &path)(error)),
        }
    }

    fn lock_path(&self) -> PathBuf {
        self.folder.join("journal.lock")
    }

    pub(super) fn files(&self) -> Result<Vec<PathBuf>, JournalError> {
        match fs::symlink_metadata(&self.folder) {
            Ok(folder) => trust::check_owner(&folder)
                .map_err(|reason| JournalError::Unreadable { path: self.folder.clone(), reason })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("read", &self.folder)(error)),
        }
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("read", &self.folder)(error)),
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        files.sort();
        Ok(files)
    }

    /// Temporary file, fsync, rename, fsync of the folder.
    fn write(&self, path: &Path, file: &SessionFile, durability: Durability) -> Result<(), JournalError> {
        let step = |at| {
            if durability != Durability::Aside {
                step(at)
            }
        };
        let write = || -> io::Result<()> {
            // Made with mode 0600 by tempfile.
            let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder)?;
            let mut text = serde_json::to_vec_pretty(file)?;
            text.push(b'\n');
            new.write_all(&text)?;
            // Even a change that may be lost must not leave an empty file in its place, as some file systems would.
            new.as_file().sync_all()?;
            step(Step::JournalWritten);
            new.persist(path)?;
            step(Step::JournalReplaced);
            if durability == Durability::Synced {
                File::open(&self.folder)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(io("write the journal", path))
    }
}

fn read(path: &Path) -> Result<SessionFile, JournalError> {
    parse(path, &read_text(path)?)
}

/// A journal that nobody else can have written.
pub(super) fn read_text(path: &Path) -> Result<String, JournalError> {
    let unreadable = |reason: String| JournalError::Unreadable { path: path.to_owned(), reason };
    // Of the file that is open, not of what its name may stand for later.
    let mut opened = OpenOptions::new();
    let mut opened = opened.read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path).map_err(io("read", path))?;
    trust::check_owner(&opened.metadata().map_err(io("read", path))?).map_err(unreadable)?;
    let mut text = String::new();
    opened.read_to_string(&mut text).map_err(io("read", path))?;
    Ok(text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<SessionFile, JournalError> {
    let unreadable = |reason: String| JournalError::Unreadable { path: path.to_owned(), reason };
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| unreadable(format!("no JSON: {error}")))?;
    match value["schema"].as_u64() {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        Some(schema) => return Err(unreadable(format!("its schema is {schema}; this program knows {SCHEMA}"))),
        None => return Err(unreadable("no journal of tikv-chaos: it has no schema".to_owned())),
    }
    let file: SessionFile = serde_json::from_value(value).map_err(|error| unreadable(error.to_string()))?;
    let check = |one: &Metadata| Some(format!("{}: {}", one.id, one.check().err()?));
    let bad = file.injections.iter().flat_map(Injection::either).find_map(check);
    if let Some(reason) = bad {
        return Err(unreadable(reason));
    }
    // The name is how a session's lock is found, so the two must agree.
    match path.file_stem() {
        Some(stem) if stem == file.session.as_str() => Ok(file),
        _ => Err(unreadable(format!("it says that it is session {:?}", file.session))),
    }
}

fn wait_for_lock(file: &File) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another program has held it for seconds"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Whether a living program holds the lock. A missing lock file is an ended session.
pub(super) fn is_held(lock: &Path) -> bool {
    let Ok(file) = File::open(lock) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).read(true).mode(0o600);
    options
}

pub(super) fn io<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> JournalError + 'a {
    move |reason| JournalError::Io { what, path: path.to_owned(), reason }
}

/// The change that a state needs, for [`Store::update`].
pub fn to(state: Life) -> impl FnOnce(&mut Injection) {
    move |injection| injection.state = state
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::chaos::{FaultMetadata, Signal};

    fn injection(number: u32) -> Injection {
        let fault = FaultMetadata::NodeKill { target_container: "tikv0".into(), signal: Signal::Kill };
        Injection {
            state: Life::Planned,
            metadata: Metadata {
                fault,
                id: InjectionId::from_number(number),
                container_id: "c".into(),
                container_started_at: String::new(),
                daemon_id: None,
                group: None,
                holder_image: None,
            },
            undo: vec!["docker start tikv0".into()],
            created_at: Timestamp::now(),
            deadline: None,
            deadline_since_boot_ms: None,
            left: false,
            former: None,
            measured: None,
            note: None,
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().join("state"));
        (folder, store)
    }

    #[test]
    fn what_is_recorded_is_read_by_another_and_private() {
        let (_folder, store) = store();
        store.record("inject", vec![injection(1)]).unwrap();
        let other = Store::at(store.folder.parent().unwrap());
        let loaded = other.load().unwrap();
        assert_eq!(loaded.sessions.len(), 1);
        assert!(loaded.sessions[0].alive && !loaded.sessions[0].mine);
        assert_eq!(loaded.open()[0].1.metadata.id, InjectionId::from_number(1));
        for path in store.files().unwrap() {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_session_whose_program_is_gone_is_dead_and_keeps_what_is_open() {
        let (_folder, store) = store();
        store.record("inject", vec![injection(1)]).unwrap();
        store.end().unwrap();
        let loaded = store.load().unwrap();
        assert_eq!(loaded.sessions.len(), 1);
        assert!(!loaded.sessions[0].alive);
        store.update(&InjectionId::from_number(1), Durability::Synced, to(Life::Clean)).unwrap();
        store.prune().unwrap();
        assert_eq!(store.load().unwrap(), Loaded::default());
        let left: Vec<_> = fs::read_dir(&store.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["journal.lock"]);
    }

    #[test]
    fn an_ended_session_is_laid_aside_with_who_did_what_when() {
        let (_folder, store) = store();
        let store = store.doing("tui");
        store.record("tui", vec![injection(1)]).unwrap();
        store.note_throughput(200);
        let other = Store::at(store.folder.parent().unwrap()).doing("revert");
        other.update(&InjectionId::from_number(1), Durability::Visible, to(Life::Active)).unwrap();
        other.update(&InjectionId::from_number(1), Durability::Synced, to(Life::Clean)).unwrap();
        store.end().unwrap();
        let ended = store.ended();
        assert_eq!(ended.len(), 1);
        assert_eq!(fs::metadata(&ended[0]).unwrap().permissions().mode() & 0o777, 0o600);
        let file = read(&ended[0]).unwrap();
        let steps: Vec<_> = file.history.changes.iter().map(|one| (one.state, one.command.as_str())).collect();
        assert_eq!(steps, [(Life::Planned, "tui"), (Life::Active, "revert"), (Life::Clean, "revert")]);
        assert_eq!(file.history.throughput[0].ops_per_s, 200);
        assert!(file.history.who.is_some_and(|who| !who.user.is_empty()));
    }

    #[test]
    fn of_ended_sessions_the_newest_fifty_are_kept_and_none_for_longer_than_thirty_days() {
        use super::super::ended::{DAYS, MOST};
        let (_folder, store) = store();
        store.make_folder().unwrap();
        fs::create_dir_all(store.ended_folder()).unwrap();
        for number in 0..MOST + 5 {
            fs::write(store.ended_folder().join(format!("{number:03}.json")), "{}").unwrap();
        }
        store.prune().unwrap();
        let ended = store.ended();
        assert_eq!((ended.len(), ended[0].file_name().unwrap()), (MOST, "005.json".as_ref()));
        let long_ago = std::time::SystemTime::now() - Duration::from_secs((DAYS * 24 + 1) * 3600);
        File::options().write(true).open(&ended[MOST - 1]).unwrap().set_modified(long_ago).unwrap();
        store.prune().unwrap();
        assert_eq!(store.ended().len(), MOST - 1);
    }

    #[test]
    fn another_program_may_write_that_it_reverted_ours() {
        let (_folder, store) = store();
        store.record("tui", vec![injection(1)]).unwrap();
        store.record("tui", vec![injection(2)]).unwrap();
        let other = Store::at(store.folder.parent().unwrap());
        other.update(&InjectionId::from_number(1), Durability::Visible, to(Life::Clean)).unwrap();
        let open: Vec<_> = store.load().unwrap().open().iter().map(|(_, one)| one.metadata.id.to_string()).collect();
        assert_eq!(open, ["00000002"]);
        assert_eq!(other.update(&InjectionId::from_number(9), Durability::Visible, to(Life::Clean)).unwrap(), None);
    }

    #[test]
    fn an_unreadable_file_is_named_kept_and_stops_nobody() {
        let (_folder, store) = store();
        store.record("tui", vec![injection(1)]).unwrap();
        let cases = [("cut.json", "{\"schema\": 1, \"sess"), ("newer.json", "{\"schema\": 99}"), ("notes.json", "[1]")];
        for (name, text) in cases {
            fs::write(store.folder.join(name), text).unwrap();
        }
        let loaded = store.load().unwrap();
        assert_eq!(loaded.sessions.len(), 1);
        assert_eq!(loaded.unreadable.len(), 3);
        assert!(loaded.unreadable.iter().any(|one| one.reason.contains("schema is 99")));
        store.update(&InjectionId::from_number(1), Durability::Synced, to(Life::Clean)).unwrap();
        store.end().unwrap();
        assert_eq!(store.load().unwrap().unreadable.len(), 3);
    }

    #[test]
    fn a_journal_cut_anywhere_is_never_taken_for_a_whole_one() {
        let (_folder, store) = store();
        store.record("tui", vec![injection(1)]).unwrap();
        let path = store.files().unwrap().remove(0);
        let text = fs::read_to_string(&path).unwrap();
        for end in 0..text.trim_end().len() {
            fs::write(&path, &text[..end]).unwrap();
            let loaded = store.load().unwrap();
            assert_eq!((loaded.sessions.len(), loaded.unreadable.len()), (0, 1), "cut at {end}");
        }
        fs::write(&path, text.trim_end()).unwrap();
        assert_eq!(store.load().unwrap().open().len(), 1);
    }

    #[test]
    fn a_journal_that_others_can_write_or_own_is_refused_with_a_sentence() {
        let (_folder, store) = store();
        store.record("tui", vec![injection(1)]).unwrap();
        let path = store.files().unwrap().remove(0);
        let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&path, 0o620);
        let loaded = store.load().unwrap();
        assert!(loaded.sessions.is_empty());
        assert!(loaded.unreadable[0].reason.contains("others can write it (mode 620)"), "{loaded:?}");
        mode(&path, 0o600);
        mode(&store.folder, 0o702);
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains("others can write it (mode 702)"), "{error}");
        assert!(store.record("tui", vec![injection(2)]).is_err());
        mode(&store.folder, 0o700);
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(1), None).unwrap();
            let loaded = store.load().unwrap();
            assert!(loaded.unreadable[0].reason.contains("it belongs to user 1"), "{loaded:?}");
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert_eq!(store.load().unwrap().unreadable.len(), 1);
    }

    #[test]
    fn what_a_journal_says_of_itself_is_not_believed() {
        let (_folder, store) = store();
        let mut tampered = injection(1);
        tampered.undo = vec!["rm -rf /".into()];
        tampered.note = Some("fine\u{1b}[2J".into());
        tampered.metadata.holder_image = Some("evil/image:1".into());
        store.record("tui", vec![tampered]).unwrap();
        let one = store.load().unwrap().sessions.remove(0).file.injections.remove(0);
        assert_eq!(one.undo, ["docker start c"]);
        assert_eq!(one.note.as_deref(), Some("fine\u{fffd}[2J"));
        assert_eq!(one.metadata.holder_image, None);
        let told = store.clone().trusting(Some("evil/image:1".into()));
        let one = told.load().unwrap().sessions.remove(0).file.injections.remove(0);
        assert_eq!(one.metadata.holder_image.as_deref(), Some("evil/image:1"));

        let mut bad = injection(2);
        bad.metadata.container_id = "../../images".into();
        store.record("tui", vec![bad]).unwrap();
        let loaded = store.load().unwrap();
        assert!(loaded.unreadable[0].reason.contains("00000002: a container's id cannot be"), "{loaded:?}");
    }

    #[test]
    fn several_are_written_down_all_or_none() {
        let (_folder, store) = store();
        store.record("inject", vec![injection(1), injection(2)]).unwrap();
        assert!(store.record("inject", vec![injection(3), injection(2)]).is_err());
        assert_eq!(store.load().unwrap().open().len(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
        let store = Store::at(Path::new("/proc/nowhere"));
        let error = store.record("inject", vec![injection(1)]).unwrap_err().to_string();
        assert!(error.contains("/proc/nowhere/sessions"), "{error}");
    }
}
