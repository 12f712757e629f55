//! The fault that is being put together, and exactly what injecting it would run.

use std::ops::RangeInclusive;

use ratatui::{layout::Rect, style::Style, text::Span};

use super::{field, guide, layout::PaneArea, pen::Pen};
use crate::{
    chaos::{FaultType, Kind},
    safety::{Grade, Verdict},
    tui::{
        Model,
        hits::Hit,
        keys::Action,
        model::Pane,
        picker::Field,
        text::{fit, fit_end, width, wrap},
    },
};

/// Of the pane's height the types take this share where they have not all room.
const TYPES_SHARE: u16 = 4;
/// And the plan this one, or a few rows, where the values have not all room.
const PLAN_SHARE: u16 = 4;
const LEAST_PLAN: u16 = 2;
/// The longest type, with its mark.
const COLUMN: usize = 19;
const LEAST_VALUES: usize = 2;

/// What the frame, the pane's title and `target` take of the first row.
const BESIDE_TARGET: usize = 22;

pub fn draw(pen: &mut Pen, place: PaneArea) {
    let model = pen.model;
    let room = usize::from(place.area.width).saturating_sub(BESIDE_TARGET);
    let target = match &model.targets()[..] {
        [] => String::new(),
        [one] => format!("target {}", fit_end(pen.glyphs, &one.name, room)),
        several => format!("target {} nodes", several.len()),
    };
    let inner = pen.pane(place, &target, "");
    let focused = pen.is_focused(Pane::Picker);
    let last_value = model.picker.fields().len() - 2;
    let mut below = inner;
    let gap = u16::from(inner.height >= 14);
    let type_rows = usize::from(inner.height / TYPES_SHARE).max(1);
    let mut values = 1..=last_value;
    for (at, one) in model.picker.fields().into_iter().enumerate() {
        let has_keys = focused && at == model.picker.field;
        let taken = match one {
            Field::Kind => {
                let taken = types(pen, below, has_keys, type_rows);
                let plan = (inner.height / PLAN_SHARE).max(LEAST_PLAN);
                let kept = plan + 1 + u16::from(focused) + 3 * gap;
                values = window(last_value, usize::from(below.height.saturating_sub(taken + kept)), model.picker.field);
                taken
            }
            Field::Value(_) if !values.contains(&at) => 0,
            Field::Value(spec) => {
                let row = Pen::row(below, 0);
                let partly = values != (1..=last_value);
                field::draw(pen, beside_more(row, partly), at, spec, has_keys);
                let hidden = if at == *values.end() { last_value - at } else { 0 };
                let above = if at == *values.start() { at - 1 } else { 0 };
                more(pen, row, hidden.max(above));
                1
            }
            Field::Button => button(pen, below, has_keys),
        };
        let end_of_part = matches!(one, Field::Kind | Field::Button) || at == last_value;
        below = rest(below, taken + if end_of_part { gap } else { 0 });
    }
    if focused {
        let (text, style) = hint(pen);
        let text = fit(pen.glyphs, &format!("  {text}"), usize::from(below.width));
        pen.line(Pen::row(below, 0), Span::styled(text, style));
        below = rest(below, 1 + gap);
    }
    let taken = commands(pen, below);
    let below = rest(below, taken + 1);
    if below.height >= guide::LEAST {
        guide::before(pen, below);
    }
}

/// The values that are shown where not all have room, counted from 1: those around the one that has the keys.
pub(super) fn window(all: usize, room: usize, field: usize) -> RangeInclusive<usize> {
    let shown = room.clamp(LEAST_VALUES.min(all), all);
    let last = field.min(all).max(shown);
    last + 1 - shown..=last
}

/// The columns of ` +10`.
const MORE: u16 = 4;

/// What a value's row leaves to the value where not all values have room.
pub(super) fn beside_more(row: Rect, partly: bool) -> Rect {
    Rect { width: row.width.saturating_sub(if partly { MORE } else { 0 }), ..row }
}

/// How many more there are beyond the edge of what is shown.
pub(super) fn more(pen: &mut Pen, row: Rect, hidden: usize) {
    if hidden == 0 {
        return;
    }
    let text = format!(" +{hidden}");
    let taken = u16::try_from(text.len()).unwrap_or(0).min(row.width);
    let place = Rect { x: row.right() - taken, width: taken, ..row };
    pen.line(place, Span::styled(text, pen.theme.dim()));
}

