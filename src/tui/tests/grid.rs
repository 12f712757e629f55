//! Every screen and every dialog at every size, in colour, without, and in ASCII. A file a scene: the whole screen with
//! its styles, of a dialog only the rows that it changes. What has no colour must be the same but for the colours, so it
//! needs no text of its own; in ASCII two sizes are held, and all of them are looked at for what is no ASCII.

use std::fmt::Write as _;

use insta::assert_snapshot;
use ratatui::style::Color;

use super::{
    fixtures::*,
    scenes::{DIALOGS, SCREENS, Scene},
};
use crate::tui::Options;

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];

fn shown(options: &Options, (width, height): (u16, u16), scenes: &[Scene]) -> Screen {
    let mut screen = Screen::with(options.clone(), width, height);
    scenes.iter().for_each(|scene| scene(&mut screen));
    screen
}

fn options_of(name: &str) -> Options {
    let demo = name.starts_with("quit_demo").then(|| "demo-7f3a".to_owned());
    Options { demo, read_only: name == "read_only", ..options() }
}

/// The rows of the one that are not as in the other.
fn changed(before: &str, after: &str) -> String {
    let mut text = String::new();
    for (row, (old, new)) in before.lines().chain(std::iter::repeat("")).zip(after.lines()).enumerate() {
        if old != new {
            let _ = writeln!(text, "{row:2} {new}");
        }
    }
    text
}

fn look_at(name: &str, scenes: &[Scene]) {
    let mut text = String::new();
    let under = &scenes[..scenes.len() - 1];
    let in_colour = options_of(name);
    let plain = Options { colours: false, ..in_colour.clone() };
    let ascii = Options { utf8: false, ..in_colour.clone() };
    for size in SIZES {
        let screen = shown(&in_colour, size, scenes);
        let mut add = |what: &str, options: &Options, of: fn(&Screen) -> String| {
            let after = of(&shown(options, size, scenes));
            let after =
                if under.is_empty() { after + "\n" } else { changed(&of(&shown(options, size, under)), &after) };
            let _ = write!(text, "-- {}x{} {what}\n{after}", size.0, size.1);
        };
        add("in colour", &in_colour, Screen::styled);
        if size.0 <= 80 {
            add("in ASCII", &ascii, Screen::text);
        }
        let colourless = shown(&plain, size, scenes);
        for (one, other) in screen.buffer().content.iter().zip(&colourless.buffer().content) {
            assert_eq!((other.fg, other.bg), (Color::Reset, Color::Reset), "{name} at {size:?}: {other:?}");
            assert_eq!((one.symbol(), one.modifier), (other.symbol(), other.modifier), "{name} at {size:?}");
        }
        let ascii = shown(&ascii, size, scenes);
        for cell in &ascii.buffer().content {
            assert!(cell.symbol().is_ascii(), "{name} at {size:?}: {cell:?}");
        }
    }
    assert_snapshot!(format!("grid_{name}"), text);
}

#[test]
fn every_screen_at_every_size() {
    SCREENS.iter().for_each(|(name, scene)| look_at(name, &[*scene]));
}

#[test]
fn every_dialog_at_every_size() {
    DIALOGS.iter().for_each(|(name, under, scene)| look_at(name, &[*under, *scene]));
}

/// Whatever a terminal may be made to: nothing leaves the screen.
#[test]
fn any_size_can_be_drawn() {
    for (_, scene) in SCREENS {
        let mut screen = shown(&options(), (80, 24), &[scene]);
        for (width, height) in [(0, 0), (1, 1), (1, 60), (200, 1), (39, 10), (40, 9), (79, 24), (80, 23), (500, 200)] {
            screen.resize(width, height);
        }
    }
}
