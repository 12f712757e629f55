//! A look at Docker, the kernel and the volumes for whatever bears our marks, without any journal: beside every living
//! node through its holder, on the volumes of those that do not live, and at holders whose target is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::join_all;

use super::{
    act::is_alive,
    beside::Beside,
    client, disk,
    engine::Engine,
    helpers::{self, Listed},
    holder::Holder,
    host::TikvSubject,
    node::{Node, Snapshot},
};
use crate::{
    chaos::{
        DataMount, FaultMetadata, FaultType, InjectionId, Metadata, Shaped,
        network::{Cut, Impairment, NetworkFault, RootQdisc, Shape, Via},
    },
    holder::protocol::{Answer, Ask, FillFile, Held, HeldThing, Survey},
    subject::{Cleaned, Foreign, Helper, Left, Looked, Mark, Marked, Scan, SubjectError, Unseen},
};

/// A container whose things were looked at, as far as its marks need it.
struct Target<'a> {
    id: &'a str,
    name: &'a str,
    started_at: &'a str,
    mounts: &'a [DataMount],
}

impl<'a> Target<'a> {
    fn of(node: &'a Node) -> Self {
        Self { id: &node.id, name: &node.name, started_at: &node.started_at, mounts: &node.mounts }
    }

    fn mount_of(&self, path: &str) -> Option<&'a DataMount> {
        let fits = self.mounts.iter().filter(|mount| mount.holds(path));
        fits.max_by_key(|mount| mount.destination.len())
    }
}

/// What is collected from every survey, and sorted out at its end.
#[derive(Default)]
struct Sightings<'a> {
    scan: Scan,
    files: Vec<(Target<'a>, FillFile, DataMount)>,
    /// Fill files that some holder keeps, by their place on their volume.
    held_files: BTreeMap<(String, String), Left>,
}

impl TikvSubject {
    pub(super) async fn look(&self) -> Result<Scan, SubjectError> {
        let engine = self.engine().await?;
        let docker = &engine.docker;
        let project = self.options.project.as_deref();
        let (snapshot, listed) = tokio::try_join!(self.settled(project), helpers::list(docker))?;
        let (alive, down): (Vec<&Node>, Vec<&Node>) = snapshot.nodes.iter().partition(|node| is_alive(node));
        // Once, before everybody asks for it.
        let image =
            if alive.is_empty() && listed.is_empty() { None } else { self.image().await.ok().map(str::to_owned) };
        let volumes = volumes(&alive, &down);
        let (living, lying, leftover) = tokio::join!(
            join_all(alive.iter().map(|node| async { (*node, self.survey_node(node).await) })),
            join_all(
                volumes
                    .into_iter()
                    .map(|(node, mount)| async move { (node, mount, self.survey_volume(node, mount).await) })
            ),
            join_all(listed.iter().map(|listed| self.survey_leftover(&engine, listed, &snapshot, project))),
        );
        let mut sightings = Sightings::default();
        let looked = |node: &Node| Looked { alive: is_alive(node), started_at: node.started_at.clone() };
        let seen = snapshot.nodes.iter().map(|node| (node.id.clone(), looked(node)));
        let gone = |id: &String| (id.clone(), Looked { alive: false, started_at: String::new() });
        let replaced = snapshot.replaced.iter().map(|(id, _)| gone(id));
        sightings.scan.seen = seen.chain(replaced).collect();
        for (node, survey) in living {
            match survey {
                Ok(survey) => sightings.take_node(node, survey),
                // What ended meanwhile is what it is.
                Err(SubjectError::TargetChanged { .. }) => {}
                Err(error) => sightings.miss(&node.name, &error),
            }
        }
        for (node, mount, survey) in lying {
            match survey {
                Ok(survey) => sightings.take_files(&Target::of(node), &survey),
                Err(error) => sightings.miss(&format!("{} of {}", mount.source, node.name), &error),
            }
        }
        for (listed, found) in listed.iter().zip(leftover) {
            match found {
                Ok(None) => {}
                Ok(Some(survey)) => sightings.take_leftover(&engine, listed, survey),
                Err(error) => sightings.miss(&listed.name, &error),
            }
        }
        sightings.scan.foreign.extend(snapshot.nodes.iter().filter(|node| !node.is_running()).map(|node| Foreign {
            target: node.name.clone(),
            what: format!("is {}", node.state),
            stopped: Some(node.id.clone()),
        }));
        Ok(sightings.into_scan(&engine, image))
    }

