//! What a stand-in cluster is made of, as Docker is told it. Pure.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, Ipam, Mount, MountType, NetworkCreateRequest, PortBinding, VolumeCreateRequest,
};

use tikv_chaos_core::Version;

use super::addresses::Addresses;
use crate::{
    cluster::assumed::{PD_CLIENT_PORT, PD_PEER_PORT, TIKV_PORT, TIKV_STATUS_PORT},
    subject::docker::{discovery::ROLE_LABEL, image::PROGRAM},
};

/// The demo that a thing belongs to, by name.
pub const DEMO_LABEL: &str = "tikv-chaos.demo";
pub const MEMBERS: u16 = 3;
/// Room for the log of a small cluster, little enough that a full one costs nobody anything.
const VOLUME_MIB: u64 = 256;
/// Such that the default disk fault, four fifths of what is there, goes beyond it.
const RESERVE_MIB: u64 = 64;
const REGIONS_PER_STORE: u16 = 2;
const DATA: &str = "/data";
const LOAD: &str = "load";

/// Where the stores and the PDs find their configuration.
const STORE_FILE: &str = "/etc/tikv.toml";
const PD_FILE: &str = "/etc/pd.toml";

/// A stand-in cluster as somebody asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoSpec {
    /// Begins the name of everything that is made.
    pub name: String,
    /// How many stores.
    pub stores: u16,
    /// The version that it plays.
    pub version: Version,
    /// How much faster than TiKV's its clocks run.
    pub speed: f64,
    /// Operations a second of the built-in load; 0 is none.
    pub rate: u32,
    /// The port of this host, on the loopback address, that leads to the first PD.
    pub pd_port: Option<u16>,
}

/// One container to make.
pub struct Piece {
    pub host: String,
    pub name: String,
    pub body: ContainerCreateBody,
    /// A file to put into it before it starts: its path and its text.
    pub file: Option<(&'static str, String)>,
}

impl DemoSpec {
    /// Also the name of the cluster, by which `--project` knows it.
    pub fn network(&self) -> String {
        network(&self.name)
    }

    fn labels(&self, role: &str) -> HashMap<String, String> {
        [(ROLE_LABEL, role), (DEMO_LABEL, &self.name)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    pub fn network_request(&self, ipam: Option<Ipam>) -> NetworkCreateRequest {
        NetworkCreateRequest {
            name: self.network(),
            ipam,
            labels: Some([(DEMO_LABEL.to_owned(), self.name.clone())].into()),
            ..NetworkCreateRequest::default()
        }
    }

    /// A small file system in memory for each store, so that a full disk is one node's trouble. Podman takes a `size`
    /// for a quota, which tmpfs has not; there it is said in the kernel's pages. They are of 4 KiB; where they are
    /// larger, so is the volume.
    pub fn volumes(&self, is_podman: bool) -> Vec<VolumeCreateRequest> {
        let size = if is_podman { format!("nr_blocks={}", VOLUME_MIB * 256) } else { format!("size={VOLUME_MIB}m") };
        let options = [("type", "tmpfs".to_owned()), ("device", "tmpfs".to_owned()), ("o", size)];
        let options: HashMap<_, _> = options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let volume = |store| VolumeCreateRequest {
            name: Some(self.volume(store)),
            driver: Some("local".to_owned()),
            driver_opts: Some(options.clone()),
            labels: Some([(DEMO_LABEL.to_owned(), self.name.clone())].into()),
            ..VolumeCreateRequest::default()
        };
        (0..self.stores).map(volume).collect()
    }

    pub fn volume_names(&self) -> impl Iterator<Item = String> {
        (0..self.stores).map(|store| self.volume(store))
    }

    fn volume(&self, store: u16) -> String {
        format!("{}-tikv{store}", self.network())
    }

    /// The names by which the nodes know one another, in the order of their addresses.
    pub fn hosts(&self) -> Vec<String> {
        let pds = (0..MEMBERS).map(|at| format!("pd{at}"));
        pds.chain((0..self.stores).map(|at| format!("tikv{at}"))).chain([LOAD.to_owned()]).collect()
    }

    /// What a node's container is called.
    pub fn container(&self, host: &str) -> String {
        format!("{}-{host}", self.name)
    }

    /// The load first: it has the stores' volumes mounted too, and a file system in memory lives while somebody does.
    pub fn pieces(&self, image: &str, addresses: &Addresses) -> Vec<Piece> {
        let load = std::iter::once(self.load(image));
        let pds = (0..MEMBERS).map(|at| self.pd(image, at));
        let pieces = load.chain(pds).chain((0..self.stores).map(|at| self.store(image, at)));
        let placed = |mut piece: Piece| {
            addresses.place(&piece.host, &self.network(), &mut piece.body);
            piece
        };
        pieces.map(placed).collect()
    }

    fn pd(&self, image: &str, at: u16) -> Piece {
        let host = format!("pd{at}");
        let members: Vec<String> = (0..MEMBERS).map(|at| format!("pd{at}=http://pd{at}:{PD_PEER_PORT}")).collect();
        let args = vec![
            "pd".to_owned(),
            format!("--name={host}"),
            format!("--client-urls=http://0.0.0.0:{PD_CLIENT_PORT}"),
            format!("--peer-urls=http://0.0.0.0:{PD_PEER_PORT}"),
            format!("--advertise-client-urls=http://{host}:{PD_CLIENT_PORT}"),
            format!("--advertise-peer-urls=http://{host}:{PD_PEER_PORT}"),
            format!("--initial-cluster={}", members.join(",")),
            format!("--data-dir={DATA}"),
            format!("--config={PD_FILE}"),
        ];
        let (stores, regions) = (self.stores, self.stores * REGIONS_PER_STORE);
        let file = format!("{}stores = {stores}\nregions = {regions}\n", self.played());
        let ports = self.pd_port.filter(|_| at == 0).map(|port| {
            let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.to_string()) };
            HashMap::from([(format!("{PD_CLIENT_PORT}/tcp"), Some(vec![binding]))])
        });
        let host_config = HostConfig { port_bindings: ports, ..HostConfig::default() };
        Piece { file: Some((PD_FILE, file)), ..self.piece(image, &host, "pd", args, host_config) }
    }

