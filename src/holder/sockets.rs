//! The connections and listeners of this namespace, from /proc/net (proc(5)), so that a filter that matches nothing is
//! known before its fault is made.

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::protocol::{Connection, Failure};
use crate::chaos::network::Filter;

/// TCP's states, from include/net/tcp_states.h: it stands, and it waits for others.
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

/// One socket with an address of somebody else's, or one that waits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    /// Of a TCP connection.
    stands: bool,
}

/// The TCP connections with others that stand.
pub fn connections() -> Result<Vec<Connection>, Failure> {
    let mut found = Vec::new();
    for file in ["tcp", "tcp6"] {
        let path = format!("/proc/thread-self/net/{file}");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // A kernel without IPv6 has no such file.
            Err(error) if error.kind() == ErrorKind::NotFound && file == "tcp6" => continue,
            Err(error) => return Err(Failure::failed(format!("cannot read {path}: {error}"))),
        };
        found.extend(text.lines().skip(1).filter_map(|line| read(line, true)).filter_map(|one| one.connection()));
    }
    found.sort_unstable();
    Ok(found)
}

impl Socket {
    fn connection(&self) -> Option<Connection> {
        let with_others = self.stands && is_away(self.remote.0) && self.local.0 != self.remote.0;
        with_others.then(|| Connection { local: SocketAddr::from(self.local), remote: SocketAddr::from(self.remote) })
    }
}

fn is_away(ip: IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified()
}

/// The warning about a partition that meets none of the existing connections. It says nothing of a node that
/// has none.
pub fn cut_warning(filter: &Filter) -> Option<String> {
    let connections =
        connections().inspect_err(|failure| tracing::warn!(%failure, "connections are not known")).ok()?;
    let met = |one: &&Connection| filter.matches(one.remote.ip(), Some([one.remote.port(), one.local.port()]));
    let none = !connections.is_empty() && connections.iter().find(met).is_none();
    none.then(|| format!("it meets none of the {} TCP connections that the node has now", connections.len()))
}

/// What somebody should know of a filter that matches no connection that there is now. Packets without one, such as echoes,
/// are not known here: it is no more than a hint.
pub fn warning(filter: &Filter) -> Option<String> {
    if filter.is_nothing() || (filter.peers.is_none() && filter.ports.is_none() && filter.except_peers.is_empty()) {
        return None;
    }
    let mut sockets = Vec::new();
    for (file, is_tcp) in [("tcp", true), ("tcp6", true), ("udp", false), ("udp6", false)] {
        // A kernel without IPv6 has no such file.
        let text = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
        sockets.extend(text.lines().skip(1).filter_map(|line| read(line, is_tcp)));
    }
    judge(filter, &sockets)
}

fn judge(filter: &Filter, sockets: &[Socket]) -> Option<String> {
    let connected = sockets.iter().filter(|one| is_away(one.remote.0));
    let matched =
        connected.clone().filter(|one| filter.matches(one.remote.0, Some([one.remote.1, one.local.1]))).count();
    // Whoever comes to it later is meant.
    let waits = |one: &&Socket| {
        !is_away(one.remote.0)
            && !one.local.0.is_loopback()
            && filter.ports.as_ref().is_some_and(|ports| ports.contains(&one.local.1))
    };
    if matched > 0 || sockets.iter().any(|one| waits(&one)) {
        return None;
    }
    Some(format!("its filter matches none of the {} connections that the node has now", connected.count()))
}

/// A row of /proc/net/tcp or udp: its number, the local and the remote address and port in hexadecimal, the state. `None`
/// where it is no such row, and of a UDP socket without a port.
fn read(line: &str, is_tcp: bool) -> Option<Socket> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let waits = if is_tcp { state == LISTEN } else { remote.0.is_unspecified() };
    let remote = if waits { (Ipv4Addr::UNSPECIFIED.into(), 0) } else { remote };
    (local.1 != 0).then_some(Socket { local, remote, stands: is_tcp && state == ESTABLISHED })
}

/// `0100007F:0050`: words of 32 bits as the machine has them in memory, the port as a number.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let words = ip.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical(),
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a little-endian machine prints them: a listener on 2380, a connection of 172.18.0.2:2380 with 172.18.0.3:50000,
    /// one over IPv6 that is IPv4 inside, and one of its own with itself.
    const TCP: &str = "\
   0: 00000000:094C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 020012AC:094C 030012AC:C350 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   2: 0000000000000000FFFF0000020012AC:C351 0000000000000000FFFF0000040012AC:094B 01 00000000:00000000 00:00000000 00000000
   3: 0100007F:C352 0100007F:094B 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
";

    #[test]
    fn a_filter_warns_that_matches_no_connection_and_no_listener() {
        let sockets: Vec<Socket> = TCP.lines().filter_map(|line| read(line, true)).collect();
        assert_eq!(sockets.len(), 4);
        assert_eq!(sockets[2].remote, ("172.18.0.4".parse().unwrap(), 2379));
        let warns = |peers: &[&str], ports: &[u16]| {
            let peers = (!peers.is_empty()).then(|| peers.iter().map(|ip| ip.parse().unwrap()).collect());
            let ports = (!ports.is_empty()).then(|| ports.iter().copied().collect());
            judge(&Filter { peers, ports, ..Filter::default() }, &sockets).is_some()
        };
        assert_eq!(
            [warns(&["172.18.0.3"], &[]), warns(&["172.18.0.4"], &[]), warns(&["192.0.2.1"], &[])],
            [false, false, true]
        );
        assert_eq!([warns(&[], &[2380]), warns(&[], &[2379]), warns(&[], &[9])], [false, false, true]);
        assert_eq!([warns(&["172.18.0.3"], &[2379]), warns(&["127.0.0.1"], &[])], [true, true]);
        let clients = |nodes: &[&str]| Filter {
            except_peers: nodes.iter().map(|ip| ip.parse().unwrap()).collect(),
            ..Filter::default()
        };
        assert_eq!(judge(&clients(&["172.18.0.3"]), &sockets), None);
        let text = judge(&clients(&["172.18.0.3", "172.18.0.4"]), &sockets).unwrap();
        assert_eq!(text, "its filter matches none of the 2 connections that the node has now");
    }

    #[test]
    fn connections_are_those_with_others_that_stand() {
        let found: Vec<String> = TCP
            .lines()
            .filter_map(|line| read(line, true)?.connection())
            .map(|one| format!("{} {}", one.local, one.remote))
            .collect();
        assert_eq!(found, ["172.18.0.2:2380 172.18.0.3:50000", "172.18.0.2:50001 172.18.0.4:2379"]);
        let closing = TCP.replace(" 01 ", " 06 ");
        assert!(closing.lines().filter_map(|line| read(line, true)).all(|one| one.connection().is_none()));
    }

    #[test]
    fn what_is_no_row_is_no_socket() {
        for line in
            ["", "0:", "0: 0:0 0:0", "0: zz:1 0:0 01", "  sl  local_address rem_address   st tx_queue", "1: é:1 é:2 01"]
        {
            assert_eq!(read(line, true), None, "{line:?}");
        }
    }
}
