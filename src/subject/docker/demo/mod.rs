//! The stand-in cluster's containers: made with one command, found by their label, and removed with all that they had.
//!
//! What runs inside is `crate::demo`, which knows no Docker.

mod addresses;
mod file;
mod spec;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    models::ContainerSummary,
    query_parameters::{
        CreateContainerOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
        RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    },
};
use futures_util::future::join_all;
use serde::Serialize;

use super::{
    beside::TARGET_LABEL,
    client,
    discovery::ROLE_LABEL,
    engine::Engine,
    holder::remove,
    image::{self, Source},
};
use crate::subject::SubjectError;
use spec::{DEMO_LABEL, Piece};
pub use spec::{DemoSpec, network};

/// What a demo is called where nothing is said.
pub const DEFAULT_NAME: &str = "demo";

/// One container of a demo as Docker lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    pub id: String,
    pub name: String,
    /// Docker's words, such as `Up 3 minutes (Paused)`.
    pub status: String,
}

/// Everything that bears a demo's label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    pub containers: Vec<Member>,
    pub volumes: Vec<String>,
    pub networks: Vec<String>,
}

impl Found {
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.volumes.is_empty() && self.networks.is_empty()
    }
}

/// What there is of the demo of that name.
pub async fn find(docker: &Docker, name: &str) -> Result<Found, SubjectError> {
    let label = format!("{DEMO_LABEL}={name}");
    let filters = HashMap::from([("label", vec![label.as_str()])]);
    let volumes = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let networks = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let (containers, volumes, networks) = tokio::join!(
        list(docker, &label),
        client::ask("list", "the volumes", docker.list_volumes(Some(volumes))),
        client::ask("list", "the networks", docker.list_networks(Some(networks))),
    );
    let mut containers: Vec<Member> = containers?.into_iter().filter_map(member).collect();
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Found {
        containers,
        volumes: volumes?.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect(),
        networks: networks?.into_iter().filter_map(|network| network.name).collect(),
    })
}

async fn list(docker: &Docker, label: &str) -> Result<Vec<ContainerSummary>, SubjectError> {
    let filters = HashMap::from([("label", vec![label])]);
    client::containers(docker, &filters).await
}

fn member(summary: ContainerSummary) -> Option<Member> {
    let name = summary.names?.first()?.trim_start_matches('/').to_owned();
    Some(Member { id: summary.id?, name, status: summary.status.unwrap_or_default() })
}

/// What the parts of a start took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// The image, which only the first start with a program makes.
    pub image: Duration,
    /// The network and the volumes.
    pub network: Duration,
    pub containers: Duration,
}

/// Makes and starts all of it. What fails takes with it what was made before. `progress` is told what takes time, and when it is over.
pub async fn up(
    engine: &Engine,
    spec: &DemoSpec,
    source: &Source,
    progress: &(dyn Fn(Option<&str>) + Send + Sync),
) -> Result<Spent, SubjectError> {
    refuse_taken(&engine.docker, spec).await?;
    let made = make(engine, spec, source, progress).await;
    progress(None);
    if made.is_err()
        && let Err(error) = down(&engine.docker, &spec.name).await
    {
        tracing::error!(%error, "a demo that could not be started could not be removed either");
    }
    made
}

/// Whatever is in the way is said before anything is made.
async fn refuse_taken(docker: &Docker, spec: &DemoSpec) -> Result<(), SubjectError> {
    let name = &spec.name;
    let refused = |reason: String| Err(SubjectError::Refused { target: format!("the demo {name}"), reason });
    let found = find(docker, name).await?;
    if !found.is_empty() {
        let flag = if name == DEFAULT_NAME { String::new() } else { format!(" --name {name}") };
        return refused(format!(
            "is there already: look at it with `tikv-chaos --project {}`, or take it down first: `tikv-chaos demo \
             down{flag}`",
            spec.network()
        ));
    }
    let network = spec.network();
    if client::find("inspect", &network, docker.inspect_network(&network, None)).await?.is_some() {
        return refused(format!("would need the network {network}, which is somebody else's: choose another --name"));
    }
    let names: Vec<String> = spec.hosts().iter().map(|host| spec.container(host)).collect();
    let taken = join_all(names.iter().map(|name| client::container(docker, name)));
    for (name, found) in names.iter().zip(taken.await) {
        if found?.is_some() {
            return refused(format!(
                "would need the container {name}, which is somebody else's: choose another --name"
            ));
        }
    }
    for volume in spec.volume_names() {
        if client::find("inspect", &volume, docker.inspect_volume(&volume)).await?.is_some() {
            return refused(format!("would need the volume {volume}, which is somebody else's: choose another --name"));
        }
    }
    Ok(())
}

