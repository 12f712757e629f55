//! A load: reads and writes at a steady rate, and a line every ten seconds about how that went, as go-ycsb prints.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use slog::{Logger, info};
use tokio::{
    sync::Semaphore,
    time::{MissedTickBehavior, interval},
};

use super::{
    args,
    client::{Client, Outcome},
    wire::{KEYS, key},
};

/// Operations start in bunches, so that a small load needs few wake-ups.
const BUNCH: Duration = Duration::from_millis(50);
const LINE: Duration = Duration::from_secs(10);
/// How long an operation may take, and one store's answer to it.
const LIMIT: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(2);
/// Operations under way; what would be more is an error at once, as with a pool of clients that all wait.
const UNDER_WAY: usize = 256;
const VALUE_SIZE: usize = 64;

#[derive(Default)]
struct Tally {
    /// In microseconds.
    took: Vec<u32>,
    errors: u64,
    last_error: Option<String>,
}

/// For ever.
pub async fn run(args: args::Load, log: &Logger) -> io::Result<()> {
    if args.rate == 0 {
        info!(log, "nothing to do at a rate of 0");
        std::future::pending::<()>().await;
    }
    let client = Arc::new(Client::new(args.pds, args.speed.patience(PATIENCE)));
    let tally = Arc::new(Mutex::new(Tally::default()));
    let room = Arc::new(Semaphore::new(UNDER_WAY));
    let limit = args.speed.patience(LIMIT);
    let mut bunch = interval(BUNCH);
    bunch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut owed, mut last, mut line) = (0.0, Instant::now(), Instant::now());
    loop {
        bunch.tick().await;
        let now = Instant::now();
        owed += f64::from(args.rate) * now.duration_since(last).as_secs_f64().min(1.0);
        last = now;
        while owed >= 1.0 {
            owed -= 1.0;
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                lock(&tally).errors += 1;
                continue;
            };
            let (client, tally) = (Arc::clone(&client), Arc::clone(&tally));
            tokio::spawn(async move {
                let start = Instant::now();
                let done = one(&client, limit).await;
                let mut tally = lock(&tally);
                match done {
                    Ok(()) => tally.took.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX)),
                    Err(error) => {
                        tally.errors += 1;
                        tally.last_error = Some(error);
                    }
                }
                drop(permit);
            });
        }
        if line.elapsed() >= args.speed.of(LINE) {
            let said = std::mem::take(&mut *lock(&tally));
            info!(log, "{}", said.line(line.elapsed()); "last_error" => said.last_error.unwrap_or_default());
            line = Instant::now();
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn one(client: &Client, limit: Duration) -> Result<(), String> {
    let key = key(rand::random_range(0..KEYS));
    let done = if rand::random() {
        client.get(&key, limit).await.map(drop)
    } else {
        let value = format!("{:0width$x}", rand::random::<u64>(), width = VALUE_SIZE);
        client.put(&key, &value, limit).await
    };
    match done {
        Outcome::Ok(()) => Ok(()),
        Outcome::Failed(why) | Outcome::Unknown(why) => Err(why),
    }
}

impl Tally {
    fn line(&self, took: Duration) -> String {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let count = sorted.len();
        let seconds = took.as_secs_f64();
        let avg = sorted.iter().map(|micros| u64::from(*micros)).sum::<u64>() / count.max(1) as u64;
        let p99 = sorted.get((count * 99 / 100).min(count.saturating_sub(1))).copied().unwrap_or_default();
        format!(
            "TOTAL - Takes(s): {seconds:.1}, Count: {count}, OPS: {:.1}, Avg(us): {avg}, 99th(us): {p99}, Errors: {}",
            count as f64 / seconds,
            self.errors,
        )
    }
}
