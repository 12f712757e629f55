//! What a look at the system itself finds, apart from any journal: things that bear our marks, each with the metadata
//! that would undo it, and foreign things that stand in our way. Plain values.
//!
//! A mark without a record in this journal may be somebody's running injection: another program's, with another state
//! folder. What tells is the helper. A helper keeps exactly what a program asked it to keep, so a mark that a living
//! helper keeps is *held*: it has or had an owner, it ends at its deadline if it has one, and it is left alone unless
//! that is asked for. A mark that no helper keeps (its helper died, and no program has put it in a new one's care) is
//! nobody's, and is undone from the mark alone. A node that was killed bears no mark: without a record it is foreign.

use std::{collections::BTreeMap, time::Duration};

use crate::chaos::{Metadata, shell_quote, undo_commands};

/// What a scan saw.
#[derive(Debug, Default)]
pub struct Scan {
    pub marks: Vec<Mark>,
    pub foreign: Vec<Foreign>,
    /// The containers that were looked at, by id, as they are now.
    pub seen: BTreeMap<String, Looked>,
    /// What could not be looked at, and why.
    pub unseen: Vec<Unseen>,
}

/// A container that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Its processes live.
    pub alive: bool,
    /// Docker's own text: with the id it names one life of the container.
    pub started_at: String,
}

/// Something of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub what: Marked,
    /// A living helper keeps it, for so long; `None` where none does.
    pub held: Option<Left>,
}

/// How long a helper keeps something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Until(Duration),
    ForEver,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "few live at a time, and the large one is the usual one")]
pub enum Marked {
    /// A fault, as far as it can be told from what is there.
    Fault(Metadata),
    /// A helper container that is beside nothing any more, and does not end by itself.
    Helper(Helper),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    pub container: String,
    pub name: String,
    /// The id of the container that it was beside.
    pub target: Option<String>,
    /// The command that speaks to its daemon.
    pub client: &'static str,
}

impl Marked {
    /// An injection's id, or the short one of a container.
    pub fn id(&self) -> String {
        match self {
            Self::Fault(metadata) => metadata.id.to_string(),
            Self::Helper(helper) => helper.container.chars().take(12).collect(),
        }
    }

    /// What it is, and on what.
    pub fn words(&self) -> String {
        match self {
            Self::Fault(metadata) => format!("{} on {}", metadata.fault_type(), metadata.target()),
            Self::Helper(helper) => format!("the helper container {} of a node that is gone", helper.name),
        }
    }

    /// How a person would undo it.
    pub fn by_hand(&self) -> Vec<String> {
        match self {
            Self::Fault(metadata) => undo_commands(metadata).iter().map(ToString::to_string).collect(),
            Self::Helper(helper) => vec![format!("{} stop {}", helper.client, shell_quote(&helper.container))],
        }
    }
}

/// Something that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Foreign {
    /// The node's name.
    pub target: String,
    /// What it is, to follow the name: `has the root qdisc tbf 7: on eth0`.
    pub what: String,
    /// The node itself does not run: a record may know why.
    #[serde(skip)]
    pub stopped: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unseen {
    pub target: String,
    pub reason: String,
}
