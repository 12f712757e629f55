//! Live status: Docker's event stream drives the list, and only what an event names is asked for again.
//!
//! Events can be lost when the stream breaks or a daemon is replaced, so every connection begins with a full list, and
//! a cheap list now and then (not a call per container) shows that the daemon still answers. Where events pour, what they
//! name is gathered for a moment and asked for once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::pending,
    sync::Arc,
    time::Duration,
};

use bollard::{
    Docker,
    models::{ContainerSummary, EventMessage, EventMessageTypeEnum},
    query_parameters::EventsOptionsBuilder,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until},
};

use super::{
    client, engine,
    identity::Identity,
    node::{Node, Snapshot},
    shared,
    told::Told,
};
use crate::subject::SubjectError;

/// How long until the next try after Docker went away.
pub const RETRY: Duration = Duration::from_secs(2);
/// How often the whole list is compared although nothing happened.
const RECHECK: Duration = Duration::from_secs(10);

/// The first event is answered at once; what follows it within this time is answered together.
const GATHER: Duration = Duration::from_millis(34);
/// As many events as are taken at once where they are waiting.
const AT_ONCE: usize = 256;

/// Each question takes a connection, here and in the daemon.
const ASKED_AT_ONCE: usize = 16;

/// How far back the event stream begins, in seconds.
const OVERLAP_S: i64 = 5;

/// What Docker is known to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Live {
    Up { engine: String, snapshot: Snapshot },
    Down { host: String, reason: String, retry: Duration },
}

/// Tells `sender` of every change, for as long as somebody listens. Never ends by itself: a daemon that goes away is
/// a state, not an error.
pub async fn watch(project: Option<String>, identity: Arc<Identity>, told: Told, sender: mpsc::Sender<Live>) {
    loop {
        let Err(error) = follow(project.as_deref(), (&identity, &told), &sender).await else { return };
        let reason = match error {
            SubjectError::NoDocker { reason, .. } => reason,
            other => other.to_string(),
        };
        tracing::warn!(reason, "Docker is not answering");
        if sender.send(Live::Down { host: client::host(), reason, retry: RETRY }).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(RETRY) => {}
            () = sender.closed() => return,
        }
    }
}

/// Follows one connection to its end, which is an error; `Ok` when nobody listens any more.
async fn follow(
    project: Option<&str>,
    (identity, clusters): (&Identity, &Told),
    sender: &mpsc::Sender<Live>,
) -> Result<(), SubjectError> {
    let docker = client::connect().await?;
    let engine = engine::title(&client::ask("ask the version of", "Docker", docker.version()).await?);
    // Docker tells again what happened since shortly before the list, so that nothing falls between the two.
    let mut events = std::pin::pin!(docker.events(Some(event_filter())).ready_chunks(AT_ONCE));
    let mut known = Known::list(&docker, identity, &HashMap::new()).await?;
    let mut heard = clusters.changes();
    let mut named = Named::new();
    let mut asked = Instant::now();
    let mut recheck = interval_at(Instant::now() + RECHECK, RECHECK);
    recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<Snapshot> = None;
    let mut may_differ = true;
    loop {
        if may_differ {
            let snapshot = clusters.group(known.nodes.values().cloned().collect()).only(project);
            if told.as_ref() != Some(&snapshot) {
                let up = Live::Up { engine: engine.clone(), snapshot: snapshot.clone() };
                if sender.send(up).await.is_err() {
                    return Ok(());
                }
                told = Some(snapshot);
            }
        }
        may_differ = tokio::select! {
            events = events.next() => match events {
                Some(events) => {
                    for event in events {
                        let event = event.map_err(|error| client::failed("follow the events of", "Docker", &error))?;
                        note(&mut named, &event);
                    }
                    false
                }
                None => return Err(SubjectError::NoDocker { host: client::host(), reason: "it closed the event stream".into() }),
            },
            () = sleep_until(asked + GATHER), if !named.is_empty() => {
                known.refresh(&docker, identity, std::mem::take(&mut named)).await?;
                asked = Instant::now();
                true
            }
            () = starting(identity), if named.is_empty() => {
                named.extend(identity.due().into_iter().map(|id| (id, false)));
                false
            }
            _ = recheck.tick() => {
                known.recheck(&docker, identity).await?;
                true
            }
            // What a PD says may put nodes in other clusters.
            Ok(()) = heard.changed() => true,
            () = sender.closed() => return Ok(()),
        };
    }
}

/// Until a container is due that may still be starting its node.
async fn starting(identity: &Identity) {
    match identity.next() {
        Some(next) => sleep_until(next).await,
        None => pending().await,
    }
}

fn event_filter() -> bollard::query_parameters::EventsOptions {
    // Health checks run as exec; their events would wake us every few seconds for each node.
    let actions = [
        "create",
        "start",
        "restart",
        "die",
        "stop",
        "kill",
        "oom",
        "pause",
        "unpause",
        "rename",
        "destroy",
        "update",
        "health_status",
        "connect",
        "disconnect",
    ];
    let filters = HashMap::from([("type", vec!["container", "network"]), ("event", actions.to_vec())]);
    let since = Timestamp::now().as_second() - OVERLAP_S;
    EventsOptionsBuilder::new().since(&since.to_string()).filters(&filters).build()
}

/// The containers that events were about, and whether the last one said that it is gone for ever.
type Named = BTreeMap<String, bool>;

