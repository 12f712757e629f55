//! What everything that holds on a path makes of a round trip: at each place on it one impairment, as the kernel or the shaper
//! makes of the faults that meet there, and the places one after another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::asked::Effect;
use crate::chaos::{
    FaultType, InjectionId,
    network::{Distribution, Flow, GilbertElliott, Impairment, Loss, Via},
};

/// The end of a path at which a fault stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Where it is measured from.
    Here,
    /// The peer's.
    There,
}

/// Another injection that holds on the way to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    pub id: InjectionId,
    pub kind: FaultType,
    /// The node that it is on, by name.
    pub target: String,
    pub end: End,
    pub effect: Effect,
    /// Whether it means the echoes on this way, and the connections.
    pub echo: bool,
    pub connect: bool,
}

impl Beside {
    /// `latency on tikv1`.
    pub fn name(&self) -> String {
        format!("{} on {}", self.kind, self.target)
    }
}

/// A delay of round trips, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
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

const NONE: Share = Share { share: 0.0, likeness: 1.0 };

/// What becomes of a round trip; `None` of a quantity that nothing is done to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Expected {
    /// Nothing comes back.
    pub cut: bool,
    pub late: Option<Late>,
    /// What never comes back: lost, or thrown away for its checksum.
    pub lost: Option<Share>,
    /// What comes back more than once.
    pub doubled: Option<Share>,
    pub bits_per_second: Option<u64>,
    /// At how many places something is done to it.
    pub places: u32,
}

impl Expected {
    pub fn of<'a>(effects: impl IntoIterator<Item = (End, &'a Effect)>) -> Self {
        let mut places: BTreeMap<(End, Via, Flow), Impairment> = BTreeMap::new();
        let mut all = Self::default();
        for (end, effect) in effects {
            all.cut |= matches!(effect, Effect::Cut { .. });
            for pass in effect.passes() {
                let place = places.entry((end, pass.via, pass.flow)).or_default();
                *place = place.combine(pass.impairment);
            }
        }
        places.values().fold(all, |all, impairment| all.then(*impairment))
    }

    fn then(self, impairment: Impairment) -> Self {
        fn both<T>(one: Option<T>, two: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
            match (one, two) {
                (Some(one), Some(two)) => Some(join(one, two)),
                (one, two) => one.or(two),
            }
        }
        let rate = impairment.rate.map(|rate| rate.bits_per_second);
        Self {
            cut: self.cut,
            late: both(self.late, late(impairment), Late::and),
            lost: both(self.lost, lost(impairment), Share::or),
            doubled: both(self.doubled, doubled(impairment), |one, two| Share {
                share: (1.0 + one.share) * (1.0 + two.share) - 1.0,
                likeness: one.likeness.max(two.likeness),
            }),
            bits_per_second: both(self.bits_per_second, rate, u64::min),
            places: self.places + 1,
        }
    }

    pub fn delay(&self) -> Late {
        self.late.unwrap_or_default()
    }

    pub fn loss(&self) -> Share {
        self.lost.unwrap_or(NONE)
    }

    pub fn twice(&self) -> Share {
        self.doubled.unwrap_or(NONE)
    }

    /// Whether of so many none may come back for this alone, unless that would be by rare chance.
    pub fn may_silence(&self, sent: u32, chance: f64) -> bool {
        let loss = self.loss();
        self.cut || loss.share.powf(f64::from(sent.max(1)) / loss.likeness) >= chance
    }
}

impl Late {
    /// Two independent delays, one after the other: their means add up, and so do their variances.
    fn and(self, other: Self) -> Self {
        Self {
            mean: self.mean + other.mean,
            deviation: self.deviation.hypot(other.deviation),
            spread: self.spread + other.spread,
        }
    }
}

