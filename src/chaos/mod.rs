//! Faults as data: the types, their parameters, what they return, and the commands that make and undo them.
//!
//! Pure: no I/O, no clock, no async. Everything that reaches a kernel or Docker is decided here and carried out
//! elsewhere, so that it can be shown before it runs and tested without either.

mod again;
mod before;
mod command;
mod fault;
mod id;
pub mod measured;
mod metadata;
pub mod network;
mod params;
mod partition;
mod peer;
pub mod random;
mod shaped;
mod task;
mod trust;
mod undo;

pub use before::{Before, Joined, Well};
pub use command::{Command, shell_quote};
pub use fault::{Fault, Scope, Signal};
pub use id::InjectionId;
pub use metadata::{DataMount, Evidence, FaultMetadata, Metadata, MountKind, human_bytes};
pub use params::{Kind, ParamError, ParamSpec, Params, Value};
pub use partition::{Member, Partition};
pub use peer::{CLIENTS, Peer, addresses, link_local};
pub use shaped::Shaped;
pub use task::Task;
pub use undo::{BY_HAND, HOLDER_PROGRAM, HOLDER_REPOSITORY, PODMAN_ID, client_of, holder_name, life, undo_commands};

use serde::{Deserialize, Serialize};

/// A kind of chaos. The order is the contract's: `node_kill` first, new ones appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultType {
    NodeKill,
    Latency,
    DiskPressure,
    NetworkPartition,
    PacketLoss,
    PacketDuplicate,
    PacketCorrupt,
    PacketReorder,
    Bandwidth,
    NodePause,
    NodeStop,
}

impl FaultType {
    pub const ALL: [Self; 11] = [
        Self::NodeKill,
        Self::Latency,
        Self::DiskPressure,
        Self::NetworkPartition,
        Self::PacketLoss,
        Self::PacketDuplicate,
        Self::PacketCorrupt,
        Self::PacketReorder,
        Self::Bandwidth,
        Self::NodePause,
        Self::NodeStop,
    ];

    /// The name in the contract, on the command line and in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NodeKill => "node_kill",
            Self::Latency => "latency",
            Self::DiskPressure => "disk_pressure",
            Self::NetworkPartition => "network_partition",
            Self::PacketLoss => "packet_loss",
            Self::PacketDuplicate => "packet_duplicate",
            Self::PacketCorrupt => "packet_corrupt",
            Self::PacketReorder => "packet_reorder",
            Self::Bandwidth => "bandwidth",
            Self::NodePause => "node_pause",
            Self::NodeStop => "node_stop",
        }
    }

    /// One line for a list.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::NodeKill => "kill the node's process; the revert starts the container again",
            Self::Latency => "delay the node's packets, all or some",
            Self::DiskPressure => "fill the file system of the data directory with one file",
            Self::NetworkPartition => "cut nodes off from one another, in one of several shapes",
            Self::PacketLoss => "lose some of the node's packets, one by one or in bursts",
            Self::PacketDuplicate => "send some of the node's packets twice",
            Self::PacketCorrupt => "flip a bit in some of the node's packets",
            Self::PacketReorder => "delay the node's packets but for some, which overtake the others",
            Self::Bandwidth => "let only so much through each second",
            Self::NodePause => "freeze all processes of the node; the revert lets them go on",
            Self::NodeStop => "stop the node as an operator would; the revert starts the container again",
        }
    }

    /// Whether it does something to packets that arrive all the same: such a fault has a scope and can be changed while
    /// it holds.
    pub const fn is_shaped(self) -> bool {
        matches!(
            self,
            Self::Latency
                | Self::PacketLoss
                | Self::PacketDuplicate
                | Self::PacketCorrupt
                | Self::PacketReorder
                | Self::Bandwidth
        )
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
