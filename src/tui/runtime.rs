//! The loop: messages in, effects out, a frame when something changed. The only part of the screen that waits.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    thread,
    time::Duration,
};

use color_eyre::eyre::{Result, WrapErr as _, eyre};
use jiff::{Timestamp, tz::TimeZone};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use ratatui::crossterm::event::Event;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    Effect, Level, Message, Model, Options,
    executor::Executor,
    input,
    terminal::{self, Screen},
    update,
};
use crate::config::{Config, preset};

/// News from Docker is drawn at most so often: 30 times a second.
const FRAME: Duration = Duration::from_millis(34);
/// A key is answered at once, held keys at this pace.
const KEY_FRAME: Duration = Duration::from_millis(8);
/// As much news as fits into the queue is taken before the next look at the keys, and no more: news could pour for ever.
const QUEUE: usize = 256;

/// How long the signal to stop may take.
const STOPPED: Duration = Duration::from_millis(100);

/// How a run of the screen ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub exit: ExitCode,
    /// The user wants the demo taken down.
    pub take_down: bool,
}

/// Runs the terminal UI to its end; `demo` is the cluster that this run brought up, and asks about at the end.
pub async fn run(config: &Config, demo: Option<String>) -> Result<Ended> {
    let (crashes, mut crashed) = mpsc::unbounded_channel();
    catch_panics(crashes);
    let mut screen = Screen::enter().wrap_err("cannot take the terminal")?;
    let ended = run_on(config, demo, &mut screen, &mut crashed).await;
    drop(screen);
    let (left, take_down) = ended?;
    for line in left {
        // The terminal may be gone, and the user with it.
        let _ = writeln!(io::stdout(), "{line}");
    }
    Ok(Ended { exit: ExitCode::SUCCESS, take_down })
}

/// A panic in a task must not leave a screen over a program that is half dead. The loop is told, which lets what is under
/// way come to its end, so that the journal is right, gives the terminal back, and only then says what happened. Where
/// the loop itself panics, there is nobody to tell: the terminal is given back here.
fn catch_panics(crashes: mpsc::UnboundedSender<String>) {
    let report = std::panic::take_hook();
    let own = thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!(%info, backtrace = %std::backtrace::Backtrace::capture(), "panic");
        if thread::current().id() == own || crashes.send(info.to_string()).is_err() {
            terminal::give_back();
            report(info);
        }
    }));
}

