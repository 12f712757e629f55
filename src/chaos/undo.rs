//! The undo of an injection as a person would type it, needing nothing but the client of Docker or Podman and, for the
//! network and the disk, the holder's image, which stays on the host.
//!
//! What holds in a network is asked of its holder first: it knows what else holds there, and ends this one alone. Where none
//! lives, the rules go by their own names.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{
    Command, DataMount, FaultMetadata, Metadata, MountKind, Task,
    network::{
        Family, Flavour, NetworkFault, QDISC_HANDLE, Shape, Via, cut_removal_text, netem_removal_text,
        queue_removal_text,
    },
};

/// The repository of the holder's images that are made here.
pub const HOLDER_REPOSITORY: &str = "tikv-chaos-holder";

/// The holder's own program in its container, and its first argument where a person has one injection ended.
pub const HOLDER_PROGRAM: &str = "/tikv-chaos";
pub const BY_HAND: &str = "by-hand";

/// The name of the holder beside that life of a container: the same for every program, so that only one of them can make it.
pub fn holder_name(container_id: &str, started_at: &str) -> String {
    format!("tikv-chaos-holder-{}", life(container_id, started_at))
}

/// One life of a container in the names of what is beside it.
pub fn life(container_id: &str, started_at: &str) -> String {
    let mut hasher = DefaultHasher::new();
    started_at.hash(&mut hasher);
    let id: String = container_id.chars().take(12).collect();
    format!("{id}-{:08x}", hasher.finish() & 0xffff_ffff)
}

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
    let is_down = matches!(metadata.fault, FaultMetadata::NodeKill { .. } | FaultMetadata::NodeStop { .. });
    if let Some(task) = metadata.task.as_ref().filter(|_| is_down) {
        return await_replacement(metadata, task);
    }
    match &metadata.fault {
        // By its id, which stays when it is renamed.
        FaultMetadata::NodeKill { .. } | FaultMetadata::NodeStop { .. } => {
            let joined = metadata.before.iter().flat_map(|before| &before.joined);
            let again = joined.map(|one| client(metadata, ["restart", &one.container_id]));
            std::iter::once(client(metadata, ["start", &metadata.container_id])).chain(again).collect()
        }
        FaultMetadata::NodePause { .. } => vec![client(metadata, ["unpause", &metadata.container_id])],
        FaultMetadata::NetworkPartition { flavour, direction, .. } => {
            let Some(NetworkFault::Drop(cut)) = metadata.network() else { return Vec::new() };
            let text = cut_removal_text(&metadata.id, *direction);
            let families = Family::ALL.into_iter().filter(|family| cut.filter().has(*family));
            families.map(|family| restore(metadata, image, *flavour, family, text.clone())).collect()
        }
        FaultMetadata::DiskPressure { fill_file, mount, .. } => vec![remove_file(metadata, image, fill_file, mount)],
        _ => Vec::new(),
    }
}

/// Nothing: a task that is started beside its replacement would be a second node with the same data.
fn await_replacement(metadata: &Metadata, task: &Task) -> Vec<Command> {
    let told = format!("Docker Swarm replaces {task} by itself: start nothing, wait for the new task");
    // The shell's command that does nothing, for what a person should read.
    vec![Command::new(":", [told]), client(metadata, ["service", "ps", task.service.as_str()])]
}

fn restore(metadata: &Metadata, image: &str, flavour: Flavour, family: Family, text: String) -> Command {
    in_namespace(metadata, image, &flavour.restore(family), &["--noflush"]).with_stdin(text).unless(asked(metadata))
}

/// The holder is asked to end this one.
fn asked(metadata: &Metadata) -> Command {
    let holder = holder_name(&metadata.container_id, &metadata.container_started_at);
    client(metadata, ["exec", &holder, HOLDER_PROGRAM, BY_HAND, metadata.id.as_str()])
}

/// What netem does ends with its qdisc, which takes every other such fault on the interface with it; the rules that chose its
/// packets say nothing without it. What the shaper does has ended where no holder lives, and its rules are this one's own.
fn undo_shape(metadata: &Metadata, image: &str, shape: &Shape) -> Vec<Command> {
    let flavour = metadata.fault.shaped().map(|shaped| shaped.flavour).unwrap_or_default();
    let restored = |family: Family, text: String| restore(metadata, image, flavour, family, text);
    if shape.via == Via::Shaper {
        let text = |family: Family| Some((family, queue_removal_text(&metadata.id, shape, family)?));
        return Family::ALL.into_iter().filter_map(text).map(|(family, text)| restored(family, text)).collect();
    }
    let removed = |interface: &String| {
        let tc = ["qdisc", "del", "dev", interface, "root", "handle", QDISC_HANDLE];
        in_namespace(metadata, image, "tc", &tc).unless(asked(metadata))
    };
    let mut commands: Vec<Command> = shape.interfaces.iter().map(removed).collect();
    if !shape.filter.is_everything() {
        let families = Family::ALL.into_iter().filter(|family| shape.filter.has(*family));
        commands.extend(families.map(|family| restored(family, netem_removal_text())));
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
    use crate::chaos::{Before, InjectionId, Joined, Signal, Well};

    fn metadata(fault: FaultMetadata) -> Metadata {
        Metadata {
            fault,
            id: InjectionId::from_number(0x1f0c_93ab),
            container_id: "c0ffee".into(),
            container_started_at: String::new(),
            daemon_id: None,
            group: None,
            holder_image: Some("holder:1".into()),
            before: None,
            task: None,
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
    fn nodes_that_lost_their_network_with_it_are_restarted_after_it() {
        let fault = FaultMetadata::NodeStop { target_container: "tikv0".into(), timeout_s: 1 };
        let joined = |id: &str| Joined {
            name: id.into(),
            container_id: id.into(),
            container_started_at: String::new(),
            well: Well::default(),
        };
        let before = Some(Before { joined: vec![joined("c1"), joined("c2")], ..Before::default() });
        let lines = undo_commands(&Metadata { before, ..metadata(fault) });
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["docker start c0ffee", "docker restart c1", "docker restart c2"]);
    }

    #[test]
    fn killed_swarm_task_is_waited_for_and_not_started() {
        let task = Task::from_labels("db_tikv0", "db_tikv0.1.xyz");
        let fault = FaultMetadata::NodeStop { target_container: "db_tikv0.1.xyz".into(), timeout_s: 1 };
        let lines = undo_commands(&Metadata { task, ..metadata(fault) });
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let told = ": 'Docker Swarm replaces db_tikv0.1 by itself: start nothing, wait for the new task'";
        assert_eq!(lines, [told, "docker service ps db_tikv0"]);
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
            link_local: vec![],
            ends: vec![],
            far: vec![],
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