    async fn survey_node(&self, node: &Node) -> Result<Survey, SubjectError> {
        let folders = self.folders(node).await;
        let survey = self.ask(node, Ask::Survey { folders }).await.and_then(|answer| surveyed(&node.name, answer));
        let error = match survey {
            Ok(survey) => return Ok(survey),
            Err(error) => error,
        };
        // One that ends, or is started over and over, has no helper beside it.
        let state = client::container(&self.docker().await?, &node.id).await?.and_then(|found| found.state);
        let is_same = state.is_some_and(|state| {
            let started_at = state.started_at.as_deref() == Some(&node.started_at);
            state.running == Some(true) && state.restarting != Some(true) && started_at
        });
        let what = "ended meanwhile".to_owned();
        Err(if is_same { error } else { SubjectError::TargetChanged { target: node.name.clone(), what } })
    }

    /// Through a holder beside the volume alone.
    async fn survey_volume(&self, node: &Node, mount: &DataMount) -> Result<Survey, SubjectError> {
        if !disk::exists(&self.docker().await?, mount).await? {
            return Err(SubjectError::Holder { target: node.name.clone(), reason: "its volume is gone".into() });
        }
        let beside = Beside::Mount { mount: mount.clone(), name: node.name.clone() };
        let folders = self.folders(node).await;
        surveyed(&node.name, self.ask_alone(&beside, Ask::Survey { folders }).await?)
    }

    /// A holder that is beside no living node of ours, unless that is for somebody else to look at or it is idle.
    /// `Some(None)` is one that does not answer.
    async fn survey_leftover(
        &self,
        engine: &Engine,
        listed: &Listed,
        snapshot: &Snapshot,
        project: Option<&str>,
    ) -> Result<Option<Option<Survey>>, SubjectError> {
        let docker = &engine.docker;
        let current = |node: &&Node| is_alive(node) && Beside::node(node).container_name() == listed.name;
        if snapshot.nodes.iter().any(|node| current(&node)) {
            return Ok(None);
        }
        if !listed.running {
            match helpers::wait_started(docker, listed).await? {
                None => return Ok(None),
                // One beside a volume or a network alone names no cluster, and none that never ran holds anything.
                Some(false) => return Ok((listed.cluster.is_none() || is_in(listed, project)).then_some(None)),
                Some(true) => {}
            }
        }
        let Some(target) = &listed.target else { return Ok(None) };
        if snapshot.by_id(target).is_none() {
            let found = client::container(docker, target).await?;
            if found.is_some() || !is_in(listed, project) {
                return Ok(None);
            }
        }
        let holder = Holder::attach(engine, listed.container.clone(), &Beside::Nothing, false).await?;
        let folders = listed.mounts.iter().map(|mount| mount.destination.clone()).collect();
        let Ok(Answer::Survey(survey)) = holder.ask(Ask::Survey { folders }).await else { return Ok(Some(None)) };
        if survey.held.is_empty() && survey.kernel.is_clean() {
            holder.release(docker).await;
            return Ok(None);
        }
        Ok(Some(Some(survey)))
    }

    /// Where our fill files may be: the data folder, where that is known, and the top of each volume.
    async fn folders(&self, node: &Node) -> Vec<String> {
        let data = self.data_dir(node).await;
        if let Err(error) = &data {
            tracing::info!(%error, "only the tops of its volumes are looked at");
        }
        data.into_iter().chain(node.mounts.iter().map(|mount| mount.destination.clone())).collect()
    }

    /// Undoes a mark.
    pub(super) async fn clear_mark(&self, mark: &Marked) -> Result<Cleaned, SubjectError> {
        match mark {
            Marked::Fault(metadata) => crate::subject::Subject::cleanup(self, metadata).await,
            Marked::Helper(helper) => {
                helpers::stop(&self.docker().await?, &helper.container, &helper.name).await?;
                Ok(Cleaned::Clean)
            }
        }
    }
}

