//! What a node is like, and of which cluster it is. Pure: Docker's answers in, nodes out.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, EndpointSettings, HealthStatusEnum, MountPoint,
    NetworkSettings, PortMap,
};
use jiff::Timestamp;

pub use super::identity::ROLE_LABEL;
use super::{
    belonging::{self, Belonging},
    identity::{PROJECT_LABEL, SERVICE_LABEL},
    node::{Endpoints, Health, Network, Node, Published, Role, State},
};
use crate::{
    chaos::{DataMount, MountKind},
    cluster::{assumed, pd::host_and_port},
};

/// What is known of the node's own process.
#[derive(Debug, Default)]
pub struct Runs {
    pub args: Vec<String>,
    /// Where there is more than one, in words: `3 tikv-server processes in one container`.
    pub several: Option<String>,
}

/// One node from Docker's full answer. The cluster is filled in by `clusters`.
pub fn node(role: Role, inspect: &ContainerInspectResponse, runs: Runs) -> Option<Node> {
    let state = inspect.state.as_ref()?;
    let config = inspect.config.as_ref()?;
    let label = |name: &str| config.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
    let running = matches!(state_of(state.status), State::Running | State::Paused);
    let started_at = state.started_at.clone().unwrap_or_default();
    let args = &runs.args;
    let folder = config.working_dir.as_deref().filter(|folder| !folder.is_empty()).unwrap_or("/");
    let config_file = first_flag(args, &[assumed::CONFIG_FLAG, assumed::CONFIG_SHORT_FLAG]);
    let swarm = |of: fn(&HashMap<String, String>) -> Option<&str>| of(config.labels.as_ref()?).map(str::to_owned);
    let created = inspect.created.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let belonging = Belonging::of(role, args, config.labels.as_ref(), created);
    Some(Node {
        id: inspect.id.clone()?,
        name: inspect.name.as_deref()?.trim_start_matches('/').to_owned(),
        role,
        cluster: String::new(),
        project: label(PROJECT_LABEL).or_else(|| swarm(belonging::stack)),
        service: label(SERVICE_LABEL).or_else(|| swarm(belonging::swarm_service)),
        image: config.image.clone().unwrap_or_default(),
        state: state_of(state.status),
        health: health_of(state.health.as_ref().and_then(|health| health.status)),
        exit_code: state.exit_code.filter(|_| !running),
        restart_count: inspect.restart_count.unwrap_or(0),
        up_since: started_at.parse::<Timestamp>().ok().filter(|_| running),
        started_at,
        networks: networks(inspect.network_settings.as_ref().and_then(|settings| settings.networks.as_ref())),
        network_mode: inspect.host_config.as_ref().and_then(|host| host.network_mode.clone()).unwrap_or_default(),
        network_of: None,
        auto_remove: inspect.host_config.as_ref().and_then(|host| host.auto_remove).unwrap_or(false),
        data_dir: first_flag(args, data_dir_flags(role)),
        config_file: config_file.map(|file| Path::new(folder).join(file).to_string_lossy().into_owned()),
        mounts: inspect.mounts.iter().flatten().filter_map(mount).collect(),
        memory: memory(inspect),
        endpoints: Endpoints { belonging, ..endpoints(role, args, inspect.network_settings.as_ref()) },
        several: runs.several,
    })
}

fn data_dir_flags(role: Role) -> &'static [&'static str] {
    match role {
        Role::Tikv => &[assumed::DATA_DIR_FLAG, assumed::STORE_FLAG, assumed::STORE_SHORT_FLAG],
        Role::Pd => &[assumed::DATA_DIR_FLAG],
    }
}

