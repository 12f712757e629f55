//! A journal is somebody's text: whatever it says, what is believed of it is what this program could have written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tikv_chaos::{
    chaos::{FaultMetadata, Metadata, undo_commands},
    session::SessionFile,
};

fuzz_target!(|bytes: &[u8]| {
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
});
