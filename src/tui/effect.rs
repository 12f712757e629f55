//! What the screen wants done, as values. The loop outside does it, in order, and answers with a message.

use std::time::Duration;

use crate::{
    chaos::{Fault, InjectionId},
    config::preset::Preset,
    subject::Marked,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask what injecting the fault would run. Only the answer to the greatest `seq` counts.
    Plan {
        seq: u64,
        fault: Fault,
        targets: Vec<String>,
        ttl: Option<Duration>,
    },
    /// Inject the fault into the containers of these ids, all or none; it ends by itself after `ttl`.
    Inject {
        fault: Fault,
        targets: Vec<String>,
        ttl: Option<Duration>,
        /// The name was typed: whatever it leaves of the cluster.
        force: bool,
    },
    /// Make injections that hold these faults, in place, judged as the one act that they are.
    Change {
        changes: Vec<(InjectionId, Fault)>,
        /// The name was typed: whatever it leaves of the cluster.
        force: bool,
    },
    /// Write a preset into the configuration file.
    Keep(Box<Preset>),
    /// Draw a seed for a node at random.
    Roll,
    /// Put the text where the terminal keeps what is copied.
    Copy(String),
    Revert {
        ids: Vec<InjectionId>,
    },
    /// Undo what bears our marks and has no record.
    Clear {
        marks: Vec<Marked>,
    },
    /// Revert these, then look at the nodes and undo whatever else there is of ours.
    EndEverything {
        ids: Vec<InjectionId>,
    },
    /// Read what the clusters say of themselves every second, or stop: nobody looks.
    Read(bool),
    /// Mark this session's open injections as left on purpose until their deadline.
    Leave,
    /// End the program.
    Quit,
    /// The program steps aside for the shell, when nothing is under way.
    Suspend,
    /// End the program, and have the demo that it brought up taken down.
    QuitAndTakeDown,
}
