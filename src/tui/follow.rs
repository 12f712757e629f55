//! Every injection that was seen open, with its guide ticked off, from then until what it did has gone back.

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;

use super::{message::Level, model::Model, watched::SECONDS};
use crate::{
    chaos::{FaultType, InjectionId},
    guide::{Before, Track},
    session::{Injection, Life},
};

/// An injection that is over is looked at, and its mark shown, for as long as there is a history.
const AFTERWARDS: Duration = Duration::from_secs(SECONDS as u64);

#[derive(Debug, Clone)]
pub struct Followed {
    pub id: InjectionId,
    pub cluster: String,
    pub track: Track,
}

/// An injection of this session, for the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    pub kind: FaultType,
    /// Where it was.
    pub name: String,
    pub cluster: String,
    pub began: Timestamp,
    pub ended: Option<Timestamp>,
}

/// More than a timeline can show.
const MOST_PAST: usize = 1_000;

impl Followed {
    fn past(&self) -> Past {
        let Track { kind, name, began, ended, .. } = &self.track;
        Past { kind: *kind, name: name.clone(), cluster: self.cluster.clone(), began: *began, ended: *ended }
    }
}

impl Model {
    /// Every injection that was seen in that cluster, the oldest first.
    pub(super) fn timeline(&self, cluster: &str) -> Vec<Past> {
        let past = self.past.iter().filter(|one| one.cluster == cluster).cloned();
        let all = past.chain(self.followed.iter().filter(|one| one.cluster == cluster).map(Followed::past));
        let mut all: Vec<Past> = all.collect();
        all.sort_by_key(|one| one.began);
        all
    }

    pub(super) fn followed(&self, id: &InjectionId) -> Option<&Followed> {
        self.followed.iter().find(|one| one.id == *id)
    }

    /// How the cluster was before the oldest injection that is open in it.
    pub(super) fn before(&self, cluster: &str) -> Option<&Before> {
        let open = self.followed.iter().filter(|one| one.cluster == cluster && one.track.ended.is_none());
        open.min_by_key(|one| one.track.began).map(|one| &one.track.before)
    }

    /// Begins to follow what is open, and marks as ended what no longer is.
    pub(super) fn follow(&mut self) {
        let now = self.now;
        let open = self.sessions.open();
        let open_ids: HashSet<&InjectionId> = open.iter().map(|(_, one)| &one.metadata.id).collect();
        for one in self.followed.iter_mut().filter(|one| one.track.ended.is_none()) {
            if !open_ids.contains(&one.id) {
                // The screen's clock may be behind.
                one.track.ended = Some(now.max(one.track.began));
            }
        }
        let failed: Vec<&InjectionId> = (self.sessions.sessions.iter())
            .flat_map(|seen| &seen.file.injections)
            .filter(|one| one.state == Life::Failed)
            .map(|one| &one.metadata.id)
            .collect();
        self.followed.retain(|one| !failed.contains(&&one.id));
        self.past.extend(self.followed.iter().filter(|one| is_past(one, now)).map(Followed::past));
        self.past.drain(..self.past.len().saturating_sub(MOST_PAST));
        self.followed.retain(|one| !is_past(one, now));
        let followed: HashSet<&InjectionId> = self.followed.iter().map(|one| &one.id).collect();
        // What stands at a peer's end for another node's fault does not single that peer out.
        let far: HashSet<&InjectionId> =
            open.iter().flat_map(|(_, one)| one.metadata.fault.far()).map(|far| &far.id).collect();
        let is_new = |id: &InjectionId| !followed.contains(id) && !far.contains(id);
        let new = open.iter().filter(|(_, one)| is_new(&one.metadata.id));
        let new: Vec<Injection> = new.map(|(_, one)| (*one).clone()).collect();
        for injection in new {
            if let Some(followed) = self.begin(&injection) {
                self.followed.push(followed);
            }
        }
    }

    fn begin(&self, injection: &Injection) -> Option<Followed> {
        let metadata = &injection.metadata;
        let nodes = self.nodes();
        let by_id = nodes.iter().find(|node| node.id == metadata.container_id);
        let node = by_id.or_else(|| nodes.iter().find(|node| node.name == metadata.target()))?;
        let (id, began) = (metadata.container_id.clone(), injection.created_at);
        let readings = self.clusters.get(&node.cluster).into_iter().flat_map(|watched| watched.readings());
        let before = Before::of(readings, &id, began);
        let target = (id, metadata.target().to_owned());
        let track = Track::new(metadata.fault_type(), node.role, target, began, before);
        Some(Followed { id: metadata.id.clone(), cluster: node.cluster.clone(), track })
    }

    /// Looks at everything that is followed, and says in the log what was seen for the first time: at what a cluster
    /// said just now, or, where none is given, at Docker alone.
    pub(super) fn look(&mut self, cluster: Option<&str>) {
        let state = cluster.and_then(|name| self.clusters.get(name)?.state());
        if cluster.is_some() && state.is_none() {
            return;
        }
        let at = state.map_or(self.now, |state| state.at);
        for one in self.followed.iter_mut().filter(|one| cluster.is_none_or(|name| name == one.cluster)) {
            for seen in one.track.look(at, self.snapshot.as_ref(), state) {
                let (level, word) = if seen.healed { (Level::Done, "healed") } else { (Level::Info, "seen") };
                self.log.push(at, level, format!("{word}: {}", seen.text));
                self.dirty = true;
            }
        }
    }
}

fn is_past(one: &Followed, now: Timestamp) -> bool {
    one.track.ended.is_some_and(|ended| Duration::try_from(now.duration_since(ended)).is_ok_and(|age| age > AFTERWARDS))
}
