//! Which containers are nodes, and of which cluster. Pure: Docker's answers in, nodes out.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, EndpointSettings, HealthStatusEnum,
    MountPoint, NetworkSettings, PortMap,
};
use jiff::Timestamp;

use super::{
    belonging::{self, Belonging},
    node::{Endpoints, Health, Network, Node, Published, Role, State},
};
use crate::{
    chaos::{DataMount, MountKind},
    cluster::{assumed, pd::host_and_port},
};

pub const ROLE_LABEL: &str = "tikv-chaos.role";
/// Labels of Compose (docker/compose, pkg/api/labels.go); version 1 writes the same.
const PROJECT_LABEL: &str = "com.docker.compose.project";
const ONE_OFF_LABEL: &str = "com.docker.compose.oneoff";
const SERVICE_LABEL: &str = "com.docker.compose.service";

/// What tells that a container is a node, in the order of the questions asked.
pub fn role(summary: &ContainerSummary) -> Option<Role> {
    let label = |name: &str| summary.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    match label(ROLE_LABEL) {
        Some("tikv") => return Some(Role::Tikv),
        Some("pd") => return Some(Role::Pd),
        // Marked as something else: a holder, or a bystander that must not be taken for a node.
        Some(_) => return None,
        None => {}
    }
    // `docker compose run`: a tool in a node's image.
    if label(ONE_OFF_LABEL).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let program = summary.command.as_deref().and_then(program_of);
    if program.is_some_and(is_tool) {
        return None;
    }
    let repository = summary.image.as_deref().map(repository_end);
    if summary.command.as_deref().is_some_and(|command| belonging::is_pd_microservice([command])) {
        return None;
    }
    let service = label(SERVICE_LABEL).or_else(|| belonging::swarm_service(summary.labels.as_ref()?));
    if program == Some("tikv-server")
        || repository == Some("tikv")
        || service.is_some_and(|name| name.starts_with("tikv"))
    {
        return Some(Role::Tikv);
    }
    let is_pd = program == Some("pd-server") || repository == Some("pd") || service.is_some_and(is_pd_service);
    is_pd.then_some(Role::Pd)
}

/// The same of one container's full answer.
pub fn role_of(inspect: &ContainerInspectResponse) -> Option<Role> {
    let config = inspect.config.as_ref()?;
    let words = inspect.path.iter().chain(inspect.args.iter().flatten());
    role(&ContainerSummary {
        command: Some(words.map(String::as_str).collect::<Vec<_>>().join(" ")),
        image: config.image.clone(),
        labels: config.labels.clone(),
        ..ContainerSummary::default()
    })
}

/// The base name of the program that the container runs, behind an init such as tini.
fn program_of(command: &str) -> Option<&str> {
    const INITS: [&str; 4] = ["tini", "dumb-init", "docker-init", "catatonit"];
    let mut words = command.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let first = words.next()?;
    if INITS.contains(&first) { words.find(|word| !word.starts_with('-')) } else { Some(first) }
}

/// `tikv-ctl` and the like, run from a node's own image, are no node.
fn is_tool(program: &str) -> bool {
    matches!(program, "tikv-ctl" | "pd-ctl" | "pd-recover" | "sleep")
}

/// `pd`, `pd0`, `pd-a`, but not `pdns`: two letters are too few to take whatever follows.
fn is_pd_service(service: &str) -> bool {
    let rest = service.strip_prefix("pd").map(|rest| rest.bytes().next());
    rest.is_some_and(|next| next.is_none_or(|byte| !byte.is_ascii_alphabetic()))
}

/// The last part of an image's repository: `tikv` of `registry:5000/pingcap/tikv:v8.5.5@sha256:…`.
fn repository_end(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(':').next().unwrap_or(last)
}

/// One node from Docker's full answer. The cluster is filled in by `clusters`.
pub fn node(role: Role, inspect: &ContainerInspectResponse) -> Option<Node> {
    let state = inspect.state.as_ref()?;
    let config = inspect.config.as_ref()?;
    let label = |name: &str| config.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
    let running = matches!(state_of(state.status), State::Running | State::Paused);
    let started_at = state.started_at.clone().unwrap_or_default();
    let args = inspect.args.as_deref().unwrap_or_default();
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
        auto_remove: inspect.host_config.as_ref().and_then(|host| host.auto_remove).unwrap_or(false),
        data_dir: flag(args, assumed::DATA_DIR_FLAG).or_else(|| flag(args, "-s").filter(|_| role == Role::Tikv)),
        mounts: inspect.mounts.iter().flatten().filter_map(mount).collect(),
        endpoints: Endpoints { belonging, ..endpoints(role, args, inspect.network_settings.as_ref()) },
    })
}