fn endpoints(role: Role, args: &[String], settings: Option<&NetworkSettings>) -> Endpoints {
    // PD's flags take several URLs.
    let address =
        |names: &[&str]| first_flag(args, names).map(|value| value.split(',').next().unwrap_or_default().to_owned());
    let port = |address: Option<String>| address.and_then(|address| Some(host_and_port(&address)?.1));
    let advertised = match role {
        Role::Tikv => address(&[assumed::ADVERTISE_ADDR_FLAG]),
        Role::Pd => address(&[assumed::ADVERTISE_CLIENT_URLS_FLAG])
            .and_then(|url| host_and_port(&url).map(|(host, port)| format!("{host}:{port}"))),
    };
    let networks = settings.and_then(|settings| settings.networks.as_ref());
    let mut aliases: Vec<String> =
        networks.into_iter().flat_map(HashMap::values).flat_map(|one| one.aliases.iter().flatten().cloned()).collect();
    aliases.sort();
    aliases.dedup();
    Endpoints {
        advertised,
        port: port(address(&[assumed::ADDR_FLAG, "-A"])).filter(|_| role == Role::Tikv),
        http_port: match role {
            Role::Tikv => port(address(&[assumed::STATUS_ADDR_FLAG, assumed::ADVERTISE_STATUS_ADDR_FLAG])),
            Role::Pd => port(address(&[assumed::CLIENT_URLS_FLAG])),
        },
        loopback: address(&[assumed::STATUS_ADDR_FLAG])
            .and_then(|address| loopback(&address))
            .filter(|_| role == Role::Tikv),
        member: flag(args, assumed::NAME_FLAG).filter(|_| role == Role::Pd),
        aliases,
        published: settings.and_then(|settings| settings.ports.as_ref()).map(published).unwrap_or_default(),
        addresses: addresses(role, args),
        belonging: Belonging::default(),
    }
}

/// Every `host:port` by which others are told to reach the node, in a command that a shell may have been given whole.
fn addresses(role: Role, args: &[String]) -> Vec<String> {
    let names = match role {
        Role::Tikv => [assumed::ADVERTISE_ADDR_FLAG, assumed::ADVERTISE_STATUS_ADDR_FLAG],
        Role::Pd => [assumed::ADVERTISE_CLIENT_URLS_FLAG, assumed::ADVERTISE_PEER_URLS_FLAG],
    };
    let words: Vec<String> = args.iter().flat_map(|arg| arg.split_whitespace()).map(str::to_owned).collect();
    let values = names.iter().filter_map(|name| flag(&words, name));
    let mut found: Vec<String> = values
        .flat_map(|value| value.split(',').map(|one| one.trim_matches(['"', '\'']).to_owned()).collect::<Vec<_>>())
        .filter_map(|value| host_and_port(&value).map(|(host, port)| authority(host, port)))
        // What a shell would put there is not known.
        .filter(|address| !address.contains('$'))
        .collect();
    found.sort();
    found.dedup();
    found
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The address that is listened on, where only the node's own namespace reaches it.
fn loopback(address: &str) -> Option<IpAddr> {
    let (host, _) = host_and_port(address)?;
    let ip = if host == "localhost" { Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse::<IpAddr>() };
    ip.ok().filter(IpAddr::is_loopback)
}

pub fn published(ports: &PortMap) -> Vec<Published> {
    let mut published: Vec<Published> = ports
        .iter()
        .filter_map(|(name, bindings)| Some((name.strip_suffix("/tcp")?.parse().ok()?, bindings.as_ref()?)))
        .flat_map(|(container_port, bindings)| {
            bindings.iter().filter_map(move |binding| {
                let host = binding.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
                let port = binding.host_port.as_deref()?.parse().ok()?;
                Some(Published { container_port, address: host.parse().ok()?, port })
            })
        })
        .collect();
    published.sort();
    published
}

fn state_of(status: Option<ContainerStateStatusEnum>) -> State {
    match status {
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => State::Running,
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
        Some(ContainerStateStatusEnum::REMOVING) => State::Removing,
        Some(ContainerStateStatusEnum::EXITED) => State::Exited,
        Some(ContainerStateStatusEnum::DEAD) => State::Dead,
        Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EMPTY) | None => State::Created,
    }
}

fn health_of(status: Option<HealthStatusEnum>) -> Health {
    match status {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Health::None,
    }
}

pub fn networks(endpoints: Option<&HashMap<String, EndpointSettings>>) -> Vec<Network> {
    let mut networks: Vec<Network> = endpoints
        .into_iter()
        .flatten()
        .map(|(name, endpoint)| {
            let addresses = [&endpoint.ip_address, &endpoint.global_ipv6_address];
            let ips = addresses.into_iter().flatten().filter_map(|text| text.parse::<IpAddr>().ok()).collect();
            Network { name: name.clone(), ips, link_local: link_local(endpoint) }
        })
        .collect();
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    networks
}

