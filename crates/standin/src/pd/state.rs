//! What the PDs agree on: ids, members, stores, regions and who leads them. Pure; heartbeats are not in it.

use std::{collections::BTreeMap, io};

use serde::{Deserialize, Serialize};

use crate::{
    raft::Machine,
    wire::{KEYS, Peer, Region, StoreMeta, key},
};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// 0 until the first leader has chosen it.
    pub cluster_id: u64,
    last_id: u64,
    pub members: BTreeMap<u64, Member>,
    pub stores: BTreeMap<u64, StoreMeta>,
    pub regions: BTreeMap<u64, Region>,
    /// By region; the last that reported itself.
    pub leaders: BTreeMap<u64, Leader>,
    /// When the regions were made.
    pub bootstrapped: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub name: String,
    /// `host:port`
    pub client: String,
    pub peer: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Leader {
    pub store: u64,
    pub term: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Command {
    Init { cluster_id: u64 },
    Member { id: u64, member: Member },
    AllocId,
    PutStore(StoreMeta),
    Bootstrap { regions: u32, at: jiff::Timestamp },
    Leader { region: u64, leader: Leader },
}

impl Machine for State {
    /// The id that was allotted, where one was.
    type Answer = Option<u64>;

    fn apply(&mut self, command: &[u8]) -> Option<u64> {
        match serde_json::from_slice(command).ok()? {
            Command::Init { cluster_id } if self.cluster_id == 0 => self.cluster_id = cluster_id,
            Command::Member { id, member } => drop(self.members.insert(id, member)),
            Command::AllocId => return Some(self.next_id()),
            Command::PutStore(store) if self.namesake(&store).is_none() => drop(self.stores.insert(store.id, store)),
            Command::Bootstrap { regions, at } if self.regions.is_empty() => self.bootstrap(regions, at),
            Command::Leader { region, leader } => {
                let known = self.leaders.entry(region).or_default();
                if leader.term > known.term {
                    *known = leader;
                }
            }
            Command::Init { .. } | Command::PutStore(_) | Command::Bootstrap { .. } => {}
        }
        None
    }

    fn save(&self) -> Vec<u8> {
        // Maps of plain values: there's nothing in it that JSON can't say.
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn load(bytes: &[u8]) -> io::Result<Self> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Another store with that store's address: the same machine with its data gone.
    pub fn namesake(&self, store: &StoreMeta) -> Option<u64> {
        self.stores.values().find(|one| one.address == store.address && one.id != store.id).map(|one| one.id)
    }

    /// Splits the keys evenly, each region on three stores where there are so many, the first elections spread out.
    fn bootstrap(&mut self, regions: u32, at: jiff::Timestamp) {
        let stores: Vec<u64> = self.stores.keys().copied().collect();
        let border = |number: u32| match number {
            0 => String::new(),
            _ if number == regions => String::new(),
            _ => key(number * KEYS / regions),
        };
        for number in 0..regions {
            let id = self.next_id();
            let on = (0..stores.len().min(3)).map(|shift| stores[(number as usize + shift) % stores.len()]);
            let peers: Vec<Peer> = on.map(|store_id| Peer { id: self.next_id(), store_id }).collect();
            let first_leader = peers.first().map_or(0, |peer| peer.id);
            let (start_key, end_key) = (border(number), border(number + 1));
            self.regions.insert(id, Region { id, start_key, end_key, peers, first_leader });
        }
        self.bootstrapped = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(state: &mut State, command: &Command) -> Option<u64> {
        state.apply(&serde_json::to_vec(command).unwrap())
    }

    fn store(id: u64) -> Command {
        Command::PutStore(StoreMeta { id, address: format!("tikv{id}:20160"), ..StoreMeta::default() })
    }

    #[test]
    fn regions_cover_every_key_once_and_their_first_leaders_are_spread() {
        let mut state = State::default();
        for _ in 0..4 {
            let id = run(&mut state, &Command::AllocId).unwrap();
            run(&mut state, &store(id));
        }
        run(&mut state, &Command::Bootstrap { regions: 6, at: jiff::Timestamp::UNIX_EPOCH });
        let again = state.clone();
        run(&mut state, &Command::Bootstrap { regions: 9, at: jiff::Timestamp::UNIX_EPOCH });
        assert_eq!(state, again, "once is enough");
        for number in ["", "a", "z"].map(str::to_owned).into_iter().chain((0..KEYS).map(key)) {
            assert_eq!(state.regions.values().filter(|region| region.holds(&number)).count(), 1, "{number}");
        }
        let leads = |id: u64| state.regions.values().filter(|one| one.store_of(one.first_leader) == Some(id)).count();
        assert_eq!([1, 2, 3, 4].map(leads), [2, 2, 1, 1]);
        assert!(state.regions.values().all(|region| region.peers.len() == 3));
        assert_eq!(State::load(&state.save()).unwrap(), state);
    }

    #[test]
    fn a_store_whose_data_is_gone_does_not_take_the_place_of_the_one_it_was() {
        let mut state = State::default();
        run(&mut state, &store(1));
        let wiped = StoreMeta { id: 7, address: "tikv1:20160".to_owned(), ..StoreMeta::default() };
        run(&mut state, &Command::PutStore(wiped.clone()));
        assert_eq!(state.namesake(&wiped), Some(1));
        assert_eq!(state.stores.keys().copied().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn an_old_leader_does_not_replace_a_newer_one() {
        let mut state = State::default();
        run(&mut state, &Command::Leader { region: 2, leader: Leader { store: 1, term: 8 } });
        run(&mut state, &Command::Leader { region: 2, leader: Leader { store: 3, term: 7 } });
        assert_eq!(state.leaders[&2], Leader { store: 1, term: 8 });
    }
}
