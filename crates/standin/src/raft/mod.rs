//! Consensus for the stand-in's stores and PDs: raft-rs, TiKV's own library, around a log on disk.
//!
//! Knows no network: messages go out through a closure and come in through [`Groups::step`].

mod frame;
mod group;
mod log;
#[cfg(test)]
mod tests;
mod wal;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    time::{Duration, Instant},
};

pub use frame::{decode, encode};
pub use group::{Group, Lost, metric_name};
use log::Log;
use prometheus::{Histogram, HistogramOpts, exponential_buckets};
use raft::eraftpb::{ConfState, HardState, Message, Snapshot};
use slog::{Logger, info, o, warn};
use wal::{Batch, Item, Wal};

use tikv_chaos_core::assumed::metric;

/// Where a group's log begins, index and term, as RAFT_INIT_LOG_INDEX and _TERM of TiKV's peer_storage.rs.
const FIRST: u64 = 5;
/// A group with more entries in memory drops the older half: whoever still lacks them gets a snapshot.
const ENTRIES_LIMIT: usize = 2048;

/// What the log drives. Entries arrive once and in the same order on every node.
pub trait Machine: Default + Send + 'static {
    type Answer;

    fn apply(&mut self, command: &[u8]) -> Self::Answer;
    fn save(&self) -> Vec<u8>;
    /// # Errors
    /// The bytes are not what `save` gives.
    fn load(bytes: &[u8]) -> io::Result<Self>;
}

/// The parts of raft-rs's configuration that TiKV and PD set differently.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    pub heartbeat: usize,
    /// An election begins after one to two of these.
    pub election: usize,
}

/// Seconds that writing to disk, agreeing, and applying took.
pub struct Timings {
    pub append: Histogram,
    pub commit: Histogram,
    pub apply: Histogram,
}

impl Timings {
    /// `commit_buckets` differ by TiKV's version.
    pub fn new(commit_buckets: usize) -> prometheus::Result<Self> {
        let histogram = |name, help, buckets| {
            let buckets = exponential_buckets(0.000_01, 2.0, buckets)?;
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
        };
        Ok(Self {
            append: histogram(metric::APPEND_LOG, "Bucketed histogram of peer appending log duration.", 26)?,
            commit: histogram(metric::COMMIT_LOG, "Bucketed histogram of peer commits logs duration.", commit_buckets)?,
            apply: histogram(metric::APPLY_LOG, "Bucketed histogram of peer applying log duration.", 26)?,
        })
    }
}

/// All groups of one node and the log that they share.
pub struct Groups<M: Machine> {
    wal: Wal,
    pub groups: BTreeMap<u64, Group<M>>,
    notes: BTreeMap<u64, Vec<u8>>,
    ticks: Ticks,
    pub timings: Timings,
    log: Logger,
}

impl<M: Machine> Groups<M> {
    /// Reads the folder's log. `peer_of` gives this node's id in a group from the group's note.
    pub fn open(
        folder: &Path,
        ticks: Ticks,
        timings: Timings,
        log: &Logger,
        peer_of: impl Fn(u64, &[u8]) -> io::Result<u64>,
    ) -> io::Result<Self> {
        let mut notes = BTreeMap::new();
        let mut logs: BTreeMap<u64, Log<M>> = BTreeMap::new();
        let mut broken = Ok(());
        let wal = Wal::open(folder, |id, item| match (item, logs.get_mut(&id)) {
            (Item::Note(note), _) => drop(notes.insert(id, note)),
            (Item::Snapshot(snapshot), Some(log)) => broken = log.install(&snapshot),
            (Item::Snapshot(snapshot), None) => match Log::from_snapshot(&snapshot) {
                Ok(log) => drop(logs.insert(id, log)),
                Err(error) => broken = Err(error),
            },
            (Item::HardState(state), Some(log)) => log.hard_state = state,
            (Item::Entry(entry), Some(log)) => log.append(entry),
            (Item::HardState(_) | Item::Entry(_), None) => {
                broken = Err(io::Error::new(io::ErrorKind::InvalidData, format!("group {id} has no beginning")));
            }
        })?;
        broken?;
        let mut groups = Self { wal, groups: BTreeMap::new(), notes, ticks, timings, log: log.clone() };
        for (id, log) in logs {
            let peer = peer_of(id, groups.notes.get(&id).map(Vec::as_slice).unwrap_or_default())?;
            groups.start(id, peer, log)?;
        }
        Ok(groups)
    }

    pub fn note(&self, id: u64) -> Option<&[u8]> {
        self.notes.get(&id).map(Vec::as_slice)
    }

