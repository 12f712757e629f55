//! What a thing's state looks like. Only the terminal's own 16 colours, and none at all on request: a colour is never
//! the only sign, a word or a mark stands beside it.

use ratatui::style::{Color, Modifier, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    colours: bool,
}

impl Theme {
    pub const fn new(colours: bool) -> Self {
        Self { colours }
    }

    const fn colour(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    pub const fn plain(self) -> Style {
        Style::new()
    }
    pub const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
    pub const fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
    pub const fn accent(self) -> Style {
        self.colour(Color::Cyan)
    }
    pub const fn good(self) -> Style {
        self.colour(Color::Green)
    }
    pub const fn warn(self) -> Style {
        self.colour(Color::Yellow)
    }
    pub const fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }
    /// A pane's frame.
    pub const fn frame(self, focused: bool) -> Style {
        if focused { self.accent() } else { self.dim() }
    }
    /// A pane's title.
    pub const fn title(self, focused: bool) -> Style {
        if focused { self.accent().add_modifier(Modifier::BOLD) } else { self.strong() }
    }
    /// The row that the keys act on: one bar, whatever colours its cells have.
    pub const fn selected(self, focused: bool) -> Style {
        if focused { Style::reset().add_modifier(Modifier::REVERSED) } else { self.strong() }
    }
    pub const fn button(self, enabled: bool, focused: bool) -> Style {
        match (enabled, focused) {
            (true, true) => self.accent().add_modifier(Modifier::REVERSED.union(Modifier::BOLD)),
            (true, false) => self.accent().add_modifier(Modifier::BOLD),
            (false, true) => Style::new().add_modifier(Modifier::REVERSED.union(Modifier::DIM)),
            (false, false) => self.dim(),
        }
    }
}
