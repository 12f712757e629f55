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
    // The same peers as before, but for those that run no more.
    let seen = injection.measured.as_ref()?;
    let known = seen.before().or_else(|| seen.during.as_ref()?.reading())?;
    let after = subject.measure(&injection.metadata, Moment::After, Some(known)).await?;
    let mut measured = injection.measured.clone().unwrap_or_default();
    measured.after = Some(after);
    let judgement = measured.over(&asked);
    let kept = store.update(&injection.metadata.id, Durability::Aside, |record| record.measured = Some(measured));
    if let Err(error) = kept {
        tracing::warn!(%error, id = %injection.metadata.id, "what was measured is not kept");
    }
    judgement
}

/// The injections that came onto its way since it was measured, on its node or on a peer that was seen: `latency on tikv1`.
/// What was measured says nothing of what all of them do now.
pub fn since<'a>(open: impl IntoIterator<Item = &'a Injection>, injection: &Injection) -> Vec<String> {
    let during = injection.measured.as_ref().and_then(|measured| measured.during.as_ref()?.reading());
    let Some(reading) = during else { return Vec::new() };
    let came = |other: &&Injection| {
        let metadata = &other.metadata;
        let on_its_way = metadata.container_id == injection.metadata.container_id
            || reading.peers.iter().any(|peer| peer.name == metadata.target());
        let seen = reading.peers.iter().flat_map(|peer| &peer.beside).any(|beside| beside.id == metadata.id);
        other.state == Life::Active
            && metadata.id != injection.metadata.id
            && metadata.network().is_some()
            && other.created_at > injection.created_at
            && on_its_way
            && !seen
    };
    let came = open.into_iter().filter(came);
    came.map(|one| format!("{} on {}", one.metadata.fault_type(), one.metadata.target())).collect()
}
