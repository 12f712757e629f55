//! `change`: other parameters or another deadline for an injection that holds, in place; or for each of an act.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{
    args::{Change, match_id},
    inject::{forcible, warn},
    measured,
    output::{self, Failure},
    progress, settle, undo,
};
use crate::{
    chaos::{Command, Fault, FaultType, InjectionId, Metadata, ParamError},
    config::Config,
    safety::{Grade, Verdict},
    session::{self, ChangeRequest, Injection, Loaded},
    subject::{Plan, docker::TikvSubject},
};

pub async fn run(config: &Config, change: Change) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    settle::say(config, &subject).await;
    let loaded = config.store.load()?;
    let (group, held) = meant(&loaded, &change.id)?;
    let changes = held.into_iter().map(|one| Ok((one, request(config, &one.metadata, &change)?)));
    let changes: Vec<(&Injection, ChangeRequest)> = changes.collect::<Result<_, Failure>>()?;
    let done = carry_out(config, &subject, group.as_ref(), &changes, change.dry_run).await;
    subject.release().await;
    done
}

/// The injection that was typed, or all of the act that has this name.
fn meant<'a>(loaded: &'a Loaded, typed: &str) -> Result<(Option<InjectionId>, Vec<&'a Injection>), Failure> {
    let open: Vec<&Injection> = loaded.open().into_iter().map(|(_, injection)| injection).collect();
    let of_act = |one: &&Injection| one.metadata.group.as_ref().is_some_and(|group| group.as_str() == typed);
    let act: Vec<&Injection> = open.iter().copied().filter(of_act).collect();
    if let Some(first) = act.first() {
        return Ok((first.metadata.group.clone(), act));
    }
    let known: Vec<InjectionId> = open.iter().map(|injection| injection.metadata.id.clone()).collect();
    let id = match_id(typed, &known)?;
    Ok((None, open.into_iter().filter(|injection| injection.metadata.id == id).collect()))
}

fn request(config: &Config, held: &Metadata, change: &Change) -> Result<ChangeRequest, Failure> {
    let fault = if change.given.is_empty() { None } else { Some(other(held, &change.given)?) };
    Ok(ChangeRequest { fault, ttl: change.ttl, limits: config.limits.clone(), force: change.force })
}

/// The fault with what was given over what it is.
fn other(held: &Metadata, given: &[(String, String)]) -> Result<Fault, Failure> {
    let usage = |error: ParamError| Failure::new(2, error.to_string());
    let (id, kind) = (&held.id, held.fault_type());
    let Some(params) = held.params() else {
        let part = if kind == FaultType::NetworkPartition { "one node's part of a " } else { "" };
        let text = format!(
            "{id} cannot be changed: {part}{} has nothing to change while it holds but its --ttl; revert it and inject anew",
            kind.name()
        );
        return Err(Failure::new(3, text));
    };
    let mut given = given.to_vec();
    // By the bounds that hold now a mean would be overruled.
    let is_given = |name: &str| given.iter().any(|(given, _)| given == name);
    if kind == FaultType::Latency && is_given("jitter_ms") && !is_given("mean_ms") {
        let delay = held.fault.shaped().and_then(|shaped| shaped.shape.impairment.delay);
        given.push(("mean_ms".to_owned(), delay.map_or(0, |one| one.mean_us / 1000).to_string()));
    }
    Fault::from_params(kind, &params.over(kind, given).map_err(usage)?).map_err(usage)
}

