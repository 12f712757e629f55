//! From the wish to inject to the effect: what must be true, what is asked first, what came of it.

use super::{dialog, say, sessions};
use crate::{
    chaos::{Fault, FaultType},
    session::Injection,
    tui::{
        Effect, Level, Model,
        model::{Dialog, Ready},
    },
};

pub fn asked(model: &mut Model) -> Vec<Effect> {
    model.picker.go_to(model.picker.field);
    if let Some(error) = &model.picker.error {
        let text = format!("not injected: {error}");
        say(model, Level::Warn, text);
        return Vec::new();
    }
    match checked(model, model.ready()) {
        Err(reason) => {
            say(model, Level::Warn, format!("not injected: {reason}"));
            Vec::new()
        }
        Ok(ready) => {
            let reasons = reasons_to_ask(model, &ready);
            if reasons.is_empty() {
                return begin(model, ready);
            }
            dialog::open(model, Dialog::Confirm { ready, reasons });
            Vec::new()
        }
    }
}

pub fn confirmed(model: &mut Model) -> Vec<Effect> {
    let Some(Dialog::Confirm { ready, .. }) = model.dialog.take() else { return Vec::new() };
    // The node may have gone away while the dialog was open.
    let node = model.snapshot.as_ref().and_then(|snapshot| snapshot.by_id(&ready.target));
    let still = match node {
        _ if !model.is_up() => Err("Docker is not answering".to_owned()),
        None => Err(format!("{} is gone", ready.name)),
        Some(node) if !node.is_running() => Err(format!("{} is {}, not running", node.name, node.state)),
        Some(_) => Ok(ready),
    };
    match checked(model, still) {
        Ok(ready) => begin(model, ready),
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

fn begin(model: &mut Model, ready: Ready) -> Vec<Effect> {
    model.injecting = Some(format!("injecting {} into {}", ready.fault.fault_type(), ready.name));
    vec![Effect::Inject { fault: ready.fault, target: ready.target, ttl: Some(ready.ttl), force: false }]
}

/// Why the user should be asked first, in sentences; none if it can begin at once.
fn reasons_to_ask(model: &Model, ready: &Ready) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Fault::NodeKill { signal } = &ready.fault {
        reasons.push(format!("{} ends the process of {}.", signal.name(), ready.name));
    }
    let hurt: Vec<String> = sessions::hurt_neighbours(model, &ready.target).into_iter().collect();
    if !hurt.is_empty() {
        let (verb, noun) = if hurt.len() == 1 { ("has", "an open injection") } else { ("have", "open injections") };
        reasons.push(format!(
            "In the same cluster {} already {verb} {noun}: with a second node the cluster may stop answering.",
            hurt.join(", ")
        ));
    }
    reasons
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
