//! Three nodes in one thread, their messages handed over by hand: what a group keeps through restarts, rewrites and
//! snapshots.

use std::sync::{Arc, Mutex};

use super::*;

/// Adds up numbers, and keeps their count.
#[derive(Debug, Default, Clone, PartialEq)]
struct Sum(u64, u64);

impl Machine for Sum {
    type Answer = u64;

    fn apply(&mut self, command: &[u8]) -> u64 {
        self.0 += serde_json::from_slice::<u64>(&command[..command.len().min(4)]).unwrap_or_default();
        self.1 += 1;
        self.0
    }

    fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&(self.0, self.1)).unwrap()
    }

    fn load(bytes: &[u8]) -> io::Result<Self> {
        serde_json::from_slice(bytes).map(|(sum, count)| Self(sum, count)).map_err(io::Error::other)
    }
}

struct Cluster {
    folders: Vec<tempfile::TempDir>,
    nodes: Vec<Groups<Sum>>,
    /// Nodes that hear nothing.
    deaf: Vec<u64>,
}

const ID: u64 = 2;

fn open(folder: &Path, peer: u64) -> Groups<Sum> {
    let log = Logger::root(slog::Discard, o!());
    let timings = Timings::new(32).unwrap();
    Groups::open(folder, Ticks { heartbeat: 2, election: 10 }, timings, &log, |_, _| Ok(peer)).unwrap()
}

impl Cluster {
    fn new() -> Self {
        let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut nodes: Vec<_> = (1..).zip(&folders).map(|(peer, folder)| open(folder.path(), peer)).collect();
        for (peer, node) in (1..).zip(&mut nodes) {
            node.create(ID, peer, &[1, 2, 3], b"note".to_vec()).unwrap();
        }
        nodes[0].groups.get_mut(&ID).unwrap().node.campaign().unwrap();
        let mut cluster = Self { folders, nodes, deaf: vec![] };
        cluster.settle();
        assert!(cluster.group(0).leads_with_all());
        cluster
    }

    fn group(&mut self, node: usize) -> &mut Group<Sum> {
        self.nodes[node].groups.get_mut(&ID).unwrap()
    }

    /// Until nobody has anything to say.
    fn settle(&mut self) {
        loop {
            let mut sent = vec![];
            for node in &mut self.nodes {
                node.work(&mut |id, message| sent.push((id, message))).unwrap();
            }
            if sent.is_empty() {
                return;
            }
            let frame = encode(&sent).unwrap();
            for (id, message) in decode(&frame).unwrap() {
                if !self.deaf.contains(&message.to) && !self.deaf.contains(&message.from) {
                    self.nodes[message.to as usize - 1].step(id, message);
                }
            }
        }
    }

    fn propose(&mut self, node: usize, size: usize) -> Arc<Mutex<Option<Result<u64, Lost>>>> {
        let outcome = Arc::new(Mutex::new(None));
        let told = Arc::clone(&outcome);
        let mut command = b"   1".to_vec();
        command.resize(size.max(4), b' ');
        self.group(node).propose(command, Box::new(move |answer| *told.lock().unwrap() = Some(answer)));
        self.settle();
        outcome
    }

    /// Lets time pass on some nodes until one of them leads.
    fn elect(&mut self, nodes: &[usize]) -> usize {
        for _ in 0..100 {
            for node in nodes {
                self.nodes[*node].tick(Duration::MAX);
                self.settle();
            }
            if let Some(leader) = nodes.iter().find(|node| self.group(**node).leads_with_all()) {
                return *leader;
            }
        }
        panic!("no leader among {nodes:?}");
    }

    fn restart(&mut self, node: usize) {
        self.nodes.remove(node);
        self.nodes.insert(node, open(self.folders[node].path(), node as u64 + 1));
    }
}

#[test]
fn what_was_answered_survives_a_restart_of_all() {
    let mut cluster = Cluster::new();
    for count in 1..=20 {
        assert_eq!(*cluster.propose(0, 4).lock().unwrap(), Some(Ok(count)));
    }
    (0..3).for_each(|node| cluster.restart(node));
    assert_eq!(cluster.nodes[1].note(ID), Some(&b"note"[..]));
    cluster.group(1).node.campaign().unwrap();
    cluster.settle();
    assert_eq!(*cluster.propose(1, 4).lock().unwrap(), Some(Ok(21)));
    (0..3).for_each(|node| assert_eq!(*cluster.group(node).machine(), Sum(21, 21)));
}

#[test]
fn the_log_is_rewritten_before_it_fills_the_disk_and_a_node_that_missed_it_gets_a_snapshot() {
    let mut cluster = Cluster::new();
    cluster.deaf = vec![3];
    let (each, count) = (64 << 10, 300);
    for _ in 0..count {
        cluster.propose(0, each);
    }
    let most = count * each as u64;
    assert!(cluster.nodes[0].size() < most / 2, "{} of {most}", cluster.nodes[0].size());
    // In memory, too, a node has what is on its disk.
    (0..2).for_each(|node| cluster.restart(node));
    let leader = cluster.elect(&[0, 1]);
    assert_eq!(*cluster.group(leader).machine(), Sum(count, count));
    assert_eq!(*cluster.group(2).machine(), Sum(0, 0));
    cluster.deaf.clear();
    // A heartbeat, and the answer to it, tell the leader how far behind the node is.
    for _ in 0..4 {
        cluster.nodes[leader].tick(Duration::MAX);
        cluster.settle();
    }
    assert_eq!(*cluster.group(2).machine(), Sum(count, count));
    cluster.restart(2);
    cluster.settle();
    assert_eq!(*cluster.group(2).machine(), Sum(count, count));
}

#[test]
fn a_proposal_that_another_leader_replaced_is_lost_and_one_nobody_decided_is_not_answered() {
    let mut cluster = Cluster::new();
    cluster.deaf = vec![1];
    let alone = cluster.propose(0, 4);
    assert_eq!(*alone.lock().unwrap(), None, "nobody can tell yet");
    let leader = cluster.elect(&[1, 2]);
    assert_eq!(*cluster.propose(leader, 4).lock().unwrap(), Some(Ok(1)));
    cluster.deaf.clear();
    for _ in 0..4 {
        cluster.nodes[leader].tick(Duration::MAX);
        cluster.settle();
    }
    assert_eq!(*alone.lock().unwrap(), Some(Err(Lost)));
    assert_eq!(*cluster.propose(0, 4).lock().unwrap(), Some(Err(Lost)), "only a leader takes it");
}

#[test]
fn a_leader_that_was_cut_off_answers_no_read() {
    let mut cluster = Cluster::new();
    cluster.propose(0, 4);
    let read = |cluster: &mut Cluster| {
        let seen = Arc::new(Mutex::new(None));
        let told = Arc::clone(&seen);
        cluster.group(0).read(Box::new(move |sum: Result<&Sum, Lost>| *told.lock().unwrap() = Some(sum.cloned())));
        cluster.settle();
        seen
    };
    assert_eq!(*read(&mut cluster).lock().unwrap(), Some(Ok(Sum(1, 1))));
    cluster.deaf = vec![1];
    let stale = read(&mut cluster);
    assert_eq!(*stale.lock().unwrap(), None);
    // Until it finds that no quorum answers it.
    for _ in 0..25 {
        cluster.nodes[0].tick(Duration::MAX);
        cluster.settle();
    }
    assert_eq!(*stale.lock().unwrap(), Some(Err(Lost)));
}
