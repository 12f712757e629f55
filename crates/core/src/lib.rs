//! What more than one crate of tikv-chaos stands on: plain values, no I/O.

pub mod assumed;
mod version;

pub use version::{Version, Versions};
