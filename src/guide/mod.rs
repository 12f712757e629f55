//! What a fault does to a real cluster, when, where it shows, and what it is easily taken for: one file a fault in
//! `assets/guide`, and a tracker that sees it happen.
//!
//! Pure: what was seen comes in as values, with its time. Times are those of real TiKV; a cluster that runs faster is
//! only seen earlier. What depends on the version of TiKV is said for the target's.

mod sight;
mod sign;
mod text;
mod track;
mod versions;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

pub use sight::{Before, Counts, Sight};
pub use sign::{Sign, StatusPort};
pub use text::{Confusion, Expectation, Guide, Heal, Window};
pub use track::{Mark, Seen, Track};
