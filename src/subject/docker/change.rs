//! Changing what holds: planned as if it were made anew under its own id, and made in one step by the holder.

use std::time::Duration;

use super::{act::changed, host::TikvSubject};
use crate::{
    chaos::{Fault, FaultMetadata, Metadata, Scope, undo_commands},
    holder::protocol::{Answer, Ask},
    subject::{Plan, SubjectError},
};

impl TikvSubject {
    pub(super) async fn plan_other(&self, held: &Metadata, fault: &Fault) -> Result<Plan, SubjectError> {
        let stays = |reason: &str| SubjectError::NotChangeable { id: held.id.to_string(), reason: reason.to_owned() };
        let Fault::Shape { kind, impairment, scope } = fault else {
            return Err(stays("is of a kind that cannot be changed while it holds"));
        };
        let Some(before) = held.fault.shaped().filter(|_| held.fault_type() == *kind) else {
            return Err(stays("is of another kind"));
        };
        self.may_change(held.target())?;
        let (snapshot, now) = tokio::join!(self.snapshot(), self.unchanged(held));
        let (snapshot, now) = (snapshot?, now?);
        // As it is among the others: alone it belongs to no cluster, and would be judged by itself.
        let node = snapshot.by_id(&now.id).ok_or_else(|| changed(held, "is of no cluster that is looked at"))?;
        // Where it stands and what does it stay as they are.
        let scope = Scope { via: Some(before.shape.via), interface: None, ..scope.clone() };
        let mut planned = self.plan_shape(&held.id, (&snapshot, node), *kind, *impairment, &scope).await?;
        let mut metadata = held.clone();
        if let Some(shaped) = planned.fault.shaped() {
            let mut shaped = shaped.clone();
            shaped.shape.interfaces.clone_from(&before.shape.interfaces);
            shaped.interface.clone_from(&before.interface);
            metadata.fault = FaultMetadata::of_shaped(*kind, shaped);
        }
        planned.fault = metadata.fault.clone();
        let open = self.open_but(&held.id);
        let verdict = self.judge(&snapshot, node, &planned, &open).await;
        let undo = undo_commands(&metadata);
        Ok(Plan { metadata, commands: planned.commands, undo, warnings: planned.warnings, verdict })
    }

    /// One that its holder knows by its id becomes this one in one step.
    pub(super) async fn make_other(&self, to: &Metadata, ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
        self.may_change(to.target())?;
        let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let mut made = to.clone();
        if let Some(fault) = to.network() {
            let ask = Ask::Add { injection: to.id.clone(), fault, ttl_ms };
            if let Answer::Network { flavour, .. } = self.ask_beside(to, ask).await? {
                made.fault.set_flavour(flavour);
            }
        }
        Ok(made)
    }
}
