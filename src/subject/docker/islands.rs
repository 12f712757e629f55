//! Which nodes are of one cluster, by PD: what PDs said of themselves first, then what nodes were told, each name looked up
//! where it means something. Sets grow from these links alone and never hold two different PD clusters. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::{
    belonging::Address,
    node::{Node, Role},
};
use crate::cluster::assumed::PD_CLIENT_PORT;

/// What is known beside Docker's list, by the containers' ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    pub said: BTreeMap<String, Said>,
    /// Where stores look for PD, as their own configuration says.
    pub configured: BTreeMap<String, Vec<Address>>,
    /// The networks on which a node last met others.
    pub seats: BTreeMap<String, BTreeSet<String>>,
}

/// What one PD said of its cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Said {
    pub cluster_id: Option<u64>,
    /// How many members it has.
    pub size: usize,
    /// Their client and peer addresses.
    pub members: Vec<Address>,
    /// Advertised addresses of its stores.
    pub stores: Vec<Address>,
}

/// Nodes in their places: the first guess for each, and the networks that it counts as being on.
pub struct Places<'a> {
    pub nodes: &'a [Node],
    /// The Compose project or stack, else the network that is shared.
    pub bases: Vec<String>,
    pub networks: Vec<BTreeSet<&'a str>>,
    pub pds: Vec<usize>,
    pub stores: Vec<usize>,
}

/// Sets of nodes that PD holds together.
pub struct Islands {
    parent: Vec<usize>,
    cluster_id: Vec<Option<u64>>,
    /// PDs of which it is known who the others are, if only that there are none.
    anchored: Vec<bool>,
}

impl Islands {
    pub fn of(places: &Places, evidence: &Evidence) -> Self {
        let nodes = places.nodes;
        let said = |at: usize| evidence.said.get(&nodes[at].id);
        let mut islands = Self {
            parent: (0..nodes.len()).collect(),
            cluster_id: (0..nodes.len()).map(|at| said(at)?.cluster_id).collect(),
            anchored: (0..nodes.len()).map(|at| said(at).is_some()).collect(),
        };
        for &at in &places.pds {
            let Some(said) = said(at) else { continue };
            let same = |other: &usize| {
                islands.cluster_id[at].is_some()
                    && islands.cluster_id[*other] == islands.cluster_id[at]
                    && places.are_near(at, *other)
            };
            let links: Vec<usize> = places.pds.iter().copied().filter(same).collect();
            let members = said.members.iter().flat_map(|address| places.find(at, Role::Pd, address));
            let stores = said.stores.iter().flat_map(|address| places.find(at, Role::Tikv, address));
            let links: Vec<usize> = links.into_iter().chain(members).chain(stores).collect();
            links.into_iter().for_each(|other| islands.join(at, other));
        }
        for &at in &places.pds {
            let told = &nodes[at].endpoints.belonging;
            for address in told.peers.iter().chain(&told.pds) {
                for other in places.find(at, Role::Pd, address) {
                    islands.anchored[at] = true;
                    islands.join(at, other);
                }
            }
        }
        for &at in &places.stores {
            for address in places.endpoints(at, evidence) {
                places.find(at, Role::Pd, address).into_iter().for_each(|other| islands.join(at, other));
            }
        }
        islands
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        let (known, theirs) = (self.cluster_id[one], self.cluster_id[other]);
        if one == other || known.zip(theirs).is_some_and(|(known, theirs)| known != theirs) {
            return;
        }
        let (first, second) = (one.min(other), one.max(other));
        self.parent[second] = first;
        self.cluster_id[first] = known.or(theirs);
    }

    pub fn root(&self, at: usize) -> usize {
        let mut at = at;
        while self.parent[at] != at {
            at = self.parent[at];
        }
        at
    }

    /// The sets that a PD holds together, by their root.
    pub fn held(&self, places: &Places) -> BTreeMap<usize, Vec<usize>> {
        let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for at in 0..self.parent.len() {
            sets.entry(self.root(at)).or_default().push(at);
        }
        let is_pd = |at: &usize| places.nodes[*at].role == Role::Pd;
        sets.retain(|_, set| {
            let has_pd = set.iter().any(is_pd);
            has_pd && (set.len() > 1 || set.iter().any(|at| self.anchored[*at]))
        });
        sets
    }

    /// Whether it is known of a PD who the others are.
    pub fn is_anchored(&self, at: usize) -> bool {
        self.anchored[at]
    }
}

