//! What a thing's state looks like: seven styles, from a file, and no colour at all on request. A colour is never the
//! only sign, a word or a mark stands beside it.

use std::str::FromStr as _;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use toml::Spanned;

use super::file::{self, FileError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    pub name: String,
    looks: Looks,
}

/// The theme as what draws takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    plain: Style,
    dim: Style,
    accent: Style,
    good: Style,
    warn: Style,
    bad: Style,
    selected: Style,
}

/// As it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    plain: Option<Spanned<String>>,
    dim: Option<Spanned<String>>,
    accent: Option<Spanned<String>>,
    good: Option<Spanned<String>>,
    warn: Option<Spanned<String>>,
    bad: Option<Spanned<String>>,
    selected: Option<Spanned<String>>,
}

const SHIPPED: [(&str, &str); 4] = [
    ("default.toml", include_str!("../../assets/themes/default.toml")),
    ("dark.toml", include_str!("../../assets/themes/dark.toml")),
    ("light.toml", include_str!("../../assets/themes/light.toml")),
    ("colour-blind.toml", include_str!("../../assets/themes/colour-blind.toml")),
];

impl Default for Theme {
    fn default() -> Self {
        Self { name: "default".to_owned(), looks: Looks::DEFAULT }
    }
}

impl Theme {
    /// Those that come with the program, the default first.
    pub fn shipped() -> Vec<Self> {
        // What a test holds to be right.
        SHIPPED.into_iter().filter_map(|(file, text)| Self::parse(file, text).ok()).collect()
    }

    /// The theme in that text of that file.
    ///
    /// # Errors
    /// Names the file, the line, and what was expected there.
    pub fn parse(file: &str, text: &str) -> Result<Self, FileError> {
        let written: Written = file::read(file, text)?;
        let style = |given: Option<Spanned<String>>, default: Style| {
            given.map_or(Ok(default), |given| {
                style(given.get_ref()).map_err(|what| FileError::at(file, text, given.span().start, what))
            })
        };
        let default = Looks::DEFAULT;
        Ok(Self {
            looks: Looks {
                plain: style(written.plain, default.plain)?,
                dim: style(written.dim, default.dim)?,
                accent: style(written.accent, default.accent)?,
                good: style(written.good, default.good)?,
                warn: style(written.warn, default.warn)?,
                bad: style(written.bad, default.bad)?,
                selected: style(written.selected, default.selected)?,
            },
            name: written.name,
        })
    }

    pub const fn looks(&self, colours: bool) -> Looks {
        if colours { self.looks } else { self.looks.without_colours() }
    }
}

/// `bright-red bold`, `#ff8700`, `black on-yellow`, `reversed`.
fn style(text: &str) -> Result<Style, String> {
    let mut style = Style::new();
    for word in text.split_whitespace() {
        style = match word {
            "bold" => style.add_modifier(Modifier::BOLD),
            "dim" => style.add_modifier(Modifier::DIM),
            "italic" => style.add_modifier(Modifier::ITALIC),
            "underlined" => style.add_modifier(Modifier::UNDERLINED),
            "reversed" => style.add_modifier(Modifier::REVERSED),
            word => match (word.strip_prefix("on-"), Color::from_str(word)) {
                (Some(ground), _) if Color::from_str(ground).is_ok() => {
                    Color::from_str(ground).map_or(style, |ground| style.bg(ground))
                }
                (None, Ok(colour)) => style.fg(colour),
                _ => {
                    return Err(format!(
                        "no style has {word:?}; expected one of the 16 colours such as red or bright-blue, a colour \
                         such as #ff8700, on- and a colour for the ground, bold, dim, italic, underlined or reversed"
                    ));
                }
            },
        };
    }
    Ok(style)
}

impl Looks {
    const DEFAULT: Self = Self {
        plain: Style::new(),
        dim: Style::new().add_modifier(Modifier::DIM),
        accent: Style::new().fg(Color::Cyan),
        good: Style::new().fg(Color::Green),
        warn: Style::new().fg(Color::Yellow),
        bad: Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        selected: Style::new().add_modifier(Modifier::REVERSED),
    };

    const fn without_colours(self) -> Self {
        const fn bare(style: Style) -> Style {
            Style { fg: None, bg: None, underline_color: None, ..style }
        }
        Self {
            plain: bare(self.plain),
            dim: bare(self.dim),
            accent: bare(self.accent),
            good: bare(self.good),
            warn: bare(self.warn),
            bad: bare(self.bad),
            // A bar that is only a colour would be nothing.
            selected: Self::DEFAULT.selected,
        }
    }

    pub const fn plain(self) -> Style {
        self.plain
    }
    pub const fn strong(self) -> Style {
        self.plain.add_modifier(Modifier::BOLD)
    }
    pub const fn dim(self) -> Style {
        self.dim
    }
    pub const fn accent(self) -> Style {
        self.accent
    }
    pub const fn good(self) -> Style {
        self.good
    }
    pub const fn warn(self) -> Style {
        self.warn
    }
    pub const fn bad(self) -> Style {
        self.bad
    }
    /// A pane's frame.
    pub const fn frame(self, focused: bool) -> Style {
        if focused { self.accent } else { self.dim }
    }
    /// A pane's title.
    pub const fn title(self, focused: bool) -> Style {
        if focused { self.accent.add_modifier(Modifier::BOLD) } else { self.strong() }
    }
    /// The row that the keys act on: one bar, whatever colours its cells have.
    pub fn selected(self, focused: bool) -> Style {
        if focused { Style::reset().patch(self.selected) } else { Style::new().add_modifier(Modifier::BOLD) }
    }
    /// What was searched for and found.
    pub const fn found(self) -> Style {
        self.warn.add_modifier(Modifier::REVERSED)
    }
    pub const fn button(self, enabled: bool, focused: bool) -> Style {
        match (enabled, focused) {
            (true, true) => self.accent.add_modifier(Modifier::REVERSED.union(Modifier::BOLD)),
            (true, false) => self.accent.add_modifier(Modifier::BOLD),
            (false, true) => self.dim.add_modifier(Modifier::REVERSED),
            (false, false) => self.dim,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_theme_is_right_and_the_default_is_the_default() {
        let shipped = Theme::shipped();
        let names: Vec<&str> = shipped.iter().map(|theme| theme.name.as_str()).collect();
        assert_eq!(names, ["default", "dark", "light", "colour-blind"]);
        assert_eq!(shipped[0], Theme::default());
    }

    #[test]
    fn without_colours_no_colour_is_left() {
        for theme in Theme::shipped() {
            let Looks { plain, dim, accent, good, warn, bad, selected } = theme.looks(false);
            for style in [plain, dim, accent, good, warn, bad, selected] {
                assert_eq!((style.fg, style.bg), (None, None), "{}", theme.name);
            }
        }
    }

    #[test]
    fn an_error_names_file_line_and_what_was_expected() {
        let error = |text: &str| Theme::parse("my.toml", text).unwrap_err().to_string();
        let said = error("name = \"x\"\n\nbad = \"redd\"\n");
        assert!(said.starts_with("my.toml, line 3: no style has \"redd\"; expected one of"), "{said}");
        let said = error("name = \"x\"\ngod = \"red\"\n");
        assert!(said.starts_with("my.toml, line 2: ") && said.contains("expected one of"), "{said}");
        assert!(error("nam").starts_with("my.toml, line 1: "));
    }
}
