//! News of Docker for one who only waits for it: where it is told over a plain socket, that socket, which costs nothing to
//! wait at and can be handed to another program; else a thread that asks as a screen would. What the news is, is of no use
//! here: the receiver looks for itself.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    thread,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc;

use super::{
    client,
    endpoint::{Endpoint, Way, authority},
    host::TikvSubject,
    identity::Identity,
    told::Told,
    watch,
};

/// Docker's answer begins at once.
const PATIENCE: Duration = client::PATIENCE;
/// Docker's port where no TLS is spoken and none is named.
const PORT: u16 = 2375;
/// The longest beginning of an answer that is read.
const MOST: usize = 16 << 10;
/// After so long without a word a connection over a network is tried, so that one that broke is noticed.
#[cfg(target_os = "linux")]
const KEPT_ALIVE: Duration = Duration::from_secs(30);

/// The events after which a peer may be elsewhere, in the notation of Docker's API.
const EVENTS: &str =
    r#"{"type":["container","network"],"event":["start","die","destroy","rename","connect","disconnect"]}"#;

/// Where news comes from.
pub enum News {
    /// What is to be read there, or its end, is news.
    Socket(OwnedFd),
    /// Told for as long as this program runs.
    Told,
}

/// Calls `ring` when a container or a network changes: once for a socket, until it gives false otherwise. What happens after
/// this has returned rings.
pub fn listen(subject: &TikvSubject, ring: impl Fn() -> bool + Send + 'static) -> io::Result<News> {
    let endpoint = client::endpoint().map_err(io::Error::other)?;
    match &endpoint.way {
        Way::Unix => {
            let path = endpoint.host.strip_prefix("unix://").unwrap_or(&endpoint.host);
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            subscribe(&stream)?;
            wait(OwnedFd::from(stream), ring)
        }
        Way::Tcp => {
            let stream = dial(&endpoint)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            subscribe(&stream)?;
            wait(OwnedFd::from(stream), ring)
        }
        Way::Tls(_) | Way::Ssh(_) => be_told((subject.identity(), subject.told()), ring),
    }
}

fn dial(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let rest = endpoint.host.split_once("://").map_or(endpoint.host.as_str(), |(_, rest)| rest);
    let (name, port) = authority(rest).map_err(io::Error::other)?;
    let mut stream = Err(io::Error::other(format!("{name} has no address")));
    for address in (name.as_str(), port.unwrap_or(PORT)).to_socket_addrs()? {
        stream = TcpStream::connect_timeout(&address, PATIENCE);
        if stream.is_ok() {
            break;
        }
    }
    let stream = stream?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&stream)
        .set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEPT_ALIVE).with_interval(KEPT_ALIVE))?;
    Ok(stream)
}

/// Asks for the events, and reads the beginning of the answer.
fn subscribe<S>(stream: S) -> io::Result<()>
where
    S: Read + Write,
{
    let mut stream = stream;
    let filters: String = EVENTS.bytes().map(encoded).collect();
    let request = format!("GET /events?filters={filters} HTTP/1.1\r\nHost: docker\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    // Not one byte more, which would be news.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MOST || stream.read(&mut byte)? == 0 {
            return Err(io::Error::other("the answer to GET /events is no HTTP"));
        }
        answer.push(byte[0]);
    }
    let answer = String::from_utf8_lossy(&answer);
    let mut words = answer.split_whitespace().skip(1);
    match words.next() {
        Some("200") => Ok(()),
        status => Err(io::Error::other(format!("answers {} to GET /events", status.unwrap_or("nothing")))),
    }
}

/// A byte of a query, as RFC 3986 has it.
fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// Only waits: what there is to be read stays there, for the next wait.
fn wait(socket: OwnedFd, ring: impl Fn() -> bool + Send + 'static) -> io::Result<News> {
    let waited = socket.try_clone()?;
    thread::Builder::new().spawn(move || {
        let mut polled = [PollFd::new(waited.as_fd(), PollFlags::POLLIN)];
        while poll(&mut polled, PollTimeout::NONE).is_err_and(|error| error == nix::errno::Errno::EINTR) {}
        ring();
    })?;
    Ok(News::Socket(socket))
}

fn be_told((identity, told): (Arc<Identity>, Told), ring: impl Fn() -> bool + Send + 'static) -> io::Result<News> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().spawn(move || {
        let (sender, mut lives) = mpsc::channel(16);
        runtime.block_on(async {
            let ringing = async { while lives.recv().await.is_some() && ring() {} };
            tokio::select! {
                () = watch::watch(None, identity, told, sender) => {}
                () = ringing => {}
            }
        });
    })?;
    Ok(News::Told)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that has said its whole answer.
    struct Said(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Said {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_beginning_of_the_answer_is_read_and_no_news() {
        let answer = |text: &str| {
            let mut said = Said(io::Cursor::new(text.as_bytes().to_vec()), Vec::new());
            let went = subscribe(&mut said).map_err(|error| error.to_string());
            (went, said.0.position(), String::from_utf8(said.1).unwrap())
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
        let (went, read, asked) = answer(&format!("{head}{{\"status\":\"start\"}}"));
        assert_eq!((went, read), (Ok(()), head.len() as u64));
        assert!(asked.starts_with("GET /events?filters=%7B%22type%22%3A%5B%22container%22%2C"), "{asked}");
        let (refused, ..) = answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n<html>no!");
        assert_eq!(refused, Err("answers 403 to GET /events".to_owned()));
        assert!(answer("HTTP/1.1 200 OK\r\n").0.unwrap_err().contains("no HTTP"));
    }
}
