//! TiKV in Docker: discovery, live status, injection. The only code that knows bollard.

mod act;
mod beside;
mod change;
pub mod client;
pub mod demo;
mod discovery;
mod disk;
mod endpoint;
pub mod engine;
mod helpers;
mod holder;
mod host;
mod image;
mod judge;
mod measure;
mod node;
mod plan;
mod quorum;
mod reach;
mod reading;
mod scan;
mod scope;
mod target;
mod tikv;
mod transport;
mod watch;

pub use endpoint::{Endpoint, EndpointError, Wish};
pub use host::{Capabilities, Known, Options, Progress, TikvSubject};
pub use image::Source;
pub use measure::{by_node, cuts};
pub use node::{Endpoints, Health, Network, Node, Published, Role, Snapshot, State, names_by_cluster};
pub use reading::read_on;
pub use target::only_cluster;
pub use watch::{Live, watch};
