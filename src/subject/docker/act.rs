//! Acts: the changes themselves, each read back, and their undoing whatever became of the target meanwhile.

use std::time::{Duration, Instant};

use bollard::query_parameters::{KillContainerOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptions};
use futures_util::StreamExt as _;

use super::{
    beside::Beside,
    client, disk,
    fate::fate,
    holder::Holder,
    host::TikvSubject,
    node::{Node, State},
};
use crate::{
    chaos::{DataMount, FaultMetadata, Metadata, Signal},
    holder::protocol::{Answer, Ask},
    step::{Step, step},
    subject::{Cleaned, Fate, SubjectError, lost_words},
};

impl TikvSubject {
    /// The target, if it is still in the life that the plan was made for.
    pub(super) async fn unchanged(&self, metadata: &Metadata) -> Result<Node, SubjectError> {
        match self.find_target(metadata).await? {
            None => Err(changed(metadata, "was removed")),
            Some(node) if !is_alive(&node) => Err(changed(metadata, "stopped")),
            Some(node) if node.started_at != metadata.container_started_at => Err(changed(metadata, "was restarted")),
            Some(node) => Ok(node),
        }
    }

    /// Sends the signal and waits until Docker shows that the container has ended.
    pub(super) async fn kill(&self, metadata: &Metadata, signal: Signal) -> Result<(), SubjectError> {
        let node = self.unchanged(metadata).await.map_err(|error| SubjectError::NotBegun(Box::new(error)))?;
        let docker = self.docker().await?;
        let options = KillContainerOptionsBuilder::new().signal(signal.name()).build();
        client::change("kill", &node.name, docker.kill_container(&node.id, Some(options))).await?;
        step(Step::Signalled);
        // A node may take its time over every other signal, or not care at all.
        let patience = if signal == Signal::Kill { client::LONG_PATIENCE } else { client::PATIENCE };
        self.has_ended(metadata, &node, signal.name(), patience).await
    }

    /// Freezes every process of the container, and waits until Docker shows it.
    pub(super) async fn pause(&self, metadata: &Metadata) -> Result<(), SubjectError> {
        let node = self.unchanged(metadata).await.map_err(|error| SubjectError::NotBegun(Box::new(error)))?;
        if node.state == State::Paused {
            // Somebody else's pause is not ours to end.
            return Err(SubjectError::NotBegun(Box::new(changed(metadata, "was paused by somebody else"))));
        }
        let docker = self.docker().await?;
        client::change("pause", &node.name, docker.pause_container(&node.id)).await?;
        step(Step::Signalled);
        match self.unchanged(metadata).await?.state {
            State::Paused => Ok(()),
            _ => Err(changed(metadata, "was unpaused by somebody else")),
        }
    }

    /// Lets the processes go on.
    pub(super) async fn unpause(&self, metadata: &Metadata) -> Result<Cleaned, SubjectError> {
        let ours = |node: &Node| node.state == State::Paused;
        let found = self.find_target(metadata).await?;
        // Another life of the container was never frozen by us.
        if let Fate::Gone(how) = fate(metadata, found.as_ref()) {
            return Ok(lost(metadata, how));
        }
        let Some(node) = found.filter(ours) else { return Ok(Cleaned::Clean) };
        let docker = self.docker().await?;
        let answer = client::change("unpause", &node.name, docker.unpause_container(&node.id)).await;
        step(Step::StartedAgain);
        let now = self.find_target(metadata).await?;
        if let Fate::Gone(how) = fate(metadata, now.as_ref()) {
            return Ok(lost(metadata, how));
        }
        match now.filter(ours) {
            None => Ok(Cleaned::Clean),
            Some(now) => Err(answer.err().unwrap_or_else(|| {
                let reason = "it was unpaused and is paused again".to_owned();
                SubjectError::Docker { operation: "unpause", object: now.name, reason }
            })),
        }
    }

    /// Stops the container as an operator would, and waits until Docker shows that it has ended.
    pub(super) async fn stop(&self, metadata: &Metadata, timeout_s: u64) -> Result<(), SubjectError> {
        let node = self.unchanged(metadata).await.map_err(|error| SubjectError::NotBegun(Box::new(error)))?;
        let patience = Duration::from_secs(timeout_s) + client::LONG_PATIENCE;
        let docker = self.docker().await?.with_timeout(patience);
        let options = StopContainerOptionsBuilder::new().t(i32::try_from(timeout_s).unwrap_or(i32::MAX)).build();
        client::ask_for("stop", &node.name, patience, docker.stop_container(&node.id, Some(options))).await?;
        step(Step::Signalled);
        self.has_ended(metadata, &node, "the stop", client::LONG_PATIENCE).await
    }

    async fn has_ended(
        &self,
        metadata: &Metadata,
        before: &Node,
        by: &'static str,
        patience: Duration,
    ) -> Result<(), SubjectError> {
        let ended = self.ends(&metadata.container_id, patience).await?;
        match self.find_target(metadata).await? {
            // As was said before it was done.
            None if before.auto_remove => Ok(()),
            None => Err(changed(metadata, "was removed")),
            Some(now) if now.started_at != metadata.container_started_at => {
                Err(changed(metadata, "was started again by its restart policy"))
            }
            Some(_) if !ended => {
                let (target, seconds) = (metadata.target().to_owned(), patience.as_secs());
                Err(SubjectError::StillRunning { target, signal: by, seconds })
            }
            Some(_) => Ok(()),
        }
    }

    /// Waits until the container does not run, for a while; whether it came to that.
    pub(super) async fn ends(&self, id: &str, patience: Duration) -> Result<bool, SubjectError> {
        let docker = self.docker().await?;
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let mut ended = std::pin::pin!(docker.wait_container(id, Some(options)));
        // An exit status other than 0 arrives as an error; either way it has ended.
        Ok(client::patiently(patience, ended.next()).await.is_some())
    }

