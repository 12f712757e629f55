//! What a plan must know beside its target: who shares the target's network, what is lost once it stops, and how well it is
//! now, which is what its undo waits for.

use std::path::Path;

use bollard::models::{ContainerSummary, Volume};

use super::{
    act::{is_alive, takes_out},
    client, discovery,
    host::TikvSubject,
    node::{Health, Node, Snapshot},
    shared::{self, Sharer},
};
use crate::{
    chaos::{Before, FaultMetadata, Joined, Metadata, MountKind, Well},
    cluster::NodeConfig,
    safety::{Grade, Reason},
    subject::SubjectError,
};

/// Where file systems in memory are no news: a node whose data folder is not known has it elsewhere.
const SCRATCH: [&str; 6] = ["/tmp", "/run", "/var/run", "/var/tmp", "/dev/shm", "/dev"];

/// What follows for a plan from what is around its target.
#[derive(Debug, Default)]
pub(super) struct Around {
    pub(super) warnings: Vec<String>,
    pub(super) reasons: Vec<Reason>,
    pub(super) before: Option<Before>,
}

/// The running containers where a plan of that fault has to know them.
pub(super) fn matters(fault: &FaultMetadata) -> bool {
    takes_out(fault) || is_of_network(fault)
}

pub(super) const fn is_of_network(fault: &FaultMetadata) -> bool {
    !matches!(
        fault,
        FaultMetadata::NodeKill { .. }
            | FaultMetadata::NodeStop { .. }
            | FaultMetadata::NodePause { .. }
            | FaultMetadata::DiskPressure { .. }
    )
}

impl TikvSubject {
    /// `open` is what holds already, with the other parts of the same act.
    pub(super) async fn around(
        &self,
        (snapshot, node): (&Snapshot, &Node),
        fault: &FaultMetadata,
        running: &[ContainerSummary],
        open: &[Metadata],
    ) -> Result<Around, SubjectError> {
        let shares = matters(fault) && node.owns_network();
        let sharers = if shares { shared::sharers(running, &node.id) } else { Vec::new() };
        if !takes_out(fault) {
            return Ok(Around { warnings: hit_too(node, &sharers), ..Around::default() });
        }
        let mut around = Around::default();
        let mut before = Before { well: self.well(node).await, joined: Vec::new() };
        around.reasons = self.lost_with_stop(node, running, open).await?;
        let known = |id: &str| snapshot.by_id(id).filter(|other| other.cluster == node.cluster);
        let (mut joined, mut foreign): (Vec<&Node>, Vec<&Sharer>) = (Vec::new(), Vec::new());
        for sharer in &sharers {
            known(&sharer.id).map_or_else(|| foreign.push(sharer), |other| joined.push(other));
        }
        // Podman's list does not say which container joined which.
        if node.owns_network() {
            let listed: Vec<&str> = joined.iter().map(|other| other.id.as_str()).collect();
            joined.extend(snapshot.beside(node).filter(|other| !listed.contains(&other.id.as_str())));
        }
        around.reasons.extend(foreign.into_iter().map(|sharer| (Grade::Refused, left_without(node, sharer))));
        // One that has lost its network already was not well before.
        for other in joined.into_iter().filter(|other| other.place() == node.place() && is_alive(other)) {
            around.warnings.push(format!(
                "{} shares {}'s network: it has none while {} is down, and is restarted by the undo",
                other.name, node.name, node.name
            ));
            around.reasons.extend(self.lost_with_stop(other, running, open).await?);
            before.joined.push(Joined {
                name: other.name.clone(),
                container_id: other.id.clone(),
                container_started_at: other.started_at.clone(),
                well: self.well(other).await,
            });
        }
        around.before = Some(before);
        Ok(around)
    }

    async fn well(&self, node: &Node) -> Well {
        Well { healthy: node.health != Health::Unhealthy, answered: self.answers(node).await.is_ok() }
    }

