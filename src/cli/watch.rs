//! `watch`: the nodes and what the cluster says, again and again until it is told to end: one JSON document a line
//! whenever something changed, or a line of text a second.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    process::ExitCode,
    sync::Arc,
};

use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{nodes, output::Failure, progress, settle};
use crate::{
    cluster::{ClusterState, pd::count_states},
    config::Config,
    subject::docker::{self, Live, Snapshot},
};

pub async fn run(config: &Config) -> Result<ExitCode, Failure> {
    let failed = |error: io::Error| Failure::new(1, format!("cannot listen for signals: {error}"));
    let (mut interrupt, mut term) =
        (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?);
    let subject = Arc::new(config.subject(progress()));
    // No Docker at the start is an error; later it is something to be told.
    let mut snapshot = subject.snapshot().await?;
    let (live, mut changes) = mpsc::channel(16);
    let (sender, mut readings) = mpsc::channel(1);
    let (_looking, look) = watch::channel(true);
    let mut work = JoinSet::new();
    work.spawn(docker::watch(config.project.clone(), subject.identity(), subject.told(), live));
    work.spawn(docker::read_on(Arc::clone(&subject), look, sender));
    let mut printer = Printer { json: config.json, told: None };
    let mut said = settle::Said::default();
    loop {
        let printed = tokio::select! {
            _ = interrupt.recv() => break,
            _ = term.recv() => break,
            Some(change) = changes.recv() => match change {
                Live::Up { snapshot: now, .. } => {
                    subject.see(Some(now.clone()));
                    snapshot = now;
                    said.say(config, &subject).await;
                    Ok(())
                }
                Live::Down { host, reason, .. } => {
                    subject.see(None);
                    printer.problem(&format!("Docker is not answering at {host}: {reason}"))
                }
            },
            Some(states) = readings.recv() => printer.states(&snapshot, &states),
        };
        if printed.is_err() || reader_is_gone() {
            break;
        }
    }
    work.shutdown().await;
    subject.release().await;
    Ok(ExitCode::SUCCESS)
}

struct Printer {
    json: bool,
    /// What the last document said.
    told: Option<Told>,
}

#[derive(PartialEq)]
enum Told {
    States(Snapshot, Vec<ClusterState>),
    Problem(String),
}

impl Told {
    /// When it was read is no news.
    fn is(&self, snapshot: &Snapshot, states: &[ClusterState]) -> bool {
        let Self::States(nodes, said) = self else { return false };
        nodes == snapshot
            && said.len() == states.len()
            && said.iter().zip(states).all(|(one, other)| one.says_the_same(other))
    }
}

#[derive(Serialize)]
struct Document<'a> {
    nodes: Vec<nodes::Row<'a>>,
    clusters: &'a [ClusterState],
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

impl Printer {
    fn states(&mut self, snapshot: &Snapshot, states: &[ClusterState]) -> io::Result<()> {
        if !self.json {
            return states.iter().try_for_each(|state| print(&line(snapshot, state)));
        }
        if self.told.as_ref().is_some_and(|told| told.is(snapshot, states)) {
            return Ok(());
        }
        self.told = Some(Told::States(snapshot.clone(), states.to_vec()));
        print(&serde_json::to_string(&Document { nodes: nodes::rows(snapshot, states), clusters: states })?)
    }

    fn problem(&mut self, text: &str) -> io::Result<()> {
        if !self.json {
            return print(&format!("{} {text}", clock()));
        }
        let problem = Some(Told::Problem(text.to_owned()));
        if self.told == problem {
            return Ok(());
        }
        self.told = problem;
        print(&serde_json::to_string(&Problem { error: text })?)
    }
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Whether standard output is a pipe that nobody reads any more: a write would say so, but there may be nothing to
/// write for long.
fn reader_is_gone() -> bool {
    let out = io::stdout();
    let mut polled = [PollFd::new(out.as_fd(), PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO).is_ok()
        && polled[0].revents().is_some_and(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL))
}

/// `12:00:03Z demo: 2 Up, 1 Disconnected; leaders tikv0 7, tikv1 0; 1200 op/s, p99 4.1 ms`.
fn line(snapshot: &Snapshot, state: &ClusterState) -> String {
    let mut parts = Vec::new();
    if let Some(error) = &state.pd.error {
        parts.push(error.clone());
    }
    if let Some(pd) = state.pd.value.as_ref().filter(|_| state.pd.error.is_none()) {
        parts.push(count_states(&pd.stores));
    }
    let of_cluster = snapshot.nodes.iter().filter(|node| node.cluster == state.cluster);
    let leaders = of_cluster.filter_map(|node| {
        let view = state.nodes.get(&node.id)?;
        let by_itself =
            view.metrics.value.as_ref().filter(|_| view.metrics.error.is_none()).and_then(|one| one.leaders);
        let leaders = by_itself.or(view.store.as_ref().map(|store| store.leaders))?;
        Some(format!("{} {leaders}", node.service.as_deref().unwrap_or(&node.name)))
    });
    let leaders: Vec<String> = leaders.collect();
    if !leaders.is_empty() {
        parts.push(format!("leaders {}", leaders.join(", ")));
    }
    if let Some(throughput) = state.throughput() {
        let p99 = state.p99().map(|seconds| format!(", p99 {:.1} ms", 1000.0 * seconds)).unwrap_or_default();
        parts.push(format!("{throughput:.0} op/s{p99}"));
    }
    let refused = state.refused().into_iter().map(|(reason, rate)| format!("{rate:.0}/s {reason}"));
    let refused: Vec<String> = refused.collect();
    if !refused.is_empty() {
        parts.push(format!("refused {}", refused.join(", ")));
    }
    match state.waiting_writes() {
        0 => {}
        1 => parts.push("1 write waiting".to_owned()),
        count => parts.push(format!("{count} writes waiting")),
    }
    format!("{} {}: {}", clock(), state.cluster, parts.join("; "))
}

fn clock() -> String {
    Timestamp::now().strftime("%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{NodeView, Read, StoreMetrics};

    #[test]
    fn line_tells_refused_requests_from_successful_ones() {
        let metrics = StoreMetrics {
            reads_per_s: Some(100.0),
            writes_per_s: Some(80.0),
            refused_per_s: Some(60.0),
            waiting_writes: Some(64),
            refused_by_reason: [("err_disk_full".to_owned(), 60.0)].into(),
            ..StoreMetrics::default()
        };
        let node = NodeView { metrics: Read { value: Some(metrics), at: None, error: None }, ..NodeView::default() };
        let state =
            ClusterState { cluster: "demo".into(), nodes: [("id".to_owned(), node)].into(), ..ClusterState::default() };
        let line = line(&Snapshot::default(), &state);
        assert!(line.ends_with("demo: 120 op/s; refused 60/s err_disk_full; 64 writes waiting"), "{line}");
    }
}
