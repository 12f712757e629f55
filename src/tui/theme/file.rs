//! Themes as files: found by name or path, and read down to the line, so that nothing in them is silently ignored.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ratatui::style::{Color, Modifier, Style};
use toml::de::DeTable;

use super::{Role, Theme};
use crate::config::file::FileError;

/// Themes that need no file.
pub const SHIPPED: [(&str, &str); 5] = [
    (DEFAULT, include_str!("../../../assets/themes/ansi.toml")),
    ("dark", include_str!("../../../assets/themes/dark.toml")),
    ("light", include_str!("../../../assets/themes/light.toml")),
    ("colour-blind", include_str!("../../../assets/themes/colour-blind.toml")),
    ("mono", include_str!("../../../assets/themes/mono.toml")),
];
pub const DEFAULT: &str = "ansi";

/// What a style is made of.
const EXPECTED: &str = "a colour, \"on\" and a colour, bold, dim, italic, underlined, reversed. A colour is black, red, \
                        green, yellow, blue, magenta, cyan or white, bright- before one of these, default, a number \
                        from 0 to 255, or #rrggbb";

/// Whether a theme is meant by its file rather than by its name.
pub fn is_path(wanted: &str) -> bool {
    wanted.contains('/') || Path::new(wanted).extension().is_some_and(|extension| extension == "toml")
}

impl Theme {
    /// The theme of that name, of the user's own in `folder/themes` before the shipped ones, or of that path.
    ///
    /// # Errors
    /// The file with the line and what was expected there, or the names that there are.
    pub fn find(wanted: &str, folder: Option<&Path>) -> Result<Self, FileError> {
        let own = folder.map(|folder| folder.join("themes"));
        let path = match &own {
            _ if is_path(wanted) => Some(PathBuf::from(wanted)),
            Some(own) => Some(own.join(format!("{wanted}.toml"))).filter(|path| path.exists()),
            None => None,
        };
        if let Some(path) = path {
            return match fs::read_to_string(&path) {
                Ok(text) => Self::parse(&path, &text),
                Err(error) => Err(FileError { path, line: None, reason: format!("it cannot be read: {error}") }),
            };
        }
        match SHIPPED.iter().find(|(name, _)| *name == wanted) {
            Some((name, text)) => Self::parse(Path::new(name), text),
            None => {
                let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
                let place = own.map_or_else(String::new, |own| format!(", a file in {}", own.display()));
                let reason = format!("there is no such theme; there are {}{place}, or a path", names.join(", "));
                Err(FileError { path: format!("theme {wanted:?}").into(), line: None, reason })
            }
        }
    }

    /// What a file does not name is as in the default.
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let at = |offset: usize, reason: String| {
            let line = text.get(..offset).unwrap_or(text).matches('\n').count() + 1;
            FileError { path: path.to_owned(), line: Some(line), reason }
        };
        let document = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            at(offset, format!("this is no TOML: {}", error.message().replace('\n', " ")))
        })?;
        let mut theme = Self::default();
        for (key, value) in document.get_ref() {
            let (name, start) = (key.get_ref().as_ref(), key.span().start);
            let Some(role) = Role::ALL.into_iter().find(|role| role.name() == name) else {
                let names: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
                return Err(at(start, format!("a theme has no {name:?}; expected one of {}", names.join(", "))));
            };
            let style = match value.get_ref().as_str() {
                Some(words) => style(words).map_err(|word| format!("{name}: there is no {word:?} in a style")),
                None => Err(format!("{name} cannot be a {}", value.get_ref().type_str())),
            };
            let style = style.map_err(|reason| at(start, format!("{reason}; expected a text of {EXPECTED}")))?;
            theme.styles[role as usize] = style;
        }
        Ok(theme)
    }
}

/// The style of those words, or the first one that means nothing.
fn style(words: &str) -> Result<Style, &str> {
    let mut style = Style::new();
    let mut words = words.split_whitespace();
    while let Some(word) = words.next() {
        style = match (word, colour(word), modifier(word)) {
            ("on", ..) => {
                let word = words.next().ok_or(word)?;
                style.bg(colour(word).ok_or(word)?)
            }
            (_, Some(colour), _) => style.fg(colour),
            (_, _, Some(modifier)) => style.add_modifier(modifier),
            _ => return Err(word),
        };
    }
    Ok(style)
}

