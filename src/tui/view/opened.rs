//! An injection that holds, in the picker's place: its parameters as sliders that change it at once, and what the last
//! change ran and was judged.

use ratatui::{layout::Rect, style::Style, text::Span};

use super::{
    field,
    layout::PaneArea,
    pen::Pen,
    picker::{beside_more, commands, more, rest, window},
};
use crate::{
    chaos::Kind,
    tui::{
        hits::Hit,
        keys::Action,
        model::Pane,
        picker::{Field, Held},
        text::{fit, fit_end, wrap},
    },
};

/// What the frame and the pane's title take of the first row.
const BESIDE: usize = 20;
const LEAST_PLAN: u16 = 2;

pub fn draw(pen: &mut Pen, place: PaneArea, held: &Held) {
    let model = pen.model;
    let kind = model.picker.kind.name();
    let room = usize::from(place.area.width).saturating_sub(BESIDE + kind.len());
    let word = format!("{kind} on {}", fit_end(pen.glyphs, &held.whom(), room));
    let inner = pen.pane(place, &word, "");
    let focused = pen.is_focused(Pane::Picker);
    let gap = u16::from(inner.height >= 14);
    let text = format!("It changes as you move. {} goes back.", model.key(Action::Leave));
    pen.line(inner, Span::styled(fit(pen.glyphs, &text, usize::from(inner.width)), pen.theme.dim()));
    pen.hits.add(Pen::row(inner, 0), Hit::Act(Action::Leave));
    let mut below = rest(inner, 1 + gap);
    let fields = model.picker.fields();
    let kept = LEAST_PLAN + 1 + u16::from(focused) + 2 * gap;
    let shown = window(fields.len(), usize::from(below.height.saturating_sub(kept)), model.picker.field + 1);
    for (at, one) in fields.iter().enumerate().filter(|(at, _)| shown.contains(&(at + 1))) {
        let Field::Value(spec) = one else { continue };
        let row = Pen::row(below, 0);
        let partly = shown != (1..=fields.len());
        field::draw(pen, beside_more(row, partly), at, spec, focused && at == model.picker.field);
        let under = if at + 1 == *shown.end() { fields.len() - at - 1 } else { 0 };
        let above = if at + 1 == *shown.start() { at } else { 0 };
        more(pen, row, under.max(above));
        below = rest(below, 1);
    }
    below = rest(below, gap);
    if let (true, Field::Value(spec)) = (focused, model.picker.current()) {
        let text = match spec.kind {
            Kind::Number { least, most, unit, .. } => format!("  {}, {least}..{most} {unit}", spec.help),
            _ => format!("  {}", spec.help),
        };
        pen.line(below, Span::styled(fit(pen.glyphs, &text, usize::from(below.width)), pen.theme.dim()));
        below = rest(below, 1);
    }
    let taken = status(pen, below, held);
    commands(pen, rest(below, taken + gap));
}

/// How what the sliders say stands to what holds; gives the rows that it takes.
fn status(pen: &mut Pen, area: Rect, held: &Held) -> u16 {
    let model = pen.model;
    let picker = &model.picker;
    let (text, style): (String, Style) = match (&picker.error, picker.fault(), &held.problem) {
        (Some(error), ..) => (error.clone(), pen.theme.bad()),
        (None, Err(error), _) => (format!("not changed: {error}"), pen.theme.bad()),
        _ if model.changing.iter().any(|change| change.ids == held.ids()) => {
            ("changing it".to_owned(), pen.theme.accent())
        }
        (None, _, Some(problem)) if problem.refused => {
            let key = model.key(Action::Inject);
            (format!("refused, {key} insists: {}", problem.reason), pen.theme.bad())
        }
        (None, _, Some(problem)) => (problem.reason.clone(), pen.theme.bad()),
        _ if !model.is_up() => ("Docker is not answering".to_owned(), pen.theme.bad()),
        _ => (format!("{} it is as the sliders say", pen.glyphs.on()), pen.theme.good()),
    };
    let refused = held.problem.as_ref().is_some_and(|problem| problem.refused);
    let mut taken = 0;
    for line in wrap(pen.glyphs, &text, usize::from(area.width.saturating_sub(2))) {
        let row = Pen::row(area, taken);
        pen.line(Rect { x: row.x + 2, width: row.width.saturating_sub(2), ..row }, Span::styled(line, style));
        if refused {
            pen.hits.add(row, Hit::Act(Action::Inject));
        }
        taken += 1;
    }
    taken
}
