//! From the wish to inject to the effect: what must be true, what is asked first, what came of it.

use super::{change, dialog, say};
use crate::{
    chaos::{Fault, FaultType, InjectionId},
    safety::{Grade, Verdict},
    session::Injection,
    tui::{
        Effect, Level, Model,
        model::{Dialog, Ready},
        undo::{self, Again, Done},
    },
};

/// Begins, or asks first; where it is not known yet what it would do, as soon as that is.
pub fn asked(model: &mut Model) -> Vec<Effect> {
    model.picker.go_to(model.picker.field);
    if model.picker.held.is_some() {
        change::insisted(model);
        return Vec::new();
    }
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
        && *typed != ready.whom()
    {
        return Vec::new();
    }
    let Some(Dialog::Confirm { ready, name, .. }) = model.dialog.take() else { return Vec::new() };
    // A node may have gone away while the dialog was open.
    let trouble = ready.targets.iter().find_map(|target| {
        let node = model.snapshot.as_ref().and_then(|snapshot| snapshot.by_id(&target.id));
        match node {
            None => Some(format!("{} is gone", target.name)),
            Some(node) if !node.is_running() => Some(format!("{} is {}, not running", node.name, node.state)),
            Some(_) => None,
        }
    });
    let still = match trouble {
        _ if !model.is_up() => Err("Docker is not answering".to_owned()),
        Some(reason) => Err(reason),
        None => Ok(ready),
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
    model.injecting = Some(format!("injecting {} into {}", ready.fault.fault_type(), ready.whom()));
    model.asked = Some(Again {
        kind: ready.fault.fault_type(),
        params: model.picker.params(),
        targets: ready.targets.clone(),
        ttl: Some(ready.ttl),
        group: None,
    });
    vec![Effect::Inject { targets: ready.ids(), fault: ready.fault, ttl: Some(ready.ttl), force }]
}

/// Why the user should be asked first, in sentences, none if it can begin at once; and whether by the node's name.
fn reasons_to_ask(ready: &Ready, verdict: &Verdict) -> (Vec<String>, Option<String>) {
    let mut reasons = verdict.reasons.clone();
    if let Fault::NodeKill { signal } = &ready.fault {
        let names: Vec<&str> = ready.targets.iter().map(|target| target.name.as_str()).collect();
        let what = format!("{} ends the process of {}: {}.", signal.name(), names.join(", "), verdict.consequence);
        reasons = vec![what].into_iter().chain(reasons.into_iter().filter(|one| *one != verdict.consequence)).collect();
    } else if ready.targets.len() > 1 {
        let names: Vec<&str> = ready.targets.iter().map(|target| target.name.as_str()).collect();
        reasons.insert(0, format!("All at once: {}.", names.join(", ")));
        if !reasons.contains(&verdict.consequence) {
            reasons.push(format!("{}.", verdict.consequence));
        }
    }
    (reasons, (verdict.grade == Grade::Refused).then(String::new))
}

pub fn answered(model: &mut Model, result: Result<Vec<Injection>, String>) {
    let what = model.injecting.take();
    let asked = model.asked.take();
    match result {
        Ok(injections) => {
            let ids: Vec<InjectionId> = injections.iter().map(|one| one.metadata.id.clone()).collect();
            model.active_id = ids.first().cloned().or(model.active_id.take());
            for injection in &injections {
                let metadata = &injection.metadata;
                let kind: FaultType = metadata.fault_type();
                let text = format!("injected {kind} into {}: {} ({})", metadata.target(), metadata.fault, metadata.id);
                if let Some(again) = &asked {
                    let again = Again { group: metadata.group.clone(), ..again.clone() };
                    model.made.insert(metadata.id.clone(), again);
                }
                say(model, Level::Done, text);
            }
            if let (Some(again), false) = (asked, ids.is_empty()) {
                undo::push(&mut model.done, Done::Injected { ids, what: again.what() });
            }
            // An act on marked nodes is done, and the next one is another.
            model.marks.clear();
        }
        Err(reason) => {
            let what = what.map(|what| format!("{what} failed: ")).unwrap_or_default();
            say(model, Level::Error, format!("{what}{reason}"));
        }
    }
}
