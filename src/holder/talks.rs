//! Who talks to a helper: one program over its standard input, as `docker attach` gives it, and any number over a socket,
//! each by a [`talk`] that was started in the same container. The socket is for Podman, which closes a container's
//! standard input as soon as the first who was attached goes (conmon, `conn_sock.c`). Everybody hears every answer.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines, Stdin, Stdout},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// In the container's own memory, which nobody else sees, and where a relay may write too.
pub(super) const SOCKET: &str = "/dev/shm/tikv-chaos.sock";

/// The first argument of the process that is a [`talk`].
pub const TALK: &str = "talk";

/// How long a helper that was just started may take to listen.
const STARTING: Duration = Duration::from_secs(5);

/// How long those at the socket may take to hand on the last answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// So many answers may wait for one of them.
const BEHIND: usize = 1024;

pub struct Talks {
    /// Until its end.
    stdin: Option<Lines<BufReader<Stdin>>>,
    stdout: Stdout,
    listener: Option<UnixListener>,
    /// What those at the socket say, and the end that each of them has.
    heard: (mpsc::Sender<String>, mpsc::Receiver<String>),
    talking: JoinSet<()>,
    /// What each of them is told.
    told: Vec<mpsc::Sender<Arc<[u8]>>>,
}

impl Talks {
    pub fn open() -> Self {
        // One that is there is of a former helper, where the target has a volume at this place.
        let _ = std::fs::remove_file(SOCKET);
        let listener = UnixListener::bind(SOCKET);
        if let Err(error) = &listener {
            tracing::warn!(%error, socket = SOCKET, "cannot listen: standard input alone");
        }
        Self {
            stdin: Some(BufReader::new(tokio::io::stdin()).lines()),
            stdout: tokio::io::stdout(),
            listener: listener.ok(),
            heard: mpsc::channel(16),
            talking: JoinSet::new(),
            told: Vec::new(),
        }
    }

    /// The next line that anybody says; nothing is lost when it is dropped before it has come. What goes wrong with one way
    /// in ends that way alone: what is held here is kept.
    pub async fn next_line(&mut self) -> String {
        loop {
            tokio::select! {
                line = async { self.stdin.as_mut().expect("it is open").next_line().await }, if self.stdin.is_some() => {
                    match line {
                        Ok(Some(line)) => return line,
                        Ok(None) => self.stdin = None,
                        Err(error) => {
                            tracing::warn!(%error, "standard input cannot be read");
                            self.stdin = None;
                        }
                    }
                }
                Some(line) = self.heard.1.recv() => return line,
                come = async { self.listener.as_ref().expect("it listens").accept().await }, if self.listener.is_some() => {
                    match come {
                        Ok((stream, _)) => self.take(stream),
                        Err(error) => {
                            tracing::warn!(%error, "nobody can come by the socket any more");
                            self.listener = None;
                        }
                    }
                }
                Some(_) = self.talking.join_next() => {}
            }
        }
    }

    fn take(&mut self, stream: UnixStream) {
        let (sender, told) = mpsc::channel(BEHIND);
        self.talking.spawn(converse(stream, self.heard.0.clone(), told));
        self.told.push(sender);
    }

    /// Says one line to everybody. Who does not read keeps nobody waiting: he is told no more, and
    /// hears the end once he reads.
    pub async fn say(&mut self, line: &[u8]) -> io::Result<()> {
        if !self.told.is_empty() {
            let line: Arc<[u8]> = line.into();
            self.told.retain(|told| told.try_send(Arc::clone(&line)).is_ok());
        }
        self.stdout.write_all(line).await?;
        self.stdout.flush().await
    }

    /// Waits until those at the socket have handed on what was said: they end with this process.
    pub async fn close(mut self) {
        self.listener = None;
        self.told.clear();
        let farewell = async {
            loop {
                tokio::select! {
                    // Too late to be carried out; who says it is waiting to be told so.
                    Some(_) = self.heard.1.recv() => {}
                    left = self.talking.join_next() => if left.is_none() { return },
                }
            }
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// One of those at the socket: what he says and what he is told. He goes when he likes, and is waited for once he was told
/// everything.
async fn converse(stream: UnixStream, heard: mpsc::Sender<String>, mut told: mpsc::Receiver<Arc<[u8]>>) {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return };
                if heard.send(line).await.is_err() {
                    return;
                }
            }
            line = told.recv() => {
                let Some(line) = line else { break };
                if to.write_all(&line).await.is_err() {
                    return;
                }
            }
        }
    }
    drop(to);
    while let Ok(Some(_)) = lines.next_line().await {}
}

/// Carries standard input to the helper in this container and its answers to standard output, until one of them ends.
pub async fn talk() -> io::Result<()> {
    let begun = Instant::now();
    let stream = loop {
        match UnixStream::connect(SOCKET).await {
            Err(_) if begun.elapsed() < STARTING => sleep(Duration::from_millis(10)).await,
            connected => break connected?,
        }
    };
    let (mut from, mut to) = stream.into_split();
    let (mut stdin, mut stdout) = (tokio::io::stdin(), tokio::io::stdout());
    tokio::select! {
        said = tokio::io::copy(&mut stdin, &mut to) => said?,
        answered = tokio::io::copy(&mut from, &mut stdout) => answered?,
    };
    stdout.flush().await
}
