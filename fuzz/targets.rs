//! What must hold of texts that others write, whatever they say. The fuzzers search it, and so do the tests, from seeds.

use tikv_chaos::{
    chaos::{
        FaultMetadata, Metadata,
        network::{parse_chains, parse_qdiscs},
        undo_commands,
    },
    cluster::{metrics::Reading, node_config, pd, pd_config},
    holder::protocol::{Reply, Request},
    session::SessionFile,
};

/// A journal: what is believed of it is what this program could have written.
pub fn journal(bytes: &[u8]) {
    let Ok(file) = serde_json::from_slice::<SessionFile>(bytes) else { return };
    for metadata in file.injections.iter().map(|injection| &injection.metadata) {
        if metadata.check().is_err() {
            continue;
        }
        for command in undo_commands(metadata) {
            assert!(matches!(command.program.as_str(), "docker"), "an undo runs {}", command.program);
        }
        if let FaultMetadata::DiskPressure { fill_file, .. } = &metadata.fault {
            assert!(Metadata::is_fill_file(fill_file), "an undo would remove {fill_file:?}");
        }
    }
    let again = serde_json::to_vec(&file).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<SessionFile>(&again).expect("and read again"), file);
}

/// A line of the protocol between program and helper.
pub fn protocol(bytes: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let again = serde_json::to_vec(&request).expect("what was read can be written");
        serde_json::from_slice::<Request>(&again).expect("and read again");
    }
    if let Ok(reply) = serde_json::from_slice::<Reply>(bytes) {
        let again = serde_json::to_vec(&reply).expect("what was read can be written");
        serde_json::from_slice::<Reply>(&again).expect("and read again");
    }
}

/// What `tc` and `iptables-save` print, PD's answers, TiKV's metrics, or whatever stands at that port.
pub fn text(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let _ = (parse_qdiscs(text), parse_chains(text), Reading::parse(text));
    let _ = (pd::health(text), pd::members(text), pd::region_count(text), pd::max_replicas(text), pd::version(text));
    let _ = (pd::stores(text), pd::voter_counts(text), node_config::parse(text), pd_config::parse(text));
    if let Ok(regions) = pd::regions(text) {
        regions.without_quorum(|store| store % 2 == 0);
    }
}
