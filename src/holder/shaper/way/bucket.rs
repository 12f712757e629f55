//! A token bucket, kept as the one time at which it will be full again.

use super::Nanos;
use crate::chaos::network::Rate;

/// Says when each packet may go. Packets go in the order in which they came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    full_at: Nanos,
    last: Nanos,
}

impl Bucket {
    /// When a packet that is ready at `ready` may go: as soon as there are tokens for all of it. One that is larger than
    /// the bucket waits for a full one.
    pub fn leave(&mut self, rate: Rate, bytes: u32, ready: Nanos) -> Nanos {
        let cost = cost(u64::from(bytes), rate);
        let ready = ready.max(self.last);
        let depth = cost.max(self::cost(rate.burst_bytes, rate));
        let full_at = self.full_at.max(ready).saturating_add(cost);
        let leave = ready.max(full_at.saturating_sub(depth));
        (self.full_at, self.last) = (self.full_at.max(leave).saturating_add(cost), leave);
        leave
    }
}

fn cost(bytes: u64, rate: Rate) -> Nanos {
    let nanos = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(rate.bits_per_second.max(1));
    Nanos::try_from(nanos).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { bits_per_second: 8_000_000, burst_bytes: 10_000 };
    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut bucket = Bucket::default();
        let leaves: Vec<Nanos> = (0..30).map(|_| bucket.leave(RATE, 1000, SECOND)).collect();
        assert!(leaves[..10].iter().all(|leave| *leave == SECOND), "{leaves:?}");
        for (index, leave) in leaves[10..].iter().enumerate() {
            assert_eq!(*leave, SECOND + (index as Nanos + 1) * 1_000_000);
        }
    }

    #[test]
    fn the_bucket_fills_again_and_no_further_than_its_burst() {
        let mut bucket = Bucket::default();
        for _ in 0..10 {
            bucket.leave(RATE, 1000, SECOND);
        }
        let later = SECOND + 3_000_000;
        assert_eq!([(); 4].map(|()| bucket.leave(RATE, 1000, later)), [later, later, later, later + 1_000_000]);
        let much_later = 100 * SECOND;
        let at_once = (0..30).filter(|_| bucket.leave(RATE, 1000, much_later) == much_later).count();
        assert_eq!(at_once, 10);
    }

    #[test]
    fn a_packet_larger_than_the_bucket_goes_in_its_time_and_none_overtakes() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.leave(RATE, 64_000, SECOND), SECOND);
        assert_eq!(bucket.leave(RATE, 64_000, SECOND), SECOND + 64_000_000);
        assert!(bucket.leave(RATE, 1, 0) >= SECOND + 64_000_000);
    }
}
