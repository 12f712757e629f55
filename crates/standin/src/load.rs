//! A load: reads and writes at a steady rate, and a line every ten seconds about how that went, as go-ycsb prints.
//!
//! The loop is closed, as go-ycsb's is: so many workers, each with one operation at a time. While the cluster serves
//! nothing they wait, and what would have been done meanwhile is not made up for.

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
/// Enough for the usual rate where one store of three answers after three quarters of a second.
const WORKERS: usize = 64;
const VALUE_SIZE: usize = 64;

#[derive(Default)]
struct Tally {
    /// In microseconds.
    took: Vec<u32>,
    errors: u64,
    last_error: Option<String>,
}

/// The turns of the workers, a bunch at a time.
struct Turns {
    /// In a bunch, in thousandths.
    each: u64,
    /// What the bunches until now fell short of a whole one by, in thousandths.
    rest: u64,
    free: Arc<Semaphore>,
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
    let mut turns = Turns::new(args.rate);
    for _ in 0..WORKERS {
        let (client, tally) = (Arc::clone(&client), Arc::clone(&tally));
        tokio::spawn(work(Arc::clone(&turns.free), move || {
            let (client, tally) = (Arc::clone(&client), Arc::clone(&tally));
            async move {
                let start = Instant::now();
                let done = one(&client, limit).await;
                lock(&tally).add(start.elapsed(), done);
            }
        }));
    }
    let mut bunch = interval(BUNCH);
    bunch.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut line = Instant::now();
    loop {
        bunch.tick().await;
        turns.give_out();
        if line.elapsed() >= args.speed.of(LINE) {
            let said = std::mem::take(&mut *lock(&tally));
            info!(log, "{}", said.line(line.elapsed()); "last_error" => said.last_error.unwrap_or_default());
            line = Instant::now();
        }
    }
}

/// One worker, for ever.
async fn work<F: Future<Output = ()>>(turns: Arc<Semaphore>, operation: impl Fn() -> F) {
    while let Ok(turn) = turns.acquire().await {
        turn.forget();
        operation().await;
    }
}

impl Turns {
    fn new(rate: u32) -> Self {
        Self { each: u64::from(rate) * BUNCH.as_millis() as u64, rest: 0, free: Arc::new(Semaphore::new(0)) }
    }

    /// Gives out the next bunch; turns of the last that no worker was free for are void.
    fn give_out(&mut self) {
        let due = self.rest + self.each;
        self.rest = due % 1000;
        self.free.forget_permits(usize::MAX);
        self.free.add_permits((due / 1000) as usize);
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
    fn add(&mut self, took: Duration, done: Result<(), String>) {
        match done {
            Ok(()) => self.took.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)),
            Err(error) => {
                self.errors += 1;
                self.last_error = Some(error);
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{sync::watch, task::yield_now};

    use super::*;

    /// Until every worker that can go on has.
    async fn settle() {
        for _ in 0..WORKERS {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn standstill_is_not_made_up_for() {
        let (gate, open) = watch::channel(true);
        let begun = Arc::new(AtomicUsize::new(0));
        let mut turns = Turns::new(200);
        for _ in 0..WORKERS {
            let (open, begun) = (open.clone(), Arc::clone(&begun));
            tokio::spawn(work(Arc::clone(&turns.free), move || {
                begun.fetch_add(1, Ordering::Relaxed);
                let mut open = open.clone();
                async move { drop(open.wait_for(|open| *open).await) }
            }));
        }
        let begun_by = async |turns: &mut Turns, bunches: usize| {
            let before = begun.load(Ordering::Relaxed);
            for _ in 0..bunches {
                turns.give_out();
                settle().await;
            }
            begun.load(Ordering::Relaxed) - before
        };
        settle().await;
        assert_eq!(begun_by(&mut turns, 20).await, 200, "a second");
        gate.send_replace(false);
        assert_eq!(begun_by(&mut turns, 1200).await, WORKERS, "a minute in which nothing ends");
        let before = begun.load(Ordering::Relaxed);
        gate.send_replace(true);
        settle().await;
        assert!(begun.load(Ordering::Relaxed) - before <= 10, "no more than what is left of one bunch");
        assert_eq!(begun_by(&mut turns, 20).await, 200);
    }

    #[tokio::test]
    async fn rates_below_one_operation_a_bunch_add_up() {
        let mut turns = Turns::new(7);
        let mut given = 0;
        for _ in 0..200 {
            turns.give_out();
            given += turns.free.available_permits();
        }
        assert_eq!(given, 70);
    }
}
