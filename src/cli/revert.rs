//! `revert`: undo by id, or everything that nobody is in charge of.

use std::{collections::BTreeSet, process::ExitCode};

use serde_json::json;

use super::{
    args::match_id,
    output::{self, Failure},
    progress, settle,
    undo::{self, Undone},
};
use crate::{
    chaos::InjectionId,
    config::Config,
    session::{self, Injection, Life, Loaded},
};

pub async fn run(config: &Config, ids: &[String], all: bool) -> Result<ExitCode, Failure> {
    let loaded = config.store.load()?;
    let open = loaded.open();
    let known: Vec<InjectionId> = open.iter().map(|(_, injection)| injection.metadata.id.clone()).collect();
    let mut over: Vec<Injection> = Vec::new();
    let chosen: Vec<InjectionId> = if all {
        session::recoverable(&loaded).iter().map(|injection| injection.metadata.id.clone()).collect()
    } else {
        let groups: BTreeSet<&InjectionId> =
            open.iter().filter_map(|(_, injection)| injection.metadata.group.as_ref()).collect();
        let mut chosen = Vec::new();
        for typed in ids {
            // A group's name is its first one's, and means all of it.
            match groups.iter().find(|group| group.as_str() == typed) {
                Some(group) => {
                    let members = open.iter().map(|(_, injection)| &injection.metadata);
                    chosen.extend(members.filter(|one| one.group.as_ref() == Some(group)).map(|one| one.id.clone()));
                }
                None => match match_id(typed, &known) {
                    Ok(id) => chosen.push(id),
                    Err(unknown) => over.push(lost_before(config, &loaded, typed).ok_or(unknown)?),
                },
            }
        }
        chosen
    };
    let injections: Vec<&Injection> = open
        .iter()
        .map(|(_, injection)| *injection)
        .filter(|injection| chosen.contains(&injection.metadata.id))
        .collect();
    let subject = config.subject(progress());
    let mut results = undo::undo_and_look(config, &subject, &injections).await;
    results.extend(over.iter().map(Undone::lost));
    let ok = undo::all_gone(&results, &[]);
    if config.json {
        let rows: Vec<_> = results.iter().map(undo::to_json).collect();
        output::document(&json!({ "reverted": rows, "unreadable": [], "ok": ok }));
    } else {
        undo::say("reverted", &results);
    }
    settle::say(config, &subject).await;
    Ok(undo::status(ok))
}

/// The injection of that id that went with its target before a revert was asked for.
fn lost_before(config: &Config, loaded: &Loaded, typed: &str) -> Option<Injection> {
    let is_it = |one: &Injection| one.state == Life::Lost && one.metadata.id.as_str() == typed;
    let here = loaded.sessions.iter().flat_map(|seen| &seen.file.injections).find(|one| is_it(one)).cloned();
    let aside = || {
        let files = config.store.ended().into_iter().rev().filter_map(|path| config.store.tell(&path).ok());
        files.flat_map(|(file, _)| file.injections).find(|one| is_it(one))
    };
    here.or_else(aside)
}
