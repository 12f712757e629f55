//! A node of a cluster as Docker shows it: plain values, made by `discovery`, shown by screens.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::belonging::Belonging;
use crate::chaos::{DataMount, Task};

/// Every node found, in the order in which it is shown: by cluster, TiKV before PD, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    pub nodes: Vec<Node>,
    /// The clusters that were not asked for, by name.
    #[serde(skip)]
    pub others: Vec<String>,
    /// Swarm's former tasks by id, each with the place that another fills by now. They are no nodes.
    #[serde(skip)]
    pub replaced: Vec<(String, Task)>,
}

impl Snapshot {
    /// The names of the clusters that have a TiKV node.
    pub fn clusters(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.nodes.iter().filter(|node| node.role == Role::Tikv).map(|node| node.cluster.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Only the nodes of one cluster, or all where none is named. A project that holds several clusters means all of them,
    /// and one whose nodes belong to another project's PD means that cluster.
    pub fn only(mut self, cluster: Option<&str>) -> Self {
        let Some(cluster) = cluster else { return self };
        let meant = self.meant(cluster);
        self.others = self
            .clusters()
            .into_iter()
            .filter(|name| !meant.contains(*name) && !name.is_empty())
            .map(str::to_owned)
            .collect();
        self.nodes.retain(|node| meant.contains(&node.cluster));
        let is_there = |task: &Task| self.nodes.iter().any(|node| node.endpoints.belonging.task.as_ref() == Some(task));
        self.replaced.retain(|(_, task)| is_there(task));
        self
    }

    /// The clusters that a name means.
    fn meant(&self, name: &str) -> BTreeSet<String> {
        let tests: [&dyn Fn(&Node) -> bool; 3] = [
            &|node| node.cluster == name,
            &|node| node.cluster.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')),
            &|node| node.project.as_deref() == Some(name),
        ];
        let found = tests.iter().map(|test| {
            let nodes = self.nodes.iter().filter(|node| test(node));
            nodes.map(|node| node.cluster.clone()).collect::<BTreeSet<_>>()
        });
        found.into_iter().find(|names| !names.is_empty()).unwrap_or_default()
    }

    /// Where was looked, to follow `no node`: nothing where all was, else the cluster and what there is instead.
    pub fn looked_at(&self, cluster: Option<&str>) -> String {
        match (cluster, self.others.join(", ")) {
            (None, _) => String::new(),
            (Some(cluster), others) if others.is_empty() => format!(" in project {cluster}"),
            (Some(cluster), others) => format!(" in project {cluster} (there are: {others})"),
        }
    }

    pub fn by_id(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The other nodes in the network namespace of this one.
    pub fn beside<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Node> {
        self.nodes.iter().filter(|other| other.id != node.id && other.place() == node.place())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Docker's full id.
    pub id: String,
    /// The container's name, without Docker's leading slash.
    pub name: String,
    pub role: Role,
    /// The Compose project or Swarm stack, else the network that the nodes share; with a PD behind it where that holds several.
    pub cluster: String,
    /// The Compose project or the Swarm stack.
    pub project: Option<String>,
    pub service: Option<String>,
    pub image: String,
    pub state: State,
    pub health: Health,
    pub exit_code: Option<i64>,
    pub restart_count: i64,
    /// Docker's own text; together with the id it names one life of the container.
    pub started_at: String,
    /// When it was started, while it runs.
    pub up_since: Option<Timestamp>,
    pub networks: Vec<Network>,
    /// `host`, `none`, `bridge`, `container:<id>` or a network's name.
    pub network_mode: String,
    /// Whose network it uses in place of one of its own; the addresses are that one's.
    pub network_of: Option<NetworkOf>,
    /// Docker removes it when it ends.
    pub auto_remove: bool,
    /// `--data-dir` of its command.
    pub data_dir: Option<String>,
    /// `--config` of its command, as a path in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_file: Option<String>,
    pub mounts: Vec<DataMount>,
    /// Where its own file systems in memory are mounted, which are empty again after each stop.
    pub memory: Vec<String>,
    pub endpoints: Endpoints,
    /// Where more than one node runs in the container, in words: `3 tikv-server processes in one container`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub several: Option<String>,
}

/// The container whose network namespace another one has joined, behind whatever that one joined itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkOf {
    pub id: String,
    pub name: String,
    /// It can be named as a target.
    pub is_node: bool,
    /// It has ended since, and the namespace has no network any more.
    pub lost: bool,
}

/// Where a node's program listens and by what names it is known there, as far as its command and Docker say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Endpoints {
    /// `host:port` by which PD names a store, and by which clients are sent to a PD.
    pub advertised: Option<String>,
    /// The port of `--addr`; `None` for a PD.
    pub port: Option<u16>,
    /// Where it answers HTTP: TiKV's status port, PD's client port.
    pub http_port: Option<u16>,
    /// The loopback address of TiKV's status port, where that listens on none that others reach.
    pub loopback: Option<IpAddr>,
    /// PD's `--name`.
    pub member: Option<String>,
    /// Its names on its networks, beside the container's own.
    pub aliases: Vec<String>,
    pub published: Vec<Published>,
    /// Every `host:port` by which others are told to reach it, as far as its command says.
    #[serde(skip)]
    pub addresses: Vec<String>,
    /// What it was told of its cluster.
    #[serde(skip)]
    pub belonging: Belonging,
}

/// A TCP port of the container that the Docker host passes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Published {
    pub container_port: u16,
    /// Of the Docker host; `0.0.0.0` or `::` is every address that it has.
    pub address: IpAddr,
    pub port: u16,
}

#[cfg(test)]
impl Node {
    /// A running TiKV node of which nothing else is known.
    pub fn bare(name: &str) -> Self {
        Self {
            id: name.to_owned(),
            name: name.to_owned(),
            role: Role::Tikv,
            cluster: String::new(),
            project: None,
            service: None,
            image: String::new(),
            state: State::Running,
            health: Health::None,
            exit_code: None,
            restart_count: 0,
            started_at: String::new(),
            up_since: None,
            networks: Vec::new(),
            network_mode: String::new(),
            network_of: None,
            auto_remove: false,
            data_dir: None,
            config_file: None,
            mounts: Vec::new(),
            memory: Vec::new(),
            endpoints: Endpoints::default(),
            several: None,
        }
    }
}

impl Node {
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.networks.iter().flat_map(|network| network.ips.iter().copied())
    }

