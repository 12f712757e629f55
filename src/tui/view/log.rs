//! The last things that happened, the newest at the bottom.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{layout::PaneArea, pen::Pen};
use crate::tui::{Level, text::wrap};

/// `12:21:47 error `
const LEAD: usize = 15;

pub fn draw(pen: &mut Pen, place: PaneArea) {
    let model = pen.model;
    let going_on = model.progress.as_deref().or(model.injecting.as_deref()).unwrap_or_default();
    let note = if model.log.scroll > 0 { format!("{} below", model.log.scroll) } else { String::new() };
    let inner = pen.pane(place, going_on, &note);
    let height = usize::from(inner.height);
    let mut lines: Vec<Line> = Vec::new();
    for entry in &model.log.entries {
        let time = entry.at.to_zoned(model.options.time_zone.clone()).strftime("%H:%M:%S").to_string();
        let style = level_style(pen, entry.level);
        for (at, text) in
            wrap(pen.glyphs, &entry.text, usize::from(inner.width).saturating_sub(LEAD)).into_iter().enumerate()
        {
            lines.push(if at == 0 {
                Line::from(vec![
                    Span::styled(format!("{time} "), pen.theme.dim()),
                    Span::styled(format!("{:5} ", entry.level.word()), style),
                    Span::raw(text),
                ])
            } else {
                Line::from(format!("{:LEAD$}{text}", ""))
            });
        }
    }
    pen.hits.log = lines.len().saturating_sub(height);
    let above = pen.hits.log - model.log.scroll.min(pen.hits.log);
    for (line, row) in lines.into_iter().skip(above).take(height).zip(0..) {
        pen.line(Pen::row(inner, row), line);
    }
}

fn level_style(pen: &Pen, level: Level) -> Style {
    match level {
        Level::Info => pen.theme.plain(),
        Level::Warn => pen.theme.warn(),
        Level::Error => pen.theme.bad(),
        Level::Done => pen.theme.good(),
    }
}
