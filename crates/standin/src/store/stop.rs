//! The end of a store that is told to by SIGTERM, from 8.5.5 on: it tells PD, which moves its leaders away, and waits for that
//! (components/server/src/server.rs, 8.5.5:1683). PD does so for one store at a time; a second waits in vain.

use std::{future::pending, time::Duration};

use slog::{Logger, info, warn};
use tokio::time::{Instant, Interval, interval_at};

use super::Store;
use crate::settings;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

pub struct Eviction {
    until: Instant,
    look: Interval,
}

impl Eviction {
    pub fn begin(settings: &settings::Store, leaders: usize, log: &Logger) -> Self {
        info!(log, "Waiting for leader eviction"; "leader_count" => leaders);
        let (pace, now) = (settings.play.pace, Instant::now());
        let every = pace.of(LOOK);
        Self { until: now + pace.of(settings.graceful_shutdown), look: interval_at(now + every, every) }
    }

    /// Whether the wait is, for a store that leads so many regions.
    fn is_over(&self, leaders: usize, log: &Logger) -> bool {
        if leaders == 0 {
            info!(log, "All leaders evicted, completing graceful shutdown");
        } else if Instant::now() >= self.until {
            warn!(log, "Graceful shutdown timeout reached with {} leaders remaining", leaders);
        } else {
            info!(log, "Waiting for leader eviction"; "leader_count" => leaders);
            return false;
        }
        true
    }
}

impl Store {
    pub(super) fn may_end(&self) -> bool {
        self.eviction.as_ref().is_some_and(|eviction| eviction.is_over(self.leaders(), &self.log))
    }
}

/// When it is time to look again.
pub async fn look(eviction: &mut Option<Eviction>) {
    match eviction {
        Some(eviction) => drop(eviction.look.tick().await),
        None => pending().await,
    }
}
