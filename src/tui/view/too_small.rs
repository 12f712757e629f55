//! What a terminal shows on which the screen does not fit: how the nodes are, where there is room for that.

use ratatui::{layout::Rect, text::Span};

use super::{LEAST_HEIGHT, LEAST_WIDTH, nodes, pen::Pen, strip};
use crate::tui::text::wrap;

/// The least on which a glance at the nodes is of use.
const GLANCE: (u16, u16) = (40, 10);

pub fn draw(pen: &mut Pen, area: Rect) {
    pen.hits.too_small = true;
    let mut text =
        format!("tikv-chaos needs {LEAST_WIDTH}x{LEAST_HEIGHT}, this terminal has {}x{}", area.width, area.height);
    // A question that cannot be shown as a dialog still has to be answered.
    if let Some(dialog) = &pen.model.dialog {
        for group in pen.model.keys.groups(dialog.context(pen.model), |binding| binding.label) {
            if let Some((first, key)) = group.first().and_then(|first| first.keys.first().map(|key| (first, key))) {
                text.push_str(&format!("  [{}] {}", key.name(pen.glyphs), first.label));
            }
        }
    }
    let lines = wrap(pen.glyphs, &text, usize::from(area.width));
    let taken = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height);
    for (line, row) in lines.into_iter().zip(0..) {
        pen.line(Pen::row(area, row), Span::raw(line));
    }
    let rest = Rect { y: area.y + taken, height: area.height - taken, ..area };
    if area.width < GLANCE.0 || area.height < GLANCE.1 || rest.height < 3 {
        pen.hits.blind = true;
        return;
    }
    strip::draw(pen, Rect { height: 1, ..rest });
    let known = strip::rows_wanted(pen.model, area, false);
    let below = Rect { y: rest.y + known, height: rest.height - known, ..rest };
    nodes::table(pen, Rect { x: below.x + 1, width: below.width.saturating_sub(2), ..below }, area.y);
}
