//! Faults as data: the types, their parameters, what they return, and the commands that make and undo them.
//!
//! Pure: no I/O, no clock, no async. Everything that reaches a kernel or Docker is decided here and carried out
//! elsewhere, so that it can be shown before it runs and tested without either.

mod command;
mod fault;
mod id;
pub mod measured;
mod metadata;
pub mod network;
mod params;
mod trust;
mod undo;

pub use command::{Command, shell_quote};
pub use fault::{Fault, Signal};
pub use id::InjectionId;
pub use metadata::{DataMount, Evidence, FaultMetadata, Metadata, MountKind, human_bytes};
pub use params::{Kind, ParamError, ParamSpec, Params, Value};
pub use undo::{HOLDER_REPOSITORY, undo_commands};

use serde::{Deserialize, Serialize};

/// A kind of chaos. The order is the contract's: `node_kill` first, new ones appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultType {
    NodeKill,
    Latency,
    DiskPressure,
    NetworkPartition,
}

impl FaultType {
    pub const ALL: [Self; 4] = [Self::NodeKill, Self::Latency, Self::DiskPressure, Self::NetworkPartition];

    /// The name in the contract, on the command line and in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NodeKill => "node_kill",
            Self::Latency => "latency",
            Self::DiskPressure => "disk_pressure",
            Self::NetworkPartition => "network_partition",
        }
    }

    /// One line for a list.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::NodeKill => "kill the node's process; the revert starts the container again",
            Self::Latency => "delay every packet the node sends (netem, on all its networks)",
            Self::DiskPressure => "fill the file system of the data directory with one file",
            Self::NetworkPartition => "drop all packets between the node and its peers, both ways",
        }
    }

    /// The type of that name; `None` for a name nobody knows.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// All names, for a message that lists what is allowed.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl std::fmt::Display for FaultType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
