//! Popups to read: the commands of the fault in the picker, and the undo of an injection, in full.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{
    pen::Pen,
    picker::{Said, planned},
};
use crate::{
    chaos::InjectionId,
    tui::{
        hits::Hit,
        keys::{Action, Context},
        text::wrap,
    },
};

/// The widest that a line is still read with ease.
const COLUMNS: u16 = 110;

/// The columns inside a popup.
pub fn room(screen: Rect) -> usize {
    usize::from(COLUMNS.min(screen.width.saturating_sub(4)).saturating_sub(4))
}

pub fn commands(pen: &mut Pen, screen: Rect) {
    let model = pen.model;
    let room = room(screen);
    let target = model.whom();
    let title = format!("{} into {target}", model.picker.kind);
    let mut lines = vec![heading(pen, "What it runs")];
    let plan = planned(model, room);
    if plan.is_empty() {
        let reason = model.ready().err().unwrap_or_else(|| "asking what it would run".to_owned());
        lines.push(Line::from(reason));
    }
    lines.extend(plan.into_iter().map(|(said, text)| {
        let style = match said {
            Said::Command => pen.theme.plain(),
            Said::Warning => pen.theme.warn(),
            Said::Failed => pen.theme.bad(),
        };
        Line::from(Span::styled(text, style))
    }));
    if let Some(Ok(plan)) = &model.picker.plan {
        lines.push(Line::default());
        lines.push(heading(pen, "Its undo, by hand"));
        lines.extend(shell(pen, plan.undo.iter().map(ToString::to_string), room));
    }
    read(pen, screen, &title, lines);
}

pub fn undo(pen: &mut Pen, screen: Rect, id: &InjectionId) {
    let model = pen.model;
    let room = room(screen);
    let open = model.open();
    let Some(one) = open.iter().find(|one| one.id() == id) else {
        let gone = vec![Line::from("This injection is no longer open: there is nothing to undo.")];
        return read(pen, screen, &format!("injection {id}"), gone);
    };
    let metadata = &one.injection.metadata;
    let facts = [
        ("fault", metadata.fault.to_string()),
        ("state", format!("{}, {}, {} old", one.standing.word(), one.left(model.now), one.age(model.now))),
        (
            "session",
            format!(
                "{} ({}), {}, process {}",
                one.session.session,
                one.owner.word(),
                one.session.command,
                one.session.pid
            ),
        ),
        ("note", one.injection.note.clone().unwrap_or_default()),
    ];
    let mut lines = Vec::new();
    for (name, text) in facts.into_iter().filter(|(_, text)| !text.is_empty()) {
        for (at, line) in wrap(pen.glyphs, &text, room.saturating_sub(9)).into_iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            lines.push(Line::from(vec![Span::styled(format!("{name:9}"), pen.theme.dim()), Span::raw(line)]));
        }
    }
    lines.push(Line::default());
    lines.push(heading(pen, "Undo, by hand"));
    lines.extend(shell(pen, one.injection.undo.iter().cloned(), room));
    let title = format!("{} in {}, injection {id}", metadata.fault_type(), metadata.target());
    read_with(pen, screen, &title, lines, Some(Context::ByHand));
}

pub fn heading(pen: &Pen, text: &'static str) -> Line<'static> {
    Line::from(Span::styled(text, pen.theme.strong()))
}

fn shell(pen: &Pen, commands: impl Iterator<Item = String>, room: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for command in commands {
        for (at, line) in wrap(pen.glyphs, &command, room.saturating_sub(2)).into_iter().enumerate() {
            lines.push(Line::from(format!("{} {line}", if at == 0 { "$" } else { " " })));
        }
    }
    lines
}

/// A box as high as the lines need, scrolled where the screen is not that high, with the popup's keys at its end.
pub fn read(pen: &mut Pen, screen: Rect, title: &str, lines: Vec<Line>) {
    read_with(pen, screen, title, lines, None);
}

/// As [`read`], with the entries of one more context.
fn read_with(pen: &mut Pen, screen: Rect, title: &str, lines: Vec<Line>, more: Option<Context>) {
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(4);
    let inner = pen.popup(screen, title, COLUMNS, rows);
    let total = lines.len();
    let body = Rect { height: inner.height.saturating_sub(2), ..inner };
    scrolled(pen, body, lines);
    let end = Pen::row(inner, inner.height.saturating_sub(1));
    let offered = if pen.hits.popup > 0 { 3 } else { 1 };
    let x = buttons(pen, end, Context::Popup, offered, pen.theme.plain());
    if let Some(context) = more {
        let rest = Rect { x, width: end.right().saturating_sub(x), ..end };
        buttons(pen, rest, context, usize::MAX, pen.theme.plain());
    }
    if pen.hits.popup > 0 {
        let last = pen.model.scroll.min(pen.hits.popup) + usize::from(body.height);
        let place = format!("line {last} of {total}");
        pen.line_right(end, Span::styled(place, pen.theme.dim()));
    }
}

/// The lines from the scroll on; the map learns how far they can be scrolled.
pub fn scrolled(pen: &mut Pen, area: Rect, lines: Vec<Line>) {
    pen.hits.popup = lines.len().saturating_sub(usize::from(area.height));
    let first = pen.model.scroll.min(pen.hits.popup);
    for (line, row) in lines.into_iter().skip(first).take(usize::from(area.height)).zip(0..) {
        pen.line(Pen::row(area, row), line);
    }
}

/// The last so many of the context's entries as `[key] label`, to press or to click; gives where the next one would begin.
pub fn buttons(pen: &mut Pen, area: Rect, context: Context, offered: usize, style: Style) -> u16 {
    let groups = pen.model.keys.groups(context, |binding| binding.label);
    let skipped = groups.len().saturating_sub(offered);
    let mut x = area.x;
    for group in groups.into_iter().skip(skipped) {
        let names: Vec<String> =
            group.iter().filter_map(|binding| binding.keys.first()).map(|key| key.name(pen.glyphs)).collect();
        let Some(first) = group.first() else { continue };
        let key = format!("[{}]", names.join("/"));
        let taken = u16::try_from(crate::tui::text::width(&key) + 1 + first.label.len()).unwrap_or(0);
        let place = Rect { x, width: taken, ..area }.intersection(area);
        let keys = Span::styled(key, pen.theme.accent().patch(pen.theme.strong()));
        pen.line(place, Line::from(vec![keys, Span::styled(format!(" {}", first.label), style)]));
        if group.len() == 1 {
            pen.hits.add(place, Hit::Act(first.action));
        }
        x = x.saturating_add(taken + 3);
    }
    x
}

/// The context's entries one below the other.
pub fn choices(pen: &mut Pen, area: Rect, context: Context) {
    for (group, row) in pen.model.keys.groups(context, |binding| binding.label).into_iter().zip(0..) {
        let Some(first) = group.first() else { continue };
        let names: Vec<String> = first.keys.iter().map(|key| key.name(pen.glyphs)).collect();
        let key = Span::styled(format!("[{}]", names.join("/")), pen.theme.accent().patch(pen.theme.strong()));
        let line = Pen::row(area, row);
        pen.line(line, Line::from(vec![key, Span::raw(format!(" {}", first.label))]));
        let action: Action = first.action;
        pen.hits.add(line, Hit::Act(action));
    }
}
