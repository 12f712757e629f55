//! What becomes of each packet of one class: netem's decisions (net/sched/sch_netem.c), draw for draw, in its order.
//! Knows nothing of packets but their size, and no clock.
//!
//! As with netem, a delay with jitter may let a packet overtake another, a correlated chance hits less evenly than it is
//! given, and the correlation of a delay is felt little: the kernel takes the remainder of the correlated number.
//! A class with a rate keeps its order.

use super::{
    Nanos,
    bucket::Bucket,
    random::{Correlated, Source, threshold},
    tables::{NORMAL, PARETO, SCALE},
};
use crate::chaos::network::{Delay, Distribution, GilbertElliott, Impairment, Loss};

/// The parameters, and what each draw remembers of the last.
pub struct Model {
    pub impairment: Impairment,
    source: Source,
    loss: Correlated,
    duplicate: Correlated,
    corrupt: Correlated,
    reorder: Correlated,
    delay: Correlated,
    /// Of the Gilbert-Elliott model.
    bad: bool,
    /// Packets delayed since one overtook.
    counter: u32,
    bucket: Bucket,
}

/// When a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    pub at: Nanos,
    /// It was let past those that are delayed.
    pub overtakes: bool,
}

impl Model {
    pub fn new(impairment: Impairment) -> Self {
        let mut source = Source::new();
        let [loss, duplicate, corrupt, reorder, delay] = [(); 5].map(|()| Correlated::new(&mut source));
        let (bad, counter, bucket) = (false, 0, Bucket::default());
        Self { impairment, source, loss, duplicate, corrupt, reorder, delay, bad, counter, bucket }
    }

    /// How many of a packet go on: a duplicate makes up for a loss.
    pub fn copies(&mut self) -> u32 {
        let chance = self.impairment.duplicate;
        let twice = chance.is_some_and(|chance| self.duplicate.hits(chance, &mut self.source));
        1 + u32::from(twice) - u32::from(self.loses())
    }

    /// Whether this one is lost; asked for a duplicate as well.
    pub fn loses(&mut self) -> bool {
        match self.impairment.loss {
            None => false,
            Some(Loss::Random(chance)) => self.loss.hits(chance, &mut self.source),
            Some(Loss::Bursts(model)) => self.loses_in_bursts(model),
        }
    }

    fn loses_in_bursts(&mut self, model: GilbertElliott) -> bool {
        let mut hits = |share| self.source.draw() < threshold(share);
        if self.bad {
            self.bad = !hits(model.r);
            hits(model.bad)
        } else {
            self.bad = hits(model.p);
            hits(model.good)
        }
    }

    pub fn corrupts(&mut self) -> bool {
        self.impairment.corrupt.is_some_and(|chance| self.corrupt.hits(chance, &mut self.source))
    }

    /// A place to flip a bit at: the byte and the bit's mask.
    pub fn bit(&mut self, bytes: usize) -> (usize, u8) {
        (self.source.below(bytes), 1 << self.source.below(8))
    }

    pub fn leave(&mut self, now: Nanos, bytes: u32) -> Leave {
        if self.overtakes() {
            self.counter = 0;
            return Leave { at: now, overtakes: true };
        }
        self.counter = self.counter.saturating_add(1);
        let delay = self.impairment.delay.map_or(0, |delay| self.delay(delay));
        let ready = now.saturating_add(delay);
        let at = match self.impairment.rate {
            Some(rate) => self.bucket.leave(rate, bytes, ready),
            None => ready,
        };
        Leave { at, overtakes: false }
    }

    fn overtakes(&mut self) -> bool {
        let Some(reorder) = self.impairment.reorder else { return false };
        reorder.gap > 0
            && self.counter >= reorder.gap - 1
            && threshold(reorder.chance.share) >= self.reorder.draw(reorder.chance.correlation, &mut self.source)
    }

    fn delay(&mut self, delay: Delay) -> Nanos {
        let mean = i64::try_from(delay.mean_us.saturating_mul(1000)).unwrap_or(i64::MAX);
        // The kernel's own bound.
        let jitter = i64::try_from(delay.jitter_us.saturating_mul(1000)).unwrap_or(i64::MAX).min(i32::MAX.into());
        if jitter == 0 {
            return mean.unsigned_abs();
        }
        let random = self.delay.draw(delay.correlation, &mut self.source);
        let table = match delay.distribution {
            Distribution::Uniform => {
                let offset = i64::from(random) % (2 * jitter) - jitter;
                return mean.saturating_add(offset).max(0).unsigned_abs();
            }
            Distribution::Normal => &NORMAL,
            Distribution::Pareto => &PARETO,
        };
        let value = i64::from(table[random as usize % table.len()]);
        let offset = jitter * value / SCALE;
        mean.saturating_add(offset).max(0).unsigned_abs()
    }
}
