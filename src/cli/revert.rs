//! `revert`: undo by id, or everything that nobody is in charge of.

use std::process::ExitCode;

use futures_util::future::join_all;
use serde_json::json;

use super::{
    args::match_id,
    output::{self, Failure},
    progress,
};
use crate::{
    chaos::InjectionId,
    config::Config,
    session::{self, Injection},
    subject::{Cleaned, docker::TikvSubject},
};

pub async fn run(config: &Config, ids: &[String], all: bool) -> Result<ExitCode, Failure> {
    let loaded = config.store.load()?;
    let open = loaded.open();
    let known: Vec<InjectionId> = open.iter().map(|(_, injection)| injection.metadata.id.clone()).collect();
    let chosen: Vec<InjectionId> = if all {
        session::recoverable(&loaded).iter().map(|injection| injection.metadata.id.clone()).collect()
    } else {
        ids.iter().map(|typed| match_id(typed, &known)).collect::<Result<_, _>>()?
    };
    let injections: Vec<&Injection> = open
        .iter()
        .map(|(_, injection)| *injection)
        .filter(|injection| chosen.contains(&injection.metadata.id))
        .collect();
    let subject = config.subject(progress());
    let results = undo(config, &subject, &injections).await;
    Ok(report(config, "reverted", &results, &[]))
}

/// How one undo went.
pub struct Undone {
    id: InjectionId,
    what: String,
    result: Result<Cleaned, String>,
    undo: Vec<String>,
}

impl Undone {
    /// Why it could not be undone, if it could not.
    pub fn error(&self) -> Option<&str> {
        self.result.as_ref().err().map(String::as_str)
    }
}

/// Undoes them at the same time, and lets go of the holders and of the files that are done with.
pub async fn undo(config: &Config, subject: &TikvSubject, injections: &[&Injection]) -> Vec<Undone> {
    let all = injections.iter().map(|injection| async {
        let metadata = &injection.metadata;
        let result = session::revert(subject, &config.store, injection).await;
        if let Ok(reverted) = &result
            && let Some(error) = &reverted.journal_error
        {
            eprintln!("tikv-chaos: {} is undone, but the journal cannot say so: {error}", metadata.id);
        }
        Undone {
            id: metadata.id.clone(),
            what: format!("{} on {}", metadata.fault_type(), metadata.target()),
            result: result.map(|reverted| reverted.cleaned).map_err(|error| error.to_string()),
            undo: injection.undo.clone(),
        }
    });
    let results = join_all(all).await;
    subject.release().await;
    if let Err(error) = config.store.prune() {
        tracing::warn!(%error, "ended sessions stay listed");
    }
    results
}

/// Prints them; the status is 1 if one failed or a journal could not be read.
pub fn report(config: &Config, verb: &str, results: &[Undone], unreadable: &[crate::session::Unreadable]) -> ExitCode {
    // An unreadable journal may hold open injections: that is no success.
    let failed = results.iter().any(|one| one.result.is_err()) || !unreadable.is_empty();
    if config.json {
        let rows: Vec<_> = results.iter().map(to_json).collect();
        output::document(&json!({ verb: rows, "unreadable": unreadable, "ok": !failed }));
    } else if results.is_empty() {
        output::lines([format!("nothing to be {verb}")]);
    } else {
        for one in results {
            match &one.result {
                Ok(Cleaned::Clean) => output::lines([format!("{} {}: {verb}, read back and gone", one.id, one.what)]),
                Ok(Cleaned::Lost(how)) => {
                    output::lines([format!("{} {}: nothing left to undo: {how}", one.id, one.what)])
                }
                Err(error) => eprintln!("tikv-chaos: {error}"),
            }
        }
    }
    if failed { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn to_json(one: &Undone) -> serde_json::Value {
    match &one.result {
        Ok(Cleaned::Clean) => json!({ "id": one.id, "outcome": "clean" }),
        Ok(Cleaned::Lost(how)) => json!({ "id": one.id, "outcome": "lost", "note": how }),
        Err(error) => json!({ "id": one.id, "outcome": "failed", "error": error, "undo": one.undo }),
    }
}
