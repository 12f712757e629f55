//! Raft messages of many groups in one frame.

use std::io;

use protobuf::Message as _;
use raft::eraftpb::Message;

/// The messages for one node, each with its group.
///
/// # Errors
/// A message lacks what protobuf requires.
pub fn encode(messages: &[(u64, Message)]) -> io::Result<Vec<u8>> {
    let mut frame = vec![];
    for (group, message) in messages {
        let bytes = message.write_to_bytes().map_err(io::Error::other)?;
        frame.extend_from_slice(&group.to_le_bytes());
        frame.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        frame.extend_from_slice(&bytes);
    }
    Ok(frame)
}

/// # Errors
/// The frame is not what [`encode`] makes.
pub fn decode(mut frame: &[u8]) -> io::Result<Vec<(u64, Message)>> {
    let short = || io::Error::new(io::ErrorKind::InvalidData, "a frame that is cut short");
    let mut messages = vec![];
    while !frame.is_empty() {
        let (group, rest) = frame.split_first_chunk().ok_or_else(short)?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
        let message = Message::parse_from_bytes(bytes).map_err(io::Error::other)?;
        messages.push((u64::from_le_bytes(*group), message));
        frame = rest;
    }
    Ok(messages)
}
