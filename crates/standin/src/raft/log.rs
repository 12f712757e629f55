//! One group's log in memory and the state machine behind it, as raft-rs wants to see them. What is here is on disk
//! already, or is about to be written in the same batch.

use std::collections::VecDeque;

use raft::{
    GetEntriesContext, RaftState, Storage, StorageError,
    eraftpb::{ConfState, Entry, HardState, Snapshot},
    util::limit_size,
};

use super::{FIRST, Machine};

pub struct Log<M> {
    pub machine: M,
    /// The last entry that the machine has.
    pub applied: u64,
    /// The index and the term of the entry before the first.
    base: (u64, u64),
    entries: VecDeque<Entry>,
    pub hard_state: HardState,
    voters: ConfState,
}

impl<M: Machine> Log<M> {
    /// # Errors
    /// The snapshot's data is not what `M` saves.
    pub fn from_snapshot(snapshot: &Snapshot) -> std::io::Result<Self> {
        let meta = snapshot.get_metadata();
        Ok(Self {
            machine: M::load(&snapshot.data)?,
            applied: meta.index,
            base: (meta.index, meta.term),
            entries: VecDeque::new(),
            hard_state: HardState { term: meta.term, commit: meta.index, ..HardState::default() },
            voters: meta.get_conf_state().clone(),
        })
    }

    /// Replaces everything but the vote, as a follower that had fallen far behind does.
    pub fn install(&mut self, snapshot: &Snapshot) -> std::io::Result<()> {
        let mut hard_state = std::mem::take(&mut self.hard_state);
        *self = Self::from_snapshot(snapshot)?;
        hard_state.term = hard_state.term.max(self.hard_state.term);
        hard_state.commit = hard_state.commit.max(self.hard_state.commit);
        self.hard_state = hard_state;
        Ok(())
    }

    /// Puts an entry in its place; it and all after it replace what was there.
    pub fn append(&mut self, entry: Entry) {
        let keep = entry.index.saturating_sub(self.base.0 + 1) as usize;
        self.entries.truncate(keep);
        self.entries.push_back(entry);
    }

    /// Forgets the oldest entries that are applied, so that `keep` remain at most.
    pub fn compact(&mut self, keep: usize) {
        while self.entries.len() > keep {
            match self.entries.front() {
                Some(entry) if entry.index <= self.applied => self.base = (entry.index, entry.term),
                _ => return,
            }
            self.entries.pop_front();
        }
    }

    /// Whether no leader has ever written to it.
    pub fn is_untouched(&self) -> bool {
        self.base.0 == FIRST && self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries that the machine doesn't have yet.
    pub fn unapplied(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.index > self.applied)
    }

    /// The machine as it is now.
    pub fn save(&self) -> raft::Result<Snapshot> {
        let mut snapshot = Snapshot { data: self.machine.save().into(), ..Snapshot::default() };
        let meta = snapshot.mut_metadata();
        (meta.index, meta.term) = (self.applied, self.term(self.applied)?);
        meta.set_conf_state(self.voters.clone());
        Ok(snapshot)
    }

    fn last(&self) -> u64 {
        self.base.0 + self.entries.len() as u64
    }
}

impl<M: Machine> Storage for Log<M> {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.voters.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.base.0 {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let (from, to) = ((low - self.base.0 - 1) as usize, (high - self.base.0 - 1) as usize);
        if to > self.entries.len() {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let mut entries = self.entries.range(from..to).cloned().collect();
        limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.base.0 {
            return Ok(self.base.1);
        }
        if index < self.base.0 {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let entry = self.entries.get((index - self.base.0 - 1) as usize);
        entry.map(|entry| entry.term).ok_or(raft::Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.base.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _: u64) -> raft::Result<Snapshot> {
        if self.applied < request_index {
            return Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        self.save()
    }
}
