//! Asked against measured: which peers a fault means, and the judgement that its quantities add up to. Each is compared with
//! what everything that holds on the way makes of it, see `finding`.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use serde::{Serialize, Serializer};

use super::{
    Beside, End, Expected, Look, PeerReading, Reading, Tally,
    asked::{Asked, Effect},
    finding::{self, CHANCE, Question},
};
use crate::chaos::network::Packets;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    AsAsked,
    Differs,
    NoEffect,
    /// Too little was seen to tell.
    TooFew,
    /// There is nothing to be seen from here.
    NotMeasured,
    /// Another injection leaves nothing of it to be seen.
    Hidden,
    /// Nothing of it is seen any more.
    Over,
    /// It should be over and is not.
    NotOver,
}

impl Outcome {
    pub const fn word(self) -> &'static str {
        match self {
            Self::AsAsked => "as asked",
            Self::Differs => "differs",
            Self::NoEffect => "no effect",
            Self::TooFew => "too few samples to tell",
            Self::NotMeasured => "not measured",
            Self::Hidden => "hidden by another",
            Self::Over => "it is over",
            Self::NotOver => "still seen, though nothing of it is left",
        }
    }

    /// Whether somebody should look.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Differs | Self::NoEffect | Self::Hidden | Self::NotOver)
    }
}

/// One quantity, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: &'static str,
    /// `100 ± 50 ms`.
    pub asked: String,
    /// `98 ± 51 ms over 40`; where others do the same on the way, what it adds to that.
    pub measured: String,
    /// Where others do the same on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<Together>,
    pub outcome: Outcome,
}

/// What several injections do to the same packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Together {
    /// The others: `latency on tikv1`.
    pub with: Vec<String>,
    pub asked: String,
    pub measured: String,
}

impl Together {
    /// `latency on tikv1`, of more than two their number.
    fn others(&self) -> String {
        match &self.with[..] {
            [one] => one.clone(),
            [one, two] => format!("{one} and {two}"),
            more => format!("{} others", more.len()),
        }
    }
}

/// All quantities of one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub outcome: Outcome,
    pub findings: Vec<Finding>,
    /// Why there are none.
    pub reason: Option<String>,
    /// What somebody should know of the packets that it met.
    pub notes: Vec<String>,
}

impl Judgement {
    fn without(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self { outcome, findings: Vec::new(), reason: Some(reason.into()), notes: Vec::new() }
    }

    /// Whether somebody should look.
    pub fn is_bad(&self) -> bool {
        self.outcome.is_bad() || !self.notes.is_empty()
    }

    /// The notes, each after a semicolon.
    pub fn noted(&self) -> String {
        self.notes.iter().map(|note| format!("; {note}")).collect()
    }

    /// `98 ± 51 ms over 40`, of each quantity.
    pub fn measured(&self) -> String {
        let all: Vec<&str> = self.findings.iter().map(|finding| finding.measured.as_str()).collect();
        all.join(", ")
    }

    /// `100 ± 50 ms`, of each quantity.
    pub fn asked(&self) -> String {
        let all: Vec<&str> = self.findings.iter().map(|finding| finding.asked.as_str()).collect();
        all.join(", ")
    }
}

/// `asked 100 ± 50 ms, measured 98 ± 51 ms over 40: as asked`, and the notes after it.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.reason {
            return write!(f, "{}: {reason}{}", self.outcome.word(), self.noted());
        }
        for (at, finding) in self.findings.iter().enumerate() {
            let between = if at == 0 { "" } else { "; " };
            match (&finding.together, self.outcome) {
                (Some(all), Outcome::Over | Outcome::NotOver) => {
                    let (others, asked) = (all.others(), &all.asked);
                    write!(f, "{between}measured {} beyond the {asked} of {others}", finding.measured)?;
                }
                (None, Outcome::Over | Outcome::NotOver) => write!(f, "{between}measured {}", finding.measured)?,
                (Some(all), _) => {
                    let (others, Together { asked, measured, .. }) = (all.others(), all);
                    write!(f, "{between}asked {}, adds {}; ", finding.asked, finding.measured)?;
                    write!(f, "with {others} asked {asked}, measured {measured} in all")?;
                }
                (None, _) => write!(f, "{between}asked {}, measured {}", finding.asked, finding.measured)?,
            }
        }
        write!(f, ": {}{}", self.outcome.word(), self.noted())
    }
}

/// With its sentence, for programs that print it.
impl Serialize for Judgement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("Judgement", 3)?;
        fields.serialize_field("outcome", &self.outcome)?;
        fields.serialize_field("findings", &self.findings)?;
        fields.serialize_field("text", &self.to_string())?;
        fields.end()
    }
}

