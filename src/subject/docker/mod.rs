//! TiKV in Docker: discovery, live status, injection. The only code that knows bollard.

mod act;
mod beside;
mod change;
pub mod client;
pub mod demo;
mod discovery;
mod disk;
mod holder;
mod host;
mod image;
mod judge;
mod node;
mod plan;
mod reach;
mod reading;
mod scan;
mod target;
mod tikv;
mod watch;
mod whole;

pub use host::{Capabilities, Known, Options, Progress, TikvSubject};
pub use image::Source;
pub use node::{Endpoints, Health, Network, Node, Published, Role, Snapshot, State, names_by_cluster};
pub use reading::read_on;
pub use target::only_cluster;
pub use watch::{Live, watch};
