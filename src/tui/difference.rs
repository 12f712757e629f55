//! What must be written to make a terminal that shows one screen show another.

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
};

/// The cells of `next` that are not as `shown` has them, with their places; both have the same area. Most rows of a screen
/// are as they were, and those cost no more than to be compared.
pub fn difference<'n>(shown: &Buffer, next: &'n Buffer) -> Vec<(u16, u16, &'n Cell)> {
    let width = usize::from(next.area.width).max(1);
    let rows = shown.content.chunks(width).zip(next.content.chunks(width)).zip(next.area.y..);
    let mut changed = Vec::new();
    for ((before, after), y) in rows.filter(|((before, after), _)| before != after) {
        let row = |cells: &[Cell]| Buffer { area: Rect { y, height: 1, ..next.area }, content: cells.to_vec() };
        let (before, after) = (row(before), row(after));
        // What wide characters leave or cover is ratatui's to know.
        changed.extend(before.diff_iter(&after).map(|(x, y, _)| (x, y, &next[(x, y)])));
    }
    changed
}

#[cfg(test)]
mod tests {
    use ratatui::{buffer::Buffer, style::Style};

    use super::difference;

    #[test]
    fn it_is_what_ratatui_finds_in_the_whole() {
        let screens = [
            ["one", "two", "  three"],
            ["one", "世界", "  three"],
            ["世", "two", ""],
            ["a世b", "☀\u{fe0f}x", "  three"],
        ];
        for before in &screens {
            for after in &screens {
                let pad = |lines: &[&str; 3]| {
                    let mut buffer = Buffer::with_lines(["         "; 3]);
                    for (line, y) in lines.iter().zip(0..) {
                        buffer.set_string(0, y, line, Style::new());
                    }
                    buffer
                };
                let (before, after) = (pad(before), pad(after));
                assert_eq!(difference(&before, &after), before.diff(&after));
            }
        }
    }
}
