//! Asked against measured. What counts as met: a delay within a tenth, a millisecond or three standard errors of the
//! mean, whichever is most; a share within three standard errors and one sample; a rate within a fifth; a cut if nothing
//! comes back from anybody who answered before. No effect: less than a quarter of the delay; none of a share that should
//! have shown with 99 %; three times the rate; everybody still answers.

use std::{fmt, net::IpAddr};

use serde::{Serialize, Serializer};

use super::{
    Look, PeerReading, Reading, Tally, Times,
    asked::{Asked, Effect, Late, Share},
};
use crate::chaos::network::Packets;

const DELAY_SHARE: f64 = 0.1;
const DELAY_LEAST_US: f64 = 1000.0;
const STANDARD_ERRORS: f64 = 3.0;
const RATE_SHARE: f64 = 0.2;
/// Below this part of the asked delay there is none.
const NO_DELAY: f64 = 0.25;
/// From this multiple of the asked rate on there is none.
const NO_RATE: f64 = 3.0;
/// How probable it may be that something which is there did not show.
const CHANCE: f64 = 0.01;

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
            Self::Over => "it is over",
            Self::NotOver => "still there",
        }
    }

    /// Whether somebody should look.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Differs | Self::NoEffect | Self::NotOver)
    }
}

/// One quantity, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: &'static str,
    /// `100 ± 50 ms`.
    pub asked: String,
    /// `98 ± 51 ms over 40`.
    pub measured: String,
    pub outcome: Outcome,
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
            match self.outcome {
                Outcome::Over | Outcome::NotOver => write!(f, "{between}measured {}", finding.measured)?,
                _ => write!(f, "{between}asked {}, measured {}", finding.asked, finding.measured)?,
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
struct Meant<'a> {
    now: &'a PeerReading,
    before: Option<&'a PeerReading>,
    /// Echoes, else connections.
    tally: Tally,
    was: Option<Tally>,
    /// Whether that is echoes, which alone can come back twice.
    echo: bool,
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
    let plural = if count == 1 { "address" } else { "addresses" };
    (asked.is_cut() && count > 0).then(|| format!("{count} {plural} not measured"))
}

fn untried(asked: &Asked, reading: &Reading) -> usize {
    let tried = |ip: &&IpAddr| reading.peers.iter().any(|peer| peer.address == **ip);
    asked.filter.peers.iter().flatten().filter(|ip| !tried(ip)).count()
}

fn compared(asked: &Asked, before: Option<&Reading>, during: &Look) -> Judgement {
    match during {
        Look::Seen(reading) => {
            let notes = reading.packets.map(notes).unwrap_or_default();
            Judgement { notes, ..by_reading(asked, before, reading) }
        }
        Look::NotMeasured { not_measured } => Judgement::without(Outcome::NotMeasured, not_measured.clone()),
    }
}