fn modifier(word: &str) -> Option<Modifier> {
    Some(match word {
        "bold" => Modifier::BOLD,
        "dim" => Modifier::DIM,
        "italic" => Modifier::ITALIC,
        "underlined" => Modifier::UNDERLINED,
        "reversed" => Modifier::REVERSED,
        _ => return None,
    })
}

fn colour(word: &str) -> Option<Color> {
    if let Some(hex) = word.strip_prefix('#') {
        let number = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 6 && hex.is_ascii())?;
        let [_, red, green, blue] = number.to_be_bytes();
        return Some(Color::Rgb(red, green, blue));
    }
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return word.parse().ok().map(Color::Indexed);
    }
    Some(match word {
        "default" => Color::Reset,
        "black" => Color::Black,
        "red" => Color::Red,
        "green" => Color::Green,
        "yellow" => Color::Yellow,
        "blue" => Color::Blue,
        "magenta" => Color::Magenta,
        "cyan" => Color::Cyan,
        "white" => Color::Gray,
        "bright-black" => Color::DarkGray,
        "bright-red" => Color::LightRed,
        "bright-green" => Color::LightGreen,
        "bright-yellow" => Color::LightYellow,
        "bright-blue" => Color::LightBlue,
        "bright-magenta" => Color::LightMagenta,
        "bright-cyan" => Color::LightCyan,
        "bright-white" => Color::White,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Theme, String> {
        Theme::parse(Path::new("/my/theme.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn every_shipped_theme_names_every_role_and_the_first_is_the_default() {
        for (name, text) in SHIPPED {
            let theme = Theme::find(name, None).unwrap();
            let table: toml::Table = text.parse().unwrap();
            assert!(Role::ALL.iter().all(|role| table.contains_key(role.name())), "{name}");
            assert_eq!(theme == Theme::default(), name == DEFAULT, "{name}");
        }
    }

    #[test]
    fn signs_of_good_and_bad_differ_in_every_theme_that_has_colours() {
        for (name, _) in SHIPPED.into_iter().filter(|(name, _)| *name != "mono") {
            let theme = Theme::find(name, None).unwrap();
            let colours = [theme.good().fg, theme.warn().fg, theme.bad().fg];
            assert!(colours.iter().all(Option::is_some), "{name}");
            assert!(colours[0] != colours[1] && colours[1] != colours[2] && colours[0] != colours[2], "{name}");
        }
    }

    #[test]
    fn a_style_is_words_in_any_order() {
        let theme = parse("bad = 'bold bright-red on 17'\ngood='#00ff7f'\ntext = 'default on black'").unwrap();
        assert_eq!(theme.bad(), Style::new().fg(Color::LightRed).bg(Color::Indexed(17)).add_modifier(Modifier::BOLD));
        assert_eq!(theme.good().fg, Some(Color::Rgb(0, 255, 127)));
        assert_eq!(theme.warn(), Theme::default().warn());
    }

    #[test]
    fn what_is_wrong_is_said_with_the_file_the_line_and_what_was_expected() {
        for (text, expected) in [
            ("bad = red", "/my/theme.toml:1: this is no TOML"),
            ("\nbaad = 'red'", "/my/theme.toml:2: a theme has no \"baad\"; expected one of text, strong"),
            ("\n\nbad = 'rot'", "/my/theme.toml:3: bad: there is no \"rot\" in a style; expected a text of a colour"),
            ("bad = 'red on'", ":1: bad: there is no \"on\" in a style"),
            ("bad = '256'", ":1: bad: there is no \"256\" in a style"),
            ("bad = '#12345'", ":1: bad: there is no \"#12345\" in a style"),
            ("bad = 1", ":1: bad cannot be a integer; expected a text of"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected) && !error.contains('\n'), "{text:?}: {error}");
        }
    }

    #[test]
    fn own_themes_come_before_shipped_ones_and_what_is_not_there_names_what_is() {
        let folder = tempfile::tempdir().unwrap();
        let find = |wanted: &str| Theme::find(wanted, Some(folder.path()));
        assert_eq!(find("dark").unwrap(), Theme::find("dark", None).unwrap());
        fs::create_dir(folder.path().join("themes")).unwrap();
        fs::write(folder.path().join("themes/dark.toml"), "bad = 'magenta'").unwrap();
        assert_eq!(find("dark").unwrap().bad().fg, Some(Color::Magenta));
        let error = find("drak").unwrap_err().to_string();
        assert!(error.contains("theme \"drak\": there is no such theme; there are ansi, dark, light,"), "{error}");
        assert!(find("./none.toml").unwrap_err().to_string().contains("./none.toml: it cannot be read"));
    }
}
