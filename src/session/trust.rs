//! How far a journal is believed that only this program's user can have written: what it says about itself in words is made
//! again from its metadata.

use super::record::Injection;
use crate::chaos::HOLDER_REPOSITORY;

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
