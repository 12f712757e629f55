//! Whether metadata could be our own. It comes from files and from standard input, and ends in calls and commands, so
//! every part that is not a type of its own must look as this program would have written it. What only Docker can say,
//! the subject asks Docker.

use std::{
    net::IpAddr,
    path::{Component, Path},
};

use super::{DataMount, FaultMetadata, Metadata, MountKind, Peer, Shaped};

/// The kernel's limit (IFNAMSIZ, linux/if.h) without the final zero.
const LONGEST_INTERFACE: usize = 15;

/// The parameter table's greatest values.
const LONGEST_DELAY_US: u64 = 10_000_000;
const MOST_BITS: u64 = 10_000_000_000;
const MOST_BYTES: u64 = 100_000_000;
const LONGEST_STOP_S: u64 = 300;
/// Each is a rule; the largest clusters have some hundreds of nodes.
const MOST_IN_A_FILTER: usize = 10_000;

impl Metadata {
    /// Why this cannot be metadata of ours, if so: the part and what it says.
    pub fn check(&self) -> Result<(), String> {
        let bad = |what: &str, text: &str| Err(format!("{what} cannot be {text:?}"));
        match &self.fault {
            FaultMetadata::NodeKill { .. } | FaultMetadata::NodePause { .. } => {}
            FaultMetadata::NodeStop { timeout_s, .. } => {
                if *timeout_s > LONGEST_STOP_S {
                    return bad("the time that a node has for stopping", &timeout_s.to_string());
                }
            }
            FaultMetadata::Latency { shaped, .. }
            | FaultMetadata::PacketLoss(shaped)
            | FaultMetadata::PacketDuplicate(shaped)
            | FaultMetadata::PacketCorrupt(shaped)
            | FaultMetadata::PacketReorder(shaped)
            | FaultMetadata::Bandwidth(shaped) => check_shaped(shaped)?,
            FaultMetadata::DiskPressure { fill_file, mount, .. } => {
                check_mount(mount)?;
                if !Self::is_fill_file(fill_file) || !mount.holds(fill_file) {
                    return bad("a fill file's name", fill_file);
                }
            }
            FaultMetadata::NetworkPartition { peers, .. } => {
                if let Some(name) = peers.iter().find(|name| !is_docker_name(name)) {
                    return bad("a node's name", name);
                }
            }
        }
        self.fault.named().try_for_each(check_peer)?;
        let far = self.fault.far();
        if far.len() > MOST_IN_A_FILTER || far.iter().any(|one| !one.fault.far().is_empty()) {
            return bad("what was made together with it", &format!("of {} injections", far.len()));
        }
        far.iter().try_for_each(Self::check)?;
        if !is_docker_name(self.target()) {
            return bad("a node's name", self.target());
        }
        let joined = || self.before.iter().flat_map(|before| &before.joined);
        if let Some(one) = joined().find(|one| !is_docker_name(&one.name)) {
            return bad("a node's name", &one.name);
        }
        let mut ids = joined().map(|one| &one.container_id).chain([&self.container_id]);
        if let Some(id) = ids.find(|id| !is_container_id(id)) {
            return bad("a container's id", id);
        }
        if let Some(task) = self.task.as_ref().filter(|task| !task.is_plausible()) {
            return bad("a Swarm task", &task.to_string());
        }
        match &self.holder_image {
            Some(image) if !is_image_name(image) => bad("an image's name", image),
            _ => Ok(()),
        }
    }
}

/// A node that a fault names: it ends in questions to Docker, in messages and in rules.
fn check_peer(peer: &Peer) -> Result<(), String> {
    let bad = |what: &str, text: &str| Err(format!("{what} cannot be {text:?}"));
    if !is_container_id(&peer.container_id) {
        return bad("a peer's container id", &peer.container_id);
    }
    // Labels may say anything; a service and a project are only compared.
    if !is_docker_name(&peer.name) {
        return bad("a peer's name", &peer.name);
    }
    let addresses = peer.ips.len() + peer.link_local.len();
    if addresses > MOST_IN_A_FILTER {
        return bad("a peer", &format!("of {addresses} addresses"));
    }
    Ok(())
}

