//! The terminal UI as its user meets it: the real program in a pseudo-terminal, on real containers.

mod other_sessions;
mod partition;
mod picture;
mod presets;
pub mod reader;
mod shutdown;
mod sliders;
mod suspend;
mod terminal;
