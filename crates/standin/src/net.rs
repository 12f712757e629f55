//! Frames over TCP: one connection for each direction between two nodes, as TiKV's raft_client has them, and one for
//! each client at work. A peer that is gone without a word (paused, partitioned) is noticed by keepalive.
//!
//! Messages are dropped rather than kept for long: Raft sends again what still counts.

use std::{collections::HashMap, io, time::Duration};

use serde::{Deserialize, Serialize};
use slog::{Logger, o};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{pace::Pace, peer_log::PeerLog};

/// gRPC's keepalive in TiKV (src/server/config.rs): asked after so long, given up after so much more.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Pauses between tries to connect (`raft-client-initial-reconnect-backoff`, `raft-client-max-backoff`).
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Frames that wait for one peer.
const QUEUE: usize = 256;
const FRAME_LIMIT: u32 = 64 << 20;

/// The first frame of a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Hello {
    /// Raft messages follow, in this direction only.
    Peer { id: u64, name: String, client_urls: Vec<String> },
    /// Requests follow, each answered before the next.
    Client,
}

/// What a node's loop hears of its peers.
#[derive(Debug)]
pub enum PeerEvent {
    Hello { id: u64, name: String, client_urls: Vec<String> },
    Frame { from: u64, frame: Vec<u8> },
    Unreachable(u64),
}

/// The next frame; none where the connection ended between two.
pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u32_le().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > FRAME_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await?;
    Ok(Some(frame))
}

pub async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4 + frame.len());
    bytes.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    bytes.extend_from_slice(frame);
    stream.write_all(&bytes).await
}

/// Sends to the other nodes, each through a task of its own.
pub struct Peers {
    pace: Pace,
    words: PeerLog,
    log: Logger,
    hello: Vec<u8>,
    events: mpsc::Sender<PeerEvent>,
    links: HashMap<u64, (String, mpsc::Sender<Vec<u8>>)>,
}

impl Peers {
    pub fn new(
        me: &Hello,
        words: PeerLog,
        pace: Pace,
        log: &Logger,
        events: mpsc::Sender<PeerEvent>,
    ) -> io::Result<Self> {
        Ok(Self { pace, words, log: log.clone(), hello: serde_json::to_vec(me)?, events, links: HashMap::new() })
    }

    /// Queues a frame for a peer; `false` where it was dropped.
    pub fn send(&mut self, id: u64, address: &str, frame: Vec<u8>) -> bool {
        let link = match self.links.get(&id) {
            Some((known, link)) if known == address => link,
            _ => {
                let (sender, queue) = mpsc::channel(QUEUE);
                let link = Link {
                    id,
                    address: address.to_owned(),
                    hello: self.hello.clone(),
                    pace: self.pace,
                    words: self.words,
                    log: self.log.new(o!(self.words.key() => id, "addr" => address.to_owned())),
                };
                tokio::spawn(link.run(queue, self.events.clone()));
                &self.links.entry(id).insert_entry((address.to_owned(), sender)).into_mut().1
            }
        };
        link.try_send(frame).is_ok()
    }
}

struct Link {
    id: u64,
    address: String,
    hello: Vec<u8>,
    pace: Pace,
    words: PeerLog,
    log: Logger,
}

impl Link {
    /// Until nobody holds the other end of the queue.
    async fn run(self, mut queue: mpsc::Receiver<Vec<u8>>, events: mpsc::Sender<PeerEvent>) {
        let mut backoff = FIRST_BACKOFF;
        while let Some(frame) = queue.recv().await {
            match timeout(self.pace.patience(KEEPALIVE), self.connect()).await {
                Ok(Ok(stream)) => {
                    self.words.connected(&self.log);
                    backoff = FIRST_BACKOFF;
                    match self.pump(stream, frame, &mut queue).await {
                        Ok(()) => return,
                        Err(error) => self.words.lost(&self.log, &error),
                    }
                }
                Ok(Err(error)) => self.words.refused(&self.log, &error),
                Err(_) => self.words.late(&self.log),
            }
            if events.send(PeerEvent::Unreachable(self.id)).await.is_err() {
                return;
            }
            sleep(self.pace.of(backoff)).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
            while queue.try_recv().is_ok() {}
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let mut stream = crate::names::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        write_frame(&mut stream, &self.hello).await?;
        Ok(stream)
    }

    /// Writes what is queued; the other side only ever answers keepalives, which are empty frames.
    async fn pump(&self, stream: TcpStream, first: Vec<u8>, queue: &mut mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        let (mut reader, mut writer) = stream.into_split();
        let mut heard = Instant::now();
        let mut asked = false;
        let mut next = Some(first);
        let mut answer = [0; 64];
        loop {
            let limit = self.pace.patience(KEEPALIVE_TIMEOUT);
            if let Some(frame) = next.take() {
                timeout(limit, write_frame(&mut writer, &frame)).await.map_err(|_| unanswered())??;
                continue;
            }
            let wake = heard + self.pace.of(KEEPALIVE) + if asked { limit } else { Duration::ZERO };
            tokio::select! {
                frame = queue.recv() => match frame {
                    Some(frame) => next = Some(frame),
                    None => return Ok(()),
                },
                read = reader.read(&mut answer) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    (heard, asked) = (Instant::now(), false);
                }
                () = sleep_until(wake) => {
                    if asked {
                        return Err(unanswered());
                    }
                    asked = true;
                    next = Some(vec![]);
                }
            }
        }
    }
}

fn unanswered() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "keepalive watchdog timeout")
}

/// Takes connections: peers' frames go to the loop, clients to `serve`.
pub async fn accept<F>(
    listener: TcpListener,
    pace: Pace,
    events: mpsc::Sender<PeerEvent>,
    serve: impl Fn(TcpStream) -> F + Clone + Send + 'static,
) where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    loop {
        // Out of file descriptors, for one: those who are connected go on, and it passes.
        let Ok((mut stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (events, serve) = (events.clone(), serve.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let hello =
                timeout(pace.patience(KEEPALIVE), read_frame(&mut stream)).await.map_err(|_| unanswered())??;
            match serde_json::from_slice(&hello.unwrap_or_default())? {
                Hello::Client => serve(stream).await,
                Hello::Peer { id, name, client_urls } => {
                    let _ = events.send(PeerEvent::Hello { id, name, client_urls }).await;
                    receive(stream, id, pace, &events).await
                }
            }
        });
    }
}

/// Until the peer is gone, or has said nothing, not even a keepalive, for long.
async fn receive(stream: TcpStream, from: u64, pace: Pace, events: &mpsc::Sender<PeerEvent>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let limit = pace.patience(3 * KEEPALIVE);
    while let Some(frame) = timeout(limit, read_frame(&mut stream)).await.map_err(|_| unanswered())?? {
        if frame.is_empty() {
            write_frame(&mut stream, &[]).await?;
        } else if events.send(PeerEvent::Frame { from, frame }).await.is_err() {
            break;
        }
    }
    Ok(())
}
