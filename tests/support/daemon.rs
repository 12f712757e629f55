//! A Docker daemon that answers from memory, on a socket of its own: any number of nodes that cost nothing, and as many
//! events as a test likes. It knows what the program's live list asks for and nothing else; whatever else is asked is not
//! found. No node runs, so that nobody tries to reach one.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub struct Daemon {
    folder: tempfile::TempDir,
    nodes: Arc<Nodes>,
}

struct Nodes {
    count: usize,
    /// How often each was restarted: what changes with an event.
    restarts: Mutex<Vec<u64>>,
    /// Events a second.
    rate: AtomicU64,
}

impl Daemon {
    /// The last three nodes are PD, the others TiKV.
    pub fn start(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nodes = Arc::new(Nodes { count, restarts: Mutex::new(vec![0; count]), rate: AtomicU64::new(0) });
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        std::thread::spawn({
            let nodes = Arc::clone(&nodes);
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let nodes = Arc::clone(&nodes);
                    std::thread::spawn(move || nodes.serve(&stream));
                }
            }
        });
        Self { folder, nodes }
    }

    /// For `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// From now on so many events a second, one node after the other.
    pub fn pour(&self, events_a_second: u64) {
        self.nodes.rate.store(events_a_second, Ordering::SeqCst);
    }
}

impl Nodes {
    /// One connection, until the other side closes it. Nothing is asked for with a body.
    fn serve(&self, stream: &UnixStream) {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        while let Some(request) = lines.next() {
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let path = request.split(' ').nth(1).unwrap_or_default();
            let path = path.split('?').next().unwrap_or_default();
            // With the version before it or without.
            let path = path.strip_prefix("/v").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(path);
            if path == "/events" {
                return self.tell(stream);
            }
            let (status, body) = match self.answer(path) {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", json!({ "message": format!("no {path} here") })),
            };
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if (&*stream).write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, path: &str) -> Option<Value> {
        match path {
            "/version" => Some(json!({ "Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12" })),
            "/containers/json" => Some((0..self.count).map(|node| self.summary(node)).collect()),
            _ => {
                let id = path.strip_prefix("/containers/")?.strip_suffix("/json")?;
                let node = id.get(..8).and_then(|number| usize::from_str_radix(number, 16).ok());
                Some(self.inspect(node.filter(|node| *node < self.count)?))
            }
        }
    }

    fn role(&self, node: usize) -> &'static str {
        if node + 3 >= self.count { "pd" } else { "tikv" }
    }

    fn labels(&self, node: usize) -> Value {
        json!({ "tikv-chaos.role": self.role(node), "com.docker.compose.project": "lab" })
    }

    fn summary(&self, node: usize) -> Value {
        let name = format!("/lab-{}{node}", self.role(node));
        json!({ "Id": id(node), "Names": [name], "State": "exited", "Labels": self.labels(node) })
    }

    fn inspect(&self, node: usize) -> Value {
        json!({
            "Id": id(node),
            "Name": format!("/lab-{}{node}", self.role(node)),
            "RestartCount": self.restarts.lock().unwrap()[node],
            "State": { "Status": "exited", "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z" },
            "Config": { "Image": "pingcap/tikv:v8.5.5", "Labels": self.labels(node) },
            "HostConfig": { "NetworkMode": "lab" },
            "NetworkSettings": { "Networks": {} },
            "Args": [],
            "Mounts": [],
        })
    }

    /// Events at the pace that is asked for, each about the next node.
    fn tell(&self, mut stream: &UnixStream) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
        let (mut node, mut due) = (0, Instant::now());
        loop {
            let rate = self.rate.load(Ordering::SeqCst);
            if rate == 0 {
                std::thread::sleep(Duration::from_millis(5));
                due = Instant::now();
                continue;
            }
            due += Duration::from_secs(1) / u32::try_from(rate).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.restarts.lock().unwrap()[node] += 1;
            let event = json!({ "Type": "container", "Action": "restart", "Actor": { "ID": id(node) }, "time": 0 });
            let event = format!("{event}\n");
            if stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).is_err() {
                return;
            }
            node = (node + 1) % self.count;
        }
    }
}

/// As Docker's are: told apart by their first digits.
fn id(node: usize) -> String {
    format!("{node:08x}{:056}", 0)
}