    /// Why the node would not come back as it was.
    async fn lost_with_stop(
        &self,
        node: &Node,
        running: &[ContainerSummary],
        open: &[Metadata],
    ) -> Result<Vec<Reason>, SubjectError> {
        let kept = self.readings.configs().load::<NodeConfig>(&node.id, &node.started_at).map(|(config, _)| config);
        let told = self.data_dir(node).await;
        let is_known = told.is_ok();
        let raft_log = kept.and_then(|config| config.raft_dir).filter(|folder| folder.starts_with('/'));
        let folders: Vec<String> = told.into_iter().chain(raft_log).collect();
        let mut reasons: Vec<Reason> = in_memory(node, &folders).map(|why| (Grade::Refused, why)).into_iter().collect();
        if !is_known && reasons.is_empty() {
            reasons.extend(perhaps_in_memory(node).map(|why| (Grade::Careful, why)));
        }
        if node.auto_remove {
            let why = "was started with --rm: Docker removes it, and its anonymous volumes, as soon as it ends";
            reasons.push((Grade::Refused, format!("{} {why}, and nothing can start it again", node.name)));
        }
        let docker = self.docker().await?;
        for volume in volumes_under(node, &folders) {
            if is_held(volume, node, running, open) {
                continue;
            }
            let found = client::find("inspect the volume", volume, docker.inspect_volume(volume)).await;
            match found {
                Ok(Some(found)) if is_memory(&found) => reasons.push((
                    Grade::Refused,
                    format!(
                        "{} keeps its data in the volume {volume}, which is in memory and which no other running \
                         container holds: it is lost when the node stops",
                        node.name
                    ),
                )),
                Ok(_) => {}
                Err(error) => {
                    let why = format!("whether {volume} of {} outlives a stop is not known: {error}", node.name);
                    reasons.push((Grade::Careful, why));
                }
            }
        }
        Ok(reasons)
    }
}

fn hit_too(node: &Node, sharers: &[Sharer]) -> Vec<String> {
    let names: Vec<&str> = sharers.iter().map(|sharer| sharer.name.as_str()).collect();
    let (share, are) = match names.len() {
        0 => return Vec::new(),
        1 => ("shares", "is"),
        _ => ("share", "are"),
    };
    vec![format!("{} {share} {}'s network and {are} hit too", names.join(", "), node.name)]
}

fn left_without(node: &Node, sharer: &Sharer) -> String {
    format!(
        "{} shares {}'s network and is no node of this cluster: it would lose its network, and is not ours to restart",
        sharer.name, node.name
    )
}

/// What of these folders is in the container's own memory.
fn in_memory(node: &Node, folders: &[String]) -> Option<String> {
    let below = |folder: &String| {
        let mut inside = node.memory.iter().filter(move |memory| Path::new(memory).starts_with(folder));
        inside.find(|memory| node.is_in_memory(memory)).cloned()
    };
    let on = |folder: &String| node.is_in_memory(folder).then(|| folder.clone());
    let folder = folders.iter().find_map(|folder| on(folder).or_else(|| below(folder)))?;
    Some(format!("{} keeps {folder} in memory (tmpfs): its data is lost when it stops", node.name))
}

fn perhaps_in_memory(node: &Node) -> Option<String> {
    let folder = node.memory.iter().find(|folder| !SCRATCH.contains(&folder.trim_end_matches('/')))?;
    Some(format!(
        "where {} keeps its data is not known, and {folder} is in memory (tmpfs): what is there is lost when it stops",
        node.name
    ))
}

/// The volumes that any part of these folders lies on.
fn volumes_under<'a>(node: &'a Node, folders: &[String]) -> Vec<&'a str> {
    let lies_on = |destination: &str| {
        let is_below = |folder: &String| Path::new(destination).starts_with(folder);
        folders.iter().any(|folder| {
            let under = node.mount_of(folder).is_some_and(|mount| mount.destination == destination);
            (under && !node.is_in_memory(folder)) || is_below(folder)
        })
    };
    let volumes = node.mounts.iter().filter(|mount| mount.kind == MountKind::Volume);
    volumes.filter(|mount| lies_on(&mount.destination)).map(|mount| mount.source.as_str()).collect()
}

/// Whether another container keeps the volume mounted once the node has ended. Our helpers go when they are done, and
/// what is being taken out goes too.
fn is_held(volume: &str, node: &Node, running: &[ContainerSummary], open: &[Metadata]) -> bool {
    let goes = |id: &str| id == node.id || open.iter().any(|one| takes_out(&one.fault) && one.container_id == id);
    running.iter().filter(|one| !shared::is_helper(one) && !one.id.as_deref().is_some_and(goes)).any(|one| {
        let mut mounts = one.mounts.iter().flatten().filter_map(discovery::mount);
        mounts.any(|mount| mount.kind == MountKind::Volume && mount.source == volume)
    })
}

