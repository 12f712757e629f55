//! How a command ends: its document or its text on standard output, its error on standard error.

use std::{io::Write as _, process::ExitCode};

use serde::Serialize;
use serde_json::json;

use crate::{
    config::ConfigError,
    session::{JournalError, LifeError},
    subject::{ErrorKind, SubjectError},
};

/// An error for the person who typed the command, with the exit status.
#[derive(Debug)]
pub struct Failure {
    pub status: u8,
    pub message: String,
}

impl Failure {
    pub fn new(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub const fn status_of(error: &ConfigError) -> u8 {
        match error {
            ConfigError::Journal(_) => 1,
            ConfigError::Tls(_) | ConfigError::File(_) | ConfigError::Docker(_) | ConfigError::Value(_) => 2,
        }
    }

    /// Says it on standard error; with `--json` standard output has a document too, so that a program never reads
    /// nothing.
    pub fn print(self, json: bool) -> ExitCode {
        // A standard error that is gone is no reason to panic on the way out.
        let _ = writeln!(std::io::stderr(), "tikv-chaos: {}", self.message);
        if json {
            document(&json!({ "error": self.message, "status": self.status }));
        }
        ExitCode::from(self.status)
    }
}

const fn status(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Failed => 1,
        ErrorKind::Usage => 2,
        ErrorKind::Refused => 3,
    }
}

impl From<SubjectError> for Failure {
    fn from(error: SubjectError) -> Self {
        Self::new(status(error.kind()), error.to_string())
    }
}

impl From<LifeError> for Failure {
    fn from(error: LifeError) -> Self {
        Self::new(status(error.kind()), error.to_string())
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::new(1, error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Self::status_of(&error), error.to_string())
    }
}

impl From<color_eyre::Report> for Failure {
    fn from(error: color_eyre::Report) -> Self {
        Self::new(1, format!("{error:#}"))
    }
}

/// Prints one JSON document. A reader that went away is no error.
pub fn document(value: &impl Serialize) {
    let mut out = std::io::stdout().lock();
    let _ = serde_json::to_writer_pretty(&mut out, value);
    let _ = out.write_all(b"\n");
}

/// Prints lines of text; likewise.
pub fn lines<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        let _ = writeln!(out, "{}", line.as_ref());
    }
}

/// Columns as wide as their widest cell, two spaces between; the first row is the heading.
pub fn table<const N: usize>(rows: &[[String; N]]) {
    use unicode_width::UnicodeWidthStr as _;
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    lines(rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }));
}
