//! What was done to the packets of each class, counted.

use serde::{Deserialize, Serialize};

use crate::chaos::network::{Filter, Flow};

/// Counts since the class was first set; a duplicate counts once as `duplicated` and then like any packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets that the class means. One packet of the kernel's may be up to 64 KiB of TCP.
    pub seen: u64,
    /// Their bytes, from the IP header on.
    pub bytes: u64,
    pub delayed: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub corrupted: u64,
    /// Let past those that are delayed.
    pub reordered: u64,
    /// Dropped because the limit was reached.
    pub overflowed: u64,
    /// Held now.
    pub held: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCounters {
    pub interface: String,
    pub flow: Flow,
    pub filter: Filter,
    #[serde(flatten)]
    pub counters: Counters,
}

/// What the kernel dropped of a queue because it was full or because nobody read fast enough, from the text of
/// /proc/net/netfilter/nfnetlink_queue: queue number, port id, queued, copy mode, copy range, dropped by the queue, dropped
/// by the socket, sequence number, 1.
pub fn dropped(text: &str, queue: u16) -> u64 {
    let rows =
        text.lines().map(|line| line.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect::<Vec<u64>>());
    rows.filter(|row| row.first() == Some(&u64::from(queue))).map(|row| row.iter().skip(5).take(2).sum::<u64>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_drops_are_read_from_its_table() {
        let text =
            "    0  29087     0 2 65531     3     4       98  1\n50336 -77432     2 2   128    10   200    12345  1\n";
        assert_eq!([dropped(text, 0), dropped(text, 50336), dropped(text, 1)], [7, 210, 0]);
    }
}
