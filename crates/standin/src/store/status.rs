//! The status port, and the connections of clients.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::metrics::Metrics;
use crate::{
    args,
    http::{Answer, Asked},
    net::{read_frame, write_frame},
    wire::{Reply, Request},
};
use tikv_chaos_core::assumed::{self, RAFT_ELECTION_TICKS, RAFT_HEARTBEAT_TICKS, RAFT_TICK, STORE_HEARTBEAT};

/// TiKV's configuration as far as it means something here, in its own shape.
pub fn config(args: &args::Store) -> Value {
    let pace = args.speed;
    let readable = |real: Duration| match pace.of(real).as_millis() {
        millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
        millis => format!("{millis}ms"),
    };
    let size = |bytes: u64| match bytes {
        bytes if bytes % (1 << 30) == 0 => format!("{}GiB", bytes >> 30),
        bytes if bytes % (1 << 20) == 0 => format!("{}MiB", bytes >> 20),
        bytes => format!("{bytes}B"),
    };
    json!({
        "server": {
            "addr": args.addr.to_string(), "advertise-addr": args.advertise_addr,
            "status-addr": args.status_addr.to_string(), "advertise-status-addr": args.advertise_status_addr,
        },
        "storage": { "data-dir": args.data_dir, "reserve-space": size(args.reserve_space), "api-version": 1 },
        "pd": { "endpoints": args.pds },
        "raftstore": {
            "prevote": true, "capacity": "0KiB", "raft-base-tick-interval": readable(RAFT_TICK),
            "raft-heartbeat-ticks": RAFT_HEARTBEAT_TICKS, "raft-election-timeout-ticks": RAFT_ELECTION_TICKS,
            "raft-min-election-timeout-ticks": RAFT_ELECTION_TICKS,
            "raft-max-election-timeout-ticks": 2 * RAFT_ELECTION_TICKS,
            "pd-store-heartbeat-tick-interval": readable(STORE_HEARTBEAT),
        },
    })
}

pub fn answer(asked: &Asked, config: &Value) -> Answer {
    match asked.path() {
        assumed::STATUS => Answer::text(200, ""),
        assumed::METRICS => Answer::metrics(),
        assumed::CONFIG => Answer::json(config),
        _ => Answer::text(404, "path not found"),
    }
}

/// Answers a client's requests, one after the other, until it hangs up.
pub async fn serve_client(
    mut stream: TcpStream,
    requests: mpsc::Sender<(Request, oneshot::Sender<Reply>)>,
    metrics: Metrics,
    limit: Duration,
) -> std::io::Result<()> {
    while let Some(frame) = read_frame(&mut stream).await? {
        let request: Request = serde_json::from_slice(&frame)?;
        let (name, start) = (request.op.name(), Instant::now());
        let (reply, told) = oneshot::channel();
        if requests.send((request, reply)).await.is_err() {
            break;
        }
        let reply = match timeout(limit, told).await {
            Ok(Ok(reply)) => reply,
            _ => Reply::Timeout,
        };
        metrics.grpc.with_label_values(&[name, "unknown"]).observe(start.elapsed().as_secs_f64());
        if !matches!(reply, Reply::Done | Reply::Value(_)) {
            metrics.grpc_failed.with_label_values(&[name]).inc();
        }
        write_frame(&mut stream, &serde_json::to_vec(&reply)?).await?;
    }
    Ok(())
}
