//! What a node was like before a kill, a stop or a pause: what its undo waits for, and what else it brings back.

use serde::{Deserialize, Serialize};

/// A node that was taken out, as it was before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    #[serde(flatten)]
    pub well: Well,
    /// The nodes in its network namespace, each after the one that it joined: a kill or stop takes their network, and
    /// only a start of their own gives them the new one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Joined>,
}

/// How a node showed that it was well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Well {
    /// Its health check did not say that it was unhealthy.
    #[serde(default)]
    pub healthy: bool,
    /// TiKV's status port, or PD's client port, answered over HTTP.
    #[serde(default)]
    pub answered: bool,
}

/// A node in the network namespace of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    pub name: String,
    /// Docker's full id.
    pub container_id: String,
    pub container_started_at: String,
    #[serde(flatten)]
    pub well: Well,
}
