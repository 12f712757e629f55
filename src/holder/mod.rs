//! What runs inside the helper container, beside the target: it shares the target's network and its volumes, makes
//! the faults there, reads the kernel back, and ends each fault at its deadline even when nobody is left to ask.
//!
//! A relay is the same program in a network of the cluster, beside no node: it only asks what it is told to ask.
//!
//! Knows no Docker: it sees a network namespace, some folders and who talks to it.

mod by_hand;
mod disk;
mod faults;
#[cfg(target_os = "linux")]
mod netlink;
mod netns;
mod probe;
pub mod protocol;
mod relay;
mod serve;
pub mod shaper;
mod sockets;
#[cfg_attr(not(target_os = "linux"), path = "no_tables.rs")]
mod tables;
mod talks;

pub use by_hand::by_hand;
pub use relay::relay;
pub use serve::serve;
pub use talks::{TALK, talk};
