//! What is done to packets: the parameters that netem (tc-netem(8)) and the holder's own shaper share.
//!
//! Several faults that meet in one packet are combined to one impairment by the rules of [`Impairment::combine`], so
//! that both ways of doing it do the same.

use serde::{Deserialize, Serialize};

/// A share in parts per million: 0 to 1,000,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ppm(u32);

impl Ppm {
    pub const ALL: Self = Self(1_000_000);

    /// More than all is all.
    pub fn new(parts: u32) -> Self {
        Self(parts.min(Self::ALL.0))
    }

    pub const NONE: Self = Self(0);

    pub fn percent(percent: u64) -> Self {
        Self::new(u32::try_from(percent.saturating_mul(10_000)).unwrap_or(u32::MAX))
    }

    pub fn parts(self) -> u32 {
        self.0
    }

    /// 0.0 to 1.0.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// The share that either of two independent chances hits.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let all = u64::from(Self::ALL.0);
        let neither = (all - u64::from(self.0)) * (all - u64::from(other.0)) / all;
        Self(u32::try_from(all - neither).unwrap_or(Self::ALL.0))
    }
}

/// A chance that each packet meets; `correlation` says how much it follows the last packet's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chance {
    pub share: Ppm,
    pub correlation: Ppm,
}

impl Chance {
    fn or(self, other: Self) -> Self {
        let greater = if other.share > self.share { other } else { self };
        Self { share: self.share.or(other.share), correlation: greater.correlation }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    #[default]
    Uniform,
    Normal,
    Pareto,
}

/// `mean ± jitter`, in microseconds: of a uniform distribution the bounds, of the others one standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    pub mean_us: u64,
    pub jitter_us: u64,
    pub correlation: Ppm,
    pub distribution: Distribution,
}

impl Delay {
    fn after(self, other: Self) -> Self {
        let shape = if other.jitter_us > self.jitter_us { other } else { self };
        Self {
            mean_us: self.mean_us + other.mean_us,
            jitter_us: self.jitter_us + other.jitter_us,
            correlation: shape.correlation,
            distribution: shape.distribution,
        }
    }
}

/// Packets that never arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    Random(Chance),
    Bursts(GilbertElliott),
}

/// The Gilbert-Elliott model, as netem's `loss gemodel p r 1-h 1-k`: a good and a bad state, each with a loss of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GilbertElliott {
    /// From good to bad.
    pub p: Ppm,
    /// From bad to good: a burst lasts for 1/r packets.
    pub r: Ppm,
    /// Lost in the bad state (1-h).
    pub bad: Ppm,
    /// Lost in the good state (1-k).
    pub good: Ppm,
}

impl Loss {
    /// A random loss beside bursts adds to both states. Two kinds of bursts cannot be one and are refused before.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Random(one), Self::Random(two)) => Self::Random(one.or(two)),
            (Self::Bursts(model), Self::Random(Chance { share, .. }))
            | (Self::Random(Chance { share, .. }), Self::Bursts(model)) => {
                Self::Bursts(GilbertElliott { bad: model.bad.or(share), good: model.good.or(share), ..model })
            }
            (Self::Bursts(one), Self::Bursts(_)) => Self::Bursts(one),
        }
    }
}

/// Packets that overtake: this share goes at once, or every `gap`th does with this chance; the others are delayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reorder {
    pub chance: Chance,
    /// 1 where every packet has its chance.
    pub gap: u32,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub bits_per_second: u64,
    pub burst_bytes: u64,
}

/// Everything that is done to the packets of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impairment {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Chance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrupt: Option<Chance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Reorder>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many packets are held at most; one more is dropped, and counted. 0 is [`DEFAULT_LIMIT`].
    #[serde(default)]
    pub limit: u32,
}

/// netem's own default of 1000 packets is reached at 100 ms with 120 Mbit/s; 20,000 hold 2.4 Gbit/s for 100 ms at an MTU
/// of 1500.
pub const DEFAULT_LIMIT: u32 = 20_000;

impl Impairment {
    pub fn limit(&self) -> u32 {
        if self.limit == 0 { DEFAULT_LIMIT } else { self.limit }
    }

    /// Both at once. Delays and their jitters add up, with the shape of the wider; independent chances are joined, with
    /// the correlation of the greater; of two rates the lower holds; of two limits the higher.
    #[must_use]
    pub fn combine(self, other: Self) -> Self {
        fn both<T>(one: Option<T>, two: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
            match (one, two) {
                (Some(one), Some(two)) => Some(join(one, two)),
                (one, two) => one.or(two),
            }
        }
        let lower = |one: Rate, two: Rate| if two.bits_per_second < one.bits_per_second { two } else { one };
        let joined =
            |one: Reorder, two: Reorder| Reorder { chance: one.chance.or(two.chance), gap: one.gap.min(two.gap) };
        Self {
            delay: both(self.delay, other.delay, Delay::after),
            loss: both(self.loss, other.loss, Loss::and),
            duplicate: both(self.duplicate, other.duplicate, Chance::or),
            corrupt: both(self.corrupt, other.corrupt, Chance::or),
            reorder: both(self.reorder, other.reorder, joined),
            rate: both(self.rate, other.rate, lower),
            limit: if self.limit == 0 || other.limit == 0 {
                self.limit + other.limit
            } else {
                self.limit.max(other.limit)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_join_as_independent_ones_do() {
        assert_eq!(Ppm::percent(50).or(Ppm::percent(50)), Ppm::percent(75));
        assert_eq!(Ppm::percent(100).or(Ppm::percent(3)), Ppm::ALL);
        assert_eq!(Ppm::default().or(Ppm::percent(7)), Ppm::percent(7));
    }

    #[test]
    fn bursts_take_a_random_loss_into_both_states() {
        let bursts =
            GilbertElliott { p: Ppm::percent(1), r: Ppm::percent(10), bad: Ppm::percent(50), good: Ppm::default() };
        let random = Loss::Random(Chance { share: Ppm::percent(10), correlation: Ppm::default() });
        let Loss::Bursts(both) = random.and(Loss::Bursts(bursts)) else { panic!() };
        assert_eq!((both.bad, both.good), (Ppm::percent(55), Ppm::percent(10)));
    }
}
