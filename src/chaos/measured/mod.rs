//! What was measured of a network fault from inside its target, and how that compares with what was asked for.
//!
//! Pure: a probe beside the target counts and times, elsewhere; here stand its figures, what a fault should make of them,
//! and the judgement. All times are of a round trip, as a peer or a client feels it.

mod asked;
mod expected;
mod figures;
mod finding;
mod judge;
mod matrix;
mod words;

pub use asked::{Asked, Effect, Pass};
pub use expected::{Beside, End, Expected};
pub use figures::{Burst, PeerReading, Reading, Tally, Times};
pub use judge::{Finding, Judgement, Outcome, Together, judge, judge_over};
pub use matrix::{Cell, Matrix, Reach, Source};

use serde::{Deserialize, Serialize};

/// When a measurement is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// As the injection begins; it does not wait for it.
    Before,
    /// Once it holds.
    During,
    /// Once it is undone.
    After,
    /// While it holds and somebody looks, a little at a time.
    Watching,
}

/// A measurement, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Look {
    Seen(Reading),
    NotMeasured { not_measured: String },
}

impl Look {
    pub fn failed(why: impl Into<String>) -> Self {
        Self::NotMeasured { not_measured: why.into() }
    }

    pub fn reading(&self) -> Option<&Reading> {
        match self {
            Self::Seen(reading) => Some(reading),
            Self::NotMeasured { .. } => None,
        }
    }
}

/// What was measured of one injection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Look>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during: Option<Look>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Look>,
}

impl Measured {
    pub fn before(&self) -> Option<&Reading> {
        self.before.as_ref().and_then(Look::reading)
    }

    /// How the injection compares with what it asks for, once that was looked at.
    pub fn judgement(&self, asked: &Asked) -> Option<Judgement> {
        self.during.as_ref().map(|during| judge(asked, self.before(), during))
    }

    /// Whether it is over, once that was looked at.
    pub fn over(&self, asked: &Asked) -> Option<Judgement> {
        self.after.as_ref().map(|after| judge_over(asked, self.before(), after))
    }

    /// Words that others wrote, fit for a screen.
    pub fn clean(&mut self) {
        let clean = |text: &mut String| {
            *text = text.chars().map(|one| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one }).collect();
        };
        for look in [&mut self.before, &mut self.during, &mut self.after].into_iter().flatten() {
            match look {
                Look::Seen(reading) => {
                    reading.unmet.iter_mut().for_each(clean);
                    for peer in &mut reading.peers {
                        clean(&mut peer.name);
                        peer.beside.iter_mut().for_each(|other| clean(&mut other.target));
                    }
                }
                Look::NotMeasured { not_measured } => clean(not_measured),
            }
        }
    }
}
