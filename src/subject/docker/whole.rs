//! The plan of a whole act: which injections on which nodes it takes, each planned, and all of them judged together.

use futures_util::future::try_join_all;

use super::{
    host::{DEFAULT_DATA_DIR, TikvSubject},
    judge::{self, Blow, Knowledge},
    node::{Node, Snapshot},
    plan::{Planned, plan_kill},
};
use crate::{
    chaos::{Fault, InjectionId, Metadata, undo_commands},
    safety::{self, Verdict},
    subject::{Plan, SubjectError, Wish},
};

/// One injection of the act, before it is planned.
pub(super) struct Part<'a> {
    /// The place of the wish that it belongs to.
    pub(super) wish: usize,
    pub(super) id: InjectionId,
    pub(super) node: Node,
    pub(super) fault: &'a Fault,
}

impl TikvSubject {
    pub(super) async fn plan_act(&self, wishes: &[Wish<'_>]) -> Result<Vec<Vec<Plan>>, SubjectError> {
        let snapshot = self.snapshot().await?;
        let parts = self.parts(&snapshot, wishes).await?;
        let planned = try_join_all(parts.iter().map(|part| self.plan_part(&snapshot, part))).await?;
        same_disk(&parts, &planned)?;
        let verdict = self.judge(&snapshot, &parts, &planned, None).await;
        let daemon_id = Some(self.daemon().await?);
        let mut plans: Vec<Vec<Plan>> = wishes.iter().map(|_| Vec::new()).collect();
        for (part, planned) in parts.into_iter().zip(planned) {
            let metadata = Metadata {
                fault: planned.fault,
                id: part.id,
                container_id: part.node.id,
                container_started_at: part.node.started_at,
                daemon_id: daemon_id.clone(),
                holder_image: self.image.get().cloned(),
            };
            let undo = undo_commands(&metadata);
            let (commands, warnings) = (planned.commands, planned.warnings);
            plans[part.wish].push(Plan { metadata, commands, undo, warnings, verdict: verdict.clone() });
        }
        Ok(plans)
    }

    async fn parts<'a>(&self, snapshot: &Snapshot, wishes: &[Wish<'a>]) -> Result<Vec<Part<'a>>, SubjectError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut taken: Vec<Node> = Vec::new();
        for (at, wish) in wishes.iter().enumerate() {
            let node = self.choose(snapshot, wish.target, &taken).await?;
            if parts.iter().any(|part| part.node.id == node.id && part.fault == wish.fault) {
                let reason = "is named twice for the same fault".to_owned();
                return Err(SubjectError::Refused { target: node.name, reason });
            }
            if taken.first().is_some_and(|first| first.cluster != node.cluster) {
                let reason = "is of another cluster than the others; one act is in one cluster".to_owned();
                return Err(SubjectError::Refused { target: node.name, reason });
            }
            taken.push(node.clone());
            parts.push(Part { wish: at, id: self.next_id(parts.len()), node, fault: wish.fault });
        }
        for Part { node, fault, .. } in &parts {
            self.may_change(&node.name)?;
            if !node.is_running() {
                let (target, state, what) = (node.name.clone(), node.state.to_string(), fault.fault_type().name());
                return Err(SubjectError::NotRunning { target, state, what });
            }
        }
        Ok(parts)
    }

    pub(super) async fn plan_part(&self, snapshot: &Snapshot, part: &Part<'_>) -> Result<Planned, SubjectError> {
        let Part { id, node, fault, .. } = part;
        match fault {
            Fault::NodeKill { signal } => plan_kill(node, *signal),
            Fault::Latency { min_ms, max_ms, interface } => {
                self.plan_latency(id, node, (*min_ms, *max_ms), interface.as_deref()).await
            }
            Fault::NetworkPartition { peers, include_pd } => {
                self.plan_partition(id, (snapshot, node), peers, *include_pd).await
            }
            Fault::DiskPressure { fill_percent, target_path, fill_shared } => {
                let folder = target_path.as_deref().or(node.data_dir.as_deref()).unwrap_or(DEFAULT_DATA_DIR);
                self.plan_disk(snapshot, node, *fill_percent, folder, *fill_shared).await
            }
        }
    }

    /// By what Docker shows, what the journals say and what the cluster said last. What the journals say of `instead`
    /// does not count: it is what is changed.
    pub(super) async fn judge(
        &self,
        snapshot: &Snapshot,
        parts: &[Part<'_>],
        planned: &[Planned],
        instead: Option<&InjectionId>,
    ) -> Verdict {
        let name = parts.first().map_or("", |part| part.node.cluster.as_str());
        let open = (self.options.known)().into_iter().map(|(metadata, _)| metadata);
        let open: Vec<Metadata> = open.filter(|one| Some(&one.id) != instead).collect();
        let heard = self.heard(&snapshot.clone().only(Some(name))).await;
        let cluster = heard.iter().find(|state| state.cluster == name);
        let blows: Vec<Blow> = parts
            .iter()
            .zip(planned)
            .map(|(part, planned)| Blow { node: &part.node, fault: &planned.fault, disk: planned.disk.as_ref() })
            .collect();
        safety::judge(&judge::situation(snapshot, name, &blows, &Knowledge { open: &open, cluster }))
    }
}

/// Two fills at once would each take their share of the same room.
fn same_disk(parts: &[Part<'_>], planned: &[Planned]) -> Result<(), SubjectError> {
    let shared = parts.iter().zip(planned).filter_map(|(part, planned)| {
        let shared = planned.disk.as_ref()?.shared.as_ref()?;
        Some((&part.node.name, shared))
    });
    match shared.collect::<Vec<_>>()[..] {
        [_, (name, why), ..] => {
            let reason = format!("cannot be filled in the same act as another node: {why}");
            Err(SubjectError::Refused { target: name.clone(), reason })
        }
        _ => Ok(()),
    }
}