pub(super) fn rest(area: Rect, taken: u16) -> Rect {
    let taken = taken.min(area.height);
    Rect { y: area.y + taken, height: area.height - taken, ..area }
}

/// The types, in one row where they fit and in columns where not; of more rows than there may be, those around the
/// chosen one.
fn types(pen: &mut Pen, area: Rect, focused: bool, most: usize) -> u16 {
    let all = FaultType::ALL;
    let needed: usize = all.iter().map(|kind| kind.name().len() + 4).sum();
    let columns = (usize::from(area.width.saturating_sub(2)) / (COLUMN + 1)).max(2);
    // Two have to do without a space between.
    let column = if columns > 2 { COLUMN + 1 } else { COLUMN };
    let in_a_row = if needed <= usize::from(area.width) { all.len() } else { columns };
    let cell = |kind: FaultType, pen: &Pen| {
        let chosen = pen.model.picker.kind == kind;
        let mark = if chosen { pen.glyphs.on() } else { pen.glyphs.off() };
        let style = match (chosen, focused) {
            (true, true) => pen.theme.title(true),
            (true, false) => pen.theme.strong(),
            (false, _) => pen.theme.plain(),
        };
        (format!("{mark} {kind}"), style)
    };
    let rows = all.len().div_ceil(in_a_row);
    let shown = rows.min(most);
    let chosen = all.iter().position(|kind| *kind == pen.model.picker.kind).unwrap_or(0) / in_a_row;
    let first = (chosen + 1).saturating_sub(shown);
    for (at, kind) in all.into_iter().enumerate().filter(|(at, _)| (first..first + shown).contains(&(at / in_a_row))) {
        let (text, style) = cell(kind, pen);
        let row = Pen::row(area, u16::try_from(at / in_a_row - first).unwrap_or(0));
        let before: usize = if in_a_row == all.len() {
            all[..at].iter().map(|kind| kind.name().len() + 4).sum()
        } else {
            at % in_a_row * column
        };
        let x = row.x + 2 + u16::try_from(before).unwrap_or(0);
        let place = Rect { x, width: u16::try_from(width(&text)).unwrap_or(0), ..row }.intersection(row);
        pen.line(place, Span::styled(text, style));
        pen.hits.add(place, Hit::Kind(kind));
    }
    // In the margin, since the names take the whole width.
    let hidden = all.len().saturating_sub(shown * in_a_row);
    if hidden > 0 {
        let last = Pen::row(area, u16::try_from(shown - 1).unwrap_or(0));
        pen.line(Rect { width: last.width.min(2), ..last }, Span::styled(format!("+{hidden}"), pen.theme.dim()));
    }
    if focused {
        pen.line(area, Span::styled(pen.glyphs.selected(), pen.theme.title(true)));
    }
    u16::try_from(shown).unwrap_or(1)
}

fn button(pen: &mut Pen, area: Rect, focused: bool) -> u16 {
    let model = pen.model;
    let (word, style) = status(pen);
    let enabled = model.ready().is_ok() && model.injecting.is_none();
    let text = "[ Inject ]";
    let mark = if focused { pen.glyphs.selected() } else { " " };
    pen.line(area, Span::styled(mark, pen.theme.title(true)));
    let place = Rect { x: area.x + 2, width: 10, height: 1, ..area }.intersection(area);
    pen.line(place, Span::styled(text, pen.theme.button(enabled, focused)));
    pen.hits.add(place, Hit::Act(Action::Inject));
    let beside = Rect { x: area.x + 14, width: area.width.saturating_sub(14), height: area.height.min(1), ..area };
    let mut lines = wrap(pen.glyphs, &word, usize::from(beside.width)).into_iter();
    pen.line(beside, Span::styled(lines.next().unwrap_or_default(), style));
    let more = lines.collect::<Vec<_>>().join(" ");
    if more.is_empty() {
        return 1;
    }
    // A reason that does not fit beside the button goes on below it.
    let mut taken = 1;
    for line in wrap(pen.glyphs, &more, usize::from(area.width.saturating_sub(2))) {
        let row = Pen::row(area, taken);
        pen.line(Rect { x: row.x + 2, width: row.width.saturating_sub(2), ..row }, Span::styled(line, style));
        taken += 1;
    }
    taken
}

