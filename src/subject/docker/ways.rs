//! The ways between nodes: the addresses by which one reaches another, told from Docker's view of them, from what they
//! advertise and from the connections that there are. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use super::node::{Node, Published, Snapshot};
use crate::{
    cluster::pd::host_and_port,
    holder::protocol::Connection,
    safety::{Grade, Reason},
};

/// What is known beside Docker's view of the nodes and their commands.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Where PD's stores are, as it lists them: hosts by port.
    pub listed: BTreeMap<u16, BTreeSet<String>>,
    /// Of the nodes that were asked, by the container's id.
    pub connections: BTreeMap<String, Vec<Connection>>,
}

impl Known {
    /// Takes a `host:port` of PD's list.
    pub(super) fn list(&mut self, address: &str) {
        if let Some((host, port)) = host_and_port(address) {
            self.listed.entry(port).or_default().insert(host.to_owned());
        }
    }

    /// Takes what is known of other nodes.
    pub(super) fn add(&mut self, other: Self) {
        for (port, hosts) in other.listed {
            self.listed.entry(port).or_default().extend(hosts);
        }
        self.connections.extend(other.connections);
    }

    fn of(&self, node: &Node) -> &[Connection] {
        self.connections.get(&node.id).map(Vec::as_slice).unwrap_or_default()
    }
}

/// How one node reaches another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ways {
    /// Its own addresses in all its networks.
    pub ips: BTreeSet<IpAddr>,
    pub link_local: BTreeSet<Ipv6Addr>,
    /// Ports of other addresses that lead to it, such as the Docker host's, each with its own port behind.
    pub ends: BTreeMap<SocketAddr, u16>,
    /// `host:port` by which it is called and of which it is not known where that leads.
    pub unknown: BTreeSet<String>,
}

/// Which addresses, ports and names lead to which node: made once, for however many questions.
pub(super) struct Routes<'a> {
    owners: HashMap<IpAddr, &'a Node>,
    published: HashMap<u16, Vec<(&'a Node, &'a Published)>>,
    /// Those that use the host's own network and run.
    of_host: Vec<&'a Node>,
    /// By cluster.
    names: HashMap<&'a str, HashSet<&'a str>>,
}

