//! `nodes`: what is found, as Docker shows it now.

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;

use super::{
    output::{self, Failure},
    progress,
};
use crate::{config::Config, subject::docker::Node, tui::span};

pub async fn run(config: &Config) -> Result<ExitCode, Failure> {
    let snapshot = config.subject(progress()).snapshot().await?;
    if config.json {
        output::document(&json!({ "nodes": snapshot.nodes }));
    } else if snapshot.nodes.is_empty() {
        output::lines(["no TiKV or PD containers found"]);
    } else {
        let heading = ["CLUSTER", "NODE", "ROLE", "STATE", "HEALTH", "RESTARTS", "UP", "ADDRESSES"].map(str::to_owned);
        let now = Timestamp::now();
        let rows: Vec<_> = std::iter::once(heading).chain(snapshot.nodes.iter().map(|node| row(node, now))).collect();
        output::table(&rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn row(node: &Node, now: Timestamp) -> [String; 8] {
    let up = node.up_since.map_or_else(|| "-".to_owned(), |since| span(now.duration_since(since).as_secs()));
    let state = match node.exit_code {
        Some(code) if node.state != crate::subject::docker::State::Created => format!("{} ({code})", node.state),
        _ => node.state.to_string(),
    };
    let ips: Vec<String> = node.ips().map(|ip| ip.to_string()).collect();
    [
        node.cluster.clone(),
        node.name.clone(),
        node.role.to_string(),
        state,
        node.health.to_string(),
        node.restart_count.to_string(),
        up,
        if ips.is_empty() { "-".to_owned() } else { ips.join(", ") },
    ]
}
