//! The demo's own network and the fixed places of its nodes in it. A node that keeps its address needs no DNS: the others
//! have it in their /etc/hosts, and it is still there when the node is not.

use std::net::Ipv4Addr;

use bollard::{
    Docker,
    models::{ContainerCreateBody, EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig},
};

use super::DemoSpec;
use crate::subject::{SubjectError, docker::client};

/// Another network may be given the subnet while ours is made in it.
const TRIES: usize = 5;

/// Where each node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    subnet: Subnet,
    gateway: Ipv4Addr,
    nodes: Vec<(String, Ipv4Addr)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subnet {
    first: u32,
    last: u32,
    length: u32,
}

/// Makes the network in a subnet that Docker has free. Docker takes fixed addresses only in a network whose subnet was
/// given by its maker (moby daemon/container_operations.go, `validateEndpointSettings`), so the network is made without
/// one first, removed, and made again in the subnet that it had.
///
/// # Errors
/// What was made until then stays, under the demo's label.
pub async fn make_network(docker: &Docker, spec: &DemoSpec) -> Result<Addresses, SubjectError> {
    let name = spec.network();
    let mut again = 0..TRIES;
    loop {
        let config = free(docker, spec).await?;
        let addresses = Addresses::new(&config, spec.hosts()).map_err(|reason| refused(&name, reason))?;
        let request = spec.network_request(Some(addresses.ipam()));
        match client::change("make the network", &name, docker.create_network(request)).await {
            Ok(_) => return Ok(addresses),
            Err(SubjectError::Docker { .. }) if again.next().is_some() => {}
            Err(error) => return Err(error),
        }
    }
}

/// What Docker gives a network that asks for nothing.
async fn free(docker: &Docker, spec: &DemoSpec) -> Result<Vec<IpamConfig>, SubjectError> {
    let name = spec.network();
    let made = client::change("make the network", &name, docker.create_network(spec.network_request(None))).await?;
    let found = client::ask("inspect", &name, docker.inspect_network(&made.id, None)).await?;
    client::change("remove the network", &name, docker.remove_network(&made.id)).await?;
    Ok(found.ipam.and_then(|ipam| ipam.config).unwrap_or_default())
}

fn refused(network: &str, reason: String) -> SubjectError {
    SubjectError::Refused { target: format!("the network {network}"), reason }
}

impl Addresses {
    /// The lowest addresses of the first IPv4 subnet, without the gateway's.
    fn new(config: &[IpamConfig], hosts: Vec<String>) -> Result<Self, String> {
        let given = config.iter().find_map(|one| Some((one.subnet.as_deref()?.parse::<Subnet>().ok()?, one)));
        let (subnet, one) = given.ok_or("was given no IPv4 subnet, and the nodes need one")?;
        let gateway = one.gateway.as_deref().and_then(|text| text.parse().ok());
        let gateway = gateway.unwrap_or(Ipv4Addr::from_bits(subnet.first + 1));
        let count = hosts.len();
        let free = (subnet.first + 1..subnet.last).map(Ipv4Addr::from_bits).filter(|ip| *ip != gateway);
        let nodes: Vec<_> = hosts.into_iter().zip(free).collect();
        if nodes.len() < count {
            return Err(format!("was given {subnet}, too small a subnet for {count} nodes: take fewer --nodes"));
        }
        Ok(Self { subnet, gateway, nodes })
    }

    /// The subnet, and the part of it behind the nodes for what else joins, such as a relay: an address is free for
    /// others while its node is stopped.
    fn ipam(&self) -> Ipam {
        let last = self.nodes.iter().map(|(_, ip)| ip.to_bits()).max().unwrap_or(self.subnet.first);
        let config = IpamConfig {
            subnet: Some(self.subnet.to_string()),
            gateway: Some(self.gateway.to_string()),
            ip_range: self.subnet.end_behind(last).map(|end| end.to_string()),
            ..IpamConfig::default()
        };
        Ipam { config: Some(vec![config]), ..Ipam::default() }
    }

    /// Gives a node's container its address, and the others' with their names.
    pub fn place(&self, host: &str, network: &str, body: &mut ContainerCreateBody) {
        let address = self.nodes.iter().find(|(name, _)| name == host).map(|(_, ip)| ip.to_string());
        let ipam = EndpointIpamConfig { ipv4_address: address, ..EndpointIpamConfig::default() };
        let endpoint = EndpointSettings {
            aliases: Some(vec![host.to_owned()]),
            ipam_config: Some(ipam),
            ..EndpointSettings::default()
        };
        let networking = body.networking_config.get_or_insert_default();
        networking.endpoints_config.get_or_insert_default().insert(network.to_owned(), endpoint);
        let hosts = self.nodes.iter().map(|(name, ip)| format!("{name}:{ip}")).collect();
        body.host_config.get_or_insert_default().extra_hosts = Some(hosts);
    }
}

