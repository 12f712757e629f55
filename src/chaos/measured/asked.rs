//! What a fault asks for, as far as a round trip from its target to a peer shows it.

use std::net::IpAddr;

use crate::chaos::network::{Direction, Distribution, Filter, GilbertElliott, Impairment, Loss, NetworkFault, Shape};

/// One fault's effect on a round trip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The packets that it means.
    pub filter: Filter,
    pub effect: Effect,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing comes back.
    Cut {
        /// It is said so at once, where it may.
        rejected: bool,
    },
    /// Some comes back, late or changed: on the way there, on the way back, or on both.
    Impaired { impairment: Impairment, ways: u32 },
}

/// A delay of round trips, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Late {
    pub mean: f64,
    /// One standard deviation.
    pub deviation: f64,
    /// What stands after the `±`: the bounds of a uniform distribution, one deviation of the others.
    pub spread: f64,
}

/// A share of round trips, and by how much a run of it makes samples tell less than independent ones would.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    pub share: f64,
    pub likeness: f64,
}

impl Asked {
    pub fn of(fault: &NetworkFault) -> Self {
        match fault {
            NetworkFault::Shape(Shape { filter, direction, impairment, .. }) => {
                let ways = if *direction == Direction::Both { 2 } else { 1 };
                Self { filter: filter.clone(), effect: Effect::Impaired { impairment: *impairment, ways } }
            }
            // A round trip needs both ways, so one that is cut is enough.
            NetworkFault::Drop(cut) => Self { filter: cut.filter(), effect: Effect::Cut { rejected: cut.reject } },
        }
    }

    pub fn is_cut(&self) -> bool {
        matches!(self.effect, Effect::Cut { .. })
    }

    /// Whether it means connections to that port. Ours come from a port that no filter names.
    pub fn means_port(&self, peer: IpAddr, port: u16) -> bool {
        self.filter.matches(peer, Some([port, 0]))
    }

    pub fn means_echo(&self, peer: IpAddr) -> bool {
        self.filter.matches(peer, None)
    }

    /// The longest that an answer should take, in microseconds, but for rare ones.
    pub fn longest_us(&self) -> u64 {
        let Effect::Impaired { impairment: Impairment { delay: Some(delay), .. }, ways } = &self.effect else {
            return 0;
        };
        // A Pareto distribution's table ends at eight deviations, a normal one's at four (iproute2, tc/).
        let deviations = match delay.distribution {
            Distribution::Uniform => 1,
            Distribution::Normal => 4,
            Distribution::Pareto => 8,
        };
        (delay.mean_us + deviations * delay.jitter_us) * u64::from(*ways)
    }

    pub fn bits_per_second(&self) -> Option<u64> {
        match &self.effect {
            Effect::Impaired { impairment, .. } => impairment.rate.map(|rate| rate.bits_per_second),
            Effect::Cut { .. } => None,
        }
    }

    /// Bytes that pass before a rate is felt.
    pub fn burst_bytes(&self) -> u64 {
        match &self.effect {
            Effect::Impaired { impairment, .. } => impairment.rate.map_or(0, |rate| rate.burst_bytes),
            Effect::Cut { .. } => 0,
        }
    }
}

impl Effect {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of hours are exact")]
    pub fn late(&self) -> Option<Late> {
        let Self::Impaired { impairment, ways } = self else { return None };
        let delay = impairment.delay?;
        let (mean, jitter, ways) = (delay.mean_us as f64, delay.jitter_us as f64, f64::from(*ways));
        let uniform = if delay.distribution == Distribution::Uniform { 3_f64.sqrt() } else { 1.0 };
        let mut late = Late { mean, deviation: jitter / uniform, spread: jitter };
        // Those that overtake have no delay at all.
        if let Some(reorder) = impairment.reorder {
            let share = reorder.chance.share.fraction() / f64::from(reorder.gap.max(1));
            let variance = (1.0 - share) * late.deviation.powi(2) + share * (1.0 - share) * mean.powi(2);
            late.mean *= 1.0 - share;
            late.deviation = variance.sqrt();
            late.spread = late.deviation;
        }
        // Two independent delays: their means add up, and so do their variances.
        Some(Late { mean: late.mean * ways, deviation: late.deviation * ways.sqrt(), spread: late.spread * ways })
    }

    /// What never comes back: lost, or thrown away for its checksum.
    pub fn lost(&self) -> Option<Share> {
        let Self::Impaired { impairment, ways } = self else { return None };
        let lost = impairment.loss.map(loss);
        let corrupt = impairment
            .corrupt
            .map(|chance| Share { share: chance.share.fraction(), likeness: likeness(chance.correlation.fraction()) });
        let one = match (lost, corrupt) {
            (Some(one), Some(two)) => {
                Share { share: 1.0 - (1.0 - one.share) * (1.0 - two.share), likeness: one.likeness.max(two.likeness) }
            }
            (one, two) => one.or(two)?,
        };
        let ways = i32::try_from(*ways).unwrap_or(1);
        Some(Share { share: 1.0 - (1.0 - one.share).powi(ways), ..one })
    }

    /// What comes back more than once.
    pub fn doubled(&self) -> Option<Share> {
        let Self::Impaired { impairment, ways } = self else { return None };
        let chance = impairment.duplicate?;
        let share = (1.0 + chance.share.fraction()).powi(i32::try_from(*ways).unwrap_or(1)) - 1.0;
        Some(Share { share, likeness: likeness(chance.correlation.fraction()) })
    }
}

fn loss(loss: Loss) -> Share {
    match loss {
        Loss::Random(chance) => {
            Share { share: chance.share.fraction(), likeness: likeness(chance.correlation.fraction()) }
        }
        Loss::Bursts(GilbertElliott { p, r, bad, good }) => {
            let (p, r) = (p.fraction(), r.fraction());
            let in_bad = if p + r > 0.0 { p / (p + r) } else { 0.0 };
            Share { share: in_bad * bad.fraction() + (1.0 - in_bad) * good.fraction(), likeness: likeness(1.0 - p - r) }
        }
    }
}

/// How many samples are worth one where each resembles the last one by so much: the variance inflation of a first-order
/// autoregressive series.
fn likeness(correlation: f64) -> f64 {
    let correlation = correlation.clamp(0.0, 0.98);
    (1.0 + correlation) / (1.0 - correlation)
}
