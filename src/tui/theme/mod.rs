//! What a thing's state looks like. By default only the terminal's own 16 colours, other themes as files, and no colour
//! at all on request: a colour is never the only sign, a word or a mark stands beside it.

pub mod file;

use ratatui::style::{Color, Modifier, Style};

/// What a style is for, by the name that it has in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything that is nothing else, and the ground.
    Text,
    Strong,
    Dim,
    Accent,
    Good,
    Warn,
    Bad,
    Frame,
    FocusedFrame,
    Title,
    FocusedTitle,
    /// The row that the keys act on.
    Selected,
    Throughput,
    Delay,
}

impl Role {
    pub const ALL: [Self; 14] = [
        Self::Text,
        Self::Strong,
        Self::Dim,
        Self::Accent,
        Self::Good,
        Self::Warn,
        Self::Bad,
        Self::Frame,
        Self::FocusedFrame,
        Self::Title,
        Self::FocusedTitle,
        Self::Selected,
        Self::Throughput,
        Self::Delay,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Strong => "strong",
            Self::Dim => "dim",
            Self::Accent => "accent",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Frame => "frame",
            Self::FocusedFrame => "focused_frame",
            Self::Title => "title",
            Self::FocusedTitle => "focused_title",
            Self::Selected => "selected",
            Self::Throughput => "throughput",
            Self::Delay => "delay",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// By [`Role`].
    styles: [Style; Role::ALL.len()],
}

impl Default for Theme {
    /// The terminal's own colours.
    fn default() -> Self {
        let (colour, plain) = (|colour| Style::new().fg(colour), Style::new());
        let styles = Role::ALL.map(|role| match role {
            Role::Text => plain,
            Role::Strong | Role::Title => plain.add_modifier(Modifier::BOLD),
            Role::Dim | Role::Frame => plain.add_modifier(Modifier::DIM),
            Role::Accent | Role::FocusedFrame | Role::Throughput => colour(Color::Cyan),
            Role::Good => colour(Color::Green),
            Role::Warn | Role::Delay => colour(Color::Yellow),
            Role::Bad => colour(Color::Red).add_modifier(Modifier::BOLD),
            Role::FocusedTitle => colour(Color::Cyan).add_modifier(Modifier::BOLD),
            Role::Selected => plain.add_modifier(Modifier::REVERSED),
        });
        Self { styles }
    }
}

impl Theme {
    /// Bold, dim and reversed alone. What a theme marks by colours would be lost, so it is the default's.
    pub fn colourless() -> Self {
        let styles = Self::default().styles.map(|style| Style { fg: None, bg: None, ..style });
        Self { styles }
    }

    const fn of(self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// The ground on which everything is drawn.
    pub fn ground(self) -> Style {
        Style::reset().patch(self.of(Role::Text))
    }
    /// As what lies under it.
    pub const fn plain(self) -> Style {
        Style::new()
    }
    pub const fn strong(self) -> Style {
        self.of(Role::Strong)
    }
    pub const fn dim(self) -> Style {
        self.of(Role::Dim)
    }
    pub const fn accent(self) -> Style {
        self.of(Role::Accent)
    }
    pub const fn good(self) -> Style {
        self.of(Role::Good)
    }
    pub const fn warn(self) -> Style {
        self.of(Role::Warn)
    }
    pub const fn bad(self) -> Style {
        self.of(Role::Bad)
    }
    pub const fn throughput(self) -> Style {
        self.of(Role::Throughput)
    }
    pub const fn delay(self) -> Style {
        self.of(Role::Delay)
    }
    /// A pane's frame.
    pub const fn frame(self, focused: bool) -> Style {
        if focused { self.of(Role::FocusedFrame) } else { self.of(Role::Frame) }
    }
    /// A pane's title.
    pub const fn title(self, focused: bool) -> Style {
        if focused { self.of(Role::FocusedTitle) } else { self.of(Role::Title) }
    }
    /// The row that the keys act on: one bar, whatever colours its cells have.
    pub fn selected(self, focused: bool) -> Style {
        if focused { self.ground().patch(self.of(Role::Selected)) } else { self.strong() }
    }
    pub fn button(self, enabled: bool, focused: bool) -> Style {
        match (enabled, focused) {
            (true, true) => self.accent().add_modifier(Modifier::REVERSED.union(Modifier::BOLD)),
            (true, false) => self.accent().add_modifier(Modifier::BOLD),
            (false, true) => Style::new().add_modifier(Modifier::REVERSED.union(Modifier::DIM)),
            (false, false) => self.dim(),
        }
    }
}
