//! One injection's guide, ticked off as it comes true. Told what is seen and when; has no clock.

use jiff::Timestamp;
use tikv_chaos_core::Version;

use super::{Before, Expectation, Guide, Sight, Sign};
use crate::{
    chaos::FaultType,
    cluster::ClusterState,
    subject::docker::{Role, Snapshot},
};

/// A look that comes later than this after the injection cannot say when something began.
const LATE_S: f64 = 3.0;

/// The guide of one injection, with what has been seen.
#[derive(Debug, Clone)]
pub struct Track {
    pub kind: FaultType,
    /// What the target is.
    pub role: Role,
    /// The container's id and name.
    pub target: String,
    pub name: String,
    pub began: Timestamp,
    /// What the target runs, once that is known; until then the guide claims what holds for any version.
    version: Option<Version>,
    pub before: Before,
    /// When nothing of it was left.
    pub ended: Option<Timestamp>,
    first_look: Option<Timestamp>,
    steps: Vec<Step>,
}

/// How far one expectation has come.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    seen: Progress,
    healed: Progress,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    showing: Option<Showing>,
    mark: Option<Mark>,
}

/// A sign that shows: since when, until which look, and in how many of them.
#[derive(Debug, Clone, Copy)]
struct Showing {
    from: Timestamp,
    last: Timestamp,
    looks: u8,
}

/// When something was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mark {
    /// Seconds after the injection, or after its end.
    After(f64),
    /// It was so at the first look, which came long after.
    Already,
}

/// Something that was just seen for the first time.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// A sentence: `leaders left tikv1 after 12.3 s`.
    pub text: String,
    /// It is part of the way back.
    pub healed: bool,
}

impl Track {
    /// `target` and `name` are the container's.
    pub fn new(
        kind: FaultType,
        role: Role,
        (target, name): (String, String),
        began: Timestamp,
        before: Before,
    ) -> Self {
        let count = Guide::of(kind, role).map_or(0, |guide| guide.expectations.len());
        let steps = vec![Step::default(); count];
        Self { kind, role, target, name, began, version: None, before, ended: None, first_look: None, steps }
    }

    /// What its guide is told for.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// What its guide expects, each with when it was seen and when it went back.
    pub fn expectations(&self) -> impl Iterator<Item = (&'static Expectation, Option<Mark>, Option<Mark>)> {
        let guide = Guide::of(self.kind, self.role).into_iter().flat_map(|guide| &guide.expectations);
        let told = guide.zip(&self.steps).filter(|(one, _)| one.is_for(self.version));
        told.map(|(one, step)| (one, step.seen.mark, step.healed.mark))
    }

    /// Nothing that was seen is still to go back.
    pub fn is_healed(&self) -> bool {
        self.ended.is_some()
            && self.expectations().all(|(one, seen, healed)| one.heal.is_none() || seen.is_none() || healed.is_some())
    }

    /// Takes a look, and gives what it saw for the first time. `at` is the time of the look.
    pub fn look(&mut self, at: Timestamp, snapshot: Option<&Snapshot>, state: Option<&ClusterState>) -> Vec<Seen> {
        let first_look = *self.first_look.get_or_insert(at);
        let late = first_look == at && seconds(self.began, at) > LATE_S;
        let node = state.and_then(|state| state.nodes.get(&self.target));
        self.version = self.version.or_else(|| node?.version());
        let version = self.version;
        let since = self.ended.unwrap_or(self.began);
        let sight = Sight::new(&self.target, since, snapshot, state);
        let mut news = Vec::new();
        let guide = Guide::of(self.kind, self.role).into_iter().flat_map(|guide| &guide.expectations);
        for (one, step) in guide.zip(&mut self.steps).filter(|(one, _)| one.is_for(version)) {
            let after = seconds(since, at);
            let (progress, sign, words) = match (&one.sign, &one.heal, self.ended) {
                (Some(sign), _, None) if !one.still || after >= f64::from(one.when.from) => {
                    (&mut step.seen, sign, &one.seen)
                }
                (_, Some(heal), Some(_)) if step.seen.mark.is_some() => (&mut step.healed, &heal.sign, &heal.seen),
                _ => continue,
            };
            let Some(shows) = sign.shows(&sight, &self.before) else { continue };
            let Some(from) = progress.take(shows, sign, at) else { continue };
            if late {
                progress.mark = Some(Mark::Already);
                continue;
            }
            let mark = Mark::After(seconds(since, from));
            progress.mark = Some(mark);
            let text = format!("{} {mark}", words.replace("{target}", &self.name));
            news.push(Seen { text, healed: self.ended.is_some() });
        }
        news
    }
}

impl Progress {
    /// Takes one look in; gives since when it was so when it has been so often enough for the first time.
    fn take(&mut self, shows: bool, sign: &Sign, at: Timestamp) -> Option<Timestamp> {
        if self.mark.is_some() {
            return None;
        }
        let showing = self.showing.filter(|_| shows);
        self.showing = match showing {
            // The same reading may be looked at twice.
            Some(showing) if showing.last == at => Some(showing),
            Some(showing) => Some(Showing { last: at, looks: showing.looks.saturating_add(1), ..showing }),
            None => shows.then_some(Showing { from: at, last: at, looks: 1 }),
        };
        self.showing.filter(|showing| showing.looks >= sign.readings()).map(|showing| showing.from)
    }
}

/// `after 12.3 s`, `within 1 s`.
impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::After(seconds) if *seconds < 1.0 => f.write_str("within 1 s"),
            Self::After(seconds) if *seconds < 100.0 => write!(f, "after {seconds:.1} s"),
            Self::After(seconds) => write!(f, "after {seconds:.0} s"),
            Self::Already => f.write_str("already"),
        }
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}
