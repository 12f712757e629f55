//! What is said with nfnetlink_queue (include/uapi/linux/netfilter/nfnetlink_queue.h). Pure.

use crate::holder::netlink::{self, ACK, Frame, Head, REQUEST, attribute};

/// A packet of the queue, as far as the kernel copied it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    pub id: u32,
    pub mark: u32,
    pub interface_in: u32,
    pub interface_out: u32,
    pub payload: &'a [u8],
    /// Of the whole packet, from its IP header on.
    pub bytes: u32,
    /// When it arrived, in microseconds of the system's clock; on the way in alone, and where the kernel keeps stamps.
    pub arrived_us: Option<u64>,
}

impl Packet<'_> {
    pub fn is_whole(&self) -> bool {
        self.payload.len() == self.bytes as usize
    }
}

/// What the kernel sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    Packet(Packet<'a>),
    /// The answer to the request with this sequence number; 0 is no error.
    Answer {
        sequence: u32,
        errno: i32,
    },
    Other,
}

/// How a queue should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes of each packet that are copied.
    pub copy: u32,
    pub max_len: u32,
    /// Packets as they are, which may be 64 KiB of segments whose checksum is still to be made; else the kernel cuts them
    /// and makes their checksums first.
    pub unsegmented: bool,
}

const SUBSYSTEM: u16 = 3 << 8;
const PACKET: u16 = SUBSYSTEM;
const VERDICT: u16 = SUBSYSTEM | 1;
const CONFIG: u16 = SUBSYSTEM | 2;

const NFQA_PACKET_HDR: u16 = 1;
const NFQA_VERDICT_HDR: u16 = 2;
const NFQA_MARK: u16 = 3;
const NFQA_TIMESTAMP: u16 = 4;
const NFQA_IFINDEX_INDEV: u16 = 5;
const NFQA_IFINDEX_OUTDEV: u16 = 6;
const NFQA_PAYLOAD: u16 = 10;
const NFQA_CAP_LEN: u16 = 13;

const NFQA_CFG_CMD: u16 = 1;
const NFQA_CFG_PARAMS: u16 = 2;
const NFQA_CFG_QUEUE_MAXLEN: u16 = 3;
const NFQA_CFG_MASK: u16 = 4;
const NFQA_CFG_FLAGS: u16 = 5;
const CMD_BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const FLAG_GSO: u32 = 4;

/// Whether a packet goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Drop = 0,
    Accept = 1,
}

/// Appends a request that binds the queue (where it is new) and says how it should be; answered.
pub fn configure(out: &mut Vec<u8>, queue: u16, sequence: u32, bind: bool, config: Config) {
    message(out, CONFIG, REQUEST | ACK, sequence, queue, |out| {
        if bind {
            attribute(out, NFQA_CFG_CMD, &[&[CMD_BIND, 0, 0, 0]]);
        }
        attribute(out, NFQA_CFG_PARAMS, &[&config.copy.to_be_bytes(), &[COPY_PACKET]]);
        attribute(out, NFQA_CFG_QUEUE_MAXLEN, &[&config.max_len.to_be_bytes()]);
        let flags = if config.unsegmented { FLAG_GSO } else { 0 };
        attribute(out, NFQA_CFG_MASK, &[&FLAG_GSO.to_be_bytes()]);
        attribute(out, NFQA_CFG_FLAGS, &[&flags.to_be_bytes()]);
    });
}

/// Appends a verdict; several are one send. A payload takes the place of the packet's own.
pub fn verdict(out: &mut Vec<u8>, queue: u16, id: u32, verdict: Verdict, payload: Option<&[u8]>) {
    message(out, VERDICT, REQUEST, 0, queue, |out| {
        attribute(out, NFQA_VERDICT_HDR, &[&(verdict as u32).to_be_bytes(), &id.to_be_bytes()]);
        if let Some(payload) = payload {
            attribute(out, NFQA_PAYLOAD, &[payload]);
        }
    });
}

