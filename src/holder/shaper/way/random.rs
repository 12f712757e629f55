//! Random numbers as netem draws them (`get_crandom` in net/sched/sch_netem.c), so that the same parameters do the same
//! on both ways.

use rand::{RngExt as _, rngs::SmallRng};

use crate::chaos::network::{Chance, Ppm};

/// Where every draw comes from.
pub struct Source(SmallRng);

impl Source {
    pub fn new() -> Self {
        Self(rand::make_rng())
    }

    pub fn draw(&mut self) -> u32 {
        self.0.random()
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }
}

/// A share as the kernel keeps it: of all 32-bit numbers.
pub fn threshold(share: Ppm) -> u32 {
    (share.fraction() * f64::from(u32::MAX)).round() as u32
}

/// Draws of which each follows the last one by a share.
#[derive(Debug, Clone, Copy)]
pub struct Correlated {
    last: u32,
}

impl Correlated {
    pub fn new(source: &mut Source) -> Self {
        Self { last: source.draw() }
    }

    pub fn draw(&mut self, correlation: Ppm, source: &mut Source) -> u32 {
        let value = source.draw();
        let share = threshold(correlation);
        if share == 0 {
            return value;
        }
        let rho = u64::from(share) + 1;
        let answer = ((u64::from(value) * ((1 << 32) - rho) + u64::from(self.last) * rho) >> 32) as u32;
        self.last = answer;
        answer
    }

    /// Whether the chance hits this packet. One of nothing never does, and draws nothing.
    pub fn hits(&mut self, chance: Chance, source: &mut Source) -> bool {
        let share = threshold(chance.share);
        share > 0 && share >= self.draw(chance.correlation, source)
    }
}
