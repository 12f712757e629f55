//! What the screen wants done, as values. The loop outside does it, in order, and answers with a message.

use std::time::Duration;

use super::Preset;
use crate::chaos::{Fault, InjectionId, Params};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask what injecting the fault would run. Only the answer to the greatest `seq` counts.
    Plan {
        seq: u64,
        fault: Fault,
        targets: Vec<String>,
        ttl: Option<Duration>,
    },
    /// Inject the fault into the containers of those ids, into all or into none; it ends by itself after `ttl`.
    Inject {
        fault: Fault,
        targets: Vec<String>,
        ttl: Option<Duration>,
        /// The name was typed: whatever it leaves of the cluster.
        force: bool,
    },
    Revert {
        ids: Vec<InjectionId>,
    },
    /// Give an active injection other parameters. Of several for one injection only the last counts.
    Change {
        id: InjectionId,
        params: Params,
    },
    /// Keep a preset in the person's own file.
    Keep(Box<Preset>),
    /// Put the text on the clipboard of whoever looks at the terminal (OSC 52).
    Copy(String),
    /// Take the mouse from the terminal, or give it back.
    Mouse(bool),
    /// Stop as a shell's job, until it goes on.
    Suspend,
    /// Read what the clusters say of themselves every second, or stop: nobody looks.
    Read(bool),
    /// Mark this session's open injections as left on purpose until their deadline.
    Leave,
    /// End the program.
    Quit,
    /// End the program, and have the demo that it brought up taken down.
    QuitAndTakeDown,
}
