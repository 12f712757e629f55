//! `inject`: one injection, written down, made, read back and left until its deadline.

use std::process::ExitCode;

use futures_util::future::join_all;
use serde_json::json;

use super::{
    args::Inject,
    measured,
    output::{self, Failure},
    progress, settle,
};
use crate::{
    chaos::{Command, measured::Measured},
    config::Config,
    safety::Grade,
    session::{self, Injected, Injection, LifeError, Request},
    subject::{Plan, docker::TikvSubject},
};

pub async fn run(config: &Config, inject: Inject) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    settle::say(config, &subject).await;
    let Inject { fault, mut targets, seed, ttl, force, dry_run: only_look } = inject;
    if let Some(seed) = seed {
        let (node, count) = match subject.at_random(seed).await {
            Ok(chosen) => chosen,
            Err(error) => {
                subject.release().await;
                return Err(error.into());
            }
        };
        eprintln!("tikv-chaos: chose {}, at random of {count}: --random --seed {seed} chooses it again", node.name);
        targets.push(node.id);
    }
    let request = Request { fault, targets, ttl, command: "inject", limits: config.limits.clone(), force };
    let result =
        if only_look { dry_run(config, &subject, &request).await } else { real(config, &subject, &request).await };
    subject.release().await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn dry_run(config: &Config, subject: &TikvSubject, request: &Request) -> Result<(), Failure> {
    let plan = session::plan(subject, &config.store, request).await?;
    let texts = |commands: &[Command]| commands.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (commands, undo) = (texts(&plan.commands), texts(&plan.undo));
    if config.json {
        output::document(&json!({
            "dry_run": true, "id": plan.metadata.id, "metadata": plan.metadata, "commands": commands, "undo": undo,
            "warnings": plan.warnings, "verdict": plan.verdict,
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
    output::lines([format!("  then  {}", plan.verdict.consequence)]);
    if plan.verdict.grade == Grade::Refused {
        output::lines(["  this would be refused without --force"]);
    }
    output::lines(commands.iter().map(|command| format!("  run   {command}")));
    output::lines(undo.iter().map(|command| format!("  undo  {command}")));
    Ok(())
}

async fn real(config: &Config, subject: &TikvSubject, request: &Request) -> Result<(), Failure> {
    let mut commands = Vec::new();
    let before = |plan: &Plan| {
        warn(plan);
        commands = plan.commands.iter().map(ToString::to_string).collect();
    };
    let injected = session::inject_all(subject, &config.store, request, before).await.map_err(forcible)?;
    if let Err(error) = config.store.leave().and_then(|()| config.store.end()) {
        tracing::warn!(%error, "the session could not be closed; it is found as one that was killed");
    }
    let Some(Injected { injection, warnings }) = injected.first() else { return Ok(()) };
    let metadata = &injection.metadata;
    if config.json {
        let measured = measure_all(config, subject, &injected).await;
        let mut document = one_json(injection);
        document["commands"] = json!(commands);
        document["warnings"] = json!(warnings);
        document["measured"] = measured::to_json(metadata, measured.first().and_then(Option::as_ref), None);
        if let Some(group) = &metadata.group {
            document["group"] = json!(group);
            let each = injected.iter().zip(&measured).map(|(one, measured)| {
                let mut document = one_json(&one.injection);
                document["measured"] = measured::to_json(&one.injection.metadata, measured.as_ref(), None);
                document
            });
            document["injections"] = each.collect();
        }
        output::document(&document);
        return Ok(());
    }
    for Injected { injection: Injection { metadata, .. }, .. } in &injected {
        let (id, kind, target) = (&metadata.id, metadata.fault_type(), metadata.target());
        output::lines([format!("{id} {kind} on {target}: {}", metadata.fault)]);
    }
    let end = match injection.deadline {
        Some(deadline) => format!("ends by itself at {}; earlier", deadline.strftime("%H:%M:%S UTC")),
        None => "never ends by itself".to_owned(),
    };
    output::lines([format!("{end}: tikv-chaos revert {}", metadata.group.as_ref().unwrap_or(&metadata.id))]);
    let measured = measure_all(config, subject, &injected).await;
    for (Injected { injection: Injection { metadata, .. }, .. }, measured) in injected.iter().zip(&measured) {
        let text = measured::text(metadata, measured.as_ref(), None);
        let whose = if injected.len() > 1 { format!("{}: ", metadata.target()) } else { String::new() };
        output::lines(text.map(|text| format!("{whose}{text}")));
    }
    output::lines(injected.iter().find_map(|one| measured::note(&one.injection.metadata)));
    Ok(())
}

/// What each of them does, once all hold.
async fn measure_all(config: &Config, subject: &TikvSubject, injected: &[Injected]) -> Vec<Option<Measured>> {
    join_all(injected.iter().map(|one| session::measure(subject, &config.store, &one.injection))).await
}

fn one_json(injection: &Injection) -> serde_json::Value {
    json!({
        "id": injection.metadata.id, "state": injection.state, "metadata": injection.metadata, "undo": injection.undo,
        "deadline": injection.deadline,
    })
}

/// A refusal by judgement names the flag that overrules it.
pub fn forcible(error: LifeError) -> Failure {
    let overruled = matches!(error, LifeError::Unsafe(_));
    let mut failure = Failure::from(error);
    if overruled {
        failure.message += "; --force injects it all the same";
    }
    failure
}

pub fn warn(plan: &Plan) {
    let reasons = plan.verdict.reasons.iter().filter(|_| plan.verdict.grade == Grade::Careful);
    for warning in plan.warnings.iter().chain(reasons) {
        eprintln!("tikv-chaos: careful: {warning}");
    }
}
