//! Whether a node that was started again is back: it has stayed up, and shows itself as well as it did before.
//!
//! That Docker has started a container says little: one whose data is gone, or that its cluster refuses, ends within a
//! second.

use std::time::Duration;

use bollard::{
    models::{ContainerInspectResponse, HealthConfig},
    query_parameters::RestartContainerOptionsBuilder,
};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::{
    act::{is_alive, takes_out},
    client, discovery,
    discovery::Runs,
    host::TikvSubject,
    node::{Health, Node, Role, State},
    shared,
};
use crate::{
    chaos::{Joined, Metadata, Well},
    subject::SubjectError,
};

/// A node that has neither a health check nor a port that answered counts as back once it has run for so long. What
/// cannot work ends earlier: it finds its folder empty, or is refused by its cluster, with the first things it does.
pub(super) const SETTLED: Duration = Duration::from_secs(2);
/// The longest that a health check or a port is waited for: Docker's own default is a check each 30 s, and TiKV opens its
/// status port last.
pub const BACK_LIMIT: Duration = Duration::from_secs(60);
/// From when on it is said that something is waited for.
const SAID_AFTER: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);
/// Docker's, where a health check names no interval (moby, daemon/health.go).
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// What shows that a node is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Healthy,
    Answers,
    Settled,
}

/// A container as it is at one moment.
#[derive(Debug, Clone)]
struct Seen {
    node: Node,
    finished_at: String,
    out_of_memory: bool,
    /// How long after its start its health check may say something.
    check_after: Option<Duration>,
}

impl Seen {
    fn of(node: Node, found: &ContainerInspectResponse) -> Option<Self> {
        let state = found.state.as_ref()?;
        let check = found.config.as_ref().and_then(|config| config.healthcheck.as_ref());
        Some(Self {
            node,
            finished_at: state.finished_at.clone().unwrap_or_default(),
            out_of_memory: state.oom_killed.unwrap_or(false),
            check_after: check.map(first_check),
        })
    }

    /// What is waited for, by how the node was before. Of one that former versions recorded nothing is known.
    fn sign(&self, well: Option<Well>) -> Sign {
        let in_time = self.check_after.is_none_or(|after| after < BACK_LIMIT);
        if self.node.health != Health::None && well.is_none_or(|well| well.healthy) && in_time {
            Sign::Healthy
        } else if well.is_some_and(|well| well.answered) {
            Sign::Answers
        } else {
            Sign::Settled
        }
    }

    /// How the life that began then has ended, if it has.
    fn end_of(&self, started_at: &str) -> Option<String> {
        let again = self.node.started_at != started_at;
        if is_alive(&self.node) && !again {
            return None;
        }
        let time = |text: &str| text.parse::<Timestamp>().ok();
        let lived = time(&self.finished_at).zip(time(started_at)).map(|(end, start)| end.duration_since(start));
        let lived =
            lived.filter(|lived| lived.is_positive()).map(|lived| format!(" after {:.1} s", lived.as_secs_f64()));
        let code = self.node.exit_code.map(|code| format!(" (exit code {code})"));
        let memory = if self.out_of_memory { ", out of memory" } else { "" };
        let restarted =
            if again || self.node.state == State::Restarting { ", and its restart policy starts it over" } else { "" };
        let (lived, code) = (lived.unwrap_or_default(), code.unwrap_or_default());
        Some(format!("it ended again{lived}{code}{memory}{restarted}"))
    }
}

/// In its start period a container is checked more often, where Docker knows that (from API 1.44 on).
fn first_check(check: &HealthConfig) -> Duration {
    let time = |nanos: Option<i64>| {
        nanos.and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
    };
    let often = time(check.start_period).and_then(|_| time(check.start_interval));
    often.or_else(|| time(check.interval)).unwrap_or(CHECK_INTERVAL)
}

impl TikvSubject {
    /// Waits until a node that was started shows that it is back, and gives how; `None` where it is gone.
    pub(super) async fn comes_back(&self, node: &Node, well: Option<Well>) -> Result<Option<String>, SubjectError> {
        let mut waiting = std::pin::pin!(self.wait_for_sign(node, well));
        if let Ok(shown) = timeout(SAID_AFTER, &mut waiting).await {
            return shown;
        }
        let progress = &self.options.progress;
        progress(Some(&format!("waiting until {} is back, {} s at most", node.name, self.back_limit.as_secs())));
        let shown = waiting.await;
        progress(None);
        shown
    }