/// What is no type of its own: names, which end in commands, and sizes, which end in sums and in rules.
fn check_shaped(shaped: &Shaped) -> Result<(), String> {
    let shape = &shaped.shape;
    let bad = |what: &str, text: &str| Err(format!("{what} cannot be {text:?}"));
    if let Some(name) = shape.interfaces.iter().chain([&shaped.interface]).find(|name| !is_interface(name)) {
        return bad("an interface's name", name);
    }
    if let Some(word) = shaped.to.iter().find(|word| !is_docker_name(word) && word.parse::<IpAddr>().is_err()) {
        return bad("a peer", word);
    }
    if let Some(delay) = shape.impairment.delay
        && (delay.mean_us > LONGEST_DELAY_US || delay.jitter_us > delay.mean_us)
    {
        return bad("a delay", &format!("{} us, {} us more or less", delay.mean_us, delay.jitter_us));
    }
    if let Some(rate) = shape.impairment.rate
        && (!(1..=MOST_BITS).contains(&rate.bits_per_second) || rate.burst_bytes > MOST_BYTES)
    {
        return bad("a rate", &format!("{} bit/s with {} bytes at once", rate.bits_per_second, rate.burst_bytes));
    }
    let filter = &shape.filter;
    let peers = filter.peers.iter().flatten().count() + filter.except_peers.len();
    let peers = peers + filter.ends.len() + filter.except_ends.len();
    let ports = filter.ports.iter().flatten().count() + filter.except_ports.len();
    if peers > MOST_IN_A_FILTER || ports > MOST_IN_A_FILTER {
        return bad("a filter", &format!("of {peers} peers and {ports} ports"));
    }
    Ok(())
}

fn check_mount(mount: &DataMount) -> Result<(), String> {
    let named = match mount.kind {
        MountKind::Volume => is_docker_name(&mount.source),
        MountKind::Bind => is_straight(&mount.source),
    };
    if named && is_straight(&mount.destination) {
        return Ok(());
    }
    Err(format!("a mount cannot be from {:?} to {:?}", mount.source, mount.destination))
}

/// Docker's rule for the names of containers and volumes (moby, daemon/names/names.go).
pub(super) fn is_docker_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_container_id(id: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(is_hex)
}

/// The kernel's own rule (dev_valid_name, net/core/dev.c), and no name that a tool would take for an option.
fn is_interface(name: &str) -> bool {
    let fits = (1..=LONGEST_INTERFACE).contains(&name.len()) && !matches!(name, "." | "..");
    // Nor one that iptables reads as more than a name: + is any ending there, and quotes begin a word.
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/:+\"'\\!".contains(&byte);
    fits && !name.starts_with('-') && name.bytes().all(plain)
}

/// A repository with its tag or digest, which no client takes for an option.
fn is_image_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte))
}

