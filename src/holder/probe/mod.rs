//! Looks from inside the target's namespace at its peers: connections over TCP and ICMP echoes, counted and timed.
//!
//! Each probe has a thread and a clock of its own. The kernel's stamp of a packet's arrival is older than what INPUT does
//! to it, so it would not see what is held there; a program on the way out of a queue does.

mod connect;
mod echo;
mod run;
mod scope;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::mpsc;

use super::protocol::{Answer, Failure, Probe, Reply};

/// Whatever is asked for: nobody's network is to suffer from being looked at.
const MOST_PLACES: usize = 64;
const MOST_SAMPLES: u16 = 100;
const LEAST_INTERVAL_MS: u32 = 2;
const MOST_PATIENCE_MS: u32 = 20_000;
const MOST_BURST: u32 = 1 << 20;
/// Probes at the same time, of several programs.
const MOST_AT_ONCE: usize = 8;

/// Runs probes, and knows when a fault is made or ended.
pub struct Prober {
    replies: mpsc::UnboundedSender<Reply>,
    running: Arc<AtomicUsize>,
    changes: Arc<AtomicU64>,
}

impl Prober {
    /// The other end gives the answers.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Reply>) {
        let (replies, receiver) = mpsc::unbounded_channel();
        (Self { replies, running: Arc::default(), changes: Arc::default() }, receiver)
    }

    /// A fault is about to be made or ended.
    pub fn changing(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Begins a probe, whose answer comes when it comes.
    pub fn start(&self, id: String, probe: Probe) {
        let refuse = |reason: String| {
            let _ = self.replies.send(Reply { id: id.clone(), result: Err(Failure::failed(reason)) });
        };
        if probe.places.len() > MOST_PLACES {
            return refuse(format!(
                "{} places are more than the {MOST_PLACES} that one probe takes",
                probe.places.len()
            ));
        }
        if self.running.fetch_add(1, Ordering::AcqRel) >= MOST_AT_ONCE {
            self.running.fetch_sub(1, Ordering::AcqRel);
            return refuse(format!("{MOST_AT_ONCE} probes are under way already"));
        }
        let (replies, running, changes) = (self.replies.clone(), Arc::clone(&self.running), Arc::clone(&self.changes));
        let (known, reply_id) = (changes.load(Ordering::Acquire), id.clone());
        let work = move || {
            let probe = bounded(probe);
            let seen = run::run(&probe, || probe.until_change && changes.load(Ordering::Acquire) != known);
            running.fetch_sub(1, Ordering::AcqRel);
            // Nobody listens any more when the holder ends.
            let _ = replies.send(Reply { id: reply_id, result: Ok(Answer::Probed { seen }) });
        };
        if let Err(error) = thread::Builder::new().name("probe".to_owned()).spawn(work) {
            self.running.fetch_sub(1, Ordering::AcqRel);
            refuse(format!("no thread for it: {error}"));
        }
    }
}

fn bounded(probe: Probe) -> Probe {
    Probe {
        connects: probe.connects.min(MOST_SAMPLES),
        echoes: probe.echoes.min(MOST_SAMPLES),
        interval_ms: probe.interval_ms.max(LEAST_INTERVAL_MS),
        patience_ms: probe.patience_ms.min(MOST_PATIENCE_MS),
        linger_ms: probe.linger_ms.min(MOST_PATIENCE_MS),
        burst_bytes: probe.burst_bytes.min(MOST_BURST),
        ..probe
    }
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}
