//! `wait`: until the cluster is as the contract calls healthy, or until there is no more time.

use std::{process::ExitCode, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    output::{self, Failure},
    progress, settle,
};
use crate::{
    cluster::{ClusterState, StoreView, assumed::UP, pd::count_states},
    config::Config,
    subject::{
        WAY_OUT,
        docker::{Health, Node, Snapshot, only_cluster},
    },
};

const EVERY: Duration = Duration::from_secs(1);

pub async fn run(config: &Config, patience: Duration, stores: usize) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    let begun = Instant::now();
    let mut said = settle::Said::default();
    let missing = loop {
        said.say(config, &subject).await;
        let snapshot = subject.snapshot().await?;
        let missing = if snapshot.clusters().is_empty() {
            vec![format!("there is no TiKV container; {WAY_OUT}")]
        } else {
            only_cluster(&snapshot, config.project.as_deref())?;
            let states = subject.cluster_states(&snapshot).await;
            missing(&snapshot, states.first(), stores)
        };
        if missing.is_empty() || begun.elapsed() + EVERY > patience {
            break missing;
        }
        sleep(EVERY).await;
    };
    subject.release().await;
    let healthy = missing.is_empty();
    if config.json {
        let waited_s = begun.elapsed().as_secs_f64();
        output::document(&json!({ "healthy": healthy, "missing": missing, "waited_s": waited_s }));
    }
    if healthy {
        if !config.json {
            output::lines(["healthy"]);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let patience = humantime::format_duration(patience);
    eprintln!("tikv-chaos: not healthy after {patience}: {}", missing.join("; "));
    Ok(ExitCode::FAILURE)
}

/// What keeps the cluster from being healthy: a container that does not run or fails its health check, or too few
/// stores that PD calls `Up`.
fn missing(snapshot: &Snapshot, state: Option<&ClusterState>, least: usize) -> Vec<String> {
    let mut missing: Vec<String> = snapshot.nodes.iter().filter_map(unfit).collect();
    let pd = state.map(|state| &state.pd);
    if let Some(error) = pd.and_then(|pd| pd.error.as_ref()) {
        missing.push(error.clone());
    } else {
        let stores: Vec<&StoreView> = pd.and_then(|pd| pd.value.as_ref()).iter().flat_map(|pd| &pd.stores).collect();
        let up = stores.iter().filter(|store| store.state_name == UP).count();
        if up < least {
            missing.push(format!("{up} of {least} stores are {UP} (PD says: {})", count_states(stores)));
        }
    }
    missing
}

fn unfit(node: &Node) -> Option<String> {
    if !node.is_running() {
        return Some(format!("{} is {}", node.name, node.state));
    }
    matches!(node.health, Health::Starting | Health::Unhealthy).then(|| format!("{} is {}", node.name, node.health))
}