impl Subnet {
    /// The largest part with a length of its own that lies behind the address and has room for two.
    fn end_behind(self, address: u32) -> Option<Self> {
        let end = |length| Self { first: self.last - (u32::MAX >> length), last: self.last, length };
        (self.length + 1..=30).map(end).find(|end| end.first > address)
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.first), self.length)
    }
}

impl std::str::FromStr for Subnet {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ip, length) = text.split_once('/').ok_or(())?;
        let ip: Ipv4Addr = ip.parse().map_err(|_| ())?;
        let length = length.parse::<u32>().ok().filter(|length| (1..=30).contains(length)).ok_or(())?;
        let hosts = u32::MAX >> length;
        Ok(Self { first: ip.to_bits() & !hosts, last: ip.to_bits() | hosts, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(subnet: &str, gateway: Option<&str>) -> IpamConfig {
        let gateway = gateway.map(str::to_owned);
        IpamConfig { subnet: Some(subnet.to_owned()), gateway, ..IpamConfig::default() }
    }

    fn addresses(subnet: &str, gateway: Option<&str>, count: usize) -> Result<Addresses, String> {
        Addresses::new(&[config(subnet, gateway)], (0..count).map(|at| format!("node{at}")).collect())
    }

    /// The first and the last node's address, and where others get theirs.
    fn seen(addresses: &Addresses) -> (String, String, Option<String>) {
        let at = |node: Option<&(String, Ipv4Addr)>| node.unwrap().1.to_string();
        let range = addresses.ipam().config.unwrap().remove(0).ip_range;
        (at(addresses.nodes.first()), at(addresses.nodes.last()), range)
    }

    #[test]
    fn nodes_get_lowest_addresses_and_others_come_behind_them() {
        let cases = [
            ("172.18.0.0/16", Some("172.18.0.1"), "172.18.0.2", "172.18.0.8", Some("172.18.128.0/17")),
            ("10.89.0.0/24", Some("10.89.0.1"), "10.89.0.2", "10.89.0.8", Some("10.89.0.128/25")),
            ("10.89.0.0/24", Some("10.89.0.254"), "10.89.0.1", "10.89.0.7", Some("10.89.0.128/25")),
            ("10.89.0.0/24", Some("10.89.0.4"), "10.89.0.1", "10.89.0.8", Some("10.89.0.128/25")),
            ("10.89.0.0/24", None, "10.89.0.2", "10.89.0.8", Some("10.89.0.128/25")),
            ("10.1.1.16/28", Some("10.1.1.17"), "10.1.1.18", "10.1.1.24", Some("10.1.1.28/30")),
        ];
        for (subnet, gateway, first, last, range) in cases {
            let seen = seen(&addresses(subnet, gateway, 7).unwrap());
            assert_eq!(seen, (first.to_owned(), last.to_owned(), range.map(str::to_owned)), "{subnet} {gateway:?}");
        }
    }

    #[test]
    fn subnet_that_is_just_large_enough_leaves_no_room_and_smaller_one_is_refused() {
        let full = addresses("10.1.1.16/28", Some("10.1.1.17"), 13).unwrap();
        assert_eq!(seen(&full), ("10.1.1.18".to_owned(), "10.1.1.30".to_owned(), None));
        let refused = addresses("10.1.1.16/29", Some("10.1.1.17"), 7).unwrap_err();
        assert_eq!(refused, "was given 10.1.1.16/29, too small a subnet for 7 nodes: take fewer --nodes");
    }

    #[test]
    fn ipv4_subnet_is_found_beside_ipv6_and_its_absence_is_said() {
        let both = [config("fd00:1::/64", None), config("172.20.0.0/16", Some("172.20.0.1"))];
        let addresses = Addresses::new(&both, vec!["pd0".to_owned()]).unwrap();
        assert_eq!(addresses.nodes, [("pd0".to_owned(), Ipv4Addr::new(172, 20, 0, 2))]);
        for without in [&both[..1], &[]] {
            assert!(Addresses::new(without, vec!["pd0".to_owned()]).unwrap_err().contains("no IPv4 subnet"));
        }
    }

    #[test]
    fn container_gets_its_address_and_names_of_all() {
        let hosts = ["pd0", "tikv0"].map(str::to_owned).to_vec();
        let addresses = Addresses::new(&[config("172.18.0.0/16", Some("172.18.0.1"))], hosts).unwrap();
        let mut body = ContainerCreateBody::default();
        addresses.place("tikv0", "net", &mut body);
        let host_config = body.host_config.unwrap();
        assert_eq!(host_config.extra_hosts.unwrap(), ["pd0:172.18.0.2", "tikv0:172.18.0.3"]);
        let endpoint = body.networking_config.unwrap().endpoints_config.unwrap().remove("net").unwrap();
        assert_eq!(endpoint.ipam_config.unwrap().ipv4_address.unwrap(), "172.18.0.3");
        assert_eq!(endpoint.aliases.unwrap(), ["tikv0"]);
    }
}
