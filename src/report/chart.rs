//! The timeline as a picture: injections as bars under the cluster's throughput, over one axis of time. Inline SVG whose
//! colours are the page's. An element of SVG is always closed (`{}`): in HTML only HTML's own may be left open.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::{Report, Told, offset};

const WIDTH: i64 = 960;
const LEFT: i64 = 190;
const RIGHT: i64 = 36;
const TOP: i64 = 12;
const CURVE: i64 = 110;
const ROW: i64 = 24;
const BAR: i64 = 14;
const TICKS: i64 = 6;

struct Axis {
    start: Timestamp,
    millis: i64,
}

impl Axis {
    fn x(&self, at: Timestamp) -> i64 {
        let passed = at.as_millisecond().saturating_sub(self.start.as_millisecond()).clamp(0, self.millis);
        LEFT + i64::try_from(i128::from(passed) * i128::from(WIDTH - LEFT - RIGHT) / i128::from(self.millis))
            .unwrap_or(0)
    }
}

/// Nothing where nothing was injected.
pub fn timeline(report: &Report) -> Markup {
    let rows = i64::try_from(report.injections.len()).unwrap_or(0);
    if rows == 0 {
        return html! {};
    }
    let readings = &report.throughput;
    let start = readings.first().map_or(report.started_at, |first| first.at.min(report.started_at));
    let axis = Axis { start, millis: (report.until.as_millisecond() - start.as_millisecond()).max(1_000) };
    let curve = if readings.is_empty() { 0 } else { CURVE };
    let foot = TOP + curve + rows * ROW;
    let height = foot + 28;
    let label = format!("{} injections over time", report.injections.len());
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(label) xmlns="http://www.w3.org/2000/svg" {
            @for tick in 0..=TICKS {
                @let at = axis.start + SignedDuration::from_millis(axis.millis / TICKS * tick);
                line class="grid" x1=(axis.x(at)) x2=(axis.x(at)) y1=(TOP) y2=(foot) {}
                text class="axis" x=(axis.x(at)) y=(foot + 18) text-anchor="middle" { (tick_label(report, at)) }
            }
            @if curve > 0 { (throughput(report, &axis)) }
            @for (row, one) in (0_i64..).zip(&report.injections) {
                (bar(report, one, &axis, TOP + curve + row * ROW))
            }
        }
    }
}

/// Counted from the session's start; what was read before it has a minus.
fn tick_label(report: &Report, at: Timestamp) -> String {
    if at < report.started_at {
        offset(at, report.started_at).replacen('+', "-", 1)
    } else {
        offset(report.started_at, at)
    }
}

fn throughput(report: &Report, axis: &Axis) -> Markup {
    let most = report.throughput.iter().map(|one| one.ops_per_s).max().unwrap_or(0).max(1);
    let room = CURVE - 20;
    let y = |ops: u64| {
        TOP + room - i64::try_from(u128::from(ops) * u128::from(room.unsigned_abs()) / u128::from(most)).unwrap_or(0)
    };
    let points: Vec<String> =
        report.throughput.iter().map(|one| format!("{},{}", axis.x(one.at), y(one.ops_per_s))).collect();
    html! {
        text class="name" x="0" y=(TOP + 12) { "operations a second" }
        text class="axis" x=(LEFT - 8) y=(TOP + 12) text-anchor="end" { (most) }
        text class="axis" x=(LEFT - 8) y=(TOP + room) text-anchor="end" { "0" }
        polyline class="curve" points=(points.join(" ")) {}
    }
}

fn bar(report: &Report, one: &Told, axis: &Axis, top: i64) -> Markup {
    let from = axis.x(one.began_at.unwrap_or(one.asked_at));
    let to = axis.x(one.ended_at.unwrap_or(report.until));
    let class = if one.ended_at.is_none() {
        "bar open"
    } else if one.began_at.is_none() {
        "bar failed"
    } else {
        "bar"
    };
    let name: String = format!("{} {}", one.chaos_type, one.target).chars().take(28).collect();
    html! {
        text class="name" x="0" y=(top + BAR - 1) { (name) }
        rect class=(class) x=(from) y=(top) width=((to - from).max(3)) height=(BAR) rx="3" {
            title { (one.what) ", " (one.times(report.started_at)) ": " (one.end) }
        }
    }
}
