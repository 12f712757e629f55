//! A real three-node Raft cluster under TiKV-like names: etcd, whose `--data-dir` is spelt like TiKV's, in an image
//! made on the spot, as the program `/tikv-server`.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use super::{run, try_run, unique, wait_for};

mod left;

pub use left::traces_beside;

pub const ETCD: &str = "/usr/bin/etcd";
pub const LABEL: &str = "tikv-chaos-test";

/// How the nodes are called and where they live.
#[derive(Clone, Copy)]
pub enum Names {
    /// `project-tikv0-1`, as Compose v2 does.
    ComposeV2,
    /// `project_tikv0_1`, as Compose v1 did.
    ComposeV1,
    /// `container_name`, no Compose labels, grouped by their network.
    Plain,
}

#[derive(Clone, Copy)]
pub struct Options {
    pub names: Names,
    pub nodes: usize,
    /// A project's name that reads well, where nothing else uses it.
    pub project: Option<&'static str>,
    /// Where the data volume is mounted.
    pub data: &'static str,
    /// Every node is on a second network too.
    pub second_network: bool,
    /// The first network has IPv6 addresses too.
    pub ipv6: bool,
    /// Volumes of this many MiB of their own, instead of folders of Docker's file system.
    pub own_volumes_mib: Option<u32>,
    /// The nodes advertise an address of the Docker host and ports that it publishes, and reach one another by these.
    pub by_host: bool,
    /// Each node is a cluster of its own, for tests that need none and make many: that takes less of the machine.
    pub apart: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            names: Names::ComposeV2,
            nodes: 3,
            project: None,
            data: "/data",
            second_network: false,
            ipv6: false,
            own_volumes_mib: None,
            by_host: false,
            apart: false,
        }
    }
}

pub struct Cluster {
    /// The unique label's value.
    pub run: String,
    /// What `--project` takes.
    pub project: String,
    /// Container names, by node.
    pub nodes: Vec<String>,
    pub volumes: Vec<String>,
    /// The container that keeps the volumes mounted, where they are file systems of their own.
    keeper: Option<String>,
    pub networks: Vec<String>,
    pub data: &'static str,
    /// Where each node is reached by the others, if that is through the Docker host.
    pub by_host: Vec<SocketAddr>,
    options: Options,
}

impl Cluster {
    pub fn start(options: &Options) -> Self {
        let run_id = unique();
        let image = image();
        let project = options.project.map_or_else(|| format!("chaos{run_id}"), str::to_owned);
        let mut cluster = Self {
            run: run_id.clone(),
            project: project.clone(),
            nodes: vec![],
            volumes: vec![],
            keeper: None,
            networks: vec![],
            data: options.data,
            by_host: vec![],
            options: *options,
        };
        let label = format!("{LABEL}={run_id}");
        // A Plain cluster has no project: its network gives the name.
        let plain = matches!(options.names, Names::Plain);
        let mut network_names = vec![if plain { project.clone() } else { format!("{project}_default") }];
        if options.second_network {
            network_names.push(format!("{project}_second"));
        }
        for name in network_names {
            // A unique local prefix (RFC 4193) for each process, so that test runs stay apart.
            let subnet = format!("fd00:{:x}:{:x}::/64", std::process::id() & 0xffff, cluster.networks.len() + 1);
            let ipv6: &[&str] = if options.ipv6 { &["--ipv6", "--subnet", &subnet] } else { &[] };
            run("docker", &[&["network", "create", "--label", &label], ipv6, &[&name]].concat());
            cluster.networks.push(name);
        }
        if options.by_host {
            cluster.by_host = free_ports(options.nodes).map(|port| SocketAddr::new(cluster.gateway(), port)).collect();
        }
        for node in 0..options.nodes {
            let volume = format!("{project}_data{node}");
            let size = options.own_volumes_mib.map(|mib| format!("o=size={mib}m"));
            let mut args = vec!["volume", "create", "--label", &label];
            if let Some(size) = &size {
                args.extend(["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", size]);
            }
            args.push(&volume);
            run("docker", &args);
            cluster.volumes.push(volume);
        }
        if options.own_volumes_mib.is_some() {
            // A tmpfs volume is empty again when nobody has it mounted: a killed node would lose its data.
            cluster.keeper = Some(cluster.run_keeper(&image));
        }
        for node in 0..options.nodes {
            let name = cluster.run_node(options, &image, node);
            cluster.nodes.push(name);
        }
        if !options.apart {
            wait_for("the cluster to have a leader", || cluster.leader());
        }
        cluster
    }

