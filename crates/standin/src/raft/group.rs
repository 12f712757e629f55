//! One Raft group: proposals and reads that wait, and the order that raft-rs asks for between disk, network and
//! machine (raft-rs, "Processing the Ready state").

use std::{
    collections::{BTreeMap, HashMap},
    io,
    mem::take,
    time::{Duration, Instant},
};

use raft::{
    Config, RawNode, Ready, SnapshotStatus, StateRole,
    eraftpb::{Entry, Message, MessageType},
    prelude::ReadState,
};
use slog::Logger;

use super::{ENTRIES_LIMIT, Machine, Ticks, Timings, log::Log};

/// What was asked for surely has no effect, and will have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

/// Called once with the outcome; dropped where the outcome can't be known.
pub type Waiter<T> = Box<dyn FnOnce(T) + Send>;
type Read<M> = Box<dyn FnOnce(Result<&M, Lost>) + Send>;

struct Proposal<A> {
    term: u64,
    at: Instant,
    waiter: Waiter<Result<A, Lost>>,
}

/// This node's part in a group.
pub struct Group<M: Machine> {
    pub node: RawNode<Log<M>>,
    /// By index.
    proposals: BTreeMap<u64, Proposal<M::Answer>>,
    /// Reads that are not asked for yet; they share one round.
    new_reads: Vec<Read<M>>,
    /// By the context of their round.
    asked_reads: HashMap<u64, Vec<Read<M>>>,
    /// Reads that wait for an index to be applied.
    due_reads: Vec<(u64, Vec<Read<M>>)>,
    /// What tells a round from those of this node's earlier lives.
    round: u64,
    /// The term in which this node leads, and the leader that it knows.
    role: (Option<u64>, u64),
}

impl<M: Machine> Group<M> {
    pub(super) fn new(peer: u64, log: Log<M>, ticks: Ticks, logger: &Logger) -> raft::Result<Self> {
        let config = Config {
            id: peer,
            applied: log.applied,
            heartbeat_tick: ticks.heartbeat,
            election_tick: ticks.election,
            min_election_tick: ticks.election,
            max_election_tick: 2 * ticks.election,
            pre_vote: true,
            check_quorum: true,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            max_uncommitted_size: 4 << 20,
            ..Config::default()
        };
        Ok(Self {
            node: RawNode::new(&config, log, logger)?,
            proposals: BTreeMap::new(),
            new_reads: vec![],
            asked_reads: HashMap::new(),
            due_reads: vec![],
            round: rand::random(),
            role: (None, 0),
        })
    }

    pub fn log(&self) -> &Log<M> {
        self.node.store()
    }

    pub fn machine(&self) -> &M {
        &self.node.store().machine
    }

    pub fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    pub fn term(&self) -> u64 {
        self.node.raft.term
    }

    /// The leader's id in the group; 0 where none is known.
    pub fn leader(&self) -> u64 {
        self.node.raft.leader_id
    }

    /// Whether this node leads and has everything that was committed before.
    pub fn leads_with_all(&self) -> bool {
        let raft = &self.node.raft;
        self.is_leader() && raft.raft_log.term(raft.raft_log.committed).is_ok_and(|term| term == raft.term)
    }

    /// Proposes a command. A follower would hand it on and never learn how it went, so only a leader takes it.
    pub fn propose(&mut self, command: Vec<u8>, waiter: Waiter<Result<M::Answer, Lost>>) {
        if !self.is_leader() || self.node.propose(vec![], command).is_err() {
            return waiter(Err(Lost));
        }
        let index = self.node.raft.raft_log.last_index();
        self.proposals.insert(index, Proposal { term: self.term(), at: Instant::now(), waiter });
    }

    /// Calls with the machine as it is after everything that was committed when this was called.
    pub fn read(&mut self, read: Read<M>) {
        // A new leader doesn't know yet what is committed, and raft-rs would say nothing at all.
        if self.leads_with_all() { self.new_reads.push(read) } else { read(Err(Lost)) }
    }

    pub(super) fn ask_for_reads(&mut self) {
        if !self.new_reads.is_empty() {
            self.round = self.round.wrapping_add(1);
            self.node.read_index(self.round.to_le_bytes().to_vec());
            self.asked_reads.insert(self.round, take(&mut self.new_reads));
        }
    }

    pub(super) fn step(&mut self, message: Message) {
        // What raft-rs refuses is stale or not for this node, and it says so in its log.
        let _ = self.node.step(message);
    }

    pub(super) fn tick(&mut self, patience: Duration) {
        self.node.tick();
        self.proposals.retain(|_, proposal| proposal.at.elapsed() < patience);
    }

    /// Messages for that peer don't arrive.
    pub fn report_unreachable(&mut self, peer: u64) {
        self.node.report_unreachable(peer);
        self.node.report_snapshot(peer, SnapshotStatus::Failure);
    }

