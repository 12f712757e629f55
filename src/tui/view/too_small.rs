//! What a terminal shows on which the screen does not fit.

use ratatui::{layout::Rect, text::Span};

use super::{LEAST_HEIGHT, LEAST_WIDTH, pen::Pen};
use crate::tui::{keys::groups, text::wrap};

pub fn draw(pen: &mut Pen, area: Rect) {
    pen.hits.too_small = true;
    let mut text =
        format!("tikv-chaos needs {LEAST_WIDTH}x{LEAST_HEIGHT}, this terminal has {}x{}", area.width, area.height);
    // A question that cannot be shown as a dialog still has to be answered.
    if let Some(dialog) = &pen.model.dialog {
        for group in groups(dialog.context(pen.model), |binding| binding.label) {
            if let Some((first, key)) = group.first().and_then(|first| first.keys.first().map(|key| (first, key))) {
                text.push_str(&format!("  [{}] {}", key.name(pen.glyphs), first.label));
            }
        }
    }
    for (line, row) in wrap(pen.glyphs, &text, usize::from(area.width)).into_iter().zip(0..) {
        pen.line(Pen::row(area, row), Span::raw(line));
    }
}
