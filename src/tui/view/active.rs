//! Every open injection: what it is, where, whose, how it stands and how long it has left.

use std::rc::Rc;

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{guide, layout::PaneArea, measured, pen::Pen};
use crate::{
    session::Life,
    tui::{
        follow::Followed,
        hits::Hit,
        keys::Action,
        model::Pane,
        open::{Open, Owner, Standing},
        text::{fit, fit_end, pad, wrap},
    },
};

/// Below this width an injection takes three rows, from it on two.
const WIDE: u16 = 56;
/// The columns of the time that is left.
const BAR: u16 = 8;
/// With less than this share of its time left, an injection is about to end.
const SHORT: f64 = 0.2;

pub fn draw(pen: &mut Pen, place: PaneArea) {
    let model = pen.model;
    let open = Rc::clone(&pen.open);
    let left_behind = open.iter().filter(|one| one.owner == Owner::LeftBehind).count() + model.unrecorded.len();
    let note = if left_behind > 0 { format!("{left_behind} left behind") } else { String::new() };
    if open.is_empty() {
        let inner = pen.pane(place, "", &note);
        return nothing(pen, inner);
    }
    let inner = Pen::inside(place);
    let rows: u16 = if inner.width >= WIDE { 2 } else { 3 };
    let selected = model.selected_of(&open).map_or(0, |(at, _)| at);
    let (inner, guided) = shared(pen, inner, &open, selected, rows);
    let visible = usize::from((inner.height / rows).max(1));
    let first = (selected + 1).saturating_sub(visible);
    let word = match open.len() {
        all if visible < all => format!("{} of {all} open", selected + 1),
        all => format!("{all} open"),
    };
    pen.pane(place, &word, &note);
    if let Some((room, followed)) = guided {
        guide::of_injection(pen, room, followed);
    }
    for (place, (at, one)) in open.iter().enumerate().skip(first).take(visible).enumerate() {
        let y = inner.y + u16::try_from(place).unwrap_or(0) * rows;
        let area = Rect { y, height: rows, ..inner }.intersection(inner);
        injection(pen, area, one, at == selected);
        pen.hits.add(area, Hit::Active(at));
    }
}

/// What is there all the same, where no record knows of anything.
fn nothing(pen: &mut Pen, inner: Rect) {
    let model = pen.model;
    if model.unrecorded.is_empty() {
        return pen.line(inner, Span::styled("Nothing is injected.", pen.theme.dim()));
    }
    let mut lines = vec![format!("Without a record; {} ends it:", model.key(Action::Panic))];
    let room = usize::from(inner.width);
    lines.extend(model.unrecorded.iter().flat_map(|mark| wrap(pen.glyphs, &mark.words(), room)));
    for (line, row) in lines.into_iter().zip(0..inner.height) {
        pen.line(Pen::row(inner, row), Span::styled(line, pen.theme.warn()));
    }
}