/// A peer that the fault means, with what shows it there.
pub(super) struct Meant<'a> {
    pub now: &'a PeerReading,
    pub before: Option<&'a PeerReading>,
    /// Echoes, else connections.
    pub tally: Tally,
    pub was: Option<Tally>,
    /// Whether that is echoes, which alone can come back twice.
    pub echo: bool,
    /// What everything that holds on this way should do, and the rest without the fault that is judged.
    pub all: Expected,
    pub rest: Expected,
    /// What the rest did when it was looked at before.
    pub rest_before: Expected,
}

impl Meant<'_> {
    /// The others on this way that do something of the kind.
    pub fn others(&self, does: impl Fn(&Expected) -> bool) -> impl Iterator<Item = String> {
        let others = self.now.beside.iter().filter(move |other| means(other, self.echo));
        others.filter(move |other| does(&Expected::of([(other.end, &other.effect)]))).map(Beside::name)
    }

    /// Whether the others alone may be why nothing comes back.
    pub fn is_hidden(&self) -> bool {
        self.rest.may_silence(self.tally.sent, CHANCE)
    }
}

fn means(other: &Beside, echo: bool) -> bool {
    if echo { other.echo } else { other.connect }
}

/// Their names, each once.
pub(super) fn named<'a>(meant: &'a [Meant<'a>], does: impl Fn(&Expected) -> bool + Copy) -> Vec<String> {
    let names: BTreeSet<String> = meant.iter().flat_map(|one| one.others(does)).collect();
    names.into_iter().collect()
}

/// What an injection does, beside what was asked of it.
pub fn judge(asked: &Asked, before: Option<&Reading>, during: &Look) -> Judgement {
    let mut judgement = compared(asked, before, during);
    if let (false, Some(reading)) = (judgement.findings.is_empty(), during.reading()) {
        judgement.notes.extend(not_tried(asked, reading));
    }
    judgement
}

/// The addresses of a cut that no node has had: what nothing was at is no effect of the fault.
fn not_tried(asked: &Asked, reading: &Reading) -> Option<String> {
    let count = untried(asked, reading);
    (asked.is_cut() && count > 0).then(|| format!("{count} {} not measured", finding::addresses(count)))
}

fn untried(asked: &Asked, reading: &Reading) -> usize {
    // What Docker knows nothing of is shown only where it answers and should not.
    let is_link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let tried = |ip: &IpAddr| is_link_local(ip) || reading.peers.iter().any(|peer| peer.address == *ip);
    asked.filter.peers.iter().flatten().filter(|ip| !tried(ip)).count()
}

fn compared(asked: &Asked, before: Option<&Reading>, during: &Look) -> Judgement {
    match during {
        Look::Seen(reading) => {
            let mut notes = reading.packets.map(notes).unwrap_or_default();
            notes.extend(unmet(&reading.unmet));
            let mut judgement = by_reading(asked, before, reading, Question::Holds);
            if !reading.unmet.is_empty() && judgement.outcome == Outcome::AsAsked {
                judgement.outcome = Outcome::Differs;
            }
            Judgement { notes, ..judgement }
        }
        Look::NotMeasured { not_measured } => Judgement::without(Outcome::NotMeasured, not_measured.clone()),
    }
}

/// Whether an injection that was undone is over: nothing of it is seen any more.
pub fn judge_over(asked: &Asked, before: Option<&Reading>, after: &Look) -> Judgement {
    let mut judgement = match after {
        Look::Seen(reading) => by_reading(asked, before, reading, Question::IsOver),
        Look::NotMeasured { not_measured } => Judgement::without(Outcome::NotMeasured, not_measured.clone()),
    };
    if judgement.findings.is_empty() && judgement.outcome != Outcome::Hidden {
        judgement.outcome = Outcome::NotMeasured;
    }
    judgement
}

fn by_reading(asked: &Asked, before: Option<&Reading>, reading: &Reading, question: Question) -> Judgement {
    if reading.peers.is_empty() {
        return Judgement::without(Outcome::NotMeasured, "it has no peer that could answer");
    }
    let meant = meant(asked, before, reading);
    if meant.is_empty() {
        return nobody(asked, reading);
    }
    let (hidden, open): (Vec<_>, Vec<_>) = meant.into_iter().partition(Meant::is_hidden);
    if open.is_empty() {
        let others = named(&hidden, finding::hides);
        let lets = if others.len() == 1 { "lets" } else { "let" };
        let others = if others.is_empty() { "the others on its way".to_owned() } else { others.join(" and ") };
        return Judgement::without(Outcome::Hidden, format!("{others} {lets} nothing through"));
    }
    let alone = asked.alone();
    let silent = || open.iter().all(|one| one.tally.answered == 0);
    if question == Question::IsOver && !asked.is_cut() && !alone.may_silence(open[0].tally.sent, CHANCE) && silent() {
        let count = open.len();
        let reason = format!("no answer from {count} {}, which is not its doing", finding::addresses(count));
        return Judgement::without(Outcome::NotMeasured, reason);
    }
    let mut findings = Vec::new();
    match &asked.effect {
        Effect::Cut { rejected } => {
            findings.push(finding::cut((&open, &hidden, untried(asked, reading)), *rejected, question));
        }
        Effect::Impaired(_) => {
            findings.extend(alone.late.map(|late| finding::delay(&open, late, question)));
            findings.extend(alone.lost.map(|share| finding::lost(&open, share, question)));
            findings.extend(alone.doubled.map(|share| finding::doubled(&open, share, question)));
            findings.extend(alone.bits_per_second.map(|bits| finding::rate(&open, bits, question)));
        }
    }
    if findings.is_empty() {
        return Judgement::without(Outcome::NotMeasured, "it asks for nothing that can be measured");
    }
    let outcome = match question {
        Question::Holds => sum(&findings),
        Question::IsOver => sum_over(&findings),
    };
    Judgement { outcome, findings, reason: None, notes: Vec::new() }
}

