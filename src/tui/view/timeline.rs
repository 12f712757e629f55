//! The session as a whole: the cluster's throughput over it, and every injection as a bar below, the newest first.

use jiff::Timestamp;
use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{
    chart::{Chart, most, newest},
    pen::Pen,
    popup,
};
use crate::tui::{
    figures::rate,
    follow::Past,
    keys::Context,
    text::{fit_end, minutes, pad, span, width},
    watched::KEPT,
    widgets::spark::bars,
};

/// The widest that the injections' names need.
const LABEL: u16 = 44;
/// `ops/s 1.2k`
const LEAST_LABEL: usize = 16;
/// The rows of the throughput, where there is room.
const BARS: u16 = 12;
/// What a short session is stretched to.
const LEAST: i64 = 120;

pub fn draw(pen: &mut Pen, screen: Rect) {
    let model = pen.model;
    let title = model.selected_cluster().map_or_else(String::new, |cluster| format!(" of {cluster}"));
    let title = format!("This session{title}");
    let Some(cluster) = model.selected_cluster() else {
        let inner = pen.popup(screen, &title, u16::MAX, 5);
        pen.line(inner, "No node was seen yet.");
        return buttons(pen, inner, "");
    };
    let injections = model.timeline(cluster);
    let rows = (screen.height / 3).clamp(1, BARS);
    let listed = u16::try_from(injections.len().max(1)).unwrap_or(u16::MAX);
    // The frame, the axis, and the buttons with a gap above them.
    let inner = pen.popup(screen, &title, u16::MAX, listed.saturating_add(rows + 5));
    // `16:28:31 `, the type, the node.
    let longest = injections.iter().map(|one| 11 + one.kind.name().len() + width(&one.name)).max().unwrap_or(0);
    let label = u16::try_from(longest.max(LEAST_LABEL)).unwrap_or(u16::MAX).min(LABEL).min(inner.width / 2);
    let columns = usize::from(inner.width.saturating_sub(label));
    let age = |at: Timestamp| model.now.as_second() - at.as_second();
    let oldest = injections.iter().map(|one| age(one.began)).fold(age(model.began), i64::max);
    let chart = Chart::over(model, cluster, columns, oldest.clamp(LEAST, KEPT));
    let right = |row: Rect| Rect { x: row.x + label, width: row.width.saturating_sub(label), ..row };
    let (throughput, _) = newest(model, cluster);
    let now = throughput.map_or_else(|| "-".to_owned(), rate);
    let high = most(&chart.throughput);
    if high > 0.0 {
        pen.line(Pen::row(inner, 0), Span::styled(format!("max {}", rate(high)), pen.theme.dim()));
    }
    pen.line(Pen::row(inner, rows - 1), Span::styled(format!("ops/s {now}"), pen.theme.strong()));
    for (bar, row) in bars(&chart.throughput, high, rows, pen.glyphs).into_iter().zip(0..) {
        pen.line(right(Pen::row(inner, row)), Span::styled(bar, pen.theme.throughput()));
    }
    axis(pen, right(Pen::row(inner, rows)), &chart);
    let list = Rect { y: inner.y + rows + 1, height: inner.height.saturating_sub(rows + 3), ..inner };
    let lines: Vec<Line> = injections.iter().rev().map(|one| bar(pen, &chart, one, usize::from(label))).collect();
    if lines.is_empty() {
        pen.line(list, Span::styled("Nothing was injected.", pen.theme.dim()));
    }
    let all = lines.len();
    popup::scrolled(pen, list, lines);
    let last = model.scroll.min(pen.hits.popup) + usize::from(list.height);
    let place = if pen.hits.popup > 0 { format!("injection {last} of {all}") } else { String::new() };
    buttons(pen, inner, &place);
}

fn buttons(pen: &mut Pen, inner: Rect, place: &str) {
    let end = Pen::row(inner, inner.height.saturating_sub(1));
    let offered = if pen.hits.popup > 0 { 3 } else { 1 };
    popup::buttons(pen, end, Context::Popup, offered, pen.theme.plain());
    pen.line_right(end, Span::styled(place, pen.theme.dim()));
}

/// When it begins and ends, and what a column is.
fn axis(pen: &mut Pen, row: Rect, chart: &Chart) {
    let zone = &pen.model.options.time_zone;
    let time = |second| {
        let at = Timestamp::from_second(second).unwrap_or_default();
        at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
    };
    let (from, until) = chart.ends();
    let (from, until) = (time(from), time(until));
    let step = format!("{} a column", span(chart.step));
    let room = usize::from(row.width).saturating_sub(from.len() + until.len());
    let middle = if width(&step) + 2 <= room { step } else { String::new() };
    pen.line(row, Span::styled(format!("{from}{middle:^room$}{until}"), pen.theme.dim()));
}

fn bar<'l>(pen: &Pen, chart: &Chart, one: &Past, label: usize) -> Line<'l> {
    let (glyphs, theme) = (pen.glyphs, pen.theme);
    let time = one.began.to_zoned(pen.model.options.time_zone.clone()).strftime("%H:%M:%S");
    // The names of a cluster's nodes differ at their end.
    let before = format!("{time} {} ", one.kind);
    let name = fit_end(glyphs, &one.name, label.saturating_sub(width(&before) + 1));
    let name = pad(glyphs, &(before + &name), label.saturating_sub(1));
    let until = one.ended.unwrap_or(pen.model.now).max(one.began);
    let style = if one.ended.is_none() { theme.warn() } else { theme.plain() };
    // What goes on counts seconds only where things may move.
    let told = if one.ended.is_none() && !pen.model.options.motion { minutes } else { span };
    let lasted = told(until.as_second() - one.began.as_second());
    let word = if one.ended.is_none() { format!("open, {lasted}") } else { lasted };
    let (from, to) = (chart.column(one.began.as_second()).unwrap_or(0), chart.column(until.as_second()).unwrap_or(0));
    let end = if one.ended.is_none() { glyphs.span_on() } else { glyphs.span_end() };
    let drawn = match to.saturating_sub(from) {
        0 => end.to_owned(),
        long => format!("{}{}{end}", glyphs.span_begin(), glyphs.track_before().repeat(long - 1)),
    };
    let taken = width(&word) + 1;
    let (before, word_before, word_after) = match (to + 1 + taken <= chart.columns, from.checked_sub(taken)) {
        (true, _) => (from, String::new(), format!(" {word}")),
        (false, Some(before)) => (before, format!("{word} "), String::new()),
        (false, None) => (from, String::new(), String::new()),
    };
    Line::from(vec![
        Span::raw(format!("{name} {}", " ".repeat(before))),
        Span::styled(word_before, theme.dim()),
        Span::styled(drawn, style),
        Span::styled(word_after, theme.dim()),
    ])
}