impl<'a> Routes<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut routes =
            Self { owners: HashMap::new(), published: HashMap::new(), of_host: Vec::new(), names: HashMap::new() };
        for node in &snapshot.nodes {
            let link_local = node.link_local().map(IpAddr::V6);
            routes.owners.extend(node.ips().chain(link_local).map(|ip| (ip, node)));
            for one in &node.endpoints.published {
                routes.published.entry(one.port).or_default().push((node, one));
            }
            routes.of_host.extend(Some(node).filter(|node| node.network_mode == "host" && node.is_running()));
            let names = routes.names.entry(&node.cluster).or_default();
            names.extend([node.name.as_str()].into_iter().chain(node.service.as_deref()));
            names.extend(node.endpoints.aliases.iter().map(String::as_str));
        }
        routes
    }

    /// The node that has this address in one of its networks.
    pub(super) fn owner(&self, ip: IpAddr) -> Option<&'a Node> {
        self.owners.get(&ip).copied()
    }

    /// The node that gets what is sent there although the address is not its own, and the port that it gets it at: published
    /// by Docker, or one that a node in the host's network says is its own.
    pub(super) fn passed_on(&self, end: SocketAddr) -> Option<(&'a Node, u16)> {
        let ip = end.ip();
        if ip.is_loopback() || ip.is_unspecified() || self.owner(ip).is_some() {
            return None;
        }
        let published = self.published.get(&end.port()).map(Vec::as_slice).unwrap_or_default();
        let everywhere = |node: &Node, host: IpAddr| {
            host.is_unspecified() && host.is_ipv4() == ip.is_ipv4() && !is_elsewhere(node, end)
        };
        let exact = published.iter().find(|(_, one)| one.address == ip);
        let found = exact.or_else(|| published.iter().find(|(node, one)| everywhere(node, one.address)));
        if let Some((node, one)) = found {
            return Some((node, one.container_port));
        }
        self.of_host.iter().copied().find(|node| says(node, end)).map(|node| (node, end.port()))
    }

    /// How `from` reaches `to`.
    pub(super) fn ways(&self, from: &Node, to: &Node, known: &Known) -> Ways {
        let mut ways = Ways { ips: to.ips().collect(), link_local: to.link_local().collect(), ..Ways::default() };
        let connections = known.of(from);
        let leads = |end: SocketAddr| self.passed_on(end).filter(|(node, _)| node.id == to.id).map(|(_, port)| port);
        ways.ends.extend(connections.iter().filter_map(|one| Some((one.remote, leads(one.remote)?))));
        for (host, port) in called(to, known) {
            if let Ok(ip) = host.parse::<IpAddr>() {
                let end = SocketAddr::new(ip, port);
                ways.ends.extend(leads(end).map(|behind| (end, behind)));
                continue;
            }
            let to_it = |end: &SocketAddr| ways.ips.contains(&end.ip()) || ways.ends.contains_key(end);
            let is_seen = connections.iter().any(|one| one.remote.port() == port && to_it(&one.remote));
            if !is_seen && !self.is_name(to, host) {
                ways.unknown.insert(format!("{host}:{port}"));
            }
        }
        ways
    }

    /// Whether Docker's own name service, or the node itself, takes the name for a node of this cluster.
    fn is_name(&self, of: &Node, name: &str) -> bool {
        name == "localhost"
            || self.names.get(of.cluster.as_str()).is_some_and(|names| names.contains(name))
            || (name.len() >= 12 && of.id.starts_with(name))
    }

    /// Whether addresses that are not a node's own may play a part between these, so that their connections are worth a
    /// look.
    pub(super) fn may_be_passed_on(&self, nodes: &[&Node]) -> bool {
        let is_unknown = |node: &Node| {
            let mut own = node.endpoints.addresses.iter().filter_map(|address| host_and_port(address));
            own.any(|(host, _)| host.parse::<IpAddr>().is_err() && !self.is_name(node, host))
        };
        nodes.iter().any(|one| !one.endpoints.published.is_empty() || one.network_mode == "host" || is_unknown(one))
    }

    /// The ways that rules on `node`, and on those peers that can have their own, leave open between them. Refused where
    /// that is all there is.
    pub(super) fn left_open(&self, node: &Node, peers: &[&Node], known: &Known) -> Vec<Reason> {
        let (mut reasons, mut met) = (Vec::new(), 0);
        for peer in peers {
            let (there, back) = (self.ways(node, peer, known), self.ways(peer, node, known));
            if there.ips.is_empty() && there.ends.is_empty() {
                continue;
            }
            let connected = || known.of(node).iter().any(|one| there.ips.contains(&one.remote.ip()));
            met += usize::from(there.unknown.is_empty() || !there.ends.is_empty() || connected());
            reasons.extend(there.unknown.iter().map(|address| unknown(node, peer, address)));
            reasons.extend(back.unknown.iter().map(|address| unknown(peer, node, address)));
            if let (Some(why), Some(end)) = (no_rules_in(peer), back.ends.keys().next()) {
                reasons.push(format!(
                    "{} reaches {} by {end}, where it looks like any client, and {} {why}: this is not covered",
                    peer.name, node.name, peer.name
                ));
            }
        }
        let grade = if met == 0 && !reasons.is_empty() { Grade::Refused } else { Grade::Careful };
        reasons.into_iter().map(|reason| (grade, reason)).collect()
    }
}

/// The hosts and ports by which others are told to reach a node: as its command says, and as PD lists them for ports that
/// lead to it.
fn called<'k>(node: &'k Node, known: &'k Known) -> impl Iterator<Item = (&'k str, u16)> {
    let own = node.endpoints.addresses.iter().filter_map(|address| host_and_port(address));
    let ports: BTreeSet<u16> = node.endpoints.published.iter().map(|one| one.port).collect();
    let listed = ports.into_iter().filter_map(|port| Some((port, known.listed.get(&port)?)));
    own.chain(listed.flat_map(|(port, hosts)| hosts.iter().map(move |host| (host.as_str(), port))))
}

/// Whether the node says that this port leads to it at other addresses. Every address of the Docker host's would do, but which
/// those are is not known here, and another host's may have the same port for a node of its own.
fn is_elsewhere(node: &Node, end: SocketAddr) -> bool {
    let other = |(host, port): (&str, u16)| port == end.port() && host.parse::<IpAddr>().is_ok_and(|ip| ip != end.ip());
    !says(node, end) && node.endpoints.addresses.iter().filter_map(|address| host_and_port(address)).any(other)
}

/// Whether the node says that it is reached there.
fn says(node: &Node, end: SocketAddr) -> bool {
    let mut own = node.endpoints.addresses.iter().filter_map(|address| host_and_port(address));
    own.any(|(host, port)| port == end.port() && host.parse() == Ok(end.ip()))
}

fn unknown(from: &Node, to: &Node, address: &str) -> String {
    format!(
        "{} reaches {} by {address}, and where that leads is not known here: this fault does not cover it",
        from.name, to.name
    )
}

/// Why no rules can stand in the node's own namespace while it is up.
pub(super) fn no_rules_in(node: &Node) -> Option<&'static str> {
    match node.network_mode.as_str() {
        "host" => Some("uses the Docker host's own network"),
        mode if mode.starts_with("container:") => Some("shares another container's network"),
        _ => None,
    }
}

#[cfg(test)]
#[path = "ways_tests.rs"]
mod tests;
