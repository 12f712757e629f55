//! The journal: one file a session, written so that a crash at any moment leaves either the old text or the new.
//!
//! The files are the truth that every running program shares; nobody keeps a copy and writes it back. A change is
//! read, made and written under one lock, so that a program may also write down that it reverted another's injection.

mod disk;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(super) use disk::{io, is_held, parse, private, read_text};
use disk::{read, wait_for_lock};
use jiff::Timestamp;

use super::{
    clock::Clock,
    guard::Launch,
    history::{Change, History, Rates, Throughput, Who},
    record::{Injection, Life, Loaded, SCHEMA, Seen, SessionFile, Unreadable},
    trust,
};
use crate::{
    chaos::InjectionId,
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
    pub fn note_throughput(&self, ops_per_s: u64, refused_per_s: Option<u64>) {
        let reading = Throughput { at: Timestamp::now(), ops_per_s, refused_per_s };
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
        disk::write(&self.folder, &path, &file, Durability::Synced)
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
                disk::write(&self.folder, &path, &file, durability)?;
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
        disk::write(&self.folder, &path, &file, Durability::Synced)
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
        disk::write(&self.folder, &path, &file, Durability::Visible)
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
            Ok(folder) => crate::private::check_owner(&folder)
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
}

/// The change that a state needs, for [`Store::update`].
pub fn to(state: Life) -> impl FnOnce(&mut Injection) {
    move |injection| injection.state = state
}

#[cfg(test)]
mod tests;
