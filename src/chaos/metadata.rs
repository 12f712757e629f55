//! The object that an injection returns: everything its clean-up needs, so that another process can clean up from it
//! alone. The fields of the original contract keep their names and types; ours stand beside them.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::Path,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Before, FaultType, InjectionId, Params, Partition, Peer, Shaped, Signal, Task, Value,
    network::{Cut, Delay, Direction, Distribution, Flavour, NetworkFault, Ppm, Shape},
    peer::silent,
    shaped,
};

/// One injection, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    #[serde(flatten)]
    pub fault: FaultMetadata,
    pub id: InjectionId,
    /// Docker's full id of the target: a recreated container has another one.
    pub container_id: String,
    /// When the target's process was started: a restarted container has a new network namespace.
    pub container_started_at: String,
    /// The Docker daemon that knows the target, by the id that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon_id: Option<String>,
    /// The injections that were made together with this one and end together bear the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<InjectionId>,
    /// The image that holds `tc`, `iptables` and `rm`, for the undo by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_image: Option<String>,
    /// What a node was like before it was taken out. Records of former versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// The target is this task of a Swarm service, which Swarm itself replaces when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
}

/// What was done, by type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "chaos_type", rename_all = "snake_case")]
pub enum FaultMetadata {
    NodeKill {
        target_container: String,
        signal: Signal,
    },
    Latency {
        min_ms: u64,
        max_ms: u64,
        #[serde(flatten)]
        shaped: Shaped,
    },
    DiskPressure {
        target_container: String,
        fill_percent: u64,
        /// Full path in the target.
        fill_file: String,
        /// Before the injection what is asked for, afterwards what was really allocated.
        fill_bytes: u64,
        /// No reserve is kept, so 100 % go to the last byte.
        whole: bool,
        mount: DataMount,
    },
    NetworkPartition {
        isolated_container: String,
        target_ips: Vec<IpAddr>,
        /// The names behind the addresses.
        peers: Vec<String>,
        /// Whose iptables holds the rules.
        #[serde(default)]
        flavour: Flavour,
        #[serde(default = "Direction::both")]
        direction: Direction,
        #[serde(default)]
        reject: bool,
        /// The peers' link-local addresses, which are no addresses of Docker's.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        link_local: Vec<Ipv6Addr>,
        /// Addresses and ports by which the peers are reached beside their own: those that the Docker host passes on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ends: Vec<SocketAddr>,
        /// What was made together with it at the peers' own ends, so that this object is enough for a clean-up.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        far: Vec<Metadata>,
        /// The nodes behind the addresses, which are theirs of now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        peer_nodes: Vec<Peer>,
    },
    PacketLoss(Shaped),
    PacketDuplicate(Shaped),
    PacketCorrupt(Shaped),
    PacketReorder(Shaped),
    Bandwidth(Shaped),
    NodePause {
        target_container: String,
    },
    NodeStop {
        target_container: String,
        timeout_s: u64,
    },
}

/// Where the fill file's folder comes from, so that the file can be found when the container is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataMount {
    pub kind: MountKind,
    /// A volume's name, or a folder of the Docker host.
    pub source: String,
    /// Where it is mounted in the target.
    pub destination: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    Volume,
    Bind,
}

impl DataMount {
    /// Whether a path in the target lies below this mount.
    pub fn holds(&self, path: &str) -> bool {
        Path::new(path).starts_with(&self.destination)
    }

    /// A file's place wherever the same volume is mounted: the volume or folder, and the path below it.
    pub fn place_of(&self, path: &str) -> Option<(String, String)> {
        let below = Path::new(path).strip_prefix(&self.destination).ok()?.to_str()?;
        Some((self.source.clone(), below.to_owned()))
    }
}

/// What shows that an injection's fault is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The state of the container itself, which bears no mark.
    State,
    /// A mark in the kernel or on a volume.
    Mark,
}

impl Metadata {
    pub fn evidence(&self) -> Evidence {
        match &self.fault {
            FaultMetadata::NodeKill { .. } | FaultMetadata::NodePause { .. } | FaultMetadata::NodeStop { .. } => {
                Evidence::State
            }
            _ => Evidence::Mark,
        }
    }

