//! Three nodes that do nothing and advertise what they are told to, each with a published port; the test itself listens and
//! connects inside their namespaces. Shares no code with the engine.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};

use super::{
    cluster::{LABEL, free_ports, import, install, traces_beside},
    run, try_run, unique, wait_for,
};

/// What TiKV listens on.
const PORT: u16 = 20160;
const LIMIT: Duration = Duration::from_millis(700);

pub struct Advertising {
    run: String,
    pub project: String,
    network: String,
    pub names: Vec<String>,
    /// The Docker host's address and the port of it that leads to each.
    pub ways: Vec<SocketAddr>,
}

impl Advertising {
    /// Each advertises what is made of the Docker host's address and the port of it that leads there.
    pub fn start(advertised: impl Fn(IpAddr, u16) -> String) -> Self {
        let run_id = unique();
        let project = format!("chaos{run_id}");
        let network = format!("{project}_default");
        let label = format!("{LABEL}={run_id}");
        run("docker", &["network", "create", "--label", &label, &network]);
        let gateway = run("docker", &["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", &network]);
        let gateway: IpAddr = gateway.parse().unwrap();
        let ways = free_ports(3).map(|port| SocketAddr::new(gateway, port)).collect();
        let mut nodes = Self { run: run_id, project, network, names: vec![], ways };
        for node in 0..3 {
            let name = nodes.run_node(node, &advertised(gateway, nodes.ways[node].port()));
            nodes.names.push(name);
            nodes.listen(node);
        }
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            wait_for("the published ports to lead to the nodes", || nodes.reaches(from, to).then_some(()));
        }
        nodes
    }

    fn run_node(&self, node: usize, advertised: &str) -> String {
        let (service, way) = (format!("tikv{node}"), self.ways[node]);
        let name = format!("{}-{service}-1", self.project);
        let labels = [
            format!("{LABEL}={}", self.run),
            format!("com.docker.compose.project={}", self.project),
            format!("com.docker.compose.service={service}"),
        ];
        let [label, project, service] = labels.each_ref().map(String::as_str);
        let published = format!("{}:{PORT}", way.port());
        let flag = format!("--advertise-addr={advertised}");
        let docker = ["run", "-d", "--name", &name, "--network", &self.network, "-p", &published];
        let labels = ["--label", label, "--label", project, "--label", service];
        run("docker", &[&docker[..], &labels, &[&image(), "-c", "sleep 1000000", "tikv-server", &flag]].concat());
        name
    }

    fn namespace(&self, node: usize) -> File {
        let pid = run("docker", &["inspect", "-f", "{{.State.Pid}}", &self.names[node]]);
        File::open(format!("/proc/{pid}/ns/net")).unwrap()
    }

    /// Does something in the network namespace of a node.
    fn inside<T: Send + 'static>(&self, node: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = self.namespace(node);
        let work = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        thread::spawn(work).join().unwrap()
    }

    /// Answers each byte that comes, as long as the namespace is there.
    fn listen(&self, node: usize) {
        let listener = self.inside(node, || TcpListener::bind(("0.0.0.0", PORT)).unwrap());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || answer(stream));
            }
        });
    }

    /// Whether one node gets an answer of the other by the Docker host's port.
    pub fn reaches(&self, from: usize, to: usize) -> bool {
        let way = self.ways[to];
        self.inside(from, move || connects(way))
    }

    /// From a connection's begin to its first answer.
    pub fn round_trip(&self, from: usize, to: usize) -> Duration {
        let way = self.ways[to];
        self.inside(from, move || {
            let begun = Instant::now();
            TcpStream::connect_timeout(&way, Duration::from_secs(10)).unwrap();
            begun.elapsed()
        })
    }

    /// A connection from one node to the other, until it is dropped.
    pub fn hold(&self, from: usize, to: usize) -> TcpStream {
        let way = self.ways[to];
        self.inside(from, move || TcpStream::connect_timeout(&way, Duration::from_secs(10)).unwrap())
    }

    /// Nothing is left in the namespaces.
    pub fn assert_clean(&self) {
        for name in &self.names {
            let pid = run("docker", &["inspect", "-f", "{{.State.Pid}}", name]);
            wait_for(&format!("{name} to be clean"), || traces_beside(&pid).is_empty().then_some(()));
        }
    }
}

impl Drop for Advertising {
    fn drop(&mut self) {
        for name in &self.names {
            let filter = format!("label=tikv-chaos.target-name={name}");
            for helper in run("docker", &["ps", "-aq", "--filter", &filter]).lines() {
                try_run("docker", &["rm", "-f", helper]);
            }
            try_run("docker", &["rm", "-f", "-v", name]);
        }
        try_run("docker", &["network", "rm", &self.network]);
    }
}

fn answer(mut stream: TcpStream) {
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(1)) && stream.write_all(&byte).is_ok() {}
}

/// Whether a byte that is sent there comes back.
pub fn connects(way: SocketAddr) -> bool {
    let there_and_back = || {
        let mut stream = TcpStream::connect_timeout(&way, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(&[7])?;
        let mut byte = [0];
        stream.read_exact(&mut byte)
    };
    there_and_back().is_ok()
}

/// A shell under TiKV's name, which sleeps.
fn image() -> String {
    static IMAGE: OnceLock<String> = OnceLock::new();
    let make = || {
        let name = "tikv-chaos-test-shell:1".to_owned();
        if try_run("docker", &["image", "inspect", &name]).0 {
            return name;
        }
        let root = tempfile::tempdir().unwrap();
        for program in ["/bin/dash", "/usr/bin/sleep"] {
            install(Path::new(program), root.path());
        }
        std::fs::rename(root.path().join("bin/dash"), root.path().join("tikv-server")).unwrap();
        import(root.path(), &name);
        name
    };
    IMAGE.get_or_init(make).clone()
}
