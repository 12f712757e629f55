//! The subject: TiKV containers, with the contract's operations put together from plans and acts.

use std::time::Duration;

use rand::seq::IndexedRandom as _;

use super::{
    act::{is_alive, unexpected},
    beside::Beside,
    client, holder,
    host::{DEFAULT_DATA_DIR, TikvSubject},
    judge::{self, Knowledge},
    node::{Node, Role, Snapshot},
    plan::{Planned, plan_kill},
    target,
};
use crate::{
    chaos::{
        Fault, FaultMetadata, Metadata,
        measured::{Look, Moment},
        undo_commands,
    },
    holder::protocol::{Answer, Ask, Cause},
    safety::{self, Verdict},
    subject::{Cleaned, Marked, Plan, Scan, Subject, SubjectError},
};

impl Subject for TikvSubject {
    async fn plan(&self, fault: &Fault, target: Option<&str>) -> Result<Plan, SubjectError> {
        let snapshot = self.snapshot().await?;
        let node = self.choose(&snapshot, target).await?;
        self.may_change(&node.name)?;
        let what = fault.fault_type().name();
        if !node.is_running() {
            return Err(SubjectError::NotRunning { target: node.name, state: node.state.to_string(), what });
        }
        let id = self.next_id();
        let planned = match fault {
            Fault::NodeKill { signal } => plan_kill(&node, *signal)?,
            Fault::Latency { min_ms, max_ms, interface } => {
                self.plan_latency(&id, &node, (*min_ms, *max_ms), interface.as_deref()).await?
            }
            Fault::NetworkPartition { peers, include_pd } => {
                self.plan_partition(&id, (&snapshot, &node), peers, *include_pd).await?
            }
            Fault::DiskPressure { fill_percent, target_path, fill_shared } => {
                let folder = target_path.as_deref().or(node.data_dir.as_deref()).unwrap_or(DEFAULT_DATA_DIR);
                self.plan_disk(&snapshot, &node, *fill_percent, folder, *fill_shared).await?
            }
        };
        self.remember(&snapshot);
        let verdict = self.judge(&snapshot, &node, &planned).await;
        let metadata = Metadata {
            fault: planned.fault,
            id,
            container_id: node.id,
            container_started_at: node.started_at,
            daemon_id: Some(self.daemon().await?),
            holder_image: self.image.get().cloned(),
        };
        let undo = undo_commands(&metadata);
        Ok(Plan { metadata, commands: planned.commands, undo, warnings: planned.warnings, verdict })
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
                if let Some(fault) = metadata.network() {
                    let ask = Ask::Add { injection, fault, ttl_ms };
                    let answer = self.ask_beside(metadata, ask).await.map_err(not_begun)?;
                    if let (Answer::Network { flavour: used, .. }, FaultMetadata::NetworkPartition { flavour, .. }) =
                        (answer, &mut made.fault)
                    {
                        *flavour = used;
                    }
                }
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

    async fn measure(&self, metadata: &Metadata, moment: Moment) -> Option<Look> {
        self.look_inside(metadata, moment).await
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
    /// By what Docker shows, what the journals say and what the cluster said last.
    async fn judge(&self, snapshot: &Snapshot, node: &Node, planned: &Planned) -> Verdict {
        let open: Vec<Metadata> = (self.options.known)().into_iter().map(|(metadata, _)| metadata).collect();
        let heard = self.heard(&snapshot.clone().only(Some(&node.cluster))).await;
        let cluster = heard.iter().find(|state| state.cluster == node.cluster);
        let known = Knowledge { open: &open, cluster };
        let situation = judge::situation(snapshot, node, &planned.fault, planned.disk.as_ref(), &known);
        safety::judge(&situation)
    }

    pub(super) async fn choose(&self, snapshot: &Snapshot, name: Option<&str>) -> Result<Node, SubjectError> {
        let by_id = name.and_then(|name| snapshot.by_id(name));
        if let Some(node) = by_id {
            return Ok(node.clone());
        }
        target::only_cluster(snapshot, self.options.project.as_deref())?;
        if let Some(name) = name {
            return target::find(snapshot, name).cloned();
        }
        let running: Vec<&Node> =
            snapshot.nodes.iter().filter(|node| node.role == Role::Tikv && node.is_running()).collect();
        let chosen = running.choose(&mut rand::rng());
        chosen.map(|node| (*node).clone()).ok_or_else(|| SubjectError::NoNodes { scope: String::new() })
    }
}