/// The loop itself; gives what is to be said once the terminal is back, and whether the demo is to be taken down.
async fn run_on(
    config: &Config,
    demo: Option<String>,
    screen: &mut Screen,
    crashed: &mut mpsc::UnboundedReceiver<String>,
) -> Result<(Vec<String>, bool)> {
    let mut model = Model::new(options(config, demo)?, Timestamp::now());
    screen.draw(&mut model, false)?;
    model.take_dirty();
    let (sender, mut messages) = mpsc::channel(QUEUE);
    let mut executor = Executor::start(config, sender);
    let mut input = input::events()?;
    let mut clock = interval(Duration::from_secs(1));
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut signals = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()]
        .map(signal)
        .into_iter()
        .collect::<io::Result<Vec<_>>>()?;
    let [terminate, hangup, interrupt, quit] = &mut signals[..] else { unreachable!("four were asked for") };
    let (mut dirty, mut resized, mut suspending) = (false, false, false);
    let mut drawn = Instant::now();
    let mut pace = FRAME;
    loop {
        let message = tokio::select! {
            biased;
            event = input.recv() => match event {
                Some(Ok(event)) => {
                    pace = KEY_FRAME;
                    Some(Message::Input(event))
                }
                // The terminal is gone.
                Some(Err(_)) | None => Some(Message::Quit),
            },
            _ = terminate.recv() => Some(Message::Quit),
            _ = hangup.recv() => Some(Message::Quit),
            _ = interrupt.recv() => Some(Message::Quit),
            _ = quit.recv() => Some(Message::Quit),
            reason = crashed.recv() => {
                let left = executor.end().await;
                let reason = reason.unwrap_or_default().replace('\n', " ");
                return Err(eyre!("an internal error: {}", [vec![reason], left].concat().join("; ")));
            }
            message = messages.recv() => message,
            _ = clock.tick() => {
                executor.tick();
                Some(if terminal::is_gone() { Message::Quit } else { Message::Clock(Timestamp::now()) })
            }
            () = executor.idle(), if suspending => {
                suspending = false;
                (dirty, resized) = (true, true);
                match suspend(screen, &executor) {
                    Ok(said) => said,
                    Err(error) => {
                        tracing::error!(%error, "cannot take the terminal again");
                        Some(Message::Quit)
                    }
                }
            }
            () = sleep_until(drawn + pace), if dirty => None,
        };
        // Whatever else is waiting comes before the frame.
        let mut next = message;
        let mut taken = 0;
        while let Some(message) = next {
            resized |= matches!(message, Message::Input(Event::Resize(..)));
            if let Message::Docker(live) = &message {
                executor.seen(live);
            }
            for effect in update(&mut model, message) {
                match effect {
                    Effect::Quit => return Ok((executor.end().await, false)),
                    Effect::Suspend => suspending = true,
                    Effect::Copy(text) => {
                        if let Err(error) = screen.copy(&text) {
                            tracing::warn!(%error, "not copied");
                        }
                    }
                    Effect::QuitAndTakeDown => return Ok((executor.end().await, true)),
                    effect => executor.carry_out(effect),
                }
            }
            taken += 1;
            next = if taken < QUEUE { messages.try_recv().ok() } else { None };
        }
        dirty |= model.take_dirty();
        if dirty && drawn.elapsed() >= pace {
            if let Err(error) = screen.draw(&mut model, std::mem::take(&mut resized)) {
                // The terminal is gone: what is under way still comes to its end.
                tracing::error!(%error, "cannot draw");
                return Ok((executor.end().await, false));
            }
            (dirty, drawn, pace) = (false, Instant::now(), FRAME);
        }
    }
}

/// Steps aside until somebody continues the program, and takes the terminal again; gives what is to be said of it.
fn suspend(screen: &mut Screen, executor: &Executor) -> io::Result<Option<Message>> {
    let mut again = None;
    let aside = executor.stand_aside(|| {
        terminal::give_back();
        stop();
        // While the session is still the guard's: in the background this stops the program once more (SIGTTOU).
        again = Some(screen.take_again());
    });
    let stood = again.transpose()?.is_some();
    let (level, text) = match aside {
        Ok(ended) if ended.is_empty() => return Ok(None),
        Ok(ended) => (Level::Info, format!("ended while this program stood still: {}", ended.join(", "))),
        Err(reason) if stood => (Level::Error, format!("what was injected before stays with the guard: {reason}")),
        Err(reason) => (Level::Error, format!("not suspended: {reason}")),
    };
    Ok(Some(Message::Log { at: Timestamp::now(), level, text }))
}

/// Stops the whole job, as the terminal would with its own Ctrl-Z: the shell comes back only when whatever started us
/// has stopped too. The default action does it, which spares a job that nobody could continue (signal(7)).
fn stop() {
    if let Err(error) = kill(Pid::from_raw(0), Signal::SIGTSTP) {
        tracing::warn!(%error, "cannot stop");
    }
    // Whichever thread takes the signal, it is taken by then.
    thread::sleep(STOPPED);
}

fn options(config: &Config, demo: Option<String>) -> Result<Options> {
    // The first that is set decides, as in locale(7).
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    let locale = locale.into_iter().find(|value| !value.is_empty()).unwrap_or_default().to_ascii_lowercase();
    Ok(Options {
        program: concat!("tikv-chaos ", env!("CARGO_PKG_VERSION")).to_owned(),
        project: config.project.clone(),
        demo,
        read_only: config.read_only,
        ttl: config.ttl,
        keys: config.file.as_ref().map(|file| file.keymap.clone()).unwrap_or_default(),
        presets: preset::all(config.file.as_deref()),
        utf8: !config.ascii && (locale.contains("utf-8") || locale.contains("utf8")),
        // https://no-color.org: present and not empty.
        colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        theme: config.theme.clone()?,
        motion: !config.no_motion,
        time_zone: TimeZone::system(),
    })
}