fn note(named: &mut Named, event: &EventMessage) {
    let Some(actor) = &event.actor else { return };
    // A container's own attributes are its labels, which may have any name.
    let of_network = actor.attributes.as_ref().filter(|_| event.typ == Some(EventMessageTypeEnum::NETWORK));
    let of_network = of_network.and_then(|attributes| attributes.get("container"));
    let Some(id) = of_network.or(actor.id.as_ref()) else { return };
    let destroyed = of_network.is_none() && event.action.as_deref() == Some("destroy");
    // Of a container that is gone its network still has something to say.
    *named.entry(id.clone()).or_default() |= destroyed;
}

/// What was found, by id.
struct Known {
    nodes: BTreeMap<String, Node>,
    /// Containers that were looked at and are no nodes.
    others: BTreeSet<String>,
}

impl Known {
    /// All there are now that the filters let through.
    async fn list(
        docker: &Docker,
        identity: &Identity,
        filters: &HashMap<&str, Vec<&str>>,
    ) -> Result<Self, SubjectError> {
        let found = client::containers(docker, filters).await?;
        let candidates: Vec<String> = candidates(&found, identity).map(str::to_owned).collect();
        let mut known = Self { nodes: BTreeMap::new(), others: BTreeSet::new() };
        known.take(inspect_all(docker, identity, candidates).await?);
        if filters.is_empty() {
            let there: BTreeSet<&str> = found.iter().filter_map(|one| one.id.as_deref()).collect();
            identity.retain(|id| there.contains(id));
        }
        Ok(known)
    }

    fn take(&mut self, found: Vec<(String, Option<Node>)>) {
        for (id, node) in found {
            match node {
                Some(node) => {
                    self.others.remove(&id);
                    self.nodes.insert(id, node);
                }
                None => {
                    self.nodes.remove(&id);
                    self.others.insert(id);
                }
            }
        }
    }

    /// Asks again for the containers that events were about, if they are or may be nodes.
    async fn refresh(&mut self, docker: &Docker, identity: &Identity, mut named: Named) -> Result<(), SubjectError> {
        // What happens to a network's owner happens to the nodes that have joined it.
        let joined = self.nodes.values().filter(|node| {
            let owner = node.network_of.as_ref().map(|owner| owner.id.as_str());
            owner.into_iter().chain(node.joins()).any(|id| named.contains_key(id))
        });
        for id in joined.map(|node| node.id.clone()).collect::<Vec<_>>() {
            named.entry(id).or_default();
        }
        let (gone, there): (Vec<_>, Vec<_>) = named.into_iter().partition(|(_, destroyed)| *destroyed);
        for (id, _) in gone {
            self.nodes.remove(&id);
            self.others.remove(&id);
            identity.forget(&id);
        }
        let new: Vec<&str> =
            there.iter().map(|(id, _)| id.as_str()).filter(|id| !self.nodes.contains_key(*id)).collect();
        let found = match new.is_empty() {
            true => Vec::new(),
            false => client::containers(docker, &HashMap::from([("id", new)])).await?,
        };
        let new: BTreeSet<&str> = candidates(&found, identity).collect();
        let is_meant = |id: &str| self.nodes.contains_key(id) || new.contains(id);
        let asked = there.iter().map(|(id, _)| id).filter(|id| is_meant(id)).cloned().collect();
        // It has ended and was no node: nothing is still starting in it.
        there.iter().filter(|(id, _)| !is_meant(id)).for_each(|(id, _)| identity.forget(id));
        let found = inspect_all(docker, identity, asked).await?;
        self.take(found);
        Ok(())
    }

    /// Compares the list's states with ours, and starts afresh where they differ.
    async fn recheck(&mut self, docker: &Docker, identity: &Identity) -> Result<(), SubjectError> {
        let found = client::containers(docker, &HashMap::new()).await?;
        let of_others = |id: &str| self.others.contains(id);
        let listed: BTreeMap<String, String> = found
            .iter()
            .filter(|one| one.id.as_deref().is_some_and(|id| !of_others(id)) && identity.may_be_node(one))
            .filter_map(|one| Some((one.id.clone()?, one.state.map(|state| state.to_string())?)))
            .collect();
        let ours = self.nodes.iter().map(|(id, node)| (id.clone(), node.state.to_string()));
        if listed != ours.collect() {
            tracing::info!("the list differs from what the events told: asking for everything");
            *self = Self::list(docker, identity, &HashMap::new()).await?;
        }
        Ok(())
    }
}

/// The containers of a list that are or may be nodes.
fn candidates<'a>(found: &'a [ContainerSummary], identity: &Identity) -> impl Iterator<Item = &'a str> {
    found.iter().filter(|one| identity.may_be_node(one)).filter_map(|one| one.id.as_deref())
}

/// All nodes there are now that the filters let through, by id.
pub async fn nodes(
    docker: &Docker,
    identity: &Identity,
    filters: &HashMap<&str, Vec<&str>>,
) -> Result<BTreeMap<String, Node>, SubjectError> {
    Ok(Known::list(docker, identity, filters).await?.nodes)
}

/// Each request is made when its turn comes: one that waits takes some 25 kB.
async fn inspect_all(
    docker: &Docker,
    identity: &Identity,
    asked: Vec<String>,
) -> Result<Vec<(String, Option<Node>)>, SubjectError> {
    let one = |id: String| async move {
        let node = match client::container(docker, &id).await? {
            Some(found) => identity.node(docker, &found).await,
            None => {
                identity.forget(&id);
                None
            }
        };
        let node = match node {
            Some(node) => Some(shared::complete(docker, identity, node).await?),
            None => None,
        };
        Ok::<_, SubjectError>((id, node))
    };
    stream::iter(asked).map(one).buffer_unordered(ASKED_AT_ONCE).try_collect().await
}
