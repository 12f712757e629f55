//! `tikv-chaos`: break a TiKV cluster in Docker on purpose, and always put it back.

pub mod chaos;
pub mod holder;
pub mod session;
pub mod subject;
