//! From the wish to inject to the effect: what must be true, what is asked first, what came of it.

use super::{dialog, say};
use crate::{
    chaos::{Fault, FaultType},
    safety::{Grade, Verdict},
    session::Injection,
    tui::{
        Effect, Level, Model,
        model::{Dialog, Ready},
    },
};

/// Begins, or asks first; where it is not known yet what it would do, as soon as that is.
pub fn asked(model: &mut Model) -> Vec<Effect> {
    model.picker.go_to(model.picker.field);
    if let Some(error) = &model.picker.error {
        let text = format!("not injected: {error}");
        say(model, Level::Warn, text);
        return Vec::new();
    }
    let ready = match checked(model, model.ready()) {
        Err(reason) => {
            say(model, Level::Warn, format!("not injected: {reason}"));
            return Vec::new();
        }
        Ok(ready) => ready,
    };
    let Some(plan) = model.picker.plan.as_ref().filter(|_| model.picker.fresh) else {
        model.wished = true;
        return Vec::new();
    };
    match plan {
        Err(reason) => {
            let text = format!("not injected: {reason}");
            say(model, Level::Warn, text);
            Vec::new()
        }
        Ok(plan) => {
            let (reasons, name) = reasons_to_ask(&ready, &plan.verdict);
            if reasons.is_empty() {
                return begin(model, ready, false);
            }
            dialog::open(model, Dialog::Confirm { ready, reasons, name });
            Vec::new()
        }
    }
}

pub fn confirmed(model: &mut Model) -> Vec<Effect> {
    if let Some(Dialog::Confirm { ready, name: Some(typed), .. }) = &model.dialog
        && *typed != ready.name
    {
        return Vec::new();
    }
    let Some(Dialog::Confirm { ready, name, .. }) = model.dialog.take() else { return Vec::new() };
    // The node may have gone away while the dialog was open.
    let node = model.snapshot.as_ref().and_then(|snapshot| snapshot.by_id(&ready.target));
    let still = match node {
        _ if !model.is_up() => Err("Docker is not answering".to_owned()),
        None => Err(format!("{} is gone", ready.name)),
        Some(node) if !node.is_running() => Err(format!("{} is {}, not running", node.name, node.state)),
        Some(_) => Ok(ready),
    };
    match checked(model, still) {
        Ok(ready) => begin(model, ready, name.is_some()),
        Err(reason) => {
            say(model, Level::Warn, format!("not injected: {reason}"));
            Vec::new()
        }
    }
}

/// One at a time: a key that repeats does not inject twice.
fn checked(model: &Model, ready: Result<Ready, String>) -> Result<Ready, String> {
    match &model.injecting {
        Some(what) => Err(format!("still {what}")),
        None => ready,
    }
}

fn begin(model: &mut Model, ready: Ready, force: bool) -> Vec<Effect> {
    model.injecting = Some(format!("injecting {} into {}", ready.fault.fault_type(), ready.name));
    vec![Effect::Inject { fault: ready.fault, target: ready.target, ttl: Some(ready.ttl), force }]
}

/// Why the user should be asked first, in sentences, none if it can begin at once; and whether by the node's name.
fn reasons_to_ask(ready: &Ready, verdict: &Verdict) -> (Vec<String>, Option<String>) {
    let mut reasons = verdict.reasons.clone();
    if let Fault::NodeKill { signal } = &ready.fault {
        let what = format!("{} ends the process of {}: {}.", signal.name(), ready.name, verdict.consequence);
        reasons = vec![what].into_iter().chain(reasons.into_iter().filter(|one| *one != verdict.consequence)).collect();
    }
    (reasons, (verdict.grade == Grade::Refused).then(String::new))
}

pub fn answered(model: &mut Model, result: Result<Box<Injection>, String>) {
    let what = model.injecting.take();
    match result {
        Ok(injection) => {
            let metadata = &injection.metadata;
            let kind: FaultType = metadata.fault_type();
            let text = format!("injected {kind} into {}: {} ({})", metadata.target(), metadata.fault, metadata.id);
            model.active_id = Some(metadata.id.clone());
            say(model, Level::Done, text);
        }
        Err(reason) => {
            let what = what.map(|what| format!("{what} failed: ")).unwrap_or_default();
            say(model, Level::Error, format!("{what}{reason}"));
        }
    }
}
