//! Files of the state folder are believed only where no other user can have written them.

use std::{fs, os::unix::fs::MetadataExt as _};

use nix::unistd::geteuid;

/// Group and others may write.
const WRITABLE: u32 = 0o022;

/// Why another user may have written the file or folder, if so.
pub fn check_owner(found: &fs::Metadata) -> Result<(), String> {
    let (owner, we) = (found.uid(), geteuid().as_raw());
    if owner != we {
        return Err(format!("it belongs to user {owner} and this program runs as user {we}; run it as that user"));
    }
    let mode = found.mode() & 0o7777;
    if mode & WRITABLE != 0 {
        return Err(format!("others can write it (mode {mode:o}); if you trust what it says: chmod go-w"));
    }
    Ok(())
}
