//! The object that an injection returns: everything its clean-up needs, so that another process can clean up from it
//! alone. The fields of the original contract keep their names and types; ours stand beside them.

use std::{fmt, net::IpAddr, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    FaultType, InjectionId, Params, Signal, Value,
    network::{Flavour, NetworkFault},
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
    /// The image that holds `tc`, `iptables` and `rm`, for the undo by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_image: Option<String>,
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
        target_container: String,
        min_ms: u64,
        max_ms: u64,
        /// The first of `interfaces`; the contract knows only one.
        interface: String,
        interfaces: Vec<String>,
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
            FaultMetadata::NodeKill { .. } => Evidence::State,
            FaultMetadata::Latency { .. }
            | FaultMetadata::DiskPressure { .. }
            | FaultMetadata::NetworkPartition { .. } => Evidence::Mark,
        }
    }

    /// Whether a mark is this injection's: chains tell by their id, delays by the interface, files by their place.
    pub fn claims(&self, mark: &Self) -> bool {
        let same_life =
            self.container_id == mark.container_id && self.container_started_at == mark.container_started_at;
        match (&self.fault, &mark.fault) {
            (FaultMetadata::Latency { interfaces: ours, .. }, FaultMetadata::Latency { interfaces: found, .. }) => {
                same_life && found.iter().any(|interface| ours.contains(interface))
            }
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
        }
    }

    /// The target's name at the time of the injection.
    pub fn target(&self) -> &str {
        match &self.fault {
            FaultMetadata::NodeKill { target_container, .. }
            | FaultMetadata::Latency { target_container, .. }
            | FaultMetadata::DiskPressure { target_container, .. }
            | FaultMetadata::NetworkPartition { isolated_container: target_container, .. } => target_container,
        }
    }

    /// The part that the holder keeps in the target's network namespace, if the fault is one of the network.
    pub fn network(&self) -> Option<NetworkFault> {
        match &self.fault {
            FaultMetadata::Latency { min_ms, max_ms, interfaces, .. } => {
                Some(NetworkFault::Delay { min_ms: *min_ms, max_ms: *max_ms, interfaces: interfaces.clone() })
            }
            FaultMetadata::NetworkPartition { target_ips, .. } => Some(NetworkFault::Drop { ips: target_ips.clone() }),
            FaultMetadata::NodeKill { .. } | FaultMetadata::DiskPressure { .. } => None,
        }
    }

    /// The parameters by which this fault would be asked for as it is now: what a change begins from.
    pub fn params(&self) -> Params {
        let mut params = Params::defaults(self.fault_type());
        match &self.fault {
            FaultMetadata::NodeKill { signal, .. } => params.put("signal", Value::Text(signal.name().to_owned())),
            FaultMetadata::Latency { min_ms, max_ms, interfaces, .. } => {
                params.put("min_ms", Value::Number(*min_ms));
                params.put("max_ms", Value::Number(*max_ms));
                if let [only] = &interfaces[..] {
                    params.put("interface", Value::Text(only.clone()));
                }
            }
            FaultMetadata::DiskPressure { fill_percent, fill_file, whole, .. } => {
                let folder = fill_file.rsplit_once('/').map_or("", |(folder, _)| folder);
                params.put("fill_percent", Value::Number(*fill_percent));
                params.put("target_path", Value::Text(if folder.is_empty() { "/" } else { folder }.to_owned()));
                params.put("fill_shared", Value::Switch(*whole));
            }
            FaultMetadata::NetworkPartition { peers, .. } => {
                params.put("peers", Value::List(peers.clone()));
            }
        }
        params
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

/// The parameters in a few words: `50–150 ms on eth0`.
impl fmt::Display for FaultMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeKill { signal, .. } => f.write_str(signal.name()),
            Self::Latency { min_ms, max_ms, interfaces, .. } => {
                write!(f, "{min_ms}-{max_ms} ms on {}", interfaces.join(", "))
            }
            Self::DiskPressure { fill_percent, fill_bytes, fill_file, .. } => {
                write!(f, "{fill_percent} % ({}) in {fill_file}", human_bytes(*fill_bytes))
            }
            Self::NetworkPartition { peers, target_ips, .. } => {
                write!(f, "from {} ({} addresses)", peers.join(", "), target_ips.len())
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

    fn latency() -> Metadata {
        Metadata {
            fault: FaultMetadata::Latency {
                target_container: "tikv0".into(),
                min_ms: 50,
                max_ms: 150,
                interface: "eth0".into(),
                interfaces: vec!["eth0".into()],
            },
            id: InjectionId::from_number(7),
            container_id: "c0".into(),
            container_started_at: "2026-01-30T09:00:00Z".into(),
            daemon_id: None,
            holder_image: None,
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
}