async fn make(
    engine: &Engine,
    spec: &DemoSpec,
    source: &Source,
    progress: &(dyn Fn(Option<&str>) + Send + Sync),
) -> Result<Spent, SubjectError> {
    let docker = &engine.docker;
    let started = Instant::now();
    let addresses = addresses::make_network(docker, spec).await?;
    let networked = started.elapsed();
    let image = image::ensure(docker, source, progress).await?;
    let imaged = started.elapsed();
    let volumes = spec.volumes(engine.is_podman).into_iter().map(|volume| async move {
        let name = volume.name.clone().unwrap_or_default();
        client::change("make the volume", &name, docker.create_volume(volume)).await.map(|_| ())
    });
    all(volumes).await?;
    let filled = started.elapsed();
    let pieces = spec.pieces(&image, &addresses);
    progress(Some(&format!("starting {} containers", pieces.len())));
    let mut running = pieces.into_iter().map(|piece| run(docker, piece));
    // The first keeps the volumes, so it is there before the others.
    if let Some(keeper) = running.next() {
        keeper.await?;
    }
    all(running).await?;
    Ok(Spent {
        image: imaged - networked,
        network: networked + (filled - imaged),
        containers: started.elapsed() - filled,
    })
}

async fn run(docker: &Docker, piece: Piece) -> Result<(), SubjectError> {
    let Piece { name, body, file, .. } = piece;
    let port = body.host_config.as_ref().and_then(|host| host.port_bindings.as_ref()).is_some();
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    let id = client::change("make the container", &name, docker.create_container(Some(options), body)).await?.id;
    if let Some((path, text)) = file {
        file::put(docker, &id, &name, path, &text).await?;
    }
    match client::change("start the container", &name, docker.start_container(&id, None)).await {
        Err(SubjectError::Docker { operation, object, reason }) if port && is_port_taken(&reason) => {
            let reason = format!("{reason}: choose another --pd-port, or leave it out");
            Err(SubjectError::Docker { operation, object, reason })
        }
        result => result,
    }
}

/// Docker's words, from its own allocator and from the kernel.
fn is_port_taken(reason: &str) -> bool {
    ["port is already allocated", "address already in use"].iter().any(|words| reason.contains(words))
}

/// All of them at the same time, to the end; the first error.
async fn all<T>(tasks: impl Iterator<Item = T>) -> Result<(), SubjectError>
where
    T: Future<Output = Result<(), SubjectError>>,
{
    join_all(tasks).await.into_iter().collect()
}

/// Removes all of it: the helpers beside its nodes and in its network, the containers, volumes and network. The image stays, for
/// helpers use it too. Gives what there was.
pub async fn down(docker: &Docker, name: &str) -> Result<Found, SubjectError> {
    let found = find(docker, name).await?;
    let ids: HashSet<&str> = found.containers.iter().map(|member| member.id.as_str()).collect();
    let helpers = list(docker, &format!("{ROLE_LABEL}=holder")).await?.into_iter().filter(|helper| {
        let target = helper.labels.as_ref().and_then(|labels| labels.get(TARGET_LABEL));
        target.is_some_and(|target| ids.contains(target.as_str())) || is_in(helper, &found.networks)
    });
    let helpers: Vec<Member> = helpers.filter_map(member).collect();
    all(helpers.iter().map(|helper| remove(docker, &helper.id))).await?;
    all(found.containers.iter().map(|member| remove_with_volumes(docker, member))).await?;
    all(found.volumes.iter().map(|volume| async move {
        let removed = docker.remove_volume(volume, None::<RemoveVolumeOptions>);
        client::find("remove the volume", volume, removed).await.map(|_| ())
    }))
    .await?;
    all(found.networks.iter().map(|network| async move {
        client::find("remove the network", network, docker.remove_network(network)).await.map(|_| ())
    }))
    .await?;
    Ok(found)
}

/// Whether the container, such as a relay, has an end in one of these networks.
fn is_in(container: &ContainerSummary, networks: &[String]) -> bool {
    let ends = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    ends.is_some_and(|ends| networks.iter().any(|network| ends.contains_key(network)))
}

async fn remove_with_volumes(docker: &Docker, member: &Member) -> Result<(), SubjectError> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    client::find("remove", &member.name, docker.remove_container(&member.id, Some(options))).await.map(|_| ())
}
