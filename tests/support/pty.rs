//! The program in a terminal: a pseudo-terminal that it runs in, and what a user would see there and find afterwards.
//!
//! A frame is shown when it is complete, as terminals do that know synchronized updates (private mode 2026), so that a
//! test never acts on half a frame.

use std::{
    io::{Read, Write},
    num::NonZeroU16,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use vt100::MouseProtocolMode;

use super::{Program, wait_for};

const FRAME_BEGINS: &[u8] = b"\x1b[?2026h";
const FRAME_ENDS: &[u8] = b"\x1b[?2026l";
/// For a machine in trouble; not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

pub const ENTER: &str = "\r";
pub const CTRL_C: &str = "\x03";
pub const CTRL_Z: &str = "\x1a";

/// A terminal's size in the order of `stty`: rows, then columns.
pub type Size = (u16, u16);

/// A terminal with the program in it. What still runs when this is dropped is killed.
pub struct Terminal {
    program: Running,
    line: Line,
    shown: Arc<Shown>,
    /// The terminal's settings before the program came.
    settings: String,
}

/// The terminal's end of the line; without it the terminal is gone.
struct Line {
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    reader: JoinHandle<()>,
}

/// The program's process.
pub struct Running {
    child: Box<dyn Child + Send + Sync>,
}

struct Shown {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: vt100::Parser,
    /// The beginning of a frame whose end has not come.
    held: Vec<u8>,
    /// Everything that the program ever wrote.
    written: Vec<u8>,
    /// The program closed the terminal, as it does at the latest when it ends.
    closed: bool,
    /// Nobody looks any more.
    abandoned: bool,
}

impl Terminal {
    pub fn open(program: &Program, size: Size) -> Self {
        Self::open_with(program, size, &[])
    }

    pub fn open_with(program: &Program, size: Size, env: &[(&str, &str)]) -> Self {
        Self::run(size, command(&[], program, &[], env))
    }

    pub fn open_args(program: &Program, size: Size, args: &[&str]) -> Self {
        Self::run(size, command(&[], program, args, &[]))
    }

    /// The program below a shell with job control, which runs the script; there, `"$@"` is the program.
    pub fn open_in_shell(program: &Program, size: Size, script: &str, env: &[(&str, &str)]) -> Self {
        Self::run(size, command(&["bash", "-mc", script, "bash"], program, &[], env))
    }

    fn run(size: Size, command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(pty_size(size)).unwrap();
        let settings = settings(&*pair.master);
        let child = pair.slave.spawn_command(command).unwrap();
        // Ours would keep the line open after the program's end.
        drop(pair.slave);
        let (rows, columns) = of_parser(size);
        let state = State {
            parser: vt100::Parser::new(rows, columns, 0),
            held: Vec::new(),
            written: Vec::new(),
            closed: false,
            abandoned: false,
        };
        let shown = Arc::new(Shown { state: Mutex::new(state), changed: Condvar::new() });
        let output = pair.master.try_clone_reader().unwrap();
        let reader = std::thread::spawn({
            let shown = shown.clone();
            move || shown.read(output)
        });
        let line = Line { keyboard: pair.master.take_writer().unwrap(), master: pair.master, reader };
        Self { program: Running { child }, line, shown, settings }
    }

    /// What is on the screen, row by row.
    pub fn screen(&self) -> String {
        self.shown.lock().text()
    }

    /// Everything that the program wrote, with the escape sequences.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().written).into_owned()
    }

    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Waits until the screen is as wanted, and gives it.
    pub fn wait_until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        let mut state = self.shown.lock();
        loop {
            let screen = state.text();
            if wanted(&screen) {
                return screen;
            }
            let closed = state.closed;
            if closed || start.elapsed() > PATIENCE {
                drop(state);
                let why = if closed { "the program ended" } else { "waited a minute" };
                panic!("{why}; wanted: {what}\n{screen}");
            }
            let woken = self.shown.changed.wait_timeout(state, PATIENCE);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn wait_text(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    pub fn wait_gone(&self, text: &str) -> String {
        self.wait_until(&format!("no {text}"), |screen| !screen.contains(text))
    }

    pub fn send(&mut self, keys: &str) {
        self.line.keyboard.write_all(keys.as_bytes()).unwrap();
        self.line.keyboard.flush().unwrap();
    }

    /// Clicks on the first place where the text stands, in the encoding of xterm's mode 1006.
    pub fn click(&mut self, text: &str) {
        let screen = self.wait_text(text);
        let (row, line) = screen.lines().enumerate().find(|(_, line)| line.contains(text)).unwrap();
        let column = line[..line.find(text).unwrap()].chars().count();
        let place = format!("{};{}", column + 1, row + 1);
        self.send(&format!("\x1b[<0;{place}M\x1b[<0;{place}m"));
    }

    /// Where the text stands first: its column and row, from 0.
    pub fn place_of(&self, text: &str) -> (usize, usize) {
        let screen = self.wait_text(text);
        let (row, line) = screen.lines().enumerate().find(|(_, line)| line.contains(text)).unwrap();
        (line[..line.find(text).unwrap()].chars().count(), row)
    }

    /// A press at one place, a way, and a release at another, with the left button.
    pub fn drag(&mut self, from: (usize, usize), to: (usize, usize)) {
        let at = |(column, row): (usize, usize)| format!("{};{}", column + 1, row + 1);
        self.send(&format!("\x1b[<0;{}M\x1b[<32;{}M\x1b[<0;{}m", at(from), at(to), at(to)));
    }

    /// A click with the button of that number in xterm's encoding: 0 left, 2 right, 64 and 65 the wheel.
    pub fn press_at(&mut self, button: u8, (column, row): (usize, usize)) {
        let place = format!("{};{}", column + 1, row + 1);
        let released = if button < 64 { format!("\x1b[<{button};{place}m") } else { String::new() };
        self.send(&format!("\x1b[<{button};{place}M{released}"));
    }

    /// Another size. What the screen showed is gone, as it may be on a real terminal: the program must draw all of it.
    pub fn resize(&mut self, size: Size) {
        let mut state = self.shown.lock();
        let (rows, columns) = of_parser(size);
        state.parser.screen_mut().set_size(rows, columns);
        state.parser.process(b"\x1b[2J");
        drop(state);
        self.line.master.resize(pty_size(size)).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Kills the program as the kernel would for want of memory; gives when it is gone.
    pub fn kill_9(mut self) {
        self.signal(Signal::SIGKILL);
        self.program.wait_exit();
    }

    /// Waits for the program's end, and for the last of what it wrote.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let status = self.program.wait_exit();
        let mut state = self.shown.lock();
        while !state.closed {
            state = self.shown.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        status
    }

    /// Waits for the end, which must be a success that leaves the terminal as it was; gives what stands there then.
    pub fn wait_success(&mut self) -> String {
        let status = self.wait_exit();
        let screen = self.screen();
        assert!(status.success(), "{status:?}\n{screen}");
        self.assert_given_back();
        screen
    }

    /// Fails unless the terminal is as the program found it.
    pub fn assert_given_back(&self) {
        let state = self.shown.lock();
        let screen = state.parser.screen();
        let kept = [
            ("the alternate screen", screen.alternate_screen()),
            ("the mouse", screen.mouse_protocol_mode() != MouseProtocolMode::None),
            ("bracketed paste", screen.bracketed_paste()),
            ("the cursor", screen.hide_cursor()),
        ];
        let kept: Vec<_> = kept.iter().filter(|(_, kept)| *kept).map(|(what, _)| *what).collect();
        drop(state);
        assert!(kept.is_empty(), "not given back: {kept:?}");
        assert_eq!(settings(&*self.line.master), self.settings, "not given back: the line's settings");
    }

    /// Whether the program has the terminal to itself: the alternate screen, and keys that reach it one by one.
    pub fn is_taken(&self) -> bool {
        let alternate = self.shown.lock().parser.screen().alternate_screen();
        alternate && settings(&*self.line.master) != self.settings
    }

    /// Closes the terminal under the program, as a closed window or a broken connection does.
    pub fn close(mut self) -> Running {
        // The reader waits in a read that holds the line open. A new size makes the program draw, which ends that read.
        self.shown.lock().abandoned = true;
        self.resize((30, 90));
        let Line { master, keyboard, reader } = self.line;
        reader.join().unwrap();
        // portable-pty types a line's end and Ctrl-D when this goes; neither means anything to the program.
        drop(keyboard);
        drop(master);
        self.program
    }
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub fn wait_exit(&mut self) -> ExitStatus {
        wait_for("the program to end", || self.child.try_wait().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child that was not waited for keeps its number, so this can hit nobody else.
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the program writes until it closes the terminal or nobody looks any more.
    fn read(&self, mut output: Box<dyn Read + Send>) {
        let mut buffer = [0; 4096];
        loop {
            let count = output.read(&mut buffer).unwrap_or(0);
            let mut state = self.lock();
            state.take(&buffer[..count]);
            state.closed = count == 0;
            self.changed.notify_all();
            if state.closed || state.abandoned {
                return;
            }
        }
    }
}

impl State {
    fn take(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        self.held.extend_from_slice(bytes);
        let kept = if bytes.is_empty() { self.held.len() } else { complete(&self.held) };
        let rest = self.held.split_off(kept);
        let whole = std::mem::replace(&mut self.held, rest);
        self.parser.process(&whole);
    }

    fn text(&self) -> String {
        let screen = self.parser.screen();
        screen.rows(0, screen.size().1.get()).collect::<Vec<_>>().join("\n")
    }
}

/// How much of the output can be shown: up to a frame that has begun, or may just be beginning, and has not ended.
fn complete(output: &[u8]) -> usize {
    let find = |from: usize, marker: &[u8]| {
        output[from..].windows(marker.len()).position(|window| window == marker).map(|at| from + at)
    };
    let mut shown = 0;
    while let Some(begins) = find(shown, FRAME_BEGINS) {
        match find(begins, FRAME_ENDS) {
            Some(ends) => shown = ends + FRAME_ENDS.len(),
            None => return begins,
        }
    }
    let torn = (1..FRAME_BEGINS.len()).rev().find(|count| output[shown..].ends_with(&FRAME_BEGINS[..*count]));
    output.len() - torn.unwrap_or(0)
}

fn command(before: &[&str], program: &Program, args: &[&str], env: &[(&str, &str)]) -> CommandBuilder {
    let plain = program.command(args);
    let program = std::iter::once(plain.get_program()).chain(plain.get_args());
    let words = before.iter().map(Into::into).chain(program.map(ToOwned::to_owned)).collect();
    let mut command = CommandBuilder::from_argv(words);
    for name in ["LC_ALL", "LC_CTYPE", "NO_COLOR"] {
        command.env_remove(name);
    }
    for (name, value) in [("LANG", "C.UTF-8"), ("TERM", "xterm-256color")].iter().chain(env) {
        command.env(name, value);
    }
    command
}

/// The line's settings (termios), to be compared.
fn settings(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios().expect("a terminal has settings"))
}

fn pty_size((rows, cols): Size) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn of_parser((rows, columns): Size) -> (NonZeroU16, NonZeroU16) {
    (rows.try_into().unwrap(), columns.try_into().unwrap())
}
