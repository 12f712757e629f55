//! The screen: one [`Model`], a [`Message`] for whatever happens, a pure [`update`] that answers with [`Effect`]s, and
//! a pure [`view`].
//!
//! Only [`run`] waits, reads the clock and touches the terminal: it turns what happens into messages and carries the
//! effects out. The rest knows neither Docker's nor the journal's ways.

mod difference;
mod effect;
mod executor;
mod figures;
mod filter;
mod follow;
mod glyphs;
mod hits;
mod input;
mod keys;
mod log;
mod marks;
mod matching;
mod message;
mod model;
mod open;
mod palette;
mod picker;
mod prompt;
mod runtime;
mod terminal;
mod text;
pub mod theme;
mod undo;
mod update;
mod view;
mod watched;
mod widgets;

#[cfg(test)]
mod tests;

pub use difference::difference;
pub use effect::Effect;
pub use hits::HitMap;
pub use keys::{KeyError, Keymap};
pub use message::{Level, Live, Message};
pub use model::{Model, Options};
pub use runtime::{Ended, run};
pub use text::span;
pub use update::update;
pub use view::{LEAST_HEIGHT, LEAST_WIDTH, view};
