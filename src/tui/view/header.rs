//! The first line: what program this is, whether Docker answers, which cluster, how many of what.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::pen::Pen;
use crate::tui::{
    model::Link,
    text::{fit, width},
};

pub fn draw(pen: &mut Pen, area: Rect) {
    let (model, glyphs, theme) = (pen.model, pen.glyphs, pen.theme);
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let (sign, said, style) = match &model.link {
        Link::Connecting => (glyphs.off(), "connecting to Docker".to_owned(), theme.warn()),
        Link::Up { engine } => (glyphs.on(), engine.clone(), theme.good()),
        Link::Down { host, .. } => ("!", format!("Docker is down: {host}"), theme.bad()),
    };
    let program = format!("{}  ", model.options.program);
    let read_only = if model.options.read_only { "READ-ONLY  " } else { "" };
    let before = usize::from(area.width).saturating_sub(width(&program) + read_only.len() + 4);
    let [long, short] = [counts(pen, true), counts(pen, false)];
    let counts = if width(&said) + width(&long) <= before { long } else { short };
    let room = before.saturating_sub(width(&counts));
    let said = fit(glyphs, &said, room);
    let project = project(pen, room - width(&said));
    let spans = vec![
        Span::styled(program, theme.strong()),
        Span::styled(read_only, theme.warn()),
        Span::styled(format!("{sign} {said}"), style),
        Span::raw(project),
    ];
    pen.line(area, Line::from(spans));
    pen.line_right(area, Span::raw(counts));
}

/// The project that was asked for, as far as there is room beside how Docker is.
fn project(pen: &Pen, room: usize) -> String {
    const LEAD: &str = "  project ";
    let name = pen.model.options.project.as_deref().unwrap_or_default();
    let room = room.saturating_sub(LEAD.len()).min(16);
    if name.is_empty() || room < width(name).min(8) {
        return String::new();
    }
    format!("{LEAD}{}", fit(pen.glyphs, name, room))
}

/// How many of what, in full or in few words.
fn counts(pen: &Pen, full: bool) -> String {
    let model = pen.model;
    let injections = counted(pen.open.len(), "injection");
    let running = model.nodes().iter().filter(|node| node.is_running()).count();
    match model.nodes().len() {
        _ if model.snapshot.is_none() => injections,
        0 => format!("no nodes, {injections}"),
        count if model.is_up() && full => format!("{running} of {count} nodes running, {injections}"),
        count if model.is_up() => format!("{running}/{count} running, {injections}"),
        count => format!("{} last seen, {injections}", counted(count, "node")),
    }
}

/// `1 injection`, `2 injections`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
