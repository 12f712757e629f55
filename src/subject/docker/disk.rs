//! Where a fill file may go, how large it may be, and whom it would hurt besides.

use bollard::Docker;

use super::{
    client,
    node::{Node, Snapshot},
};
use crate::{
    chaos::{DataMount, MountKind, human_bytes},
    holder::protocol::Disk,
    subject::SubjectError,
};

/// What stays free on a file system that others use: the greater of the two.
const RESERVE_PERCENT: u64 = 5;
const RESERVE_BYTES: u64 = 2 << 30;

/// The mount under a folder of a node.
pub struct Place {
    pub mount: DataMount,
    /// The other nodes that use the same volume or folder.
    pub shared_with: Option<String>,
}

/// The mount that the folder lies on. A folder in the container's own layer is refused: only a running container's
/// own process could remove the file again.
pub fn place(snapshot: &Snapshot, node: &Node, folder: &str) -> Result<Place, SubjectError> {
    if node.is_in_memory(folder) {
        let reason = format!(
            "keeps {folder} in memory (tmpfs), which no helper can share and which is empty again once it stops; \
             name a folder on a volume with --target-path, or give the node one"
        );
        return Err(SubjectError::Refused { target: node.name.clone(), reason });
    }
    let Some(mount) = node.mount_of(folder) else {
        let reason = format!(
            "keeps {folder} in its own layer and not on a volume, where a file could not be removed once it stops; \
             name a folder on a volume with --target-path, or give the node one"
        );
        return Err(SubjectError::Refused { target: node.name.clone(), reason });
    };
    let same = |other: &&Node| {
        other.id != node.id
            && other.mounts.iter().any(|theirs| (theirs.kind, &theirs.source) == (mount.kind, &mount.source))
    };
    let others: Vec<&str> = snapshot.nodes.iter().filter(same).map(|other| other.name.as_str()).collect();
    let shared_with = (!others.is_empty()).then(|| format!("{} use the same volume", others.join(", ")));
    Ok(Place { mount: mount.clone(), shared_with })
}

/// The holder must see the folder on the mount that Docker names: a file system that something mounted below it has no
/// name by which it would be found again.
pub fn same_mount(node: &Node, mount: &DataMount, found: &Disk) -> Result<(), SubjectError> {
    if mount.destination.trim_end_matches('/') == found.mount_point.trim_end_matches('/') {
        return Ok(());
    }
    let reason = format!(
        "has {} on a file system mounted at {}, which is no volume of Docker's; name a folder on a volume with --target-path",
        found.folder, found.mount_point
    );
    Err(SubjectError::Refused { target: node.name.clone(), reason })
}

/// How much to fill.
pub struct Fill {
    pub bytes: u64,
    /// Nothing is held back, so 100 % may go to the last byte.
    pub whole: bool,
    pub warnings: Vec<String>,
}

/// As much of the available space as was asked for. On a shared file system a reserve stays free, unless told
/// otherwise, and the user is told who shares it.
pub fn plan(target: &str, folder: &str, percent: u64, fill_shared: bool, disk: &Disk) -> Result<Fill, SubjectError> {
    let refused = |reason: String| SubjectError::Refused { target: target.to_owned(), reason };
    if disk.read_only {
        return Err(refused(format!("has {folder} mounted read-only, so it cannot be filled")));
    }
    let asked = u64::try_from(u128::from(disk.available) * u128::from(percent) / 100).unwrap_or(disk.available);
    let Some(shared) = disk.shared.as_deref() else {
        return Ok(Fill { bytes: asked, whole: true, warnings: Vec::new() });
    };
    let everybody = format!("{folder} is shared: {shared}; filling it is felt by all of them");
    if fill_shared {
        return Ok(Fill { bytes: asked, whole: true, warnings: vec![everybody] });
    }
    let reserve = RESERVE_BYTES.max(disk.total / 100 * RESERVE_PERCENT);
    let room = disk.available.saturating_sub(reserve);
    if room == 0 && asked > 0 {
        return Err(refused(format!(
            "has only {} available in {folder}, which is shared ({shared}), and {} stay free there; \
             --fill-shared fills it all the same",
            human_bytes(disk.available),
            human_bytes(reserve)
        )));
    }
    let mut warnings = vec![everybody];
    if asked > room {
        warnings.push(format!(
            "{} are filled and not {}, so that {} stay free for the others",
            human_bytes(room),
            human_bytes(asked),
            human_bytes(reserve)
        ));
    }
    Ok(Fill { bytes: asked.min(room), whole: false, warnings })
}

/// Whether a volume is still there: naming it in a mount would make a new one. A folder shows when it is mounted.
pub async fn exists(docker: &Docker, mount: &DataMount) -> Result<bool, SubjectError> {
    match mount.kind {
        MountKind::Volume => {
            let found = client::find("inspect the volume", &mount.source, docker.inspect_volume(&mount.source)).await?;
            Ok(found.is_some())
        }
        MountKind::Bind => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn disk(total: u64, available: u64, shared: Option<&str>) -> Disk {
        let (folder, mount_point) = ("/data".into(), "/data".into());
        Disk {
            folder,
            mount_point,
            total,
            available,
            kind: "ext4".into(),
            shared: shared.map(str::to_owned),
            read_only: false,
        }
    }

    #[test]
    fn a_volume_of_its_own_is_filled_as_asked() {
        let fill = plan("tikv0", "/data", 100, false, &disk(GIB, GIB, None)).unwrap();
        assert_eq!((fill.bytes, fill.whole, fill.warnings.len()), (GIB, true, 0));
        assert_eq!(plan("tikv0", "/data", 0, false, &disk(GIB, GIB, None)).unwrap().bytes, 0);
    }

    #[test]
    fn a_shared_file_system_keeps_its_reserve_and_says_so() {
        let shared = disk(100 * GIB, 50 * GIB, Some("it is Docker's"));
        let fill = plan("tikv0", "/data", 100, false, &shared).unwrap();
        assert_eq!((fill.bytes, fill.whole), (45 * GIB, false));
        assert_eq!(fill.warnings.len(), 2);
        let fill = plan("tikv0", "/data", 50, false, &shared).unwrap();
        assert_eq!((fill.bytes, fill.warnings.len()), (25 * GIB, 1));
        assert_eq!(plan("tikv0", "/data", 100, true, &shared).unwrap().bytes, 50 * GIB);
        let full = disk(100 * GIB, 4 * GIB, Some("it is Docker's"));
        let error = plan("tikv0", "/data", 10, false, &full).err().unwrap().to_string();
        assert!(error.contains("4.0 GiB available") && error.contains("--fill-shared"), "{error}");
    }
}
