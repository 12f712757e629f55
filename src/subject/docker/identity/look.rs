//! What runs in containers, asked of Docker's `top` where it may matter, and remembered.
//!
//! `top` costs the daemon a `ps` over all its host. So it is asked once for a life of a container (its id and start); again
//! only while a start script may not have come to its program yet. What was seen is kept in the state folder: a command is a
//! program of its own, and a node that was killed shows nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bollard::{
    Docker,
    models::{ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::TopOptionsBuilder,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    named::Names,
    processes::{self, Seen},
    program::{self, Program},
    role::{self, Facts, Said},
};
use crate::{
    cluster::ConfigCache,
    subject::{
        SubjectError,
        docker::{
            client,
            discovery::{self, Runs},
            node::{Node, Role},
        },
    },
};

/// So long after its start a container may still come to its node's program.
const STARTING: Duration = Duration::from_secs(60);
/// How soon it is looked at again meanwhile: the longer it takes the more seldom, by this share of its age.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_SHARE: u32 = 8;

/// Tells nodes from other containers.
#[derive(Debug, Default)]
pub struct Identity {
    names: Names,
    kept: ConfigCache,
    lives: Mutex<HashMap<String, Life>>,
}

/// What is known of one life of a container.
#[derive(Debug, Clone)]
struct Life {
    started_at: String,
    seen: Option<Seen>,
    /// When it is to be looked at again, if it is.
    next: Option<Instant>,
}

/// What is kept of a container in the state folder.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    seen: Option<Seen>,
    /// It was chosen as a target, as such a node.
    target: Option<String>,
}

impl Identity {
    /// `kept` is where it is remembered what was seen.
    pub fn new(names: Names, kept: ConfigCache) -> Self {
        Self { names, kept, lives: Mutex::default() }
    }

    fn lives(&self) -> MutexGuard<'_, HashMap<String, Life>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a container of the list has to be looked at: whether it is or may be a node.
    pub fn may_be_node(&self, found: &ContainerSummary) -> bool {
        use ContainerSummaryStateEnum as State;
        let facts = Facts::of_summary(found);
        match role::said(&facts, &self.names) {
            Said::No => false,
            Said::Node(_) => true,
            Said::Nothing => {
                let runs = matches!(found.state, Some(State::RUNNING | State::PAUSED | State::RESTARTING));
                runs || role::may_be(&facts) || self.last(&facts.id).is_some_and(|seen| seen.role().is_some())
            }
        }
    }

    /// The node that the container is, if it is one.
    pub async fn node(&self, docker: &Docker, found: &ContainerInspectResponse) -> Option<Node> {
        let facts = Facts::of(found);
        let said = role::said(&facts, &self.names);
        if said == Said::No {
            return None;
        }
        let line = program::of_command(&facts.command);
        // Its own command is a node and nothing beside it.
        let is_clear = line.direct && matches!(line.program, Program::Node(_));
        let seen = if is_clear { None } else { self.seen(docker, &facts, found).await };
        let role = role::decide(&facts, said, &line, seen.as_ref())?;
        let of_command = || if line.direct { line.args.clone() } else { [&facts.command[..], &line.args].concat() };
        let args = seen.as_ref().and_then(|seen| seen.args(role)).map_or_else(of_command, <[String]>::to_vec);
        let several = seen.as_ref().and_then(Seen::several);
        discovery::node(role, found, Runs { args: if several.is_some() { Vec::new() } else { args }, several })
    }

    /// Notes that a container is a target. It stays one for its undo, whatever a later command is told of nodes.
    pub fn keep_target(&self, node: &Node) {
        if self.names.of(&node.id, &node.name, node.service.as_deref()).is_none() {
            return;
        }
        let mut kept = self.load(&node.id).unwrap_or_default();
        if kept.target.replace(node.role.to_string()).is_some() {
            return;
        }
        self.kept.store(&node.id, &node.started_at, &kept, Timestamp::now());
    }

    /// A container that was a target, as the node that it was.
    pub fn former_target(&self, found: &ContainerInspectResponse) -> Option<Node> {
        let facts = Facts::of(found);
        let kept = self.load(&facts.id)?;
        let role = match kept.target.as_deref()? {
            "pd" => Role::Pd,
            _ => Role::Tikv,
        };
        let args = kept.seen.as_ref().and_then(|seen| seen.args(role)).map_or(facts.command, <[String]>::to_vec);
        discovery::node(role, found, Runs { args, several: None })
    }

