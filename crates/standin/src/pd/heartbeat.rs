//! A store's heartbeat to PD's leader: what it changes, and the orders that go back with it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use slog::{info, warn};

use super::{
    Pd,
    api::Beat,
    balance,
    state::{Command, Leader},
};
use crate::{
    http::Answer,
    wire::{Heartbeat, Led, Orders},
};

/// A transfer that no store reported done is given up after so long.
const TRANSFER: Duration = Duration::from_secs(10);
/// How often an idle scheduler of PD's looks (tikv/pd pkg/schedule/schedulers/base_scheduler.go, MaxScheduleInterval).
const SCHEDULE: Duration = Duration::from_secs(5);
/// `leader-schedule-limit`: how many leaders are under way at a time.
const LIMIT: usize = 4;

/// Stores that said that they end, as PD's evict-stopping-store-scheduler sees them, from 8.5.5 on. It takes the leaders of one
/// of them until that one says that it lives again, and does nothing where it finds several.
#[derive(Default)]
pub struct Stopping {
    evicted: Option<u64>,
    looked: Option<Instant>,
}

impl Stopping {
    pub fn evicted(&self) -> Option<u64> {
        self.evicted
    }
}

/// The store that leaders leave from now on, of one that they left before and of all that end.
fn evicted(before: Option<u64>, ends: &[u64]) -> Option<u64> {
    match (before, ends) {
        (Some(id), _) if ends.contains(&id) => before,
        (None, [id]) => Some(*id),
        // The next look finds another one.
        _ => None,
    }
}

impl Pd {
    /// Once in a while: whether exactly one store ends.
    pub(super) fn watch_stopping(&mut self) {
        let every = self.settings.play.pace.of(SCHEDULE);
        let is_due = self.stopping.looked.is_none_or(|looked| looked.elapsed() >= every);
        if !self.settings.play.behaviour.has_graceful_shutdown() || !is_due {
            return;
        }
        self.stopping.looked = Some(Instant::now());
        let said = self.beats.iter().filter_map(|(id, beat)| Some((*id, beat.said.as_ref()?)));
        let ends: Vec<u64> = said.filter(|(_, said)| said.is_stopping).map(|(id, _)| id).collect();
        let was = self.stopping.evicted;
        self.stopping.evicted = evicted(was, &ends);
        match (was, self.stopping.evicted) {
            (Some(id), None) => info!(self.log, "stopping store has been recovered"; "store-id" => id),
            (None, Some(id)) => info!(self.log, "detected stopping store, start to evict leaders"; "store-id" => id),
            _ => {}
        }
    }

    pub(super) fn heartbeat(&mut self, said: Heartbeat) -> Answer {
        let Some(state) = self.state() else { return Answer::text(503, "no state\n") };
        let id = said.store.id;
        if let Some(other) = state.namesake(&said.store) {
            let why = format!(
                "duplicated store address: id:{id} address:{:?}, already registered by id:{other}",
                said.store.address
            );
            return Answer::text(409, &why);
        }
        let known = state.stores.get(&id) == Some(&said.store);
        let leaders = said.leads.iter().filter_map(|led| {
            let leader = Leader { store: id, term: led.term };
            let known = state.leaders.get(&led.region);
            let is_new = known.is_none_or(|known| known.term < leader.term);
            is_new.then(|| (led.region, known.map_or(0, |known| known.store), leader))
        });
        let leaders: Vec<_> = leaders.collect();
        if !known {
            info!(self.log, "put store ok"; "store" => format!("id:{id} address:{:?}", said.store.address));
            self.propose(&Command::PutStore(said.store.clone()));
        }
        for (region, from, leader) in leaders {
            info!(self.log, "leader changed"; "region-id" => region, "from" => from, "to" => leader.store);
            self.propose(&Command::Leader { region, leader });
        }
        let (leads, space) = (said.leads.clone(), said.space);
        self.beats.insert(id, Beat { at: Instant::now(), time: Timestamp::now(), said: Some(said) });
        let Some(view) = self.view() else { return Answer::text(503, "no leader\n") };
        if view.is_low(id) {
            warn!(self.log, "store does not have enough disk space";
                "store-id" => id, "capacity" => space.capacity, "available" => space.available);
        }
        let stores = view.state.stores.values().map(|store| (store.id, store.address.clone())).collect();
        let here = view.state.regions.values().filter(|region| region.peer_on(id).is_some());
        let (full, regions) = (view.full(), here.cloned().collect());
        let transfers = self.moves(id, &leads);
        Answer::json(&Orders { stores, full, regions, transfers })
    }

    /// Leaderships that the store should hand over: region and peer.
    fn moves(&mut self, id: u64, leads: &[Led]) -> Vec<(u64, u64)> {
        let Some(view) = self.view() else { return vec![] };
        let (state, fit) = (view.state, view.fit());
        if self.stopping.evicted == Some(id) {
            let moves = balance::evict(state, &fit, leads, LIMIT);
            for (region, _, to) in &moves {
                self.add_operator(*region, "evict-stopping-store-scheduler", id, *to);
            }
            return moves.into_iter().map(|(region, peer, _)| (region, peer)).collect();
        }
        let running = self.transfer.is_some_and(|(region, to, since)| {
            let done = state.leaders.get(&region).is_some_and(|leader| leader.store == to);
            !done && since.elapsed() < self.settings.play.pace.patience(TRANSFER)
        });
        if running {
            return vec![];
        }
        let transfer = balance::transfer(state, &fit, id, leads);
        if let Some((region, _, to)) = transfer {
            self.add_operator(region, "balance-leader", id, to);
        }
        self.transfer = transfer.map(|(region, _, to)| (region, to, Instant::now()));
        transfer.into_iter().map(|(region, peer, _)| (region, peer)).collect()
    }

    fn add_operator(&self, region: u64, name: &str, from: u64, to: u64) {
        info!(self.log, "add operator"; "region-id" => region,
            "operator" => format!("{name} {{transfer leader: store {from} to {to}}}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_leave_one_store_that_ends_and_none_of_several() {
        assert_eq!(evicted(None, &[]), None);
        assert_eq!(evicted(None, &[4]), Some(4));
        assert_eq!(evicted(None, &[4, 5]), None);
        assert_eq!(evicted(Some(4), &[4, 5]), Some(4), "the first keeps its turn");
        assert_eq!(evicted(Some(4), &[5]), None, "it lives again; the other's turn comes with the next look");
    }
}
