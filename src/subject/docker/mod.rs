//! TiKV in Docker: discovery, live status, injection. The only code that knows bollard.

mod act;
mod beside;
pub mod client;
mod discovery;
mod disk;
mod holder;
mod host;
mod image;
mod node;
mod plan;
mod scan;
mod target;
mod tikv;
mod watch;

pub use host::{Capabilities, Known, Options, Progress, TikvSubject};
pub use image::Source;
pub use node::{Health, Network, Node, Role, Snapshot, State, names_by_cluster};
pub use watch::{Live, watch};
