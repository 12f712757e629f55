//! What there is to be gone through.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use tikv_chaos::step::Step;

use support::{bed::Fault, faulty::Manner};

use super::{
    ledger::{WHAT_BY_DEADLINE, WHAT_BY_RECOVER},
    moments::Walk,
};

/// How many of the program's requests to Docker are answered badly: as many as are the same in each run. Later ones ask
/// again and again whether a helper is gone.
const REQUESTS: [(Verb, usize); 3] = [(Verb::Inject, 12), (Verb::Change, 8), (Verb::Revert, 8)];

/// Where the program makes a mistake of its own accord, and undoes it.
const ROLLED_BACK: [Step; 2] = [Step::RolledBack, Step::FailedWritten];
const CHANGED_BACK: [Step; 2] = [Step::ChangedBack, Step::ChangeSettled];
/// Steps in the middle of which something else is broken.
const INJECTING: [Step; 6] =
    [Step::Recorded, Step::GuardStarted, Step::ApplyingWritten, Step::RequestSent, Step::Made, Step::ActiveWritten];
const CHANGING: [Step; 5] = [Step::Claimed, Step::ChangeWritten, Step::RequestSent, Step::Changed, Step::ChangeSettled];
const REVERTING: [Step; 4] = [Step::Claimed, Step::RevertingWritten, Step::RequestSent, Step::Undone];
/// Steps that the program comes to where it finds no helper, or leaves none.
const OF_HELPERS: [Step; 4] = [Step::HelperMade, Step::HelperAttached, Step::HelperStarted, Step::Released];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Inject,
    Change,
    Revert,
}

/// Whether the program finds a helper of the case before, as it does that of another program, or makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Helpers {
    Anew,
    There,
}

/// What is done to the program's surroundings while it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injury {
    HelpersKilled,
    GuardKilled,
}

/// What is done while the injections hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Guard,
    HelpersKilled,
    HelpersRemoved,
    Everything,
}

/// The nth time that the program comes to a step, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub verb: Verb,
    pub step: Step,
    pub nth: usize,
    pub helpers: Helpers,
}

