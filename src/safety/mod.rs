//! Judgement before an injection: what will be left of the cluster, and whether that is what somebody wants. Pure:
//! a situation in, a verdict with its reasons out.

mod disks;
mod groups;
mod limits;
mod placement;

use std::time::Duration;
use tikv_chaos_core::disk::DiskUsage;

use serde::Serialize;

pub use disks::Disk;
pub use groups::{Quorums, Reach};
pub use limits::{Asked, Limits};
pub use placement::{Known, Placement};

use crate::cluster::{
    assumed::{GRPC_KEEPALIVE_TIMEOUT, RAFT_CLIENT_MAX_BACKOFF},
    space::Space,
};

/// How an injection is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// It happens.
    Fine,
    /// It is shown, and needs one more key.
    Careful,
    /// It needs `--force`, or the node's name typed on the screen.
    Refused,
}

/// One reason, with the grade that it alone would give.
pub type Reason = (Grade, String);

/// A verdict: the worst grade of its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub grade: Grade,
    /// What follows for the cluster, in one sentence: `this leaves 1 of 3 stores reachable: writes stop`.
    pub consequence: String,
    /// Why it is not [`Grade::Fine`], a sentence each, the worst first.
    pub reasons: Vec<String>,
    /// Whose quorums it speaks of.
    #[serde(skip)]
    pub voters: Voters,
}

/// Whose quorums are judged: those of the nodes of the target's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voters {
    /// Every region is a Raft group on some of the stores.
    Stores,
    /// PD is one Raft group of all its members.
    Pd,
}

impl Voters {
    const fn noun(self) -> &'static str {
        match self {
            Self::Stores => "stores",
            Self::Pd => "PD members",
        }
    }

    const fn keeps(self) -> &'static str {
        match self {
            Self::Stores => "every region keeps its quorum",
            Self::Pd => "PD keeps its quorum",
        }
    }

    const fn stop(self) -> &'static str {
        match self {
            Self::Stores => "writes stop",
            Self::Pd => "PD stops, and with it timestamps and scheduling",
        }
    }

    const fn one_more(self) -> &'static str {
        match self {
            Self::Stores => "one more failure stops writes",
            Self::Pd => "one more failure stops PD",
        }
    }

    /// From this round trip on a member counts as out, in milliseconds.
    pub const fn as_good_as_out_ms(self) -> u64 {
        match self {
            // A connection that takes longer to be made is given up.
            Self::Stores => RAFT_CLIENT_MAX_BACKOFF.as_secs() * 1000,
            // 3 s (pd server/config, election-interval), as much of it.
            Self::Pd => 2_400,
        }
    }

    /// From this round trip on connections are closed for their silence, in milliseconds.
    const fn too_late_ms(self) -> u64 {
        match self {
            Self::Stores => GRPC_KEEPALIVE_TIMEOUT.as_secs() * 1000,
            Self::Pd => u64::MAX,
        }
    }
}

/// One store, or PD member, and what is the matter with it before the injection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberBefore {
    pub name: String,
    /// Why it does not serve already, if so: `is paused`, `PD calls it Disconnected`.
    pub out: Option<String>,
    /// Why it takes no writes already although it serves, or may take none.
    pub disk: Option<Disk>,
    /// A member of PD that no store reaches already.
    pub apart: bool,
    /// How much longer a round trip to it takes already, in milliseconds.
    pub late_ms: u64,
}

/// What the injection would do to quorums, whatever its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It serves nobody any more.
    Out,
    /// It is cut off from these of its kind, by their places, and from so many of the other kind, PD members or stores.
    /// `apart`: it is a member of PD that no store reaches any more.
    Cut { from: Vec<usize>, others: usize, apart: bool },
    /// A round trip to it takes so many milliseconds more, at most.
    Slow { most_ms: u64 },
    /// So much is left of its disk.
    Full { space: Space, shared: Option<String> },
}

/// The cluster before the injection, and what is asked for.
#[derive(Debug, Clone)]
pub struct Situation {
    pub voters: Voters,
    /// The stores, or the members of PD.
    pub members: Vec<MemberBefore>,
    /// Pairs of them that partitions cut already.
    pub cuts: Vec<(usize, usize)>,
    /// Of the regions; of PD's one group, all its members.
    pub placement: Placement,
    /// PD's `max-store-down-time`.
    pub down_after: Duration,
    /// The place of the target among them.
    pub target: usize,
    /// The places of others that the effect is on too: they share the target's network.
    pub beside: Vec<usize>,
    pub effect: Effect,
}

/// Judges one injection by what it leaves of the quorums.
pub fn judge(situation: &Situation) -> Verdict {
    let mut reasons = Vec::new();
    let mut consequence = quorum(situation, &mut reasons);
    if reasons.iter().all(|(grade, _)| *grade < Grade::Refused) {
        consequence.push_str(&situation.whether_they_write());
    }
    reasons.extend(on_the_side(situation));
    reasons.extend(situation.unknown_reserves());
    Verdict { grade: Grade::Fine, consequence, reasons: Vec::new(), voters: situation.voters }.with(reasons)
}

