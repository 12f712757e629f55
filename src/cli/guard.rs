//! `guard`: the detached process that keeps deadlines and follows peers when the program that injected is gone. Started by
//! the program itself, never by hand.

use std::{future::Future, io, os::fd::AsFd as _, process::ExitCode, sync::Arc, time::Duration};

use futures_util::future::join_all;
use nix::sys::signal::{SigSet, Signal};
use tracing_appender::non_blocking::WorkerGuard;

use super::{logging, output::Failure};
use crate::{
    chaos::InjectionId,
    config::Config,
    session::{
        self, Injection, Loaded,
        guard::{Attempt, DockerBell, Work},
    },
    step::{Step, step},
    subject::{
        ErrorKind,
        docker::{News, TikvSubject, Told, listen},
    },
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
    let log = logging::to_file(&config.state_dir);
    if !again {
        tracing::info!(pid = std::process::id(), "guarding");
    }
    // Its log is written to until the end.
    let mut guard = Guard { config, log, told: Told::default(), news: None };
    session::guard::keep(&config.store, &lock, &mut guard);
    tracing::info!("nothing is left to be guarded");
    Ok(ExitCode::SUCCESS)
}

struct Guard<'a> {
    config: &'a Config,
    log: Option<WorkerGuard>,
    /// Outlives each engine: asking a PD may take a helper, which is news itself.
    told: Told,
    /// Docker's events, if there are peers to follow.
    news: Option<News>,
}

impl Guard<'_> {
    fn subject(&self) -> TikvSubject {
        let progress = Arc::new(|begun: Option<&str>| tracing::info!("{}", begun.unwrap_or("done")));
        self.config.subject(progress).waiting_for(BACK_PATIENCE).sharing(self.told.clone())
    }

    /// With an engine that lives no longer than the work.
    fn with_engine<T, F: Future<Output = T>>(&self, work: impl FnOnce(Arc<TikvSubject>) -> F) -> io::Result<T> {
        let runtime = super::threaded(1)?;
        Ok(runtime.block_on(async {
            let subject = Arc::new(self.subject());
            let done = work(Arc::clone(&subject)).await;
            subject.release().await;
            done
        }))
    }
}

impl Work for Guard<'_> {
    /// At the same time.
    fn end(&mut self, due: Vec<Injection>) -> Vec<Attempt> {
        let store = &self.config.store;
        let ids: Vec<InjectionId> = due.iter().map(|one| one.metadata.id.clone()).collect();
        let ended = self.with_engine(|subject| async move {
            let attempts = due.iter().map(|injection| async {
                let id = injection.metadata.id.clone();
                tracing::info!(%id, "its time is over");
                let closed = match session::revert(&*subject, store, injection).await {
                    Ok(reverted) => reverted.journal_error.is_none(),
                    Err(error) => {
                        tracing::error!(%error, "it is tried again");
                        false
                    }
                };
                Attempt { id, closed }
            });
            join_all(attempts).await
        });
        ended.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot work");
            ids.into_iter().map(|id| Attempt { id, closed: false }).collect()
        })
    }

    fn listen(&mut self, bell: DockerBell) -> io::Result<()> {
        if !matches!(self.news, Some(News::Told)) {
            self.news = None;
            self.news = Some(listen(&self.subject(), move || bell.ring())?);
        }
        Ok(())
    }

    fn hush(&mut self) {
        if matches!(self.news, Some(News::Socket(_))) {
            self.news = None;
        }
    }

    /// One after another: most have nothing to be done.
    fn follow(&mut self, ids: Vec<InjectionId>) -> bool {
        let store = &self.config.store;
        let followed = self.with_engine(|subject| async move {
            if let Err(error) = subject.look_around().await {
                // Each says so in its record.
                tracing::error!(%error, "cannot look where peers are");
            }
            let mut all = true;
            for id in ids {
                match session::follow(&*subject, store, &id).await {
                    Ok(Some(now)) => tracing::info!(%id, now = %now.metadata.fault, "its peers are followed"),
                    Ok(None) => {}
                    // Only when there is news.
                    Err(error) if error.kind() == ErrorKind::Refused => tracing::warn!(%error, "not followed"),
                    Err(error) => {
                        tracing::error!(%error, "it is tried again");
                        all = false;
                    }
                }
            }
            // What went with its target has no peers to follow.
            if !all && let Err(error) = session::settle(&*subject, store, true).await {
                tracing::warn!(%error, "what is recorded is not compared with the nodes");
            }
            all
        });
        followed.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot work");
            false
        })
    }

    fn rest(&mut self, found: &Loaded, left: Option<Duration>) -> io::Result<()> {
        let docker = match &self.news {
            Some(News::Socket(socket)) => Some(socket.as_fd()),
            // Its thread would not survive.
            Some(News::Told) => return Err(io::Error::other("Docker's news comes through this program")),
            None => None,
        };
        // What waits to be written would be lost.
        self.log.take();
        self.config.store.rest(found, left, docker)
    }
}
