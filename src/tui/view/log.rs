//! The last things that happened, the newest at the bottom.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{layout::PaneArea, pen::Pen};
use crate::tui::{Level, log::Entry, text::wrap};

/// `12:21:47 error `
const LEAD: usize = 15;

pub fn draw(pen: &mut Pen, place: PaneArea) {
    let model = pen.model;
    let going_on = model.progress.as_deref().or(model.injecting.as_deref()).unwrap_or_default();
    let note = if model.log.scroll > 0 { format!("{} below", model.log.scroll) } else { String::new() };
    let inner = pen.pane(place, going_on, &note);
    let height = usize::from(inner.height);
    let room = usize::from(inner.width).saturating_sub(LEAD);
    let entries = &model.log.entries;
    // The highest useful place is that from which the oldest entry is the first of a full pane.
    let mut filled = 0;
    let full = entries.iter().position(|entry| {
        filled += wrap(pen.glyphs, &entry.text, room).len();
        filled >= height
    });
    pen.hits.log = full.map_or(0, |full| entries.len() - 1 - full);
    let mut row = if full.is_some() { height } else { filled };
    for entry in entries.iter().rev().skip(model.log.scroll.min(pen.hits.log)) {
        if row == 0 {
            break;
        }
        let texts = wrap(pen.glyphs, &entry.text, room);
        // Of one that does not fit the end is seen.
        let first = row.saturating_sub(texts.len());
        let hidden = texts.len() - (row - first);
        for (at, text) in texts.into_iter().enumerate().skip(hidden) {
            let line = if at == 0 { headed(pen, entry, text) } else { Line::from(format!("{:LEAD$}{text}", "")) };
            let y = u16::try_from(first + at - hidden).unwrap_or(u16::MAX);
            pen.line(Pen::row(inner, y), line);
        }
        row = first;
    }
}
/// The first line of an entry.
fn headed(pen: &Pen, entry: &Entry, text: String) -> Line<'static> {
    let time = entry.at.to_zoned(pen.model.options.time_zone.clone()).strftime("%H:%M:%S");
    Line::from(vec![
        Span::styled(format!("{time} "), pen.theme.dim()),
        Span::styled(format!("{:5} ", entry.level.word()), level_style(pen, entry.level)),
        Span::raw(text),
    ])
}

fn level_style(pen: &Pen, level: Level) -> Style {
    match level {
        Level::Info => pen.theme.plain(),
        Level::Warn => pen.theme.warn(),
        Level::Error => pen.theme.bad(),
        Level::Done => pen.theme.good(),
    }
}