    /// Whether a mark is this injection's: a partition's chains tell by their id, whatever else stands in the network by
    /// its interface and its kind, files by their place.
    pub fn claims(&self, mark: &Self) -> bool {
        let same_life =
            self.container_id == mark.container_id && self.container_started_at == mark.container_started_at;
        if let (Some(ours), Some(found)) = (self.fault.shaped(), mark.fault.shaped()) {
            let met = found.shape.interfaces.iter().any(|interface| ours.shape.interfaces.contains(interface));
            return same_life && ours.shape.via == found.shape.via && met;
        }
        match (&self.fault, &mark.fault) {
            (
                FaultMetadata::DiskPressure { fill_file: ours, mount, .. },
                FaultMetadata::DiskPressure { fill_file: found, mount: at, .. },
            ) => mount.kind == at.kind && mount.place_of(ours).is_some_and(|place| at.place_of(found) == Some(place)),
            _ => same_life && self.id == mark.id && self.fault_type() == mark.fault_type(),
        }
    }

    pub fn fault_type(&self) -> FaultType {
        match &self.fault {
            FaultMetadata::NodeKill { .. } => FaultType::NodeKill,
            FaultMetadata::Latency { .. } => FaultType::Latency,
            FaultMetadata::DiskPressure { .. } => FaultType::DiskPressure,
            FaultMetadata::NetworkPartition { .. } => FaultType::NetworkPartition,
            FaultMetadata::PacketLoss(_) => FaultType::PacketLoss,
            FaultMetadata::PacketDuplicate(_) => FaultType::PacketDuplicate,
            FaultMetadata::PacketCorrupt(_) => FaultType::PacketCorrupt,
            FaultMetadata::PacketReorder(_) => FaultType::PacketReorder,
            FaultMetadata::Bandwidth(_) => FaultType::Bandwidth,
            FaultMetadata::NodePause { .. } => FaultType::NodePause,
            FaultMetadata::NodeStop { .. } => FaultType::NodeStop,
        }
    }

    /// The target's name at the time of the injection.
    pub fn target(&self) -> &str {
        match &self.fault {
            FaultMetadata::NodeKill { target_container, .. }
            | FaultMetadata::DiskPressure { target_container, .. }
            | FaultMetadata::NodePause { target_container }
            | FaultMetadata::NodeStop { target_container, .. }
            | FaultMetadata::NetworkPartition { isolated_container: target_container, .. } => target_container,
            FaultMetadata::Latency { shaped, .. }
            | FaultMetadata::PacketLoss(shaped)
            | FaultMetadata::PacketDuplicate(shaped)
            | FaultMetadata::PacketCorrupt(shaped)
            | FaultMetadata::PacketReorder(shaped)
            | FaultMetadata::Bandwidth(shaped) => &shaped.target_container,
        }
    }

    /// The part that the holder keeps in the target's network namespace, if the fault is one of the network.
    pub fn network(&self) -> Option<NetworkFault> {
        if let Some(shaped) = self.fault.shaped() {
            let mut shape = shaped.shape.clone();
            // A journal of the first version has the bounds alone.
            if let FaultMetadata::Latency { min_ms, max_ms, .. } = &self.fault
                && shape.impairment.delay.is_none()
            {
                shape.impairment.delay = Some(between(*min_ms, *max_ms));
            }
            return Some(NetworkFault::Shape(shape));
        }
        match &self.fault {
            FaultMetadata::NetworkPartition { target_ips, direction, reject, link_local, ends, .. } => {
                let ips = target_ips.iter().copied().chain(link_local.iter().map(|ip| IpAddr::V6(*ip))).collect();
                Some(NetworkFault::Drop(Cut { ips, ends: ends.clone(), direction: *direction, reject: *reject }))
            }
            _ => None,
        }
    }

    /// The parameters by which this fault would be asked for as it is now, where it can be changed while it holds.
    pub fn params(&self) -> Option<Params> {
        if let FaultMetadata::DiskPressure { fill_percent, fill_file, whole, .. } = &self.fault {
            let mut params = Params::defaults(FaultType::DiskPressure);
            params.put("fill_percent", Value::Number(*fill_percent));
            params.put("fill_shared", Value::Switch(*whole));
            let folder = fill_file.rsplit_once('/').map_or("", |(folder, _)| folder);
            params.put("target_path", Value::Text(if folder.is_empty() { "/" } else { folder }.to_owned()));
            return Some(params);
        }
        if let FaultMetadata::NetworkPartition { peers, direction, reject, .. } = &self.fault {
            // One of several is known by what it drops, and not by the shape that they have together.
            if self.group.is_some() {
                return None;
            }
            let shape = match direction {
                Direction::Both => Partition::Isolate,
                Direction::In => Partition::OneWayIn,
                Direction::Out => Partition::OneWayOut,
            };
            let mut params = Params::defaults(FaultType::NetworkPartition);
            params.put("shape", Value::Text(shape.name().to_owned()));
            params.put("peers", Value::List(peers.clone()));
            params.put("reject", Value::Switch(*reject));
            return Some(params);
        }
        let NetworkFault::Shape(shape) = self.network()? else { return None };
        let shaped = Shaped { shape, ..self.fault.shaped()?.clone() };
        Some(shaped.params(self.fault_type()))
    }