    /// The addresses that its interfaces give themselves, which Docker does not list.
    pub fn link_local(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        self.networks.iter().filter_map(|network| network.link_local)
    }

    /// Why a fault of its network would be felt elsewhere, if it would.
    pub fn shares_network(&self) -> Option<String> {
        if self.is_on_host() {
            let why = "uses the Docker host's own network, which a fault would hit; give it a network of its own";
            return Some(why.to_owned());
        }
        let parent = self.joins()?;
        let Some(NetworkOf { name, is_node, lost, .. }) = &self.network_of else {
            return Some(format!("shares another container's network, that of {parent}, which a fault would hit too"));
        };
        let shares = format!("shares another container's network, {name}'s");
        Some(match (lost, is_node) {
            (true, _) => format!("{shares}, which has ended since: restart it to give it a network again"),
            (false, true) => format!("{shares}, which a fault would hit too; name {name} instead"),
            (false, false) => format!("{shares}, which is no node, and a fault would hit it too"),
        })
    }

    pub fn is_on_host(&self) -> bool {
        self.network_mode == "host"
    }

    /// Its network namespace is its own, and goes with it.
    pub fn owns_network(&self) -> bool {
        !self.is_on_host() && self.joins().is_none()
    }

    /// The container whose network it has joined, as Docker names it; that one may have joined another's.
    pub fn joins(&self) -> Option<&str> {
        self.network_mode.strip_prefix("container:")
    }

    /// The container whose network it has joined has ended since.
    pub fn has_lost_network(&self) -> bool {
        self.network_of.as_ref().is_some_and(|owner| owner.lost)
    }

    /// What its network namespace is known by: nodes of one place have its addresses, rules and faults in common.
    pub fn place(&self) -> &str {
        match &self.network_of {
            Some(owner) if !owner.lost => &owner.id,
            _ if self.is_on_host() => "host",
            _ => &self.id,
        }
    }

    /// Whether a path in the node lies on a file system of its own in memory.
    pub fn is_in_memory(&self, path: &str) -> bool {
        let depth = |destination: &str| destination.trim_end_matches('/').len();
        let path = std::path::Path::new(path);
        let memory = self.memory.iter().filter(|folder| path.starts_with(folder)).map(|folder| depth(folder)).max();
        let volume = self
            .mounts
            .iter()
            .filter(|one| path.starts_with(&one.destination))
            .map(|one| depth(&one.destination))
            .max();
        memory.is_some_and(|memory| volume.is_none_or(|volume| memory > volume))
    }

    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// The mount that a path in the node lies on, if it is a volume or a folder of the host.
    pub fn mount_of(&self, path: &str) -> Option<&DataMount> {
        let path = std::path::Path::new(path);
        self.mounts
            .iter()
            .filter(|mount| path.starts_with(&mount.destination))
            .max_by_key(|mount| mount.destination.len())
    }
}

/// A network that the node is on, with its addresses there: none while it does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Network {
    pub name: String,
    pub ips: Vec<IpAddr>,
    /// Where the network has IPv6.
    #[serde(skip)]
    pub link_local: Option<Ipv6Addr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Tikv,
    Pd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The image or the container has no health check.
    None,
    Starting,
    Healthy,
    Unhealthy,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tikv => "tikv",
            Self::Pd => "pd",
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "-",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        })
    }
}

/// Names grouped under their clusters, for a message: `a: tikv0, tikv1; b: tikv0`.
pub fn names_by_cluster<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> String {
    let mut clusters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        clusters.entry(&node.cluster).or_default().push(&node.name);
    }
    let lines: Vec<String> =
        clusters.iter().map(|(cluster, names)| format!("{cluster}: {}", names.join(", "))).collect();
    if lines.is_empty() { "none".to_owned() } else { lines.join("; ") }
}
