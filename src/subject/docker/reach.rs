//! Ways to the ports of nodes: one that the Docker host publishes, the container's own address, a relay inside its
//! network. Which one worked is remembered for each node.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    beside::Beside,
    client,
    endpoint::authority,
    host::TikvSubject,
    node::{Node, Role, Snapshot, State},
};
use crate::{
    cluster::{
        self, ClusterState, ConfigCache, Port, Reached, Reader,
        assumed::{METRICS, PD_VERSION},
        http::{Answer, Client, HttpError, Place},
        member::{Kind, Member, Roster},
        pd::host_and_port,
        tls::Tls,
    },
    holder::protocol::{self, Ask},
    subject::SubjectError,
};

/// How long a relay may take to answer, beside what it may take to ask.
const RELAY_PATIENCE: Duration = Duration::from_secs(3);
/// How long until a relay that could not be made is tried again.
const RELAY_AGAIN: Duration = Duration::from_secs(10);

/// What the subject remembers of the cluster and of the ways to it.
pub(super) struct Readings {
    client: Client,
    reader: Reader,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The way that worked, by the life of a container and its port.
    ways: HashMap<(String, String, u16), Way>,
    /// Networks in which this host reaches containers by their own addresses.
    direct: HashSet<String>,
    /// Relays that could not be made, by the container's name.
    failed: HashMap<String, (Instant, String)>,
}

impl Readings {
    pub fn new(tls: Option<Tls>, configs: ConfigCache) -> Self {
        Self { client: Client::new(tls), reader: Reader::keeping(configs), known: Mutex::default() }
    }

