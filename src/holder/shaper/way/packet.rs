//! The part of an IP header that says whose packet it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a class asks of a packet, and where its transport's header begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Of TCP and UDP, except in a fragment that is not the first.
    pub ports: Option<[u16; 2]>,
    pub transport: usize,
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;

impl Header {
    /// `None` where it is neither IPv4 nor IPv6, or cut short. Extension headers that are cut short hide the ports only.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::v4(bytes),
            6 => Self::v6(bytes),
            _ => None,
        }
    }

    fn v4(bytes: &[u8]) -> Option<Self> {
        let fixed: &[u8; 20] = bytes.first_chunk()?;
        let transport = usize::from(fixed[0] & 0xf) * 4;
        let first = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x1fff == 0;
        let address = |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]).into();
        let ports = if first { ports(fixed[9], bytes, transport) } else { None };
        Some(Self { source: address(12), destination: address(16), ports, transport })
    }

    fn v6(bytes: &[u8]) -> Option<Self> {
        let fixed: &[u8; 40] = bytes.first_chunk()?;
        let address = |at: usize| -> Option<IpAddr> {
            let octets: [u8; 16] = *fixed[at..].first_chunk()?;
            Some(Ipv6Addr::from(octets).into())
        };
        let (protocol, transport, first) = skip_extensions(fixed[6], bytes);
        let ports = if first { ports(protocol, bytes, transport) } else { None };
        Some(Self { source: address(8)?, destination: address(24)?, ports, transport })
    }
}

fn ports(protocol: u8, bytes: &[u8], transport: usize) -> Option<[u16; 2]> {
    let [a, b, c, d] = *bytes.get(transport..)?.first_chunk()?;
    matches!(protocol, TCP | UDP).then_some([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
}

/// Over the extension headers (RFC 8200): the protocol after them, where it begins, and whether this is no later fragment.
fn skip_extensions(mut next: u8, bytes: &[u8]) -> (u8, usize, bool) {
    let (mut at, mut first) = (40, true);
    while let Some([protocol, length, fragment @ ..]) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        at += match next {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY => (usize::from(*length) + 1) * 8,
            AUTHENTICATION => (usize::from(*length) + 2) * 4,
            FRAGMENT => {
                first = u16::from_be_bytes(*fragment) & 0xfff8 == 0;
                8
            }
            _ => break,
        };
        next = *protocol;
        if !first {
            break;
        }
    }
    (next, at, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(protocol: u8, options: usize, fragment: u16) -> Vec<u8> {
        let mut bytes = vec![0x45 + options as u8, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
        bytes.extend(vec![1; options * 4]);
        bytes.extend([0x0f, 0xa0, 0x4e, 0x20, 9, 9, 9, 9]);
        bytes
    }

    fn v6(chain: &[(u8, Vec<u8>)], protocol: u8) -> Vec<u8> {
        let mut bytes = vec![0; 40];
        bytes[0] = 0x60;
        (bytes[23], bytes[39]) = (1, 2);
        bytes[6] = chain.first().map_or(protocol, |(header, _)| *header);
        for (index, (_, body)) in chain.iter().enumerate() {
            let next = chain.get(index + 1).map_or(protocol, |(header, _)| *header);
            bytes.push(next);
            bytes.extend(body);
        }
        bytes.extend([0x0f, 0xa0, 0x4e, 0x20, 9, 9, 9, 9]);
        bytes
    }

    const PORTS: Option<[u16; 2]> = Some([4000, 20000]);

    #[test]
    fn ipv4_with_options_and_without() {
        for options in [0, 1, 10] {
            let header = Header::parse(&v4(TCP, options, 0)).unwrap();
            assert_eq!((header.ports, header.transport), (PORTS, 20 + options * 4));
            assert_eq!(
                (header.source.to_string(), header.destination.to_string()),
                ("10.0.0.1".into(), "10.0.0.2".into())
            );
        }
    }

    #[test]
    fn ipv4_without_ports() {
        assert_eq!(Header::parse(&v4(1, 0, 0)).unwrap().ports, None, "ICMP has none");
        assert_eq!(Header::parse(&v4(UDP, 0, 0x2000)).unwrap().ports, PORTS, "the first fragment has them");
        assert_eq!(Header::parse(&v4(UDP, 0, 0x2001)).unwrap().ports, None, "a later fragment has not");
        assert_eq!(Header::parse(&v4(UDP, 0, 0x4000)).unwrap().ports, PORTS, "do not fragment");
    }

    #[test]
    fn ipv6_over_its_extension_headers() {
        let header = Header::parse(&v6(&[], UDP)).unwrap();
        assert_eq!((header.ports, header.transport), (PORTS, 40));
        assert_eq!((header.source.to_string(), header.destination.to_string()), ("::1".into(), "::2".into()));
        let chain = [
            (HOP_BY_HOP, vec![0; 7]),
            (ROUTING, [vec![1], vec![0; 14]].concat()),
            (AUTHENTICATION, [vec![4], vec![0; 22]].concat()),
            (DESTINATION, vec![0; 7]),
        ];
        let header = Header::parse(&v6(&chain, TCP)).unwrap();
        assert_eq!((header.ports, header.transport), (PORTS, 40 + 8 + 16 + 24 + 8));
    }

    #[test]
    fn ipv6_fragments() {
        let fragment = |offset: u16| {
            let bytes = offset.to_be_bytes();
            (FRAGMENT, vec![0, bytes[0], bytes[1], 0, 0, 0, 7])
        };
        assert_eq!(Header::parse(&v6(&[fragment(1)], UDP)).unwrap().ports, PORTS);
        assert_eq!(Header::parse(&v6(&[fragment(8)], UDP)).unwrap().ports, None);
    }

    #[test]
    fn what_is_cut_short_or_no_ip_is_no_header() {
        for bytes in [&[][..], &[0x45; 19], &[0x60; 39], &[0x10; 60]] {
            assert_eq!(Header::parse(bytes), None);
        }
        let whole = v6(&[(HOP_BY_HOP, vec![0; 7])], TCP);
        for length in 40..whole.len() {
            let header = Header::parse(&whole[..length]).unwrap();
            assert_eq!(header.ports.is_some(), length >= 52, "{length}");
        }
    }
}
