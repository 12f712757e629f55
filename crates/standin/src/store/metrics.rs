//! What a store counts, under real TiKV's names, labels and buckets.

use std::time::Duration;

use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, core::Collector,
    exponential_buckets, register,
};

use super::serve::STATUSES;
use crate::{STARTED, behaviour::Behaviour, raft::Timings};
use tikv_chaos_core::assumed::metric;

#[derive(Clone)]
pub struct Metrics {
    /// By the labels that the version has.
    grpc: HistogramVec,
    grpc_has_priority: bool,
    pub grpc_failed: IntCounterVec,
    /// By `type` and `status`.
    pub requests: IntCounterVec,
    /// Of the network, where the version has it.
    pub network_score: Option<Gauge>,
    /// By `target` and `source`, the stores' ids, likewise.
    pub network_took: Option<HistogramVec>,
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
    pub fn register(timings: &Timings, behaviour: &Behaviour) -> Result<Self, Error> {
        for histogram in [&timings.append, &timings.commit, &timings.apply] {
            register(Box::new(histogram.clone()))?;
        }
        let counter = |name, help, labels: &[&str]| known(IntCounterVec::new(Opts::new(name, help), labels));
        let gauge = |name, help| known(GaugeVec::new(Opts::new(name, help), &["type"]));
        let grpc = HistogramOpts::new(metric::GRPC_DURATION, "Bucketed histogram of grpc server messages")
            .buckets(exponential_buckets(0.000_05, 2.0, 22)?);
        let parts = behaviour.slow_scores();
        let labels: &[&str] = if parts.is_empty() { &[] } else { &["type"] };
        let slow = known(GaugeVec::new(Opts::new(metric::SLOW_SCORE, "Slow score of the store."), labels))?;
        if parts.is_empty() {
            slow.with_label_values::<&str>(&[]).set(1.0);
        }
        parts.iter().for_each(|part| slow.with_label_values(&[part]).set(1.0));
        let grpc_labels = behaviour.grpc_labels();
        let has_network = behaviour.has_network_score();
        let inspected = || {
            let opts =
                HistogramOpts::new(metric::INSPECT_NETWORK, "Bucketed histogram of inspecting network duration.");
            known(HistogramVec::new(opts.buckets(exponential_buckets(0.000_01, 2.0, 26)?), &["target", "source"]))
        };
        let info = Opts::new(
            metric::SERVER_INFO,
            "Indicate the tikv server info, and the value is the server startup timestamp(s).",
        );
        known(Gauge::with_opts(info.const_label("version", behaviour.to_string()).const_label("hash", "")))?
            .set(*STARTED as f64);
        let metrics = Self {
            grpc: known(HistogramVec::new(grpc, &grpc_labels))?,
            grpc_has_priority: grpc_labels.contains(&"priority"),
            requests: counter(
                metric::ASYNC_REQUESTS,
                "Total number of engine asynchronous requests",
                &["type", "status"],
            )?,
            network_score: has_network.then(|| slow.with_label_values(&["network"])),
            network_took: has_network.then(inspected).transpose()?,
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
            metrics.grpc_of(name);
            metrics.grpc_failed.with_label_values(&[name]);
        }
        for kind in ["write", "snapshot"] {
            STATUSES.iter().for_each(|status| drop(metrics.requests.with_label_values(&[kind, status])));
        }
        Ok(metrics)
    }

    fn grpc_of(&self, name: &str) -> Histogram {
        if self.grpc_has_priority {
            self.grpc.with_label_values(&[name, "unknown"])
        } else {
            self.grpc.with_label_values(&[name])
        }
    }

    pub fn grpc_took(&self, name: &str, took: Duration) {
        self.grpc_of(name).observe(took.as_secs_f64());
    }
}
