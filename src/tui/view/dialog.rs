//! Questions: before a grave injection, before quitting, and about what programs before this one left behind.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{header::counted, pen::Pen, popup};
use crate::{
    session::recovery::Sight,
    tui::{
        keys::Action,
        model::Dialog,
        open::{Open, Owner},
        text::{fit, fit_end, pad, width, wrap},
    },
};

const COLUMNS: u16 = 76;

pub fn draw(pen: &mut Pen, screen: Rect, dialog: &Dialog) {
    let room = usize::from(COLUMNS.min(screen.width.saturating_sub(4)).saturating_sub(4));
    let (title, lines) = said(pen, dialog, room);
    let choices =
        u16::try_from(pen.model.keys.groups(dialog.context(pen.model), |binding| binding.label).len()).unwrap_or(0);
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(choices + 3);
    let inner = pen.popup(screen, &title, COLUMNS, rows);
    let body = Rect { height: inner.height.saturating_sub(choices + 1), ..inner };
    popup::scrolled(pen, body, lines);
    let y = inner.bottom().saturating_sub(choices);
    popup::choices(pen, Rect { y, height: choices, ..inner }.intersection(inner), dialog.context(pen.model));
}

fn said(pen: &Pen, dialog: &Dialog, room: usize) -> (String, Vec<Line<'static>>) {
    let model = pen.model;
    let text = |text: &str| wrap(pen.glyphs, text, room).into_iter().map(Line::from).collect::<Vec<_>>();
    match dialog {
        Dialog::Confirm { ready, reasons, name } => {
            let mut lines: Vec<_> = reasons.iter().flat_map(|reason| text(reason)).collect();
            if let Some(typed) = name {
                lines.extend(by_name(pen, "inject", (&ready.whom(), ready.targets.len()), typed, room));
            }
            (format!("Inject {} into {}?", ready.fault.fault_type(), ready.whom()), lines)
        }
        Dialog::ConfirmChange { whom, reason, name } => {
            let mut lines = text(reason);
            let count = model.picker.held.as_ref().map_or(1, |held| held.seen.len());
            lines.extend(by_name(pen, "change", (whom, count), name, room));
            (format!("Change {} on {whom}?", model.picker.kind), lines)
        }
        Dialog::Quit { error } => {
            let open = of(model.open(), Owner::Mine);
            let mut lines = Vec::new();
            if let Some(error) = error {
                let failed = wrap(pen.glyphs, &format!("A revert failed: {error}"), room);
                lines.extend(failed.into_iter().map(|line| Line::from(Span::styled(line, pen.theme.bad()))));
                lines.push(Line::default());
            }
            lines.extend(rows(pen, &open, room));
            lines.extend(model.injecting.iter().flat_map(|what| text(&format!("still {what}"))));
            let title = match &model.options.demo {
                Some(demo) if !model.has_own_open() => {
                    lines.extend(text("This run brought it up. Left up, it stays until you take it down."));
                    format!("Quit with the demo {demo} up?")
                }
                _ if open.is_empty() => "Quit in the middle of an injection?".to_owned(),
                _ => format!("Quit with {} open?", counted(open.len(), "injection")),
            };
            (title, lines)
        }
        Dialog::Reverting { .. } => {
            let open = of(model.open(), Owner::Mine);
            let mut lines = rows(pen, &open, room);
            lines.push(Line::default());
            lines.extend(text("The program ends when all of it is read back and gone."));
            (format!("reverting {}{}", counted(open.len(), "injection"), pen.glyphs.ellipsis()), lines)
        }
        Dialog::Recover => {
            let open = of(model.open(), Owner::LeftBehind);
            let mut lines = Vec::new();
            if !open.is_empty() {
                lines.extend(text("Left by a program that has ended. What you keep stays in ACTIVE."));
                lines.push(Line::default());
                lines.extend(rows(pen, &open, room));
            }
            if !model.unrecorded.is_empty() {
                let later = model.key(Action::Panic);
                if !lines.is_empty() {
                    lines.push(Line::default());
                }
                lines.extend(text(&format!(
                    "Found in the nodes, with our mark and without a record. {later} ends it later, too."
                )));
                lines.push(Line::default());
                lines.extend(model.unrecorded.iter().flat_map(|mark| text(&mark.words())));
            }
            (format!("{} left behind", counted(open.len() + model.unrecorded.len(), "injection")), lines)
        }
        Dialog::Palette(_)
        | Dialog::Presets(_)
        | Dialog::Help
        | Dialog::Timeline
        | Dialog::Commands
        | Dialog::ByHand(_)
        | Dialog::Measured(_)
        | Dialog::Guide(_) => (String::new(), Vec::new()),
    }
}

/// The way around a refusal.
fn by_name(pen: &Pen, verb: &str, (whom, count): (&str, usize), typed: &str, room: usize) -> Vec<Line<'static>> {
    let what = if count > 1 { "this" } else { "the node's name" };
    let mut lines = vec![Line::default()];
    let asked = format!("To {verb} it all the same, type {what}: {whom}");
    lines.extend(wrap(pen.glyphs, &asked, room).into_iter().map(Line::from));
    lines.push(Line::from(Span::styled(format!("> {typed}_"), pen.theme.strong())));
    lines
}

fn of(open: Vec<Open<'_>>, owner: Owner) -> Vec<Open<'_>> {
    open.into_iter().filter(|one| one.owner == owner).collect()
}

/// Type, target, age and how each stands, in columns.
fn rows(pen: &Pen, open: &[Open], room: usize) -> Vec<Line<'static>> {
    let now = pen.model.now;
    let target = open.iter().map(|one| width(one.injection.metadata.target())).max().unwrap_or(0).min(24);
    let row = |one: &Open| {
        let metadata = &one.injection.metadata;
        let name = fit_end(pen.glyphs, metadata.target(), target);
        let gone = match pen.model.sights.get(&metadata.id) {
            Some(Sight::Gone) => ", gone from the node",
            Some(Sight::Found | Sight::Unseen) | None => "",
        };
        let text = format!(
            "{:17}  {}  {:>6} old  {}, {}{}",
            metadata.fault_type().name(),
            pad(pen.glyphs, &name, target),
            one.age(now),
            one.standing.word(),
            one.left(now),
            if one.injection.left { ", left on purpose" } else { gone },
        );
        Line::from(fit(pen.glyphs, &text, room))
    };
    open.iter().map(row).collect()
}
