//! What a store tells PD of itself and of the regions that it leads.

use raft::Storage as _;

use super::{Store, kv::Kv};
use crate::{
    raft::Group,
    wire::{Heartbeat, Led},
};

impl Store {
    /// Renews what the next heartbeat says; an urgent one is sent at once.
    pub(super) fn report(&self, urgent: bool) {
        let groups = &self.groups.groups;
        let leads: Vec<Led> =
            groups.iter().filter(|(_, group)| group.is_leader()).map(|(id, group)| self.led(*id, group)).collect();
        self.metrics.regions.with_label_values(&["leader"]).set(leads.len() as f64);
        self.metrics.regions.with_label_values(&["region"]).set(groups.len() as f64);
        let heartbeat = Heartbeat {
            store: self.meta.clone(),
            space: self.space,
            usage: self.usage,
            slow_score: 1.0,
            network_slow_score: self.network.as_ref().map(|network| network.told()).unwrap_or_default(),
            is_stopping: self.eviction.is_some(),
            region_count: groups.len() as u64,
            pending_peers: leads.iter().map(|led| led.pending.len() as u64).sum(),
            leads,
        };
        self.reports.send_if_modified(|report| {
            *report = heartbeat;
            urgent
        });
    }

    /// How many regions it leads.
    pub(super) fn leaders(&self) -> usize {
        self.groups.groups.values().filter(|group| group.is_leader()).count()
    }

    fn led(&self, id: u64, group: &Group<Kv>) -> Led {
        let first = group.log().first_index().unwrap_or_default();
        let others = self.regions.get(&id).into_iter().flat_map(|region| &region.peers);
        let others = others.filter(|peer| peer.store_id != self.meta.id);
        let silent = |store| self.heard.get(&store).unwrap_or(&self.begun).elapsed();
        let behind = |peer| group.node.raft.prs().get(peer).is_some_and(|progress| progress.matched + 1 < first);
        let limit = self.settings.play.pace.of(self.settings.max_peer_down);
        Led {
            region: id,
            term: group.term(),
            size: group.machine().bytes(),
            keys: group.machine().keys(),
            down: others
                .clone()
                .map(|peer| (peer.id, silent(peer.store_id)))
                .filter(|(_, silent)| *silent > limit)
                .map(|(peer, silent)| (peer, silent.as_secs()))
                .collect(),
            pending: others.map(|peer| peer.id).filter(|peer| behind(*peer)).collect(),
        }
    }
}
