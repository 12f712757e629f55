//! The two metrics of the process itself that readers of TiKV look at, under Prometheus's own names.

use std::fs;

use prometheus::{
    Gauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
    register,
};

use super::STARTED;
use tikv_chaos_core::assumed::metric;

struct Process {
    started: Gauge,
    resident: Gauge,
}

/// Makes them known to the process's registry. Once in a process.
pub fn register_metrics() -> prometheus::Result<()> {
    let started = Opts::new(metric::PROCESS_START, "Start time of the process since unix epoch in seconds.");
    let resident = Opts::new(metric::RESIDENT, "Resident memory size in bytes.");
    let process = Process { started: Gauge::with_opts(started)?, resident: Gauge::with_opts(resident)? };
    process.started.set(*STARTED as f64);
    register(Box::new(process))
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        [&self.started, &self.resident].into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // What cannot be read is left out.
        let resident = resident_bytes().map(|bytes| self.resident.set(bytes as f64));
        let mut metrics = self.started.collect();
        metrics.extend(resident.map(|()| self.resident.collect()).unwrap_or_default());
        metrics
    }
}

/// `VmRSS` of `/proc/self/status` (proc_pid_status(5)), which is in units of 1024 bytes.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