    async fn wait_for_sign(&self, node: &Node, well: Option<Well>) -> Result<Option<String>, SubjectError> {
        let begun = Instant::now();
        let Some(first) = self.seen(node).await? else { return Ok(None) };
        let (sign, life) = (first.sign(well), first.node.started_at.clone());
        let not_back = |reason: String| SubjectError::NotBack { target: node.name.clone(), reason };
        let ran_before = if sign == Sign::Settled { self.running_for(&first.node).await } else { Duration::ZERO };
        let mut now = first;
        let mut answer = Err("it was not asked".to_owned());
        loop {
            if let Some(end) = now.end_of(&life) {
                let client = self.engine().await?.client();
                return Err(not_back(format!("{end}; `{client} logs {}` may say why", node.name)));
            }
            if now.node.state == State::Paused {
                return Ok(Some("it runs, and is paused".to_owned()));
            }
            let ran = ran_before + begun.elapsed();
            match (sign, &answer) {
                (Sign::Healthy, _) if now.node.health == Health::Healthy => {
                    return Ok(Some("it is healthy".to_owned()));
                }
                (Sign::Answers, Ok(())) => return Ok(Some(format!("it answers at its {}", port_of(node.role)))),
                (Sign::Settled, _) if ran >= SETTLED => return Ok(Some(settled(&now.node, well))),
                _ => {}
            }
            if begun.elapsed() >= self.back_limit.max(SETTLED) {
                let after = format!("{} s after it was looked at first", begun.elapsed().as_secs());
                return Err(not_back(match (sign, answer) {
                    (Sign::Answers, Err(error)) => format!("it runs, and its {} {error}, {after}", port_of(node.role)),
                    _ => format!("it runs, and its health check calls it {}, {after}", now.node.health),
                }));
            }
            match sign {
                // Returns as soon as it ends.
                Sign::Settled => self.ends_within(&node.id, SETTLED.saturating_sub(ran)).await?,
                _ => sleep(PAUSE).await,
            }
            if sign == Sign::Answers {
                let docker = self.docker().await?;
                answer = self.answers(&shared::complete(&docker, &self.options.identity, now.node).await?).await;
            }
            match self.seen(node).await? {
                Some(seen) => now = seen,
                None => return Ok(None),
            }
        }
    }

    async fn seen(&self, node: &Node) -> Result<Option<Seen>, SubjectError> {
        let found = client::container(&self.docker().await?, &node.id).await?;
        let Some(found) = found else { return Ok(None) };
        let now = self.options.identity.node(&self.docker().await?, &found).await;
        // Its program may not run yet behind whatever starts it.
        let now = now.or_else(|| discovery::node(node.role, &found, Runs::default()));
        Ok(now.and_then(|now| Seen::of(now, &found)))
    }

    /// By the clock of Docker's machine, which may be ahead of ours or behind; no time at all where that is not said.
    async fn running_for(&self, node: &Node) -> Duration {
        let Ok(docker) = self.docker().await else { return Duration::ZERO };
        let info = client::ask("ask about", "the daemon", docker.info()).await;
        let now = info.ok().and_then(|info| info.system_time?.parse::<Timestamp>().ok());
        let ran = now.zip(node.up_since).map(|(now, since)| now.duration_since(since));
        ran.and_then(|ran| Duration::try_from(ran).ok()).unwrap_or_default()
    }

