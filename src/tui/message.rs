//! Whatever can happen to the screen: keys and clicks, the clock, Docker, the journal, and the answers to effects.
//! Plain values, so that any order of them can be replayed.

use jiff::Timestamp;
use ratatui::crossterm::event::Event;

use crate::{
    chaos::{InjectionId, measured::Look},
    cluster::ClusterState,
    config::preset::Preset,
    session::{Injection, Loaded, recovery::Recovery},
    subject::{Marked, Plan, docker::Snapshot},
};

#[derive(Debug, Clone)]
pub enum Message {
    /// A key, the mouse, a paste, a new size.
    Input(Event),
    /// The time, about once a second.
    Clock(Timestamp),
    /// A signal asked the program to end: no question is put.
    Quit,
    Docker(Live),
    /// What the clusters say of themselves, about once a second while somebody looks.
    Cluster(Vec<ClusterState>),
    /// Every session on disk, whenever one of them changed.
    Sessions(Loaded),
    /// The answer to [`super::Effect::Plan`] of the same number.
    Planned {
        seq: u64,
        result: Result<Box<Plan>, String>,
    },
    /// The answer to [`super::Effect::Inject`].
    Injected {
        result: Result<Vec<Injection>, String>,
    },
    /// The answer to [`super::Effect::Change`] of the same injections, with what it ran where that came to be known.
    Changed {
        ids: Vec<InjectionId>,
        plan: Option<Box<Plan>>,
        result: Result<Vec<Injection>, NotChanged>,
    },
    /// The answer to [`super::Effect::Keep`]: in which file it stands, and all presets that there are now.
    Kept {
        name: String,
        result: Result<(String, Vec<Preset>), String>,
    },
    /// The answer to [`super::Effect::Roll`].
    Rolled(u32),
    /// The answer to [`super::Effect::Revert`], one for each injection: how it ended, in a sentence.
    Reverted {
        id: InjectionId,
        result: Result<String, String>,
    },
    /// What a look at the nodes themselves found, compared with the journals.
    Scanned(Box<Recovery>),
    /// How the undoing of something without a record ended, in a sentence.
    Cleared {
        mark: Box<Marked>,
        result: Result<String, String>,
    },
    /// What was seen of an injection from inside its target, about once a second while somebody looks.
    Measured {
        id: InjectionId,
        look: Look,
    },
    /// Something slow that is going on, until the next one; `None` when it is over.
    Progress(Option<String>),
    Log {
        at: Timestamp,
        level: Level,
        text: String,
    },
}

/// Why not all of an act is as it should have become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotChanged {
    /// In a sentence; of what is refused, why.
    pub reason: String,
    /// It would leave too little of the cluster, nothing else: nothing was changed, and it can be all the same.
    pub refused: bool,
}

/// How the connection to Docker is.
#[derive(Debug, Clone)]
pub enum Live {
    Connecting,
    Up { engine: String, snapshot: Snapshot },
    Down { host: String, reason: String, retry_s: u64 },
}

/// What a line of the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warn,
    Error,
    Done,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Done => "done",
        }
    }
}
