//! The log: a file a day beside the journal, seven of them, since the screen belongs to the TUI. The holder's goes to
//! its standard error, where `docker logs` finds it.

use std::{io, path::Path};

use tracing_appender::{
    non_blocking::{NonBlockingBuilder, WorkerGuard},
    rolling::{Builder, Rotation},
};
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Lines that may wait to be written; more are dropped and counted.
const LINES_WAITING: usize = 1024;
const VARIABLE: &str = "TIKV_CHAOS_LOG";

/// Levels by module, as in `info,tikv_chaos::session=debug`.
fn filter() -> Targets {
    let asked = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO))
}

/// Logs to `log/` in the state folder while the guard lives. A folder that cannot be written means no log, not no
/// program: what must not be lost is in the journal, which refuses loudly.
pub fn to_file(state_dir: &Path) -> Option<WorkerGuard> {
    let folder = state_dir.join("log");
    std::fs::create_dir_all(&folder).ok()?;
    let appender = Builder::new()
        .rotation(Rotation::DAILY)
        .filename_prefix("tikv-chaos")
        .filename_suffix("log")
        .max_log_files(7)
        .build(folder)
        .ok()?;
    // By default it sets aside 4 MiB for lines that wait, which a guard would hold for nothing.
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(LINES_WAITING).finish(appender);
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    tracing_subscriber::registry().with(lines).with(filter()).try_init().ok()?;
    Some(guard)
}

pub fn to_stderr() {
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
    let _ = tracing_subscriber::registry().with(lines).with(filter()).try_init();
}
