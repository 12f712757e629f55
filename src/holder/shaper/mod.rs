//! The holder's own way to impair packets, for kernels without netem and for the way in: rules hand packets to a queue
//! (NFQUEUE), and this gives each its verdict when it is due.
//!
//! The rules say `--queue-bypass`, so that packets go on untouched as soon as nobody listens: this program's death is the
//! fault's end. Rules and classes are somebody else's; this knows only the classes that it is given, and puts every packet
//! to its class itself. A packet that no class means goes on at once.
//!
//! The semantics are netem's (see `way/model.rs`), with these differences: ARP is never held; a flipped bit is behind the
//! IP header, never in it; what leaves larger than the route's MTU, to be cut later, is not duplicated; nor is, on the way
//! in, what came for a group. As with netem a packet is what the kernel has as one: up to 64 KiB of TCP at once, unless a
//! class of that way corrupts or duplicates.

mod counters;
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
mod way;

pub use counters::{ClassCounters, Counters};

use self::way::Way;
use super::protocol::Failure;
use crate::chaos::network::{Class, Flow};

/// Shapes packets until it is dropped, which lets go everything that is held.
pub struct Shaper {
    inward: Way,
    outward: Way,
}

impl Shaper {
    /// Takes a queue for each way in this thread's network namespace and starts a thread for each; nothing is meant yet.
    pub fn start() -> Result<Self, Failure> {
        Ok(Self { inward: Way::start(Flow::In)?, outward: Way::start(Flow::Out)? })
    }

    /// The number for `-j NFQUEUE --queue-num` in INPUT or OUTPUT.
    pub fn queue(&self, flow: Flow) -> u16 {
        match flow {
            Flow::In => self.inward.queue(),
            Flow::Out => self.outward.queue(),
        }
    }

    /// From now on these classes, whose interfaces must be there. What is held keeps its due time; a class that was there
    /// before keeps its counts and goes on with its random numbers. On an error the former classes of that way stay.
    pub fn set(&self, classes: Vec<Class>) -> Result<(), Failure> {
        let (inward, outward) = classes.into_iter().partition(|class| class.flow == Flow::In);
        self.inward.set(inward)?;
        self.outward.set(outward)
    }

    /// Those of the way in first, in the order in which they were set. What the kernel had to drop before anybody saw it
    /// counts as overflow of a way's first class.
    pub fn counters(&self) -> Vec<ClassCounters> {
        [&self.inward, &self.outward].into_iter().flat_map(Way::count).collect()
    }
}