fn surveyed(target: &str, answer: Answer) -> Result<Survey, SubjectError> {
    match answer {
        Answer::Survey(survey) => Ok(survey),
        other => Err(SubjectError::Holder { target: target.to_owned(), reason: format!("it answered {other:?}") }),
    }
}

/// Whether a holder whose target cannot be asked any more belongs to the cluster that is looked at.
fn is_in(listed: &Listed, project: Option<&str>) -> bool {
    let Some((project, cluster)) = project.zip(listed.cluster.as_deref()) else { return project.is_none() };
    // Labelled with the whole project where that holds several clusters.
    let is_within = |name: &str, whole: &str| name.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/'));
    cluster == project || is_within(project, cluster) || is_within(cluster, project)
}

/// The volumes that no living node shows, each with one of the nodes that have it.
fn volumes<'a>(alive: &[&'a Node], down: &[&'a Node]) -> Vec<(&'a Node, &'a DataMount)> {
    let mut known: BTreeSet<&str> =
        alive.iter().flat_map(|node| &node.mounts).map(|mount| mount.source.as_str()).collect();
    let mounts = down.iter().flat_map(|node| node.mounts.iter().map(|mount| (*node, mount)));
    mounts.filter(|(_, mount)| known.insert(&mount.source)).collect()
}

impl<'a> Sightings<'a> {
    fn miss(&mut self, target: &str, error: &SubjectError) {
        self.scan.unseen.push(Unseen { target: target.to_owned(), reason: error.to_string() });
    }

    fn take_node(&mut self, node: &'a Node, survey: Survey) {
        let target = Target::of(node);
        self.take_files(&target, &survey);
        let metadata = |id: &InjectionId, fault: &NetworkFault| network_metadata(&target, id, fault, &survey);
        let present = survey.kernel.as_faults();
        let mut kept: BTreeSet<(Via, String)> = BTreeSet::new();
        for Held { injection, left_ms, what } in &survey.held {
            if let HeldThing::Network(fault) = what
                && survey.kernel.shows(injection, fault)
            {
                kept.extend(places(fault));
                let what = Marked::Fault(metadata(injection, fault));
                self.scan.marks.push(Mark { what, held: Some(left(*left_ms)) });
            }
        }
        let unheld = present.iter().filter(|(id, fault)| match fault {
            NetworkFault::Drop(_) => !survey.held.iter().any(|held| held.injection == **id),
            NetworkFault::Shape(_) => !places(fault).iter().any(|place| kept.contains(place)),
        });
        let unheld = unheld.map(|(id, fault)| Mark { what: Marked::Fault(metadata(id, fault)), held: None });
        self.scan.marks.extend(unheld);
        self.scan.foreign.extend(survey.kernel.qdiscs.iter().filter_map(|(interface, qdisc)| match qdisc {
            RootQdisc::Foreign(text) => {
                let what = format!("has a root qdisc on {interface} that is not ours ({text})");
                Some(Foreign { target: node.name.clone(), what, stopped: None })
            }
            RootQdisc::Default | RootQdisc::Ours(_) => None,
        }));
    }

    fn take_files(&mut self, target: &Target<'a>, survey: &Survey) {
        for Held { left_ms, what, .. } in &survey.held {
            if let HeldThing::Fill(path) = what
                && let Some(place) = target.mount_of(path).and_then(|mount| mount.place_of(path))
            {
                self.held_files.insert(place, left(*left_ms));
            }
        }
        for file in &survey.files {
            let Some(mount) = target.mount_of(&file.path) else { continue };
            if file.ours {
                self.files.push((Target { ..*target }, file.clone(), mount.clone()));
            } else {
                let what = format!("has {}, which bears a fill file's name and was not made by us", file.path);
                self.scan.foreign.push(Foreign { target: target.name.to_owned(), what, stopped: None });
            }
        }
    }