    pub const fn configs(&self) -> &ConfigCache {
        self.reader.configs()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the Docker daemon is, seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Daemon {
    Here,
    At(String),
}

impl Daemon {
    /// From a `DOCKER_HOST`.
    fn of(host: &str) -> Self {
        let remote = ["tcp://", "http://", "https://", "ssh://"].iter().find_map(|scheme| host.strip_prefix(scheme));
        let Some(remote) = remote else { return Self::Here };
        let remote = remote.rsplit_once('@').map_or(remote, |(_, host)| host);
        Self::At(authority(remote).map_or_else(|_| remote.to_owned(), |(name, _)| name))
    }

    /// Its address as this host writes it.
    fn host(&self) -> &str {
        match self {
            Self::Here => "127.0.0.1",
            Self::At(host) => host,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// A port of the Docker host: published, or of a container that uses the host's own network.
    Host(String),
    /// The container's own address in a network.
    Direct { network: String, address: SocketAddr },
    /// The same, asked from inside.
    Relay { network: String, address: SocketAddr },
    /// A loopback address in the node's own network, asked from inside that.
    Inside(SocketAddr),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => write!(f, "port {address} of the Docker host"),
            Self::Direct { network, address } => write!(f, "{address} in {network}"),
            Self::Relay { network, address } => write!(f, "{address} through a relay in {network}"),
            Self::Inside(address) => write!(f, "{address} through a relay in the container's own network"),
        }
    }
}

/// Every way that there may be, the likeliest first.
fn ways(node: &Node, port: Port, daemon: &Daemon) -> Vec<Way> {
    let host = |address: String, port: u16| match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => Way::Host(format!("[{address}]:{port}")),
        _ => Way::Host(format!("{address}:{port}")),
    };
    // Of the host's own network it is the host's loopback.
    let by_command = node.endpoints.loopback.filter(|_| node.endpoints.http_port == Some(port.number));
    let (loopback, port) = (port.loopback.or(by_command), port.number);
    if let Some(ip) = loopback.filter(|_| node.network_mode != "host") {
        return vec![Way::Inside(SocketAddr::new(ip, port))];
    }
    let mut ways = Vec::new();
    for published in node.endpoints.published.iter().filter(|one| one.container_port == port) {
        let everywhere = published.address.is_unspecified();
        let address = if everywhere { daemon.host().to_owned() } else { published.address.to_string() };
        let way = host(address, published.port);
        // It is published for both families alike.
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    if node.network_mode == "host" {
        ways.push(host(daemon.host().to_owned(), port));
    }
    let inside = node
        .networks
        .iter()
        .flat_map(|network| network.ips.iter().map(|ip| (network.name.clone(), SocketAddr::new(*ip, port))));
    let inside: Vec<(String, SocketAddr)> = inside.collect();
    if *daemon == Daemon::Here {
        ways.extend(inside.iter().cloned().map(|(network, address)| Way::Direct { network, address }));
    }
    // One relay is enough for a node.
    ways.extend(inside.into_iter().next().map(|(network, address)| Way::Relay { network, address }));
    ways
}

/// The nodes of every cluster, as the reader knows them.
fn rosters(snapshot: &Snapshot) -> Vec<Roster> {
    let clusters = snapshot.clusters().into_iter();
    let of = |cluster: &str| snapshot.nodes.iter().filter(|node| node.cluster == cluster).map(member).collect();
    clusters.map(|cluster| Roster { cluster: cluster.to_owned(), members: of(cluster) }).collect()
}

fn member(node: &Node) -> Member {
    let hosts = node.service.iter().chain(&node.endpoints.aliases).cloned();
    Member {
        id: node.id.clone(),
        name: node.name.clone(),
        kind: match node.role {
            Role::Tikv => Kind::Tikv,
            Role::Pd => Kind::Pd,
        },
        life: node.started_at.clone(),
        silent: (node.state != State::Running).then(|| format!("is {}", node.state)),
        advertised: node.endpoints.advertised.clone(),
        hosts: hosts.chain(node.ips().map(|ip| ip.to_string())).collect(),
        port: node.endpoints.port,
        http_port: node.endpoints.http_port,
        member: node.endpoints.member.clone(),
    }
}

/// The name by which the node knows itself, for a certificate.
fn own_name(node: &Node) -> &str {
    let advertised = node.endpoints.advertised.as_deref().and_then(host_and_port).map(|(host, _)| host);
    advertised.or(node.service.as_deref()).unwrap_or(&node.name)
}

impl TikvSubject {
    /// What every cluster of the snapshot says of itself now. Asks all that is due at the same time; whatever does not
    /// answer is an error in its place, and the value that it gave before stays with its age.
    pub async fn cluster_states(&self, snapshot: &Snapshot) -> Vec<ClusterState> {
        let nodes: HashMap<&str, &Node> = snapshot.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let lives = |id: &str, start: &str| nodes.get(id).is_some_and(|node| node.started_at == start);
        self.readings.known().ways.retain(|(id, start, _), _| lives(id, start));
        let reach = Reach { subject: self, nodes, daemon: Daemon::of(&client::host()) };
        let (rosters, project) = (rosters(snapshot), self.options.project.as_deref());
        // A watch puts nodes in other clusters by what PD says, and asks none itself.
        let (states, _) = tokio::join!(self.readings.reader.read(&rosters, &reach), self.settle(snapshot, project));
        states
    }

    /// Asks one node of the snapshot.
    pub(super) async fn get(&self, snapshot: &Snapshot, id: &str, port: u16, path: &str) -> Result<Answer, String> {
        let nodes = snapshot.by_id(id).map(|node| (node.id.as_str(), node)).into_iter().collect();
        let reach = Reach { subject: self, nodes, daemon: Daemon::of(&client::host()) };
        cluster::Reach::get(&reach, id, port.into(), path).await.map(|reached| reached.answer)
    }
}

impl TikvSubject {
    /// Asks a node at its status port, or PD at its client port, for anything: any answer over HTTP will do. The error goes
    /// on where "its status port …" ends.
    pub(super) async fn answers(&self, node: &Node) -> Result<(), String> {
        let asked = member(node);
        // In a network that several nodes use, another may listen at the usual port.
        if asked.http_port.is_none() && (node.is_on_host() || node.joins().is_some()) {
            return Err("is not known".to_owned());
        }
        let path = match node.role {
            Role::Tikv => METRICS,
            Role::Pd => PD_VERSION,
        };
        let nodes = HashMap::from([(node.id.as_str(), node)]);
        let reach = Reach { subject: self, nodes, daemon: Daemon::of(&client::host()) };
        cluster::Reach::get(&reach, &node.id, asked.http_port().into(), path).await.map(|_| ())
    }
}

struct Reach<'a> {
    subject: &'a TikvSubject,
    /// By id: each is asked for every second, of however many there are.
    nodes: HashMap<&'a str, &'a Node>,
    daemon: Daemon,
}

impl cluster::Reach for Reach<'_> {
    async fn get(&self, id: &str, port: Port, path: &str) -> Result<Reached, String> {
        let node = *self.nodes.get(id).ok_or_else(|| "is gone".to_owned())?;
        let key = (node.id.clone(), node.started_at.clone(), port.number);
        let mut errors: Vec<String> = Vec::new();
        for way in self.candidates(node, port, &key) {
            match self.try_way(node, &way, path).await {
                Ok(answer) => {
                    let via = way.to_string();
                    self.subject.readings.known().ways.insert(key, way);
                    return Ok(Reached { via, answer });
                }
                Err(Trouble::NoWay(reason)) => errors.push(reason),
                Err(Trouble::Answer(reason)) => return Err(reason),
            }
        }
        self.subject.readings.known().ways.remove(&key);
        // What the likeliest way said comes first.
        let nowhere = || format!("has no port {} that is published, and no address that can be reached", port.number);
        Err(errors.into_iter().reduce(|all, one| format!("{all}; {one}")).unwrap_or_else(nowhere))
    }
}