/// What of the packets that a fault met is not as one would think.
fn notes(packets: Packets) -> Vec<String> {
    let over_limit = packets.over_limit.filter(|count| *count > 0);
    let dropped = over_limit.map(|count| {
        format!("{count} of {} packets dropped over its limit, which `change --limit` raises", packets.met)
    });
    let none = (packets.met == 0).then(|| "no packet has met it so far".to_owned());
    none.into_iter().chain(dropped).collect()
}

/// The connections that it should meet and does not.
fn unmet(connections: &[String]) -> Option<String> {
    match connections {
        [] => None,
        [one] => Some(format!("it does not meet the connection with {one}")),
        [one, rest @ ..] => Some(format!("it does not meet {} connections, the first with {one}", rest.len() + 1)),
    }
}

fn meant<'a>(asked: &Asked, before: Option<&'a Reading>, reading: &'a Reading) -> Vec<Meant<'a>> {
    let one = |now: &'a PeerReading| {
        let before = before.and_then(|before| before.peer(now.address, now.port));
        let echoes = |before: &PeerReading| {
            let cut = before.beside.iter().any(|other| other.echo && matches!(other.effect, Effect::Cut { .. }));
            cut || before.echo.is_some_and(|echo| echo.answered > 0)
        };
        let echo = now.echo.filter(|_| asked.means_echo(now.address) && before.is_none_or(echoes));
        let connect = Some(now.connect).filter(|connect| asked.means_port(now.address, now.port) && connect.sent > 0);
        let was = before.and_then(|before| if echo.is_some() { before.echo } else { Some(before.connect) });
        let tally = echo.or(connect)?;
        let echo = echo.is_some();
        let held = |peer: &'a PeerReading| {
            peer.beside.iter().filter(move |other| means(other, echo)).map(|other| (other.end, &other.effect))
        };
        Some(Meant {
            now,
            before,
            tally,
            was,
            echo,
            all: Expected::of(std::iter::once((End::Here, &asked.effect)).chain(held(now))),
            rest: Expected::of(held(now)),
            rest_before: Expected::of(before.into_iter().flat_map(held)),
        })
    };
    reading.peers.iter().filter_map(one).collect()
}

fn nobody(asked: &Asked, reading: &Reading) -> Judgement {
    let tried = reading.peers.len();
    if asked.is_cut() {
        let reason = "none of its peers has an address that could be tried";
        return Judgement::without(Outcome::NotMeasured, reason);
    }
    if asked.filter.peers.is_none() && asked.filter.ports.is_none() {
        let reason = "it means none of the cluster's nodes, and nobody else is asked";
        return Judgement::without(Outcome::NotMeasured, reason);
    }
    let reason = format!("its filter means none of the {tried} addresses that were tried");
    match reading.packets.map(|packets| packets.met).filter(|met| *met > 0) {
        Some(met) => Judgement::without(Outcome::NotMeasured, format!("{reason}; it has met {met} packets of others")),
        None => Judgement::without(Outcome::NoEffect, reason),
    }
}

fn sum(findings: &[Finding]) -> Outcome {
    let any = |outcome| findings.iter().any(|finding| finding.outcome == outcome);
    if any(Outcome::Differs) {
        Outcome::Differs
    } else if any(Outcome::NoEffect) {
        if any(Outcome::AsAsked) { Outcome::Differs } else { Outcome::NoEffect }
    } else if any(Outcome::AsAsked) {
        Outcome::AsAsked
    } else if any(Outcome::Hidden) {
        Outcome::Hidden
    } else if any(Outcome::TooFew) {
        Outcome::TooFew
    } else {
        Outcome::NotMeasured
    }
}

fn sum_over(findings: &[Finding]) -> Outcome {
    let any = |outcome| findings.iter().any(|finding| finding.outcome == outcome);
    let order = [Outcome::NotOver, Outcome::Over, Outcome::Hidden, Outcome::TooFew];
    order.into_iter().find(|outcome| any(*outcome)).unwrap_or(Outcome::NotMeasured)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