    /// Waits for so long, or until the container has ended.
    async fn ends_within(&self, id: &str, time: Duration) -> Result<(), SubjectError> {
        let begun = Instant::now();
        let ended = self.ends(id, time).await?;
        // A question that fails looks like an end.
        if ended && begun.elapsed() < PAUSE {
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Gives the nodes that have lost their network with this one's end a new one, and waits until they are back: the names
    /// of those that were restarted for it.
    pub(super) async fn put_back_joined(&self, metadata: &Metadata) -> Result<Vec<String>, SubjectError> {
        let mut restarted = Vec::new();
        let joined = metadata.before.iter().flat_map(|before| &before.joined);
        let open: Vec<Metadata> = (self.options.known)().into_iter().map(|one| one.metadata).collect();
        // The undo of its own brings it back.
        let is_out = |one: &&Joined| {
            !open.iter().any(|other| {
                other.id != metadata.id && other.container_id == one.container_id && takes_out(&other.fault)
            })
        };
        for one in joined.filter(is_out) {
            // By the same look as at the target: metadata may name any container.
            let as_target = Metadata { container_id: one.container_id.clone(), ..metadata.clone() };
            let Some(node) = self.find_target(&as_target).await? else { continue };
            if node.joins().is_none() {
                continue;
            }
            let node = shared::complete(&self.docker().await?, &self.options.identity, node).await?;
            let is_lost = node.network_of.as_ref().is_some_and(|owner| owner.lost);
            if !is_alive(&node) || is_lost {
                self.restart(&node).await?;
                restarted.push(node.name.clone());
            }
            self.comes_back(&node, Some(one.well)).await?;
        }
        Ok(restarted)
    }

    /// One that does not run is started by it too.
    async fn restart(&self, node: &Node) -> Result<(), SubjectError> {
        let patience = 2 * client::LONG_PATIENCE;
        let docker = self.docker().await?.with_timeout(patience);
        let options = RestartContainerOptionsBuilder::new().build();
        client::ask_for("restart", &node.name, patience, docker.restart_container(&node.id, Some(options))).await
    }
}

const fn port_of(role: Role) -> &'static str {
    match role {
        Role::Tikv => "status port",
        Role::Pd => "client port",
    }
}

fn settled(node: &Node, well: Option<Well>) -> String {
    let check = match (node.health, well) {
        (Health::None, _) => "it has no health check",
        (_, Some(Well { healthy: false, .. })) => "its health check called it unhealthy before too",
        _ => "its health check says nothing for longer than that is waited for",
    };
    let port = if well.is_some() { ", and no port answered before" } else { "" };
    format!("it has stayed up for {} s ({check}{port})", SETTLED.as_secs())
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerState, ContainerStateStatusEnum, HealthStatusEnum};

    use super::*;

    fn seen(status: ContainerStateStatusEnum, health: Option<HealthStatusEnum>, check: Option<HealthConfig>) -> Seen {
        let health = health.map(|status| bollard::models::Health { status: Some(status), ..Default::default() });
        let found = ContainerInspectResponse {
            id: Some("id".into()),
            name: Some("/tikv0".into()),
            state: Some(ContainerState {
                status: Some(status),
                exit_code: Some(1),
                started_at: Some("2026-02-02T00:00:01Z".into()),
                finished_at: Some("2026-02-02T00:00:01.2Z".into()),
                health,
                ..ContainerState::default()
            }),
            config: Some(ContainerConfig { healthcheck: check, ..ContainerConfig::default() }),
            ..ContainerInspectResponse::default()
        };
        Seen::of(discovery::node(Role::Tikv, &found, Runs::default()).unwrap(), &found).unwrap()
    }

    #[test]
    fn sign_is_what_the_node_showed_before() {
        use ContainerStateStatusEnum::RUNNING;
        let well = |healthy, answered| Some(Well { healthy, answered });
        let check = |seconds: i64| Some(HealthConfig { interval: Some(seconds * 1_000_000_000), ..Default::default() });
        let plain = seen(RUNNING, None, None);
        assert_eq!(plain.sign(None), Sign::Settled);
        assert_eq!(plain.sign(well(true, false)), Sign::Settled);
        assert_eq!(plain.sign(well(true, true)), Sign::Answers);
        let checked = |check| seen(RUNNING, Some(HealthStatusEnum::STARTING), check);
        assert_eq!(checked(check(5)).sign(None), Sign::Healthy);
        assert_eq!(checked(None).sign(well(true, true)), Sign::Healthy);
        // It was called unhealthy before, or nothing is said in time.
        assert_eq!(checked(check(5)).sign(well(false, true)), Sign::Answers);
        assert_eq!(checked(check(600)).sign(well(true, false)), Sign::Settled);
        let early =
            Some(HealthConfig { start_period: Some(1), start_interval: Some(1_000_000_000), ..check(600).unwrap() });
        assert_eq!(checked(early).sign(well(true, false)), Sign::Healthy);
    }

    #[test]
    fn end_is_told_with_its_time_and_its_code() {
        use ContainerStateStatusEnum::{EXITED, PAUSED, RESTARTING, RUNNING};
        let life = "2026-02-02T00:00:01Z";
        let end = |status, life: &str| seen(status, None, None).end_of(life);
        assert_eq!(end(RUNNING, life), None);
        assert_eq!(end(PAUSED, life), None);
        assert_eq!(end(EXITED, life).as_deref(), Some("it ended again after 0.2 s (exit code 1)"));
        let over = "it ended again after 0.2 s (exit code 1), and its restart policy starts it over";
        assert_eq!(end(RESTARTING, life).as_deref(), Some(over));
        let over = "it ended again after 0.7 s, and its restart policy starts it over";
        assert_eq!(end(RUNNING, "2026-02-02T00:00:00.5Z").as_deref(), Some(over));
    }
}
