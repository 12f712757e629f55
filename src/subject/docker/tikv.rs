//! The subject: TiKV containers, with the contract's operations put together from plans and acts.

use std::time::Duration;

use rand::seq::IndexedRandom as _;

use super::{
    act::{is_alive, unexpected},
    beside::Beside,
    client, holder,
    host::TikvSubject,
    node::{Node, Role, Snapshot},
    target,
};
use crate::{
    chaos::{Fault, FaultMetadata, Metadata},
    holder::protocol::{Answer, Ask, Cause},
    subject::{Cleaned, Marked, Plan, Scan, Subject, SubjectError, Wish},
};

impl Subject for TikvSubject {
    async fn plan(&self, wishes: &[Wish<'_>]) -> Result<Vec<Vec<Plan>>, SubjectError> {
        self.plan_act(wishes).await
    }

    async fn inject(&self, metadata: &Metadata, ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
        self.may_change(metadata.target())?;
        self.use_up(&metadata.id);
        let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let injection = metadata.id.clone();
        let mut made = metadata.clone();
        match &mut made.fault {
            FaultMetadata::NodeKill { signal, .. } => {
                let signal = *signal;
                self.kill(metadata, signal).await?;
            }
            FaultMetadata::Latency { .. } | FaultMetadata::NetworkPartition { .. } => {
                made = self.hold_in_network(metadata, ttl_ms).await?;
            }
            FaultMetadata::DiskPressure { fill_percent, fill_file, fill_bytes, whole, .. } => {
                let (file, bytes, to_the_last_byte) = (fill_file.clone(), *fill_bytes, *whole && *fill_percent == 100);
                let ask = Ask::Fill { injection, file, bytes, to_the_last_byte, ttl_ms };
                match self.ask_beside(metadata, ask).await? {
                    Answer::Filled { bytes } => *fill_bytes = bytes,
                    other => return Err(unexpected(metadata, &other)),
                }
            }
        }
        Ok(made)
    }

    async fn plan_change(&self, held: &Metadata, fault: &Fault) -> Result<Plan, SubjectError> {
        self.plan_other(held, fault).await
    }

    async fn change(&self, _from: &Metadata, to: &Metadata, ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
        self.make_other(to, ttl).await
    }

    async fn cleanup(&self, metadata: &Metadata) -> Result<Cleaned, SubjectError> {
        self.may_change(metadata.target())?;
        // Another daemon would say that the target is gone.
        if metadata.daemon_id.as_ref().is_some_and(|id| !id.is_empty())
            && metadata.daemon_id != Some(self.daemon().await?)
        {
            let reason = format!("was injected through another Docker daemon than {}; choose that one", client::host());
            return Err(SubjectError::Refused { target: metadata.target().to_owned(), reason });
        }
        let cleaned = match &metadata.fault {
            FaultMetadata::NodeKill { signal, .. } => self.start(metadata, *signal).await?,
            FaultMetadata::Latency { .. } | FaultMetadata::NetworkPartition { .. } => {
                self.end_network(metadata).await?
            }
            FaultMetadata::DiskPressure { fill_file, mount, .. } => {
                self.remove_fill(metadata, fill_file, mount).await?
            }
        };
        let target = self.find_target(metadata).await?;
        let same_life = target.as_ref().is_some_and(|node| node.started_at == metadata.container_started_at);
        // The one that we talk to may be beside a life that is over, and keep the deadline of a file that is gone.
        if !same_life || self.warm(metadata).await.is_none() {
            let living = target.as_ref().filter(|node| is_alive(node)).map(Beside::node);
            holder::reap(&self.docker().await?, metadata, living.as_ref()).await?;
        }
        Ok(cleaned)
    }

    async fn scan(&self) -> Result<Scan, SubjectError> {
        self.look().await
    }

    async fn clear(&self, mark: &Marked) -> Result<Cleaned, SubjectError> {
        self.clear_mark(mark).await
    }
}

/// Without the tool nothing was done, and nothing could be undone either.
fn not_begun(error: SubjectError) -> SubjectError {
    match error {
        SubjectError::Fault { ref failure, .. } if failure.cause == Cause::NoTool => {
            SubjectError::NotBegun(Box::new(error))
        }
        error => error,
    }
}

impl TikvSubject {
    /// One that its holder knows by its id becomes this one in one step.
    pub(super) async fn hold_in_network(
        &self,
        metadata: &Metadata,
        ttl_ms: Option<u64>,
    ) -> Result<Metadata, SubjectError> {
        let mut made = metadata.clone();
        let Some(fault) = metadata.network() else { return Ok(made) };
        let ask = Ask::Add { injection: metadata.id.clone(), fault, ttl_ms };
        let answer = self.ask_beside(metadata, ask).await.map_err(not_begun)?;
        if let (Answer::Network { flavour: used, .. }, FaultMetadata::NetworkPartition { flavour, .. }) =
            (answer, &mut made.fault)
        {
            *flavour = used;
        }
        Ok(made)
    }

    /// The node of that name, or a random running one that is not among those `taken`.
    pub(super) async fn choose(
        &self,
        snapshot: &Snapshot,
        name: Option<&str>,
        taken: &[Node],
    ) -> Result<Node, SubjectError> {
        let by_id = name.and_then(|name| snapshot.by_id(name));
        if let Some(node) = by_id {
            return Ok(node.clone());
        }
        target::only_cluster(snapshot, self.options.project.as_deref())?;
        if let Some(name) = name {
            return target::find(snapshot, name).cloned();
        }
        let is_free = |node: &&Node| node.role == Role::Tikv && node.is_running() && !taken.contains(node);
        let running: Vec<&Node> = snapshot.nodes.iter().filter(is_free).collect();
        let chosen = running.choose(&mut rand::rng());
        chosen.map(|node| (*node).clone()).ok_or_else(|| SubjectError::NoNodes { scope: String::new() })
    }
}
