//! The presets: each with the key that calls it, what it does, and what for.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{pen::Pen, popup};
use crate::{
    config::preset::Preset,
    tui::{
        hits::Hit,
        keys::Context,
        text::{fit, pad, width, wrap},
        update::preset_key,
    },
};

const COLUMNS: u16 = 100;
const NAMES: usize = 14;
const KINDS: usize = 17;
/// Rows for what the selected one is for.
const BELOW: u16 = 2;

pub fn draw(pen: &mut Pen, screen: Rect, at: usize) {
    let presets = &pen.model.presets;
    let columns = usize::from(COLUMNS.min(screen.width.saturating_sub(4)).saturating_sub(4));
    let room = columns.saturating_sub(NAMES + KINDS + 6);
    // What any of them is for and has no room beside its name stands below the list as it is selected.
    let long = presets.iter().any(|preset| width(&about(preset)) > room);
    let below = if long { BELOW + 1 } else { 0 };
    let rows = u16::try_from(presets.len()).unwrap_or(u16::MAX).saturating_add(4 + below);
    let inner = pen.popup(screen, "Presets", COLUMNS, rows);
    let list = Rect { height: inner.height.saturating_sub(2 + below), ..inner };
    let visible = usize::from(list.height);
    let first = (at + 1).saturating_sub(visible);
    for ((place, preset), row) in presets.iter().enumerate().skip(first).take(visible).zip(0..) {
        let area = Pen::row(list, row);
        let mark = if place == at { pen.glyphs.selected() } else { " " };
        let key = preset_key(place).map_or(String::new(), |key| key.to_string());
        let name = pad(pen.glyphs, &fit(pen.glyphs, &preset.name, NAMES), NAMES);
        let kind = pad(pen.glyphs, preset.kind.name(), KINDS);
        pen.line(
            area,
            Line::from(vec![
                Span::raw(format!("{mark} ")),
                Span::styled(format!("{key:1}"), pen.theme.accent().patch(pen.theme.strong())),
                Span::raw(format!(" {name} {kind} ")),
                Span::styled(fit(pen.glyphs, &about(preset), room), pen.theme.dim()),
            ]),
        );
        if place == at {
            pen.style(area, pen.theme.selected(true));
        }
        pen.hits.add(area, Hit::Preset(place));
    }
    if let Some(selected) = presets.get(at).filter(|_| long) {
        let lines = wrap(pen.glyphs, &about(selected), columns);
        for (line, row) in lines.into_iter().zip(list.height + 1..).take(usize::from(BELOW)) {
            pen.line(Pen::row(inner, row), line);
        }
    }
    let end = Pen::row(inner, inner.height.saturating_sub(1));
    popup::buttons(pen, end, Context::Presets, usize::MAX, pen.theme.plain());
}

/// What it is for, else what of it is not as usual.
fn about(preset: &Preset) -> String {
    if !preset.about.is_empty() {
        return preset.about.clone();
    }
    let own = preset.kind.params().iter().filter_map(|spec| {
        let value = preset.params.get(spec.name)?;
        (*value != spec.default_value()).then(|| format!("{} {value}", spec.name))
    });
    own.collect::<Vec<_>>().join(", ")
}
