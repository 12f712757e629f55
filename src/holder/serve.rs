//! The holder's loop: a request, a deadline or SIGTERM, one at a time. Its standard error is its log, read with
//! `docker logs`.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

use super::{
    disk,
    faults::Faults,
    netns,
    probe::Prober,
    protocol::{Adoption, Answer, Ask, Failure, Held, HeldThing, Reply, Request, Survey},
    sockets,
    talks::Talks,
};
use crate::chaos::InjectionId;

/// A holder that holds nothing and is asked nothing for so long ends, and Docker removes its container.
const IDLE_LIMIT: Duration = Duration::from_secs(120);

/// How long to sleep while something is held that has no deadline.
const A_LONG_TIME: Duration = Duration::from_secs(24 * 3600);

struct Holder {
    faults: Faults,
    /// What ends at its deadline.
    held: BTreeMap<InjectionId, (HeldThing, Option<Instant>)>,
    prober: Prober,
}

/// Serves whoever talks to it until there is nothing more to hold. SIGTERM ends every network fault first: `docker stop`
/// on the holder is a clean-up too.
pub async fn serve() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut talks = Talks::open();
    let faults = Faults::find().map_err(std::io::Error::other)?;
    let (prober, mut probed) = Prober::new();
    let mut holder = Holder { faults, held: BTreeMap::new(), prober };
    let mut asked = Instant::now();
    tracing::info!(flavour = holder.faults.flavour().name(), "holding");
    loop {
        let idle_end = if holder.is_idle() { asked + IDLE_LIMIT } else { Instant::now() + A_LONG_TIME };
        let wake = holder.next_deadline().unwrap_or(idle_end);
        tokio::select! {
            _ = term.recv() => return holder.end(),
            line = talks.next_line() => {
                asked = Instant::now();
                let Some((reply, quit)) = holder.answer(&line) else { continue };
                talks.say(&reply).await?;
                if quit {
                    talks.close().await;
                    return Ok(());
                }
            }
            Some(reply) = probed.recv() => {
                if let Some(line) = to_line(&reply) {
                    talks.say(&line).await?;
                }
            }
            () = sleep_until(wake) => {
                holder.end_overdue();
                if holder.is_idle() && asked.elapsed() >= IDLE_LIMIT {
                    tracing::info!("nothing to hold and nobody asking: ending");
                    return Ok(());
                }
            }
        }
    }
}