impl Verdict {
    /// Those of one act, each judged with the injections before it: of the stores and of PD, whose quorums have nothing to
    /// do with one another, the last of the worst says it all.
    pub fn together(all: &[&Self]) -> Option<Self> {
        let worst = |voters| all.iter().filter(|one| one.voters == voters).max_by_key(|one| one.grade);
        let (stores, pd) = match (worst(Voters::Stores), worst(Voters::Pd)) {
            (Some(stores), Some(pd)) => (stores, pd),
            (one, other) => return one.or(other).map(|one| (*one).clone()),
        };
        let (first, second) = if pd.grade > stores.grade { (pd, stores) } else { (stores, pd) };
        let further = second.reasons.iter().filter(|reason| !first.reasons.contains(reason));
        let reasons: Vec<String> = first.reasons.iter().chain(further).cloned().collect();
        // What is a reason already is not said twice.
        let mut consequences = vec![&first.consequence, &second.consequence];
        consequences.retain(|one| !reasons.contains(one));
        let consequence = match consequences[..] {
            [] => first.consequence.clone(),
            [one] => one.clone(),
            [one, other, ..] => format!("{one}; {other}"),
        };
        Some(Self { grade: first.grade, consequence, reasons, voters: first.voters })
    }

    /// The same with further reasons, the worst first.
    #[must_use]
    pub fn with(mut self, reasons: Vec<Reason>) -> Self {
        let mut reasons = reasons;
        reasons.sort_by_key(|(grade, _)| std::cmp::Reverse(*grade));
        let worst = reasons.first().map_or(Grade::Fine, |(grade, _)| *grade);
        let reasons = reasons.into_iter().map(|(_, reason)| reason);
        // What was there already comes first unless the new is worse.
        let at = if worst > self.grade { 0 } else { self.reasons.len() };
        self.reasons.splice(at..at, reasons);
        self.grade = self.grade.max(worst);
        self
    }
}

/// What is left of the quorums; adds a reason where that is less than all.
fn quorum(situation: &Situation, reasons: &mut Vec<Reason>) -> String {
    let voters = situation.voters;
    let (mut before, mut after) = (situation.reach(), situation.reach());
    match &situation.effect {
        Effect::Out => situation.hit().for_each(|at| after.take_out(at)),
        Effect::Slow { most_ms } if *most_ms >= voters.as_good_as_out_ms() => {
            situation.hit().for_each(|at| after.take_out(at));
        }
        Effect::Slow { .. } => {
            let far = situation.hit().flat_map(|at| situation.too_far(at).map(move |other| (at, other)));
            far.for_each(|(at, other)| after.cut(at, other));
        }
        Effect::Cut { from, .. } => {
            let pairs = situation.hit().flat_map(|at| from.iter().map(move |other| (at, *other)));
            pairs.for_each(|(at, other)| after.cut(at, other));
        }
        Effect::Full { space, .. } if space.level().is_some_and(DiskUsage::is_full) => after.fill(situation.target),
        Effect::Full { .. } => {}
    }
    // Members of PD whom no store reaches are no PD, however well they reach one another.
    let becomes_apart = matches!(situation.effect, Effect::Cut { apart: true, .. });
    before.without_the_useless(|at| situation.members[at].apart);
    after.without_the_useless(|at| {
        situation.members[at].apart || (becomes_apart && situation.hit().any(|hit| hit == at))
    });
    let (stores, placement) = (situation.members.len(), &situation.placement);
    let (was, is) = (before.writing(), after.writing());
    let verb = if matches!(situation.effect, Effect::Full { .. }) { "able to write" } else { "reachable" };
    let left = format!("this leaves {is} of {stores} {} {verb}", voters.noun());
    let impaired: Vec<String> = situation.members.iter().filter_map(MemberBefore::trouble).collect();
    let because = if impaired.is_empty() { String::new() } else { format!(" ({})", impaired.join("; ")) };
    let basis = if voters == Voters::Stores { format!(" ({})", placement.basis()) } else { String::new() };
    let quorums = after.quorums(placement);
    if is < stores {
        reasons.extend(placement.doubt().map(|doubt| (Grade::Careful, doubt)));
    }
    let stop = match quorums {
        Quorums::All => {
            let spare = after.survives_one_more(placement);
            let and = if is == was && was == stores && situation.is_cut_from_stores() {
                return format!("the {stores} PD members stay with one another: {}", voters.keeps());
            } else if is == was && was == stores {
                return format!("all {stores} {} stay {verb}: {}", voters.noun(), voters.keeps());
            } else if spare {
                String::new()
            } else {
                format!(", and {}", voters.one_more())
            };
            return format!("{left}{because}: {}{and}{basis}", voters.keeps());
        }
        Quorums::Some { lost: Some((lost, all)) } => format!("writes to {lost} of {all} regions stop"),
        Quorums::Some { lost: None } => "writes to some regions stop".to_owned(),
        Quorums::None => voters.stop().to_owned(),
    };
    let sentence = format!("{left}{because}: {stop}{basis}");
    if before.quorums(placement) == Quorums::All {
        reasons.push((Grade::Refused, sentence.clone()));
    } else {
        reasons.push((Grade::Refused, format!("quorums are lost already: {sentence}")));
    }
    sentence
}

