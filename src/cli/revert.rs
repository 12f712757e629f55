//! `revert`: undo by the id of an injection or of an act, or everything that nobody is in charge of.

use std::process::ExitCode;

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
    let known: Vec<_> = open.iter().map(|(_, one)| (&one.metadata.id, one.group.as_ref())).collect();
    let chosen: Vec<InjectionId> = if all {
        session::recoverable(&loaded).iter().map(|injection| injection.metadata.id.clone()).collect()
    } else {
        ids.iter().map(|typed| match_id(typed, &known)).collect::<Result<Vec<_>, _>>()?.concat()
    };
    let injections: Vec<&Injection> = open
        .iter()
        .map(|(_, injection)| *injection)
        .filter(|injection| chosen.contains(&injection.metadata.id))
        .collect();
    let subject = config.subject(progress());
    let results = undo::undo(config, &subject, &injections, &[]).await;
    let ok = undo::all_gone(&results, &[]);
    if config.json {
        let rows: Vec<_> = results.iter().map(undo::to_json).collect();
        output::document(&json!({ "reverted": rows, "unreadable": [], "ok": ok }));
    } else {
        undo::say("reverted", &results);
    }
    Ok(undo::status(ok))
}