    pub fn notes(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.notes.iter().map(|(id, note)| (*id, note.as_slice()))
    }

    /// Writes down what the node must know of a group, or of itself under a number that no group has.
    pub fn set_note(&mut self, id: u64, note: Vec<u8>) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.note(id, &note);
        self.wal.append(&batch, true)?;
        self.notes.insert(id, note);
        Ok(())
    }

    /// Makes an empty group; every one of its nodes must do so with the same voters.
    pub fn create(&mut self, id: u64, peer: u64, voters: &[u64], note: Vec<u8>) -> io::Result<()> {
        let mut first = Snapshot { data: M::default().save().into(), ..Snapshot::default() };
        let meta = first.mut_metadata();
        (meta.index, meta.term) = (FIRST, FIRST);
        meta.set_conf_state(ConfState::from((voters.to_vec(), vec![])));
        let mut batch = Batch::default();
        batch.note(id, &note);
        batch.snapshot(id, &first)?;
        self.wal.append(&batch, true)?;
        self.notes.insert(id, note);
        self.start(id, peer, Log::from_snapshot(&first)?)
    }

    fn start(&mut self, id: u64, peer: u64, log: Log<M>) -> io::Result<()> {
        let logger = self.log.new(o!("region_id" => id));
        self.groups.insert(id, Group::new(peer, log, self.ticks, &logger).map_err(io::Error::other)?);
        Ok(())
    }

    /// A message from another node; one for a group that isn't here is dropped, and `false`.
    pub fn step(&mut self, id: u64, message: Message) -> bool {
        match self.groups.get_mut(&id) {
            Some(group) => group.step(message),
            None => return false,
        }
        true
    }

    pub fn tick(&mut self, patience: Duration) {
        for group in self.groups.values_mut() {
            group.tick(patience);
        }
    }

    /// Does all that is to do: writes, sends, applies, answers. Gives whether a group's leadership changed here.
    ///
    /// # Errors
    /// The log can't be written; the node must end at once, since it doesn't know what is on disk.
    pub fn work(&mut self, send: &mut dyn FnMut(u64, Message)) -> io::Result<bool> {
        for group in self.groups.values_mut() {
            group.ask_for_reads();
        }
        loop {
            let mut batch = Batch::default();
            let mut sync = false;
            let mut readies = vec![];
            for (id, group) in self.groups.iter_mut().filter(|(_, group)| group.has_ready()) {
                let mut ready = group.ready();
                // Only a leader has any here: it may replicate while it writes (Raft thesis, 10.2.1).
                ready.take_messages().into_iter().for_each(|message| send(*id, message));
                if !ready.snapshot().is_empty() {
                    batch.snapshot(*id, ready.snapshot())?;
                }
                for entry in ready.entries() {
                    batch.entry(*id, entry)?;
                }
                if let Some(state) = ready.hs() {
                    batch.hard_state(*id, state)?;
                }
                sync |= ready.must_sync();
                readies.push((*id, ready));
            }
            if readies.is_empty() {
                break;
            }
            if !batch.is_empty() {
                let start = Instant::now();
                self.wal.append(&batch, sync)?;
                if sync {
                    self.timings.append.observe(start.elapsed().as_secs_f64());
                }
            }
            for (id, ready) in readies {
                if let Some(group) = self.groups.get_mut(&id) {
                    group.persisted(ready, &self.timings, &mut |message| send(id, message))?;
                }
            }
        }
        if self.wal.wants_compaction() {
            self.compact()?;
        }
        Ok(self.groups.values_mut().fold(false, |changed, group| group.notice_role() | changed))
    }

    /// Rewrites the log without what nobody needs. Where there's no room to, it grows on until there is.
    fn compact(&mut self) -> io::Result<()> {
        let mut batch = Batch::default();
        for (id, note) in &self.notes {
            batch.note(*id, note);
        }
        for (id, group) in &self.groups {
            let log = group.log();
            batch.snapshot(*id, &log.save().map_err(io::Error::other)?)?;
            let state: &HardState = &log.hard_state;
            batch.hard_state(*id, state)?;
            for entry in log.unapplied() {
                batch.entry(*id, entry)?;
            }
        }
        let before = self.wal.len();
        match self.wal.rewrite(&batch) {
            Ok(()) => info!(self.log, "stand-in: compacted raft log"; "before" => before, "after" => self.wal.len()),
            Err(error) => warn!(self.log, "stand-in: cannot compact raft log"; "error" => %error),
        }
        Ok(())
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.wal.len()
    }
}
