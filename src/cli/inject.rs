//! `inject`: one act, of one injection or several, written down, made, read back and left until its deadline.

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
    safety::Grade,
    session::{self, Injected, Injection, LifeError, Request},
    subject::{Plan, docker::TikvSubject},
};

pub async fn run(config: &Config, inject: Inject) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    let Inject { fault, targets, ttl, force, dry_run: only_look } = inject;
    let request =
        |target| Request { fault: fault.clone(), target, ttl, command: "inject", limits: config.limits.clone(), force };
    let requests: Vec<Request> =
        if targets.is_empty() { vec![request(None)] } else { targets.into_iter().map(Some).map(request).collect() };
    let result =
        if only_look { dry_run(config, &subject, &requests).await } else { real(config, &subject, &requests).await };
    subject.release().await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn dry_run(config: &Config, subject: &TikvSubject, requests: &[Request]) -> Result<(), Failure> {
    let plans = session::plan_all(subject, &config.store, requests).await?;
    let texts = |commands: &[Command]| commands.iter().map(ToString::to_string).collect::<Vec<_>>();
    if config.json {
        let document = |plan: &Plan| {
            json!({
                "dry_run": true, "id": plan.metadata.id, "metadata": plan.metadata, "commands": texts(&plan.commands),
                "undo": texts(&plan.undo), "warnings": plan.warnings, "verdict": plan.verdict,
            })
        };
        match &plans[..] {
            [plan] => output::document(&document(plan)),
            plans => {
                let injections: Vec<_> = plans.iter().map(document).collect();
                output::document(&json!({ "dry_run": true, "injections": injections }));
            }
        }
        return Ok(());
    }
    warn(&plans);
    for plan in &plans {
        let Plan { metadata, commands, undo, .. } = plan;
        output::lines([format!("would inject {} on {}: {}", metadata.fault_type(), metadata.target(), metadata.fault)]);
        output::lines(texts(commands).iter().map(|command| format!("  run   {command}")));
        output::lines(texts(undo).iter().map(|command| format!("  undo  {command}")));
    }
    if let Some(plan) = plans.first() {
        output::lines([format!("  then  {}", plan.verdict.consequence)]);
        if plan.verdict.grade == Grade::Refused {
            output::lines(["  this would be refused without --force"]);
        }
    }
    Ok(())
}

async fn real(config: &Config, subject: &TikvSubject, requests: &[Request]) -> Result<(), Failure> {
    let mut commands: Vec<Vec<String>> = Vec::new();
    let before = |plans: &[Plan]| {
        warn(plans);
        commands = plans.iter().map(|plan| plan.commands.iter().map(ToString::to_string).collect()).collect();
    };
    let injected = session::inject_all(subject, &config.store, requests, before).await.map_err(forcible)?;
    if let Err(error) = config.store.leave().and_then(|()| config.store.end()) {
        tracing::warn!(%error, "the session could not be closed; it is found as one that was killed");
    }
    if config.json {
        let document = |(Injected { injection, warnings }, commands): (&Injected, &Vec<String>)| {
            let metadata = &injection.metadata;
            json!({
                "id": metadata.id, "group": injection.group, "state": injection.state, "metadata": metadata,
                "undo": injection.undo, "commands": commands, "warnings": warnings, "deadline": injection.deadline,
            })
        };
        let mut documents: Vec<_> = injected.iter().zip(&commands).map(document).collect();
        match (documents.len(), &injected[..]) {
            (1, _) => output::document(&documents.remove(0)),
            (_, [first, ..]) => {
                output::document(&json!({ "group": first.injection.group, "injections": documents }));
            }
            _ => {}
        }
        return Ok(());
    }
    for Injected { injection: Injection { metadata, .. }, .. } in &injected {
        let text = format!("{} {} on {}: {}", metadata.id, metadata.fault_type(), metadata.target(), metadata.fault);
        output::lines([text]);
    }
    let Some(Injected { injection, .. }) = injected.first() else { return Ok(()) };
    let (ends, end) = if injected.len() > 1 {
        ("all end by themselves", "none ever ends by itself")
    } else {
        ("ends by itself", "never ends by itself")
    };
    let end = match injection.deadline {
        Some(deadline) => format!("{ends} at {}; earlier", deadline.strftime("%H:%M:%S UTC")),
        None => end.to_owned(),
    };
    output::lines([format!("{end}: tikv-chaos revert {}", injection.group.as_ref().unwrap_or(&injection.metadata.id))]);
    Ok(())
}

/// A refusal by judgement names the flag that overrules it.
pub fn forcible(error: LifeError) -> Failure {
    let overruled = matches!(error, LifeError::Unsafe(_));
    let mut failure = Failure::from(error);
    if overruled {
        failure.message += "; --force does it all the same";
    }
    failure
}

pub fn warn(plans: &[Plan]) {
    let verdict = plans.first().map(|plan| &plan.verdict).filter(|verdict| verdict.grade == Grade::Careful);
    let reasons = verdict.iter().flat_map(|verdict| &verdict.reasons);
    for warning in plans.iter().flat_map(|plan| &plan.warnings).chain(reasons) {
        eprintln!("tikv-chaos: careful: {warning}");
    }
}
