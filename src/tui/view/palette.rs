//! The palette: what is typed, and below it what fits, each with its key.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{pen::Pen, popup};
use crate::tui::{
    hits::Hit,
    keys::Context,
    palette::Palette,
    text::{fit, pad, width},
};

const COLUMNS: u16 = 76;
/// The width of the names.
const NAMES: usize = 20;

pub fn draw(pen: &mut Pen, screen: Rect, palette: &Palette) {
    let offers = pen.model.offers(&palette.text);
    // As high as it is with nothing typed: a box that jumps with every letter cannot be read.
    let rows = u16::try_from(pen.model.offers("").len()).unwrap_or(u16::MAX).saturating_add(5);
    let inner = pen.popup(screen, "What to do", COLUMNS, rows);
    let typed = Span::styled(format!("{}{}", pen.glyphs.clean(&palette.text), pen.glyphs.cursor()), pen.theme.strong());
    pen.line(inner, Line::from(vec![Span::raw(": "), typed]));
    let list = Rect { y: inner.y + 1, height: inner.height.saturating_sub(3), ..inner };
    if offers.is_empty() {
        pen.line(list, Span::styled("Nothing that is possible now has these letters.", pen.theme.dim()));
    }
    let at = palette.at.min(offers.len().saturating_sub(1));
    let visible = usize::from(list.height);
    let first = (at + 1).saturating_sub(visible);
    for (row, (place, offer)) in offers.iter().enumerate().skip(first).take(visible).enumerate() {
        let area = Pen::row(list, u16::try_from(row).unwrap_or(u16::MAX));
        let mark = if place == at { pen.glyphs.selected() } else { " " };
        let room = usize::from(area.width).saturating_sub(NAMES + 4 + width(&offer.key));
        let help = fit(pen.glyphs, offer.help, room);
        let name = pad(pen.glyphs, offer.name, NAMES);
        pen.line(area, Line::from(vec![Span::raw(format!("{mark} {name} ")), Span::styled(help, pen.theme.dim())]));
        pen.line_right(area, Span::styled(offer.key.clone(), pen.theme.accent().patch(pen.theme.strong())));
        if place == at {
            pen.style(area, pen.theme.selected(true));
        }
        pen.hits.add(area, Hit::Offer(place));
    }
    let end = Pen::row(inner, inner.height.saturating_sub(1));
    popup::buttons(pen, end, Context::Palette, usize::MAX, pen.theme.plain());
    let count = format!("{} of {}", (at + 1).min(offers.len()), offers.len());
    pen.line_right(end, Span::styled(count, pen.theme.dim()));
}