    /// A new injection's fill file: the contract's name, in the given folder.
    pub fn fill_file(folder: &str, now: Timestamp) -> String {
        format!("{}/chaos-fill-{}.tmp", folder.trim_end_matches('/'), now.as_millisecond())
    }

    /// Whether the path is one that [`Self::fill_file`] could have made. A clean-up never removes any other file,
    /// whatever the metadata says.
    pub fn is_fill_file(path: &str) -> bool {
        let Some((folder, file)) = path.rsplit_once('/') else { return false };
        let stamp = file.strip_prefix("chaos-fill-").and_then(|rest| rest.strip_suffix(".tmp"));
        let digits = stamp.is_some_and(|stamp| !stamp.is_empty() && stamp.bytes().all(|byte| byte.is_ascii_digit()));
        digits && path.starts_with('/') && folder.split('/').all(|part| part != "..")
    }
}

/// A uniform delay between these bounds.
fn between(min_ms: u64, max_ms: u64) -> Delay {
    Delay {
        mean_us: (min_ms + max_ms) * 500,
        jitter_us: max_ms.saturating_sub(min_ms) * 500,
        correlation: Ppm::NONE,
        distribution: Distribution::Uniform,
    }
}

impl FaultMetadata {
    /// The shaped part, whatever the type.
    pub fn shaped(&self) -> Option<&Shaped> {
        match self {
            Self::Latency { shaped, .. }
            | Self::PacketLoss(shaped)
            | Self::PacketDuplicate(shaped)
            | Self::PacketCorrupt(shaped)
            | Self::PacketReorder(shaped)
            | Self::Bandwidth(shaped) => Some(shaped),
            Self::NodeKill { .. }
            | Self::DiskPressure { .. }
            | Self::NetworkPartition { .. }
            | Self::NodePause { .. }
            | Self::NodeStop { .. } => None,
        }
    }

    /// What was made together with it at the peers' own ends.
    pub fn far(&self) -> &[Metadata] {
        match self {
            Self::NetworkPartition { far, .. } => far,
            other => other.shaped().map_or(&[], |shaped| &shaped.far),
        }
    }

    /// Says what is made together with it at the peers' own ends.
    pub fn set_far(&mut self, made: Vec<Metadata>) {
        if let Self::NetworkPartition { far, .. } = self {
            *far = made;
        } else if let Some(shaped) = self.shaped_mut() {
            shaped.far = made;
        }
    }

    pub(super) fn shaped_mut(&mut self) -> Option<&mut Shaped> {
        match self {
            Self::Latency { shaped, .. }
            | Self::PacketLoss(shaped)
            | Self::PacketDuplicate(shaped)
            | Self::PacketCorrupt(shaped)
            | Self::PacketReorder(shaped)
            | Self::Bandwidth(shaped) => Some(shaped),
            Self::NodeKill { .. }
            | Self::DiskPressure { .. }
            | Self::NetworkPartition { .. }
            | Self::NodePause { .. }
            | Self::NodeStop { .. } => None,
        }
    }

    /// Says whose iptables took the rules.
    pub fn set_flavour(&mut self, used: Flavour) {
        if let Self::NetworkPartition { flavour, .. } = self {
            *flavour = used;
        } else if let Some(shaped) = self.shaped_mut() {
            shaped.flavour = used;
        }
    }

    /// The metadata of a shaped fault of that type.
    pub fn of_shaped(kind: FaultType, shaped: Shaped) -> Self {
        match kind {
            FaultType::PacketLoss => Self::PacketLoss(shaped),
            FaultType::PacketDuplicate => Self::PacketDuplicate(shaped),
            FaultType::PacketCorrupt => Self::PacketCorrupt(shaped),
            FaultType::PacketReorder => Self::PacketReorder(shaped),
            FaultType::Bandwidth => Self::Bandwidth(shaped),
            _ => {
                let (min_ms, max_ms) = shaped.shape.impairment.delay.map_or((0, 0), shaped::bounds);
                Self::Latency { min_ms, max_ms, shaped }
            }
        }
    }

