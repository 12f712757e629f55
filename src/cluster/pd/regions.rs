//! Where regions have their voters, and whether they have a quorum: the one rule for the screen and for the verdict before
//! an injection.
//!
//! Raft: tikv/raft-rs src/quorum/joint.rs. Roles: kvproto metapb.proto; how PD spells them: tikv/pd pkg/response/region.go.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::{nullable, parse};
use crate::cluster::{
    StoreView,
    assumed::{DISCONNECTED_AFTER, OFFLINE, UP},
};

/// The stores on which a region has voters, witnesses among them: before and after the change of its peers that is under
/// way (joint consensus), the same twice where there is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegionVoters<S = u64> {
    before: Vec<S>,
    after: Vec<S>,
}

impl<S: Copy + Ord> RegionVoters<S> {
    /// Of a region whose peers do not change.
    pub fn settled(voters: impl IntoIterator<Item = S>) -> Self {
        let voters: Vec<S> = voters.into_iter().collect();
        Self { before: voters.clone(), after: voters }
    }

    /// Whether they elect a leader and commit with the stores that serve: most of those before the change, and most of
    /// those after it.
    pub fn have_quorum(&self, serves: impl Fn(S) -> bool) -> bool {
        let most = |voters: &Vec<S>| voters.iter().filter(|store| serves(**store)).count() * 2 > voters.len();
        most(&self.before) && most(&self.after)
    }

    /// Each store once.
    pub fn stores(&self) -> Vec<S> {
        let mut stores = [&self.before[..], &self.after].concat();
        stores.sort_unstable();
        stores.dedup();
        stores
    }

    /// The same, each store by another name; `None` where one has none.
    pub fn named<T>(&self, name: impl Fn(S) -> Option<T>) -> Option<RegionVoters<T>> {
        let named = |voters: &Vec<S>| voters.iter().map(|store| name(*store)).collect::<Option<Vec<T>>>();
        Some(RegionVoters { before: named(&self.before)?, after: named(&self.after)? })
    }
}

/// Every region: how many there are with the same voters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regions(BTreeMap<RegionVoters, u64>);

impl Regions {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&RegionVoters, u64)> {
        self.0.iter().map(|(voters, count)| (voters, *count))
    }

    /// How many have none with the stores that serve.
    pub fn without_quorum(&self, serves: impl Fn(u64) -> bool) -> u64 {
        self.iter().filter(|(voters, _)| !voters.have_quorum(&serves)).map(|(_, count)| count).sum()
    }
}

/// `/regions`.
pub fn regions(text: &str) -> Result<Regions, String> {
    let answer: RegionsAnswer = parse(text)?;
    if answer.count.is_some_and(|count| count != answer.regions.len()) {
        return Err(format!("answered with {} regions instead of its `count`", answer.regions.len()));
    }
    let mut regions = Regions::default();
    for (at, region) in answer.regions.into_iter().enumerate() {
        let voters = region.voters().ok_or_else(|| format!("answered with no voter in regions[{at}]"))?;
        *regions.0.entry(voters).or_default() += 1;
    }
    Ok(regions)
}

/// Whether a store serves and votes, by PD's word for it. PD calls one that is being removed `Offline` whether it hears from
/// it or not: that one goes by its heartbeat, by PD's clock at the time `at` when `all` were read.
pub fn serves(store: &StoreView, all: &[StoreView], at: Timestamp) -> bool {
    match store.state_name.as_str() {
        UP => true,
        OFFLINE => {
            // PD's clock may be ahead of ours.
            let now = all.iter().filter_map(|one| one.last_heartbeat).fold(at, Timestamp::max);
            let silence = store.last_heartbeat.map(|beat| now.duration_since(beat));
            silence.is_some_and(|silence| silence.unsigned_abs() <= DISCONNECTED_AFTER)
        }
        _ => false,
    }
}

#[derive(Deserialize)]
struct RegionsAnswer {
    #[serde(default)]
    count: Option<usize>,
    #[serde(deserialize_with = "nullable")]
    regions: Vec<Region>,
}

#[derive(Deserialize)]
struct Region {
    #[serde(default, deserialize_with = "nullable")]
    peers: Vec<Peer>,
}

#[derive(Deserialize)]
struct Peer {
    store_id: u64,
    #[serde(default)]
    is_learner: bool,
    /// PD before 5.0 does not say.
    #[serde(default)]
    role_name: Option<Role>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
enum Role {
    Voter,
    Learner,
    /// Becomes a voter.
    IncomingVoter,
    /// Was a voter, and becomes a learner.
    DemotingVoter,
}

impl Region {
    /// None where there is no voter before or after.
    fn voters(&self) -> Option<RegionVoters> {
        let on = |roles: [Role; 2]| {
            let voters = self.peers.iter().filter(|peer| roles.contains(&peer.role()));
            let mut stores: Vec<u64> = voters.map(|peer| peer.store_id).collect();
            stores.sort_unstable();
            (!stores.is_empty()).then_some(stores)
        };
        let before = on([Role::Voter, Role::DemotingVoter])?;
        Some(RegionVoters { before, after: on([Role::Voter, Role::IncomingVoter])? })
    }
}

impl Peer {
    fn role(&self) -> Role {
        let by_default = if self.is_learner { Role::Learner } else { Role::Voter };
        self.role_name.unwrap_or(by_default)
    }
}

#[cfg(test)]
mod tests;