impl Places<'_> {
    /// Where a store was told to find PD.
    pub fn endpoints<'a>(&'a self, at: usize, evidence: &'a Evidence) -> impl Iterator<Item = &'a Address> {
        let node = &self.nodes[at];
        let configured = evidence.configured.get(&node.id).into_iter().flatten();
        node.endpoints.belonging.pds.iter().chain(configured)
    }

    pub fn share_network(&self, one: usize, other: usize) -> bool {
        !self.networks[one].is_disjoint(&self.networks[other])
    }

    fn is_alone(&self, at: usize) -> bool {
        (0..self.nodes.len()).all(|other| other == at || !self.share_network(at, other))
    }

    fn are_near(&self, one: usize, other: usize) -> bool {
        self.bases[one] == self.bases[other] || self.share_network(one, other)
    }

    /// The nodes of that role that an address means for one of the nodes: those that are nearest, several where a name is
    /// shared on the network, as the service's is by Compose's replicas.
    pub fn find(&self, from: usize, role: Role, address: &Address) -> Vec<usize> {
        let (host, port) = (address.0.as_str(), address.1);
        let asking = &self.nodes[from];
        let of_role = if role == Role::Pd { &self.pds } else { &self.stores };
        let all = || of_role.iter().copied();
        let published = |at: &usize| self.nodes[*at].endpoints.published.iter().any(|one| one.port == port);
        // The host's own address or name: one port of it leads to one container.
        let by_port =
            || Some(all().filter(published).collect::<Vec<_>>()).filter(|found| found.len() == 1).unwrap_or_default();
        if is_loopback(host) {
            let found: Vec<usize> = all().filter(|at| shares_namespace(asking, &self.nodes[*at], port)).collect();
            return if found.is_empty() && asking.network_mode == "host" { by_port() } else { found };
        }
        let called = |at: usize| advertises(&self.nodes[at], host, port) || is_called(&self.nodes[at], host);
        let mut pool: Vec<(u8, usize)> =
            all().filter(|at| called(*at)).map(|at| (self.nearness(from, at, host, port), at)).collect();
        // Without any network its names lead nowhere now; what there is only once is what they meant.
        let alone = pool.len() == 1 && asking.networks.is_empty() && self.is_alone(from);
        let best = pool.iter().map(|(near, _)| *near).max().unwrap_or(0);
        pool.retain(|(near, _)| *near == best);
        if best > 0 || alone {
            // Of those behind one address the one that says so itself.
            let exact = |at: &usize| advertises(&self.nodes[*at], host, port);
            let found: Vec<usize> = pool.into_iter().map(|(_, at)| at).collect();
            let by_address = host.parse::<IpAddr>().is_ok() && found.iter().any(exact);
            return if by_address { found.into_iter().filter(exact).collect() } else { found };
        }
        if pool.is_empty() { by_port() } else { Vec::new() }
    }

    /// How likely it is that a name means this node of that name, 0 where it cannot.
    fn nearness(&self, from: usize, to: usize, host: &str, port: u16) -> u8 {
        let (share, same_base) = (self.share_network(from, to), self.bases[from] == self.bases[to]);
        let of_host = || host.parse::<IpAddr>().is_ok() && advertises(&self.nodes[to], host, port);
        match (share, same_base) {
            (true, true) => 4,
            (true, false) => 3,
            (false, true) => 2,
            (false, false) if of_host() => 1,
            (false, false) => 0,
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether the loopback address of one leads to the other's port.
fn shares_namespace(one: &Node, other: &Node, port: u16) -> bool {
    let beside = |mode: &str, of: &Node| mode.strip_prefix("container:").is_some_and(|id| id == of.id || id == of.name);
    one.id == other.id
        || beside(&one.network_mode, other)
        || beside(&other.network_mode, one)
        || (one.network_mode.starts_with("container:") && one.network_mode == other.network_mode)
        || (one.network_mode == "host" && other.network_mode == "host" && listens(other, port))
}

fn listens(node: &Node, port: u16) -> bool {
    let client = node.endpoints.http_port.unwrap_or(PD_CLIENT_PORT);
    client == port || node.endpoints.belonging.own.iter().any(|(_, own)| *own == port)
}

fn advertises(node: &Node, host: &str, port: u16) -> bool {
    let own = node.endpoints.belonging.own.iter().any(|(name, own)| name == host && *own == port);
    own || node
        .endpoints
        .advertised
        .as_deref()
        .is_some_and(|advertised| crate::cluster::pd::host_and_port(advertised) == Some((host, port)))
}

/// A name may have the network behind it, as Compose's service has: `pd0.lab_default`.
fn is_called(node: &Node, host: &str) -> bool {
    let is = |name: &str| {
        host == name
            || host
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|network| node.networks.iter().any(|one| one.name == network))
    };
    let by_ip = host.parse::<IpAddr>().is_ok_and(|ip| node.ips().any(|own| own == ip));
    by_ip
        || is(&node.name)
        || node.service.as_deref().is_some_and(is)
        || node.endpoints.aliases.iter().any(|name| is(name))
}
