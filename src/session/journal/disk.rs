//! A journal's file on the disk: written whole or not at all, read only where nobody else can have written it, and locked for
//! the time of one change.
//!
//! Knows nothing of which session is ours.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::record::{Injection, SCHEMA, SessionFile},
    Durability, JournalError,
};
use crate::{
    chaos::Metadata,
    private,
    step::{Step, step},
};

/// How long a change waits for other programs'. One takes milliseconds; on a machine in trouble, where a dozen programs write
/// at once and the disk takes its time for each fsync, the last of them was seen to wait for longer than five seconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// The first pause between two tries; each later one is twice as long, up to the other.
const LOCK_PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(8)];

/// Temporary file, fsync, rename, fsync of the folder.
pub fn write(folder: &Path, path: &Path, file: &SessionFile, durability: Durability) -> Result<(), JournalError> {
    let step = |at| {
        if durability != Durability::Aside {
            step(at)
        }
    };
    let write = || -> io::Result<()> {
        // Made with mode 0600 by tempfile.
        let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        let mut text = serde_json::to_vec_pretty(file)?;
        text.push(b'\n');
        new.write_all(&text)?;
        // Even a change that may be lost must not leave an empty file in its place, as some file systems would.
        new.as_file().sync_all()?;
        step(Step::JournalWritten);
        new.persist(path)?;
        step(Step::JournalReplaced);
        if durability == Durability::Synced {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(io("write the journal", path))
}

pub fn read(path: &Path) -> Result<SessionFile, JournalError> {
    parse(path, &read_text(path)?)
}

/// A journal that nobody else can have written.
pub fn read_text(path: &Path) -> Result<String, JournalError> {
    let unreadable = |reason: String| JournalError::Unreadable { path: path.to_owned(), reason };
    // Of the file that is open, not of what its name may stand for later.
    let mut opened = OpenOptions::new();
    let mut opened = opened.read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path).map_err(io("read", path))?;
    private::check_owner(&opened.metadata().map_err(io("read", path))?).map_err(unreadable)?;
    let mut text = String::new();
    opened.read_to_string(&mut text).map_err(io("read", path))?;
    Ok(text)
}

pub fn parse(path: &Path, text: &str) -> Result<SessionFile, JournalError> {
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

pub fn wait_for_lock(file: &File) -> io::Result<()> {
    let (start, [mut pause, longest]) = (Instant::now(), LOCK_PAUSES);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => {
                thread::sleep(pause);
                pause = longest.min(pause * 2);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "other programs have held it for half a minute"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Whether a living program holds the lock. A missing lock file is an ended session.
pub fn is_held(lock: &Path) -> bool {
    let Ok(file) = File::open(lock) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).read(true).mode(0o600);
    options
}

pub fn io<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> JournalError + 'a {
    move |reason| JournalError::Io { what, path: path.to_owned(), reason }
}
