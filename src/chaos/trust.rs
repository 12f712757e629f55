//! Whether metadata could be our own. It comes from files and from standard input, and ends in calls and commands, so
//! every part that is not a type of its own must look as this program would have written it. What only Docker can say,
//! the subject asks Docker.

use std::path::{Component, Path};

use super::{DataMount, FaultMetadata, Metadata, MountKind};

/// The kernel's limit (IFNAMSIZ, linux/if.h) without the final zero.
const LONGEST_INTERFACE: usize = 15;

impl Metadata {
    /// Why this cannot be metadata of ours, if so: the part and what it says.
    pub fn check(&self) -> Result<(), String> {
        let bad = |what: &str, text: &str| Err(format!("{what} cannot be {text:?}"));
        match &self.fault {
            FaultMetadata::NodeKill { .. } => {}
            FaultMetadata::Latency { interface, interfaces, .. } => {
                if let Some(name) = interfaces.iter().chain([interface]).find(|name| !is_interface(name)) {
                    return bad("an interface's name", name);
                }
            }
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
        if !is_docker_name(self.target()) {
            return bad("a node's name", self.target());
        }
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if self.container_id.is_empty() || self.container_id.len() > 64 || !self.container_id.bytes().all(is_hex) {
            return bad("a container's id", &self.container_id);
        }
        match &self.holder_image {
            Some(image) if !is_image_name(image) => bad("an image's name", image),
            _ => Ok(()),
        }
    }
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
fn is_docker_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The kernel's own rule (dev_valid_name, net/core/dev.c), and no name that a tool would take for an option.
fn is_interface(name: &str) -> bool {
    let fits = (1..=LONGEST_INTERFACE).contains(&name.len()) && !matches!(name, "." | "..");
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/:".contains(&byte);
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

    fn disk() -> Value {
        json!({ "chaos_type": "disk_pressure", "target_container": "tikv0", "fill_percent": 1, "fill_bytes": 1,
            "whole": true, "fill_file": "/a 'b' \"c\", $d/db/chaos-fill-1.tmp", "id": "00000001",
            "container_id": "c0ffee", "container_started_at": "",
            "mount": { "kind": "volume", "source": "V_a.b-1", "destination": "/a 'b' \"c\", $d" } })
    }

    #[test]
    fn what_we_write_ourselves_passes() {
        assert_eq!(check(latency()), Ok(()));
        assert_eq!(check(disk()), Ok(()));
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
            (latency(), "/interface", "eth0; reboot"),
            (latency(), "/interfaces/1", "-batch"),
            (latency(), "/interfaces/1", "a-name-of-16-char"),
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
