//! The loop: messages in, effects out, a frame when something changed. The only part of the screen that waits.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use color_eyre::eyre::{Result, WrapErr as _, eyre};
use futures_util::StreamExt as _;
use jiff::{Timestamp, tz::TimeZone};
use ratatui::crossterm::event::{Event, EventStream};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    Effect, Keymap, Message, Model, Options,
    executor::Executor,
    terminal::{self, Screen},
    update,
};
use crate::config::Config;

/// News from Docker is drawn at most so often.
const FRAME: Duration = Duration::from_millis(33);
/// A key is answered at once, held keys at this pace.
const KEY_FRAME: Duration = Duration::from_millis(8);

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

/// A panic in a task must not leave a screen over a program that is half dead: the terminal is given back first, what
/// happened is printed second, and the loop ends. The journal is on disk in any case.
fn catch_panics(crashes: mpsc::UnboundedSender<String>) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!(%info, "panic");
        terminal::give_back();
        report(info);
        let _ = crashes.send(info.to_string());
    }));
}

/// The loop itself; gives what is to be said once the terminal is back, and whether the demo is to be taken down.
async fn run_on(
    config: &Config,
    demo: Option<String>,
    screen: &mut Screen,
    crashed: &mut mpsc::UnboundedReceiver<String>,
) -> Result<(Vec<String>, bool)> {
    let mut model = Model::new(options(config, demo), Timestamp::now());
    screen.draw(&mut model, false)?;
    model.take_dirty();
    let (sender, mut messages) = mpsc::channel(256);
    let mut executor = Executor::start(config, sender);
    let mut input = EventStream::new();
    let mut clock = interval(Duration::from_secs(1));
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut signals = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()]
        .map(signal)
        .into_iter()
        .collect::<io::Result<Vec<_>>>()?;
    let [terminate, hangup, interrupt, quit] = &mut signals[..] else { unreachable!("four were asked for") };
    let (mut dirty, mut resized) = (false, false);
    let mut drawn = Instant::now();
    let mut pace = FRAME;
    loop {
        let message = tokio::select! {
            biased;
            event = input.next() => match event {
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
            reason = crashed.recv() => return Err(eyre!("an internal error: {}", reason.unwrap_or_default())),
            message = messages.recv() => message,
            _ = clock.tick() => {
                executor.tick();
                Some(Message::Clock(Timestamp::now()))
            }
            () = sleep_until(drawn + pace), if dirty => None,
        };
        // Whatever else is waiting comes before the frame.
        let mut next = message;
        while let Some(message) = next {
            resized |= matches!(message, Message::Input(Event::Resize(..)));
            if let Message::Docker(live) = &message {
                executor.seen(live);
            }
            for effect in update(&mut model, message) {
                match effect {
                    Effect::Quit => return Ok((executor.end().await, false)),
                    Effect::QuitAndTakeDown => return Ok((executor.end().await, true)),
                    effect => executor.carry_out(effect),
                }
            }
            next = messages.try_recv().ok();
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

fn options(config: &Config, demo: Option<String>) -> Options {
    // The first that is set decides, as in locale(7).
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    let locale = locale.into_iter().find(|value| !value.is_empty()).unwrap_or_default().to_ascii_lowercase();
    Options {
        program: concat!("tikv-chaos ", env!("CARGO_PKG_VERSION")).to_owned(),
        project: config.project.clone(),
        demo,
        read_only: config.read_only,
        ttl: config.ttl,
        keys: Keymap::default(),
        utf8: !config.ascii && (locale.contains("utf-8") || locale.contains("utf8")),
        // https://no-color.org: present and not empty.
        colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        time_zone: TimeZone::system(),
    }
}
