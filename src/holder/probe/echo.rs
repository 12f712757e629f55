//! ICMP echoes of one address family: RFC 792 and RFC 4443, over a raw socket, or a datagram one where only that may be
//! had.

use std::{
    io::{self, Read as _},
    net::SocketAddr,
    os::fd::{AsFd as _, BorrowedFd},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Room for many answers that arrive before we look.
const BUFFER: usize = 1 << 21;
/// As `ping` sends, and as much as fits a frame for a burst.
const SMALL: usize = 56;
pub const LARGE: usize = 1400;
const HEADER: usize = 8;

pub struct Echo {
    socket: Socket,
    v6: bool,
    /// The answer stands behind its IP header, and its checksum is ours to check.
    raw_v4: bool,
    /// Tells our answers from other programs'. A datagram socket's is the kernel's to choose.
    ident: Option<u16>,
}

impl Echo {
    pub fn open(v6: bool) -> io::Result<Self> {
        let (domain, protocol) = if v6 { (Domain::IPV6, Protocol::ICMPV6) } else { (Domain::IPV4, Protocol::ICMPV4) };
        let raw = Socket::new(domain, Type::RAW, Some(protocol));
        let is_raw = raw.is_ok();
        let socket = raw.or_else(|_| Socket::new(domain, Type::DGRAM, Some(protocol)))?;
        socket.set_nonblocking(true)?;
        // Less is no harm.
        let _ = socket.set_recv_buffer_size(BUFFER);
        let ident = is_raw.then(rand::random);
        Ok(Self { socket, v6, raw_v4: is_raw && !v6, ident })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends the one of that number.
    pub fn send(&self, mut to: SocketAddr, number: u16, large: bool) -> io::Result<()> {
        let kind = if self.v6 { 128 } else { 8 };
        let mut packet = vec![0x55; HEADER + if large { LARGE - HEADER } else { SMALL }];
        packet[..4].copy_from_slice(&[kind, 0, 0, 0]);
        packet[4..6].copy_from_slice(&self.ident.unwrap_or_default().to_be_bytes());
        packet[6..8].copy_from_slice(&number.to_be_bytes());
        // IPv6's is over addresses too, and the kernel's to make.
        if !self.v6 {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        // A link-local address keeps its interface.
        to.set_port(0);
        self.socket.send_to(&packet, &to.into()).map(|_| ())
    }

    /// The number of the next answer that has come, and its bytes; `None` when there is no more.
    pub fn receive(&self) -> Option<(u16, usize)> {
        let mut buffer = [0; 2048];
        loop {
            // An error that an earlier packet met on its way is reported here; it is no answer.
            let length = match (&self.socket).read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return None,
            };
            if let Some(number) = self.number_of(&buffer[..length]) {
                return Some((number, length));
            }
        }
    }

    fn number_of(&self, packet: &[u8]) -> Option<u16> {
        let message = if self.raw_v4 {
            let header = usize::from(packet.first()? & 0xf) * 4;
            packet.get(header..)?
        } else {
            packet
        };
        let answer = if self.v6 { 129 } else { 0 };
        let [kind, _, _, _, one, two, three, four, ..] = *message else { return None };
        let ours = kind == answer && self.ident.is_none_or(|ident| ident == u16::from_be_bytes([one, two]));
        // A raw socket gets what the kernel would throw away.
        let whole = !self.raw_v4 || checksum(message) == 0;
        (ours && whole).then(|| u16::from_be_bytes([three, four]))
    }
}

/// RFC 1071: 0 over what has its checksum in it.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_what_has_its_checksum_is_nothing() {
        let mut packet = *b"\x08\x00\x00\x00\x12\x34\x00\x01odd";
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(checksum(&packet), 0);
        packet[9] ^= 1;
        assert_ne!(checksum(&packet), 0);
    }
}