/// Cases that are made together, one for each type of fault.
#[derive(Clone, Debug)]
pub enum Row {
    /// The program dies at that moment, for these types.
    Dies(&'static str, Moment, Vec<Fault>),
    /// It dies while it undoes what went wrong half-way.
    DiesRollingBack(&'static str, Step),
    /// It dies while it makes what it was of what could not be changed.
    DiesChangingBack(&'static str, Step),
    /// The guard of a killed node dies the nth time that it comes to the step.
    GuardDies(Step, usize),
    /// Something is killed while the program is at the step.
    Hurt(Verb, Step, Injury),
    HurtHolding(Loss),
    /// Docker answers the nth request badly.
    Docker(Verb, Manner, usize),
}

impl Row {
    /// Whether most of its time is spent on a deadline or on Docker's silence.
    fn waits(&self) -> bool {
        match self {
            Self::Dies(what, ..) | Self::DiesRollingBack(what, _) | Self::DiesChangingBack(what, _) => {
                *what == WHAT_BY_DEADLINE
            }
            Self::Docker(_, manner, _) => *manner == Manner::Silent,
            Self::HurtHolding(_) => true,
            Self::GuardDies(..) | Self::Hurt(..) => false,
        }
    }

    /// What a slice must have once: the step, the way of dying, and the types of fault.
    fn marks(&self) -> Vec<String> {
        let (step, way) = match self {
            Self::Dies(what, Moment { step, .. }, _) => (Some(step), (*what).to_owned()),
            Self::DiesRollingBack(_, step) | Self::DiesChangingBack(_, step) | Self::GuardDies(step, _) => {
                (Some(step), String::new())
            }
            Self::Hurt(_, _, injury) => (None, format!("{injury:?}")),
            Self::HurtHolding(_) => (None, "holding".to_owned()),
            Self::Docker(_, manner, _) => (None, format!("{manner:?}")),
        };
        let faults = if let Self::Dies(_, _, faults) = self { &faults[..] } else { &[] };
        let faults = faults.iter().map(|fault| fault.name.to_owned());
        step.map(|step| step.name().to_owned()).into_iter().chain([way]).chain(faults).collect()
    }
}

/// As few of them as bring every mark once, in an order from the seed; where the program dies, with as few types of fault.
pub fn slice(mut rows: Vec<Row>, seed: u64) -> Vec<Row> {
    let random = &mut StdRng::seed_from_u64(seed);
    rows.shuffle(random);
    let mut met = BTreeSet::new();
    rows.retain_mut(|row| {
        if row.marks().iter().all(|mark| met.contains(mark)) {
            return false;
        }
        if let Row::Dies(_, _, faults) = row {
            faults.shuffle(random);
            faults.sort_by_key(|fault| met.contains(fault.name));
            faults.truncate(2);
        }
        met.extend(row.marks());
        true
    });
    rows
}

pub fn rows(walks: &[Walk], guard: &[(Step, usize)], all: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for what in [WHAT_BY_DEADLINE, WHAT_BY_RECOVER] {
        let moments = moments(walks, all, what);
        rows.extend(moments.into_iter().map(|(moment, faults)| Row::Dies(what, moment, faults)));
        rows.extend(ROLLED_BACK.map(|step| Row::DiesRollingBack(what, step)));
        rows.extend(CHANGED_BACK.map(|step| Row::DiesChangingBack(what, step)));
    }
    rows.extend(guard.iter().map(|(step, nth)| Row::GuardDies(*step, *nth)));
    for injury in [Injury::HelpersKilled, Injury::GuardKilled] {
        rows.extend(INJECTING.map(|step| Row::Hurt(Verb::Inject, step, injury)));
        rows.extend(CHANGING.map(|step| Row::Hurt(Verb::Change, step, injury)));
        rows.extend(REVERTING.map(|step| Row::Hurt(Verb::Revert, step, injury)));
    }
    rows.extend([Loss::Guard, Loss::HelpersKilled, Loss::HelpersRemoved, Loss::Everything].map(Row::HurtHolding));
    for manner in [Manner::Silent, Manner::Refused] {
        for (verb, most) in REQUESTS {
            // The usual run has one half of them unanswered and the other refused.
            let half = usize::from(manner == Manner::Refused);
            rows.extend((0..most).filter(|nth| all || nth % 2 == half).map(|nth| Row::Docker(verb, manner, nth)));
        }
    }
    rows
}

/// Each time that the program comes to a step, with the types of fault on whose way it lies. The usual run has the first time
/// where nobody starts anything, and the last where a new start recovers.
fn moments(walks: &[Walk], all: bool, what: &str) -> BTreeMap<Moment, Vec<Fault>> {
    let mut moments: BTreeMap<_, Vec<Fault>> = BTreeMap::new();
    for walk in walks {
        for verb in [Verb::Inject, Verb::Change, Verb::Revert] {
            for helpers in [Helpers::Anew, Helpers::There] {
                for (step, count) in walk.counts(verb, helpers) {
                    if !all && OF_HELPERS.contains(&step) != (helpers == Helpers::Anew) {
                        continue;
                    }
                    let usual = if what == WHAT_BY_DEADLINE { 0 } else { count.saturating_sub(1) };
                    for nth in (0..count).filter(|nth| all || *nth == usual) {
                        moments.entry(Moment { verb, step, nth, helpers }).or_default().push(walk.fault);
                    }
                }
            }
        }
    }
    moments
}

/// Those that wait beside those that work.
pub fn in_turn(rows: Vec<Row>) -> VecDeque<Row> {
    let (waiting, working): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(Row::waits);
    let (mut waiting, mut working) = (waiting.into_iter(), working.into_iter());
    let pairs = std::iter::from_fn(|| {
        let pair: Vec<Row> = waiting.next().into_iter().chain(working.next()).collect();
        (!pair.is_empty()).then_some(pair)
    });
    pairs.flatten().collect()
}

/// What the environment says for this to happen the `nth` time that the program comes to the step, counted from 0.
pub fn at(step: Step, nth: usize, action: &str) -> String {
    if nth == 0 { format!("{}={action}", step.name()) } else { format!("{}={nth}*off->{action}", step.name()) }
}
