//! A stand-in for a TiKV cluster, for people who want to try or to teach without two gigabytes of images: stores, PDs
//! and a load that run in containers FROM scratch, from this same binary. Real processes, real network, real
//! consensus on TiKV's own Raft library, real files; PD's and TiKV's ports, paths, shapes, metric names, log lines
//! and timings where somebody who breaks the cluster would look. It says plainly that it is a stand-in.
//!
//! Not imitated: new replicas after `Down`, splits, transactions, RocksDB, gRPC, TLS, leases, hibernation, slow scores
//! other than 1, the place holder file, and leaving a follower out whose disk is full.
//!
//! Knows no Docker: it sees flags, a folder, addresses and SIGTERM.

mod args;
pub mod client;
mod http;
mod load;
mod log;
mod names;
mod net;
mod pace;
mod pd;
mod process;
mod raft;
mod store;
pub mod wire;

use std::{ffi::OsString, io, process::ExitCode, sync::LazyLock, time::Duration};

use args::{Cli, Role};
use clap::Parser as _;
use jiff::Timestamp;
use slog::{crit, info};
use tokio::signal::unix::{SignalKind, signal};

/// What it says of itself wherever TiKV would say its version.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-standin");

/// When this process started, in seconds since 1970.
static STARTED: LazyLock<i64> = LazyLock::new(|| Timestamp::now().as_second());

/// Runs the role that is named after `demo-node`, until SIGTERM: status 0; 1 where it can't go on.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let role = match Cli::try_parse_from(words) {
        Ok(cli) => cli.role,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    LazyLock::force(&STARTED);
    let log = log::to_stdout();
    info!(log, "Welcome to the tikv-chaos stand-in: it behaves like TiKV for lessons, and is not TiKV"; "version" => VERSION);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            crit!(log, "cannot start"; "error" => %error);
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        process::register_metrics().map_err(io::Error::other)?;
        let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let work = async {
            match role {
                Role::Pd(args) => pd::run(args, &log).await,
                Role::Store(args) => store::run(args, &log).await,
                Role::Load(args) => load::run(args, &log).await,
            }
        };
        tokio::select! {
            ended = work => ended,
            _ = term.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    });
    // A name that is being looked up can't be interrupted, and nobody waits for it any more.
    runtime.shutdown_timeout(Duration::ZERO);
    match ended {
        Ok::<(), io::Error>(()) => {
            info!(log, "stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            crit!(log, "cannot go on"; "error" => %error);
            ExitCode::FAILURE
        }
    }
}