/// Why a way gave no answer.
enum Trouble {
    /// It does not lead there; another may.
    NoWay(String),
    /// It leads there, and this is what came of it.
    Answer(String),
}

impl Reach<'_> {
    /// The way that worked before goes first. Where this host reaches the network, a relay would find no more than we.
    fn candidates(&self, node: &Node, port: Port, key: &(String, String, u16)) -> Vec<Way> {
        let mut ways = ways(node, port, &self.daemon);
        let known = self.subject.readings.known();
        if let Some(at) = known.ways.get(key).and_then(|way| ways.iter().position(|other| other == way)) {
            ways[..=at].rotate_right(1);
        }
        let reached =
            ways.iter().any(|way| matches!(way, Way::Direct { network, .. } if known.direct.contains(network)));
        ways.retain(|way| !(reached && matches!(way, Way::Relay { .. })));
        ways
    }

    async fn try_way(&self, node: &Node, way: &Way, path: &str) -> Result<Answer, Trouble> {
        let place = |address: String| Place { address, name: own_name(node).to_owned() };
        match way {
            Way::Host(address) => {
                let went = self.subject.readings.client.get(&place(address.clone()), path).await;
                went.map_err(|error| match error {
                    // Docker's own proxy takes the connection before it knows whether anybody is behind.
                    HttpError::Unreachable { .. } | HttpError::Closed { .. } => Trouble::NoWay(error.to_string()),
                    _ => Trouble::Answer(error.to_string()),
                })
            }
            Way::Direct { network, address } => {
                let went = self.subject.readings.client.get(&place(address.to_string()), path).await;
                let known = match &went {
                    Err(HttpError::Unreachable { refused, .. }) => *refused,
                    _ => true,
                };
                if known {
                    self.subject.readings.known().direct.insert(network.clone());
                }
                went.map_err(|error| match error {
                    HttpError::Unreachable { refused: false, .. } => Trouble::NoWay(error.to_string()),
                    _ => Trouble::Answer(error.to_string()),
                })
            }
            // Boxed: it is large, and most nodes are asked in another way.
            Way::Relay { network, address } => {
                let beside = Beside::Network { name: network.clone() };
                Box::pin(self.relay(&beside, place(address.to_string()), path)).await
            }
            Way::Inside(address) => Box::pin(self.relay(&Beside::inside(node), place(address.to_string()), path)).await,
        }
    }

    async fn relay(&self, beside: &Beside, place: Place, path: &str) -> Result<Answer, Trouble> {
        let (readings, name) = (&self.subject.readings, beside.container_name());
        if let Some((at, reason)) = readings.known().failed.get(&name)
            && at.elapsed() < RELAY_AGAIN
        {
            return Err(Trouble::NoWay(reason.clone()));
        }
        let ask = Ask::Fetch { place, path: path.to_owned(), tls: readings.client.tls().map(|tls| tls.pem.clone()) };
        match self.subject.ask_relay(beside, ask).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Trouble::Answer(error.to_string())),
            Err(error) => {
                let reason = format!("no relay in {}: {error}", beside.name());
                tracing::warn!(network = beside.name(), %error, "no relay");
                readings.known().failed.insert(name, (Instant::now(), reason.clone()));
                Err(Trouble::NoWay(reason))
            }
        }
    }
}

