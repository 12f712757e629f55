//! Docker's socket at another place, where it can go away and come back.

use std::{
    io,
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
}

struct Listening {
    ending: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
    /// Both ends of every connection.
    open: Arc<Mutex<Vec<UnixStream>>>,
}

impl Proxy {
    pub fn start() -> Self {
        let mut proxy = Self { folder: tempfile::tempdir().unwrap(), listening: None };
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
            let (ending, open) = (ending.clone(), open.clone());
            move || {
                for client in listener.incoming() {
                    // What stops us connects in order to wake us.
                    if ending.load(Ordering::SeqCst) {
                        return;
                    }
                    let (client, docker) = (client.unwrap(), UnixStream::connect(DOCKER).unwrap());
                    open.lock().unwrap().extend([client.try_clone().unwrap(), docker.try_clone().unwrap()]);
                    join(client, docker);
                }
            }
        });
        self.listening = Some(Listening { ending, accepting, open });
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

/// Carries bytes both ways. One way may end before the other.
fn join(client: UnixStream, docker: UnixStream) {
    for (mut from, mut to) in [(client.try_clone().unwrap(), docker.try_clone().unwrap()), (docker, client)] {
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
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