    fn run_keeper(&self, image: &str) -> String {
        let label = format!("{LABEL}={}", self.run);
        let mounts: Vec<String> =
            self.volumes.iter().enumerate().map(|(at, volume)| format!("-v={volume}:/kept/{at}")).collect();
        let mounts: Vec<&str> = mounts.iter().map(String::as_str).collect();
        let listen = "http://127.0.0.1:1";
        let args = ["run", "-d", "--label", &label, "--label", "tikv-chaos.role=ignore", "--network", "none"];
        let etcd = [image, "--data-dir=/tmp/x", "--listen-client-urls", listen, "--advertise-client-urls", listen];
        run("docker", &[&args[..], &mounts, &etcd].concat())
    }

    /// Removes a node's container and makes it anew, over the same volume.
    pub fn recreate(&mut self, node: usize) {
        run("docker", &["rm", "-f", &self.nodes[node]]);
        self.nodes[node] = self.run_node(&self.options, &image(), node);
    }

    fn run_node(&self, options: &Options, image: &str, node: usize) -> String {
        let service = format!("tikv{node}");
        let members = if options.apart { node..node + 1 } else { 0..options.nodes };
        let peer_url = |node: usize| match self.by_host.get(node) {
            Some(address) => format!("http://{address}"),
            None => format!("http://tikv{node}:2380"),
        };
        let initial: Vec<String> = members.map(|node| format!("tikv{node}={}", peer_url(node))).collect();
        let initial = initial.join(",");
        let published = self.by_host.get(node).map(|address| format!("{}:2380", address.port()));
        let (name, compose) = match options.names {
            Names::ComposeV2 => (format!("{}-{service}-1", self.project), true),
            Names::ComposeV1 => (format!("{}_{service}_1", self.project), true),
            Names::Plain => (format!("{}-{service}", self.project), false),
        };
        let owned = [
            format!("{LABEL}={}", self.run),
            format!("com.docker.compose.project={}", self.project),
            format!("com.docker.compose.service={service}"),
            format!("{}:{}", self.volumes[node], options.data),
            format!("--data-dir={}/db", options.data),
            peer_url(node),
            format!("http://{service}:2379"),
        ];
        let [label, project, service_label, mount, data_dir, peer, client] = owned.each_ref().map(String::as_str);
        let mut args = vec!["run", "-d", "--name", &name, "--label", label];
        args.extend(["--network", &self.networks[0], "--network-alias", &service, "-v", mount]);
        if compose {
            args.extend(["--label", project, "--label", service_label]);
        }
        if let Some(published) = &published {
            args.extend(["-p", published]);
        }
        args.extend([image, "--name", &service, data_dir, "--initial-cluster", &initial]);
        args.extend(["--listen-peer-urls", "http://0.0.0.0:2380", "--initial-advertise-peer-urls", peer]);
        args.extend(["--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", client]);
        args.extend(["--heartbeat-interval", "100", "--election-timeout", "1000"]);
        run("docker", &args);
        for network in self.networks.iter().skip(1) {
            run("docker", &["network", "connect", network, &name]);
        }
        name
    }

    /// One more container that looks like a node of this cluster, started with further options; gives its name.
    pub fn run_stranger(&self, options: &[&str]) -> String {
        self.run_further(9, options)
    }

