//! What a store counts, under real TiKV's names, labels and buckets.

use prometheus::{
    Error, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, core::Collector, exponential_buckets,
    register,
};

use crate::{STARTED, VERSION, raft::Timings};
use tikv_chaos_core::assumed::metric;

#[derive(Clone)]
pub struct Metrics {
    pub grpc: HistogramVec,
    pub grpc_failed: IntCounterVec,
    pub sent: IntCounterVec,
    pub dropped: IntCounterVec,
    pub failures: IntCounterVec,
    pub regions: GaugeVec,
    pub size: GaugeVec,
}

/// Makes a metric known to the process's registry.
fn known<C: Collector + Clone + 'static>(metric: Result<C, Error>) -> Result<C, Error> {
    let metric = metric?;
    register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    /// Once in a process.
    pub fn register(timings: &Timings) -> Result<Self, Error> {
        for histogram in [&timings.append, &timings.commit, &timings.apply] {
            register(Box::new(histogram.clone()))?;
        }
        let counter = |name, help, labels: &[&str]| known(IntCounterVec::new(Opts::new(name, help), labels));
        let gauge = |name, help| known(GaugeVec::new(Opts::new(name, help), &["type"]));
        let grpc = HistogramOpts::new(metric::GRPC_DURATION, "Bucketed histogram of grpc server messages")
            .buckets(exponential_buckets(0.000_05, 2.0, 22)?);
        let slow = gauge(metric::SLOW_SCORE, "Slow score of the store.")?;
        for part in ["raft", "kvdb", "network"] {
            slow.with_label_values(&[part]).set(1.0);
        }
        let info = Opts::new(
            metric::SERVER_INFO,
            "Indicate the tikv server info, and the value is the server startup timestamp(s).",
        );
        known(Gauge::with_opts(info.const_label("version", VERSION).const_label("hash", "")))?.set(*STARTED as f64);
        let metrics = Self {
            grpc: known(HistogramVec::new(grpc, &["type", "priority"]))?,
            grpc_failed: counter(metric::GRPC_FAILURES, "Total number of handle grpc message failure", &["type"])?,
            sent: counter(metric::SENT_MESSAGES, "Total number of raft ready sent messages.", &["type", "status"])?,
            dropped: counter(metric::DROPPED_MESSAGES, "Total number of raft dropped messages.", &["type"])?,
            failures: counter(
                metric::REPORT_FAILURE,
                "Total number of reporting failure messages",
                &["type", "store_id"],
            )?,
            regions: gauge(metric::REGION_COUNT, "Number of regions collected in region_collector")?,
            size: gauge(metric::STORE_SIZE, "Size of storage.")?,
        };
        // Zero is a value; nothing at all looks like a node that can't be read.
        for name in ["raw_get", "raw_put"] {
            metrics.grpc.with_label_values(&[name, "unknown"]);
            metrics.grpc_failed.with_label_values(&[name]);
        }
        Ok(metrics)
    }
}
