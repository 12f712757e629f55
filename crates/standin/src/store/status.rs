//! The status port.

use serde_json::{Value, json};
use tikv_chaos_core::units::{duration_text, size_text};

use crate::{
    args,
    http::{Answer, Asked},
    settings,
};
use tikv_chaos_core::assumed;

/// TiKV's configuration as far as it means something here, in its own shape: sizes and times are texts, and those of the file
/// where it has them. How much faster than that the store lives is in `standin`.
pub fn config(args: &args::Store, settings: &settings::Store) -> Value {
    let behaviour = &settings.play.behaviour;
    let election = settings.election_ticks;
    let mut config = json!({
        "server": {
            "addr": args.addr.to_string(), "advertise-addr": args.advertise_addr,
            "status-addr": args.status_addr.to_string(), "advertise-status-addr": args.advertise_status_addr(),
        },
        "storage": {
            "data-dir": args.data_dir, "reserve-space": size_text(settings.reserve_space),
            "reserve-raft-space": "1GiB", "api-version": 1,
            "io-rate-limit": { "max-bytes-per-sec": "0KiB", "mode": "write-only", "strict": false },
        },
        "raft-engine": { "enable": true, "dir": args.data_dir.join("raft") },
        "pd": { "endpoints": args.pds },
        "coprocessor": { "region-split-size": size_text(settings.region_split) },
        "raftstore": {
            "prevote": true, "capacity": size_text(settings.capacity),
            "raft-base-tick-interval": duration_text(settings.raft_tick),
            "raft-heartbeat-ticks": settings.heartbeat_ticks, "raft-election-timeout-ticks": election,
            "raft-min-election-timeout-ticks": election, "raft-max-election-timeout-ticks": 2 * election,
            "pd-store-heartbeat-tick-interval": duration_text(settings.store_heartbeat),
            "max-peer-down-duration": duration_text(settings.max_peer_down),
        },
        "standin": { "version": behaviour.version.to_string(), "speed": settings.play.speed },
    });
    if behaviour.has_graceful_shutdown() {
        config["server"]["graceful-shutdown-timeout"] = duration_text(settings.graceful_shutdown).into();
    }
    config
}

pub fn answer(asked: &Asked, config: &Value) -> Answer {
    match asked.path() {
        assumed::STATUS => Answer::text(200, ""),
        assumed::METRICS => Answer::metrics(),
        assumed::CONFIG => Answer::json(config),
        _ => Answer::text(404, "path not found"),
    }
}
