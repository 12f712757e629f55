//! What a fault asks for, as far as a round trip from its target to a peer shows it.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::expected::{End, Expected};
use crate::chaos::network::{Distribution, Filter, Flow, Impairment, NetworkFault, Via};

/// One fault's effect on a round trip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The packets that it means.
    pub filter: Filter,
    pub effect: Effect,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing comes back.
    Cut {
        /// It is said so at once, where it may.
        rejected: bool,
    },
    /// Some comes back, late or changed: on the way there, on the way back, or on both.
    Impaired(Vec<Pass>),
}

/// What is done once in a round trip, and where: there everything that holds is done as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    pub via: Via,
    pub flow: Flow,
    pub impairment: Impairment,
}

impl Asked {
    pub fn of(fault: &NetworkFault) -> Self {
        match fault {
            NetworkFault::Shape(shape) => {
                // A round trip goes by one interface, and all of them have the same.
                let first = shape.interfaces.first();
                let streams = shape.streams().into_iter().filter(|stream| Some(&stream.interface) == first);
                let mut flows: BTreeMap<Flow, Impairment> = BTreeMap::new();
                for stream in streams {
                    let before = flows.get(&stream.flow).copied().unwrap_or_default();
                    flows.insert(stream.flow, before.combine(stream.impairment));
                }
                let pass = |(flow, impairment)| Pass { via: shape.via, flow, impairment };
                let effect = Effect::Impaired(flows.into_iter().map(pass).collect());
                Self { filter: shape.filter.clone(), effect }
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

    pub fn bits_per_second(&self) -> Option<u64> {
        self.alone().bits_per_second
    }

    /// What it makes of a round trip where nothing else holds.
    pub fn alone(&self) -> Expected {
        Expected::of([(End::Here, &self.effect)])
    }

    /// Bytes that pass before a rate is felt.
    pub fn burst_bytes(&self) -> u64 {
        let rates = self.effect.passes().iter().filter_map(|pass| pass.impairment.rate);
        rates.map(|rate| rate.burst_bytes).max().unwrap_or(0)
    }
}

impl Effect {
    pub fn passes(&self) -> &[Pass] {
        match self {
            Self::Cut { .. } => &[],
            Self::Impaired(passes) => passes,
        }
    }

    /// The longest that it should keep an answer, in microseconds, but for rare ones.
    pub fn longest_us(&self) -> u64 {
        let delays = self.passes().iter().filter_map(|pass| pass.impairment.delay);
        let longest = delays.map(|delay| {
            // A Pareto distribution's table ends at eight deviations, a normal one's at four (iproute2, tc/).
            let deviations = match delay.distribution {
                Distribution::Uniform => 1,
                Distribution::Normal => 4,
                Distribution::Pareto => 8,
            };
            delay.mean_us + deviations * delay.jitter_us
        });
        longest.sum()
    }
}
