//! How far a journal is believed: it must be ours and nobody else's to write, and what it says about itself in words is
//! made again from its metadata.

use std::{fs, os::unix::fs::MetadataExt as _};

use nix::unistd::geteuid;

use super::record::Injection;
use crate::chaos::HOLDER_REPOSITORY;

/// Group and others may write.
const WRITABLE: u32 = 0o022;

/// Why a file or folder may not be ours, if so.
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

/// Replaces what somebody may act on by what this program would say itself: the image, the undo, the words of the note.
pub fn distrust(injection: &mut Injection, known_image: Option<&str>) {
    let made_here = |image: &str| {
        let tag = image.strip_prefix(HOLDER_REPOSITORY).and_then(|rest| rest.strip_prefix(':'));
        tag.is_some_and(|tag| tag.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    for metadata in std::iter::once(&mut injection.metadata).chain(&mut injection.former) {
        let image = metadata.holder_image.take();
        metadata.holder_image = image.filter(|image| made_here(image) || known_image == Some(image));
    }
    injection.undo = injection.undo_by_hand();
    if let Some(measured) = &mut injection.measured {
        measured.clean();
    }
    if let Some(note) = &mut injection.note {
        *note = note.chars().map(|one| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one }).collect();
    }
}