    /// A holder beside a life that is over: its network is nobody's any more, the files on its volumes are.
    fn take_leftover(&mut self, engine: &Engine, listed: &'a Listed, survey: Option<Survey>) {
        if let (Some(survey), Some(id)) = (&survey, &listed.target) {
            let name = listed.target_name.as_deref().unwrap_or(id);
            self.take_files(&Target { id, name, started_at: "", mounts: &listed.mounts }, survey);
        }
        let held = survey.iter().flat_map(|survey| &survey.held).map(|held| left(held.left_ms));
        let held = held.reduce(|a, b| match (a, b) {
            (Left::Until(a), Left::Until(b)) => Left::Until(a.max(b)),
            _ => Left::ForEver,
        });
        let helper = Helper {
            container: listed.container.clone(),
            name: listed.name.clone(),
            target: listed.target.clone(),
            client: engine.client(),
        };
        self.scan.marks.push(Mark { what: Marked::Helper(helper), held });
    }

    fn into_scan(mut self, engine: &Engine, image: Option<String>) -> Scan {
        let mut places = BTreeSet::new();
        for (target, file, mount) in self.files {
            let Some(place) = mount.place_of(&file.path).filter(|place| places.insert(place.clone())) else { continue };
            let held = self.held_files.get(&place).copied();
            let fault = FaultMetadata::DiskPressure {
                target_container: target.name.to_owned(),
                fill_percent: 0,
                fill_file: file.path,
                fill_bytes: file.bytes,
                whole: false,
                mount,
            };
            let metadata = bare(&target, &InjectionId::random(), fault);
            self.scan.marks.push(Mark { what: Marked::Fault(metadata), held });
        }
        for mark in &mut self.scan.marks {
            if let Marked::Fault(metadata) = &mut mark.what {
                metadata.daemon_id = Some(engine.id.clone());
                metadata.holder_image.clone_from(&image);
            }
        }
        self.scan
    }
}

fn left(left_ms: Option<u64>) -> Left {
    left_ms.map_or(Left::ForEver, |ms| Left::Until(Duration::from_millis(ms)))
}

/// Where a shaped fault stands.
fn places(fault: &NetworkFault) -> Vec<(Via, String)> {
    let shape = fault.shape();
    shape.into_iter().flat_map(|shape| shape.interfaces.iter().map(|name| (shape.via, name.clone()))).collect()
}

/// The metadata of a fault that only the kernel or a holder tells of.
fn network_metadata(target: &Target, id: &InjectionId, fault: &NetworkFault, survey: &Survey) -> Metadata {
    let name = target.name.to_owned();
    let fault = match fault.clone() {
        NetworkFault::Shape(shape) => {
            let interface = shape.interfaces.first().cloned().unwrap_or_default();
            let kind = kind_of(&shape);
            let shaped = Shaped {
                target_container: name,
                interface,
                shape,
                to: Vec::new(),
                flavour: survey.flavour,
                far: Vec::new(),
                peer_nodes: Vec::new(),
                spared_nodes: Vec::new(),
                own_ips: Vec::new(),
            };
            FaultMetadata::of_shaped(kind, shaped)
        }
        NetworkFault::Drop(Cut { ips, ends, direction, reject }) => FaultMetadata::NetworkPartition {
            isolated_container: name,
            target_ips: ips,
            link_local: Vec::new(),
            ends,
            far: Vec::new(),
            peers: Vec::new(),
            flavour: survey.flavour,
            direction,
            reject,
            peer_nodes: Vec::new(),
        },
    };
    bare(target, id, fault)
}

/// The type that does this to packets; a queue alone does not say what was done to those in it.
fn kind_of(shape: &Shape) -> FaultType {
    match shape.impairment {
        Impairment { reorder: Some(_), .. } => FaultType::PacketReorder,
        Impairment { delay: Some(_), .. } => FaultType::Latency,
        Impairment { loss: Some(_), .. } => FaultType::PacketLoss,
        Impairment { duplicate: Some(_), .. } => FaultType::PacketDuplicate,
        Impairment { corrupt: Some(_), .. } => FaultType::PacketCorrupt,
        Impairment { rate: Some(_), .. } => FaultType::Bandwidth,
        _ => FaultType::Latency,
    }
}

fn bare(target: &Target, id: &InjectionId, fault: FaultMetadata) -> Metadata {
    Metadata {
        fault,
        id: id.clone(),
        container_id: target.id.to_owned(),
        container_started_at: target.started_at.to_owned(),
        daemon_id: None,
        group: None,
        holder_image: None,
        before: None,
        task: None,
    }
}
