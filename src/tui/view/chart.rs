//! The last minutes of a cluster's figures, put into columns of whole seconds that do not shift as time goes on, and the
//! injections that fell into them.

use crate::{
    chaos::FaultType,
    tui::{Model, model::Link, watched::SECONDS},
};

/// Seconds that one column may stand for.
const STEPS: [i64; 7] = [1, 2, 5, 10, 15, 30, 60];
/// What is shown at least, and beside the oldest injection in it.
const LEAST: i64 = 120;
const BESIDE: i64 = 30;

pub struct Chart<'a> {
    pub columns: usize,
    /// Seconds in a column.
    pub step: i64,
    /// By column; `None` where nothing was read.
    pub throughput: Vec<Option<f64>>,
    pub p99: Vec<Option<f64>>,
    pub spans: Vec<Span<'a>>,
}

/// An injection as the chart shows it.
pub struct Span<'a> {
    pub kind: FaultType,
    /// Where it was.
    pub name: &'a str,
    pub from: usize,
    pub until: usize,
    pub open: bool,
}

impl<'a> Chart<'a> {
    pub fn new(model: &'a Model, cluster: &str, columns: usize) -> Option<Self> {
        let watched = model.clusters.get(cluster)?;
        let columns = columns.max(1);
        let count = i64::try_from(columns).unwrap_or(i64::MAX);
        let now = model.now.as_second().max(watched.history(1).last().map_or(0, |point| point.second));
        let followed = || model.followed.iter().filter(|one| one.cluster == cluster);
        let oldest = followed().map(|one| now - one.track.began.as_second() + BESIDE).max().unwrap_or(0);
        let wanted = oldest.max(LEAST).min(i64::try_from(SECONDS).unwrap_or(i64::MAX));
        let step = STEPS.into_iter().find(|step| step * count >= wanted).unwrap_or(STEPS[STEPS.len() - 1]);
        let last = now.div_euclid(step);
        let column = |second: i64| {
            let back = last - second.div_euclid(step);
            usize::try_from(count - 1 - back).ok().filter(|at| *at < columns)
        };
        let mut chart =
            Self { columns, step, throughput: vec![None; columns], p99: vec![None; columns], spans: Vec::new() };
        let mut counts = vec![0.0; columns];
        let mut first = None;
        for point in watched.history(step * count) {
            let Some(at) = column(point.second) else { continue };
            first.get_or_insert(at);
            if let Some(rate) = point.throughput {
                counts[at] += 1.0;
                let mean = chart.throughput[at].unwrap_or(0.0);
                chart.throughput[at] = Some(mean + (rate - mean) / counts[at]);
            }
            if let Some(p99) = point.p99 {
                chart.p99[at] = Some(chart.p99[at].unwrap_or(0.0).max(p99));
            }
        }
        // Before anybody looked there is no gap, there is nothing.
        for at in 0..first.unwrap_or(columns) {
            (chart.throughput[at], chart.p99[at]) = (Some(0.0), Some(0.0));
        }
        chart.spans = followed()
            .filter_map(|one| {
                let track = &one.track;
                let until = track.ended.map_or(Some(columns - 1), |ended| column(ended.as_second()))?;
                let from = column(track.began.as_second()).unwrap_or(0).min(until);
                Some(Span { kind: track.kind, name: &track.name, from, until, open: track.ended.is_none() })
            })
            .collect();
        Some(chart)
    }
}

/// The greatest of the values.
pub fn most(values: &[Option<f64>]) -> f64 {
    values.iter().flatten().copied().filter(|value| value.is_finite()).fold(0.0, f64::max)
}

/// The newest figures, if they are of now.
pub fn newest(model: &Model, cluster: &str) -> (Option<f64>, Option<f64>) {
    let last = model.clusters.get(cluster).and_then(|watched| watched.history(1).last());
    let fresh = last.filter(|last| model.now.as_second() - last.second <= 3 && matches!(model.link, Link::Up { .. }));
    fresh.map_or((None, None), |point| (point.throughput, point.p99))
}
