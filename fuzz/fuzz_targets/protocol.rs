//! The holder reads lines from whoever attaches to it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tikv_chaos::holder::protocol::{Reply, Request};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let again = serde_json::to_vec(&request).expect("what was read can be written");
        serde_json::from_slice::<Request>(&again).expect("and read again");
    }
    if let Ok(reply) = serde_json::from_slice::<Reply>(bytes) {
        let again = serde_json::to_vec(&reply).expect("what was read can be written");
        serde_json::from_slice::<Reply>(&again).expect("and read again");
    }
});
