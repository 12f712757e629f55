//! Where leaders go: as balance-leader does, one at a time, from the store with the most to the one with the least; and all
//! of a store's that ends. Pure.

use std::collections::BTreeMap;

use super::state::State;
use crate::wire::Led;

/// A leadership that the store `from` should hand over: region, peer, and the peer's store.
///
/// `fit` are the stores that may have more leaders; `leads` is what `from` reports.
pub fn transfer(state: &State, fit: &[u64], from: u64, leads: &[Led]) -> Option<(u64, u64, u64)> {
    if state.leaders.len() < state.regions.len() {
        // The first elections are under way.
        return None;
    }
    let mut counts: BTreeMap<u64, usize> = fit.iter().map(|id| (*id, 0)).collect();
    for leader in state.leaders.values() {
        if let Some(count) = counts.get_mut(&leader.store) {
            *count += 1;
        }
    }
    let mut targets: Vec<(usize, u64)> = counts.iter().map(|(id, count)| (*count, *id)).collect();
    targets.sort_unstable();
    for (count, target) in targets {
        // A difference of one would only move from one store to the other and back.
        if target == from || count + 2 > leads.len() {
            continue;
        }
        let can = leads.iter().find_map(|led| {
            let peer = state.regions.get(&led.region)?.peer_on(target)?.id;
            let well = !led.down.contains_key(&peer) && !led.pending.contains(&peer);
            well.then_some((led.region, peer, target))
        });
        if can.is_some() {
            return can;
        }
    }
    None
}

/// Leaderships that a store should give up, `limit` at most: region, peer, and the peer's store. They go to the store with the
/// fewest.
pub fn evict(state: &State, fit: &[u64], leads: &[Led], limit: usize) -> Vec<(u64, u64, u64)> {
    let mut counts: BTreeMap<u64, usize> = fit.iter().map(|id| (*id, 0)).collect();
    for leader in state.leaders.values() {
        counts.entry(leader.store).and_modify(|count| *count += 1);
    }
    let mut moves = vec![];
    for led in leads {
        let Some(region) = state.regions.get(&led.region) else { continue };
        let well = |peer: u64| !led.down.contains_key(&peer) && !led.pending.contains(&peer);
        let can = region.peers.iter().filter(|peer| counts.contains_key(&peer.store_id) && well(peer.id));
        if let Some(peer) = can.min_by_key(|peer| counts[&peer.store_id]) {
            counts.entry(peer.store_id).and_modify(|count| *count += 1);
            moves.push((led.region, peer.id, peer.store_id));
        }
    }
    moves.truncate(limit);
    moves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pd::state::Leader,
        wire::{Peer, Region},
    };

    /// Regions on stores 1, 2 and 3, led by the given ones.
    fn state(leaders: &[u64]) -> State {
        let mut state = State::default();
        for (id, store) in (100..).zip(leaders) {
            let peers = [1, 2, 3].map(|store_id| Peer { id: 10 * id + store_id, store_id }).to_vec();
            state.regions.insert(id, Region { id, peers, ..Region::default() });
            state.leaders.insert(id, Leader { store: *store, term: 6 });
        }
        state
    }

    fn led_by(state: &State, store: u64) -> Vec<Led> {
        let led = state.leaders.iter().filter(|(_, leader)| leader.store == store);
        led.map(|(region, _)| Led { region: *region, ..Led::default() }).collect()
    }

    #[test]
    fn leaders_come_back_one_at_a_time_until_they_are_spread() {
        let mut state = state(&[1, 1, 1, 2, 2, 2]);
        let mut moves = 0;
        while let Some((region, _, target)) =
            [1, 2, 3].into_iter().find_map(|from| transfer(&state, &[1, 2, 3], from, &led_by(&state, from)))
        {
            state.leaders.insert(region, Leader { store: target, term: 7 });
            moves += 1;
        }
        assert_eq!(moves, 2);
        assert_eq!([1, 2, 3].map(|store| led_by(&state, store).len()), [2, 2, 2]);
    }

    #[test]
    fn a_store_that_is_not_fit_and_a_peer_that_is_behind_get_none() {
        let state = state(&[1, 1, 1]);
        assert_eq!(transfer(&state, &[1], 1, &led_by(&state, 1)), None);
        let mut leads = led_by(&state, 1);
        for led in &mut leads {
            led.pending.push(10 * led.region + 2);
            led.down.insert(10 * led.region + 3, 700);
        }
        assert_eq!(transfer(&state, &[1, 2, 3], 1, &leads), None);
    }

    #[test]
    fn store_that_ends_gives_all_up_to_those_that_stay() {
        let state = state(&[1, 1, 1, 2, 2, 3]);
        let leads = led_by(&state, 1);
        let moves = evict(&state, &[2, 3], &leads, 4);
        assert_eq!(moves.iter().map(|(_, _, to)| *to).collect::<Vec<_>>(), [3, 2, 3]);
        assert!(moves.iter().all(|(region, peer, to)| *peer == 10 * region + to));
        assert_eq!(evict(&state, &[2, 3], &leads, 2).len(), 2);
        assert_eq!(evict(&state, &[], &leads, 4), [], "no store can take them");
    }
}
