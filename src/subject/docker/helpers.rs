//! The holder containers that there are, as Docker lists them, and the end of those that nobody needs.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    models::{ContainerStateStatusEnum, ContainerSummaryStateEnum},
    query_parameters::StopContainerOptionsBuilder,
};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    beside::{Beside, CLUSTER_LABEL, NAME_LABEL, TARGET_LABEL},
    client,
    discovery::{self, ROLE_LABEL},
    engine::Engine,
    holder::{Holder, UNSTARTED, remove},
};
use crate::{
    chaos::{DataMount, FaultMetadata, Metadata},
    holder::protocol::Ask,
    subject::SubjectError,
};

/// A holder container as Docker lists it.
pub struct Listed {
    pub container: String,
    pub name: String,
    /// The id of the container that it is beside; `None` for one beside a volume.
    pub target: Option<String>,
    pub target_name: Option<String>,
    pub cluster: Option<String>,
    pub running: bool,
    pub created: Option<Timestamp>,
    pub mounts: Vec<DataMount>,
}

/// Every holder container there is.
pub async fn list(docker: &Docker) -> Result<Vec<Listed>, SubjectError> {
    let label = format!("{ROLE_LABEL}=holder");
    let filters = HashMap::from([("label", vec![label.as_str()])]);
    let found = client::containers(docker, &filters).await?;
    let listed = found.into_iter().filter_map(|one| {
        let name = one.names?.first()?.trim_start_matches('/').to_owned();
        let mut labels = one.labels.unwrap_or_default();
        Some(Listed {
            container: one.id?,
            name,
            target: labels.remove(TARGET_LABEL),
            target_name: labels.remove(NAME_LABEL),
            cluster: labels.remove(CLUSTER_LABEL),
            running: one.state == Some(ContainerSummaryStateEnum::RUNNING),
            created: one.created.and_then(|seconds| Timestamp::from_second(seconds).ok()),
            mounts: one.mounts.iter().flatten().filter_map(discovery::mount).collect(),
        })
    });
    Ok(listed.collect())
}

/// Waits for a holder that was not running when it was listed: whether it runs by now, or never will, as whoever made it
/// is dead; `None` once it is gone. Should its maker be alive after all, it finds no container and makes another.
pub async fn wait_started(docker: &Docker, listed: &Listed) -> Result<Option<bool>, SubjectError> {
    let age = listed.created.and_then(|created| Duration::try_from(Timestamp::now().duration_since(created)).ok());
    // By the clock of Docker's machine, which may be ahead or behind: at most as long as by our own.
    let end = Instant::now() + UNSTARTED.saturating_sub(age.unwrap_or_default());
    loop {
        let Some(found) = client::container(docker, &listed.container).await? else { return Ok(None) };
        let status = found.state.and_then(|state| state.status);
        if status == Some(ContainerStateStatusEnum::RUNNING) {
            return Ok(Some(true));
        }
        if Instant::now() >= end {
            return Ok(Some(false));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Lets go of the holders that are beside a former life of the target. Such a holder has no network to change any more,
/// but it may keep the deadline of a fill file: it ends when it holds nothing.
pub(super) async fn reap(engine: &Engine, metadata: &Metadata, living: Option<&Beside>) -> Result<(), SubjectError> {
    let docker = &engine.docker;
    let keep = living.map(Beside::container_name);
    for listed in list(docker).await? {
        if listed.target.as_deref() != Some(&metadata.container_id) || Some(&listed.name) == keep.as_ref() {
            continue;
        }
        tracing::info!(name = listed.name, "letting go of a holder beside a life that is over");
        let beside = Beside::Nothing;
        let farewell = async {
            let holder = Holder::attach(engine, listed.container.clone(), &beside, false).await?;
            let injection = metadata.id.clone();
            if let Some(fault) = metadata.network() {
                holder.ask(Ask::Remove { injection, fault }).await?;
            } else if let FaultMetadata::DiskPressure { fill_file, .. } = &metadata.fault {
                holder.ask(Ask::Unfill { injection, file: fill_file.clone() }).await?;
            }
            holder.release(docker).await;
            Ok::<_, SubjectError>(())
        };
        if let Err(error) = farewell.await {
            tracing::warn!(%error, name = listed.name, "it does not answer: stopping it");
            stop(docker, &listed.container, &listed.name).await?;
        }
    }
    Ok(())
}

/// Ends a holder with SIGTERM, on which it ends its network faults; not with SIGKILL, which would leave them. One that
/// never ran, or does not end by itself, is removed.
pub async fn stop(docker: &Docker, container: &str, name: &str) -> Result<(), SubjectError> {
    let options = StopContainerOptionsBuilder::new().t(2).build();
    client::find("stop", name, docker.stop_container(container, Some(options))).await?;
    remove(docker, container).await
}
