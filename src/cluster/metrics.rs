//! What TiKV's `/metrics` says, of the names in [`assumed::metric`](super::assumed::metric) alone. Real TiKV prints
//! about a megabyte each time, so every other line is passed over at its name. Pure: texts and times in, figures out.
//!
//! Format: prometheus.io/docs/instrumenting/exposition_formats. Quantiles as Prometheus' `histogram_quantile`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    assumed::{READS, WRITES, metric},
    state::{Quantiles, StoreMetrics},
};

/// One reading, as the process counts: since its start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    reads: Histogram,
    writes: Histogram,
    append: Histogram,
    commit: Histogram,
    failures: f64,
    asynchronous: Option<Requests>,
    unreachable: BTreeMap<u64, f64>,
    /// What is no counter.
    gauges: StoreMetrics,
}

/// What became of requests at the Raft layer.
#[derive(Debug, Clone, Default, PartialEq)]
struct Requests {
    writes: f64,
    /// Writes that were taken, and that were answered in any way.
    begun: f64,
    ended: f64,
    /// The fewest that were open at any reading of this process: what is counted as begun alone, where a write ended unseen.
    fewest_open: Option<f64>,
    /// By status, reads and writes.
    refused: BTreeMap<String, f64>,
}

/// Series of one histogram added up: how many fell under each bound, the bounds rising.
#[derive(Debug, Clone, Default, PartialEq)]
struct Histogram {
    buckets: Vec<(f64, f64)>,
    count: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Series {
    Grpc(Part),
    Append(Part),
    Commit(Part),
    GrpcFailures,
    AsyncRequests,
    Unreachable,
    RegionCount,
    SlowScore,
    StoreSize,
    Resident,
    ProcessStart,
    ServerInfo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Bucket,
    Count,
}

impl Series {
    /// What a line is about, if it is one to be read. Nearly all are not, which a look at their beginning tells.
    fn of(line: &str) -> Option<Self> {
        let bytes = line.as_bytes();
        if !matches!(bytes, [b't', b'i', b'k', b'v', b'_', b'g' | b'r' | b's', ..] | [b'p', b'r', b'o', ..]) {
            return None;
        }
        let name = bytes.iter().position(|byte| matches!(byte, b'{' | b' ')).map_or(line, |end| &line[..end]);
        let plain = match name {
            metric::GRPC_FAILURES => Self::GrpcFailures,
            metric::ASYNC_REQUESTS => Self::AsyncRequests,
            metric::REPORT_FAILURE => Self::Unreachable,
            metric::REGION_COUNT => Self::RegionCount,
            metric::SLOW_SCORE => Self::SlowScore,
            metric::STORE_SIZE => Self::StoreSize,
            metric::RESIDENT => Self::Resident,
            metric::PROCESS_START => Self::ProcessStart,
            metric::SERVER_INFO => Self::ServerInfo,
            _ => return Self::of_histogram(name),
        };
        Some(plain)
    }

