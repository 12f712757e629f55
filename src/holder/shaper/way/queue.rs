//! A queue of the kernel's (NFQUEUE), over netlink: packets come one a message, verdicts go many a message.
//!
//! Own, and not the crate `nfq`: that gives no descriptor to wait on, so that a due time can only be met by spinning or
//! by sleeping blindly, and it sends a system call for each verdict.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, MultiHeaders, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, recvmmsg,
        send, setsockopt, socket,
        sockopt::{RcvBuf, RcvBufForce, ReceiveTimestamp},
    },
};

use super::wire::{self, Config, Message, Verdict};

/// Enough for some 10,000 packets that wait to be read; the kernel doubles it.
const RECEIVE_BUFFER: usize = 16 << 20;
/// The largest packet, and what stands around it.
const MESSAGE: usize = (64 << 10) + 1024;
const BATCH: usize = 8 << 10;
/// Messages that one system call reads; then what is due is looked at again.
const MANY: usize = 32;
const CONFIGURE: u32 = 1;

pub struct Queue {
    socket: OwnedFd,
    pub number: u16,
    config: Config,
    /// Verdicts that are not sent yet.
    verdicts: Vec<u8>,
}

/// Room for the messages of one system call. Most of it is never touched, as most packets are copied in part.
pub struct Messages {
    bytes: Vec<u8>,
    headers: MultiHeaders<NetlinkAddr>,
    lengths: Vec<usize>,
}

impl Messages {
    pub fn new() -> Self {
        let headers = MultiHeaders::preallocate(MANY, None);
        Self { bytes: vec![0; MANY * MESSAGE], headers, lengths: Vec::with_capacity(MANY) }
    }

    /// Those that were read last.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(MESSAGE).zip(&self.lengths).map(|(bytes, length)| &bytes[..*length])
    }

    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Whether there was room for more.
    pub fn were_all(&self) -> bool {
        self.lengths.len() < MANY
    }
}

impl Queue {
    /// Takes the first queue from this number on that nobody has.
    pub fn open(first: u16, config: Config) -> io::Result<Self> {
        let mut taken = Errno::EBUSY;
        for number in (first..).take(64) {
            match Self::bind(number, config) {
                Ok(queue) => return Ok(queue),
                // EPERM is what the kernel says of another socket's queue, and to whoever may not have any.
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    Some(errno @ (Errno::EBUSY | Errno::EPERM)) => taken = errno,
                    _ => return Err(error),
                },
            }
        }
        Err(taken.into())
    }

    fn bind(number: u16, config: Config) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // In a user namespace, as below a Podman without root, there is no more than the host allows everybody.
        setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).or_else(|_| setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER))?;
        // As long as some socket asks for it, the kernel stamps every packet that arrives.
        setsockopt(&socket, ReceiveTimestamp, &true)?;
        let queue = Self { socket, number, config, verdicts: Vec::with_capacity(2 * BATCH) };
        let mut request = Vec::new();
        wire::configure(&mut request, number, CONFIGURE, true, config);
        send(queue.socket.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut buffer = vec![0; MESSAGE];
        loop {
            let count = recv(queue.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            for message in wire::messages(&buffer[..count]) {
                match message {
                    Message::Answer { errno: 0, .. } => return Ok(queue),
                    Message::Answer { errno, .. } => return Err(io::Error::from_raw_os_error(errno)),
                    // Rules of a former holder's may lead here already.
                    Message::Packet(packet) => {
                        let mut accept = Vec::new();
                        wire::verdict(&mut accept, number, packet.id, Verdict::Accept, None);
                        send(queue.socket.as_raw_fd(), &accept, MsgFlags::empty())?;
                    }
                    Message::Other => {}
                }
            }
        }
    }

    /// Asks for another configuration; an error comes as an [`Message::Answer`].
    pub fn configure(&mut self, config: Config) -> io::Result<()> {
        if config != self.config {
            let mut request = Vec::new();
            wire::configure(&mut request, self.number, CONFIGURE, false, config);
            send(self.socket.as_raw_fd(), &request, MsgFlags::empty())?;
            self.config = config;
        }
        Ok(())
    }

    /// Reads the messages that wait, as many as there is room for.
    pub fn receive(&self, messages: &mut Messages) -> io::Result<()> {
        loop {
            messages.lengths.clear();
            match self.try_receive(messages) {
                Ok(()) | Err(Errno::EAGAIN) => return Ok(()),
                // The buffer ran over. The kernel counts what it dropped, where it is read.
                Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn try_receive(&self, messages: &mut Messages) -> nix::Result<()> {
        let mut slices: Vec<_> = messages.bytes.chunks_mut(MESSAGE).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let read = recvmmsg(fd, &mut messages.headers, slices.iter_mut(), flags, None)?;
        messages.lengths.extend(read.map(|message| message.bytes));
        Ok(())
    }

    /// Sends it with others, at the next [`Self::flush`] at the latest.
    pub fn verdict(&mut self, id: u32, verdict: Verdict, payload: Option<&[u8]>) -> io::Result<()> {
        wire::verdict(&mut self.verdicts, self.number, id, verdict, payload);
        if self.verdicts.len() < BATCH { Ok(()) } else { self.flush() }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        if !self.verdicts.is_empty() {
            let sent = send(self.socket.as_raw_fd(), &self.verdicts, MsgFlags::empty());
            self.verdicts.clear();
            sent?;
        }
        Ok(())
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
