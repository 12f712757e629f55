//! A stand-in for a TiKV cluster, for people who want to try or to teach without two gigabytes of images: stores, PDs
//! and a load that run in containers FROM scratch, from this same binary. Real processes, real network, real
//! consensus on TiKV's own Raft library, real files; PD's and TiKV's ports, paths, shapes, metric names, log lines
//! and timings where a user who breaks the cluster would look. It says plainly that it is a stand-in: in the first line of
//! its log, in its version, and with `stand-in:` before what TiKV and PD would not log.
//!
//! It plays one version (`behaviour`), is set by a file as TiKV and PD are (`settings`), and is no kinder than they are:
//! requests that wait are not given up, refusals are answers that count as such, and leaders leave a store in the ways in
//! which they leave a real one. With a speed, every time is divided by it.
//!
//! Not imitated: new replicas after `Down`, splits, transactions, RocksDB, gRPC, TLS, leases of Raft leaders, hibernation,
//! slow scores of the disk other than 1, the place holder file, a raft-engine on a disk of its own, leaving a follower out
//! whose disk is full, changes of the configuration while it runs, `/pause_grpc`, and PD's handing over of its leadership when
//! it is told to end.
//!
//! Knows no Docker: it sees flags, a file, a folder, addresses and signals.

mod args;
mod behaviour;
pub mod client;
mod http;
mod load;
mod log;
mod names;
mod net;
mod pace;
mod pd;
mod peer_log;
mod process;
mod raft;
mod settings;
mod store;
pub mod wire;

use std::{ffi::OsString, fmt::Display, io, process::ExitCode, sync::LazyLock, time::Duration};

use args::{Cli, Role};
pub use behaviour::DEFAULT as DEFAULT_VERSION;
use clap::Parser as _;
use jiff::Timestamp;
use slog::{Logger, crit, info};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// When this process started, in seconds since 1970.
static STARTED: LazyLock<i64> = LazyLock::new(|| Timestamp::now().as_second());

/// A role with what its file says.
enum Node {
    Pd(args::Pd, settings::Pd),
    Store(args::Store, settings::Store),
    Load(args::Load),
}

impl Node {
    fn new(role: Role) -> Result<Self, String> {
        Ok(match role {
            Role::Pd(args) => {
                let settings = settings::Pd::load(args.config.as_deref())?;
                Self::Pd(args, settings)
            }
            Role::Store(args) => {
                let settings = settings::Store::load(args.config.as_deref())?;
                Self::Store(args, settings)
            }
            Role::Load(args) => Self::Load(args),
        })
    }

    fn version(&self) -> Option<String> {
        match self {
            Self::Pd(_, settings) => Some(settings.play.behaviour.to_string()),
            Self::Store(_, settings) => Some(settings.play.behaviour.to_string()),
            Self::Load(_) => None,
        }
    }

    /// Whether SIGTERM lets it end in its own time.
    fn is_graceful(&self) -> bool {
        match self {
            Self::Store(_, settings) => {
                settings.play.behaviour.has_graceful_shutdown() && !settings.graceful_shutdown.is_zero()
            }
            Self::Pd(..) | Self::Load(_) => false,
        }
    }

    /// Says as TiKV (cmd/tikv-server/src/main.rs, components/server/src/signal_handler.rs) or PD (cmd/pd-server/main.go) does
    /// what it was told.
    fn say_signal(&self, log: &Logger, number: i32, name: &str, then: &str) {
        match self {
            Self::Store(..) => info!(log, "receive signal {}, {}...", number, then),
            Self::Pd(..) => info!(log, "Got signal to exit"; "signal" => name),
            Self::Load(_) => info!(log, "stand-in: the load ends"; "signal" => name),
        }
    }
}

/// Runs the role that is named after `demo-node`, until SIGTERM: status 0; 1 where it can't go on, or its file is wrong.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let role = match Cli::try_parse_from(words) {
        Ok(cli) => cli.role,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let node = match Node::new(role) {
        Ok(node) => node,
        Err(error) => {
            eprintln!("tikv-chaos demo-node: {error}");
            return ExitCode::FAILURE;
        }
    };
    LazyLock::force(&STARTED);
    let log = log::to_stdout();
    let version = node.version().unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    info!(log, "Welcome to the tikv-chaos stand-in: it behaves like TiKV for lessons, and is not TiKV"; "version" => version);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended_by(&log, &error),
    };
    let ended = runtime.block_on(run(node, &log));
    // A name that is being looked up can't be interrupted, and nobody waits for it any more.
    runtime.shutdown_timeout(Duration::ZERO);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ended_by(&log, &error),
    }
}

fn ended_by(log: &Logger, error: &dyn Display) -> ExitCode {
    crit!(log, "stand-in: cannot go on"; "error" => %error);
    ExitCode::FAILURE
}

async fn run(node: Node, log: &Logger) -> io::Result<()> {
    process::register_metrics().map_err(io::Error::other)?;
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, stopping) = watch::channel(false);
    let work = async {
        match &node {
            Node::Pd(args, settings) => pd::run(args.clone(), settings.clone(), log).await,
            Node::Store(args, settings) => store::run(args.clone(), settings.clone(), stopping, log).await,
            Node::Load(args) => load::run(args.clone(), log).await,
        }
    };
    tokio::pin!(work);
    loop {
        tokio::select! {
            ended = &mut work => return ended,
            // A second one changes nothing.
            _ = term.recv() => if !node.is_graceful() {
                node.say_signal(log, 15, "terminated", "stopping server");
                return Ok(());
            } else if !stop.send_replace(true) {
                node.say_signal(log, 15, "terminated", "starting graceful shutdown");
            },
            _ = interrupt.recv() => {
                node.say_signal(log, 2, "interrupt", "stopping server");
                return Ok(());
            }
        }
    }
}
