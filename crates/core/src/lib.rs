//! What more than one crate of tikv-chaos stands on: plain values, no I/O.

pub mod assumed;
pub mod disk;
pub mod units;
mod version;

pub use version::{Version, Versions};
