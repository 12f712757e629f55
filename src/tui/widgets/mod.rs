//! Controls of our own making, each drawn on a buffer and knowing nothing of the model.

pub mod slider;
pub mod spark;
