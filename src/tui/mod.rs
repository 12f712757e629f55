//! The screen: one [`Model`], a [`Message`] for whatever happens, a pure [`update`] that answers with [`Effect`]s, and
//! a pure [`view`].
//!
//! Only [`run`] waits, reads the clock and touches the terminal: it turns what happens into messages and carries the
//! effects out. The rest knows neither Docker's nor the journal's ways.

mod effect;
mod executor;
mod change;
mod figures;
mod file;
mod follow;
mod glyphs;
mod hits;
mod keys;
mod log;
mod message;
mod model;
mod matching;
mod open;
mod palette;
mod picker;
mod preset;
mod prompt;
mod runtime;
mod settings;
mod terminal;
mod text;
mod theme;
mod update;
mod view;
mod watched;
mod widgets;

#[cfg(test)]
mod tests;

pub use effect::Effect;
pub use file::FileError;
pub use hits::HitMap;
pub use keys::{KeyError, Keymap};
pub use message::{Level, Live, Message};
pub use model::{Model, Options};
pub use preset::{Preset, Presets};
pub use runtime::{Ended, run};
pub use settings::Settings;
pub use text::span;
pub use theme::Theme;
pub use update::update;
pub use view::{LEAST_HEIGHT, LEAST_WIDTH, view};
