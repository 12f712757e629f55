//! Connections that are begun and not waited for.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, BorrowedFd},
    time::Instant,
};

use socket2::{Domain, Protocol, Socket, Type};

/// One that is under way.
pub struct Pending {
    pub place: usize,
    pub begun: Instant,
    socket: Socket,
}

/// How one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Connected,
    /// Somebody said no.
    Refused,
    /// It cannot be.
    Failed,
}

/// Begins one. `Err` gives the end of one that ended at once.
pub fn begin(place: usize, address: SocketAddr) -> Result<Pending, End> {
    let begin = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        let begun = Instant::now();
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if is_under_way(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(Pending { place, begun, socket })
    };
    begin().map_err(|error: io::Error| end_of(&error))
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32)
}

fn end_of(error: &io::Error) -> End {
    if error.kind() == io::ErrorKind::ConnectionRefused { End::Refused } else { End::Failed }
}

impl Pending {
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// How it ended, once it can be written to.
    pub fn end(&self) -> End {
        match self.socket.take_error() {
            Ok(None) => End::Connected,
            Ok(Some(error)) | Err(error) => end_of(&error),
        }
    }
}