    fn of_histogram(name: &str) -> Option<Self> {
        let (base, part) = match name.strip_suffix("_bucket") {
            Some(base) => (base, Part::Bucket),
            None => (name.strip_suffix("_count")?, Part::Count),
        };
        match base {
            metric::GRPC_DURATION => Some(Self::Grpc(part)),
            metric::APPEND_LOG => Some(Self::Append(part)),
            metric::COMMIT_LOG => Some(Self::Commit(part)),
            _ => None,
        }
    }
}

/// The lines that a reading is made of, and no others.
pub fn only_read(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines().filter(|line| Series::of(line).is_some()) {
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

impl Reading {
    /// Reads what it knows. An error where there is nothing that it knows: then it is no TiKV's.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reading = Self::default();
        let mut known = false;
        for line in text.lines() {
            let Some(series) = Series::of(line) else { continue };
            let Some((labels, value)) = split(line) else { continue };
            known = true;
            reading.take(series, labels, value);
        }
        if known { Ok(reading) } else { Err("answered no metrics of TiKV".to_owned()) }
    }

    fn take(&mut self, series: Series, labels: &str, value: f64) {
        // A gauge that is NaN or infinite says nothing, and neither does such a count.
        if !value.is_finite() || value < 0.0 {
            return;
        }
        let gauges = &mut self.gauges;
        let kind = || label(labels, "type").unwrap_or_default();
        let whole = Some(value as u64);
        match series {
            Series::Grpc(part) => {
                if READS.contains(&kind()) {
                    self.reads.take(part, labels, value);
                } else if WRITES.contains(&kind()) {
                    self.writes.take(part, labels, value);
                }
            }
            Series::Append(part) => self.append.take(part, labels, value),
            Series::Commit(part) => self.commit.take(part, labels, value),
            Series::GrpcFailures => self.failures += value,
            Series::AsyncRequests => self.asynchronous.get_or_insert_default().take(kind(), labels, value),
            Series::Unreachable => {
                if kind() == "unreachable"
                    && let Some(store) = label(labels, "store_id").and_then(|id| id.parse().ok())
                {
                    *self.unreachable.entry(store).or_default() += value;
                }
            }
            Series::RegionCount => match kind() {
                "leader" => gauges.leaders = whole,
                "region" => gauges.regions = whole,
                _ => {}
            },
            // How the node reaches the others; the rest, with no type at all before 7.5, is about its own disk.
            Series::SlowScore if kind() == "network" => gauges.network_slow_score = Some(value),
            Series::SlowScore => gauges.slow_score = Some(gauges.slow_score.map_or(value, |worst| worst.max(value))),
            Series::StoreSize => match kind() {
                "capacity" => gauges.capacity = whole,
                "available" => gauges.available = whole,
                "used" => gauges.used = whole,
                _ => {}
            },
            Series::Resident => gauges.resident = whole,
            Series::ProcessStart => gauges.process_start = Some(value),
            Series::ServerInfo => gauges.version = label(labels, "version").map(str::to_owned),
        }
    }

    /// The figures of this reading, with rates and quantiles over the time since the one before. There are none at
    /// the first reading, and none after a restart, which sets the counters back.
    pub fn since(&self, before: Option<(&Self, Duration)>) -> StoreMetrics {
        let mut figures = self.gauges.clone();
        let Some((before, past)) = before else { return figures };
        let seconds = past.as_secs_f64();
        let restarted = before.gauges.process_start != self.gauges.process_start || self.counts_less_than(before);
        if restarted || seconds <= 0.0 {
            return figures;
        }
        let histogram = |now: &Histogram, before: &Histogram| {
            let grown = now.since(before);
            (Some(grown.count / seconds), grown.quantiles())
        };
        (figures.reads_per_s, figures.read) = histogram(&self.reads, &before.reads);
        (figures.writes_per_s, figures.write) = histogram(&self.writes, &before.writes);
        figures.append = histogram(&self.append, &before.append).1;
        figures.commit = histogram(&self.commit, &before.commit).1;
        figures.failures_per_s = Some((self.failures - before.failures) / seconds);
        if let (Some(now), Some(before)) = (&self.asynchronous, &before.asynchronous) {
            figures.successful_writes_per_s = Some((now.writes - before.writes) / seconds);
            let refused = now.refused.iter().map(|(status, count)| (status, count - before.refused_as(status)));
            let refused =
                refused.filter(|(_, grown)| *grown > 0.0).map(|(status, grown)| (status.clone(), grown / seconds));
            figures.refused_by_reason = refused.collect();
            figures.refused_per_s = Some(figures.refused_by_reason.values().sum());
            figures.waiting_writes = Some((before.begun - now.ended - now.fewest_open(Some(before))).max(0.0) as u64);
        }
        let grown = self.unreachable.iter().map(|(store, count)| {
            let before = before.unreachable.get(store).copied().unwrap_or_default();
            (*store, (count - before) / seconds)
        });
        figures.unreachable_per_s = grown.filter(|(_, rate)| *rate > 0.0).collect();
        figures
    }

    /// Keeps what only all the readings of a process tell; `before` is the last one.
    pub fn follow(&mut self, before: &Self) {
        let before = Some(before).filter(|before| before.gauges.process_start == self.gauges.process_start);
        let before = before.and_then(|before| before.asynchronous.as_ref());
        if let Some(requests) = &mut self.asynchronous {
            requests.fewest_open = Some(requests.fewest_open(before));
        }
    }

    fn counts_less_than(&self, before: &Self) -> bool {
        let less = |now: &Histogram, before: &Histogram| now.count < before.count;
        less(&self.reads, &before.reads)
            || less(&self.writes, &before.writes)
            || less(&self.append, &before.append)
            || less(&self.commit, &before.commit)
            || self.failures < before.failures
            || before
                .asynchronous
                .as_ref()
                .is_some_and(|before| self.asynchronous.as_ref().is_none_or(|now| now.counts_less_than(before)))
            || before.unreachable.iter().any(|(store, count)| self.unreachable.get(store).is_none_or(|now| now < count))
    }
}

impl Requests {
    fn take(&mut self, kind: &str, labels: &str, value: f64) {
        let status = label(labels, "status").unwrap_or_default();
        let is_word = status.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if status.starts_with(metric::REFUSED) && is_word {
            *self.refused.entry(status.to_owned()).or_default() += value;
        } else if status == metric::SUCCESS && kind == "write" {
            self.writes += value;
        }
        if kind == "write" {
            let count = if status == metric::BEGUN { &mut self.begun } else { &mut self.ended };
            *count += value;
        }
    }

    fn fewest_open(&self, before: Option<&Self>) -> f64 {
        let open = |one: &Self| one.fewest_open.unwrap_or(one.begun - one.ended);
        before.map_or(f64::INFINITY, open).min(self.begun - self.ended)
    }

    fn refused_as(&self, status: &str) -> f64 {
        self.refused.get(status).copied().unwrap_or_default()
    }

    fn counts_less_than(&self, before: &Self) -> bool {
        self.writes < before.writes || before.refused.iter().any(|(status, count)| self.refused_as(status) < *count)
    }
}

impl Histogram {
    fn take(&mut self, part: Part, labels: &str, value: f64) {
        if part == Part::Count {
            self.count += value;
            return;
        }
        let bound = label(labels, "le").and_then(|text| text.parse::<f64>().ok()).filter(|bound| !bound.is_nan());
        let Some(bound) = bound else { return };
        // Each series prints its bounds rising, and all series have the same.
        match self.buckets.binary_search_by(|(other, _)| other.total_cmp(&bound)) {
            Ok(at) => self.buckets[at].1 += value,
            Err(at) => self.buckets.insert(at, (bound, value)),
        }
    }

    /// What was added since an earlier reading of the same histogram.
    fn since(&self, before: &Self) -> Self {
        let earlier = |bound: f64| {
            let found = before.buckets.binary_search_by(|(other, _)| other.total_cmp(&bound)).ok()?;
            Some(before.buckets[found].1)
        };
        let buckets = self.buckets.iter();
        let buckets = buckets.map(|(bound, count)| (*bound, count - earlier(*bound).unwrap_or(0.0))).collect();
        Self { buckets, count: self.count - before.count }
    }

    fn quantiles(&self) -> Option<Quantiles> {
        Some(Quantiles { p50: self.quantile(0.5)?, p99: self.quantile(0.99)? })
    }

    /// Interpolated within the bucket that it falls in; above the highest finite bound it is that bound.
    fn quantile(&self, quantile: f64) -> Option<f64> {
        // The readings of the buckets are not one moment's: a higher one may lag behind a lower.
        let mut highest = 0.0_f64;
        let rising = self.buckets.iter().map(|(bound, count)| {
            highest = highest.max(*count);
            (*bound, highest)
        });
        let buckets: Vec<(f64, f64)> = rising.collect();
        let total = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let rank = quantile * total;
        let at = buckets.iter().position(|(_, count)| *count >= rank && *count > 0.0)?;
        let (bound, count) = buckets[at];
        let (lower, under) = at.checked_sub(1).map_or((0.0, 0.0), |before| buckets[before]);
        if bound.is_infinite() {
            return Some(lower).filter(|lower| lower.is_finite());
        }
        if bound <= 0.0 || count <= under {
            return Some(bound);
        }
        Some(lower + (bound - lower) * (rank - under).max(0.0) / (count - under))
    }
}

/// The labels and the value of a line such as `name{a="b"} 1.5` or `name 1.5`, with a time behind or not.
fn split(line: &str) -> Option<(&str, f64)> {
    let (labels, rest) = match (line.find('{'), line.rfind('}')) {
        (Some(open), Some(close)) if open < close => (&line[open + 1..close], &line[close + 1..]),
        _ => ("", line.split_once(' ')?.1),
    };
    Some((labels, rest.split_whitespace().next()?.parse().ok()?))
}

/// One label's value, as it is spelt.
fn label<'a>(mut labels: &'a str, name: &str) -> Option<&'a str> {
    loop {
        let (key, rest) = labels.split_once('=')?;
        let rest = rest.trim_start().strip_prefix('"')?;
        let mut escaped = false;
        let end = rest.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        })?;
        if key.trim_matches([',', ' ']) == name {
            return Some(&rest[..end]);
        }
        labels = &rest[end + 1..];
    }
}

#[cfg(test)]
mod tests;