/// What the kernel makes of the interface's hardware address (RFC 4291, appendix A). Docker switches IPv6 off on an
/// interface that has no address of it.
fn link_local(endpoint: &EndpointSettings) -> Option<Ipv6Addr> {
    endpoint.global_ipv6_address.as_ref().filter(|ip| !ip.is_empty())?;
    let bytes: Option<Vec<u8>> =
        endpoint.mac_address.as_ref()?.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let [a, b, c, d, e, f] = bytes?.try_into().ok()?;
    let pair = |one: u8, two: u8| u16::from_be_bytes([one, two]);
    Some(Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f)))
}

/// A volume or a folder of the host; other mounts have no name by which they would be found again.
pub fn mount(point: &MountPoint) -> Option<DataMount> {
    let destination = point.destination.clone()?;
    match point.typ.as_deref()? {
        "volume" => Some(DataMount { kind: MountKind::Volume, source: point.name.clone()?, destination }),
        "bind" => Some(DataMount { kind: MountKind::Bind, source: point.source.clone()?, destination }),
        _ => None,
    }
}

/// The container whose network this one has joined, as Docker names it.
pub fn joins(inspect: &ContainerInspectResponse) -> Option<&str> {
    inspect.host_config.as_ref()?.network_mode.as_deref()?.strip_prefix("container:")
}

/// Where the container has file systems of its own in memory: those that it was given, and those that Docker gives to each.
fn memory(inspect: &ContainerInspectResponse) -> Vec<String> {
    let host = inspect.host_config.as_ref();
    let given = host.and_then(|host| host.tmpfs.as_ref()).into_iter().flat_map(HashMap::keys).cloned();
    let mounted = inspect.mounts.iter().flatten().filter(|point| point.typ.as_deref() == Some("tmpfs"));
    // Of another's or the host's IPC namespace it is not the container's own.
    let ipc = host.and_then(|host| host.ipc_mode.as_deref()).unwrap_or_default();
    let shm = (ipc != "host" && !ipc.starts_with("container:")).then(|| "/dev/shm".to_owned());
    let mut memory: Vec<String> =
        given.chain(mounted.filter_map(|point| point.destination.clone())).chain(shm).collect();
    memory.sort();
    memory.dedup();
    memory
}

/// The value of a flag in any spelling: `--data-dir=/data`, `--data-dir /data`, `-s/data`.
fn flag(args: &[String], name: &str) -> Option<String> {
    let is_short = name.len() == 2;
    args.iter().enumerate().find_map(|(at, arg)| match arg.strip_prefix(name) {
        Some("") => args.get(at + 1).cloned(),
        Some(rest) if is_short && rest.starts_with(['/', '.']) => Some(rest.to_owned()),
        Some(rest) => rest.strip_prefix('=').map(str::to_owned),
        None => None,
    })
}

