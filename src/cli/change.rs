//! `change`: other parameters for an injection that holds, in place.

use std::process::ExitCode;

use serde_json::json;

use super::{
    args::{Change, match_id},
    inject::{forcible, warn},
    measured,
    output::{self, Failure},
    progress,
};
use crate::{
    chaos::{Fault, InjectionId},
    config::Config,
    session::{self, ChangeRequest},
    subject::Plan,
};

pub async fn run(config: &Config, change: Change) -> Result<ExitCode, Failure> {
    let usage = |error: crate::chaos::ParamError| Failure::new(2, error.to_string());
    let loaded = config.store.load()?;
    let open = loaded.open();
    let known: Vec<InjectionId> = open.iter().map(|(_, injection)| injection.metadata.id.clone()).collect();
    let id = match_id(&change.id, &known)?;
    let held = open.iter().map(|(_, one)| &one.metadata).find(|metadata| metadata.id == id);
    let Some((metadata, params)) = held.and_then(|metadata| Some((metadata, metadata.params()?))) else {
        let kind = held.map(crate::chaos::Metadata::fault_type).map_or("it", crate::chaos::FaultType::name);
        let text =
            format!("{id} cannot be changed: {kind} has nothing to change while it holds; revert it and inject anew");
        return Err(Failure::new(3, text));
    };
    let kind = metadata.fault_type();
    let mut given = change.given;
    // By the bounds that hold now a mean would be overruled.
    let by_mean = given.iter().any(|(name, _)| name == "mean_ms" || name == "jitter_ms");
    if by_mean && !given.iter().any(|(name, _)| name == "mean_ms") {
        let mean = metadata
            .fault
            .shaped()
            .and_then(|shaped| shaped.shape.impairment.delay)
            .map_or(0, |one| one.mean_us / 1000);
        given.push(("mean_ms".to_owned(), mean.to_string()));
    }
    let params = params.over(kind, given).map_err(usage)?;
    let fault = Fault::from_params(kind, &params).map_err(usage)?;
    let subject = config.subject(progress());
    let request = ChangeRequest { fault: Some(fault), ttl: None, limits: config.limits.clone(), force: change.force };
    let mut commands = Vec::new();
    let before = |plan: &Plan| {
        warn(plan);
        commands = plan.commands.iter().map(ToString::to_string).collect();
    };
    let changed = session::change(&subject, &config.store, &id, &request, before).await.map_err(forcible);
    let measured = match &changed {
        Ok(changed) => session::measure(&subject, &config.store, &changed.injection).await,
        Err(_) => None,
    };
    subject.release().await;
    let changed = changed?;
    let metadata = &changed.injection.metadata;
    if config.json {
        output::document(&json!({
            "id": metadata.id, "state": changed.injection.state, "metadata": metadata, "commands": commands,
            "undo": changed.injection.undo, "warnings": changed.warnings, "deadline": changed.injection.deadline,
            "measured": measured::to_json(metadata, measured.as_ref()),
        }));
    } else {
        output::lines([format!("{id} {kind} on {}: now {}", metadata.target(), metadata.fault)]);
        output::lines(measured::text(metadata, measured.as_ref()));
    }
    Ok(ExitCode::SUCCESS)
}
