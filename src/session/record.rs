//! What a session's file on disk says: one session, its injections, and how far each has come.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::history::History;
use crate::chaos::{Metadata, measured::Measured, undo_commands};

/// The version of the file's shape. A file with a greater one is kept and not touched.
pub const SCHEMA: u32 = 1;

/// One session's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFile {
    pub schema: u32,
    pub session: String,
    /// `tikv-chaos 0.1.0`.
    pub program: String,
    /// What the program was doing: `tui`, `inject`.
    pub command: String,
    pub pid: u32,
    /// Linux's name for this start of the machine; empty elsewhere.
    pub boot_id: String,
    /// The Docker that it talked to, as `DOCKER_HOST` names it: a guard keeps only what its own Docker can undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_host: Option<String>,
    pub started_at: Timestamp,
    pub injections: Vec<Injection>,
    /// For a report; missing in what older programs wrote.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub history: History,
}

/// One injection with everything that its undo needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injection {
    pub state: Life,
    pub metadata: Metadata,
    /// What it was, while it is being changed: either may hold, so both are undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Metadata>,
    /// The undo by hand: shell commands, in order.
    pub undo: Vec<String>,
    pub created_at: Timestamp,
    /// When it ends by itself; `None` if that was said.
    pub deadline: Option<Timestamp>,
    /// The same by the time since the machine's start, which nobody sets: what counts while the machine runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_since_boot_ms: Option<u64>,
    /// Its program ended and left it on purpose, until its deadline.
    #[serde(default)]
    pub left: bool,
    /// What was measured of it, if that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// What went wrong last, if something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Injection {
    /// The undo by hand of everything that may hold.
    pub fn undo_by_hand(&self) -> Vec<String> {
        let mut commands = undo_commands(&self.metadata);
        let more = self.former.iter().flat_map(undo_commands).filter(|one| !commands.contains(one));
        let more: Vec<_> = more.collect();
        commands.extend(more);
        commands.iter().map(ToString::to_string).collect()
    }

    /// Everything that may hold: what it is and, while it is being changed, what it was.
    pub fn either(&self) -> impl Iterator<Item = &Metadata> {
        std::iter::once(&self.metadata).chain(&self.former)
    }

    /// Whether there may be something to undo: every state but the three final ones.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, Life::Clean | Life::Failed | Life::Lost)
    }

    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.is_open() && self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// The life of an injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Written down, nothing done.
    Planned,
    /// Perhaps done, perhaps half.
    Applying,
    /// Read back and there.
    Active,
    /// Being undone, perhaps half.
    Reverting,
    /// Read back and gone.
    Clean,
    /// Could not be made; what was half made is undone.
    Failed,
    /// The target went away and the fault with it.
    Lost,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Planned => "planned",
            Self::Applying => "applying",
            Self::Active => "active",
            Self::Reverting => "reverting",
            Self::Clean => "clean",
            Self::Failed => "failed",
            Self::Lost => "lost",
        })
    }
}

/// All sessions of this state folder, as far as they can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    pub sessions: Vec<Seen>,
    pub unreadable: Vec<Unreadable>,
}

/// A session's file and whether its program still runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub file: SessionFile,
    pub alive: bool,
    /// It is the asking program's own session.
    pub mine: bool,
}

/// A file that is no journal of ours, or one of a newer program: kept, reported, not touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    pub path: std::path::PathBuf,
    pub reason: String,
}

impl Loaded {
    /// Every injection that may have something to undo, with its session, the oldest first.
    pub fn open(&self) -> Vec<(&Seen, &Injection)> {
        let mut open: Vec<(&Seen, &Injection)> = Vec::new();
        for seen in &self.sessions {
            open.extend(seen.file.injections.iter().filter(|injection| injection.is_open()).map(|one| (seen, one)));
        }
        open.sort_by_key(|(_, injection)| injection.created_at);
        open
    }
}