    /// The same, as the node of that number.
    pub fn run_further(&self, number: usize, options: &[&str]) -> String {
        let name = format!("{}-tikv{number}-1", self.project);
        let labels = [format!("{LABEL}={}", self.run), format!("com.docker.compose.project={}", self.project)];
        let listen = "http://127.0.0.1:1";
        let docker = ["run", "-d", "--name", &name, "--label", &labels[0], "--label", &labels[1]];
        let peers = "http://127.0.0.1:2";
        let etcd = ["--data-dir=/tmp/x", "--listen-client-urls", listen, "--advertise-client-urls", listen];
        let etcd = [&etcd[..], &["--listen-peer-urls", peers]].concat();
        run("docker", &[&docker[..], options, &[&image()], &etcd].concat());
        name
    }

    /// One more container that looks like a TiKV node of this cluster and answers HTTP at a port, as etcd does:
    /// `/metrics` in the format of Prometheus. Takes options for Docker and for etcd; gives its name.
    pub fn run_listener(&self, url: &str, options: &[&str], more: &[&str]) -> String {
        let name = self.listener();
        let labels = [format!("{LABEL}={}", self.run), format!("com.docker.compose.project={}", self.project)];
        let docker = ["run", "-d", "--name", &name, "--label", &labels[0], "--label", &labels[1]];
        let network = ["--network", self.networks[0].as_str()];
        let etcd = ["--data-dir=/tmp/x", "--listen-client-urls", url, "--advertise-client-urls", url];
        run("docker", &[&docker[..], &network, options, &[&image()], &etcd, more].concat());
        name
    }

    /// The name that the listener has.
    pub fn listener(&self) -> String {
        format!("{}-tikv8-1", self.project)
    }

    /// The node that every reachable member of a quorum calls its leader.
    pub fn leader(&self) -> Option<usize> {
        let views: Vec<_> = (0..self.nodes.len()).filter_map(|node| status(&self.ip(node)?)).collect();
        let leaders: BTreeSet<&str> = views.iter().map(|view| view.leader.as_str()).collect();
        if views.len() < self.nodes.len() || leaders.len() != 1 {
            return None;
        }
        views.iter().position(|view| view.member == view.leader)
    }

    /// What one node says: its own member id and its leader's, if it has one.
    pub fn view(&self, node: usize) -> Option<View> {
        status(&self.ip(node)?)
    }

    /// Whether a quorum takes a write that one node is given, within two seconds.
    pub fn writes(&self, node: usize) -> bool {
        let written =
            |ip: String| Some(ask(&ip, "/v3/kv/put", r#"{"key":"YQ==","value":"Yg=="}"#)?["header"].is_object());
        self.ip(node).and_then(written).unwrap_or(false)
    }

    /// The address on the first network; none while the node does not run.
    pub fn ip(&self, node: usize) -> Option<String> {
        let template = format!("{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}", self.networks[0]);
        let (ok, ip) = try_run("docker", &["inspect", "-f", &template, &self.nodes[node]]);
        let ip = ip.trim().to_owned();
        (ok && !ip.is_empty()).then_some(ip)
    }

    /// The Docker host's address in the first network.
    pub fn gateway(&self) -> IpAddr {
        let template = "{{range .IPAM.Config}}{{.Gateway}} {{end}}";
        let all = run("docker", &["network", "inspect", "-f", template, &self.networks[0]]);
        all.split_whitespace().find_map(|ip| ip.parse().ok().filter(IpAddr::is_ipv4)).expect("a gateway")
    }

    pub fn inspect(&self, node: usize, template: &str) -> String {
        run("docker", &["inspect", "-f", template, &self.nodes[node]])
    }

    /// Runs a tool of this host in the node's network namespace.
    pub fn in_namespace(&self, node: usize, args: &[&str]) -> String {
        let pid = self.inspect(node, "{{.State.Pid}}");
        run("nsenter", &[&["-t", &pid, "-n"], args].concat())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("{node}: {}", try_run("docker", &["inspect", "-f", "{{.State.Status}}", node]).1.trim());
                eprintln!("{}", try_run("docker", &["logs", "--tail", "3", node]).1.trim());
            }
        }
        let filter = format!("label={LABEL}={}", self.run);
        let mut doomed = self.holders();
        doomed.extend(run("docker", &["ps", "-aq", "--filter", &filter]).lines().map(str::to_owned));
        for container in doomed {
            try_run("docker", &["rm", "-f", "-v", &container]);
        }
        for (kind, names) in [("volume", &self.volumes), ("network", &self.networks)] {
            for name in names {
                try_run("docker", &[kind, "rm", name]);
            }
        }
    }
}