/// Beside the button: why it cannot be pressed, or what is going on.
fn status(pen: &Pen) -> (String, Style) {
    let model = pen.model;
    let picker = &model.picker;
    match (&picker.error, &model.injecting, model.ready()) {
        (Some(error), ..) => (error.clone(), pen.theme.bad()),
        (None, Some(what), _) => (what.clone(), pen.theme.accent()),
        (None, None, Err(reason)) => (reason, pen.theme.bad()),
        (None, None, Ok(_)) if !picker.fresh => ("asking what it would run".to_owned(), pen.theme.dim()),
        (None, None, Ok(_)) => match &picker.plan {
            Some(Ok(plan)) if plan.verdict.grade == Grade::Refused => {
                ("refused: asks for the name".to_owned(), pen.theme.bad())
            }
            _ => (String::new(), pen.theme.plain()),
        },
    }
}

/// What the field that has the keys is for.
fn hint(pen: &Pen) -> (String, Style) {
    let picker = &pen.model.picker;
    let text = match picker.current() {
        Field::Kind => picker.kind.summary().to_owned(),
        Field::Value(spec) => match spec.kind {
            Kind::Number { least, most, unit, .. } => format!("{}, {least}..{most} {unit}", spec.help),
            _ => spec.help.to_owned(),
        },
        Field::Button => "inject the fault into the target".to_owned(),
    };
    (text, pen.theme.dim())
}

/// The commands, each as it would be typed, after the warnings; scrolled by the wheel. Gives the rows that they take.
pub(super) fn commands(pen: &mut Pen, area: Rect) -> u16 {
    let lines = planned(pen.model, usize::from(area.width));
    let height = usize::from(area.height);
    pen.hits.commands = lines.len().saturating_sub(height);
    let first = pen.model.picker.scroll.min(pen.hits.commands);
    let hidden = lines.len().saturating_sub(first + height);
    let taken = u16::try_from(lines.len().min(height)).unwrap_or(0);
    for (row, (kind, text)) in lines.into_iter().skip(first).take(height).enumerate() {
        let style = match kind {
            Said::Failed => pen.theme.bad(),
            _ if !pen.model.picker.fresh => pen.theme.dim(),
            Said::Warning => pen.theme.warn(),
            Said::Command => pen.theme.plain(),
        };
        let area = Pen::row(area, u16::try_from(row).unwrap_or(u16::MAX));
        let cut = hidden > 0 && row + 1 == height;
        let more =
            if cut { format!("+{hidden}, {} shows all", pen.model.key(Action::Commands)) } else { String::new() };
        pen.sides(area, (&text, style), (&more, pen.theme.dim()));
    }
    taken
}

#[derive(Debug, Clone, Copy)]
pub enum Said {
    Command,
    Warning,
    Failed,
}

/// What is known of the plan, in lines of that width: `$` before a command, `!` before a warning.
pub fn planned(model: &Model, room: usize) -> Vec<(Said, String)> {
    let mut lines = Vec::new();
    let glyph = model.glyphs.follows();
    let mut add = |said, mark: &str, text: &str| {
        for (at, line) in wrap(model.glyphs, text, room.saturating_sub(2)).into_iter().enumerate() {
            lines.push((said, format!("{} {line}", if at == 0 { mark } else { " " })));
        }
    };
    match &model.picker.plan {
        None => {}
        Some(Err(reason)) => add(Said::Failed, "!", reason),
        Some(Ok(plan)) => {
            let Verdict { grade, consequence, reasons, .. } = &plan.verdict;
            let mut warnings = plan.warnings.iter();
            // On a small screen two rows are seen: the gravest comes first.
            if *grade == Grade::Refused {
                let (worst, others) = reasons.split_first().unwrap_or((consequence, &[]));
                add(Said::Failed, "!", &format!("refused: {worst}"));
                if worst != consequence {
                    add(Said::Warning, glyph, consequence);
                }
                others.iter().for_each(|reason| add(Said::Warning, "!", reason));
            } else {
                if *grade == Grade::Fine {
                    warnings.by_ref().for_each(|warning| add(Said::Warning, "!", warning));
                }
                add(if *grade == Grade::Fine { Said::Command } else { Said::Warning }, glyph, consequence);
                reasons
                    .iter()
                    .filter(|reason| *reason != consequence)
                    .for_each(|reason| add(Said::Warning, "!", reason));
            }
            warnings.for_each(|warning| add(Said::Warning, "!", warning));
            for command in &plan.commands {
                for (at, line) in command.lines().iter().enumerate() {
                    add(Said::Command, if at == 0 { "$" } else { " " }, line);
                }
            }
        }
    }
    lines
}
