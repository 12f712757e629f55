//! `tikv-chaos`: break a TiKV cluster in Docker on purpose, and always put it back.

pub mod chaos;
pub mod config;
pub mod holder;
pub mod session;
pub mod subject;
pub mod tui;
