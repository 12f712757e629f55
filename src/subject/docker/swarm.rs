//! Tasks of Docker Swarm's services: of those that filled one place the last one is a node, the others are history; and one
//! that was killed is undone by the task that Swarm puts there. Nothing of Swarm's is ever started by us.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    act::{is_alive, lost},
    client, helpers,
    host::TikvSubject,
    node::{Health, Node, State},
    restored::SETTLED,
    watch,
};
use crate::{
    chaos::{FaultMetadata, Metadata, Signal, Task},
    subject::{Cleaned, SubjectError},
};

/// Swarm waits for 5 s before it starts a task anew (`restart_policy.delay`), and may have to pull its image.
const PATIENCE: Duration = client::LONG_PATIENCE;

/// The nodes that there are, and the ids of the tasks that were replaced by one of them.
pub fn without_history(nodes: Vec<Node>) -> (Vec<Node>, Vec<(String, Task)>) {
    let mut last: BTreeMap<Task, (bool, Option<Timestamp>, String)> = BTreeMap::new();
    for node in &nodes {
        let Some(task) = &node.endpoints.belonging.task else { continue };
        let rank = (is_alive(node), node.endpoints.belonging.created, node.id.clone());
        match last.get_mut(task) {
            Some(best) if *best >= rank => {}
            Some(best) => *best = rank,
            None => drop(last.insert(task.clone(), rank)),
        }
    }
    // What runs is a node, whatever else claims its place: while one is replaced both may run for a moment.
    let is_there = |node: &Node| {
        let place = node.endpoints.belonging.task.as_ref().and_then(|task| last.get(task));
        place.is_none_or(|(_, _, id)| *id == node.id) || is_alive(node)
    };
    let (there, replaced): (Vec<Node>, Vec<Node>) = nodes.into_iter().partition(is_there);
    (there, replaced.into_iter().filter_map(|node| Some((node.id, node.endpoints.belonging.task?))).collect())
}

/// What is said of a task before it is taken down.
pub fn warning(metadata: &Metadata) -> Option<String> {
    let task = metadata.task.as_ref().filter(|_| patience(&metadata.fault).is_some())?;
    Some(format!(
        "{} is a task of the Swarm service {}: Swarm replaces it by itself, and a revert waits for the replacement",
        metadata.target(),
        task.service
    ))
}

/// How long a task may take to end that was told to; none where it is not taken down.
fn patience(fault: &FaultMetadata) -> Option<Duration> {
    match fault {
        FaultMetadata::NodeKill { signal: Signal::Kill, .. } => Some(Duration::ZERO),
        FaultMetadata::NodeKill { .. } => Some(client::PATIENCE),
        FaultMetadata::NodeStop { timeout_s, .. } => Some(Duration::from_secs(*timeout_s) + client::PATIENCE),
        _ => None,
    }
}

impl TikvSubject {
    /// The undo of a task's end: waits until another container fills its place. `None` where nothing of Swarm's was ended.
    pub(super) async fn await_replacement(&self, metadata: &Metadata) -> Result<Option<Cleaned>, SubjectError> {
        let Some(patience) = patience(&metadata.fault) else { return Ok(None) };
        let task = match &metadata.task {
            Some(task) => Some(task.clone()),
            // A record of an earlier version says nothing of it.
            None => self.find_target(metadata).await?.and_then(|node| node.endpoints.belonging.task),
        };
        let Some(task) = task else { return Ok(None) };
        let begun = Instant::now();
        // The life of a replacement that is seen, and since when: by our own clock, Docker's may be another.
        let mut seen: Option<(String, String, Instant)> = None;
        let mut asked = false;
        let cleaned = loop {
            let old = self.find_target(metadata).await?;
            if old.as_ref().is_some_and(is_alive) {
                let same_life = old.is_some_and(|node| node.started_at == metadata.container_started_at);
                if !same_life || begun.elapsed() >= patience {
                    break Cleaned::Clean;
                }
            } else if let Some(node) = self.replacement(metadata, &task).await? {
                let same = |one: &(String, String, Instant)| one.0 == node.id && one.1 == node.started_at;
                let (_, _, since) = match seen.take().filter(same) {
                    Some(known) => seen.insert(known),
                    None => seen.insert((node.id.clone(), node.started_at.clone(), Instant::now())),
                };
                if is_back(&node, since.elapsed()) {
                    break Cleaned::Clean;
                }
            } else if !std::mem::replace(&mut asked, true)
                && let Some(how) = self.is_given_up(&task).await
            {
                break lost(metadata, &how);
            }
            if begun.elapsed() >= PATIENCE + patience {
                return Err(self.not_replaced(metadata, &task).await?);
            }
            sleep(Duration::from_millis(250)).await;
        };
        helpers::reap(&self.engine().await?, metadata, None).await?;
        Ok(Some(cleaned))
    }

