//! The relay: in a network of the cluster it asks the nodes that this network's host is too far away to ask. It has no
//! rights, holds nothing and ends soon after nobody asks any more, so that it does not keep its network alive.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    protocol::{Answer, Ask, Failure, Reply, Request},
    talks::Talks,
};
use crate::cluster::{
    assumed::METRICS,
    http::{Client, HttpError, Place},
    metrics,
    tls::{Pem, Tls},
};

const IDLE_LIMIT: Duration = Duration::from_secs(15);
/// Another program that asked so lately is at it still: they ask every second.
const IN_USE: Duration = Duration::from_secs(4);
/// So many questions at a time: several programs, and every node of a large cluster.
const MOST: usize = 256;

#[derive(Default)]
struct Relay {
    /// One for each set of certificates, of which there is usually one.
    clients: Vec<(Option<Pem>, Arc<Client>)>,
    /// When each program asked last, by what sets its requests apart.
    asked: HashMap<String, Instant>,
    work: JoinSet<Reply>,
}

/// Serves whoever talks to it until nobody asks any more.
pub async fn relay() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut talks = Talks::open();
    let mut relay = Relay::default();
    let mut asked = Instant::now();
    loop {
        let reply = tokio::select! {
            _ = term.recv() => return Ok(()),
            () = sleep_until(asked + IDLE_LIMIT) => return Ok(()),
            line = talks.next_line() => {
                asked = Instant::now();
                relay.take(&line)
            }
            Some(done) = relay.work.join_next() => done.ok(),
        };
        let Some(reply) = reply else { continue };
        let quit = matches!(reply.result, Ok(Answer::Quitting { idle: true }));
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        talks.say(&line).await?;
        if quit {
            talks.close().await;
            return Ok(());
        }
    }
}

impl Relay {
    /// The reply, unless it takes asking somebody first.
    fn take(&mut self, line: &str) -> Option<Reply> {
        let Request { id, ask } =
            serde_json::from_str(line).inspect_err(|error| tracing::warn!(%error, "a line that is no request")).ok()?;
        let program = id.split('-').next().unwrap_or_default().to_owned();
        let result = match ask {
            Ask::Hello => Ok(Answer::Relaying),
            Ask::QuitIfIdle => {
                self.asked.remove(&program);
                Ok(Answer::Quitting { idle: self.asked.values().all(|at| at.elapsed() > IN_USE) })
            }
            Ask::Fetch { place, path, tls } if self.work.len() < MOST => match self.client(tls) {
                Ok(client) => {
                    self.asked.insert(program, Instant::now());
                    self.work.spawn(async move { Reply { id, result: Ok(fetch(&client, &place, &path).await) } });
                    return None;
                }
                Err(error) => Ok(Answer::Fetched { result: Err(error) }),
            },
            Ask::Fetch { .. } => Err(Failure::failed(format!("the relay is at {MOST} questions already"))),
            _ => Err(Failure::failed("a relay holds nothing")),
        };
        Some(Reply { id, result })
    }

    fn client(&mut self, pem: Option<Pem>) -> Result<Arc<Client>, HttpError> {
        if let Some((_, client)) = self.clients.iter().find(|(other, _)| *other == pem) {
            return Ok(Arc::clone(client));
        }
        let tls = pem.clone().map(Tls::new).transpose().map_err(|error| HttpError::Tls(error.to_string()))?;
        let client = Arc::new(Client::new(tls));
        self.clients.push((pem, Arc::clone(&client)));
        Ok(client)
    }
}

async fn fetch(client: &Client, place: &Place, path: &str) -> Answer {
    let mut result = client.get(place, path).await;
    // Most of a megabyte is read by nobody, and every byte goes through the Docker daemon.
    if let Ok(answer) = &mut result
        && path == METRICS
        && answer.status == 200
    {
        answer.body = metrics::only_read(&answer.body);
    }
    Answer::Fetched { result }
}