    /// A uniform latency of everything that leaves by these interfaces, by netem: the contract's.
    pub fn latency(target: &str, min_ms: u64, max_ms: u64, interfaces: &[&str]) -> Self {
        let mut shape = Shape::on(String::new());
        shape.interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
        shape.impairment.delay = Some(between(min_ms, max_ms));
        let interface = shape.interfaces.first().cloned().unwrap_or_default();
        let shaped = Shaped {
            target_container: target.to_owned(),
            interface,
            shape,
            to: Vec::new(),
            flavour: Flavour::default(),
            far: Vec::new(),
            peer_nodes: Vec::new(),
            spared_nodes: Vec::new(),
            own_ips: Vec::new(),
        };
        Self::Latency { min_ms, max_ms, shaped }
    }
}

/// The parameters in a few words: `50-150 ms on eth0, by netem`.
impl fmt::Display for FaultMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeKill { signal, .. } => f.write_str(signal.name()),
            Self::Latency { min_ms, max_ms, shaped } if shaped.shape.impairment.delay.is_none() => {
                write!(f, "{min_ms}-{max_ms} ms on {}, by netem", shaped.shape.interfaces.join(", "))
            }
            Self::Latency { shaped, .. }
            | Self::PacketLoss(shaped)
            | Self::PacketDuplicate(shaped)
            | Self::PacketCorrupt(shaped)
            | Self::PacketReorder(shaped)
            | Self::Bandwidth(shaped) => shaped.fmt(f),
            Self::NodePause { .. } => f.write_str("frozen"),
            Self::NodeStop { timeout_s, .. } => write!(f, "within {timeout_s} s"),
            Self::DiskPressure { fill_percent, fill_bytes, fill_file, .. } => {
                write!(f, "{fill_percent} % ({}) in {fill_file}", human_bytes(*fill_bytes))
            }
            Self::NetworkPartition { peers, target_ips, direction, reject, link_local, ends, peer_nodes, .. } => {
                let peers = peers.join(", ");
                match direction {
                    Direction::Both => write!(f, "from {peers}")?,
                    Direction::In => write!(f, "hears nothing of {peers}")?,
                    Direction::Out => write!(f, "not heard by {peers}")?,
                }
                let refused = if *reject { ", refused" } else { "" };
                write!(f, " ({} addresses", target_ips.len() + link_local.len())?;
                if !ends.is_empty() {
                    let ends: Vec<String> = ends.iter().map(ToString::to_string).collect();
                    write!(f, " and {}", ends.join(", "))?;
                }
                write!(f, "{refused}{})", silent(peer_nodes))
            }
        }
    }
}

