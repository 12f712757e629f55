//! The stand-in cluster as a user starts it, and a reader of what its PD and its stores say that shares no code with
//! the program: the Docker client, HTTP by hand, JSON.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use super::{Program, run, try_run, unique};

/// Docker's DNS server, as each container in a network of its own sees it.
const DNS: &str = "127.0.0.11";

pub struct Demo {
    pub name: String,
    pub project: String,
    pub program: Program,
}

/// How a port answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Port {
    /// With this HTTP status.
    Answers(u16),
    Refuses,
    /// It takes the connection or not, and says nothing.
    Hangs,
}

impl Demo {
    /// `tikv-chaos demo up` with these further options.
    pub fn up(options: &[&str]) -> Self {
        Self::named(format!("t{}", unique()), options)
    }

    /// The same under a name that reads well.
    pub fn named(name: String, options: &[&str]) -> Self {
        let project = format!("tikv-chaos-{name}");
        let program = Program::new(Some(&project));
        let demo = Self { name, project, program };
        let args: Vec<&str> = ["demo", "up", "--name", &demo.name].iter().chain(options).copied().collect();
        demo.program.run(&args).ok();
        demo
    }

    /// The container of `tikv0`, `pd1`, …
    pub fn container(&self, host: &str) -> String {
        format!("{}-{host}", self.name)
    }

    pub fn inspect(&self, host: &str, template: &str) -> String {
        run("docker", &["inspect", "-f", template, &self.container(host)])
    }

    pub fn ip(&self, host: &str) -> String {
        self.inspect(host, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    }

    /// Lets no question of a running node reach Docker's DNS server: it gets no answer, not even that a name is unknown,
    /// as where Docker's own servers cannot be reached.
    pub fn cut_dns(&self, host: &str) {
        self.in_network(host, &["-I", "OUTPUT", "-d", DNS, "-j", "DROP"]);
    }

    /// How many packets the node has sent there since.
    pub fn dns_packets(&self, host: &str) -> u64 {
        let rules = self.in_network(host, &["-nvxL", "OUTPUT"]);
        let rule = rules.lines().find(|line| line.contains(DNS)).unwrap_or_else(|| panic!("no rule: {rules}"));
        rule.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn in_network(&self, host: &str, iptables: &[&str]) -> String {
        let pid = self.inspect(host, "{{.State.Pid}}");
        run("nsenter", &[&["-t", &pid, "-n", "iptables", "-w"], iptables].concat())
    }

    /// Writes that a quorum has agreed on, by the stores that proposed them.
    pub fn agreed(&self, hosts: &[&str]) -> f64 {
        let name = "tikv_raftstore_commit_log_duration_seconds_count";
        hosts.iter().filter_map(|host| self.metric(host, name, &[])).sum()
    }

    pub fn logs(&self, host: &str) -> String {
        try_run("docker", &["logs", &self.container(host)]).1
    }

    /// What a PD that answers says at the path.
    pub fn pd(&self, path: &str) -> Option<Value> {
        let bodies = ["pd0", "pd1", "pd2"].iter().filter_map(|host| {
            let (status, body) = get(&self.ip(host), 2379, path, Duration::from_secs(3)).ok()?;
            (status == 200).then_some(body)
        });
        bodies.filter_map(|body| serde_json::from_str(&body).ok()).next()
    }

    /// PD's word for the store, such as `Up`.
    pub fn state(&self, host: &str) -> Option<String> {
        self.store(host)?["store"]["state_name"].as_str().map(str::to_owned)
    }

    /// PD's count of the leaders on the store; a store that leads nothing may be left out.
    pub fn leaders(&self, host: &str) -> Option<u64> {
        Some(self.store(host)?["status"]["leader_count"].as_u64().unwrap_or(0))
    }

    fn store(&self, host: &str) -> Option<Value> {
        let answer = self.pd("/pd/api/v1/stores")?;
        let address = format!("{host}:20160");
        answer["stores"].as_array()?.iter().find(|store| store["store"]["address"] == address.as_str()).cloned()
    }

    /// PD's number for the store.
    pub fn store_id(&self, host: &str) -> u64 {
        self.store(host).unwrap()["store"]["id"].as_u64().unwrap()
    }

    pub fn status_port(&self, host: &str) -> Port {
        match get(&self.ip(host), 20180, "/status", Duration::from_secs(2)) {
            Ok((status, _)) => Port::Answers(status),
            Err(ErrorKind::ConnectionRefused) => Port::Refuses,
            Err(_) => Port::Hangs,
        }
    }

    /// The sum of the series of a metric whose labels contain all these.
    pub fn metric(&self, host: &str, name: &str, labels: &[&str]) -> Option<f64> {
        let (_, body) = get(&self.ip(host), 20180, "/metrics", Duration::from_secs(3)).ok()?;
        let of_it = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && labels.iter().all(|label| line.contains(label))
        };
        let values = body.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Some(values.sum())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", try_run("docker", &["ps", "-a", "--filter", &format!("name={}", self.name)]).1);
            for host in ["pd0", "tikv0", "tikv1", "tikv2"] {
                eprintln!("{host}: {}", try_run("docker", &["logs", "--tail", "8", &self.container(host)]).1);
            }
        }
        let _ = self.program.command(&["demo", "down", "--name", &self.name]).output();
    }
}

/// One GET: the status and the body.
fn get(ip: &str, port: u16, path: &str, patience: Duration) -> Result<(u16, String), ErrorKind> {
    let address: SocketAddr = format!("{ip}:{port}").parse().map_err(|_| ErrorKind::AddrNotAvailable)?;
    let kind = |error: std::io::Error| error.kind();
    let mut stream = TcpStream::connect_timeout(&address, patience).map_err(kind)?;
    stream.set_read_timeout(Some(patience)).map_err(kind)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\nConnection: close\r\n\r\n").map_err(kind)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(kind)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}