/// Ports of this host that nothing listens on.
pub fn free_ports(count: usize) -> impl Iterator<Item = u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("0.0.0.0:0").unwrap()).collect();
    let ports: Vec<u16> = held.iter().map(|one| one.local_addr().unwrap().port()).collect();
    ports.into_iter()
}

/// A member's own view of its cluster.
#[derive(Debug)]
pub struct View {
    pub member: String,
    pub leader: String,
}

impl View {
    pub fn has_leader(&self) -> bool {
        self.leader != "0"
    }
}

/// etcd's status.
fn status(ip: &str) -> Option<View> {
    let body = ask(ip, "/v3/maintenance/status", "{}")?;
    // Zero values are left out of the answer.
    let leader = body["leader"].as_str().unwrap_or("0").to_owned();
    Some(View { member: body["header"]["member_id"].as_str()?.to_owned(), leader })
}

/// What etcd answers over its JSON gateway, within two seconds.
fn ask(ip: &str, path: &str, body: &str) -> Option<serde_json::Value> {
    let address = format!("{ip}:2379").parse().ok()?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let request = format!("POST {path} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// The image, made once for each build of etcd: the program under TiKV's name, with the tools to look at a volume.
fn image() -> String {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE
        .get_or_init(|| {
            let size = std::fs::metadata(ETCD).unwrap().len();
            let name = format!("tikv-chaos-test-node:{size}");
            if try_run("docker", &["image", "inspect", &name]).0 {
                return name;
            }
            let root = tempfile::tempdir().unwrap();
            for program in [ETCD, "/usr/bin/find", "/usr/bin/stat"] {
                install(Path::new(program), root.path());
            }
            std::fs::rename(root.path().join("usr/bin/etcd"), root.path().join("tikv-server")).unwrap();
            std::fs::create_dir_all(root.path().join("tmp")).unwrap();
            import(root.path(), &name);
            name
        })
        .clone()
}

/// An image that has the program and no tool at all; gives its name.
pub fn bare_image(program: &str) -> String {
    let root = tempfile::tempdir().unwrap();
    std::fs::copy(program, root.path().join("tikv-chaos")).unwrap();
    let name = format!("tikv-chaos-test-bare:{}", unique());
    import(root.path(), &name);
    name
}

/// Copies a program and its libraries into a root, at the paths where the loader looks.
pub fn install(program: &Path, root: &Path) {
    let libraries = run("ldd", &[program.to_str().unwrap()]);
    let paths = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    for path in paths.chain([program.to_str().unwrap()]) {
        let target = root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(path, target).unwrap();
    }
}

pub fn import(root: &Path, name: &str) {
    let mut tar = Command::new("tar").args(["-c", "-C"]).arg(root).arg(".").stdout(Stdio::piped()).spawn().unwrap();
    let docker = Command::new("docker")
        .args(["import", "--change", "ENTRYPOINT [\"/tikv-server\"]", "--change", "ENV PATH=/usr/bin", "-", name])
        .stdin(tar.stdout.take().unwrap())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(tar.wait().unwrap().success() && docker.success(), "making the test's image failed");
}