/// The `local` driver mounts such a volume for its first container and unmounts it after the last (moby, volume/local).
fn is_memory(volume: &Volume) -> bool {
    volume.driver == "local"
        && volume.options.get("type").is_some_and(|kind| matches!(kind.as_str(), "tmpfs" | "ramfs"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bollard::models::MountPoint;

    use super::*;
    use crate::chaos::{DataMount, InjectionId, Signal};

    fn node(memory: &[&str], volumes: &[(&str, &str)]) -> Node {
        let mount = |(source, destination): &(&str, &str)| DataMount {
            kind: MountKind::Volume,
            source: (*source).to_owned(),
            destination: (*destination).to_owned(),
        };
        Node {
            id: "target".into(),
            mounts: volumes.iter().map(mount).collect(),
            memory: memory.iter().map(ToString::to_string).collect(),
            ..Node::bare("tikv0")
        }
    }

    #[test]
    fn deepest_mount_decides_whether_data_is_in_memory() {
        let is = |node: Node, folder: &str| in_memory(&node, &[folder.to_owned()]).is_some();
        assert!(is(node(&["/data"], &[]), "/data"));
        assert!(is(node(&["/data/"], &[]), "/data/db"));
        assert!(is(node(&["/"], &[]), "/data"));
        assert!(!is(node(&["/dat"], &[]), "/data"));
        assert!(!is(node(&["/data"], &[("v", "/data/db")]), "/data/db"));
        assert!(is(node(&["/data/db"], &[("v", "/data")]), "/data/db"));
        // A part of it.
        assert!(is(node(&["/data/raft"], &[("v", "/data")]), "/data"));
        assert!(is(node(&["/dev/shm"], &[]), "/dev/shm/tikv"));
        assert!(!is(node(&["/dev/shm", "/run"], &[("v", "/data")]), "/data"));
        assert!(perhaps_in_memory(&node(&["/dev/shm", "/tmp/"], &[])).is_none());
        assert!(perhaps_in_memory(&node(&["/dev/shm", "/srv"], &[])).unwrap().contains("/srv"));
    }

    #[test]
    fn volumes_are_those_that_the_data_lies_on() {
        let node = node(&["/data/tmp"], &[("root", "/"), ("data", "/data"), ("raft", "/data/raft"), ("logs", "/logs")]);
        assert_eq!(volumes_under(&node, &["/data".to_owned()]), ["data", "raft"]);
        assert_eq!(volumes_under(&node, &["/data/raft".to_owned()]), ["raft"]);
        assert_eq!(volumes_under(&node, &["/elsewhere".to_owned()]), ["root"]);
        assert!(volumes_under(&node, &["/data/tmp/x".to_owned()]).is_empty());
    }

    fn holding(id: &str, volume: &str, role: &str) -> ContainerSummary {
        let mount = MountPoint {
            typ: Some("volume".into()),
            name: Some(volume.into()),
            destination: Some("/kept".into()),
            ..MountPoint::default()
        };
        ContainerSummary {
            id: Some(id.into()),
            labels: Some(HashMap::from([(discovery::ROLE_LABEL.to_owned(), role.to_owned())])),
            mounts: Some(vec![mount]),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn volume_is_held_by_what_stays() {
        let node = node(&[], &[]);
        let kill = Metadata {
            fault: FaultMetadata::NodeKill { target_container: "tikv1".into(), signal: Signal::Kill },
            id: InjectionId::from_number(1),
            container_id: "other".into(),
            container_started_at: String::new(),
            daemon_id: None,
            group: None,
            holder_image: None,
            before: None,
            task: None,
        };
        let held = |one: ContainerSummary, open: &[Metadata]| is_held("v", &node, &[one], open);
        assert!(held(holding("keeper", "v", "ignore"), &[]));
        assert!(held(holding("other", "v", "tikv"), &[]));
        assert!(!held(holding("other", "v", "tikv"), &[kill]));
        assert!(!held(holding("target", "v", "tikv"), &[]));
        assert!(!held(holding("helper", "v", "holder"), &[]));
        assert!(!held(holding("keeper", "w", "ignore"), &[]));
    }
}
