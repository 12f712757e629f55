//! The last things that happened, the newest at the bottom. Only the lines that are seen are laid out.

use ratatui::{
    style::{Modifier, Style},
    text::{Line, Span},
};

use super::{layout::PaneArea, pen::Pen};
use crate::tui::{
    Level,
    keys::Action,
    log::{Entry, Gravity},
    text::wrap,
};

/// `12:21:47 error `
const LEAD: usize = 15;

pub fn draw(pen: &mut Pen, place: PaneArea) {
    let log = &pen.model.log;
    let note = if log.scroll > 0 { format!("{} below", log.scroll) } else { String::new() };
    let shown: Vec<&Entry> = log.shown().collect();
    let word = word(pen, shown.len());
    let inner = pen.pane(place, &word, &note);
    if shown.is_empty() && !log.entries.is_empty() {
        pen.line(inner, Span::styled(why_empty(pen), pen.theme.dim()));
    }
    let height = usize::from(inner.height);
    let room = usize::from(inner.width).saturating_sub(LEAD);
    // The highest useful place is that from which the oldest entry is the first of a full pane.
    let mut filled = 0;
    let full = shown.iter().position(|entry| {
        filled += wrap(pen.glyphs, &entry.text, room).len();
        filled >= height
    });
    pen.hits.log = full.map_or(0, |full| shown.len() - 1 - full);
    let mut row = if full.is_some() { height } else { filled };
    for entry in shown.into_iter().rev().skip(log.scroll.min(pen.hits.log)) {
        if row == 0 {
            break;
        }
        let texts = wrap(pen.glyphs, &entry.text, room);
        // Of one that does not fit the end is seen.
        let first = row.saturating_sub(texts.len());
        let hidden = texts.len() - (row - first);
        for (at, text) in texts.iter().enumerate().skip(hidden) {
            let mut spans = if at == 0 { lead(pen, entry) } else { vec![Span::raw(" ".repeat(LEAD))] };
            spans.extend(marked(pen, text));
            let y = u16::try_from(first + at - hidden).unwrap_or(u16::MAX);
            pen.line(Pen::row(inner, y), Line::from(spans));
        }
        row = first;
    }
}

/// What is going on, and which lines are shown.
fn word(pen: &Pen, shown: usize) -> String {
    let (model, log) = (pen.model, &pen.model.log);
    let mut said = Vec::new();
    let undone = model.reverting.values().filter(|answered| !**answered).count();
    let undoing = (undone > 1).then(|| format!("{undone} left to undo"));
    if let Some(going_on) = model.progress.as_deref().or(model.injecting.as_deref()).or(undoing.as_deref()) {
        let spinner = if model.options.motion { pen.glyphs.spinner(model.now.as_second()) } else { "" };
        said.push(format!("{spinner}{}{going_on}", if spinner.is_empty() { "" } else { " " }));
    }
    let filter = pen.glyphs.clean(&log.filter);
    if log.with_others && !filter.is_empty() {
        let hits = log.shown().filter(|entry| log.is_hit(entry)).count();
        said.push(format!("\"{filter}\" marked in {hits} of {shown}"));
    } else if !filter.is_empty() {
        said.push(format!("with \"{filter}\""));
    }
    match log.least {
        Gravity::Any => {}
        Gravity::Warn => said.push("warnings and errors".to_owned()),
        Gravity::Error => said.push("errors".to_owned()),
    }
    if shown < log.entries.len() {
        said.push(format!("{shown} of {}", log.entries.len()));
    }
    said.join(", ")
}

/// No line is shown: which of what was asked for can be taken back, and how.
fn why_empty(pen: &Pen) -> String {
    let (model, log) = (pen.model, &pen.model.log);
    let (clear, level) = (model.key(Action::Clear), model.key(Action::Gravity));
    match (log.filter.is_empty() || log.with_others, log.least) {
        (true, _) => format!("No line is that grave: {level} shows the others."),
        (false, Gravity::Any) => format!("No line has this text: {clear} shows all."),
        (false, _) => format!("No line that grave has this text: {clear} shows all texts, {level} the others."),
    }
}

fn lead(pen: &Pen, entry: &Entry) -> Vec<Span<'static>> {
    let time = entry.at.to_zoned(pen.model.options.time_zone.clone()).strftime("%H:%M:%S");
    vec![
        Span::styled(format!("{time} "), pen.theme.dim()),
        Span::styled(format!("{:5} ", entry.level.word()), level_style(pen, entry.level)),
    ]
}

/// The text with what is looked for marked in it.
fn marked(pen: &Pen, text: &str) -> Vec<Span<'static>> {
    let wanted = pen.model.log.filter.as_bytes();
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.as_bytes().windows(wanted.len().max(1)).position(|part| part.eq_ignore_ascii_case(wanted))
    {
        // What is looked for is whole characters, so these are places between characters.
        let (Some(before), Some(hit)) = (rest.get(..at), rest.get(at..at + wanted.len())) else { break };
        spans.push(Span::raw(before.to_owned()));
        spans.push(Span::styled(hit.to_owned(), pen.theme.accent().add_modifier(Modifier::UNDERLINED)));
        rest = rest.get(at + wanted.len()..).unwrap_or_default();
    }
    spans.push(Span::raw(rest.to_owned()));
    spans
}

fn level_style(pen: &Pen, level: Level) -> Style {
    match level {
        Level::Info => pen.theme.plain(),
        Level::Warn => pen.theme.warn(),
        Level::Error => pen.theme.bad(),
        Level::Done => pen.theme.good(),
    }
}
