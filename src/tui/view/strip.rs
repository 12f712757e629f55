//! The cluster of the selected node in one row, or, where there is room, as a chart: who leads PD, how many stores are
//! up, and throughput and delay before, during and after each injection.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{
    chart::{Chart, most, newest},
    header::counted,
    pen::Pen,
};
use crate::{
    cluster::{ClusterState, assumed},
    tui::{
        Model,
        figures::{delay, rate},
        text::{coarse_span, fit, span, width},
        widgets::spark::bars,
    },
};

/// `ops/s   1.2k  `
const LABEL: usize = 14;
/// `  max 1.4k`
const SCALE: usize = 13;
/// As many injections as a row of the chart can tell apart.
const MOST_SPANS: usize = 12;
/// A line at its usual height should not be a wall.
const HEADROOM: f64 = 1.3;

/// Rows for a screen of that size; none where no cluster says anything of itself.
pub fn rows_wanted(model: &Model, screen: Rect, boxed: bool) -> u16 {
    let known = model.selected_cluster().is_some_and(|cluster| model.state_of(cluster).is_some());
    match (known, boxed) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) if screen.height < 50 => 5,
        (true, true) => 7,
    }
}

pub fn draw(pen: &mut Pen, area: Rect) {
    let model = pen.model;
    let Some(cluster) = model.selected_cluster() else { return };
    let Some(state) = model.state_of(cluster).filter(|_| !area.is_empty()) else { return };
    if area.height < 5 {
        return in_a_row(pen, area, cluster, state);
    }
    let mut title = vec![Span::styled(" CLUSTER ", pen.theme.strong())];
    for (text, style) in summary(pen, state) {
        title.push(Span::styled(pen.glyphs.rule(false), pen.theme.frame(false)));
        title.push(Span::styled(format!(" {text} "), style));
    }
    let inner = pen.frame(area, Line::from(title));
    let columns = usize::from(inner.width).saturating_sub(LABEL + SCALE);
    let Some(chart) = Chart::new(model, cluster, columns) else { return };
    let rows = (inner.height - 1) / 2;
    let (throughput, p99) = newest(model, cluster);
    figure(pen, Rect { height: rows, ..inner }, ("ops/s", throughput, rate), &chart.throughput, pen.theme.throughput());
    let below = Rect { y: inner.y + rows, height: rows, ..inner };
    figure(pen, below, ("p99", p99, delay), &chart.p99, pen.theme.delay());
    let bottom = Pen::row(inner, inner.height - 1);
    let seconds = chart.step * i64::try_from(chart.columns).unwrap_or(0);
    pen.line(bottom, Span::styled(format!("last {}", coarse_span(seconds)), pen.theme.dim()));
    let x = inner.x + u16::try_from(LABEL).unwrap_or(0);
    spans(pen, Rect { x, width: inner.width.saturating_sub(x - inner.x), ..bottom }, &chart);
}

/// `! refused 12/s: disk_full`, where there are any; of several reasons the most frequent.
fn refusals(pen: &Pen, state: &ClusterState) -> Option<(String, Style)> {
    let refused = state.refused();
    let all: f64 = refused.values().sum();
    let (reason, _) = refused.into_iter().max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    let reason = reason.trim_start_matches(assumed::metric::REFUSED);
    // After each election a client or two ask the wrong node.
    let few = state.throughput().is_some_and(|served| all < served / 10.0);
    let style = if few { pen.theme.warn() } else { pen.theme.bad() };
    Some((format!("! refused {}/s: {}", rate(all), fit(pen.glyphs, reason, 24)), style))
}

/// `! 64 writes waiting`, of those that have waited for longer than it is from one reading to the next.
fn waiting(pen: &Pen, state: &ClusterState) -> Option<(String, Style)> {
    let count = usize::try_from(state.waiting_writes()).unwrap_or(usize::MAX);
    (count > 0).then(|| (format!("! {} waiting", counted(count, "write")), pen.theme.bad()))
}

/// What is said of the cluster as a whole, the gravest as a word with a sign.
fn summary(pen: &Pen, state: &ClusterState) -> Vec<(String, Style)> {
    let (model, theme) = (pen.model, pen.theme);
    let mut said = Vec::new();
    let stale = state.pd.error.is_some();
    let known = if stale { theme.dim() } else { theme.plain() };
    let Some(pd) = &state.pd.value else {
        said.push(("! no PD answers".to_owned(), theme.bad()));
        said.extend(refusals(pen, state));
        said.extend(waiting(pen, state));
        return said;
    };
    said.push(match (&pd.leader, state.pd.age(model.now)) {
        (_, Some(age)) if stale => {
            (format!("! no PD answers, last {} ago", span(i64::try_from(age.as_secs()).unwrap_or(0))), theme.bad())
        }
        (None, _) => ("! PD has no leader".to_owned(), theme.bad()),
        (Some(leader), _) => (format!("PD {}", fit(pen.glyphs, leader, 16)), known),
    });
    let up = pd.stores.iter().filter(|store| store.state_name == assumed::UP).count();
    let all = pd.stores.iter().filter(|store| store.state_name != assumed::TOMBSTONE).count();
    let (sign, style) = if up < all { ("!", theme.warn()) } else { (pen.glyphs.on(), theme.good()) };
    said.push((format!("{sign} {up}/{all} stores up"), if stale { theme.dim() } else { style }));
    match pd.regions_without_quorum {
        Some(0) => said.push(("all regions have a quorum".to_owned(), known)),
        Some(count) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let style = if stale { theme.dim() } else { theme.bad() };
            said.push((format!("! {} without a quorum", counted(count, "region")), style));
        }
        None => {}
    }
    said.extend(refusals(pen, state));
    said.extend(waiting(pen, state));
    said
}