impl TikvSubject {
    /// Asks the relay of a network, or its successor where that one quit meanwhile.
    async fn ask_relay(&self, beside: &Beside, ask: Ask) -> Result<Result<Answer, HttpError>, SubjectError> {
        let failed = |reason: String| SubjectError::Holder { target: beside.name().to_owned(), reason };
        for _ in 0..3 {
            let relay = self.relay(beside).await?;
            let answer = timeout(RELAY_PATIENCE, relay.ask(ask.clone())).await;
            return match answer {
                Err(_) => Err(failed(format!("it did not answer within {} s", RELAY_PATIENCE.as_secs()))),
                Ok(Err(_)) if !relay.is_alive() => continue,
                Ok(Err(error)) => Err(error),
                Ok(Ok(protocol::Answer::Fetched { result })) => Ok(result),
                Ok(Ok(other)) => Err(failed(format!("it answered {other:?}"))),
            };
        }
        Err(failed("it ends as soon as it is made".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::docker::{Endpoints, Network, Published};

    fn node(published: &[(&str, u16)], networks: &[(&str, &str)]) -> Node {
        Node {
            id: "id".into(),
            role: Role::Pd,
            cluster: "demo".into(),
            service: Some("pd0".into()),
            networks: networks
                .iter()
                .map(|(name, ip)| Network { name: name.to_string(), ips: vec![ip.parse().unwrap()], link_local: None })
                .collect(),
            endpoints: Endpoints {
                published: published
                    .iter()
                    .map(|(ip, port)| Published { container_port: 2379, address: ip.parse().unwrap(), port: *port })
                    .collect(),
                ..Endpoints::default()
            },
            ..Node::bare("demo-pd0-1")
        }
    }

    fn said(node: &Node, daemon: &str) -> Vec<String> {
        ways(node, 2379.into(), &Daemon::of(daemon)).iter().map(ToString::to_string).collect()
    }

    const HERE: &str = "unix:///var/run/docker.sock";

    #[test]
    fn a_published_port_goes_first_and_a_relay_last() {
        let node = node(&[("0.0.0.0", 12379), ("::", 12379)], &[("demo", "172.18.0.2")]);
        let expected = [
            "port 127.0.0.1:12379 of the Docker host",
            "172.18.0.2:2379 in demo",
            "172.18.0.2:2379 through a relay in demo",
        ];
        assert_eq!(said(&node, HERE), expected);
        assert!(ways(&node, 2380.into(), &Daemon::Here).iter().all(|way| !matches!(way, Way::Host(_))));
    }

    #[test]
    fn a_container_of_a_remote_docker_is_not_reached_by_its_own_address() {
        let node = node(&[("0.0.0.0", 12379), ("192.0.2.7", 22379)], &[("demo", "172.18.0.2")]);
        let expected = [
            "port 192.0.2.1:12379 of the Docker host",
            "port 192.0.2.7:22379 of the Docker host",
            "172.18.0.2:2379 through a relay in demo",
        ];
        assert_eq!(said(&node, "tcp://192.0.2.1:2375"), expected);
        assert!(said(&node, "tcp://[fd00::1]:2375")[0].contains("[fd00::1]:12379"));
    }

    #[test]
    fn status_port_on_loopback_is_asked_from_inside() {
        let mut node = node(&[("127.0.0.1", 12379)], &[("demo", "172.18.0.2")]);
        node.role = Role::Tikv;
        node.endpoints.loopback = Some([127, 0, 0, 1].into());
        node.endpoints.http_port = Some(2379);
        let expected = ["127.0.0.1:2379 through a relay in the container's own network"];
        assert_eq!(
            (said(&node, HERE), said(&node, "tcp://192.0.2.1:2375")),
            (expected.map(str::to_owned).to_vec(), expected.map(str::to_owned).to_vec())
        );
        assert_eq!(ways(&node, 2380.into(), &Daemon::Here).len(), 2, "another port is where it was");
        node.endpoints.loopback = None;
        let listed = Port { number: 20180, loopback: Some([127, 0, 0, 1].into()) };
        assert_eq!(ways(&node, listed, &Daemon::Here), [Way::Inside(([127, 0, 0, 1], 20180).into())]);
        node.network_mode = "host".into();
        assert!(said(&node, HERE).iter().all(|way| way.ends_with("of the Docker host") || way.contains("172.18.0.2")));
    }

    #[test]
    fn the_hosts_own_network_is_reached_at_the_host() {
        let mut node = node(&[], &[]);
        assert!(said(&node, HERE).is_empty());
        node.network_mode = "host".into();
        assert_eq!(said(&node, HERE), ["port 127.0.0.1:2379 of the Docker host"]);
    }
}
