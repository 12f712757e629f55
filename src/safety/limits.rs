//! How much at once and for how long.

use std::time::Duration;

use super::{Grade, Reason};

/// The ceilings, which the configuration can move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Injections that hold at the same time, over every session.
    pub most_active: usize,
    pub longest: Duration,
}

impl Default for Limits {
    /// PD moves the replicas of a store that is down for 30 min (`max-store-down-time`): what lasts longer changes the
    /// cluster for good.
    fn default() -> Self {
        Self { most_active: 10, longest: crate::cluster::assumed::DOWN_AFTER }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Injections that hold already.
    pub active: usize,
    /// `None` never ends by itself.
    pub ttl: Option<Duration>,
}

impl Limits {
    /// Why it is too much or too long, if it is.
    pub fn reasons(&self, asked: &Asked) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if asked.active >= self.most_active {
            let text = format!("{} injections are active, and --max-active is {}", asked.active, self.most_active);
            reasons.push((Grade::Refused, text));
        }
        let why = "PD moves the replicas of a store that is down for 30 min";
        let longest = humantime::format_duration(self.longest);
        match asked.ttl {
            None => reasons
                .push((Grade::Refused, format!("it would never end by itself, and --max-ttl is {longest}: {why}"))),
            Some(ttl) if ttl > self.longest => {
                let ttl = humantime::format_duration(ttl);
                reasons.push((Grade::Refused, format!("it would last {ttl}, and --max-ttl is {longest}: {why}")));
            }
            Some(_) => {}
        }
        reasons
    }
}
