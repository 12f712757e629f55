//! What a person chose about the screen, checked before it is opened.

use std::path::PathBuf;

use super::{keys::Keymap, preset::Presets, theme::Theme};

#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub keys: Keymap,
    pub theme: Theme,
    pub presets: Presets,
    /// Where presets that are kept go; without it they last as long as the program.
    pub presets_file: Option<PathBuf>,
    /// No glyph beyond ASCII, whatever the locale says.
    pub ascii: bool,
    /// Nothing moves by itself but figures.
    pub no_motion: bool,
    /// Where random choices begin, so that they can be repeated.
    pub seed: Option<u64>,
}
