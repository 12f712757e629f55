//! Changing what holds: planned as if it were made anew under its own id, and made in one step by the holder.

use std::time::Duration;

use super::{
    act::{changed, unexpected},
    host::TikvSubject,
    judge::DiskBefore,
    node::{Node, Snapshot},
    plan::Planned,
    whole::Part,
};
use crate::{
    chaos::{Command, DataMount, Evidence, Fault, FaultMetadata, Metadata, undo_commands},
    holder::protocol::{Answer, Ask, Disk},
    safety::{Grade, Verdict},
    subject::{Plan, SubjectError},
};

impl TikvSubject {
    pub(super) async fn plan_other(&self, held: &Metadata, fault: &Fault) -> Result<Plan, SubjectError> {
        self.may_change(held.target())?;
        let kind = held.fault_type();
        let refused = |reason: String| SubjectError::Refused { target: held.target().to_owned(), reason };
        if fault.fault_type() != kind {
            let other = fault.fault_type();
            return Err(refused(format!(
                "has a {kind} there, which cannot become a {other}: revert it and inject that"
            )));
        }
        if held.evidence() == Evidence::State {
            return if Fault::from_params(kind, &held.params()).as_ref() == Ok(fault) {
                Ok(stays(held))
            } else {
                let why = "is over when it has happened, so it cannot be changed: revert it and inject another";
                Err(refused(format!("has a {kind} there, which {why}")))
            };
        }
        let (snapshot, now) = tokio::join!(self.snapshot(), self.unchanged(held));
        let (snapshot, now) = (snapshot?, now?);
        // As it is among the others: alone it belongs to no cluster, and would be judged by itself.
        let node =
            snapshot.by_id(&now.id).cloned().ok_or_else(|| changed(held, "is of no cluster that is looked at"))?;
        let part = Part { wish: 0, id: held.id.clone(), node, fault };
        let planned = match (&held.fault, fault) {
            (
                FaultMetadata::DiskPressure { fill_file, fill_bytes, mount, .. },
                Fault::DiskPressure { fill_percent, target_path, fill_shared },
            ) => {
                let wanted = (*fill_percent, target_path.as_deref(), *fill_shared);
                self.plan_refill((&snapshot, &part.node), (fill_file, *fill_bytes, mount), wanted).await?
            }
            _ => self.plan_part(&snapshot, &part).await?,
        };
        let planned = [planned];
        let verdict = self.judge(&snapshot, &[part], &planned, Some(&held.id)).await;
        let [Planned { fault, commands, warnings, .. }] = planned;
        let metadata = Metadata { fault, ..held.clone() };
        let undo = undo_commands(&metadata);
        Ok(Plan { metadata, commands, undo, warnings, verdict })
    }

    /// The same file with another size, reckoned from what would be available without it.
    async fn plan_refill(
        &self,
        (snapshot, node): (&Snapshot, &Node),
        (fill_file, held_bytes, mount): (&str, u64, &DataMount),
        (percent, folder, fill_shared): (u64, Option<&str>, bool),
    ) -> Result<Planned, SubjectError> {
        let place = fill_file.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder.is_some_and(|folder| folder.trim_end_matches('/') != place) {
            let reason = format!("has the file in {place}, and a file is not moved: revert it and inject another");
            return Err(SubjectError::Refused { target: node.name.clone(), reason });
        }
        let (_, found) = self.disk_at(snapshot, node, place).await?;
        let found = Disk { available: found.available + held_bytes, ..found };
        let fill = super::disk::plan(&node.name, place, percent, fill_shared, &found)?;
        let tool = if fill.bytes < held_bytes { ("truncate", "-s") } else { ("fallocate", "-l") };
        let fault = FaultMetadata::DiskPressure {
            target_container: node.name.clone(),
            fill_percent: percent,
            fill_file: fill_file.to_owned(),
            fill_bytes: fill.bytes,
            whole: fill.whole,
            mount: mount.clone(),
        };
        let disk = DiskBefore { total: found.total, available: found.available, shared: found.shared };
        let commands = vec![Command::new(tool.0, [tool.1, &fill.bytes.to_string(), fill_file])];
        Ok(Planned { fault, commands, warnings: fill.warnings, disk: Some(disk) })
    }

    pub(super) async fn make_other(&self, to: &Metadata, ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
        self.may_change(to.target())?;
        let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let mut made = to.clone();
        match &mut made.fault {
            FaultMetadata::DiskPressure { fill_percent, fill_file, fill_bytes, whole, .. } => {
                let (injection, file, bytes) = (to.id.clone(), fill_file.clone(), *fill_bytes);
                let to_the_last_byte = *whole && *fill_percent == 100;
                match self.ask_beside(to, Ask::Refill { injection, file, bytes, to_the_last_byte, ttl_ms }).await? {
                    Answer::Filled { bytes } => *fill_bytes = bytes,
                    other => return Err(unexpected(to, &other)),
                }
            }
            _ if to.evidence() == Evidence::State => {}
            _ => return self.hold_in_network(to, ttl_ms).await,
        }
        Ok(made)
    }
}

/// Nothing but its deadline can be another.
fn stays(held: &Metadata) -> Plan {
    let consequence = "it stays as it is".to_owned();
    Plan {
        metadata: held.clone(),
        commands: Vec::new(),
        undo: undo_commands(held),
        warnings: Vec::new(),
        verdict: Verdict { grade: Grade::Fine, consequence, reasons: Vec::new() },
    }
}
