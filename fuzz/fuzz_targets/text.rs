//! Texts of others: what `tc` and `iptables-save` print, PD's answers, TiKV's metrics, or whatever stands at that port.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tikv_chaos::{
    chaos::network::{parse_chains, parse_qdiscs},
    cluster::{metrics::Reading, pd},
};

fuzz_target!(|text: &str| {
    let _ = (parse_qdiscs(text), parse_chains(text), Reading::parse(text));
    let _ = (pd::health(text), pd::members(text), pd::region_count(text), pd::max_replicas(text), pd::version(text));
    let stores = pd::stores(text).unwrap_or_default();
    let _ = pd::regions_without_quorum(text, &stores);
});
