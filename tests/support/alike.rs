//! netem and the shaper beside one another with the same parameters: what a packet feels must have the same distribution.
//! The tolerances are five standard errors of the difference of two such samples, and what a busy guest adds. A guest that
//! stands still for a moment makes a row of packets late and never early, so each figure is the lower quartile of those of many
//! short rows, the one way as the other.

use std::net::IpAddr;

use super::{
    Program,
    cluster::Cluster,
    packets::{self, Echo, Echoes, pace},
};

/// Packets in a row, which are judged together.
const ROW: usize = 80;

/// Of the round trips, in milliseconds.
#[derive(Debug)]
struct Delays {
    mean: f64,
    deviation: f64,
    /// At 5, 50 and 90 %.
    quantiles: [f64; 3],
    /// Of each with the next one that was sent.
    correlation: f64,
}

impl Delays {
    fn of(felt: &Echoes) -> Self {
        let mut by_number: Vec<(u32, f64)> = felt.came.iter().map(|(n, took)| (*n, took.as_secs_f64() * 1e3)).collect();
        by_number.sort_unstable_by_key(|(number, _)| *number);
        let times: Vec<f64> = by_number.iter().map(|(_, took)| *took).collect();
        let rows: Vec<Self> = times.chunks_exact(ROW).map(Self::of_row).collect();
        let quartile = |of: &dyn Fn(&Self) -> f64| at(rows.iter().map(of).collect(), 0.25);
        Self {
            mean: quartile(&|row| row.mean),
            deviation: quartile(&|row| row.deviation),
            quantiles: [0, 1, 2].map(|which| quartile(&|row| row.quantiles[which])),
            correlation: quartile(&|row| row.correlation),
        }
    }

    fn of_row(times: &[f64]) -> Self {
        let count = times.len() as f64;
        let mean = times.iter().sum::<f64>() / count;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / count;
        let covariance = times.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / (count - 1.0);
        let quantiles = [0.05, 0.5, 0.9].map(|share| at(times.to_vec(), share));
        Self { mean, deviation: variance.sqrt(), quantiles, correlation: covariance / variance }
    }

    fn assert_like(&self, other: &Self, what: &str) {
        println!("{what}: {self:.1?} and {other:.1?}");
        let near = |one: f64, two: f64, within: f64| assert!((one - two).abs() < within, "{what}: {self:?}, {other:?}");
        near(self.mean, other.mean, 8.0);
        near(self.deviation, other.deviation, 0.4 * self.deviation + 2.0);
        for (one, two) in self.quantiles.iter().zip(other.quantiles) {
            near(*one, two, 11.0);
        }
        near(self.correlation, other.correlation, 0.3);
    }
}

fn at(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}

/// The share that was lost, and how many in a row on average.
fn losses(felt: &Echoes) -> (f64, f64) {
    let mut lost = vec![true; felt.sent];
    felt.came.iter().for_each(|(number, _)| lost[*number as usize] = false);
    let runs = lost.chunk_by(|one, two| one == two).filter(|run| run[0]).count().max(1);
    (felt.lost(), felt.lost() * felt.sent as f64 / runs as f64)
}

const LATENCIES: [[&str; 8]; 3] = [
    ["--mean-ms", "60", "--jitter-ms", "40", "--distribution", "uniform", "--correlation", "0"],
    ["--mean-ms", "60", "--jitter-ms", "12", "--distribution", "normal", "--correlation", "0"],
    ["--mean-ms", "60", "--jitter-ms", "12", "--distribution", "pareto", "--correlation", "60"],
];

pub fn netem_and_shaper(cluster: &Cluster, program: &Program, to: IpAddr) {
    let _echo = Echo::on(cluster, 1);
    let [netem, shaper] = ["netem", "shaper"].map(|via| measure(cluster, program, to, via));
    for (at, args) in LATENCIES.iter().enumerate() {
        netem.delays[at].assert_like(&shaper.delays[at], &args.join(" "));
    }
    let ((lost, run), (too, length)) = (netem.losses, shaper.losses);
    println!("bursts: {lost:.2} lost, {run:.1} in a row; {too:.2}, {length:.1}");
    assert!((lost - too).abs() < 0.2 && (run - length).abs() < 5.0, "{lost} {run}, {too} {length}");
    let [one, two] = [netem.throughput, shaper.throughput].map(|bits| bits / 1e6);
    println!("one TCP stream at 20 ms: netem {one:.0} Mbit/s, shaper {two:.0} Mbit/s, {:.0} %", 100.0 * two / one);
}

struct Measured {
    delays: Vec<Delays>,
    losses: (f64, f64),
    /// Bits a second at 20 ms; printed, not judged.
    throughput: f64,
}

fn measure(cluster: &Cluster, program: &Program, to: IpAddr, via: &str) -> Measured {
    let inject = |fault: &[&str]| {
        let injected = program.inject(&[fault, &["--target", "tikv1", "--via", via]].concat());
        injected["id"].as_str().unwrap().to_owned()
    };
    let bursts = inject(&["packet_loss", "--percent", "30", "--burst-length", "8"]);
    let losses = losses(&packets::echoes(cluster, 0, to, 2400, pace()));
    let late = inject(&["latency", "--mean-ms", "20"]);
    program.run(&["revert", &bursts]).ok();
    let throughput = packets::throughput(cluster, 1, (0, packets::v4(cluster, 0)), 24_000_000);
    let delays = LATENCIES.map(|args| {
        program.run(&[&["change", &late], &args[..]].concat()).ok();
        Delays::of(&packets::echoes(cluster, 0, to, 800, pace()))
    });
    program.run(&["revert", &late]).ok();
    Measured { delays: delays.into(), losses, throughput }
}
