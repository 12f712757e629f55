//! `active`: every open injection of every session of this state folder.

use std::{collections::BTreeMap, process::ExitCode};

use jiff::Timestamp;
use serde_json::json;

use super::{
    measured,
    output::{self, Failure},
    progress,
};
use crate::{
    chaos::{InjectionId, measured::Look},
    config::Config,
    session::{Injection, Life, Loaded, Seen},
    tui::span,
};

/// With `look`, everything of the network is measured again; Docker is asked for nothing else.
pub async fn run(config: &Config, look: bool) -> Result<ExitCode, Failure> {
    let loaded = config.store.load()?;
    let (open, guards) = (loaded.open(), config.store.guards());
    let looks = if look { looks(config, &open).await } else { Looks::new() };
    let now = Timestamp::now();
    if config.json {
        let active: Vec<_> = open
            .iter()
            .map(|(seen, injection)| to_json(seen, injection, now, looks.get(&injection.metadata.id)))
            .collect();
        output::document(&json!({ "active": active, "guards": guards, "unreadable": loaded.unreadable }));
        return Ok(ExitCode::SUCCESS);
    }
    warn_unreadable(&loaded);
    if open.is_empty() {
        output::lines(["nothing is injected"]);
        return Ok(ExitCode::SUCCESS);
    }
    let heading = ["ID", "TYPE", "TARGET", "STATE", "AGE", "LEFT", "OWNER", "WHAT"].map(str::to_owned);
    let rows = std::iter::once(heading).chain(open.iter().map(|(seen, one)| row(seen, one, now, &looks)));
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

/// What is seen now of injections.
type Looks = BTreeMap<InjectionId, Look>;

async fn looks(config: &Config, open: &[(&Seen, &Injection)]) -> Looks {
    let subject = config.subject(progress());
    let mut looks = Looks::new();
    // One after another: those of one network would meet one another's packets.
    for (_, injection) in open.iter().filter(|(_, injection)| injection.state == Life::Active) {
        if let Some(look) = subject.look_now(&injection.metadata).await {
            looks.insert(injection.metadata.id.clone(), look);
        }
    }
    subject.release().await;
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

fn row(seen: &Seen, injection: &Injection, now: Timestamp, looks: &Looks) -> [String; 8] {
    let metadata = &injection.metadata;
    let left = match injection.deadline {
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
