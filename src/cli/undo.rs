//! Undoing several things at the same time, and saying how each went.

use std::process::ExitCode;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::output;
use crate::{
    chaos::measured::Judgement,
    config::Config,
    session::{self, Injection, Unreadable},
    subject::{Cleaned, Marked, Subject as _, docker::TikvSubject},
};

/// How one undo went.
pub struct Undone {
    id: String,
    what: String,
    recorded: bool,
    result: Result<Cleaned, String>,
    undo: Vec<String>,
    /// Whether it is over, by a look at what is left.
    measured: Option<Judgement>,
}

impl Undone {
    /// One that had gone with its target before.
    pub fn lost(injection: &Injection) -> Self {
        let metadata = &injection.metadata;
        Self {
            id: metadata.id.to_string(),
            what: format!("{} on {}", metadata.fault_type(), metadata.target()),
            recorded: true,
            result: Ok(Cleaned::Lost(injection.note.clone().unwrap_or_default())),
            undo: Vec::new(),
            measured: None,
        }
    }

    /// Why it could not be undone, if it could not.
    pub fn error(&self) -> Option<&str> {
        self.result.as_ref().err().map(String::as_str)
    }
}

/// Undoes recorded injections and unrecorded marks at the same time, and lets go of the holders and of the files that
/// are done with. Waits for no measurement.
pub async fn undo(config: &Config, subject: &TikvSubject, injections: &[&Injection], marks: &[&Marked]) -> Vec<Undone> {
    let results = put_back(config, subject, injections, marks).await;
    let_go(config, subject).await;
    results
}

/// The same for recorded injections, with a look at what is left of each.
pub async fn undo_and_look(config: &Config, subject: &TikvSubject, injections: &[&Injection]) -> Vec<Undone> {
    let mut results = put_back(config, subject, injections, &[]).await;
    // Once all are undone: one that still holds would be seen in another's place.
    let looks = results.iter().zip(injections).map(|(one, injection)| async {
        let undone = matches!(one.result, Ok(Cleaned::Clean));
        if undone { session::measure_over(subject, &config.store, injection).await } else { None }
    });
    let looks = join_all(looks).await;
    results.iter_mut().zip(looks).for_each(|(one, look)| one.measured = look);
    let_go(config, subject).await;
    results
}

async fn put_back(config: &Config, subject: &TikvSubject, injections: &[&Injection], marks: &[&Marked]) -> Vec<Undone> {
    let recorded = injections.iter().map(|injection| async {
        let metadata = &injection.metadata;
        let result = session::revert(subject, &config.store, injection).await;
        if let Ok(reverted) = &result
            && let Some(error) = &reverted.journal_error
        {
            eprintln!("tikv-chaos: {} is undone, but the journal cannot say so: {error}", metadata.id);
        }
        Undone {
            id: metadata.id.to_string(),
            what: format!("{} on {}", metadata.fault_type(), metadata.target()),
            recorded: true,
            result: result.map(|reverted| reverted.cleaned).map_err(|error| error.to_string()),
            undo: injection.undo.clone(),
            measured: None,
        }
    });
    let unrecorded = marks.iter().map(|mark| async {
        let (id, what, undo) = (mark.id(), mark.words(), mark.by_hand());
        let result = subject.clear(mark).await.map_err(|error| {
            format!("{what} without a record could not be undone: {error}. By hand: {}", undo.join("; "))
        });
        Undone { id, what, recorded: false, result, undo, measured: None }
    });
    let (mut results, unrecorded) = join(join_all(recorded), join_all(unrecorded)).await;
    results.extend(unrecorded);
    results
}

async fn let_go(config: &Config, subject: &TikvSubject) {
    subject.release().await;
    if let Err(error) = config.store.prune() {
        tracing::warn!(%error, "ended sessions stay listed");
    }
}

/// Whether every one of them is gone, and every journal could be read: one that could not may hold open injections.
pub fn all_gone(results: &[Undone], unreadable: &[Unreadable]) -> bool {
    unreadable.is_empty() && results.iter().all(|one| one.result.is_ok())
}

pub fn status(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Says how each went, a line each.
pub fn say(verb: &str, results: &[Undone]) {
    if results.is_empty() {
        output::lines([format!("nothing to be {verb}")]);
    }
    for one in results {
        let (id, what) = (&one.id, &one.what);
        let record = if one.recorded { "" } else { " (no record)" };
        match &one.result {
            Ok(Cleaned::Clean) => {
                let measured = one.measured.as_ref().map(|measured| format!("; {measured}")).unwrap_or_default();
                output::lines([format!("{id} {what}{record}: {verb}, read back and gone{measured}")]);
            }
            Ok(Cleaned::Back(how)) => {
                output::lines([format!("{id} {what}{record}: {verb}, read back and gone; {how}")])
            }
            Ok(Cleaned::Lost(how)) => output::lines([format!("{id} {what}{record}: nothing left to undo: {how}")]),
            Err(error) => eprintln!("tikv-chaos: {error}"),
        }
    }
}

pub fn to_json(one: &Undone) -> Value {
    let (id, recorded) = (&one.id, one.recorded);
    match &one.result {
        Ok(Cleaned::Clean) => json!({ "id": id, "recorded": recorded, "outcome": "clean", "measured": one.measured }),
        Ok(Cleaned::Back(how)) => json!({ "id": id, "recorded": recorded, "outcome": "clean", "note": how }),
        Ok(Cleaned::Lost(how)) => json!({ "id": id, "recorded": recorded, "outcome": "lost", "note": how }),
        Err(error) => {
            json!({ "id": id, "recorded": recorded, "outcome": "failed", "error": error, "undo": one.undo })
        }
    }
}
