//! Reads the clusters once a second for somebody who looks, and not at all while nobody does.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use super::host::TikvSubject;
use crate::cluster::ClusterState;

const EVERY: Duration = Duration::from_secs(1);

/// Tells `sender` once a second what every cluster says, while `look` is true; the first time at once. One reading at a
/// time: one that takes longer, or a receiver that is busy, leaves seconds out. Ends when nobody listens, or when
/// nobody can begin to look any more.
pub async fn read_on(
    subject: Arc<TikvSubject>,
    mut look: watch::Receiver<bool>,
    sender: mpsc::Sender<Vec<ClusterState>>,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            looked = look.wait_for(|look| *look) => if looked.is_err() { return },
            () = sender.closed() => return,
        }
        tokio::select! {
            _ = ticks.tick() => {}
            () = sender.closed() => return,
        }
        // Without Docker there is nobody to ask: the watch says so.
        let Ok(snapshot) = subject.snapshot().await else { continue };
        let states = subject.cluster_states(&snapshot).await;
        if sender.send(states).await.is_err() {
            return;
        }
    }
}
