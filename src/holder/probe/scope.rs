//! A link-local address means something on one interface alone (RFC 4007), which the client does not know.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use nix::net::if_::if_nametoindex;

use crate::holder::netns;

/// The place with the interface that leads there, where it needs one; `None` where several could, or none.
pub fn with_interface(place: SocketAddr) -> Option<SocketAddr> {
    let SocketAddr::V6(v6) = place else { return Some(place) };
    if !v6.ip().is_unicast_link_local() || v6.scope_id() != 0 {
        return Some(place);
    }
    let is_link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let found = netns::interfaces().inspect_err(|failure| tracing::warn!(%failure, "no interface for {place}")).ok()?;
    let mut found = found.into_iter().filter(|interface| interface.ips.iter().any(is_link_local));
    let (Some(only), None) = (found.next(), found.next()) else { return None };
    let index = if_nametoindex(only.name.as_str()).ok()?;
    Some(SocketAddrV6::new(*v6.ip(), v6.port(), 0, index).into())
}
