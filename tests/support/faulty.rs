//! Docker's socket at another place, where one request is answered badly: with an error, or never.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::proxy::DOCKER;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// The request does not reach Docker, and 500 is the answer.
    Refused,
    /// Docker does what it was asked to; the answer never comes.
    Silent,
}

/// Listens until the test's process ends.
pub struct Faulty {
    folder: tempfile::TempDir,
    /// For `DOCKER_HOST`.
    pub host: String,
    asked: Arc<AtomicUsize>,
}

impl Faulty {
    /// Answers the request of that number badly, counted from 0, and every other one as Docker does.
    pub fn start(manner: Manner, at: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faulty.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, silence) = (asked.clone(), silence(&folder));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (count, silence) = (count.clone(), silence.clone());
                // A connection that breaks is the client's to notice.
                std::thread::spawn(move || serve(client, &count, manner, at, &silence));
            }
        });
        Self { folder, host: format!("unix://{}", path.display()), asked }
    }

    /// What makes the program give up soon what is not answered, and nothing else.
    pub fn silence(&self) -> String {
        format!("Silence=return({})", silence(&self.folder).display())
    }

    /// How many requests there were.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The file that tells the program of the silence.
fn silence(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("silent")
}

/// One connection: a request after the other, until one of them takes the connection over.
fn serve(client: UnixStream, count: &AtomicUsize, manner: Manner, at: usize, silence: &Path) -> io::Result<()> {
    let docker = UnixStream::connect(DOCKER)?;
    let mut requests = BufReader::new(client.try_clone()?);
    let mut to_docker = docker.try_clone()?;
    // Cut as soon as the answer must not come.
    let mut answers = Some(std::thread::spawn({
        let (mut from, mut to) = (docker.try_clone()?, client.try_clone()?);
        move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        }
    }));
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if requests.read_line(&mut head)? == 0 {
                return docker.shutdown(Shutdown::Write);
            }
        }
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        let length = header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        requests.read_exact(&mut body)?;
        let number = count.fetch_add(1, Ordering::SeqCst);
        if number == at && manner == Manner::Refused {
            let text = r#"{"message":"the test says no"}"#;
            let answer = format!(
                "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
            (&client).write_all(answer.as_bytes())?;
            continue;
        }
        if number == at {
            // Asked on a connection of its own, so that no byte of the answer can come through.
            let mut aside = UnixStream::connect(DOCKER)?;
            aside.write_all(head.as_bytes())?;
            aside.write_all(&body)?;
            // Done as far as Docker does it at once.
            aside.read_exact(&mut [0])?;
            File::create(silence)?;
            io::copy(&mut requests, &mut io::sink())?;
            return Ok(());
        }
        to_docker.write_all(head.as_bytes())?;
        to_docker.write_all(&body)?;
        if header("upgrade").is_some() || header("transfer-encoding").is_some() {
            io::copy(&mut requests, &mut to_docker)?;
            to_docker.shutdown(Shutdown::Write)?;
            answers.take().map(std::thread::JoinHandle::join);
            return Ok(());
        }
    }
}
