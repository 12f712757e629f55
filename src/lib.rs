//! `tikv-chaos`: break a TiKV cluster in Docker on purpose, and always put it back.
//!
//! ```text
//!  you ── tui or cli ── session ── subject ── Docker API ─┬─ tikv0   tikv1   tikv2   pd0 …
//!            (host)     journal    plan,                  │            ▲ shares tikv1's network and volumes
//!                       on disk    act, undo              └─ holder ───┘
//!                        ▲                                   this same binary, in a container FROM scratch
//!                     guard: this same binary, detached, for when you are gone
//! ```
//!
//! - [`chaos`]: faults as data; parameters, metadata, commands, undo. Pure.
//! - [`holder`]: what runs in the helper container. Knows no Docker.
//! - [`subject`]: the system that chaos is done to; `subject::docker` alone knows bollard.
//! - [`cluster`]: what the cluster says of itself, read from PD and TiKV over HTTP. Knows no Docker.
//! - [`guide`]: what a fault looks like from the cluster's side, and when it was seen. Pure.
//! - [`demo`]: a stand-in for a TiKV cluster, whose nodes run in containers of their own. Knows no Docker. A crate of its own,
//!   as is what it and the others assume of TiKV.
//! - [`safety`]: verdicts before an injection. Pure.
//! - [`session`]: the journal, and the order that everything keeps: written down, done, read back, written down; the guard
//!   that keeps deadlines afterwards, and recovery by two truths.
//! - [`report`]: what happened in a session, as Markdown, HTML and JSON. Pure.
//! - [`step`]: the moments at which tests kill the program. Nothing in any other build.
//! - [`tui`] and [`cli`]: two faces of one engine, put together by [`config`].
//!
//! Arrows point one way: `tui` and `cli` use `session` and `subject`, `session` uses `subject`, `subject` uses `chaos` and
//! speaks `holder::protocol`, `subject` and the holder's relay ask with `cluster`, `guide` uses the plain values of
//! `cluster` and `subject`, `chaos` and `cluster` use nothing.

pub mod chaos;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod guide;
pub mod holder;
mod private;
pub mod report;
pub mod safety;
pub mod session;
pub mod step;
pub mod subject;
#[cfg(test)]
mod testing;
pub mod tui;

pub use tikv_chaos_standin as demo;
