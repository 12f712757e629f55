//! Small real HTTP servers in the test's own process, for answers that no healthy PD gives.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What a server does with a request.
#[derive(Clone)]
pub enum Reply {
    /// 200, as JSON.
    Json(String),
    /// Status line and type, body.
    Status(&'static str, &'static str, String),
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, with the connection open.
    Hang,
}

pub type Answers = HashMap<String, Reply>;

struct Asked {
    path: String,
    /// A member of PD is to answer by itself.
    of_itself: bool,
}

/// Answers by path; what has no answer is 404. Ends with the process.
pub struct Server {
    pub port: u16,
    answers: Arc<Mutex<Answers>>,
    /// Every request, in order.
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server =
            Self { port, answers: Arc::new(Mutex::new(answers)), asked: Arc::default(), connections: Arc::default() };
        let (answers, asked, connections) =
            (Arc::clone(&server.answers), Arc::clone(&server.asked), Arc::clone(&server.connections));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::SeqCst);
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
                std::thread::spawn(move || serve(stream, &answers, &asked));
            }
        });
        server
    }

    pub fn set(&self, path: &str, reply: Reply) {
        self.answers.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// The same for everything that has an answer, and for `/`.
    pub fn set_all(&self, reply: &Reply) {
        self.set("/", reply.clone());
        for answer in self.answers.lock().unwrap().values_mut() {
            *answer = reply.clone();
        }
    }

    pub fn times_asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path == path).count()
    }

    /// The paths that were asked for with the header by which a member of PD answers by itself.
    pub fn asked_of_itself(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.of_itself).map(|asked| asked.path.clone()).collect()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn serve(stream: TcpStream, answers: &Mutex<Answers>, asked: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut request = String::new();
        match reader.read_line(&mut request) {
            Ok(0) => return,
            Ok(_) => {}
            // No text: as Go and hyper answer a client that speaks TLS.
            Err(_) => return drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n400 Bad Request")),
        }
        let (mut line, mut of_itself) = (String::new(), false);
        while reader.read_line(&mut line).unwrap_or(0) > 2 {
            of_itself |= line.to_ascii_lowercase().starts_with("pd-allow-follower-handle: true");
            line.clear();
        }
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let reply = answers.lock().unwrap().get(&path).cloned();
        asked.lock().unwrap().push(Asked { path, of_itself });
        let reply =
            reply.unwrap_or_else(|| Reply::Status("404 Not Found", "text/plain", "404 page not found\n".into()));
        let (status, kind, body) = match reply {
            Reply::Json(body) => ("200 OK", "application/json", body),
            Reply::Status(status, kind, body) => (status, kind, body),
            Reply::Raw(bytes) => return drop(stream.write_all(&bytes)),
            Reply::Hang => {
                // Until the other side gives up.
                let _ = reader.read_line(&mut line);
                return;
            }
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

/// A port where nobody listens.
pub fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A PD that says what a healthy one says of three stores at `tikv0:20160` to `tikv2:20160`.
pub fn healthy_pd() -> Answers {
    let json = |text: String| Reply::Json(text);
    Answers::from([
        ("/pd/api/v1/stores".to_owned(), stores(&["Up"; 3])),
        ("/pd/api/v1/version".to_owned(), json(r#"{"version":"v8.5.5"}"#.into())),
        ("/pd/api/v1/members".to_owned(), members("pd0")),
        ("/pd/api/v1/health".to_owned(), json(r#"[{"name":"pd0","health":true},{"name":"pd1","health":true}]"#.into())),
        ("/pd/api/v1/config/replicate".to_owned(), json(r#"{"max-replicas":3}"#.into())),
        (
            "/pd/api/v1/config/rules".to_owned(),
            json(r#"[{"group_id":"pd","id":"default","start_key":"","end_key":"","role":"voter","count":3}]"#.into()),
        ),
        ("/pd/api/v1/stats/region".to_owned(), json(r#"{"count":20}"#.into())),
        (
            "/pd/api/v1/regions".to_owned(),
            json(r#"{"count":1,"regions":[{"id":2,"peers":[{"store_id":1},{"store_id":4},{"store_id":5}]}]}"#.into()),
        ),
    ])
}

pub const STORE_IDS: [u64; 3] = [1, 4, 5];

pub fn stores(states: &[&str]) -> Reply {
    let beat = jiff::Timestamp::now();
    let store = |(at, state): (usize, &&str)| {
        format!(
            r#"{{"store":{{"id":{},"address":"tikv{at}:20160","version":"8.5.5","state_name":"{state}"}},
            "status":{{"capacity":"10GiB","available":"8GiB","leader_count":{at},"region_count":20,"slow_score":1,
            "last_heartbeat_ts":"{beat}"}}}}"#,
            STORE_IDS[at]
        )
    };
    let all: Vec<String> = states.iter().enumerate().map(store).collect();
    Reply::Json(format!(r#"{{"count":{},"stores":[{}]}}"#, all.len(), all.join(",")))
}

pub fn members(leader: &str) -> Reply {
    let member = |name: &str| format!(r#"{{"name":"{name}","client_urls":["http://{name}:2379"]}}"#);
    let both = [member("pd0"), member("pd1")].join(",");
    Reply::Json(format!(r#"{{"members":[{both}],"leader":{}}}"#, member(leader)))
}

/// What a TiKV prints that has served so many reads since its start.
pub fn metrics(reads: u64) -> Reply {
    let text = format!(
        "# HELP tikv_grpc_msg_duration_seconds Bucketed histogram of grpc server messages\n\
         tikv_grpc_msg_duration_seconds_bucket{{type=\"raw_get\",le=\"0.01\"}} {reads}\n\
         tikv_grpc_msg_duration_seconds_bucket{{type=\"raw_get\",le=\"+Inf\"}} {reads}\n\
         tikv_grpc_msg_duration_seconds_count{{type=\"raw_get\"}} {reads}\n\
         tikv_raftstore_region_count{{type=\"leader\"}} 7\n\
         process_start_time_seconds 1769700000\n"
    );
    Reply::Status("200 OK", "text/plain", text)
}

/// What a TiKV says of its configuration that keeps so much of its disk free, such as `5GiB`.
pub fn config(reserve: &str) -> Reply {
    Reply::Json(format!(
        r#"{{"server":{{"graceful-shutdown-timeout":"20s"}},"raftstore":{{"capacity":"0KiB"}},
        "storage":{{"data-dir":"/data","reserve-space":"{reserve}","reserve-raft-space":"1GiB"}},
        "raft-engine":{{"enable":true,"dir":"/data/raft-engine"}}}}"#
    ))
}
