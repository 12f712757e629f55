//! `nodes`: what is found, as Docker shows it now and as the cluster itself sees it.

use std::{process::ExitCode, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::{
    output::{self, Failure},
    progress, settle,
};
use crate::{
    chaos::human_bytes,
    cluster::{ClusterState, NodeConfig, NodeView, Read, StoreMetrics, StoreView},
    config::Config,
    subject::{
        WAY_OUT,
        docker::{Node, Snapshot},
    },
    tui::span,
};

const BETWEEN_READINGS: Duration = Duration::from_secs(1);

pub async fn run(config: &Config) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    settle::say(config, &subject).await;
    let snapshot = subject.snapshot().await?;
    let mut states = subject.cluster_states(&snapshot).await;
    let counted = |state: &ClusterState| state.nodes.values().any(|node| node.metrics.value.is_some());
    if config.json && states.iter().any(counted) {
        // Rates and quantiles are differences between two readings.
        tokio::time::sleep(BETWEEN_READINGS).await;
        states = subject.cluster_states(&snapshot).await;
    }
    subject.release().await;
    if config.json {
        output::document(&json!({ "nodes": rows(&snapshot, &states), "clusters": states }));
    } else if snapshot.nodes.is_empty() {
        let scope = snapshot.looked_at(config.project.as_deref());
        output::lines([format!("no TiKV or PD containers found{scope}")]);
        eprintln!("tikv-chaos: {WAY_OUT}");
    } else {
        table(&snapshot, &states);
    }
    Ok(ExitCode::SUCCESS)
}

/// Every node as Docker shows it, with what the cluster says of it beside.
pub fn rows<'a>(snapshot: &'a Snapshot, states: &'a [ClusterState]) -> Vec<Row<'a>> {
    let said = |node| {
        let view = view_of(states, node)?;
        Some(Said { store: view.store.as_ref(), metrics: &view.metrics, config: &view.config })
    };
    snapshot.nodes.iter().map(|node| Row { node, said: said(node) }).collect()
}

#[derive(Serialize)]
pub struct Row<'a> {
    #[serde(flatten)]
    node: &'a Node,
    #[serde(flatten)]
    said: Option<Said<'a>>,
}

#[derive(Serialize)]
struct Said<'a> {
    store: Option<&'a StoreView>,
    metrics: &'a Read<StoreMetrics>,
    config: &'a Read<NodeConfig>,
}

pub fn view_of<'a>(states: &'a [ClusterState], node: &Node) -> Option<&'a NodeView> {
    states.iter().find(|state| state.cluster == node.cluster)?.nodes.get(&node.id)
}

fn table(snapshot: &Snapshot, states: &[ClusterState]) {
    let now = Timestamp::now();
    let nodes = snapshot.nodes.iter();
    if states.iter().all(|state| state.pd.value.is_none()) {
        let heading = ["CLUSTER", "NODE", "ROLE", "STATE", "HEALTH", "RESTARTS", "UP", "ADDRESSES"].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(heading).chain(nodes.map(|node| row(node, now))).collect();
        output::table(&rows);
    } else {
        let heading = [
            "CLUSTER",
            "NODE",
            "ROLE",
            "STATE",
            "HEALTH",
            "RESTARTS",
            "UP",
            "STORE",
            "LEADERS",
            "REGIONS",
            "AVAIL",
            "ADDRESSES",
        ];
        let with_store = nodes.map(|node| {
            let [cluster, name, role, state, health, restarts, up, addresses] = row(node, now);
            let [store, leaders, regions, available] = store_cells(view_of(states, node));
            [cluster, name, role, state, health, restarts, up, store, leaders, regions, available, addresses]
        });
        let rows: Vec<_> = std::iter::once(heading.map(str::to_owned)).chain(with_store).collect();
        output::table(&rows);
    }
    for node in &snapshot.nodes {
        if let Some(several) = &node.several {
            eprintln!(
                "tikv-chaos: {}: {several}; a fault is of all of them: node_kill, node_pause, node_stop",
                node.name
            );
        }
    }
    for state in states {
        if let Some(error) = &state.pd.error {
            eprintln!("tikv-chaos: {}: {error}", state.cluster);
        }
    }
}

/// PD's word for the store, its leaders, its regions, and its free space with the share that this is.
pub fn store_cells(view: Option<&NodeView>) -> [String; 4] {
    let Some(store) = view.and_then(|view| view.store.as_ref()) else { return ["-"; 4].map(str::to_owned) };
    let available = store.available.map_or_else(
        || "-".to_owned(),
        |bytes| {
            let share = store.capacity.filter(|capacity| *capacity > 0).map(|capacity| bytes as f64 / capacity as f64);
            let size = human_bytes(bytes);
            share.map_or_else(|| size.clone(), |share| format!("{size} ({:.0} %)", 100.0 * share))
        },
    );
    [store.state_name.clone(), store.leaders.to_string(), store.regions.to_string(), available]
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
        match (&node.network_of, ips.is_empty()) {
            (Some(owner), false) => format!("{} (shares {}'s network)", ips.join(", "), owner.name),
            (Some(owner), true) if owner.lost => format!("- (has lost {}'s network)", owner.name),
            (Some(owner), true) => format!("- (shares {}'s network)", owner.name),
            (None, true) => "-".to_owned(),
            (None, false) => ips.join(", "),
        },
    ]
}
