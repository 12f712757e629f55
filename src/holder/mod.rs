//! What runs inside the helper container, beside the target: it shares the target's network and its volumes, makes
//! the faults there, reads the kernel back, and ends each fault at its deadline even when nobody is left to ask.
//!
//! Knows no Docker: it sees a network namespace, some folders and its standard input and output.

mod disk;
mod faults;
mod netns;
pub mod protocol;
mod serve;

pub use serve::serve;