/// An absolute path that means the same to everybody who reads it.
fn is_straight(path: &str) -> bool {
    let parts = Path::new(path).components();
    path.starts_with('/') && !path.contains('\0') && parts.skip(1).all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(value: Value) -> Result<(), String> {
        serde_json::from_value::<Metadata>(value).map_err(|error| error.to_string())?.check()
    }

    fn with(base: &Value, pointer: &str, text: &str) -> Value {
        let mut value = base.clone();
        *value.pointer_mut(pointer).unwrap() = text.into();
        value
    }

    fn latency() -> Value {
        json!({ "chaos_type": "latency", "target_container": "A_b.c-9", "min_ms": 1, "max_ms": 2, "interface": "eth0",
            "interfaces": ["eth0", "veth1@if2"], "id": "00000001", "container_id": "c0ffee", "container_started_at": "",
            "holder_image": "registry:5000/tikv-chaos-holder:1@sha256:ab" })
    }

    fn loss() -> Value {
        json!({ "chaos_type": "packet_loss", "target_container": "tikv0", "interface": "eth0", "interfaces": ["eth0"],
            "via": "shaper", "direction": "both", "to": ["pd", "fd00::2"], "filter": { "peers": ["10.0.0.2", "fd00::2"] },
            "impairment": { "loss": { "random": { "share": 250_000, "correlation": 0 } } }, "id": "00000001",
            "container_id": "c0ffee", "container_started_at": "", "group": "00000002",
            "peer_nodes": [{ "container_id": "ab", "name": "pd0", "cluster": "a b", "ips": ["10.0.0.2"] }] })
    }

    #[test]
    fn sizes_are_held_to_the_tables_ranges() {
        let mut late = latency();
        late["impairment"] =
            json!({ "delay": { "mean_us": 5, "jitter_us": 6, "correlation": 0, "distribution": "normal" } });
        assert!(check(late).unwrap_err().contains("a delay"));
        let mut much = loss();
        much["impairment"] = json!({ "rate": { "bits_per_second": 0, "burst_bytes": 1 } });
        assert!(check(much).unwrap_err().contains("a rate"));
        let stop = json!({ "chaos_type": "node_stop", "target_container": "a", "timeout_s": 301, "id": "00000001",
            "container_id": "c0ffee", "container_started_at": "" });
        assert!(check(stop).unwrap_err().contains("stopping"));
    }

    fn disk() -> Value {
        json!({ "chaos_type": "disk_pressure", "target_container": "tikv0", "fill_percent": 1, "fill_bytes": 1,
            "whole": true, "fill_file": "/a 'b' \"c\", $d/db/chaos-fill-1.tmp", "id": "00000001",
            "container_id": "c0ffee", "container_started_at": "",
            "mount": { "kind": "volume", "source": "V_a.b-1", "destination": "/a 'b' \"c\", $d" } })
    }

    fn kill() -> Value {
        json!({ "chaos_type": "node_kill", "target_container": "a", "signal": "SIGKILL", "id": "00000001",
            "container_id": "c0ffee", "container_started_at": "", "before": { "healthy": true, "answered": false,
            "joined": [{ "name": "b", "container_id": "c1", "container_started_at": "", "healthy": true }] } })
    }

    #[test]
    fn what_we_write_ourselves_passes() {
        assert_eq!(check(kill()), Ok(()));
        assert_eq!(check(latency()), Ok(()));
        assert_eq!(check(disk()), Ok(()));
        assert_eq!(check(loss()), Ok(()));
        let bind = json!({ "kind": "bind", "source": "/srv/a b", "destination": "/" });
        let mut root = disk();
        root["mount"] = bind;
        assert_eq!(check(root), Ok(()));
    }

    #[test]
    fn what_would_be_read_as_something_else_is_named() {
        let cases = [
            (latency(), "/target_container", "--privileged"),
            (latency(), "/target_container", "a b"),
            (latency(), "/target_container", "x\u{1b}[2J"),
            (latency(), "/container_id", "../images"),
            (latency(), "/container_id", "c0/json?x="),
            (latency(), "/container_id", ""),
            (kill(), "/before/joined/0/container_id", "../images"),
            (kill(), "/before/joined/0/name", "--force"),
            (latency(), "/interface", "eth0; reboot"),
            (latency(), "/interfaces/1", "-batch"),
            (latency(), "/interfaces/1", "a-name-of-16-char"),
            (latency(), "/interfaces/1", "eth+"),
            (latency(), "/interfaces/1", "e\"th"),
            (loss(), "/to/0", "-j ACCEPT"),
            (loss(), "/interface", "lo; x"),
            (loss(), "/peer_nodes/0/container_id", "../x"),
            (loss(), "/peer_nodes/0/name", "x\u{1b}[2J"),
            (latency(), "/holder_image", "-v/:/host"),
            (latency(), "/id", "1"),
            (disk(), "/fill_file", "/etc/passwd"),
            (disk(), "/fill_file", "/elsewhere/chaos-fill-1.tmp"),
            (disk(), "/fill_file", "/a 'b' \"c\", $d/../../chaos-fill-1.tmp"),
            (disk(), "/mount/source", "../../etc"),
            (disk(), "/mount/source", "/etc"),
            (disk(), "/mount/destination", "/a/../b"),
            (disk(), "/mount/destination", "relative"),
        ];
        for (base, pointer, text) in cases {
            let reason = check(with(&base, pointer, text)).unwrap_err();
            assert!(reason.contains("cannot be") || reason.contains("not an injection's id"), "{pointer}: {reason}");
            assert!(!reason.contains('\u{1b}'), "{reason:?} would reach a terminal");
        }
    }
}