/// What does not concern the stores' quorums.
fn on_the_side(situation: &Situation) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let target = &situation.members[situation.target];
    if let Some(why) = &target.out {
        reasons.push((Grade::Careful, format!("{} {why} already", target.name)));
    }
    match &situation.effect {
        Effect::Slow { most_ms: 1.. } if situation.latest_ms() >= situation.voters.too_late_ms() => {
            let late = situation.latest_ms();
            let then = if late >= situation.voters.as_good_as_out_ms() {
                "from 5 s on connections between stores may never be made"
            } else {
                "from 3 s on stores close their connections again and again"
            };
            let text = format!("round trips of {} take up to {late} ms longer: {then}", target.name);
            reasons.push((Grade::Careful, text));
        }
        Effect::Cut { others: others @ 1.., .. } if situation.voters == Voters::Pd => {
            let text =
                format!("{others} stores cannot reach {}: while it leads PD, they get no timestamps", target.name);
            reasons.push((Grade::Careful, text));
        }
        Effect::Cut { others: 1.., .. } => {
            let after = in_minutes(situation.down_after);
            let text = format!("{} cannot reach PD: after {after} PD moves its replicas elsewhere", target.name);
            reasons.push((Grade::Careful, text));
        }
        Effect::Full { space, shared } => {
            let shared = shared.as_ref().map(|shared| format!("the file system is shared: {shared}"));
            let after = disks::after_fill(&target.name, situation.voters, *space);
            reasons.extend(shared.into_iter().chain(after).map(|text| (Grade::Careful, text)));
        }
        _ => {}
    }
    reasons
}

/// `30 min`, and to the second what is no whole number of them.
fn in_minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

impl MemberBefore {
    fn trouble(&self) -> Option<String> {
        let apart = self.apart.then_some("is cut off from the stores");
        let full = self.disk.and_then(Disk::full).map(|level| match level {
            DiskUsage::AlmostFull => "has an almost full disk",
            _ => "has a full disk",
        });
        let why = self.out.as_deref().or(full).or(apart)?;
        Some(format!("{} {why}", self.name))
    }
}

impl Situation {
    fn is_cut_from_stores(&self) -> bool {
        self.voters == Voters::Pd && matches!(self.effect, Effect::Cut { others: 1.., .. })
    }

    /// The greatest round trip between the target, which gets slow, and another that serves.
    fn latest_ms(&self) -> u64 {
        let Effect::Slow { most_ms } = self.effect else { return 0 };
        let target = most_ms + self.members[self.target].late_ms;
        let others = self.members.iter().enumerate().filter(|(at, one)| *at != self.target && one.out.is_none());
        target + others.map(|(_, one)| one.late_ms).max().unwrap_or(0)
    }

    /// The target, and whatever the effect is on too.
    fn hit(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.target).chain(self.beside.iter().copied())
    }

    /// The members to which a round trip from one that gets slow takes too long. What is in one network with it is as near
    /// as before.
    fn too_far(&self, hit: usize) -> impl Iterator<Item = usize> {
        let more = if let Effect::Slow { most_ms } = self.effect { most_ms } else { 0 };
        let late = move |at: usize| self.members[at].late_ms + self.members[hit].late_ms + more;
        let others = (0..self.members.len()).filter(|at| self.hit().all(|hit| hit != *at));
        others.filter(move |at| late(*at) >= self.voters.as_good_as_out_ms())
    }

    /// Who reaches whom before the injection.
    fn reach(&self) -> Reach {
        let mut reach = Reach::full(self.members.len());
        for (at, store) in self.members.iter().enumerate() {
            if store.out.is_some() {
                reach.take_out(at);
            }
            if store.disk.and_then(Disk::full).is_some() {
                reach.fill(at);
            }
        }
        self.cuts.iter().for_each(|(a, b)| reach.cut(*a, *b));
        let slow = || self.members.iter().enumerate().filter(|(_, one)| one.late_ms > 0);
        for ((a, one), (b, other)) in slow().flat_map(|a| slow().map(move |b| (a, b))) {
            if a < b && one.late_ms + other.late_ms >= self.voters.as_good_as_out_ms() {
                reach.cut(a, b);
            }
        }
        reach
    }
}

#[cfg(test)]
mod tests;
