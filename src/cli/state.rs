//! `state`: what the contract's harness captures before and after an injection: the stores as PD sees them, and how
//! many regions there are.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{
    output::{self, Failure},
    progress, settle,
};
use crate::{
    cluster::{ClusterState, StoreView},
    config::Config,
    subject::docker::only_cluster,
};

pub async fn run(config: &Config) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    settle::say(config, &subject).await;
    let snapshot = subject.snapshot().await?;
    only_cluster(&snapshot, config.project.as_deref())?;
    let states = subject.cluster_states(&snapshot).await;
    subject.release().await;
    let state = states.into_iter().next().unwrap_or_default();
    let captured = capture(&state).map_err(|reason| Failure::new(1, reason))?;
    if config.json {
        output::document(&captured);
    } else {
        let stores = state.pd.value.iter().flat_map(|pd| &pd.stores);
        let heading = ["STORE", "ADDRESS", "STATE"].map(str::to_owned);
        let row = |store: &StoreView| [store.id.to_string(), store.address.clone(), store.state_name.clone()];
        output::table(&std::iter::once(heading).chain(stores.map(row)).collect::<Vec<_>>());
        output::lines([format!("regions: {}", captured["region_count"])]);
    }
    Ok(ExitCode::SUCCESS)
}

fn capture(state: &ClusterState) -> Result<Value, String> {
    let cluster = &state.cluster;
    let unknown = || state.pd.error.clone().unwrap_or_else(|| "PD was not read".to_owned());
    let pd = state.pd.value.as_ref().ok_or_else(|| format!("{cluster} cannot be captured: {}", unknown()))?;
    let regions = pd.region_count.ok_or_else(|| {
        format!("{cluster} cannot be captured: {} does not say how many regions there are", pd.answered_by)
    })?;
    let store = |store: &StoreView| json!({ "id": store.id, "address": store.address, "state_name": store.state_name });
    let stores: Vec<Value> = pd.stores.iter().map(store).collect();
    Ok(json!({ "cluster": cluster, "at": state.pd.at, "stores": stores, "region_count": regions }))
}
