//! Changing what holds: planned as if it were made anew under its own id, and made in one step by the holder.

use std::{collections::BTreeSet, time::Duration};

use super::{
    act::{changed, is_alive, unexpected},
    connections::Hearing,
    disk,
    host::TikvSubject,
    judge::DiskBefore,
    node::{Node, Snapshot},
    parts::others,
    plan::{Cutting, Place, Planned},
    tikv::judged,
    ways::{Known, Routes},
};
use crate::{
    chaos::{
        Command, Fault, FaultMetadata, FaultType, Metadata, Partition, Scope, Shaped,
        network::{Impairment, Shape},
        undo_commands,
    },
    holder::protocol::{Answer, Ask},
    subject::{Plan, SubjectError},
};

impl TikvSubject {
    pub(super) async fn plan_other(
        &self,
        held: &Metadata,
        fault: &Fault,
        beside: &[Metadata],
    ) -> Result<Plan, SubjectError> {
        if fault.fault_type() != held.fault_type() {
            return Err(not_changeable(held, "is of another kind"));
        }
        self.may_change(held.target())?;
        let snapshot = self.snapshot().await?;
        // As it is among the others: alone it belongs to no cluster, and would be judged by itself.
        let lives = |node: &&Node| is_alive(node) && node.started_at == held.container_started_at;
        let Some(node) = snapshot.by_id(&held.container_id).filter(lives) else {
            self.unchanged(held).await?;
            return Err(changed(held, "is of no cluster that is looked at"));
        };
        let plan = async {
            match fault {
                Fault::Shape { kind, impairment, scope } => {
                    self.other_shape(held, (&snapshot, node), *kind, *impairment, scope).await
                }
                Fault::DiskPressure { fill_percent, target_path, fill_shared } => {
                    self.other_fill(held, (&snapshot, node), *fill_percent, target_path.as_deref(), *fill_shared).await
                }
                Fault::NetworkPartition { shape, peers, include_pd, reject } => {
                    let cuttings = self.cuttings(&snapshot, node, *shape, peers, *include_pd)?;
                    let [(only, peers)] = &cuttings[..] else { return Err(on_others(held, *shape)) };
                    if only.id != node.id {
                        return Err(on_others(held, *shape));
                    }
                    let (peers, direction) = (peers.clone(), shape.direction());
                    let known = self.known_now(&snapshot, only, &peers).await?;
                    let cutting = Cutting { node: only, peers, direction, reject: *reject };
                    self.plan_cut(&held.id, (&Routes::of(&snapshot), &known), &cutting).await
                }
                _ => Err(not_changeable(held, "is of a kind that cannot be changed while it holds")),
            }
        };
        let (now, planned, heard) = tokio::join!(self.unchanged(held), plan, self.heard_of(&snapshot, node));
        now?;
        let mut planned = planned?;
        planned.fault.set_far(held.fault.far().to_vec());
        let mut open = self.open_but(&held.id, &snapshot).await?;
        for other in beside.iter().filter(|other| other.id != held.id) {
            open.retain(|one| one.id != other.id);
            open.push(other.clone());
        }
        let verdict = judged(&snapshot, node, &planned, (&open, &heard));
        let metadata = Metadata { fault: planned.fault, ..held.clone() };
        let undo = undo_commands(&metadata);
        Ok(Plan { metadata, commands: planned.commands, undo, warnings: planned.warnings, verdict })
    }

    async fn known_now(&self, snapshot: &Snapshot, node: &Node, peers: &[&Node]) -> Result<Known, SubjectError> {
        self.known_ways((snapshot, &mut Hearing::default()), node, peers).await
    }

