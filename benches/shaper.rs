//! The figures of the holder's own shaper, printed: `cargo bench --bench shaper`, as root. Two namespaces and a cable between
//! them, nothing of Docker. Nothing here passes or fails.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use support::{
    netns::{self, Pair, class, delay, shape},
    traffic::{self, Datagrams},
};
use tikv_chaos::{chaos::network::Flow, holder::shaper::Shaper};

fn main() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    baseline(&pair);
    let shaper = shape(&pair);
    for milliseconds in [1, 10, 100] {
        error(&pair, &shaper, milliseconds);
    }
    throughput(&pair, &shaper);
    small(&pair, &shaper);
    change(&pair, &shaper);
}

/// Without a rule.
fn baseline(pair: &Pair) {
    let mut took: Vec<Duration> = one_way(pair, 200);
    println!(
        "no rule: one way                     median {:>7.3} ms   99 % {:>7.3} ms",
        at(&mut took, 50),
        at(&mut took, 99)
    );
    let (bytes, time) = traffic::stream(&pair.far, &pair.near, false, Duration::from_secs(4));
    println!("no rule: one TCP stream              {:>7.2} Gbit/s", gigabits(bytes, time));
    let (sent, arrived) = traffic::flood(&pair.far, &pair.near, 64, Duration::from_secs(2));
    println!("no rule: datagrams of 64 bytes       {:>7} sent a second, {} arrived", sent / 2, arrived / 2);
}

fn one_way(pair: &Pair, count: u32) -> Vec<Duration> {
    let datagrams = Datagrams { count, gap: Duration::from_millis(7), bytes: 64, quiet: Duration::from_millis(300) };
    datagrams.send(&pair.far, &pair.near, false).iter().map(|arrival| arrival.took).collect()
}

/// The hundredth part of the samples, in milliseconds.
fn at(samples: &mut [Duration], percent: usize) -> f64 {
    samples.sort_unstable();
    samples[(samples.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

fn gigabits(bytes: u64, time: Duration) -> f64 {
    bytes as f64 * 8e-9 / time.as_secs_f64()
}

fn error(pair: &Pair, shaper: &Shaper, milliseconds: u64) {
    shaper.set(vec![class(Flow::In, delay(milliseconds))]).unwrap();
    let asked = Duration::from_millis(milliseconds);
    let mut errors: Vec<Duration> = one_way(pair, 500).into_iter().map(|took| took.abs_diff(asked)).collect();
    println!(
        "delay of {milliseconds:>3} ms: error              median {:>7.3} ms   99 % {:>7.3} ms   of {}",
        at(&mut errors, 50),
        at(&mut errors, 99),
        errors.len()
    );
}

/// What a stream's two ends keep in memory is all that can be on the way: bytes, by the namespace's own limits.
fn buffers(pair: &Pair) -> [u64; 2] {
    ["tcp_wmem", "tcp_rmem"].map(|name| {
        let text = pair.near.enter(|| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap());
        text.split_whitespace().last().unwrap().parse().unwrap()
    })
}

fn throughput(pair: &Pair, shaper: &Shaper) {
    for milliseconds in [0, 1, 20] {
        streams(pair, shaper, milliseconds);
    }
    // As much as the receiver's window, so that the sender's memory is not what limits it.
    let [_, window] = buffers(pair);
    for place in [&pair.near, &pair.far] {
        place.enter(|| fs::write("/proc/sys/net/ipv4/tcp_wmem", format!("4096 16384 {window}")).unwrap());
    }
    streams(pair, shaper, 20);
}

fn streams(pair: &Pair, shaper: &Shaper, milliseconds: u64) {
    shaper.set(vec![class(Flow::In, delay(milliseconds))]).unwrap();
    if milliseconds > 0 {
        let allowed = buffers(pair).map(|bytes| gigabits(bytes, Duration::from_millis(milliseconds)));
        println!("in {milliseconds} ms: send buffer {:.2}, receive buffer {:.2} Gbit/s", allowed[0], allowed[1]);
    }
    for (name, from, to) in [("to the node", &pair.far, &pair.near), ("from the node", &pair.near, &pair.far)] {
        let before = cpu();
        let start = Instant::now();
        let (bytes, time) = traffic::stream(from, to, false, Duration::from_secs(6));
        let spent = (cpu() - before).as_secs_f64() / start.elapsed().as_secs_f64();
        let rate = gigabits(bytes, time);
        println!(
            "one TCP stream {name:<13} at {milliseconds:>2} ms {rate:>7.2} Gbit/s   {spent:.2} cores, {:.2} for each Gbit/s",
            spent / rate
        );
    }
}

/// Processor time of the shaper's threads.
fn cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    // This program's own name begins like theirs.
    let is_ours = |name: String| ["shaper-in", "shaper-out"].contains(&name.trim_end());
    let ours = tasks.filter(|path| fs::read_to_string(path.join("comm")).is_ok_and(is_ours));
    // The first figure is nanoseconds on a processor (Documentation/scheduler/sched-stats.rst).
    let nanos = ours.map(|path| fs::read_to_string(path.join("schedstat")).unwrap());
    nanos.map(|text| Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())).sum()
}

fn small(pair: &Pair, shaper: &Shaper) {
    for milliseconds in [0, 10] {
        shaper.set(vec![class(Flow::In, delay(milliseconds))]).unwrap();
        let (before, start) = (shaper.counters()[0].counters, cpu());
        let (sent, arrived) = traffic::flood(&pair.far, &pair.near, 64, Duration::from_secs(3));
        let (after, spent) = (shaper.counters()[0].counters, cpu() - start);
        println!(
            "datagrams of 64 bytes at {milliseconds:>2} ms        {:>7} sent a second, {} shaped, {} too many, {} arrived, {:.2} cores",
            sent / 3,
            (after.seen - before.seen) / 3,
            (after.overflowed - before.overflowed) / 3,
            arrived / 3,
            spent.as_secs_f64() / 3.0
        );
    }
}

fn change(pair: &Pair, shaper: &Shaper) {
    let measure = |what: &str| {
        let mut took: Vec<Duration> = (0..500)
            .map(|round| {
                let start = Instant::now();
                shaper.set(vec![class(Flow::In, delay(20 + round % 7))]).unwrap();
                start.elapsed()
            })
            .collect();
        println!("set(), {what:<28}  median {:>7.3} ms   99 % {:>7.3} ms", at(&mut took, 50), at(&mut took, 99));
    };
    measure("idle");
    thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic::stream(&pair.far, &pair.near, false, Duration::from_secs(3)));
        thread::sleep(Duration::from_secs(1));
        measure("under a TCP stream");
        traffic.join().unwrap();
    });
}