fn message(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, queue: u16, body: impl FnOnce(&mut Vec<u8>)) {
    netlink::message(out, &Head { kind, flags, sequence, family: 0, resource: queue }, body);
}

/// The messages of one datagram.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    netlink::frames(bytes).map(|frame| match frame {
        Frame::Answer { sequence, errno } => Message::Answer { sequence, errno },
        Frame::Message { kind: PACKET, attributes } => packet(attributes).map_or(Message::Other, Message::Packet),
        Frame::Message { .. } => Message::Other,
    })
}

fn packet(attributes: &[u8]) -> Option<Packet<'_>> {
    let mut packet =
        Packet { id: 0, mark: 0, interface_in: 0, interface_out: 0, payload: &[], bytes: 0, arrived_us: None };
    let (mut id, mut whole) = (None, None);
    for (kind, value) in netlink::attributes(attributes) {
        let number = || netlink::number(value);
        match kind {
            NFQA_PACKET_HDR => id = number(),
            NFQA_MARK => packet.mark = number()?,
            NFQA_TIMESTAMP => packet.arrived_us = stamp(value),
            NFQA_IFINDEX_INDEV => packet.interface_in = number()?,
            NFQA_IFINDEX_OUTDEV => packet.interface_out = number()?,
            NFQA_PAYLOAD => packet.payload = value,
            NFQA_CAP_LEN => whole = number(),
            _ => {}
        }
    }
    packet.id = id?;
    packet.bytes = whole.unwrap_or(packet.payload.len() as u32);
    Some(packet)
}

/// Seconds and microseconds (struct nfqnl_msg_packet_timestamp).
fn stamp(value: &[u8]) -> Option<u64> {
    let (seconds, rest) = value.split_first_chunk()?;
    u64::from_be_bytes(*seconds).checked_mul(1_000_000)?.checked_add(u64::from_be_bytes(*rest.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_kernel(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        message(&mut out, PACKET, 0, 0, 7, |out| {
            for (kind, value) in attributes {
                attribute(out, *kind, &[value]);
            }
        });
        out
    }

    #[test]
    fn a_packet_is_read_in_any_order_of_attributes() {
        let bytes = from_kernel(&[
            (NFQA_CAP_LEN, &1500_u32.to_be_bytes()),
            (NFQA_IFINDEX_INDEV, &3_u32.to_be_bytes()),
            (99, b"something new"),
            (NFQA_TIMESTAMP, &[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9]),
            (NFQA_PACKET_HDR, &[0, 0, 1, 2, 8, 0, 1]),
            (NFQA_PAYLOAD, b"abcde"),
        ]);
        let expected = Packet {
            id: 258,
            mark: 0,
            interface_in: 3,
            interface_out: 0,
            payload: b"abcde",
            bytes: 1500,
            arrived_us: Some(3_000_009),
        };
        assert_eq!(messages(&bytes).collect::<Vec<_>>(), [Message::Packet(expected)]);
        assert!(!expected.is_whole());
    }

    #[test]
    fn what_is_cut_short_is_no_packet_and_no_panic() {
        let bytes = from_kernel(&[(NFQA_PACKET_HDR, &[0, 0, 1, 2, 8, 0, 1]), (NFQA_PAYLOAD, b"abcde")]);
        for length in 0..bytes.len() - 3 {
            assert_eq!(messages(&bytes[..length]).count(), 0, "{length}");
        }
        let mut odd = bytes.clone();
        odd[20..22].copy_from_slice(&1_u16.to_ne_bytes());
        assert_eq!(messages(&odd).collect::<Vec<_>>(), [Message::Other]);
    }

    #[test]
    fn verdicts_stand_one_after_another() {
        let mut out = Vec::new();
        verdict(&mut out, 5, 1, Verdict::Accept, Some(b"xyz"));
        verdict(&mut out, 5, 2, Verdict::Drop, None);
        assert_eq!(messages(&out).count(), 2);
        assert_eq!(out.len(), 20 + 12 + 8 + 20 + 12);
    }
}