    /// What runs in the container now, or ran there last.
    async fn seen(&self, docker: &Docker, facts: &Facts, found: &ContainerInspectResponse) -> Option<Seen> {
        use ContainerStateStatusEnum as State;
        let state = found.state.as_ref();
        let started_at = state.and_then(|state| state.started_at.clone()).unwrap_or_default();
        let runs =
            matches!(state.and_then(|state| state.status), Some(State::RUNNING | State::PAUSED | State::STOPPING));
        let known = self.lives().get(&facts.id).filter(|life| life.started_at == started_at).cloned();
        if !runs {
            if let Some(life) = self.lives().get_mut(&facts.id) {
                life.next = None;
            }
            return known.and_then(|life| life.seen).or_else(|| self.last(&facts.id));
        }
        if let Some(life) = known.filter(|life| life.next.is_none_or(|next| next > Instant::now())) {
            return life.seen.or_else(|| self.last(&facts.id));
        }
        if let Some((Kept { seen: Some(seen), .. }, at)) = self.kept.load::<Kept>(&facts.id, &started_at)
            && (seen.is_final || is_late(&started_at, at))
        {
            self.settle(&facts.id, &started_at, Some(seen.clone()), None);
            return Some(seen);
        }
        let own = state.and_then(|state| u32::try_from(state.pid?).ok());
        let now = match top(docker, facts, own).await {
            Ok(seen) => Some(seen),
            Err(error) => {
                tracing::warn!(container = facts.name, %error, "what runs in it is not known");
                None
            }
        };
        let starts = age(&started_at).filter(|age| *age < STARTING);
        let starts = starts.filter(|_| now.as_ref().is_none_or(|seen| !seen.is_final));
        let next = starts.map(|age| Instant::now() + AGAIN.max(age / AGAIN_SHARE));
        let is_node = |seen: &Seen| seen.role().is_some();
        if let Some(seen) = now.clone().filter(|seen| next.is_none() || is_node(seen)) {
            let kept = Kept { seen: Some(seen), ..self.load(&facts.id).unwrap_or_default() };
            self.kept.store(&facts.id, &started_at, &kept, Timestamp::now());
        }
        // While it starts it is what it was.
        let seen = match now {
            Some(seen) if is_node(&seen) || next.is_none() => Some(seen),
            now => self.last(&facts.id).filter(is_node).or(now),
        };
        self.settle(&facts.id, &started_at, seen.clone(), next);
        seen
    }

    fn settle(&self, id: &str, started_at: &str, seen: Option<Seen>, next: Option<Instant>) {
        let started_at = started_at.to_owned();
        self.lives().insert(id.to_owned(), Life { started_at, seen, next });
    }

    /// What was seen in this or a former life of the container.
    fn last(&self, id: &str) -> Option<Seen> {
        let known = self.lives().get(id).and_then(|life| life.seen.clone());
        known.filter(|seen| seen.role().is_some()).or_else(|| self.load(id)?.seen)
    }

    fn load(&self, id: &str) -> Option<Kept> {
        self.kept.last(id)
    }

    /// Whether a container runs whose node has ended: a shell may outlive what it started. False where that is not known.
    pub async fn has_lost_its_node(&self, docker: &Docker, node: &Node) -> bool {
        if self.last(&node.id).is_none_or(|seen| seen.role().is_none()) {
            return false;
        }
        let facts = Facts { id: node.id.clone(), name: node.name.clone(), ..Facts::default() };
        match top(docker, &facts, None).await {
            Ok(seen) => seen.role().is_none(),
            Err(error) => {
                tracing::warn!(container = facts.name, %error, "whether its node still runs is not known");
                false
            }
        }
    }

    /// When a container is to be looked at again that may still be starting its program.
    pub fn next(&self) -> Option<Instant> {
        self.lives().values().filter_map(|life| life.next).min()
    }

    /// Those that are to be looked at now.
    pub fn due(&self) -> Vec<String> {
        let now = Instant::now();
        let lives = self.lives();
        lives.iter().filter(|(_, life)| life.next.is_some_and(|next| next <= now)).map(|(id, _)| id.clone()).collect()
    }

    /// The container is gone.
    pub fn forget(&self, id: &str) {
        self.lives().remove(id);
    }

    /// Only these containers are left.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.lives().retain(|id, _| is_there(id));
        self.kept.prune(is_there);
    }
}

/// How long ago that was, by Docker's own text. A little ahead of our clock is now; `None` where the clocks differ.
fn age(started_at: &str) -> Option<Duration> {
    let started: Timestamp = started_at.parse().ok()?;
    let age = Timestamp::now().duration_since(started);
    if age.is_negative() {
        return (age.unsigned_abs() < STARTING).then_some(Duration::ZERO);
    }
    Some(age.unsigned_abs())
}

/// Whether a look at that time was so late after the start that no further one is needed.
fn is_late(started_at: &str, looked_at: Timestamp) -> bool {
    let after = started_at.parse().ok().map(|started: Timestamp| looked_at.duration_since(started));
    after.and_then(|after| Duration::try_from(after).ok()).is_some_and(|after| after >= STARTING)
}

async fn top(docker: &Docker, facts: &Facts, own: Option<u32>) -> Result<Seen, SubjectError> {
    let ask = |columns: &'static str| async move {
        let options = TopOptionsBuilder::new().ps_args(columns).build();
        let answer = docker.top_processes(&facts.id, Some(options));
        let answer = client::ask("list the processes of", &facts.name, answer).await?;
        let (titles, rows) = (answer.titles.unwrap_or_default(), answer.processes.unwrap_or_default());
        processes::of_top(&titles, &rows).map_err(|reason| SubjectError::Docker {
            operation: "list the processes of",
            object: facts.name.clone(),
            reason,
        })
    };
    let begun = Instant::now();
    match ask(processes::COLUMNS).await {
        Ok(found) => Ok(processes::seen(&found, own)),
        // Podman runs the container's own `ps` for options, which need not be there, and answers nothing. Without options it
        // reads by itself; ids are the container's there.
        Err(error) if begun.elapsed() < client::PATIENCE => match ask(processes::COLUMNS_OF_PODMAN).await {
            Ok(found) => Ok(processes::seen(&found, Some(1))),
            Err(_) => Err(error),
        },
        Err(error) => Err(error),
    }
}
