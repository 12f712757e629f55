//! Measuring an injection and keeping what was seen in its record. It comes after the injection or the revert, has a
//! time limit of its own, and fails neither.

use super::{
    journal::{Durability, Store},
    record::{Injection, Life},
};
use crate::{
    chaos::measured::{Asked, Judgement, Look, Measured, Moment},
    subject::Subject,
};

/// Looks at what an injection that holds does, and writes it down with what was seen before it; `None` for one that
/// does nothing to the network.
pub async fn measure<S: Subject>(subject: &S, store: &Store, injection: &Injection) -> Option<Measured> {
    let during = subject.measure(&injection.metadata, Moment::During, None).await?;
    let mut measured = injection.measured.clone().unwrap_or_default();
    measured.during = Some(during);
    let kept = store.update(&injection.metadata.id, Durability::Aside, |record| {
        // One that is being changed is not over.
        if !matches!(record.state, Life::Active | Life::Applying) {
            measured.during = Some(Look::failed("it was reverted meanwhile"));
        }
        record.measured = Some(measured.clone());
    });
    if let Err(error) = kept {
        tracing::warn!(%error, id = %injection.metadata.id, "what was measured is not kept");
    }
    Some(measured)
}

/// Looks at what is left of an injection that was undone, and says whether it is over; `None` where it was never looked
/// at before, so that there is nothing to compare with.
pub async fn measure_over<S: Subject>(subject: &S, store: &Store, injection: &Injection) -> Option<Judgement> {
    let asked = Asked::of(&injection.metadata.network()?);
    let after = match younger(store, injection) {
        Some(other) => Look::failed(format!("{other} came after it and still holds on this node")),
        None => {
            // The same peers as before, but for those that run no more.
            let seen = injection.measured.as_ref()?;
            let known = seen.before().or_else(|| seen.during.as_ref()?.reading())?;
            subject.measure(&injection.metadata, Moment::After, Some(known)).await?
        }
    };
    let mut measured = injection.measured.clone().unwrap_or_default();
    measured.after = Some(after);
    let judgement = measured.over(&asked);
    let kept = store.update(&injection.metadata.id, Durability::Aside, |record| record.measured = Some(measured));
    if let Err(error) = kept {
        tracing::warn!(%error, id = %injection.metadata.id, "what was measured is not kept");
    }
    judgement
}

/// Another injection of the same network that this one's look before did not see.
pub fn younger(store: &Store, injection: &Injection) -> Option<String> {
    let loaded = store.load().ok()?;
    let younger = loaded.open().into_iter().map(|(_, other)| other).find(|other| {
        other.metadata.id != injection.metadata.id
            && other.metadata.container_id == injection.metadata.container_id
            && other.metadata.network().is_some()
            && other.created_at > injection.created_at
    });
    younger.map(|other| format!("{} {}", other.metadata.id, other.metadata.fault_type()))
}
