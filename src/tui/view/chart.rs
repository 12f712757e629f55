//! The last minutes of a cluster's figures, put into columns of whole seconds that do not shift as time goes on, and the
//! injections that fell into them.

use crate::{
    chaos::FaultType,
    tui::{Model, model::Link, watched::SECONDS},
};

/// Seconds that one column may stand for.
const STEPS: [i64; 9] = [1, 2, 5, 10, 15, 30, 60, 120, 300];
/// What is shown at least, and beside the oldest injection in it.
const LEAST: i64 = 120;
const BESIDE: i64 = 30;

pub struct Chart<'a> {
    pub columns: usize,
    /// Seconds in a column.
    pub step: i64,
    /// The last column, counted in steps since 1970.
    last: i64,
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
    /// The last minutes, as far back as the oldest injection that is still looked at.
    pub fn new(model: &'a Model, cluster: &str, columns: usize) -> Option<Self> {
        model.clusters.get(cluster)?;
        let followed = || model.followed.iter().filter(|one| one.cluster == cluster);
        let now = model.now.as_second();
        let oldest = followed().map(|one| now - one.track.began.as_second() + BESIDE).max().unwrap_or(0);
        let wanted = oldest.max(LEAST).min(i64::try_from(SECONDS).unwrap_or(i64::MAX));
        let mut chart = Self::over(model, cluster, columns, wanted);
        let spans = followed().filter_map(|one| {
            let track = &one.track;
            let until = track.ended.map_or(Some(chart.columns - 1), |ended| chart.column(ended.as_second()))?;
            let from = chart.column(track.began.as_second()).unwrap_or(0).min(until);
            Some(Span { kind: track.kind, name: &track.name, from, until, open: track.ended.is_none() })
        });
        chart.spans = spans.collect();
        Some(chart)
    }

    /// The last so many seconds at least, without the injections.
    pub fn over(model: &Model, cluster: &str, columns: usize, wanted: i64) -> Self {
        let columns = columns.max(1);
        let count = i64::try_from(columns).unwrap_or(i64::MAX);
        let history = |seconds| model.clusters.get(cluster).into_iter().flat_map(move |one| one.history(seconds));
        let now = model.now.as_second().max(history(1).last().map_or(0, |point| point.second));
        let step = STEPS.into_iter().find(|step| step * count >= wanted).unwrap_or(STEPS[STEPS.len() - 1]);
        let (throughput, p99) = (vec![None; columns], vec![None; columns]);
        let mut chart = Self { columns, step, last: now.div_euclid(step), throughput, p99, spans: Vec::new() };
        let mut counts = vec![0.0; columns];
        let mut first = None;
        for point in history(step * count) {
            let Some(at) = chart.column(point.second) else { continue };
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
        chart
    }

    /// The column of that second, if it is in the chart.
    pub fn column(&self, second: i64) -> Option<usize> {
        let back = usize::try_from(self.last - second.div_euclid(self.step)).ok()?;
        (self.columns - 1).checked_sub(back)
    }

    /// The seconds since 1970 with which it begins and ends.
    pub fn ends(&self) -> (i64, i64) {
        let count = i64::try_from(self.columns).unwrap_or(i64::MAX);
        ((self.last + 1).saturating_sub(count) * self.step, (self.last + 1) * self.step)
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
