//! The second of a duplicated packet, through a raw socket.
//!
//! On the way out it meets the queue's rule again and is known there by its mark. On the way in it is sent to the own
//! address over the loopback interface, which no rule of ours means, with the peer's address as its source: what the
//! machine sends to itself has its route already, and no filter of foreign sources looks at it.

use std::{
    io,
    net::{IpAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto, setsockopt, socket,
    sockopt::Mark,
};

/// In the lower 24 bits, since netem's classes have the upper ones.
pub const MARK: u32 = 0x00c4_a0d0;

pub struct Resender {
    v4: OwnedFd,
    /// `None` on a kernel without IPv6.
    v6: Option<OwnedFd>,
}

impl Resender {
    pub fn open() -> io::Result<Self> {
        let open = |family| -> io::Result<OwnedFd> {
            // With this protocol the packet's own header is sent (raw(7)).
            let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)?;
            setsockopt(&socket, Mark, &MARK)?;
            Ok(socket)
        };
        Ok(Self { v4: open(AddressFamily::Inet)?, v6: open(AddressFamily::Inet6).ok() })
    }

    /// A packet with its IP header. The interface says where a link-local address is.
    pub fn send(&self, packet: &[u8], destination: IpAddr, interface: u32) -> io::Result<()> {
        let flags = MsgFlags::MSG_DONTWAIT;
        match destination {
            IpAddr::V4(ip) => {
                let address = SockaddrIn::from(SocketAddrV4::new(ip, 0));
                sendto(self.v4.as_raw_fd(), packet, &address, flags)?;
            }
            IpAddr::V6(ip) => {
                let socket = self.v6.as_ref().ok_or(io::ErrorKind::Unsupported)?;
                let scope = if ip.is_unicast_link_local() || ip.is_multicast() { interface } else { 0 };
                let address = SockaddrIn6::from(SocketAddrV6::new(ip, 0, 0, scope));
                sendto(socket.as_raw_fd(), packet, &address, flags)?;
            }
        }
        Ok(())
    }
}
