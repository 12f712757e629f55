//! The undo of an injection as a person would type it, needing nothing but the Docker client and, for the network and
//! the disk, the holder's image, which stays on the Docker host.

use std::net::IpAddr;

use super::{
    Command, DataMount, FaultMetadata, Metadata, MountKind,
    network::{Family, QDISC_HANDLE, removal_text},
};

/// The repository of the holder's images that are made here.
pub const HOLDER_REPOSITORY: &str = "tikv-chaos-holder";

/// The commands, in order. A command that finds nothing to undo fails and does no harm.
pub fn undo_commands(metadata: &Metadata) -> Vec<Command> {
    let image = metadata.holder_image.as_deref().unwrap_or(HOLDER_REPOSITORY);
    match &metadata.fault {
        // By its id, which stays when it is renamed.
        FaultMetadata::NodeKill { .. } => vec![Command::new("docker", ["start", &metadata.container_id])],
        FaultMetadata::Latency { interfaces, .. } => interfaces
            .iter()
            .map(|interface| {
                let tc = ["qdisc", "del", "dev", interface, "root", "handle", QDISC_HANDLE];
                in_namespace(metadata, image, "tc", &tc)
            })
            .collect(),
        FaultMetadata::NetworkPartition { target_ips, flavour, .. } => [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| target_ips.iter().any(|ip| Family::of(ip) == *family))
            .map(|family| {
                let restore = flavour.restore(family);
                in_namespace(metadata, image, &restore, &["--noflush"]).with_stdin(removal_text(&metadata.id))
            })
            .collect(),
        FaultMetadata::DiskPressure { fill_file, mount, .. } => vec![remove_file(image, fill_file, mount)],
    }
}

/// `docker run` of one of the image's tools in the target's network namespace.
fn in_namespace(metadata: &Metadata, image: &str, tool: &str, args: &[&str]) -> Command {
    let network = format!("container:{}", metadata.container_id);
    let mut words = vec!["run", "--rm", "-i", "--network", &network, "--cap-drop", "ALL"];
    words.extend(["--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", "--entrypoint", tool, image]);
    words.extend(args);
    Command::new("docker", words)
}

fn remove_file(image: &str, file: &str, mount: &DataMount) -> Command {
    let kind = match mount.kind {
        MountKind::Volume => "volume",
        MountKind::Bind => "bind",
    };
    let mount =
        format!("type={kind},{},{}", csv_field("source", &mount.source), csv_field("target", &mount.destination));
    let mut words = vec!["run", "--rm", "--network", "none", "--cap-drop", "ALL", "--cap-add", "DAC_OVERRIDE"];
    words.extend(["--mount", &mount, "--entrypoint", "rm", image, "-f", file]);
    Command::new("docker", words)
}

/// Docker reads `--mount` as one CSV record: a field with a comma or a quote stands in double quotes.
fn csv_field(key: &str, value: &str) -> String {
    if value.contains([',', '"', '\n']) {
        format!("\"{key}={}\"", value.replace('"', "\"\""))
    } else {
        format!("{key}={value}")
    }
}

impl Family {
    pub fn of(ip: &IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{InjectionId, Signal, network::Flavour};

    fn metadata(fault: FaultMetadata) -> Metadata {
        Metadata {
            fault,
            id: InjectionId::from_number(0x1f0c_93ab),
            container_id: "c0ffee".into(),
            container_started_at: String::new(),
            daemon_id: None,
            holder_image: Some("holder:1".into()),
        }
    }

    fn undo(fault: FaultMetadata) -> Vec<String> {
        undo_commands(&metadata(fault)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_kill_is_undone_by_starting_the_container() {
        let fault = FaultMetadata::NodeKill { target_container: "tikv0".into(), signal: Signal::Kill };
        assert_eq!(undo(fault), ["docker start c0ffee"]);
    }

    #[test]
    fn latency_is_undone_on_every_interface_by_our_handle() {
        let fault = FaultMetadata::Latency {
            target_container: "tikv0".into(),
            min_ms: 1,
            max_ms: 2,
            interface: "eth0".into(),
            interfaces: vec!["eth0".into(), "eth1".into()],
        };
        let lines = undo(fault);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with("--entrypoint tc holder:1 qdisc del dev eth1 root handle c4a0:"), "{}", lines[1]);
    }

    #[test]
    fn a_partition_is_undone_in_each_family_that_it_has() {
        let fault = FaultMetadata::NetworkPartition {
            isolated_container: "tikv0".into(),
            target_ips: vec!["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
            peers: vec![],
            flavour: Flavour::Nft,
        };
        let lines = undo(fault);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("'-X TIKV-CHAOS-1f0c93ab-IN'") && lines[0].contains("iptables-nft-restore"));
        assert!(lines[1].contains("ip6tables-nft-restore"));
    }

    #[test]
    fn odd_paths_survive_dockers_own_reading() {
        let mount = DataMount { kind: MountKind::Bind, source: "/srv/a,b \"c\"".into(), destination: "/data".into() };
        let fault = FaultMetadata::DiskPressure {
            target_container: "tikv0".into(),
            fill_percent: 80,
            fill_file: "/data/chaos-fill-1.tmp".into(),
            fill_bytes: 1,
            whole: true,
            mount,
        };
        let line = undo(fault).remove(0);
        assert!(line.contains(r#"'type=bind,"source=/srv/a,b ""c""",target=/data'"#), "{line}");
    }
}
