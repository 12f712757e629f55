//! How slow the other stores are to answer this one, from 8.5.5 on: TiKV's network slow score
//! (components/health_controller/src/slow_score.rs and src/server/raft_client.rs, 8.5.5).
//!
//! TiKV checks each peer's health ten times a second. An answer that takes a second or more is a timeout, and three of them
//! double the score of that peer, from 1 to 100; without timeouts it comes back within ten minutes. Here a peer is asked once
//! in that second, and what it says stands for all checks of that time. A peer that refuses the connection answers, so a
//! killed one is not slow; one that is paused or behind a firewall is.
//!
//! The metric is the mean over the other stores, so a healthy store shows it too where one of its peers does not answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::metrics::Metrics;
use crate::{
    net::{read_frame, write_frame},
    pace::Pace,
};

/// Between two checks, and what is a timeout.
const CHECK: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUTS_TO_DOUBLE: f64 = 3.0;
/// From 100 to 1.
const RECOVERY: Duration = Duration::from_secs(600);
/// What the histogram leaves out.
const QUICK: Duration = Duration::from_millis(100);

/// One peer's, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Score(f64);

impl Score {
    /// What some time without an answer, or with one in time, makes of it.
    fn after(self, time: Duration, answered: bool) -> Self {
        let checks = time.as_secs_f64() / CHECK.as_secs_f64();
        Self(if answered {
            (self.0 - 99.0 * time.as_secs_f64() / RECOVERY.as_secs_f64()).max(1.0)
        } else {
            (self.0 * (checks / TIMEOUTS_TO_DOUBLE).exp2()).min(100.0)
        })
    }
}

/// The other stores.
pub struct Network {
    me: u64,
    pace: Pace,
    metrics: Metrics,
    scores: Arc<Mutex<BTreeMap<u64, Score>>>,
    watched: BTreeSet<u64>,
}

impl Network {
    pub fn new(me: u64, pace: Pace, metrics: &Metrics) -> Self {
        Self { me, pace, metrics: metrics.clone(), scores: Arc::default(), watched: BTreeSet::new() }
    }

    /// Asks those that are new from now on, under the address that they have now, for as long as the process lives.
    pub fn watch(&mut self, stores: &BTreeMap<u64, String>) {
        for (id, address) in stores {
            if *id != self.me && self.watched.insert(*id) {
                let peer = Peer { me: self.me, id: *id, address: address.clone(), pace: self.pace };
                tokio::spawn(peer.run(Arc::clone(&self.scores), self.metrics.clone()));
            }
        }
    }

    /// By store, in whole numbers.
    pub fn told(&self) -> BTreeMap<u64, u64> {
        let scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        scores.iter().map(|(id, score)| (*id, score.0.round() as u64)).collect()
    }
}

struct Peer {
    me: u64,
    id: u64,
    address: String,
    pace: Pace,
}

impl Peer {
    async fn run(self, scores: Arc<Mutex<BTreeMap<u64, Score>>>, metrics: Metrics) {
        let limit = self.pace.patience(TIMEOUT);
        let mut connection = None;
        loop {
            let start = Instant::now();
            let answer = timeout(limit, self.ask(&mut connection)).await;
            let took = start.elapsed();
            // At TiKV's own pace it's more that went by.
            let passed = took.max(limit).div_f64(self.pace.of(TIMEOUT).as_secs_f64() / TIMEOUT.as_secs_f64());
            let mean = {
                let mut scores = scores.lock().unwrap_or_else(PoisonError::into_inner);
                let score = scores.entry(self.id).or_insert(Score(1.0));
                *score = score.after(passed, answer.is_ok());
                scores.values().map(|score| score.0).sum::<f64>() / scores.len() as f64
            };
            if let Some(gauge) = &metrics.network_score {
                gauge.set(mean.round());
            }
            if let Some(histogram) = metrics.network_took.as_ref().filter(|_| took > QUICK) {
                let labels = [self.id, self.me].map(|id| id.to_string());
                histogram.with_label_values(&labels).observe(took.as_secs_f64());
            }
            sleep(limit.saturating_sub(took)).await;
        }
    }

    /// An empty frame there and back.
    async fn ask(&self, connection: &mut Option<TcpStream>) -> io::Result<()> {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => {
                let mut stream = crate::names::connect(&self.address).await?;
                stream.set_nodelay(true)?;
                // A client that says which store it is.
                let hello = json!({ "role": "client", "id": self.me });
                write_frame(&mut stream, &serde_json::to_vec(&hello)?).await?;
                stream
            }
        };
        write_frame(&mut stream, &[]).await?;
        read_frame(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        *connection = Some(stream);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_is_full_after_few_seconds_of_silence_and_back_after_ten_minutes() {
        let second = Duration::from_secs(1);
        let silent = |seconds: u32| (0..seconds).fold(Score(1.0), |score, _| score.after(second, false));
        assert!(silent(1).0 < 20.0);
        assert_eq!(silent(3), Score(100.0));
        let later = |seconds: u32| (0..seconds).fold(silent(3), |score, _| score.after(second, true));
        assert!(later(300).0 > 40.0);
        assert_eq!(later(601), Score(1.0));
    }
}
