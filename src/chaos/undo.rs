//! The undo of an injection as a person would type it, needing nothing but the client of Docker or Podman and, for the
//! network and the disk, the holder's image, which stays on the host.

use super::{
    Command, DataMount, FaultMetadata, Metadata, MountKind,
    network::{
        Family, Flavour, NetworkFault, QDISC_HANDLE, Shape, Via, cut_removal_text, netem_chains, queue_chains,
        shape_removal_text,
    },
};

/// The repository of the holder's images that are made here.
pub const HOLDER_REPOSITORY: &str = "tikv-chaos-holder";

/// What the id of a Podman daemon begins with: it gives itself none that stays, so one is made of where it is.
pub const PODMAN_ID: &str = "podman:";

/// The command that speaks to the daemon of this id.
pub fn client_of(daemon_id: &str) -> &'static str {
    if daemon_id.starts_with(PODMAN_ID) { "podman" } else { "docker" }
}

/// The commands, in order. A command that finds nothing to undo fails and does no harm.
pub fn undo_commands(metadata: &Metadata) -> Vec<Command> {
    let image = metadata.holder_image.as_deref().unwrap_or(HOLDER_REPOSITORY);
    if let Some(NetworkFault::Shape(shape)) = metadata.network() {
        return undo_shape(metadata, image, &shape);
    }
    match &metadata.fault {
        // By its id, which stays when it is renamed.
        FaultMetadata::NodeKill { .. } | FaultMetadata::NodeStop { .. } => {
            vec![client(metadata, ["start", &metadata.container_id])]
        }
        FaultMetadata::NodePause { .. } => vec![client(metadata, ["unpause", &metadata.container_id])],
        FaultMetadata::NetworkPartition { target_ips, flavour, direction, .. } => {
            let text = cut_removal_text(&metadata.id, *direction);
            let there = |family: &Family| target_ips.iter().any(|ip| Family::of(ip) == *family);
            let families = Family::ALL.into_iter().filter(there);
            families.map(|family| restore(metadata, image, *flavour, family, text.clone())).collect()
        }
        FaultMetadata::DiskPressure { fill_file, mount, .. } => vec![remove_file(metadata, image, fill_file, mount)],
        _ => Vec::new(),
    }
}

fn restore(metadata: &Metadata, image: &str, flavour: Flavour, family: Family, text: String) -> Command {
    in_namespace(metadata, image, &flavour.restore(family), &["--noflush"]).with_stdin(text)
}

/// What netem does ends with its qdisc; the rules that chose its packets say nothing without it. What the shaper does ends
/// with the rules that bring it the packets. Either takes every other such fault on the node with it.
fn undo_shape(metadata: &Metadata, image: &str, shape: &Shape) -> Vec<Command> {
    let mut commands = Vec::new();
    if shape.via == Via::Netem {
        commands.extend(shape.interfaces.iter().map(|interface| {
            let tc = ["qdisc", "del", "dev", interface, "root", "handle", QDISC_HANDLE];
            in_namespace(metadata, image, "tc", &tc)
        }));
    }
    let flavour = metadata.fault.shaped().map(|shaped| shaped.flavour).unwrap_or_default();
    let flows = shape.streams().into_iter().map(|stream| stream.flow).collect();
    let chains = match shape.via {
        Via::Shaper => queue_chains(&flows),
        Via::Netem if shape.filter.is_everything() => Vec::new(),
        Via::Netem => netem_chains(),
    };
    if !chains.is_empty() {
        let peers = shape.filter.peers.as_ref();
        let there = |family: &Family| peers.is_none_or(|peers| peers.iter().any(|ip| Family::of(ip) == *family));
        let families = Family::ALL.into_iter().filter(there);
        let text = shape_removal_text(&chains);
        commands.extend(families.map(|family| restore(metadata, image, flavour, family, text.clone())));
    }
    commands
}

/// `docker run` of one of the image's tools in the target's network namespace.
fn in_namespace(metadata: &Metadata, image: &str, tool: &str, args: &[&str]) -> Command {
    let network = format!("container:{}", metadata.container_id);
    let mut words = vec!["run", "--rm", "-i", "--network", &network, "--cap-drop", "ALL"];
    words.extend(["--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", "--entrypoint", tool, image]);
    words.extend(args);
    client(metadata, words)
}

fn remove_file(metadata: &Metadata, image: &str, file: &str, mount: &DataMount) -> Command {
    let kind = match mount.kind {
        MountKind::Volume => "volume",
        MountKind::Bind => "bind",
    };
    let mount =
        format!("type={kind},{},{}", csv_field("source", &mount.source), csv_field("target", &mount.destination));
    let mut words = vec!["run", "--rm", "--network", "none", "--cap-drop", "ALL", "--cap-add", "DAC_OVERRIDE"];
    words.extend(["--mount", &mount, "--entrypoint", "rm", image, "-f", file]);
    client(metadata, words)
}

fn client<'a>(metadata: &Metadata, words: impl IntoIterator<Item = &'a str>) -> Command {
    Command::new(client_of(metadata.daemon_id.as_deref().unwrap_or_default()), words)
}

/// Docker reads `--mount` as one CSV record: a field with a comma or a quote stands in double quotes.
fn csv_field(key: &str, value: &str) -> String {
    if value.contains([',', '"', '\n']) {
        format!("\"{key}={}\"", value.replace('"', "\"\""))
    } else {
        format!("{key}={value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{InjectionId, Signal};

    fn metadata(fault: FaultMetadata) -> Metadata {
        Metadata {
            fault,
            id: InjectionId::from_number(0x1f0c_93ab),
            container_id: "c0ffee".into(),
            container_started_at: String::new(),
            daemon_id: None,
            group: None,
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
        let fault = FaultMetadata::latency("tikv0", 1, 2, &["eth0", "eth1"]);
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
            direction: crate::chaos::network::Direction::Both,
            reject: false,
            peer_nodes: vec![],
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