    async fn not_replaced(&self, metadata: &Metadata, task: &Task) -> Result<SubjectError, SubjectError> {
        let reason = format!(
            "no other container of {task} runs on this Docker host after {} s; it may be on another host of the swarm: \
             `{} service ps {}` says where, or why not",
            PATIENCE.as_secs(),
            self.engine().await?.client(),
            task.service
        );
        let object = metadata.target().to_owned();
        Ok(SubjectError::Docker { operation: "find the replacement of", object, reason })
    }

    /// The running container that fills the place now.
    async fn replacement(&self, metadata: &Metadata, task: &Task) -> Result<Option<Node>, SubjectError> {
        let docker = self.docker().await?;
        let label = format!("com.docker.swarm.service.name={}", task.service);
        let nodes =
            watch::nodes(&docker, &self.options.identity, &HashMap::from([("label", vec![label.as_str()])])).await?;
        let fills = |node: &Node| {
            node.id != metadata.container_id && node.endpoints.belonging.task.as_ref() == Some(task) && is_alive(node)
        };
        Ok(nodes.into_values().find(fills))
    }

    /// Why Swarm replaces it no more, if it says so; only a manager knows.
    async fn is_given_up(&self, task: &Task) -> Option<String> {
        let docker = self.docker().await.ok()?;
        let found = docker.inspect_service(&task.service, None);
        let service = match client::patiently(client::PATIENCE, found).await {
            Some(Ok(service)) => service,
            Some(Err(error)) if client::status(&error) == Some(404) => {
                return Some(format!("was a task of {}, a service that was removed", task.service));
            }
            _ => return None,
        };
        let replicas = service.spec.and_then(|spec| spec.mode?.replicated?.replicas);
        let slot = task.slot.parse::<i64>().ok();
        let beyond = replicas.zip(slot).filter(|(replicas, slot)| slot > replicas);
        beyond.map(|(replicas, _)| format!("was task {task} of a service that is scaled to {replicas}"))
    }
}

/// Healthy, or without a health check and running for a while.
fn is_back(node: &Node, runs_for: Duration) -> bool {
    match node.health {
        Health::Healthy => true,
        Health::None => node.state == State::Running && runs_for >= SETTLED,
        Health::Starting | Health::Unhealthy => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::clusters::tests::bare, *};

    fn task(id: &str, slot: &str, state: State, created: i64) -> Node {
        let mut node = Node { id: id.into(), state, ..bare(id, Some("db"), &["db_default"]) };
        node.endpoints.belonging.task = Task::from_labels("db_tikv0", &format!("db_tikv0.{slot}.{id}"));
        node.endpoints.belonging.created = Timestamp::from_second(created).ok();
        node
    }

    fn there(nodes: Vec<Node>) -> (Vec<String>, Vec<String>) {
        let (there, replaced) = without_history(nodes);
        (there.into_iter().map(|node| node.id).collect(), replaced.into_iter().map(|(id, _)| id).collect())
    }

    #[test]
    fn tasks_that_were_replaced_are_no_nodes() {
        let history = vec![
            task("first", "1", State::Exited, 1),
            task("second", "1", State::Exited, 2),
            task("third", "1", State::Running, 3),
            task("other", "2", State::Running, 1),
            bare("plain", None, &[]),
        ];
        let (nodes, replaced) = there(history);
        assert_eq!(nodes, ["third", "other", "plain"]);
        assert_eq!(replaced, ["first", "second"]);
    }

    #[test]
    fn last_task_of_a_place_stays_until_another_is_there() {
        // Just ended, and the next one is not made yet: a store that is down.
        assert_eq!(there(vec![task("a", "1", State::Exited, 1), task("b", "1", State::Exited, 2)]).0, ["b"]);
        assert_eq!(there(vec![task("a", "1", State::Exited, 1), task("b", "1", State::Created, 2)]).0, ["b"]);
        // Updated with the new one started first.
        assert_eq!(there(vec![task("a", "1", State::Running, 1), task("b", "1", State::Running, 2)]).0, ["a", "b"]);
    }
}