fn by_reading(asked: &Asked, before: Option<&Reading>, reading: &Reading) -> Judgement {
    if reading.peers.is_empty() {
        return Judgement::without(Outcome::NotMeasured, "it has no peer that could answer");
    }
    let meant = meant(asked, before, reading);
    if meant.is_empty() {
        return nobody(asked, reading);
    }
    let mut findings = Vec::new();
    match &asked.effect {
        Effect::Cut { rejected } => findings.push(cut(&meant, untried(asked, reading), *rejected)),
        effect @ Effect::Impaired { .. } => {
            findings.extend(effect.late().map(|late| delay(&meant, late)));
            findings.extend(effect.lost().map(|share| lost(&meant, share)));
            findings.extend(effect.doubled().map(|share| doubled(&meant, share)));
            findings.extend(asked.bits_per_second().map(|bits| rate(&meant, bits)));
        }
    }
    if findings.is_empty() {
        return Judgement::without(Outcome::NotMeasured, "it asks for nothing that can be measured");
    }
    let outcome = sum(&findings);
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

/// Whether an injection that was undone is over: nothing of it is seen any more.
pub fn judge_over(asked: &Asked, before: Option<&Reading>, after: &Look) -> Judgement {
    let mut judgement = compared(asked, before, after);
    if judgement.findings.is_empty() {
        judgement.outcome = Outcome::NotMeasured;
        return judgement;
    }
    for finding in &mut judgement.findings {
        finding.outcome = match finding.outcome {
            Outcome::NoEffect => Outcome::Over,
            // Nothing of it was seen, over however few.
            Outcome::TooFew => Outcome::TooFew,
            _ => Outcome::NotOver,
        };
    }
    let all = |outcome| judgement.findings.iter().all(|finding| finding.outcome == outcome);
    judgement.outcome = if all(Outcome::TooFew) {
        Outcome::TooFew
    } else if judgement.findings.iter().any(|finding| finding.outcome == Outcome::NotOver) {
        Outcome::NotOver
    } else {
        Outcome::Over
    };
    judgement
}

fn meant<'a>(asked: &Asked, before: Option<&'a Reading>, reading: &'a Reading) -> Vec<Meant<'a>> {
    let one = |now: &'a PeerReading| {
        let before = before.and_then(|before| before.peer(now.address, now.port));
        let echoed = before.is_none_or(|before| before.echo.is_some_and(|echo| echo.answered > 0));
        let echo = now.echo.filter(|_| asked.means_echo(now.address) && echoed);
        let connect = Some(now.connect).filter(|connect| asked.means_port(now.address, now.port) && connect.sent > 0);
        let was = before.and_then(|before| if echo.is_some() { before.echo } else { Some(before.connect) });
        let tally = echo.or(connect)?;
        Some(Meant { now, before, tally, was, echo: echo.is_some() })
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
    } else if any(Outcome::TooFew) {
        Outcome::TooFew
    } else {
        Outcome::NotMeasured
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of hours are exact")]
fn delay(meant: &[Meant], late: Late) -> Finding {
    let (mut count, mut sum, mut squares, mut sent) = (0.0, 0.0, 0.0, 0);
    for one in meant {
        sent += one.tally.sent;
        let Some(times) = one.tally.times else { continue };
        let weight = f64::from(one.tally.answered);
        let was = one.was.and_then(|was| was.times).map_or(0, |times: Times| times.median_us);
        let mean = times.mean_us as f64 - was as f64;
        count += weight;
        sum += weight * mean;
        squares += weight * (mean.powi(2) + (times.deviation_us as f64).powi(2));
    }
    let asked = spread_text(late.mean, late.spread);
    if count == 0.0 {
        let measured = format!("no answer over {sent}");
        return Finding { what: "delay", asked, measured, outcome: Outcome::Differs };
    }
    let mean = sum / count;
    let deviation = (squares / count - mean.powi(2)).max(0.0).sqrt();
    let scale = if late.deviation > 0.0 { late.spread / late.deviation } else { 1.0 };
    let tolerance = (late.mean * DELAY_SHARE)
        .max(DELAY_LEAST_US)
        .max(STANDARD_ERRORS * late.deviation.max(deviation.min(late.mean)) / count.sqrt());
    let outcome = if late.mean <= 0.0 {
        Outcome::NotMeasured
    } else if mean < late.mean * NO_DELAY {
        Outcome::NoEffect
    } else if (mean - late.mean).abs() <= tolerance {
        Outcome::AsAsked
    } else {
        Outcome::Differs
    };
    let spread = if late.spread > 0.0 { deviation * scale } else { 0.0 };
    let measured = format!("{} over {count:.0}", spread_text(mean.max(0.0), spread));
    Finding { what: "delay", asked, measured, outcome }
}

fn lost(meant: &[Meant], asked: Share) -> Finding {
    let all = |tally: fn(&Meant) -> Option<Tally>| {
        let tallies = meant.iter().filter_map(tally);
        tallies.fold((0, 0), |(sent, lost), one| (sent + one.sent, lost + one.lost()))
    };
    let (sent, gone) = all(|one| Some(one.tally));
    let (sent_before, gone_before) = all(|one| one.was);
    let share = f64::from(gone) / f64::from(sent.max(1));
    let was = f64::from(gone_before) / f64::from(sent_before.max(1));
    // Of what would have come back.
    let extra = if was < 1.0 { (1.0 - (1.0 - share) / (1.0 - was)).max(0.0) } else { 0.0 };
    share_finding("lost", asked, extra, sent)
}

fn doubled(meant: &[Meant], asked: Share) -> Finding {
    let echoes = meant.iter().filter(|one| one.echo);
    let (answered, doubled) =
        echoes.fold((0, 0), |(answered, doubled), one| (answered + one.tally.answered, doubled + one.tally.duplicates));
    share_finding("twice", asked, f64::from(doubled) / f64::from(answered.max(1)), answered)
}

fn share_finding(what: &'static str, asked: Share, share: f64, count: u32) -> Finding {
    let worth = (f64::from(count) / asked.likeness).max(f64::MIN_POSITIVE);
    let expected = asked.share.clamp(0.0, 1.0);
    let tolerance = STANDARD_ERRORS * (expected * (1.0 - expected) / worth).sqrt() + 1.0 / f64::from(count.max(1));
    let outcome = if count == 0 {
        Outcome::TooFew
    } else if share == 0.0 {
        if (1.0 - expected).powf(worth) < CHANCE { Outcome::NoEffect } else { Outcome::TooFew }
    } else if (share - asked.share).abs() <= tolerance {
        Outcome::AsAsked
    } else {
        Outcome::Differs
    };
    let asked = format!("{} % {what}", percent(asked.share));
    let measured =
        if count == 0 { "nothing to count".to_owned() } else { format!("{} % over {count}", percent(share)) };
    Finding { what, asked, measured, outcome }
}

#[expect(clippy::cast_precision_loss, reason = "a rate of three digits")]
fn rate(meant: &[Meant], asked: u64) -> Finding {
    let asked_text = format!("{}bit/s", metric(asked as f64));
    let finding = |measured, outcome| Finding { what: "rate", asked: asked_text.clone(), measured, outcome };
    let burst =
        meant.iter().filter_map(|one| one.now.burst).find(|burst| burst.answered_bytes > 0 && burst.took_us > 0);
    let Some(burst) = burst else { return finding("no rate".to_owned(), Outcome::TooFew) };
    let bits = burst.answered_bytes as f64 * 8e6 / burst.took_us as f64;
    let measured = format!("{}bit/s over {} kB", metric(bits), burst.answered_bytes / 1000);
    let asked = asked as f64;
    let outcome = if bits > asked * NO_RATE {
        Outcome::NoEffect
    } else if (bits - asked).abs() <= asked * RATE_SHARE {
        Outcome::AsAsked
    } else {
        Outcome::Differs
    };
    finding(measured, outcome)
}

fn cut(meant: &[Meant], untried: usize, rejected: bool) -> Finding {
    let answered_before: Vec<&Meant> =
        meant.iter().filter(|one| one.before.is_none_or(PeerReading::is_reached)).collect();
    let silent = meant.len() - answered_before.len();
    let still = answered_before.iter().filter(|one| !is_cut(one, rejected)).count();
    let (all, away) = (answered_before.len(), answered_before.len() - still);
    let outcome = match (all, still) {
        (0, _) => Outcome::NotMeasured,
        (_, 0) => Outcome::AsAsked,
        (_, still) if still == all => Outcome::NoEffect,
        _ => Outcome::Differs,
    };
    let plural = |count: usize| if count == 1 { "address" } else { "addresses" };
    let asked = meant.len() + untried;
    let asked = format!("{asked} {} out of reach", plural(asked));
    let beside = if silent > 0 { format!(", {silent} did not answer before") } else { String::new() };
    Finding { what: "reach", asked, measured: format!("{away} of {all} out of reach{beside}"), outcome }
}

/// Nothing comes back, or a refusal from where there was a connection before.
fn is_cut(one: &Meant, rejected: bool) -> bool {
    let connect = one.now.connect;
    let accepted_before = one.before.is_some_and(|before| before.connect.accepted() > 0);
    let refused = connect.accepted() == 0 && (accepted_before || rejected);
    (connect.answered == 0 || refused) && one.now.echo.is_none_or(|echo| echo.answered == 0)
}

fn spread_text(mean_us: f64, spread_us: f64) -> String {
    if spread_us > 0.0 {
        let (mean, spread) = (millis(mean_us), millis(spread_us));
        format!("{mean} ± {spread} ms")
    } else {
        format!("{} ms", millis(mean_us))
    }
}

/// Milliseconds with as many digits as are worth reading.
pub(super) fn millis(us: f64) -> String {
    let ms = us / 1000.0;
    if ms >= 10.0 {
        format!("{ms:.0}")
    } else if ms >= 1.0 {
        short(format!("{ms:.1}"))
    } else {
        short(format!("{ms:.2}"))
    }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 { format!("{percent:.0}") } else { short(format!("{percent:.1}")) }
}

fn short(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `1.5 M`, `640 k`.
fn metric(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 1e9 => (value / 1e9, "G"),
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let digits = if scaled >= 100.0 { format!("{scaled:.0}") } else { short(format!("{scaled:.1}")) };
    format!("{digits} {unit}")
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