    async fn other_shape(
        &self,
        held: &Metadata,
        (snapshot, node): (&Snapshot, &Node),
        kind: FaultType,
        impairment: Impairment,
        scope: &Scope,
    ) -> Result<Planned, SubjectError> {
        let before = held.fault.shaped().ok_or_else(|| not_changeable(held, "is of another kind"))?;
        let (peers, ends) = (&before.shape.filter.peers, &before.shape.filter.ends);
        if peers.as_ref().is_some_and(BTreeSet::is_empty) && !ends.is_empty() {
            // It completes another node's fault, for the ways that were found then.
            let shape = Shape { direction: scope.direction, impairment, ..before.shape.clone() };
            return self.plan_shaped(&held.id, node, kind, Shaped { shape, ..before.clone() }).await;
        }
        // Where it stands and what does it stay as they are.
        let scope = Scope { via: Some(before.shape.via), interface: None, ..scope.clone() };
        let place = Place {
            interfaces: before.shape.interfaces.clone(),
            interface: before.interface.clone(),
            flavour: before.flavour,
            own_ips: before.own_ips.clone(),
        };
        let known = match scope.to.is_empty() {
            true => Known::default(),
            false => self.known_now(snapshot, node, &others(snapshot, node)).await?,
        };
        self.plan_shape_at(place, &held.id, (snapshot, node, &known), kind, impairment, &scope).await
    }

    /// The same file, as large as the share would be without it.
    async fn other_fill(
        &self,
        held: &Metadata,
        (snapshot, node): (&Snapshot, &Node),
        percent: u64,
        folder: Option<&str>,
        fill_shared: bool,
    ) -> Result<Planned, SubjectError> {
        let mut fault = held.fault.clone();
        let FaultMetadata::DiskPressure { fill_percent, fill_file, fill_bytes, whole, .. } = &mut fault else {
            return Err(not_changeable(held, "is of another kind"));
        };
        let here = fill_file.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        if folder.is_some_and(|folder| folder.trim_end_matches('/') != here) {
            return Err(not_changeable(held, "has its file where it is until it is reverted"));
        }
        let here = if here.is_empty() { "/" } else { &here };
        let (_, mut found) = self.disk_at(snapshot, node, here).await?;
        found.available = found.available.saturating_add(*fill_bytes).min(found.total);
        let fill = disk::plan(&node.name, here, percent, fill_shared, &found)?;
        let mut command = Command::new("fallocate", ["-l", &fill.bytes.to_string(), fill_file]);
        if fill.bytes < *fill_bytes {
            command = Command::new("truncate", ["--size", &fill.bytes.to_string(), fill_file]);
        }
        (*fill_percent, *fill_bytes, *whole) = (percent, fill.bytes, fill.whole);
        let disk = DiskBefore { total: found.total, available: found.available, shared: found.shared };
        Ok(Planned { fault, commands: vec![command], warnings: fill.warnings, disk: Some(disk) })
    }

    /// One that its holder knows by its id becomes this one in one step.
    pub(super) async fn make_other(&self, to: &Metadata, ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
        self.may_change(to.target())?;
        let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let injection = to.id.clone();
        let mut made = to.clone();
        if let FaultMetadata::DiskPressure { fill_percent, fill_file, fill_bytes, whole, .. } = &mut made.fault {
            let (file, bytes, to_the_last_byte) = (fill_file.clone(), *fill_bytes, *whole && *fill_percent == 100);
            let ask = Ask::Refill { injection, file, bytes, to_the_last_byte, ttl_ms };
            match self.ask_beside(to, ask).await? {
                Answer::Filled { bytes } => *fill_bytes = bytes,
                other => return Err(unexpected(to, &other)),
            }
        } else if let Some(fault) = to.network() {
            let ask = Ask::Add { injection, fault, ttl_ms };
            if let Answer::Network { flavour, .. } = self.ask_beside(to, ask).await? {
                made.fault.set_flavour(flavour);
            }
        }
        Ok(made)
    }
}

fn on_others(held: &Metadata, shape: Partition) -> SubjectError {
    not_changeable(held, &format!("is on this node alone, and {} needs others", shape.name()))
}

fn not_changeable(held: &Metadata, reason: &str) -> SubjectError {
    SubjectError::NotChangeable { id: held.id.to_string(), reason: reason.to_owned() }
}
