//! `revert`: undo by id, or everything that nobody is in charge of.

use std::{collections::BTreeSet, process::ExitCode};

use serde_json::json;

use super::{
    args::match_id,
    output::{self, Failure},
    progress, undo,
};
use crate::{
    chaos::InjectionId,
    config::Config,
    session::{self, Injection},
};

pub async fn run(config: &Config, ids: &[String], all: bool) -> Result<ExitCode, Failure> {
    let loaded = config.store.load()?;
    let open = loaded.open();
    let known: Vec<InjectionId> = open.iter().map(|(_, injection)| injection.metadata.id.clone()).collect();
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
                None => chosen.push(match_id(typed, &known)?),
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
    let results = undo::undo_and_look(config, &subject, &injections).await;
    let ok = undo::all_gone(&results, &[]);
    if config.json {
        let rows: Vec<_> = results.iter().map(undo::to_json).collect();
        output::document(&json!({ "reverted": rows, "unreadable": [], "ok": ok }));
    } else {
        undo::say("reverted", &results);
    }
    Ok(undo::status(ok))
}
