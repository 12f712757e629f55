//! What ended sessions leave for a report: their files, in a folder of their own beside the journal, so that recovery
//! has no more to read than before. The newest fifty are kept, for thirty days.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    journal::{JournalError, Store, parse, read_text},
    record::SessionFile,
    trust,
};

pub const MOST: usize = 50;
pub const DAYS: u64 = 30;

impl Store {
    pub fn ended_folder(&self) -> PathBuf {
        self.folder().with_file_name("ended")
    }

    /// The files of ended sessions, the oldest first: their names begin with the time.
    pub fn ended(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.ended_folder()).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        files.sort();
        files
    }

    /// The file of every session that can be told of, ended or not.
    pub fn told(&self) -> Result<Vec<PathBuf>, JournalError> {
        Ok([self.files()?, self.ended()].concat())
    }

    /// A session's file as it is understood, and as it stands there.
    pub fn tell(&self, path: &Path) -> Result<(SessionFile, serde_json::Value), JournalError> {
        let text = read_text(path)?;
        let mut file = parse(path, &text)?;
        file.injections.iter_mut().for_each(|injection| trust::distrust(injection, self.image()));
        // It was parsed already.
        Ok((file, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// Lays an ended session's file aside.
    pub(super) fn lay_aside(&self, path: &Path) -> io::Result<()> {
        let folder = self.ended_folder();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        fs::rename(path, folder.join(name))
    }

    /// Removes what is too old or too much of it.
    pub(super) fn clear_ended(&self) {
        let files = self.ended();
        let too_many = files.len().saturating_sub(MOST);
        let oldest = SystemTime::now() - Duration::from_secs(DAYS * 24 * 3600);
        for (index, path) in files.iter().enumerate() {
            let written = fs::metadata(path).and_then(|found| found.modified());
            if (index < too_many || written.is_ok_and(|written| written < oldest))
                && let Err(error) = fs::remove_file(path)
            {
                tracing::warn!(%error, path = %path.display(), "an old session stays");
            }
        }
    }
}