/// A name, the value of now, the bars, and what the highest of them stands for.
fn figure(
    pen: &mut Pen,
    area: Rect,
    (name, now, text): (&str, Option<f64>, fn(f64) -> String),
    values: &[Option<f64>],
    style: Style,
) {
    let most = most(values);
    let now = now.map_or_else(|| "-".to_owned(), text);
    // The figures stand beside the foot of the bars.
    let foot = Pen::row(area, area.height - 1);
    pen.line(
        foot,
        Line::from(vec![Span::raw(format!("{name:<5}")), Span::styled(format!("{now:>7}"), pen.theme.strong())]),
    );
    let x = area.x + u16::try_from(LABEL).unwrap_or(0);
    for (bar, row) in bars(values, most * HEADROOM, area.height, pen.glyphs).into_iter().zip(0..) {
        let place = Pen::row(area, row);
        pen.line(Rect { x, width: place.width.saturating_sub(x - place.x), ..place }, Span::styled(bar, style));
    }
    if most > 0.0 {
        pen.line_right(Pen::row(area, 0), Span::styled(format!("max {:>7}", text(most)), pen.theme.dim()));
    }
}

/// Each injection as a line from its beginning to its end, with its name on it, behind it, or before it.
fn spans(pen: &mut Pen, area: Rect, chart: &Chart) {
    let glyphs = pen.glyphs;
    // In one row the later ones lie over the earlier: more than these would not be seen.
    let hidden = chart.spans.len().saturating_sub(MOST_SPANS);
    for one in chart.spans.iter().skip(hidden) {
        let style = if one.open { pen.theme.warn() } else { pen.theme.dim() };
        let long = one.until - one.from + 1;
        let end = if one.open { glyphs.span_on() } else { glyphs.span_end() };
        let name = format!(" {} {} ", one.kind, glyphs.clean(one.name));
        let rule = |count: usize| glyphs.rule(false).repeat(count);
        let bare = match long {
            1 if one.open => end.to_owned(),
            1 => glyphs.vertical().to_owned(),
            _ => format!("{}{}{end}", glyphs.span_begin(), rule(long - 2)),
        };
        let taken = width(&name);
        let (from, text) = if taken + 4 <= long {
            (one.from, format!("{}{}{name}{}{end}", glyphs.span_begin(), rule(1), rule(long - taken - 3)))
        } else if one.until + 1 + taken <= chart.columns {
            (one.from, bare + &name)
        } else if let Some(from) = one.from.checked_sub(taken) {
            (from, name + &bare)
        } else {
            (one.from, bare)
        };
        let x = area.x + u16::try_from(from).unwrap_or(u16::MAX).min(area.width);
        pen.line(Rect { x, width: area.right() - x, ..area }, Span::styled(text, style));
    }
}

fn in_a_row(pen: &mut Pen, area: Rect, cluster: &str, state: &ClusterState) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let (throughput, p99) = newest(pen.model, cluster);
    let mut line: Vec<Span> = Vec::new();
    let mut taken = 0;
    for (text, style) in summary(pen, state) {
        // That all is well with the regions can be left out, that it is not cannot.
        if text.starts_with("all ") || taken + width(&text) + 2 > usize::from(area.width) {
            continue;
        }
        taken += width(&text) + 2;
        line.push(Span::styled(text, style));
        line.push(Span::raw("  "));
    }
    let value = |value: Option<f64>, text: fn(f64) -> String| value.map_or_else(|| "-".to_owned(), text);
    let figures = [format!("{:>5}/s ", value(throughput, rate)), format!("p99 {:>6} ", value(p99, delay))];
    let room =
        usize::from(area.width).saturating_sub(taken + figures.iter().map(|text| width(text)).sum::<usize>() + 2);
    let columns = (room / 2).min(40);
    let chart = (columns >= 6).then(|| Chart::new(pen.model, cluster, columns)).flatten();
    let styles = [pen.theme.throughput(), pen.theme.delay()];
    for (at, text) in figures.into_iter().enumerate() {
        if taken + width(&text) > usize::from(area.width) {
            break;
        }
        taken += width(&text) + columns + 2;
        line.push(Span::styled(text, pen.theme.strong()));
        if let Some(chart) = &chart {
            let values = if at == 0 { &chart.throughput } else { &chart.p99 };
            line.extend(marked(pen, values, chart, styles[at]));
            line.push(Span::raw("  "));
        }
    }
    pen.line(area, Line::from(line));
}

/// One row of bars with a bracket where an injection began and where it ended.
fn marked(pen: &Pen, values: &[Option<f64>], chart: &Chart, style: Style) -> Vec<Span<'static>> {
    let bar = bars(values, most(values) * HEADROOM, 1, pen.glyphs).concat();
    let mut marks = vec![None; chart.columns];
    for one in &chart.spans {
        if !one.open {
            marks[one.until] = marks[one.until].or(Some("]"));
        }
        marks[one.from] = Some("[");
    }
    let mut spans: Vec<Span> = Vec::new();
    let mut run = String::new();
    for (at, c) in bar.chars().enumerate() {
        if let Some(mark) = marks.get(at).copied().flatten() {
            spans.push(Span::styled(std::mem::take(&mut run), style));
            spans.push(Span::styled(mark, pen.theme.strong()));
        } else {
            run.push(c);
        }
    }
    spans.push(Span::styled(run, style));
    spans
}
