//! The command line: one file a subcommand, the same engine as the TUI, text for people and JSON for programs.

mod active;
mod args;
mod change;
mod cleanup;
mod config;
mod demo;
mod doctor;
mod guard;
mod inject;
mod logging;
mod measured;
mod nodes;
mod output;
mod printed;
mod reach;
mod recover;
mod report;
mod revert;
mod settle;
mod state;
mod types;
mod undo;
mod wait;
mod watch;

use std::{
    io::{IsTerminal as _, stdin, stdout},
    process::ExitCode,
    sync::Arc,
};

use args::{Parsed, Subcommand};
use output::Failure;

use crate::{chaos::BY_HAND, config::Config, holder, session, step, subject::docker::Progress, tui};

/// The exit statuses: 0 done, 1 failed, 2 wrong usage, 3 refused.
pub fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(resting) = session::guard::Resting::from_args(std::env::args_os()) {
        resting.rest();
    }
    if let Err(error) = color_eyre::install() {
        eprintln!("tikv-chaos: {error}");
    }
    let role = std::env::args_os().nth(1).unwrap_or_default();
    step::arm(role == session::guard::SUBCOMMAND);
    if role == "demo-node" {
        return crate::demo::main(std::env::args_os().skip(1));
    }
    if role == holder::TALK {
        return help(holder::talk());
    }
    if role == BY_HAND {
        return help(holder::by_hand(std::env::args().nth(2)));
    }
    let Parsed { globals, subcommand, file_error } = match args::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let json = globals.json;
    match subcommand {
        Subcommand::Holder => return help(holder::serve()),
        Subcommand::Relay => return help(holder::relay()),
        Subcommand::Config { default } => {
            return config::run(&globals, default, file_error).unwrap_or_else(|failure| failure.print(json));
        }
        Subcommand::Completions { shell } => return printed::completions(shell),
        Subcommand::Man => return printed::man(),
        _ => {}
    }
    let config = match file_error {
        Some(error) => Err(error.into()),
        None => Config::new(&globals),
    };
    // Only `doctor` has more to say than why nothing works.
    if let (Subcommand::Doctor, Err(error)) = (&subcommand, &config) {
        return doctor::misconfigured(error, json);
    }
    let result = config.map_err(Failure::from).and_then(|mut config| {
        config.store = config.store.doing(subcommand.name());
        run(&config, subcommand)
    });
    match result {
        Ok(status) => status,
        Err(failure) => failure.print(json),
    }
}

fn run(config: &Config, subcommand: Subcommand) -> Result<ExitCode, Failure> {
    if let Subcommand::Guard { detached, again } = subcommand {
        return guard::run(config, detached, again);
    }
    if config.read_only && subcommand.changes() {
        return Err(Failure::new(3, "nothing is changed: this run is --read-only"));
    }
    let _log = logging::to_file(&config.state_dir);
    let runtime = match subcommand {
        // It runs for hours and asks a few questions a second: two threads would only wake one another.
        Subcommand::Watch => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        _ => threaded(2),
    };
    let runtime = runtime.map_err(|error| Failure::new(1, format!("cannot start: {error}")))?;
    runtime.block_on(async {
        match subcommand {
            Subcommand::Tui => screen(config).await,
            Subcommand::Nodes => nodes::run(config).await,
            Subcommand::Types => types::run(config),
            Subcommand::Inject(inject) => inject::run(config, inject).await,
            Subcommand::Change(change) => change::run(config, change).await,
            Subcommand::Active { now } => active::run(config, now).await,
            Subcommand::Revert { ids, all } => revert::run(config, &ids, all).await,
            Subcommand::Cleanup => cleanup::run(config).await,
            Subcommand::Recover { verb, reach, dry_run } => recover::run(config, verb, reach, dry_run).await,
            Subcommand::Doctor => doctor::run(config).await,
            Subcommand::Reach => reach::run(config).await,
            Subcommand::Watch => watch::run(config).await,
            Subcommand::State => state::run(config).await,
            Subcommand::Wait { timeout, stores } => wait::run(config, timeout, stores).await,
            Subcommand::Report { session, format, output } => {
                report::run(config, &session, format, output.as_deref()).await
            }
            Subcommand::Holder
            | Subcommand::Relay
            | Subcommand::Guard { .. }
            | Subcommand::Config { .. }
            | Subcommand::Completions { .. }
            | Subcommand::Man => Ok(ExitCode::SUCCESS),
            Subcommand::Demo { name, options, action: Some(action) } => demo::run(config, &name, options, action).await,
            Subcommand::Demo { name, options, action: None } => demo::show(config, &name, &options).await,
        }
    })
}

fn needs_terminal() -> Result<(), Failure> {
    const ELSE: &str = "`tikv-chaos --help` lists what works without one";
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Err(Failure::new(2, format!("the screen needs a terminal; {ELSE}")));
    }
    let kind = std::env::var("TERM").unwrap_or_default();
    if kind.is_empty() || kind == "dumb" {
        let what = if kind.is_empty() { "TERM is not set" } else { "TERM=dumb" };
        let reason =
            format!("the screen needs a terminal that can place its text, and {what} says that it cannot; {ELSE}");
        return Err(Failure::new(2, reason));
    }
    Ok(())
}

/// Whether the screen can be shown: before anything is brought up for it.
fn drawable(config: &Config) -> Result<(), Failure> {
    needs_terminal()?;
    config.theme.as_ref().map(|_| ()).map_err(|error| Failure::new(2, error.to_string()))
}

async fn screen(config: &Config) -> Result<ExitCode, Failure> {
    drawable(config)?;
    tui::run(config, None).await.map(|ended| ended.exit).map_err(Failure::from)
}

/// A runtime of so many threads, each with the stack that a main thread has: without optimisation the calls that an
/// injection is made of come near tokio's 2 MiB.
fn threaded(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_stack_size(8 << 20).enable_all().build()
}

/// Long work is said on standard error, where it disturbs no document.
fn progress() -> Progress {
    Arc::new(|begun| {
        if let Some(text) = begun {
            eprintln!("tikv-chaos: {text}");
        }
    })
}

/// A helper container's own work.
fn help(work: impl Future<Output = std::io::Result<()>>) -> ExitCode {
    logging::to_stderr();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| {
        let served = runtime.block_on(work);
        // Standard input is read by a thread that cannot be interrupted.
        runtime.shutdown_background();
        served
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the helper ends");
            ExitCode::FAILURE
        }
    }
}