impl Holder {
    /// What it found here and nobody put in its care, the next holder finds as well.
    fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.held.values().filter_map(|(_, deadline)| *deadline).min()
    }

    /// The line to write back, and whether to quit after it. A line that is no request is logged and has no answer; a
    /// probe has its answer later.
    fn answer(&mut self, line: &str) -> Option<(Vec<u8>, bool)> {
        let request: Request = match serde_json::from_str(line) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%error, "a line that is no request");
                return None;
            }
        };
        tracing::debug!(?request, "asked");
        if let Ask::Probe(probe) = request.ask {
            self.prober.start(request.id, probe);
            return None;
        }
        let result = self.carry_out(request.ask).inspect_err(|failure| tracing::warn!(%failure, "failed"));
        let quit = matches!(result, Ok(Answer::Quitting { idle: true }));
        to_line(&Reply { id: request.id, result }).map(|line| (line, quit))
    }

    fn carry_out(&mut self, ask: Ask) -> Result<Answer, Failure> {
        match ask {
            Ask::Hello => {
                let (flavour, kernel) = (self.faults.flavour(), self.faults.kernel.clone());
                Ok(Answer::Hello { flavour, interfaces: netns::interfaces()?, kernel })
            }
            Ask::Ways => {
                let [netem, bands] = self.faults.ways().map(|found| found.map_err(|failure| failure.message));
                Ok(Answer::Ways { netem, bands })
            }
            Ask::Preview { injection, fault } => {
                let (commands, warnings) = self.faults.preview(&injection, fault)?;
                Ok(Answer::Preview { commands, warnings })
            }
            Ask::Add { injection, fault, ttl_ms } => {
                self.prober.changing();
                self.faults.add(&injection, fault.clone())?;
                self.hold(injection, HeldThing::Network(fault), ttl_ms);
                Ok(self.network())
            }
            Ask::Adopt { faults } => {
                let adopted = self.faults.adopt(faults)?;
                let held = !adopted.is_empty();
                for Adoption { injection, fault, ttl_ms } in adopted {
                    self.hold(injection, HeldThing::Network(fault), ttl_ms);
                }
                Ok(Answer::Adopted { held })
            }
            Ask::AdoptFill { injection, file, ttl_ms } => {
                let held = disk::is_there(&file);
                if held {
                    self.hold(injection, HeldThing::Fill(file), ttl_ms);
                }
                Ok(Answer::Adopted { held })
            }
            Ask::Remove { injection, fault } => {
                self.prober.changing();
                self.faults.remove(&injection, &fault)?;
                self.held.remove(&injection);
                Ok(self.network())
            }
            Ask::Disk { path } => disk::stat(&path).map(Answer::Disk),
            Ask::Fill { injection, file, bytes, to_the_last_byte, ttl_ms } => {
                let bytes = disk::fill(&file, bytes, to_the_last_byte)?;
                tracing::info!(file, bytes, "filled");
                self.hold(injection, HeldThing::Fill(file), ttl_ms);
                Ok(Answer::Filled { bytes })
            }
            Ask::Refill { injection, file, bytes, to_the_last_byte, ttl_ms } => {
                let bytes = disk::refill(&file, bytes, to_the_last_byte)?;
                tracing::info!(file, bytes, "filled anew");
                self.hold(injection, HeldThing::Fill(file), ttl_ms);
                Ok(Answer::Filled { bytes })
            }
            Ask::Unfill { injection, file } => {
                let existed = disk::unfill(&file)?;
                tracing::info!(file, existed, "removed");
                // Whoever knows it by its mark alone does not know its injection.
                self.held.retain(|id, (what, _)| {
                    *id != injection && !matches!(what, HeldThing::Fill(held) if *held == file)
                });
                Ok(Answer::Unfilled { existed })
            }
            Ask::Fetch { .. } | Ask::Probe(_) => Err(Failure::failed("not asked in this way")),
            Ask::Survey { folders } => {
                self.faults.observe()?;
                Ok(Answer::Survey(self.survey(&folders)))
            }
            Ask::Packets { injection } => Ok(Answer::Packets { packets: self.faults.packets(&injection) }),
            Ask::Connections => Ok(Answer::Connections { connections: sockets::connections()? }),
            Ask::QuitIfIdle => Ok(Answer::Quitting { idle: self.is_idle() }),
        }
    }

    fn network(&self) -> Answer {
        Answer::Network { flavour: self.faults.flavour(), kernel: self.faults.kernel.clone() }
    }

    fn survey(&self, folders: &[String]) -> Survey {
        let now = Instant::now();
        let held = self.held.iter().map(|(id, (what, deadline))| {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now).as_millis());
            let left_ms = left.map(|left| u64::try_from(left).unwrap_or(u64::MAX));
            Held { injection: id.clone(), left_ms, what: what.clone() }
        });
        let mut files: Vec<_> = folders.iter().flat_map(|folder| disk::find(folder)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Survey { flavour: self.faults.flavour(), kernel: self.faults.kernel.clone(), held: held.collect(), files }
    }

    fn hold(&mut self, id: InjectionId, held: HeldThing, ttl_ms: Option<u64>) {
        let deadline = ttl_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        self.held.insert(id, (held, deadline));
    }

    /// Ends what is past its deadline; what cannot be ended is tried again in a second.
    fn end_overdue(&mut self) {
        let now = Instant::now();
        let overdue: Vec<_> = self
            .held
            .iter()
            .filter(|(_, (_, deadline))| deadline.is_some_and(|deadline| deadline <= now))
            .map(|(id, (held, _))| (id.clone(), held.clone()))
            .collect();
        for (id, held) in overdue {
            tracing::info!(%id, "its time is over");
            self.prober.changing();
            let ended = match &held {
                HeldThing::Network(fault) => self.faults.remove(&id, fault),
                HeldThing::Fill(file) => disk::unfill(file).map(|_| ()),
            };
            match ended {
                Ok(()) => drop(self.held.remove(&id)),
                Err(failure) => {
                    tracing::error!(%id, %failure, "cannot end it, trying again");
                    self.held.insert(id, (held, Some(now + Duration::from_secs(1))));
                }
            }
        }
    }

    /// Fill files stay: they outlive containers, and their record brings somebody to remove them.
    fn end(&mut self) -> std::io::Result<()> {
        tracing::info!("asked to stop: ending every network fault");
        self.faults.clear().map_err(std::io::Error::other)
    }
}

fn to_line(reply: &Reply) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(reply).ok()?;
    line.push(b'\n');
    Some(line)
}
