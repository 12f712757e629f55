//! Clients: their connections, what becomes of their requests, and where TiKV counts that.
//!
//! A refusal is an answer like any other: it is in `tikv_grpc_msg_duration_seconds`, and by its reason in
//! `tikv_storage_engine_async_request_total` (src/server/raftkv/mod.rs). A request that waits, for a quorum say, waits as
//! long as it takes and is in neither until it ends. `tikv_grpc_msg_fail_total` has those whose client went away meanwhile
//! (src/server/service/kv.rs).

use std::{io, time::Instant};
use tikv_chaos_core::disk::DiskUsage;

use prometheus::IntCounterVec;
use tokio::{
    net::{TcpStream, tcp::OwnedReadHalf},
    sync::{mpsc, oneshot},
};

use super::{Store, kv, kv::Kv, metrics::Metrics};
use crate::{
    net::{read_frame, write_frame},
    raft::{Group, Lost},
    wire::{Op, Region, Reply, Request},
};

/// Statuses of `tikv_storage_engine_async_request_total` that occur here.
pub const STATUSES: [&str; 7] =
    ["all", "success", "err_not_leader", "err_region_not_found", "err_disk_full", "err_stale_command", "err_other"];

fn status(reply: &Reply) -> &'static str {
    match reply {
        Reply::Done | Reply::Value(_) => "success",
        Reply::NotLeader(_) => "err_not_leader",
        Reply::RegionNotFound => "err_region_not_found",
        Reply::DiskFull => "err_disk_full",
        Reply::StaleCommand => "err_stale_command",
        Reply::ReadIndexNotReady | Reply::Undetermined => "err_other",
    }
}

/// A request under way. One that is dropped has an unknown outcome.
struct Pending {
    kind: &'static str,
    reply: Option<oneshot::Sender<Reply>>,
    counts: IntCounterVec,
}

impl Pending {
    fn begin(op: &Op, reply: oneshot::Sender<Reply>, counts: &IntCounterVec) -> Self {
        let kind = match op {
            Op::Get { .. } => "snapshot",
            Op::Put { .. } => "write",
        };
        counts.with_label_values(&[kind, "all"]).inc();
        Self { kind, reply: Some(reply), counts: counts.clone() }
    }

    fn end(mut self, reply: Reply) {
        self.tell(reply);
    }

    fn tell(&mut self, reply: Reply) {
        if let Some(sender) = self.reply.take() {
            self.counts.with_label_values(&[self.kind, status(&reply)]).inc();
            // A client that no longer waits needs no answer.
            let _ = sender.send(reply);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.tell(Reply::Undetermined);
    }
}

impl Store {
    pub(super) fn serve(&mut self, request: &Request, reply: oneshot::Sender<Reply>) {
        let pending = Pending::begin(&request.op, reply, &self.metrics.requests);
        let region = self.regions.get(&request.region).filter(|region| region.holds(request.op.key()));
        let (Some(region), Some(group)) = (region, self.groups.groups.get_mut(&request.region)) else {
            return pending.end(Reply::RegionNotFound);
        };
        if !group.is_leader() {
            let leader = region.store_of(group.leader()).and_then(|store| self.addresses.get(&store));
            return pending.end(Reply::NotLeader(leader.cloned()));
        }
        match &request.op {
            Op::Get { .. } if !group.leads_with_all() => pending.end(Reply::ReadIndexNotReady),
            Op::Get { key } => {
                let key = key.clone();
                group.read(Box::new(move |kv: Result<&Kv, Lost>| {
                    pending.end(kv.map_or(Reply::StaleCommand, |kv| Reply::Value(kv.get(&key).cloned())));
                }));
            }
            Op::Put { key, value } => {
                let is_full = self.usage != DiskUsage::Normal;
                let has_room = |store: u64| store != self.meta.id && !self.full.contains(&store);
                let full = region.peers.iter().filter(|peer| self.full.contains(&peer.store_id)).count();
                if is_full {
                    hand_over(region, group, has_room);
                }
                if is_full || 2 * full > region.peers.len() {
                    return pending.end(Reply::DiskFull);
                }
                // raft-rs drops proposals meanwhile, which TiKV takes for a change of leaders (peer.rs, propose_normal).
                if group.node.raft.lead_transferee.is_some() {
                    return pending.end(Reply::NotLeader(None));
                }
                let tell =
                    move |done: Result<(), Lost>| pending.end(done.map_or(Reply::StaleCommand, |()| Reply::Done));
                group.propose(kv::put(key, value), Box::new(tell));
            }
        }
    }
}

/// A leader whose disk is full tries that at each proposal that it refuses (peer.rs, check_normal_proposal_with_disk_usage), and
/// says so at DEBUG only.
fn hand_over(region: &Region, group: &mut Group<Kv>, has_room: impl Fn(u64) -> bool) {
    let active = |peer: u64| group.node.raft.prs().get(peer).is_some_and(|progress| progress.recent_active);
    let heir = region.peers.iter().find(|peer| has_room(peer.store_id) && active(peer.id)).map(|peer| peer.id);
    if let Some(peer) = heir {
        group.transfer_leader(peer);
    }
}

/// Answers a client's requests, one after the other, until it hangs up. An empty frame is a health check.
pub async fn connection(
    stream: TcpStream,
    requests: mpsc::Sender<(Request, oneshot::Sender<Reply>)>,
    metrics: Metrics,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    while let Some(frame) = read_frame(&mut reader).await? {
        if frame.is_empty() {
            write_frame(&mut writer, &[]).await?;
            continue;
        }
        let request: Request = serde_json::from_slice(&frame)?;
        let (name, start) = (request.op.name(), Instant::now());
        let (reply, mut told) = oneshot::channel();
        if requests.send((request, reply)).await.is_err() {
            break;
        }
        let (reply, stayed) = tokio::select! {
            reply = &mut told => (reply, true),
            () = hung_up(&mut reader) => (told.await, false),
        };
        let Ok(reply) = reply else { break };
        let sent = stayed && write_frame(&mut writer, &serde_json::to_vec(&reply)?).await.is_ok();
        if !sent {
            metrics.grpc_failed.with_label_values(&[name]).inc();
            break;
        }
        metrics.grpc_took(name, start.elapsed());
    }
    Ok(())
}

/// A client that sends more before it has its answer has not hung up.
async fn hung_up(reader: &mut OwnedReadHalf) {
    if matches!(reader.peek(&mut [0]).await, Ok(1..)) {
        std::future::pending::<()>().await;
    }
}