/// All are judged as the act that they are before one is changed; then each is, whatever became of the others.
async fn carry_out(
    config: &Config,
    subject: &TikvSubject,
    group: Option<&InjectionId>,
    changes: &[(&Injection, ChangeRequest)],
    dry_run: bool,
) -> Result<ExitCode, Failure> {
    if group.is_some() || dry_run {
        let mut plans = Vec::new();
        for plan in session::plan_changes(subject, changes).await {
            match plan {
                Ok(plan) => plans.push(plan),
                // Each says so itself when it is its turn.
                Err(_) if !dry_run => {}
                Err(error) if group.is_none() => return Err(error.into()),
                Err(error) => eprintln!("tikv-chaos: {error}"),
            }
        }
        if dry_run {
            show(config, group, &plans);
            return Ok(undo::status(plans.len() == changes.len()));
        }
        let all = Verdict::together(&plans.iter().map(|plan| &plan.verdict).collect::<Vec<_>>());
        let refused = all.filter(|verdict| verdict.grade == Grade::Refused);
        if let Some(verdict) = refused.filter(|_| changes.iter().all(|(_, request)| !request.force)) {
            let reasons = verdict.reasons.join("; ");
            return Err(Failure::new(3, format!("nothing was changed: {reasons}; --force changes it all the same")));
        }
    }
    let (mut documents, mut failures) = (Vec::new(), Vec::new());
    for (held, request) in changes {
        match one(config, subject, held, request).await {
            Ok(document) => documents.push(document),
            Err(failure) => failures.push((&held.metadata, failure)),
        }
    }
    let Some(group) = group else {
        if let Some((_, failure)) = failures.pop() {
            return Err(failure);
        }
        if config.json {
            documents.iter().for_each(output::document);
        }
        return Ok(ExitCode::SUCCESS);
    };
    for (_, failure) in &failures {
        eprintln!("tikv-chaos: {}", failure.message);
    }
    if config.json {
        let failed = failures.iter().map(|(metadata, failure)| {
            json!({ "id": metadata.id, "target": metadata.target(), "reason": failure.message, "status": failure.status })
        });
        let failed: Vec<Value> = failed.collect();
        output::document(&json!({ "group": group, "changed": documents, "failed": failed, "ok": failed.is_empty() }));
    }
    Ok(undo::status(failures.is_empty()))
}

/// Changes one, and says so.
async fn one(
    config: &Config,
    subject: &TikvSubject,
    held: &Injection,
    request: &ChangeRequest,
) -> Result<Value, Failure> {
    let mut commands = Vec::new();
    let before = |plan: &Plan| {
        warn(plan);
        commands = texts(&plan.commands);
    };
    let id = &held.metadata.id;
    let changed = session::change(subject, &config.store, id, request, before).await.map_err(forcible)?;
    let measured = session::measure(subject, &config.store, &changed.injection).await;
    let injection = &changed.injection;
    let metadata = &injection.metadata;
    if !config.json {
        let end = request.ttl.map(|_| match injection.deadline {
            Some(deadline) => format!(", until {}", deadline.strftime("%H:%M:%S UTC")),
            None => ", and never ends by itself".to_owned(),
        });
        let (kind, target) = (metadata.fault_type(), metadata.target());
        output::lines([format!("{id} {kind} on {target}: now {}{}", metadata.fault, end.unwrap_or_default())]);
        output::lines(measured::text(metadata, measured.as_ref(), None));
        output::lines(measured::note(metadata));
    }
    Ok(json!({
        "id": metadata.id, "state": injection.state, "metadata": metadata, "commands": commands,
        "undo": injection.undo, "warnings": changed.warnings, "deadline": injection.deadline,
        "measured": measured::to_json(metadata, measured.as_ref(), None),
    }))
}

/// What would be done, and what would follow.
fn show(config: &Config, group: Option<&InjectionId>, plans: &[Plan]) {
    if config.json {
        let each = plans.iter().map(|plan| {
            json!({
                "dry_run": true, "id": plan.metadata.id, "metadata": plan.metadata, "commands": texts(&plan.commands),
                "undo": texts(&plan.undo), "warnings": plan.warnings, "verdict": plan.verdict,
            })
        });
        let each: Vec<Value> = each.collect();
        match group {
            Some(group) => output::document(&json!({ "dry_run": true, "group": group, "changes": each })),
            None => each.iter().for_each(output::document),
        }
        return;
    }
    for plan in plans {
        warn(plan);
        let metadata = &plan.metadata;
        let (id, kind, target) = (&metadata.id, metadata.fault_type(), metadata.target());
        output::lines([format!("would change {id} {kind} on {target}: {}", metadata.fault)]);
        output::lines([format!("  then  {}", plan.verdict.consequence)]);
        if plan.verdict.grade == Grade::Refused {
            output::lines(["  this would be refused without --force"]);
        }
        output::lines(texts(&plan.commands).iter().map(|command| format!("  run   {command}")));
        output::lines(texts(&plan.undo).iter().map(|command| format!("  undo  {command}")));
    }
}

fn texts(commands: &[Command]) -> Vec<String> {
    commands.iter().map(ToString::to_string).collect()
}
