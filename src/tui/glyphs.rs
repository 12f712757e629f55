//! Every glyph that is not ASCII goes through here, so that a terminal without UTF-8 gets a screen it can show.

use std::borrow::Cow;

use ratatui::symbols::{border, line};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    utf8: bool,
}

const ASCII_THIN: border::Set = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};
const ASCII_THICK: border::Set = border::Set { horizontal_top: "=", horizontal_bottom: "=", ..ASCII_THIN };

impl Glyphs {
    pub const fn new(utf8: bool) -> Self {
        Self { utf8 }
    }

    const fn pick(self, utf8: &'static str, ascii: &'static str) -> &'static str {
        if self.utf8 { utf8 } else { ascii }
    }

    pub const fn selected(self) -> &'static str {
        self.pick("▸", ">")
    }
    /// Beside a node that is marked.
    pub const fn marked(self) -> &'static str {
        self.pick("◆", "#")
    }
    /// Before what follows from something.
    pub const fn follows(self) -> &'static str {
        self.pick("→", "=")
    }
    pub const fn ellipsis(self) -> &'static str {
        self.pick("…", "~")
    }
    pub const fn on(self) -> &'static str {
        self.pick("●", "*")
    }
    pub const fn off(self) -> &'static str {
        self.pick("○", "o")
    }
    pub const fn knob(self) -> &'static str {
        self.pick("●", "O")
    }
    pub const fn track_before(self) -> &'static str {
        self.pick(line::THICK_HORIZONTAL, "=")
    }
    pub const fn track_after(self) -> &'static str {
        self.pick(line::HORIZONTAL, "-")
    }
    pub const fn previous(self) -> &'static str {
        self.pick("◂", "<")
    }
    pub const fn next(self) -> &'static str {
        self.pick("▸", ">")
    }
    pub const fn cursor(self) -> &'static str {
        self.pick("▏", "_")
    }
    pub const fn rule(self, thick: bool) -> &'static str {
        if thick { self.track_before() } else { self.track_after() }
    }
    /// Bars from nothing to full.
    pub const fn levels(self) -> &'static [&'static str] {
        if self.utf8 {
            &[" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
        } else {
            &[" ", ".", ":", "-", "=", "+", "*", "#"]
        }
    }
    /// Where a value is missing.
    pub const fn gap(self) -> &'static str {
        self.pick("·", "'")
    }
    /// A span of time: where it begins, goes on, ends, and goes on beyond the edge.
    pub const fn span_begin(self) -> &'static str {
        self.pick("├", "[")
    }
    pub const fn span_end(self) -> &'static str {
        self.pick("┤", "]")
    }
    pub const fn span_on(self) -> &'static str {
        self.pick("▸", ">")
    }
    /// Seen, to be seen about now, and not seen although it was time.
    pub const fn seen(self) -> &'static str {
        self.pick("✓", "x")
    }
    pub const fn due(self) -> &'static str {
        self.pick("◌", "?")
    }
    pub const fn waiting(self) -> &'static str {
        self.pick("·", ".")
    }
    /// One node reaches another, or is cut off from it.
    pub const fn reached(self) -> &'static str {
        self.pick("✓", "+")
    }
    pub const fn cut(self) -> &'static str {
        self.pick("✗", "X")
    }
    pub const fn vertical(self) -> &'static str {
        self.pick(line::VERTICAL, "|")
    }
    pub const fn joint_down(self) -> &'static str {
        self.pick(line::HORIZONTAL_DOWN, "+")
    }
    pub const fn joint_up(self) -> &'static str {
        self.pick(line::HORIZONTAL_UP, "+")
    }
    /// Something is going on, at that second.
    pub fn spinner(self, second: i64) -> &'static str {
        let turns = if self.utf8 { ["◐", "◓", "◑", "◒"] } else { ["|", "/", "-", "\\"] };
        turns[usize::try_from(second.rem_euclid(4)).unwrap_or(0)]
    }
    pub const fn up_key(self) -> &'static str {
        self.pick("↑", "Up")
    }
    pub const fn down_key(self) -> &'static str {
        self.pick("↓", "Down")
    }
    pub const fn left_key(self) -> &'static str {
        self.pick("←", "Left")
    }
    pub const fn right_key(self) -> &'static str {
        self.pick("→", "Right")
    }

    pub const fn border(self, thick: bool) -> border::Set<'static> {
        match (self.utf8, thick) {
            (true, false) => border::ROUNDED,
            (true, true) => border::THICK,
            (false, false) => ASCII_THIN,
            (false, true) => ASCII_THICK,
        }
    }

    /// Somebody else's text, fit for the screen: no control character, no mark that turns the direction of writing, and
    /// nothing beyond ASCII where that cannot be shown.
    pub fn clean(self, text: &str) -> Cow<'_, str> {
        let shown = |c: char| !c.is_control() && !is_invisible(c) && (self.utf8 || c.is_ascii());
        if text.chars().all(shown) {
            return Cow::Borrowed(text);
        }
        let replaced = text.chars().filter(|c| !is_invisible(*c)).filter_map(|c| match c {
            '\n' | '\t' => Some(' '),
            c if c.is_control() => None,
            c if shown(c) => Some(c),
            '…' => Some('~'),
            _ => Some('?'),
        });
        Cow::Owned(replaced.collect())
    }
}

/// Zero-width and direction marks: they show nothing, and change how the rest is shown.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_marks_never_reach_the_screen() {
        assert_eq!(Glyphs::new(true).clean("a\x1b[31mb\u{202e}c\nd"), "a[31mbc d");
        assert_eq!(Glyphs::new(true).clean("größe 界"), "größe 界");
        assert_eq!(Glyphs::new(false).clean("größe 界"), "gr??e ?");
    }
}
