//! `inject`: one injection, written down, made, read back and left until its deadline.

use std::process::ExitCode;

use serde_json::json;

use super::{
    args::Inject,
    output::{self, Failure},
    progress,
};
use crate::{
    chaos::Command,
    config::Config,
    session::{self, Injected, Request},
    subject::{Plan, Subject as _, docker::TikvSubject},
};

pub async fn run(config: &Config, inject: Inject) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    let result =
        if inject.dry_run { dry_run(config, &subject, &inject).await } else { real(config, &subject, inject).await };
    subject.release().await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn dry_run(config: &Config, subject: &TikvSubject, inject: &Inject) -> Result<(), Failure> {
    let plan = subject.plan(&inject.fault, inject.target.as_deref()).await?;
    let texts = |commands: &[Command]| commands.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (commands, undo) = (texts(&plan.commands), texts(&plan.undo));
    if config.json {
        output::document(&json!({
            "dry_run": true, "id": plan.metadata.id, "metadata": plan.metadata, "commands": commands, "undo": undo,
            "warnings": plan.warnings,
        }));
        return Ok(());
    }
    warn(&plan);
    output::lines([format!(
        "would inject {} on {}: {}",
        plan.metadata.fault_type(),
        plan.metadata.target(),
        plan.metadata.fault
    )]);
    output::lines(commands.iter().map(|command| format!("  run   {command}")));
    output::lines(undo.iter().map(|command| format!("  undo  {command}")));
    Ok(())
}

async fn real(config: &Config, subject: &TikvSubject, inject: Inject) -> Result<(), Failure> {
    let request = Request { fault: inject.fault, target: inject.target, ttl: inject.ttl, command: "inject" };
    let mut commands = Vec::new();
    let before = |plan: &Plan| {
        warn(plan);
        commands = plan.commands.iter().map(ToString::to_string).collect();
    };
    let Injected { injection, warnings } = session::inject(subject, &config.store, &request, before).await?;
    if let Err(error) = config.store.leave().and_then(|()| config.store.end()) {
        tracing::warn!(%error, "the session could not be closed; it is found as one that was killed");
    }
    let metadata = &injection.metadata;
    if config.json {
        output::document(&json!({
            "id": metadata.id, "state": injection.state, "metadata": metadata, "undo": injection.undo,
            "commands": commands, "warnings": warnings, "deadline": injection.deadline,
        }));
        return Ok(());
    }
    output::lines([format!("{} {} on {}: {}", metadata.id, metadata.fault_type(), metadata.target(), metadata.fault)]);
    let end = match injection.deadline {
        Some(deadline) => format!("ends by itself at {}; earlier", deadline.strftime("%H:%M:%S UTC")),
        None => "never ends by itself".to_owned(),
    };
    output::lines([format!("{end}: tikv-chaos revert {}", metadata.id)]);
    Ok(())
}

fn warn(plan: &Plan) {
    for warning in &plan.warnings {
        eprintln!("tikv-chaos: careful: {warning}");
    }
}