    fn store(&self, image: &str, at: u16) -> Piece {
        let host = format!("tikv{at}");
        let args = vec![
            "store".to_owned(),
            format!("--addr=0.0.0.0:{TIKV_PORT}"),
            format!("--advertise-addr={host}:{TIKV_PORT}"),
            format!("--status-addr=0.0.0.0:{TIKV_STATUS_PORT}"),
            format!("--advertise-status-addr={host}:{TIKV_STATUS_PORT}"),
            format!("--data-dir={DATA}"),
            format!("--pd={}", pd_addresses()),
            format!("--config={STORE_FILE}"),
        ];
        let mounts = Some(vec![mount(self.volume(at), DATA.to_owned(), false)]);
        let file = format!("[storage]\nreserve-space = \"{RESERVE_MIB}MiB\"\n\n{}", self.played());
        let piece = self.piece(image, &host, "tikv", args, HostConfig { mounts, ..HostConfig::default() });
        Piece { file: Some((STORE_FILE, file)), ..piece }
    }

    /// The table of a configuration that only the stand-in has.
    fn played(&self) -> String {
        format!("[standin]\nversion = \"{}\"\nspeed = {}\n", self.version, self.speed)
    }

    fn load(&self, image: &str) -> Piece {
        let args = vec![
            "load".to_owned(),
            format!("--pd={}", pd_addresses()),
            format!("--rate={}", self.rate),
            format!("--speed={}", self.speed),
        ];
        let mounts = (0..self.stores).map(|at| mount(self.volume(at), format!("/kept/tikv{at}"), true)).collect();
        self.piece(image, LOAD, "ignore", args, HostConfig { mounts: Some(mounts), ..HostConfig::default() })
    }

    fn piece(&self, image: &str, host: &str, role: &str, args: Vec<String>, host_config: HostConfig) -> Piece {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            hostname: Some(host.to_owned()),
            entrypoint: Some(vec![PROGRAM.to_owned(), "demo-node".to_owned()]),
            cmd: Some(args),
            labels: Some(self.labels(role)),
            exposed_ports: host_config.port_bindings.as_ref().map(|ports| ports.keys().cloned().collect()),
            host_config: Some(HostConfig {
                network_mode: Some(self.network()),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                ..host_config
            }),
            ..ContainerCreateBody::default()
        };
        Piece { host: host.to_owned(), name: self.container(host), body, file: None }
    }
}

/// The network of the demo of that name.
pub fn network(name: &str) -> String {
    format!("tikv-chaos-{name}")
}

fn pd_addresses() -> String {
    (0..MEMBERS).map(|at| format!("pd{at}:{PD_CLIENT_PORT}")).collect::<Vec<_>>().join(",")
}

fn mount(volume: String, target: String, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume),
        target: Some(target),
        read_only: Some(read_only),
        ..Mount::default()
    }
}
