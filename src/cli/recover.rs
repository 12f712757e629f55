//! `recover` and `revert --all --every-session`: put back what the journals and a look at the nodes themselves say is
//! ours, and show what is not.

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    active::{to_json, warn_unreadable},
    output::{self, Failure},
    progress, undo,
};
use crate::{
    config::Config,
    session::{
        Injection, Loaded, Seen,
        recovery::{Reach, Recovery, Sight, sort},
    },
    subject::{Left, Marked, Scan, Subject as _, SubjectError, Unseen, docker::TikvSubject},
    tui::span,
};

/// What is found, with the journals that it was compared with.
struct Found {
    loaded: Loaded,
    recovery: Recovery,
}

/// `verb` is how it is spoken of afterwards: `recovered`, `reverted`.
pub async fn run(config: &Config, verb: &str, reach: Reach, dry_run: bool) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    let found = look(config, &subject, reach).await?;
    if !config.json {
        warn_unreadable(&found.loaded);
    }
    if dry_run {
        subject.release().await;
        return Ok(say_what_would_be(config, &found));
    }
    let injections: Vec<&Injection> = found.to_undo().map(|(_, injection, _)| injection).collect();
    let marks: Vec<&Marked> = found.recovery.unrecorded.iter().collect();
    let results = undo::undo(config, &subject, &injections, &marks).await;
    let unreadable = &found.loaded.unreadable;
    let ok = undo::all_gone(&results, unreadable) && found.recovery.unseen.is_empty();
    if config.json {
        let rows: Vec<_> = results.iter().map(undo::to_json).collect();
        let mut document = found.rest();
        document[verb] = rows.into();
        document["unreadable"] = json!(unreadable);
        document["ok"] = ok.into();
        output::document(&document);
    } else {
        undo::say(verb, &results);
        say_rest(&found.recovery);
    }
    Ok(undo::status(ok))
}

/// The scan first: what is injected after it has a record by the time the journals are read.
async fn look(config: &Config, subject: &TikvSubject, reach: Reach) -> Result<Found, Failure> {
    let blind = |error: SubjectError| {
        // What is recorded is undone all the same, as far as that goes.
        let unseen = vec![Unseen { target: "the nodes".to_owned(), reason: error.to_string() }];
        Scan { unseen, ..Scan::default() }
    };
    let scan = subject.scan().await.unwrap_or_else(blind);
    let loaded = config.store.load()?;
    let recovery = sort(&loaded, scan, reach);
    Ok(Found { loaded, recovery })
}

impl Found {
    fn to_undo(&self) -> impl Iterator<Item = (&Seen, &Injection, Sight)> {
        let open = self.loaded.open().into_iter();
        open.filter_map(|(seen, one)| Some((seen, one, *self.recovery.recorded.get(&one.metadata.id)?)))
    }

    /// What is shown and not touched.
    fn rest(&self) -> Value {
        let held: Vec<_> = self.recovery.held.iter().map(|(mark, left)| held_json(mark, *left)).collect();
        json!({ "held": held, "foreign": self.recovery.foreign, "unseen": self.recovery.unseen })
    }
}

fn say_what_would_be(config: &Config, found: &Found) -> ExitCode {
    let recovery = &found.recovery;
    if config.json {
        let now = Timestamp::now();
        let recorded = found.to_undo().map(|(seen, injection, sight)| {
            let mut row = to_json(seen, injection, now, None);
            row["found"] = json!(sight);
            row
        });
        let mut document = found.rest();
        document["dry_run"] = true.into();
        document["recoverable"] = recorded.collect::<Vec<_>>().into();
        document["unrecorded"] = recovery.unrecorded.iter().map(mark_json).collect::<Vec<_>>().into();
        document["unreadable"] = json!(found.loaded.unreadable);
        output::document(&document);
        return undo::status(recovery.unseen.is_empty());
    }
    if recovery.recorded.is_empty() && recovery.unrecorded.is_empty() {
        output::lines(["nothing to be recovered"]);
    }
    for (_, injection, sight) in found.to_undo() {
        let metadata = &injection.metadata;
        let (id, kind, target) = (&metadata.id, metadata.fault_type(), metadata.target());
        let sight = if sight == Sight::Gone { ", nothing of it is left" } else { "" };
        output::lines([format!("would undo {id} {kind} on {target} ({}{sight}); by hand:", injection.state)]);
        output::lines(injection.undo.iter().map(|command| format!("  {command}")));
    }
    for mark in &recovery.unrecorded {
        let (id, what) = (mark.id(), mark.words());
        output::lines([format!("would undo {id} {what} (no record); by hand:")]);
        output::lines(mark.by_hand().iter().map(|command| format!("  {command}")));
    }
    say_rest(recovery);
    undo::status(recovery.unseen.is_empty())
}

fn say_rest(recovery: &Recovery) {
    for (mark, left) in &recovery.held {
        let (id, what) = (mark.id(), mark.words());
        let end = match left {
            Left::Until(left) => format!("ends by itself in {}", span(left.as_secs().cast_signed())),
            Left::ForEver => "does not end by itself".to_owned(),
        };
        output::lines([format!(
            "{id} {what}: left alone, a running helper keeps it and no record here knows it; {end}, or now with --held"
        )]);
    }
    output::lines(recovery.foreign.iter().map(|one| format!("{} {}: not ours, left alone", one.target, one.what)));
    for unseen in &recovery.unseen {
        eprintln!("tikv-chaos: cannot look at {}: {}", unseen.target, unseen.reason);
    }
}

fn mark_json(mark: &Marked) -> Value {
    let (id, what) = (mark.id(), mark.words());
    let metadata = match mark {
        Marked::Fault(metadata) => json!(metadata),
        Marked::Helper(_) => Value::Null,
    };
    json!({ "id": id, "what": what, "metadata": metadata, "undo": mark.by_hand() })
}

fn held_json(mark: &Marked, left: Left) -> Value {
    let mut row = mark_json(mark);
    row["ends_in_s"] = match left {
        Left::Until(left) => left.as_secs().into(),
        Left::ForEver => Value::Null,
    };
    row
}
