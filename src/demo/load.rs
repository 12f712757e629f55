//! A load: reads and writes at a steady rate, and a line every ten seconds about how that went, as go-ycsb prints.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use slog::{Logger, info};
use tokio::time::{MissedTickBehavior, interval, interval_at};

use super::{
    args,
    client::{Client, Outcome},
    wire::{KEYS, key},
};

/// Threads of a client, so to say: each has one operation under way and waits for its end, so that where a part of
/// the cluster hangs, all of them soon hang on it and throughput falls, as with real clients.
const WORKERS: u32 = 32;
/// So many begin at the same time, so that a small load needs few wake-ups.
const BUNCH: u32 = 4;
const LINE: Duration = Duration::from_secs(10);
/// How long an operation may take, and one store's answer to it.
const LIMIT: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(2);
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
    let limit = args.speed.patience(LIMIT);
    let workers = args.rate.min(WORKERS);
    let turn = Duration::from_secs(1) / args.rate;
    for at in 0..workers {
        tokio::spawn(work(Arc::clone(&client), Arc::clone(&tally), limit, turn * (at - at % BUNCH), turn * workers));
    }
    let mut line = interval(args.speed.of(LINE));
    let mut last = line.tick().await;
    loop {
        let now = line.tick().await;
        let said = std::mem::take(&mut *lock(&tally));
        info!(log, "{}", said.line(now - last); "last_error" => said.last_error.unwrap_or_default());
        last = now;
    }
}

/// One operation every so often, or as often as they come to an end; what was missed is not made up for.
async fn work(client: Arc<Client>, tally: Arc<Mutex<Tally>>, limit: Duration, begin: Duration, every: Duration) {
    let mut turn = interval_at(tokio::time::Instant::now() + begin, every);
    turn.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        turn.tick().await;
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