    /// Hands the leadership to a peer that is not behind much.
    pub fn transfer_leader(&mut self, peer: u64) {
        if self.is_leader() && self.node.raft.lead_transferee.is_none() {
            self.node.transfer_leader(peer);
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        self.node.has_ready()
    }

    pub(super) fn ready(&mut self) -> Ready {
        self.node.ready()
    }

    /// Goes on with a ready whose entries and state are on disk.
    pub(super) fn persisted(
        &mut self,
        mut ready: Ready,
        timings: &Timings,
        send: &mut dyn FnMut(Message),
    ) -> io::Result<()> {
        let log = self.node.mut_store();
        if !ready.snapshot().is_empty() {
            log.install(ready.snapshot())?;
            // Whether they are in it can't be told.
            let index = log.applied;
            self.proposals.retain(|at, _| *at > index);
        }
        let log = self.node.mut_store();
        ready.take_entries().into_iter().for_each(|entry| log.append(entry));
        if let Some(state) = ready.hs() {
            log.hard_state = state.clone();
        }
        ready.take_persisted_messages().into_iter().for_each(&mut *send);
        let reads = ready.take_read_states();
        self.apply(ready.take_committed_entries(), timings);
        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.node.mut_store().hard_state.commit = commit;
        }
        light.take_messages().into_iter().for_each(send);
        self.apply(light.take_committed_entries(), timings);
        self.node.advance_apply();
        let log = self.node.mut_store();
        if log.len() > ENTRIES_LIMIT {
            log.compact(ENTRIES_LIMIT / 2);
        }
        self.answer_reads(reads);
        Ok(())
    }

    fn apply(&mut self, entries: Vec<Entry>, timings: &Timings) {
        if entries.is_empty() {
            return;
        }
        let start = Instant::now();
        for entry in entries {
            let log = self.node.mut_store();
            // A new leader's first entry is empty, and membership never changes.
            let mut answer = (!entry.data.is_empty()).then(|| log.machine.apply(&entry.data));
            log.applied = entry.index;
            while let Some(first) = self.proposals.first_entry().filter(|first| *first.key() <= entry.index) {
                let (index, Proposal { term, at, waiter }) = first.remove_entry();
                let ours = (index, term) == (entry.index, entry.term);
                match answer.take_if(|_| ours) {
                    Some(answer) => {
                        timings.commit.observe(start.saturating_duration_since(at).as_secs_f64());
                        waiter(Ok(answer));
                    }
                    // Another leader's entry took the place of ours.
                    None => waiter(Err(Lost)),
                }
            }
        }
        timings.apply.observe(start.elapsed().as_secs_f64());
    }

    fn answer_reads(&mut self, states: Vec<ReadState>) {
        for state in states {
            let round = <[u8; 8]>::try_from(state.request_ctx.as_slice()).map(u64::from_le_bytes);
            if let Some(reads) = round.ok().and_then(|round| self.asked_reads.remove(&round)) {
                self.due_reads.push((state.index, reads));
            }
        }
        let log = self.node.store();
        let (due, later) = take(&mut self.due_reads).into_iter().partition(|(index, _)| *index <= log.applied);
        self.due_reads = later;
        let due: Vec<(u64, Vec<Read<M>>)> = due;
        due.into_iter().flat_map(|(_, reads)| reads).for_each(|read| read(Ok(&log.machine)));
    }

    /// Whether this node's leadership, or the leader that it knows, is another than the last time.
    pub(super) fn notice_role(&mut self) -> bool {
        let role = (self.is_leader().then(|| self.term()), self.leader());
        if role == self.role {
            return false;
        }
        if role.0 != self.role.0 {
            // raft-rs forgets its rounds with the term.
            let rounds = self.asked_reads.drain().flat_map(|(_, reads)| reads);
            rounds.chain(self.new_reads.drain(..)).for_each(|read| read(Err(Lost)));
        }
        self.role = role;
        true
    }
}

/// TiKV's name for a message in its metrics; none for what it doesn't count.
pub fn metric_name(kind: MessageType) -> Option<&'static str> {
    Some(match kind {
        MessageType::MsgAppend => "append",
        MessageType::MsgAppendResponse => "append_resp",
        MessageType::MsgRequestPreVote => "prevote",
        MessageType::MsgRequestPreVoteResponse => "prevote_resp",
        MessageType::MsgRequestVote => "vote",
        MessageType::MsgRequestVoteResponse => "vote_resp",
        MessageType::MsgSnapshot => "snapshot",
        MessageType::MsgHeartbeat => "heartbeat",
        MessageType::MsgHeartbeatResponse => "heartbeat_resp",
        MessageType::MsgTransferLeader => "transfer_leader",
        MessageType::MsgTimeoutNow => "timeout_now",
        MessageType::MsgReadIndex => "read_index",
        MessageType::MsgReadIndexResp => "read_index_resp",
        _ => return None,
    })
}
