//! Docker's socket at another place, where it can go away and come back.

use std::{
    io::{self, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

pub const DOCKER: &str = "/var/run/docker.sock";

pub struct Proxy {
    folder: tempfile::TempDir,
    listening: Option<Listening>,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Listening {
    ending: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
    /// Both ends of every connection.
    open: Arc<Mutex<Vec<UnixStream>>>,
}

impl Proxy {
    pub fn start() -> Self {
        let mut proxy = Self { folder: tempfile::tempdir().unwrap(), listening: None, asked: Arc::default() };
        proxy.restart();
        proxy
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("proxy.sock")
    }

    /// For `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path().display())
    }

    pub fn restart(&mut self) {
        let listener = UnixListener::bind(self.path()).unwrap();
        let (ending, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let accepting = std::thread::spawn({
            let (ending, open, asked) = (ending.clone(), open.clone(), self.asked.clone());
            move || {
                for client in listener.incoming() {
                    // What stops us connects in order to wake us.
                    if ending.load(Ordering::SeqCst) {
                        return;
                    }
                    let (client, docker) = (client.unwrap(), UnixStream::connect(DOCKER).unwrap());
                    open.lock().unwrap().extend([client.try_clone().unwrap(), docker.try_clone().unwrap()]);
                    join(client, docker, asked.clone());
                }
            }
        });
        self.listening = Some(Listening { ending, accepting, open });
    }

    /// The first line of every request so far that says this.
    pub fn asked(&self, what: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|line| line.contains(what)).cloned().collect()
    }

    /// Docker is gone: nobody listens, and every connection is cut.
    pub fn stop(&mut self) {
        let Some(Listening { ending, accepting, open }) = self.listening.take() else { return };
        ending.store(true, Ordering::SeqCst);
        drop(UnixStream::connect(self.path()));
        accepting.join().unwrap();
        std::fs::remove_file(self.path()).unwrap();
        for stream in open.lock().unwrap().drain(..) {
            // One that ended by itself is already shut.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Carries bytes both ways, and notes what is asked. One way may end before the other.
fn join(mut client: UnixStream, mut docker: UnixStream, asked: Arc<Mutex<Vec<String>>>) {
    let (mut asks, to) = (client.try_clone().unwrap(), docker.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut noting = Noting { to, asked };
        let _ = io::copy(&mut asks, &mut noting);
        let _ = noting.to.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        let _ = io::copy(&mut docker, &mut client);
        let _ = client.shutdown(Shutdown::Write);
    });
}

/// Notes the first line of each request: a client here writes its head at once.
struct Noting {
    to: UnixStream,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Write for Noting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        if line.ends_with(b" HTTP/1.1") {
            self.asked.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
        }
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Docker as if it were on another host: a `DOCKER_HOST` at a TCP port, until the test's process ends.
pub fn over_tcp() -> String {
    over_tcp_to(Path::new(DOCKER))
}

/// The same of whoever listens at that socket.
pub fn over_tcp_to(socket: &Path) -> String {
    let socket = socket.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let docker = UnixStream::connect(&socket).unwrap();
            let (mut asks, mut answers) = (client.try_clone().unwrap(), docker.try_clone().unwrap());
            let (mut to_docker, mut to_client): (UnixStream, TcpStream) = (docker, client);
            std::thread::spawn(move || {
                let _ = io::copy(&mut asks, &mut to_docker);
                let _ = to_docker.shutdown(Shutdown::Write);
            });
            std::thread::spawn(move || {
                let _ = io::copy(&mut answers, &mut to_client);
                let _ = to_client.shutdown(Shutdown::Write);
            });
        }
    });
    host
}
