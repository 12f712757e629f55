//! What a holder stands beside, and the container that this makes of it: its name, its rights, what it shares.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use bollard::{
    Docker,
    models::{ContainerCreateBody, HostConfig, Mount, MountType},
};

use super::{client, discovery::ROLE_LABEL, node::Node};
use crate::{
    chaos::{DataMount, HOLDER_PROGRAM, MountKind, holder_name, life},
    step::{Step, step},
    subject::SubjectError,
};

pub const TARGET_LABEL: &str = "tikv-chaos.target";
pub const NAME_LABEL: &str = "tikv-chaos.target-name";
/// The target's cluster, for when the target itself is gone.
pub const CLUSTER_LABEL: &str = "tikv-chaos.cluster";

/// What a holder is beside.
#[derive(Debug, Clone)]
pub enum Beside {
    /// A running container: its volumes, and its network if that is its own.
    Node { id: String, name: String, started_at: String, network: bool, cluster: String },
    /// A volume or folder alone, for what was left on it.
    Mount { mount: DataMount, name: String },
    /// A network of a cluster: a relay, which holds nothing.
    Network { name: String },
    /// The network of one running node, for a port that listens on its loopback alone: a relay too.
    Inside { id: String, name: String, started_at: String, network: String },
    /// Nothing: a namespace of its own, to find out what the kernel can do.
    Nothing,
}

impl Beside {
    pub fn node(node: &Node) -> Self {
        Self::Node {
            id: node.id.clone(),
            name: node.name.clone(),
            started_at: node.started_at.clone(),
            network: node.shares_network().is_none(),
            cluster: node.project.clone().unwrap_or_else(|| node.cluster.clone()),
        }
    }

    pub fn inside(node: &Node) -> Self {
        // A container's network that is another's is named by that one.
        let of_another = node.network_mode.starts_with("container:");
        let network = if of_another { node.network_mode.clone() } else { format!("container:{}", node.id) };
        Self::Inside { id: node.id.clone(), name: node.name.clone(), started_at: node.started_at.clone(), network }
    }

    /// The name of the thing, for messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Node { name, .. } | Self::Mount { name, .. } | Self::Network { name } | Self::Inside { name, .. } => {
                name
            }
            Self::Nothing => "this Docker host",
        }
    }

    /// A target that was restarted just now has put the new holder beside its new life, under the old one's name.
    pub async fn still_lives(&self, docker: &Docker) -> Result<(), SubjectError> {
        let (Self::Node { id, name, started_at, .. } | Self::Inside { id, name, started_at, .. }) = self else {
            return Ok(());
        };
        let found = client::container(docker, id).await?;
        let now = found.and_then(|found| found.state?.started_at);
        if now.as_ref() == Some(started_at) {
            return Ok(());
        }
        let what = if now.is_some() { "was restarted" } else { "was removed" };
        Err(SubjectError::TargetChanged { target: name.clone(), what: what.to_owned() })
    }

    /// What says that a step came. What only reads is on the way of nothing.
    pub fn step(&self) -> fn(Step) {
        if self.is_relay() { |_| () } else { step }
    }

    const fn is_relay(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::Inside { .. })
    }

    /// The same for every program, so that only one of them can make it.
    pub fn container_name(&self) -> String {
        let hash = |value: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            value(&mut hasher);
            hasher.finish()
        };
        match self {
            Self::Node { id, started_at, .. } => holder_name(id, started_at),
            Self::Inside { id, started_at, .. } => format!("tikv-chaos-relay-{}", life(id, started_at)),
            Self::Mount { mount, .. } => {
                let place = hash(&|hasher| (&mount.source, &mount.destination).hash(hasher));
                format!("tikv-chaos-holder-volume-{place:016x}")
            }
            Self::Network { name } => {
                format!("tikv-chaos-relay-{:016x}", hash(&|hasher| name.hash(hasher)))
            }
            Self::Nothing => format!("tikv-chaos-holder-probe-{:08x}", rand::random::<u32>()),
        }
    }

    pub fn body(&self, image: &str) -> ContainerCreateBody {
        let mut labels = HashMap::from([
            (ROLE_LABEL.to_owned(), "holder".to_owned()),
            (NAME_LABEL.to_owned(), self.name().to_owned()),
        ]);
        let (network, volumes_from, mounts) = match self {
            Self::Node { id, network, cluster, .. } => {
                labels.insert(TARGET_LABEL.to_owned(), id.clone());
                labels.insert(CLUSTER_LABEL.to_owned(), cluster.clone());
                // Beside a network that is not the target's alone, nothing of the network may be touched.
                let network = if *network { format!("container:{id}") } else { "none".to_owned() };
                (network, Some(vec![id.clone()]), None)
            }
            Self::Mount { mount, .. } => ("none".to_owned(), None, Some(vec![docker_mount(mount)])),
            Self::Network { name } => (name.clone(), None, None),
            Self::Inside { network, .. } => (network.clone(), None, None),
            Self::Nothing => ("none".to_owned(), None, None),
        };
        let is_relay = self.is_relay();
        // NET_RAW is for iptables-legacy, DAC_OVERRIDE for a data folder that belongs to another user.
        let capabilities = ["NET_ADMIN", "NET_RAW", "DAC_OVERRIDE"].map(str::to_owned).to_vec();
        // iptables-legacy keeps its lock in /run.
        let scratch = HashMap::from([("/run".to_owned(), "size=64k".to_owned())]);
        // A relay changes nothing, so it may do nothing: 65534 is nobody.
        let (role, user) = if is_relay { ("relay", "65534:65534") } else { ("holder", "0") };
        ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec![HOLDER_PROGRAM.to_owned()]),
            cmd: Some(vec![role.to_owned()]),
            user: Some(user.to_owned()),
            labels: Some(labels),
            open_stdin: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            host_config: Some(HostConfig {
                network_mode: Some(network),
                // Its socket is in /dev/shm.
                ipc_mode: Some("private".to_owned()),
                volumes_from,
                mounts,
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: (!is_relay).then_some(capabilities),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                readonly_rootfs: Some(true),
                tmpfs: (!is_relay).then_some(scratch),
                auto_remove: Some(true),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

fn docker_mount(mount: &DataMount) -> Mount {
    Mount {
        typ: Some(match mount.kind {
            MountKind::Volume => MountType::VOLUME,
            MountKind::Bind => MountType::BIND,
        }),
        source: Some(mount.source.clone()),
        target: Some(mount.destination.clone()),
        ..Mount::default()
    }
}
