//! A store's way to PD: its id, and a heartbeat every ten seconds and whenever something changed.
//!
//! One that stops asks for orders more often: real PD sends them by a stream of its own.

use std::{io, time::Duration};

use hyper::Method;
use serde::{Serialize, de::DeserializeOwned};
use slog::{Logger, error};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use crate::{
    http::{self, Asked},
    pace::Pace,
    wire::{ALLOC_ID, HEARTBEAT, Heartbeat, Orders},
};

/// How long one PD has to answer, and how long to wait before all are asked again.
const PATIENCE: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(1);

pub struct PdLink {
    pds: Vec<String>,
    /// The one that answered last.
    current: usize,
    pace: Pace,
    /// Between two heartbeats, at TiKV's own pace.
    every: Duration,
    log: Logger,
}

impl PdLink {
    pub fn new(pds: Vec<String>, pace: Pace, every: Duration, log: &Logger) -> Self {
        Self { pds, current: 0, pace, every, log: log.clone() }
    }

    /// Asks one PD after the other. The error of the kind `AlreadyExists` is PD's refusal; others may pass.
    async fn post<T: DeserializeOwned>(&mut self, path: &str, body: &impl Serialize) -> io::Result<T> {
        let body = serde_json::to_vec(body)?;
        let mut last = io::Error::other("no PD to ask");
        for _ in 0..self.pds.len() {
            let asked = Asked { method: Method::POST, body: body.clone(), ..Asked::get(path) };
            let pd = &self.pds[self.current];
            match http::ask(pd, asked, self.pace.patience(PATIENCE)).await {
                Ok((200, answer)) => return Ok(serde_json::from_slice(&answer)?),
                Ok((409, why)) => {
                    let why = String::from_utf8_lossy(&why).into_owned();
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
                }
                Ok((status, why)) => {
                    last = io::Error::other(format!("{status} {}", String::from_utf8_lossy(&why).trim_end()));
                }
                Err(error) => {
                    error!(self.log, "failed to connect to PD member"; "endpoints" => pd, "err" => %error);
                    last = error;
                }
            }
            self.current = (self.current + 1) % self.pds.len();
        }
        Err(last)
    }

    /// A new id, as long as it takes.
    pub async fn alloc_id(&mut self) -> u64 {
        loop {
            match self.post(ALLOC_ID, &()).await {
                Ok(id) => return id,
                Err(error) => error!(self.log, "stand-in: no id from PD yet"; "err" => %error),
            }
            sleep(self.pace.of(AGAIN)).await;
        }
    }

    /// Sends what `reports` holds until nobody reads the orders. A refusal by PD ends it too.
    pub async fn run(mut self, mut reports: watch::Receiver<Heartbeat>, orders: mpsc::Sender<io::Result<Orders>>) {
        loop {
            let report = reports.borrow_and_update().clone();
            let wait = match self.post::<Orders>(HEARTBEAT, &report).await {
                Ok(given) => {
                    // Until PD knows enough stores to make regions, it's asked often.
                    let wait = if given.regions.is_empty() || report.is_stopping { AGAIN } else { self.every };
                    if orders.send(Ok(given)).await.is_err() {
                        return;
                    }
                    wait
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let _ = orders.send(Err(error)).await;
                    return;
                }
                Err(error) => {
                    error!(self.log, "store heartbeat failed"; "err" => %error);
                    AGAIN
                }
            };
            if let Ok(Err(_)) = timeout(self.pace.of(wait), reports.changed()).await {
                return;
            }
        }
    }
}
