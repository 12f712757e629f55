//! How fast the stand-in lives: real TiKV takes up to twenty seconds for an election, and a lesson may not have them.

use std::time::Duration;

/// What every duration is divided by.
#[derive(Debug, Clone, Copy)]
pub struct Pace(f64);

impl Pace {
    /// From `--speed`, 1 to 50.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(speed) if (1.0..=50.0).contains(&speed) => Ok(Self(speed)),
            _ => Err("allowed: 1 to 50".to_owned()),
        }
    }

    pub fn of(self, real: Duration) -> Duration {
        real.div_f64(self.0)
    }

    /// For answers that are waited for: a busy machine doesn't get quicker because the clock of the cluster does.
    pub fn patience(self, real: Duration) -> Duration {
        self.of(real).max(Duration::from_millis(500)).min(real)
    }
}
