//! The bytes of netfilter's netlink messages (include/uapi/linux/netfilter/nfnetlink.h): headers, attributes and answers;
//! lengths and types are in the machine's own order, values in the network's. Pure; what a message means is its sender's.

const HEADER: usize = 16;
/// Family, version and resource, in front of the attributes.
const FAMILY_HEADER: usize = 4;
const ERROR: u16 = 2;
const NESTED: u16 = 0x8000;

pub const REQUEST: u16 = 1;
pub const ACK: u16 = 4;

/// One message, whose attributes `body` appends.
pub struct Head {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// AF_UNSPEC is 0.
    pub family: u8,
    pub resource: u16,
}

pub fn message(out: &mut Vec<u8>, head: &Head, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(0_u32.to_ne_bytes());
    out.extend(head.kind.to_ne_bytes());
    out.extend(head.flags.to_ne_bytes());
    out.extend(head.sequence.to_ne_bytes());
    out.extend(0_u32.to_ne_bytes());
    out.extend([head.family, 0]);
    out.extend(head.resource.to_be_bytes());
    body(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// A value in parts, at most 64 KiB of it.
pub fn attribute(out: &mut Vec<u8>, kind: u16, parts: &[&[u8]]) {
    let length = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.extend((length as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    parts.iter().for_each(|part| out.extend(*part));
    out.resize(out.len().next_multiple_of(4), 0);
}

/// A name as the kernel wants it.
pub fn text(out: &mut Vec<u8>, kind: u16, value: &str) {
    attribute(out, kind, &[value.as_bytes(), &[0]]);
}

pub fn nested(out: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    body(&mut inner);
    attribute(out, kind | NESTED, &[&inner]);
}

/// What the kernel sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The answer to the request with this sequence number; 0 is no error.
    Answer { sequence: u32, errno: i32 },
    Message {
        kind: u16,
        /// From the first attribute on; empty where there is none.
        attributes: &'a [u8],
    },
}

/// The messages of one datagram, as far as they are whole.
pub fn frames(mut bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let message = Frame::Message { kind, attributes: body.get(FAMILY_HEADER..).unwrap_or_default() };
        Some(if kind == ERROR { answer(body).unwrap_or(message) } else { message })
    })
}

fn answer(body: &[u8]) -> Option<Frame<'_>> {
    let errno = i32::from_ne_bytes(*body.first_chunk()?);
    // The request's own header follows; its sequence number is the third word.
    let sequence = u32::from_ne_bytes(*body.get(12..)?.first_chunk()?);
    Some(Frame::Answer { sequence, errno: errno.wrapping_neg() })
}

/// Types and values, up to one that is damaged.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = bytes.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}
