//! `active`: every open injection of every session of this state folder.

use std::{collections::BTreeMap, process::ExitCode};

use jiff::Timestamp;
use serde_json::json;

use super::{
    measured,
    output::{self, Failure},
    progress, settle,
};
use crate::{
    chaos::{InjectionId, measured::Look},
    config::Config,
    session::{self, Injection, Life, Loaded, Lost, Seen, SettleError},
    subject::docker::TikvSubject,
    tui::span,
};

/// What is recorded, compared with the nodes: what they show to be over is listed once more, as lost. Where Docker does not
/// answer the journal alone is told, and that it is. With `look`, everything of the network is measured again.
pub async fn run(config: &Config, look: bool) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    let (lost, not_compared) = match settle::settle(config, &subject).await {
        Ok(lost) => (lost, None),
        Err(SettleError::Journal(error)) => return Err(error.into()),
        Err(SettleError::Subject(error)) => (Vec::new(), Some(error.to_string())),
    };
    let loaded = config.store.load()?;
    let (open, guards) = (listed(&loaded, &lost), config.store.guards());
    let looks = if look { looks(&subject, &open).await } else { Looks::new() };
    subject.release().await;
    let now = Timestamp::now();
    if config.json {
        let active: Vec<_> = open
            .iter()
            .map(|(seen, injection)| to_json(seen, injection, now, looks.get(&injection.metadata.id)))
            .collect();
        let mut document = json!({ "active": active, "guards": guards, "unreadable": loaded.unreadable });
        if let Some(reason) = not_compared {
            document["not_compared"] = reason.into();
        }
        output::document(&document);
        return Ok(ExitCode::SUCCESS);
    }
    warn_unreadable(&loaded);
    if let Some(reason) = not_compared {
        eprintln!("tikv-chaos: by the journal alone, not compared with the nodes: {reason}");
    }
    if open.is_empty() {
        output::lines(["nothing is injected"]);
        return Ok(ExitCode::SUCCESS);
    }
    let heading = ["ID", "TYPE", "TARGET", "STATE", "AGE", "LEFT", "OWNER", "WHAT"].map(str::to_owned);
    let since = |one: &Injection| session::since(open.iter().map(|(_, other)| *other), one);
    let rows = open.iter().map(|(seen, one)| row(seen, one, now, &looks, &since(one)));
    let rows = std::iter::once(heading).chain(rows);
    let rows: Vec<_> = rows.collect();
    output::table(&rows);
    let noted = open.iter().filter_map(|(_, one)| Some((&one.metadata.id, one.note.as_ref()?)));
    output::lines(noted.map(|(id, note)| format!("{id}: {note}")));
    let guarded = config.store.guarded(&loaded);
    if config.store.guard().is_none() && !guarded.is_empty() {
        output::lines(["guard: none runs; what is left behind waits for `tikv-chaos recover`"]);
        if guarded.iter().any(|(_, one)| one.metadata.names_peers()) {
            output::lines(["guard: none runs; peers that get other addresses are not followed"]);
        }
    }
    output::lines(guards.iter().map(|guard| format!("guard: process {} ends what is overdue and nobody's", guard.pid)));
    Ok(ExitCode::SUCCESS)
}

pub fn warn_unreadable(loaded: &Loaded) {
    for one in &loaded.unreadable {
        eprintln!("tikv-chaos: {} is kept and not used: {}", one.path.display(), one.reason);
    }
}

/// Those that are open, and in their places those that are lost.
fn listed<'a>(loaded: &'a Loaded, lost: &'a [Lost]) -> Vec<(&'a Seen, &'a Injection)> {
    let is_lost = |one: &Injection| lost.iter().any(|lost| lost.injection.metadata.id == one.metadata.id);
    let open = loaded.open().into_iter().filter(|(_, one)| !is_lost(one));
    let mut listed: Vec<_> = open.chain(lost.iter().map(|lost| (&lost.seen, &lost.injection))).collect();
    listed.sort_by_key(|(_, one)| one.created_at);
    listed
}

/// What is seen now of injections.
type Looks = BTreeMap<InjectionId, Look>;

async fn looks(subject: &TikvSubject, open: &[(&Seen, &Injection)]) -> Looks {
    let mut looks = Looks::new();
    // One after another: those of one network would meet one another's packets.
    for (_, injection) in open.iter().filter(|(_, injection)| injection.state == Life::Active) {
        if let Some(look) = subject.look_now(&injection.metadata).await {
            looks.insert(injection.metadata.id.clone(), look);
        }
    }
    looks
}

/// `look` is what is seen of it now.
pub fn to_json(seen: &Seen, injection: &Injection, now: Timestamp, look: Option<&Look>) -> serde_json::Value {
    json!({
        "id": injection.metadata.id, "state": injection.state, "metadata": injection.metadata, "undo": injection.undo,
        "created_at": injection.created_at, "deadline": injection.deadline, "overdue": injection.is_overdue(now),
        "session": seen.file.session, "owner": owner(seen, injection), "note": injection.note,
        "measured": measured::to_json(
            &injection.metadata, injection.measured.as_ref(), look,
        ),
    })
}

/// `since` are those that came onto its way since it was measured.
fn row(seen: &Seen, injection: &Injection, now: Timestamp, looks: &Looks, since: &[String]) -> [String; 8] {
    let metadata = &injection.metadata;
    let left = match injection.deadline {
        _ if !injection.is_open() => "-".to_owned(),
        None => "no end".to_owned(),
        Some(deadline) if deadline <= now => "overdue".to_owned(),
        Some(deadline) => span(deadline.duration_since(now).as_secs()),
    };
    [
        metadata.id.to_string(),
        metadata.fault_type().to_string(),
        metadata.target().to_owned(),
        injection.state.to_string(),
        span(now.duration_since(injection.created_at).as_secs()),
        left,
        owner(seen, injection),
        match measured::text(metadata, injection.measured.as_ref(), looks.get(&metadata.id)) {
            _ if !injection.is_open() => {
                format!("{}; {}", metadata.fault, injection.note.as_deref().unwrap_or_default())
            }
            Some(measured) if !since.is_empty() && !looks.contains_key(&metadata.id) => {
                format!("{}; {measured}; measured before {}", metadata.fault, since.join(", "))
            }
            Some(measured) => format!("{}; {measured}", metadata.fault),
            None => metadata.fault.to_string(),
        },
    ]
}

/// Who is in charge of it now.
fn owner(seen: &Seen, injection: &Injection) -> String {
    match (seen.alive, injection.left) {
        (true, _) => format!("pid {}", seen.file.pid),
        (false, true) => "left".to_owned(),
        (false, false) => "left behind".to_owned(),
    }
}
