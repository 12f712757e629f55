//! `recover`: put back what ended programs left, whether they were killed or left it on purpose.

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;

use super::{
    active::{to_json, warn_unreadable},
    output::{self, Failure},
    progress,
    revert::{report, undo},
};
use crate::{config::Config, session};

pub async fn run(config: &Config, dry_run: bool) -> Result<ExitCode, Failure> {
    let loaded = config.store.load()?;
    if !config.json {
        warn_unreadable(&loaded);
    }
    if !dry_run {
        let subject = config.subject(progress());
        let results = undo(config, &subject, &session::recoverable(&loaded)).await;
        return Ok(report(config, "recovered", &results, &loaded.unreadable));
    }
    let open = loaded.open();
    let dead: Vec<_> = open.iter().filter(|(seen, _)| !seen.alive).collect();
    if config.json {
        let now = Timestamp::now();
        let rows: Vec<_> = dead.iter().map(|(seen, injection)| to_json(seen, injection, now)).collect();
        output::document(&json!({ "dry_run": true, "recoverable": rows, "unreadable": loaded.unreadable }));
    } else if dead.is_empty() {
        output::lines(["nothing to be recovered"]);
    } else {
        for (_, injection) in dead {
            let metadata = &injection.metadata;
            let (id, kind, target) = (&metadata.id, metadata.fault_type(), metadata.target());
            output::lines([format!("would undo {id} {kind} on {target} ({}); by hand:", injection.state)]);
            output::lines(injection.undo.iter().map(|command| format!("  {command}")));
        }
    }
    Ok(ExitCode::SUCCESS)
}
