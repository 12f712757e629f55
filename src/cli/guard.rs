//! `guard`: the detached process that keeps deadlines when the program that injected is gone. Started by the program
//! itself, never by hand.

use std::{process::ExitCode, sync::Arc, time::Duration};

use futures_util::future::join_all;
use nix::sys::signal::{SigSet, Signal};

use super::{logging, output::Failure};
use crate::{
    config::Config,
    session::{self, Injection, Loaded, guard::Attempt},
    step::{Step, step},
};

/// How long a node that was started has to show that it is back before the others' deadlines have their turn.
const BACK_PATIENCE: Duration = Duration::from_secs(5);

pub fn run(config: &Config, detached: bool, again: bool) -> Result<ExitCode, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(1, error.to_string());
    if !detached {
        return config.store.detach_guard().map(|()| ExitCode::SUCCESS).map_err(|error| failed(&error));
    }
    // A hang-up is no reason to end. Every thread that starts from here on inherits this.
    SigSet::from(Signal::SIGHUP).thread_block().map_err(|error| failed(&error))?;
    let lock = config.store.take_over_guard_lock().map_err(|error| failed(&error))?;
    if !again {
        step(Step::Guarding);
    }
    let mut log = logging::to_file(&config.state_dir);
    if !again {
        tracing::info!(pid = std::process::id(), "guarding");
    }
    let rest = |loaded: &Loaded, left| {
        // What waits to be written would be lost.
        log.take();
        config.store.rest(loaded, left)
    };
    session::guard::keep(&config.store, &lock, |due| end(config, &due), rest);
    tracing::info!("nothing is left to be guarded");
    Ok(ExitCode::SUCCESS)
}

/// Ends them at the same time, with an engine that lives no longer than that.
fn end(config: &Config, due: &[Injection]) -> Vec<Attempt> {
    let runtime = match super::threaded(1) {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot work");
            return due.iter().map(|one| Attempt { id: one.metadata.id.clone(), closed: false }).collect();
        }
    };
    runtime.block_on(async {
        let subject = config.subject(Arc::new(|begun| tracing::info!("{}", begun.unwrap_or("done"))));
        let subject = subject.waiting_for(BACK_PATIENCE);
        let attempts = due.iter().map(|injection| async {
            let id = injection.metadata.id.clone();
            tracing::info!(%id, "its time is over");
            let closed = match session::revert(&subject, &config.store, injection).await {
                Ok(reverted) => reverted.journal_error.is_none(),
                Err(error) => {
                    tracing::error!(%error, "it is tried again");
                    false
                }
            };
            Attempt { id, closed }
        });
        let attempts = join_all(attempts).await;
        subject.release().await;
        attempts
    })
}
