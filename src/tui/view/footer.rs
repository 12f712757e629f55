//! The keys that mean something now, innermost first, made from the table; each can be clicked as well.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::pen::Pen;
use crate::tui::{
    Model,
    hits::Hit,
    keys::{Action, Binding, Context},
    text::{fit_end, width},
    update::contexts,
};

pub fn draw(pen: &mut Pen, area: Rect) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let contexts = contexts(pen.model);
    let found: Vec<Vec<&Binding>> = contexts
        .iter()
        .flat_map(|context| pen.model.keys.groups(*context, |binding| binding.label))
        .filter(|group| group.iter().any(|binding| means_something(pen.model, binding.action)))
        .collect();
    // What the innermost says already is not said again.
    let mut said: Vec<Action> = Vec::new();
    let found = found.into_iter().filter(|group| {
        let action = group.first().map(|binding| binding.action);
        let new = action.is_none_or(|action| !said.contains(&action));
        said.extend(action);
        new
    });
    // The way to the rest of the keys, and the way out, are always there.
    let (ends, rest): (Vec<_>, Vec<_>) = found.partition(|group| is_end(group));
    let room: usize = ends.iter().map(|group| width(&name(pen, group)) + 2).sum();
    let mut x = area.x;
    let stop = area.right().saturating_sub(u16::try_from(room).unwrap_or(0));
    if let Some(prompt) = pen.model.prompt.as_ref().filter(|_| pen.model.dialog.is_none()) {
        let typed = format!("{}{}", pen.glyphs.clean(&prompt.text), pen.glyphs.cursor());
        let lead = prompt.line.lead();
        let typed = fit_end(pen.glyphs, &typed, usize::from(area.width).saturating_sub(width(lead)));
        let taken = width(lead) + width(&typed) + 3;
        pen.line(area, Line::from(vec![Span::raw(lead), Span::styled(typed, pen.theme.strong())]));
        x = x.saturating_add(u16::try_from(taken).unwrap_or(u16::MAX));
    }
    for group in &rest {
        if let Some(taken) = entry(pen, Rect { x, width: stop.saturating_sub(x), ..area }, group) {
            x += taken + 2;
        }
    }
    let mut x = area.right().saturating_sub(u16::try_from(room.saturating_sub(2)).unwrap_or(0));
    for group in &ends {
        x += entry(pen, Rect { x, width: area.right().saturating_sub(x), ..area }, group).unwrap_or(0) + 2;
    }
}

/// Whether the key would do anything. That of `inject` says why it cannot, so it goes only where it never can.
fn means_something(model: &Model, action: Action) -> bool {
    match action {
        Action::Palette => true,
        Action::Inject => !model.options.read_only,
        action => model.is_possible(action),
    }
}

fn is_end(group: &[&Binding]) -> bool {
    group.iter().any(|binding| {
        binding.context == Context::Panes && matches!(binding.action, Action::Palette | Action::Help | Action::Quit)
    })
}

/// `↑/↓ select`
fn name(pen: &Pen, group: &[&Binding]) -> String {
    format!("{} {}", key_names(pen, group), group.first().map_or("", |binding| binding.label))
}

fn key_names(pen: &Pen, group: &[&Binding]) -> String {
    let names: Vec<String> =
        group.iter().filter_map(|binding| binding.keys.first()).map(|key| key.name(pen.glyphs)).collect();
    names.join("/")
}

/// Draws the entry if it fits, and gives its width.
fn entry(pen: &mut Pen, area: Rect, group: &[&Binding]) -> Option<u16> {
    let taken = u16::try_from(width(&name(pen, group))).ok().filter(|taken| *taken <= area.width)?;
    let first = group.first()?;
    let keys = Span::styled(key_names(pen, group), pen.theme.accent().patch(pen.theme.strong()));
    pen.line(area, Line::from(vec![keys, Span::raw(format!(" {}", first.label))]));
    if group.len() == 1 && first.action != Action::Insert {
        pen.hits.add(Rect { width: taken, ..area }, Hit::Act(first.action));
    }
    Some(taken)
}
