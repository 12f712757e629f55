//! `change`: other parameters for what holds, written down, made in one step and read back.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{
    args::{Change, match_id},
    inject::{forcible, warn},
    output::{self, Failure},
    progress,
};
use crate::{
    chaos::{Fault, InjectionId},
    config::Config,
    safety::Grade,
    session::{self, Injection},
    subject::{Plan, docker::TikvSubject},
};

pub async fn run(config: &Config, wanted: Change) -> Result<ExitCode, Failure> {
    let loaded = config.store.load()?;
    let open = loaded.open();
    let known: Vec<_> = open.iter().map(|(_, one)| (&one.metadata.id, one.group.as_ref())).collect();
    let chosen: Vec<InjectionId> = match_id(&wanted.id, &known)?;
    let held = open.iter().map(|(_, one)| *one).filter(|one| chosen.contains(&one.metadata.id));
    // All of them are understood before the first is changed.
    let changes = held.map(|one| Ok((one, change_of(config, one, &wanted)?))).collect::<Result<Vec<_>, Failure>>()?;
    let subject = config.subject(progress());
    let mut documents = Vec::new();
    let mut result = Ok(());
    for (injection, change) in &changes {
        let one = if wanted.dry_run {
            dry_run(config, &subject, injection, change).await
        } else {
            real(config, &subject, injection, change).await
        };
        match one {
            Ok(document) => documents.push(document),
            Err(failure) => {
                result = Err(failure);
                break;
            }
        }
    }
    subject.release().await;
    result?;
    if config.json {
        match (documents.len(), changes.first()) {
            (1, _) => output::document(&documents.remove(0)),
            (_, first) => {
                let group = first.and_then(|(injection, _)| injection.group.as_ref());
                output::document(&json!({ "group": group, "injections": documents }));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is not given stays as it is.
fn change_of(config: &Config, injection: &Injection, wanted: &Change) -> Result<session::Change, Failure> {
    let kind = injection.metadata.fault_type();
    let params = injection.metadata.params().with(kind, wanted.given.iter().cloned());
    let fault = params.and_then(|params| Fault::from_params(kind, &params));
    let fault = fault.map_err(|error| Failure::new(2, error.to_string()))?;
    Ok(session::Change { fault, ttl: wanted.ttl, limits: config.limits.clone(), force: wanted.force })
}

async fn dry_run(
    config: &Config,
    subject: &TikvSubject,
    injection: &Injection,
    change: &session::Change,
) -> Result<Value, Failure> {
    let plan = session::plan_change(subject, injection, change).await?;
    let Plan { metadata, commands, undo, warnings, verdict } = &plan;
    let texts = |commands: &[crate::chaos::Command]| commands.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (commands, undo) = (texts(commands), texts(undo));
    if !config.json {
        warn(std::slice::from_ref(&plan));
        output::lines([
            format!("would change {} {} on {}", metadata.id, metadata.fault_type(), metadata.target()),
            format!("  from  {}", injection.metadata.fault),
            format!("  to    {}", metadata.fault),
            format!("  then  {}", verdict.consequence),
        ]);
        if verdict.grade == Grade::Refused {
            output::lines(["  this would be refused without --force"]);
        }
        output::lines(commands.iter().map(|command| format!("  run   {command}")));
        output::lines(undo.iter().map(|command| format!("  undo  {command}")));
    }
    Ok(json!({
        "dry_run": true, "id": metadata.id, "former": injection.metadata, "metadata": metadata, "commands": commands,
        "undo": undo, "warnings": warnings, "verdict": verdict,
    }))
}

async fn real(
    config: &Config,
    subject: &TikvSubject,
    injection: &Injection,
    change: &session::Change,
) -> Result<Value, Failure> {
    let mut commands = Vec::new();
    let before = |plan: &Plan| {
        warn(std::slice::from_ref(plan));
        commands = plan.commands.iter().map(ToString::to_string).collect();
    };
    let changed = session::change(subject, &config.store, injection, change, before).await.map_err(forcible)?;
    let session::Injected { injection: now, warnings } = changed;
    let metadata = &now.metadata;
    if !config.json {
        let (kind, target) = (metadata.fault_type(), metadata.target());
        output::lines([format!(
            "{} {kind} on {target}: {}, was {}",
            metadata.id, metadata.fault, injection.metadata.fault
        )]);
        output::lines(match now.deadline {
            Some(deadline) => [format!("ends by itself at {}", deadline.strftime("%H:%M:%S UTC"))],
            None => ["never ends by itself".to_owned()],
        });
    }
    Ok(json!({
        "id": metadata.id, "group": now.group, "state": now.state, "former": injection.metadata, "metadata": metadata,
        "undo": now.undo, "commands": commands, "warnings": warnings, "deadline": now.deadline,
    }))
}
