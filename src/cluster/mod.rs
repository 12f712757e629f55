//! What the cluster itself says: PD's HTTP API and TiKV's status port. Docker says that a container runs; PD says
//! whether it hears from the store, where the leaders are, what clients feel.
//!
//! Knows neither Docker nor a screen: whoever has a way to a port reads through it.

mod config_cache;
pub mod http;
pub mod member;
pub mod metrics;
pub mod node_config;
pub mod pd;
pub mod pd_config;
mod reader;
pub mod space;
mod state;
pub mod tls;

pub use tikv_chaos_core::assumed;

pub use config_cache::ConfigCache;
pub use node_config::NodeConfig;
pub use pd_config::PdConfig;
pub use reader::{Port, Reach, Reached, Reader};
pub use state::{ClusterState, NodeView, PdMember, PdNode, PdView, Quantiles, Read, StoreMetrics, StoreView};
