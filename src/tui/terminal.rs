//! The terminal, taken on entry and given back on every way out: the end, an error, a signal, a panic. Giving it back
//! never fails and never panics, since the terminal may be gone.

use std::{
    io::{self, BufWriter, Stdout, Write as _, stdin, stdout},
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::{
    backend::{Backend as _, CrosstermBackend},
    buffer::Buffer,
    crossterm::{
        clipboard::CopyToClipboard,
        cursor,
        event::{DisableBracketedPaste, EnableBracketedPaste},
        execute, queue,
        style::Print,
        terminal::{
            BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
            LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
        },
    },
    layout::Rect,
};

use super::{Model, difference::difference, view};

/// Clicks, the wheel and drags, in the encoding without limits; not every motion, which costs CPU for nothing.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l\x1b[?1000l";

/// A whole frame of a large screen in one write.
const WRITTEN_AT_ONCE: usize = 1 << 16;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal in raw mode with the alternate screen, until dropped.
pub struct Screen {
    backend: CrosstermBackend<BufWriter<Stdout>>,
    /// What the terminal shows.
    shown: Buffer,
    /// Where the next frame is drawn.
    next: Buffer,
}

impl Screen {
    pub fn enter() -> io::Result<Self> {
        take().inspect_err(|_| give_back())?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(WRITTEN_AT_ONCE, stdout()));
        Ok(Self { backend, shown: Buffer::empty(Rect::ZERO), next: Buffer::empty(Rect::ZERO) })
    }

    /// After it was given back. What was drawn before is gone: the next frame has to be a whole one.
    pub fn take_again(&mut self) -> io::Result<()> {
        take().inspect_err(|_| give_back())
    }

    /// Draws the model as one update, which terminals that know how show at once; where it looks as before, not a byte
    /// is written. After a change of the size the frame is a whole one: a terminal that was made smaller and as large as
    /// before has lost what did not fit.
    pub fn draw(&mut self, model: &mut Model, resized: bool) -> io::Result<()> {
        let (width, height) = size()?;
        let area = Rect { x: 0, y: 0, width, height };
        let whole = resized || self.shown.area != area;
        if whole {
            self.shown = Buffer::empty(area);
            self.next = Buffer::empty(area);
        } else {
            self.next.reset();
        }
        model.drawn(view(model, &mut self.next));
        let changed = difference(&self.shown, &self.next);
        if whole || !changed.is_empty() {
            queue!(self.backend, BeginSynchronizedUpdate)?;
            if whole {
                queue!(self.backend, Clear(ClearType::All))?;
            }
            self.backend.draw(changed.into_iter())?;
            queue!(self.backend, EndSynchronizedUpdate)?;
            io::Write::flush(&mut self.backend)?;
        }
        std::mem::swap(&mut self.shown, &mut self.next);
        Ok(())
    }
}

impl Screen {
    /// Puts the text into the terminal's clipboard (xterm's OSC 52), where it allows that; between two frames and as one
    /// piece, so that nothing is torn.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut piece = Vec::new();
        queue!(piece, CopyToClipboard::to_clipboard_from(text))?;
        let mut out = stdout().lock();
        out.write_all(&piece)?;
        out.flush()
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

/// Whether the terminal hung up, which without SIGHUP (as under `nohup`) nobody says.
pub fn is_gone() -> bool {
    let stdin = stdin();
    let mut asked = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
    let hung_up = |flags: PollFlags| flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
    poll(&mut asked, PollTimeout::ZERO).is_ok() && asked[0].revents().is_some_and(hung_up)
}

/// Gives the terminal back if it is taken.
pub fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), Print(MOUSE_OFF), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
        let _ = stdout().flush();
    }
}
