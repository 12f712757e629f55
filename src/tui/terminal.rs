//! The terminal, taken on entry and given back on every way out: the end, an error, a signal, a panic. Giving it back
//! never fails and never panics, since the terminal may be gone.

use std::{
    io::{self, Stdout, Write as _, stdout},
    mem::ManuallyDrop,
    sync::atomic::{AtomicBool, Ordering},
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor,
        event::{DisableBracketedPaste, EnableBracketedPaste},
        execute, queue,
        style::Print,
        terminal::{
            BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
            disable_raw_mode, enable_raw_mode,
        },
    },
};

use super::{HitMap, Model, view};

/// Clicks, the wheel and drags, in the encoding without limits; not every motion, which costs CPU for nothing.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l\x1b[?1000l";

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal in raw mode with the alternate screen, until dropped.
pub struct Screen {
    /// Never dropped: on a terminal that is gone its own end prints a complaint, and that print panics.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
}

impl Screen {
    pub fn enter() -> io::Result<Self> {
        let terminal = take().and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        terminal.map(|terminal| Self { terminal: ManuallyDrop::new(terminal) }).inspect_err(|_| give_back())
    }

    /// After it was given back. What was drawn before is gone: the next frame has to be a whole one.
    pub fn take_again(&mut self) -> io::Result<()> {
        take().inspect_err(|_| give_back())
    }

    /// Draws the model as one update, which terminals that know how show at once. After a change of the size the frame
    /// is a whole one: a terminal that was made smaller and as large as before has not changed for ratatui, and has
    /// lost what did not fit.
    pub fn draw(&mut self, model: &mut Model, resized: bool) -> io::Result<()> {
        queue!(stdout(), BeginSynchronizedUpdate)?;
        if resized {
            // Not `clear`, which asks the terminal for the cursor while the event stream takes the answer.
            let size = self.terminal.size()?;
            self.terminal.resize(size.into())?;
        }
        let mut hits = HitMap::default();
        self.terminal.draw(|frame| hits = view(model, frame))?;
        execute!(stdout(), EndSynchronizedUpdate)?;
        model.drawn(hits);
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, Print(MOUSE_ON), cursor::Hide)
}

/// Gives the terminal back if it is taken.
pub fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), Print(MOUSE_OFF), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
        let _ = stdout().flush();
    }
}