    /// Starts the container again, and what lost its network with it, and waits until they are back. One that still runs in
    /// the life that was signalled may be about to end, and then nothing else would start it: it is given the time that it
    /// was given then.
    pub(super) async fn start(&self, metadata: &Metadata, patience: Option<Duration>) -> Result<Cleaned, SubjectError> {
        let Some(node) = self.find_target(metadata).await? else { return Ok(lost(metadata, "was removed")) };
        let same_life = node.started_at == metadata.container_started_at;
        let runs = is_alive(&node)
            && match patience.filter(|_| same_life) {
                Some(patience) => !self.ends(&node.id, patience).await?,
                None => true,
            };
        if runs && same_life {
            return Ok(Cleaned::Clean);
        }
        // Started by whatever else, it counts as back no sooner.
        if !runs {
            self.start_container(&node).await?;
            step(Step::StartedAgain);
        }
        let well = metadata.before.as_ref().map(|before| before.well);
        let Some(how) = self.comes_back(&node, well).await? else { return Ok(lost(metadata, "was removed")) };
        let joined = self.put_back_joined(metadata).await?.join(", ");
        let joined = if joined.is_empty() { joined } else { format!("; restarted for its network: {joined}") };
        Ok(Cleaned::Back(how + &joined))
    }

    /// What has joined the network of one that is being started at the same time waits for that.
    async fn start_container(&self, node: &Node) -> Result<(), SubjectError> {
        let docker = self.docker().await?;
        let begun = Instant::now();
        loop {
            match client::change("start", &node.name, docker.start_container(&node.id, None)).await {
                // Docker's words (moby, daemon/container_operations.go).
                Err(SubjectError::Docker { reason, .. })
                    if reason.contains("non running container") && begun.elapsed() < client::PATIENCE =>
                {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                started => return started,
            }
        }
    }

    pub(super) async fn end_network(&self, metadata: &Metadata) -> Result<Cleaned, SubjectError> {
        let Some(fault) = metadata.network() else { return Ok(Cleaned::Clean) };
        match self.ask_beside(metadata, Ask::Remove { injection: metadata.id.clone(), fault }).await {
            Ok(_) => Ok(Cleaned::Clean),
            Err(SubjectError::TargetChanged { what, .. }) => Ok(lost(metadata, &what)),
            // It may have stopped while we asked.
            Err(error) => match self.unchanged(metadata).await {
                Err(SubjectError::TargetChanged { what, .. }) => Ok(lost(metadata, &what)),
                _ => Err(error),
            },
        }
    }

    /// Through the target's holder where it runs, else through one beside the volume alone.
    pub(super) async fn remove_fill(
        &self,
        metadata: &Metadata,
        file: &str,
        mount: &DataMount,
    ) -> Result<Cleaned, SubjectError> {
        let ask = Ask::Unfill { injection: metadata.id.clone(), file: file.to_owned() };
        match self.find_target(metadata).await? {
            // A container's mounts are for life.
            Some(node) if !node.mounts.contains(mount) => {
                let reason = format!("has no mount of {} at {}: left alone", mount.source, mount.destination);
                return Err(SubjectError::Refused { target: node.name, reason });
            }
            Some(node) if is_alive(&node) => return self.ask(&node, ask).await.map(|_| Cleaned::Clean),
            _ => {}
        }
        if !disk::exists(&self.docker().await?, mount).await? {
            return Ok(Cleaned::Lost(format!("the volume {} is gone", mount.source)));
        }
        let beside = Beside::Mount { mount: mount.clone(), name: metadata.target().to_owned() };
        match self.ask_alone(&beside, ask).await {
            Err(SubjectError::Docker { reason, .. }) if reason.contains("does not exist") => {
                Ok(Cleaned::Lost(format!("the folder {} is gone", mount.source)))
            }
            removed => removed.map(|_| Cleaned::Clean),
        }
    }

    /// Asks a holder beside a volume alone, which goes when it was asked. Programs share it, so one of them may let it
    /// go before it reads another's request; then its successor is asked.
    pub(super) async fn ask_alone(&self, beside: &Beside, ask: Ask) -> Result<Answer, SubjectError> {
        let (engine, image) = (self.engine().await?, self.image().await?);
        let mut tries = 0..5;
        loop {
            let holder = Holder::open(&engine, image, beside).await?;
            let answer = holder.ask(ask.clone()).await;
            if answer.is_err() && holder.has_quit() && tries.next().is_some() {
                continue;
            }
            holder.release(&engine.docker).await;
            return answer;
        }
    }
}

/// Its namespaces exist: a paused container's do too.
pub(super) fn is_alive(node: &Node) -> bool {
    matches!(node.state, State::Running | State::Paused)
}

/// Its processes end, and what it had of its own ends with them.
pub(super) const fn takes_out(fault: &FaultMetadata) -> bool {
    matches!(fault, FaultMetadata::NodeKill { .. } | FaultMetadata::NodeStop { .. })
}

pub(super) fn changed(metadata: &Metadata, what: &str) -> SubjectError {
    SubjectError::TargetChanged { target: metadata.target().to_owned(), what: what.to_owned() }
}

pub(super) fn lost(metadata: &Metadata, what: &str) -> Cleaned {
    Cleaned::Lost(lost_words(metadata.target(), what))
}

pub(super) fn unexpected(metadata: &Metadata, answer: &Answer) -> SubjectError {
    SubjectError::Holder { target: metadata.target().to_owned(), reason: format!("it answered {answer:?}") }
}