fn first_flag(args: &[String], names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| flag(args, name)).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use bollard::models::PortBinding;

    use super::*;

    #[test]
    fn where_a_node_listens_is_read_from_its_command_and_its_ports() {
        let args = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let binding = |ip: &str, port: &str| PortBinding { host_ip: Some(ip.into()), host_port: Some(port.into()) };
        let aliases = Some(vec!["tikv0".to_owned(), "a1b2c3".to_owned()]);
        let endpoint = EndpointSettings { aliases, ..EndpointSettings::default() };
        let settings = NetworkSettings {
            ports: Some(HashMap::from([
                ("20180/tcp".to_owned(), Some(vec![binding("0.0.0.0", "32768"), binding("::", "32768")])),
                ("20160/tcp".to_owned(), None),
                ("53/udp".to_owned(), Some(vec![binding("", "53")])),
            ])),
            networks: Some(HashMap::from([("x".to_owned(), endpoint)])),
            ..NetworkSettings::default()
        };
        let tikv = args("--addr=0.0.0.0:20161 --advertise-addr tikv0:20161 --status-addr=0.0.0.0:20181");
        let found = endpoints(Role::Tikv, &tikv, Some(&settings));
        assert_eq!(
            (found.advertised.as_deref(), found.port, found.http_port),
            (Some("tikv0:20161"), Some(20161), Some(20181))
        );
        assert_eq!(found.aliases, ["a1b2c3", "tikv0"]);
        let published: Vec<_> =
            found.published.iter().map(|one| (one.container_port, one.address.to_string(), one.port)).collect();
        assert_eq!(published, [(20180, "0.0.0.0".to_owned(), 32768), (20180, "::".to_owned(), 32768)]);
        let pd = args(
            "--name pd0 --client-urls=http://0.0.0.0:2381,http://[::]:2381 --advertise-client-urls=http://pd0:2381",
        );
        let found = endpoints(Role::Pd, &pd, None);
        assert_eq!((found.advertised.as_deref(), found.http_port), (Some("pd0:2381"), Some(2381)));
        assert_eq!(found.member.as_deref(), Some("pd0"));
        assert_eq!(endpoints(Role::Pd, &[], None), Endpoints::default());
    }

    #[test]
    fn advertised_addresses_are_read_behind_wrappers_too() {
        let args = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let tikv = ["--advertise-addr=192.0.2.1:20161", "--advertise-status-addr", "192.0.2.1:20181"];
        assert_eq!(endpoints(Role::Tikv, &args(&tikv), None).addresses, ["192.0.2.1:20161", "192.0.2.1:20181"]);
        let shell =
            ["-c", "sleep 1; exec /tikv-server --advertise-addr=\"192.0.2.1:20161\" --advertise-status-addr=$X:1"];
        assert_eq!(endpoints(Role::Tikv, &args(&shell), None).addresses, ["192.0.2.1:20161"]);
        let pd =
            ["--advertise-client-urls=http://a:2379,https://[fd00::1]:2379", "--advertise-peer-urls=http://a:2380"];
        assert_eq!(endpoints(Role::Pd, &args(&pd), None).addresses, ["[fd00::1]:2379", "a:2379", "a:2380"]);
        assert_eq!(endpoints(Role::Pd, &[], None).addresses, Vec::<String>::new());
    }

    #[test]
    fn link_local_address_is_made_of_the_hardware_address_where_there_is_ipv6() {
        let endpoint = |ipv6: &str| EndpointSettings {
            mac_address: Some("02:42:ac:11:00:02".into()),
            global_ipv6_address: Some(ipv6.into()),
            ..EndpointSettings::default()
        };
        assert_eq!(link_local(&endpoint("fd00::2")), Some("fe80::42:acff:fe11:2".parse().unwrap()));
        assert_eq!(link_local(&endpoint("")), None);
    }

    #[test]
    fn status_port_of_the_namespace_alone_is_told_by_its_address() {
        let of = |role, flag: &str| endpoints(role, &[flag.to_owned()], None).loopback.map(|ip| ip.to_string());
        let cases = [
            ("--status-addr=127.0.0.1:20180", Some("127.0.0.1")),
            ("--status-addr=localhost:20180", Some("127.0.0.1")),
            ("--status-addr=[::1]:20180", Some("::1")),
            ("--status-addr=0.0.0.0:20180", None),
            ("--status-addr=tikv0:20180", None),
            ("--advertise-status-addr=127.0.0.1:20180", None),
        ];
        for (flag, expected) in cases {
            assert_eq!(of(Role::Tikv, flag).as_deref(), expected, "{flag}");
            assert_eq!(of(Role::Pd, flag), None);
        }
    }

    #[test]
    fn flags_are_read_in_both_spellings() {
        let args = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(flag(&args(&["--data-dir=/var/lib/tikv"]), "--data-dir"), Some("/var/lib/tikv".into()));
        assert_eq!(flag(&args(&["--data-dir", "/a b"]), "--data-dir"), Some("/a b".into()));
        assert_eq!(flag(&args(&["--data-dir-x=/y", "--data-dir"]), "--data-dir"), None);
        let data_dir = |role, words: &[&str]| first_flag(&args(words), data_dir_flags(role));
        for words in [&["--store=/d"][..], &["--store", "/d"], &["-s", "/d"], &["-s=/d"], &["-s/d"]] {
            assert_eq!(data_dir(Role::Tikv, words), Some("/d".into()), "{words:?}");
            assert_eq!(data_dir(Role::Pd, words), None, "{words:?}");
        }
        assert_eq!(data_dir(Role::Tikv, &["--data-dir="]), None);
    }
}