impl Share {
    /// What either of two independent chances hits.
    fn or(self, other: Self) -> Self {
        Self { share: 1.0 - (1.0 - self.share) * (1.0 - other.share), likeness: self.likeness.max(other.likeness) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of hours are exact")]
fn late(impairment: Impairment) -> Option<Late> {
    let delay = impairment.delay?;
    let (mean, jitter) = (delay.mean_us as f64, delay.jitter_us as f64);
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
    Some(late)
}

fn lost(impairment: Impairment) -> Option<Share> {
    let corrupt = impairment
        .corrupt
        .map(|chance| Share { share: chance.share.fraction(), likeness: likeness(chance.correlation.fraction()) });
    match (impairment.loss.map(loss), corrupt) {
        (Some(one), Some(two)) => Some(one.or(two)),
        (one, two) => one.or(two),
    }
}

fn doubled(impairment: Impairment) -> Option<Share> {
    let chance = impairment.duplicate?;
    Some(Share { share: chance.share.fraction(), likeness: likeness(chance.correlation.fraction()) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{
        measured::{Pass, asked::Asked},
        network::{Chance, Delay, Direction, NetworkFault, Ppm, Reorder, Shape},
    };

    fn shape(impairment: Impairment, via: Via, direction: Direction) -> Effect {
        Asked::of(&NetworkFault::Shape(Shape { impairment, via, direction, ..Shape::on("eth0") })).effect
    }

    fn delay(mean_ms: u64, jitter_ms: u64) -> Impairment {
        let delay = Delay {
            mean_us: mean_ms * 1000,
            jitter_us: jitter_ms * 1000,
            correlation: Ppm::NONE,
            distribution: Distribution::Uniform,
        };
        Impairment { delay: Some(delay), ..Impairment::default() }
    }

    fn loss(percent: u64) -> Impairment {
        let chance = Chance { share: Ppm::percent(percent), correlation: Ppm::NONE };
        Impairment { loss: Some(Loss::Random(chance)), ..Impairment::default() }
    }

    fn close(one: f64, two: f64) -> bool {
        (one - two).abs() < 1e-6 * two.abs().max(1.0)
    }

    #[test]
    fn delays_of_both_ends_add_up_and_losses_join() {
        let (near, far) =
            (shape(delay(25, 5), Via::Shaper, Direction::Out), shape(delay(70, 0), Via::Netem, Direction::Out));
        let lossy = shape(loss(50), Via::Shaper, Direction::Both);
        let all = Expected::of([(End::Here, &near), (End::There, &far), (End::There, &lossy)]);
        assert!(close(all.delay().mean, 95_000.0) && close(all.delay().spread, 5000.0), "{all:?}");
        assert!(close(all.loss().share, 0.75) && all.places == 4 && !all.cut, "{all:?}");
        let cut = Effect::Cut { rejected: false };
        assert!(Expected::of([(End::There, &cut), (End::Here, &near)]).cut);
    }

    #[test]
    fn what_meets_at_one_place_is_one_impairment() {
        // netem lets those that overtake go without either delay.
        let reorder = Some(Reorder { chance: Chance { share: Ppm::percent(50), correlation: Ppm::NONE }, gap: 1 });
        let overtaking = shape(Impairment { reorder, ..delay(40, 0) }, Via::Netem, Direction::Out);
        let late = shape(delay(20, 0), Via::Netem, Direction::Out);
        let here = Expected::of([(End::Here, &overtaking), (End::Here, &late)]);
        let apart = Expected::of([(End::Here, &overtaking), (End::There, &late)]);
        assert!(close(here.delay().mean, 30_000.0) && close(apart.delay().mean, 40_000.0), "{here:?} {apart:?}");
    }

    #[test]
    fn the_shapers_two_ways_are_twice_the_delay_at_one_place() {
        let both = shape(delay(30, 10), Via::Shaper, Direction::Both);
        let Effect::Impaired(passes) = &both else { panic!("{both:?}") };
        assert!(matches!(passes[..], [Pass { flow: Flow::In, .. }]), "{passes:?}");
        let late = Expected::of([(End::Here, &both)]).delay();
        assert!(close(late.mean, 60_000.0) && close(late.spread, 20_000.0), "{late:?}");
    }

    #[test]
    fn silence_is_told_from_chance() {
        let lossy = shape(loss(50), Via::Netem, Direction::Out);
        let half = Expected::of([(End::Here, &lossy)]);
        assert!(half.may_silence(3, 0.01) && !half.may_silence(10, 0.01));
        assert!(!Expected::default().may_silence(10, 0.01));
    }
}