fn endpoints(role: Role, args: &[String], settings: Option<&NetworkSettings>) -> Endpoints {
    let first = |names: &[&str]| names.iter().find_map(|name| flag(args, name));
    // PD's flags take several URLs.
    let address = |names: &[&str]| first(names).map(|value| value.split(',').next().unwrap_or_default().to_owned());
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
        belonging: Belonging::default(),
    }
}

/// The address that is listened on, where only the node's own namespace reaches it.
fn loopback(address: &str) -> Option<IpAddr> {
    let (host, _) = host_and_port(address)?;
    let ip = if host == "localhost" { Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse::<IpAddr>() };
    ip.ok().filter(IpAddr::is_loopback)
}

fn published(ports: &PortMap) -> Vec<Published> {
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

fn networks(endpoints: Option<&HashMap<String, EndpointSettings>>) -> Vec<Network> {
    let mut networks: Vec<Network> = endpoints
        .into_iter()
        .flatten()
        .map(|(name, endpoint)| {
            let addresses = [&endpoint.ip_address, &endpoint.global_ipv6_address];
            let ips = addresses.into_iter().flatten().filter_map(|text| text.parse::<IpAddr>().ok()).collect();
            Network { name: name.clone(), ips }
        })
        .collect();
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    networks
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

/// The value of a flag in either spelling: `--data-dir=/data`, `--data-dir /data`.
fn flag(args: &[String], name: &str) -> Option<String> {
    args.iter().enumerate().find_map(|(at, arg)| match arg.strip_prefix(name) {
        Some("") => args.get(at + 1).cloned(),
        Some(rest) => rest.strip_prefix('=').map(str::to_owned),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use bollard::models::PortBinding;

    use super::*;

    fn summary(image: &str, command: &str, labels: &[(&str, &str)]) -> ContainerSummary {
        ContainerSummary {
            image: Some(image.into()),
            command: Some(command.into()),
            labels: Some(labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn a_node_is_told_by_label_program_image_or_service() {
        let service = |name| [(SERVICE_LABEL, name)];
        let cases = [
            (summary("x", "/x", &[(ROLE_LABEL, "tikv")]), Some(Role::Tikv)),
            (summary("x", "/x", &[(ROLE_LABEL, "pd")]), Some(Role::Pd)),
            (summary("pingcap/tikv:v8.5.5", "/tikv-server", &[(ROLE_LABEL, "holder")]), None),
            (summary("my/thing", "/tikv-server --addr=0.0.0.0:20160", &[]), Some(Role::Tikv)),
            (summary("my/thing", "/bin/tini -g -- /pd-server", &[]), Some(Role::Pd)),
            (summary("registry:5000/pingcap/tikv:v8.5.5@sha256:abc", "/entry.sh", &[]), Some(Role::Tikv)),
            (summary("pingcap/pd", "/entry.sh", &[]), Some(Role::Pd)),
            (summary("pingcap/tikv", "sleep infinity", &[]), None),
            (summary("tikv-exporter", "/x", &[]), None),
            (summary("x", "/x", &service("tikv0")), Some(Role::Tikv)),
            (summary("x", "/x", &service("tikv-main")), Some(Role::Tikv)),
            (summary("x", "/x", &service("pd1")), Some(Role::Pd)),
            (summary("x", "/x", &service("pdns-server")), None),
            (summary("pingcap/tikv", "/tikv-ctl", &[(SERVICE_LABEL, "tikv0"), (ONE_OFF_LABEL, "True")]), None),
            (summary("sha256:0123", "/x", &[]), None),
            // A PD microservice is no member, whatever its service is called.
            (
                summary("pingcap/pd", "/pd-server services tso --listen-addr=http://0.0.0.0:3379", &service("pd-tso")),
                None,
            ),
            (
                summary(
                    "x",
                    "/x",
                    &[("com.docker.swarm.service.name", "db_tikv0"), ("com.docker.stack.namespace", "db")],
                ),
                Some(Role::Tikv),
            ),
        ];
        for (summary, expected) in cases {
            assert_eq!(role(&summary), expected, "{summary:?}");
        }
    }

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
    }
}