/// Binary units with one digit after the point, as TiKV and Docker print sizes: `1.5 GiB`.
#[expect(clippy::cast_precision_loss, reason = "a figure of two digits")]
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::Fault;

    fn latency() -> Metadata {
        Metadata {
            fault: FaultMetadata::latency("tikv0", 50, 150, &["eth0"]),
            id: InjectionId::from_number(7),
            container_id: "c0".into(),
            container_started_at: "2026-01-30T09:00:00Z".into(),
            daemon_id: None,
            group: None,
            holder_image: None,
            before: None,
            task: None,
        }
    }

    #[test]
    fn the_contracts_fields_stand_at_the_top_level_with_their_types() {
        let json = serde_json::to_value(latency()).unwrap();
        assert_eq!(json["chaos_type"], "latency");
        assert_eq!(json["target_container"], "tikv0");
        assert_eq!(json["min_ms"], 50);
        assert_eq!(json["interface"], "eth0");
        assert_eq!(serde_json::from_value::<Metadata>(json).unwrap(), latency());
    }

    #[test]
    fn only_our_own_names_are_fill_files() {
        let made = Metadata::fill_file("/data/", Timestamp::from_second(1_700_000_000).unwrap());
        assert_eq!(made, "/data/chaos-fill-1700000000000.tmp");
        assert!(Metadata::is_fill_file(&made));
        for bad in
            ["/data/chaos-fill-.tmp", "/data/db", "/data/../etc/chaos-fill-1.tmp", "chaos-fill-1.tmp", "/etc/passwd"]
        {
            assert!(!Metadata::is_fill_file(bad), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_at_a_glance() {
        assert_eq!(human_bytes(512), "512 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(64 << 20), "64.0 MiB");
    }

    #[test]
    fn a_latency_of_the_first_version_is_read_on() {
        let old = serde_json::json!({ "chaos_type": "latency", "target_container": "tikv0", "min_ms": 50, "max_ms": 150,
            "interface": "eth0", "interfaces": ["eth0"], "id": "00000007", "container_id": "c0",
            "container_started_at": "2026-01-30T09:00:00Z" });
        let old: Metadata = serde_json::from_value(old).unwrap();
        assert_eq!(old.network(), latency().network());
        assert_eq!(old.fault.to_string(), latency().fault.to_string());
    }

    #[test]
    fn partition_without_ways_beside_its_addresses_is_read_on_and_one_with_them_is_written_whole() {
        let old = serde_json::json!({ "chaos_type": "network_partition", "isolated_container": "tikv0",
            "target_ips": ["10.0.0.2"], "peers": ["tikv1"], "id": "00000007", "container_id": "c0",
            "container_started_at": "2026-01-30T09:00:00Z" });
        let mut old: Metadata = serde_json::from_value(old).unwrap();
        assert_eq!(old.network(), Some(NetworkFault::Drop(Cut::off(vec!["10.0.0.2".parse().unwrap()]))));
        assert_eq!(old.fault.to_string(), "from tikv1 (1 addresses)");
        let json = serde_json::to_value(&old).unwrap();
        assert!(json.get("ends").is_none() && json.get("link_local").is_none(), "{json}");
        if let FaultMetadata::NetworkPartition { ends, link_local, .. } = &mut old.fault {
            ends.push("192.0.2.1:20161".parse().unwrap());
            link_local.push("fe80::2".parse().unwrap());
        }
        let Some(NetworkFault::Drop(cut)) = old.network() else { panic!() };
        assert_eq!((cut.ips.len(), cut.ends.len()), (2, 1));
        assert_eq!(old.fault.to_string(), "from tikv1 (2 addresses and 192.0.2.1:20161)");
        let json = serde_json::to_value(&old).unwrap();
        assert_eq!(serde_json::from_value::<Metadata>(json).unwrap(), old);
    }

    #[test]
    fn what_holds_can_be_asked_for_again_from_its_own_parameters() {
        let asked = |kind: FaultType, params: &Params| match Fault::from_params(kind, params) {
            Ok(Fault::Shape { impairment, scope, .. }) => (impairment, scope),
            other => panic!("{other:?}"),
        };
        let cases: [(FaultType, &[(&str, &str)]); 7] = [
            (FaultType::Latency, &[("min_ms", "30"), ("max_ms", "71"), ("distribution", "pareto"), ("limit", "7")]),
            (FaultType::PacketLoss, &[("percent", "7"), ("correlation", "30"), ("direction", "both")]),
            (FaultType::PacketLoss, &[("percent", "10"), ("burst_length", "8"), ("burst_percent", "50")]),
            (FaultType::PacketDuplicate, &[("percent", "3"), ("ports", "20160,7")]),
            (FaultType::PacketCorrupt, &[("percent", "3"), ("via", "shaper")]),
            (FaultType::PacketReorder, &[("percent", "3"), ("gap", "5"), ("delay_ms", "40")]),
            (FaultType::Bandwidth, &[("rate_kbit", "777"), ("burst_kb", "64"), ("via", "netem")]),
        ];
        for (kind, given) in cases {
            let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let (impairment, scope) = asked(kind, &Params::parse(kind, given).unwrap());
            let mut shape = Shape { direction: scope.direction, impairment, ..Shape::on("eth0") };
            shape.via = scope.via.unwrap_or_default();
            shape.filter.ports = (!scope.ports.is_empty()).then(|| scope.ports.clone());
            let shaped = Shaped {
                target_container: "a".into(),
                interface: "eth0".into(),
                shape,
                to: Vec::new(),
                flavour: Flavour::default(),
                far: Vec::new(),
                peer_nodes: Vec::new(),
                spared_nodes: Vec::new(),
                own_ips: Vec::new(),
            };
            let metadata = Metadata { fault: FaultMetadata::of_shaped(kind, shaped), ..latency() };
            let (as_held, held) = asked(kind, &metadata.params().unwrap());
            assert_eq!((as_held, held.ports, held.direction), (impairment, scope.ports, scope.direction), "{kind}");
            let json = serde_json::to_value(&metadata).unwrap();
            assert_eq!(serde_json::from_value::<Metadata>(json).unwrap(), metadata);
        }
    }
}