/// What the list has, and below it, where it leaves room for that, what to look for of the selected one.
fn shared<'m>(
    pen: &Pen<'m>,
    inner: Rect,
    open: &[Open],
    selected: usize,
    rows: u16,
) -> (Rect, Option<(Rect, &'m Followed)>) {
    let followed = open.get(selected).and_then(|one| pen.model.followed(one.id()));
    let Some(followed) = followed.filter(|one| one.track.expectations().count() > 0) else { return (inner, None) };
    let wanted = guide::rows_wanted(&followed.track) + 1;
    let all = u16::try_from(open.len()).unwrap_or(u16::MAX).saturating_mul(rows);
    let list = inner.height.saturating_sub(wanted).max(inner.height / 2).max(rows).next_multiple_of(rows).min(all);
    match inner.height.checked_sub(list + 1).filter(|room| *room >= guide::LEAST) {
        Some(room) => {
            let below = Rect { y: inner.y + list + 1, height: room, ..inner };
            (Rect { height: list, ..inner }, Some((below, followed)))
        }
        None => (inner, None),
    }
}

fn injection(pen: &mut Pen, area: Rect, one: &Open, selected: bool) {
    let (theme, glyphs, now) = (pen.theme, pen.glyphs, pen.model.now);
    let metadata = &one.injection.metadata;
    let mark = if selected { glyphs.selected() } else { " " };
    let sign = if one.standing.is_bad() { "!" } else { glyphs.on() };
    let state = format!("{sign} {}", one.standing.word());
    let state_style = standing_style(pen, one.standing);
    let left = one.left(now);
    let whose = format!("{} {}", one.owner.word(), one.age(now));
    let tail = format!("{}, {} old, {left}", one.owner.word(), one.age(now));
    let bar = usize::from(BAR) + 1;
    let beside = if area.height >= 3 { whose.len() } else { tail.len() + bar };
    let room = usize::from(area.width).saturating_sub(beside + 3);
    // What it does, once that is known, is worth more than what was asked alone.
    let (params, params_style) =
        measured::line(pen, one, room).unwrap_or_else(|| (metadata.fault.to_string(), theme.plain()));
    let inside = |row| {
        let row = Pen::row(area, row);
        Rect { x: row.x + 2, width: row.width.saturating_sub(2), ..row }
    };
    let kind = metadata.fault_type();
    if area.height >= 3 {
        pen.sides(area, (&format!("{mark} {kind}"), theme.strong()), (&state, state_style));
        let target = fit_end(glyphs, metadata.target(), usize::from(area.width).saturating_sub(left.len() + bar + 3));
        let beside = time_left(pen, inside(1), one, (&left, left_style(pen, one)));
        pen.line(beside, Span::styled(fit_end(glyphs, &target, usize::from(beside.width)), theme.plain()));
        pen.sides(inside(2), (&params, params_style), (&whose, owner_style(pen, one.owner)));
    } else {
        let head = format!("{mark} {} {}", pad(glyphs, kind.name(), 17), fit_end(glyphs, metadata.target(), 40));
        pen.sides(area, (&head, theme.strong()), (&state, state_style));
        let beside = time_left(pen, inside(1), one, (&tail, owner_style(pen, one.owner)));
        pen.line(beside, Span::styled(fit(glyphs, &params, usize::from(beside.width)), params_style));
    }
    if selected {
        let focused = pen.is_focused(Pane::Active);
        if focused {
            pen.style(Pen::row(area, 0), theme.selected(true));
        }
    }
}

/// The time that is left, at the row's end: a bar that shrinks, and in words. Gives what is left of the row.
fn time_left(pen: &mut Pen, row: Rect, one: &Open, (text, style): (&str, Style)) -> Rect {
    let (glyphs, theme) = (pen.glyphs, pen.theme);
    let mut spans = Vec::new();
    if let Some(share) = one.share_left(pen.model.now).filter(|share| *share > 0.0) {
        // Rounded up: what is not over yet shows.
        let full = (1..=BAR).find(|cells| f64::from(*cells) >= share * f64::from(BAR)).unwrap_or(BAR);
        let colour = if share < SHORT { theme.warn() } else { theme.accent() };
        let (full, bar) = (usize::from(full), usize::from(BAR));
        spans.push(Span::styled(glyphs.track_before().repeat(full), colour));
        spans.push(Span::styled(glyphs.track_after().repeat(bar - full) + " ", theme.dim()));
    }
    spans.push(Span::styled(text.to_owned(), style));
    let line = Line::from(spans);
    let taken = u16::try_from(line.width()).unwrap_or(u16::MAX).min(row.width);
    pen.line_right(row, line);
    Rect { width: (row.width - taken).saturating_sub(1), ..row }
}

fn standing_style(pen: &Pen, standing: Standing) -> Style {
    match standing {
        Standing::Overdue | Standing::NotReverted | Standing::NotFollowed => pen.theme.bad(),
        Standing::Underway(Life::Active) => pen.theme.warn(),
        Standing::Underway(_) | Standing::Reverting => pen.theme.accent(),
        Standing::Lost => pen.theme.dim(),
    }
}

fn left_style(pen: &Pen, one: &Open) -> Style {
    if one.standing == Standing::Overdue { pen.theme.bad() } else { pen.theme.plain() }
}

fn owner_style(pen: &Pen, owner: Owner) -> Style {
    match owner {
        Owner::Mine => pen.theme.dim(),
        Owner::Other => pen.theme.accent(),
        Owner::LeftBehind => pen.theme.warn(),
    }
}
