//! The terminal UI as its user meets it: the real program in a pseudo-terminal, on real containers.

#[path = "../support/mod.rs"]
mod support;

mod ends;
mod flow;
mod others;
mod screen;
