//! Where a verdict takes the regions' voters from: PD's list of regions where it was read, else every placement. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cluster::{
        ClusterState, PdView, StoreView,
        assumed::{MAX_REPLICAS, OFFLINE},
        pd::{Regions, serves},
    },
    safety::{Known, MemberBefore, Placement},
};

/// Where voters lie, by the places of these containers, and the stores of the cluster that are none of them.
pub(super) fn of_stores(members: &[&str], cluster: Option<&ClusterState>) -> (Placement, Vec<MemberBefore>) {
    let heard = cluster.and_then(|cluster| Some((cluster, cluster.pd.value.as_ref()?)));
    let Some((cluster, pd)) = heard else { return (anywhere(None), Vec::new()) };
    let store = |id: &str| Some(cluster.nodes.get(id)?.store.as_ref()?.id);
    let mut places: BTreeMap<u64, usize> =
        members.iter().enumerate().filter_map(|(at, id)| Some((store(id)?, at))).collect();
    // A container whose store is not known may be any of those that have no container.
    let all_known = places.len() == members.len();
    let regions = pd.regions.as_deref().filter(|_| cluster.pd.error.is_none());
    let mut others = stores_with_voters(pd, regions);
    others.retain(|id| !places.contains_key(id));
    if !all_known && !others.is_empty() {
        return (anywhere(Some(pd)), Vec::new());
    }
    let mut elsewhere = Vec::new();
    for id in others {
        places.insert(id, members.len() + elsewhere.len());
        elsewhere.push(without_container(id, pd, cluster));
    }
    let placed = regions.and_then(|regions| {
        let placed = regions.iter().map(|(voters, count)| Some((voters.named(|id| places.get(&id).copied())?, count)));
        placed.collect::<Option<Vec<_>>>()
    });
    (placed.map_or_else(|| anywhere(Some(pd)), Placement::Regions), elsewhere)
}

/// Why PD's word for a store means that it does not serve, if it does.
pub(super) fn not_serving(store: &StoreView, cluster: &ClusterState) -> Option<String> {
    let all = cluster.pd.value.as_ref().map_or(&[][..], |pd| &pd.stores);
    if serves(store, all, cluster.pd.at.unwrap_or(cluster.at)) {
        return None;
    }
    let silent = if store.state_name == OFFLINE { " and sends no heartbeats" } else { "" };
    Some(format!("is {} in PD{silent}", store.state_name))
}

/// The stores that have voters, or, where that is not known, may have some.
fn stores_with_voters(pd: &PdView, regions: Option<&Regions>) -> BTreeSet<u64> {
    match regions {
        Some(regions) => regions.iter().flat_map(|(voters, _)| voters.stores()).collect(),
        None => {
            let may = |store: &&StoreView| !pd.tiflash.contains(&store.id) && store.regions > 0;
            pd.stores.iter().filter(may).map(|store| store.id).collect()
        }
    }
}

fn without_container(id: u64, pd: &PdView, cluster: &ClusterState) -> MemberBefore {
    let store = pd.stores.iter().find(|store| store.id == id);
    MemberBefore {
        name: store.map_or_else(|| format!("store {id}"), |store| store.address.clone()),
        out: match store {
            Some(store) => not_serving(store, cluster),
            None => Some("is not in PD's list of stores".to_owned()),
        },
        disk: None,
        apart: false,
        late_ms: 0,
    }
}

/// Every placement of as many voters as PD says.
fn anywhere(pd: Option<&PdView>) -> Placement {
    let (counts, known) = match pd {
        Some(PdView { voter_counts, .. }) if !voter_counts.is_empty() => (voter_counts.clone(), Known::Rules),
        Some(PdView { max_replicas, rules_error: Some(reason), .. }) => {
            (vec![max_replicas.unwrap_or(MAX_REPLICAS)], Known::Instead(reason.clone()))
        }
        Some(PdView { max_replicas: Some(count), .. }) => (vec![*count], Known::MaxReplicas),
        _ => (vec![MAX_REPLICAS], Known::Not),
    };
    let counts = counts.into_iter().map(|count| usize::try_from(count).unwrap_or(usize::MAX)).collect();
    Placement::Any { counts, known }
}

#[cfg(test)]
mod tests;
