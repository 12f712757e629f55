//! One quantity compared. What counts as met: a delay within a tenth, a millisecond or three standard errors of the mean,
//! whichever is most; a share within three standard errors and one sample; a rate within a fifth; a cut if nothing comes back
//! from any peer that answered before. No effect: less than a quarter of the delay; none of a share that should have shown with
//! 99 %; three times the rate; every peer still answers.
//!
//! Where others do the same on the way, all together are compared with what all of them should do; and where that would look
//! alike without the fault that is judged, it is not told.

use super::{
    Expected, Finding, Outcome, PeerReading, Times, Together,
    expected::{Late, Share},
    judge::{Meant, named},
    words::{metric, millis, percent, spread_text},
};

const DELAY_SHARE: f64 = 0.1;
const DELAY_LEAST_US: f64 = 1000.0;
const STANDARD_ERRORS: f64 = 3.0;
const RATE_SHARE: f64 = 0.2;
/// Below this part of the asked delay there is none.
const NO_DELAY: f64 = 0.25;
/// From this multiple of the asked rate on there is none.
const NO_RATE: f64 = 3.0;
/// How probable it may be that something which is there did not show.
pub const CHANCE: f64 = 0.01;

/// Of shares that were reckoned in two ways.
const ROUNDING: f64 = 1e-9;

/// What is asked of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether it does what was asked.
    Holds,
    /// Whether nothing of it is seen any more.
    IsOver,
}

/// A mean over what was answered.
#[derive(Default)]
struct Pool {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Pool {
    fn add(&mut self, weight: f64, mean: f64, deviation: f64) {
        self.count += weight;
        self.sum += weight * mean;
        self.squares += weight * (mean.powi(2) + deviation.powi(2));
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(f64::MIN_POSITIVE)
    }

    fn deviation(&self) -> f64 {
        (self.squares / self.count.max(f64::MIN_POSITIVE) - self.mean().powi(2)).max(0.0).sqrt()
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of hours are exact")]
pub fn delay(meant: &[Meant], own: Late, question: Question) -> Finding {
    let (mut seen, mut all, mut rest) = (Pool::default(), Pool::default(), Pool::default());
    let (mut sent, mut places, mut spread, mut rest_spread) = (0, 1, 0.0_f64, 0.0_f64);
    for one in meant {
        sent += one.tally.sent;
        let Some(times) = one.tally.times else { continue };
        let weight = f64::from(one.tally.answered);
        seen.add(weight, times.mean_us as f64 - by_itself(one), times.deviation_us as f64);
        all.add(weight, one.all.delay().mean, one.all.delay().deviation);
        rest.add(weight, one.rest.delay().mean, one.rest.delay().deviation);
        spread = spread.max(one.all.delay().spread);
        rest_spread = rest_spread.max(one.rest.delay().spread);
        places = places.max(one.all.places);
    }
    let asked = spread_text(own.mean, own.spread);
    let others = named(meant, |other| other.late.is_some());
    let finding =
        |measured, together, outcome| Finding { what: "delay", asked: asked.clone(), measured, together, outcome };
    if seen.count == 0.0 {
        let outcome = if question == Question::Holds { Outcome::Differs } else { Outcome::NotMeasured };
        return finding(format!("no answer over {sent}"), None, outcome);
    }
    let (crowded, total, deviation) = (!others.is_empty(), seen.mean(), seen.deviation());
    let adds = total - rest.mean();
    let expected = if crowded { all.mean() - rest.mean() } else { own.mean };
    let error = |of: &Pool| STANDARD_ERRORS * of.deviation().max(deviation.min(all.mean())) / seen.count.sqrt();
    let least = if crowded { DELAY_LEAST_US * f64::from(places) } else { DELAY_LEAST_US };
    let tolerance = (expected * DELAY_SHARE).max(least).max(error(&all));
    let queued = meant.iter().any(|one| one.rest.bits_per_second.is_some());
    let outcome = match question {
        _ if expected <= 0.0 => Outcome::NotMeasured,
        Question::IsOver => {
            let nothing = least.max(error(&rest));
            match adds {
                adds if adds < expected * NO_DELAY && !crowded => Outcome::Over,
                adds if adds > nothing => Outcome::NotOver,
                _ if expected > nothing => Outcome::Over,
                _ => Outcome::TooFew,
            }
        }
        Question::Holds => match (adds - expected).abs() <= tolerance {
            // What waits behind a rate is late as well, by an unknown time.
            _ if queued && adds > expected + tolerance => Outcome::Hidden,
            true if crowded && expected <= tolerance => Outcome::TooFew,
            true if crowded => Outcome::AsAsked,
            _ if adds < expected * NO_DELAY => Outcome::NoEffect,
            true => Outcome::AsAsked,
            false => Outcome::Differs,
        },
    };
    let count = seen.count;
    if !crowded {
        let scale = if own.deviation > 0.0 { own.spread / own.deviation } else { 1.0 };
        let spread = if own.spread > 0.0 { deviation * scale } else { 0.0 };
        return finding(format!("{} over {count:.0}", spread_text(total.max(0.0), spread)), None, outcome);
    }
    let scale = if all.deviation() > 0.0 { spread / all.deviation() } else { 1.0 };
    let measured = spread_text(total.max(0.0), if spread > 0.0 { deviation * scale } else { 0.0 });
    let asked = match question {
        Question::Holds => spread_text(all.mean(), spread),
        Question::IsOver => spread_text(rest.mean(), rest_spread),
    };
    let together = Together { with: others, asked, measured };
    finding(format!("{} ms over {count:.0}", millis(adds.max(0.0))), Some(together), outcome)
}

/// The round trip without any injection, as far as it is known: what was there before, less what held then.
#[expect(clippy::cast_precision_loss, reason = "microseconds of hours are exact")]
fn by_itself(one: &Meant) -> f64 {
    let was = one.was.and_then(|was| was.times).map_or(0, |times: Times| times.median_us) as f64;
    match one.rest_before.late {
        None => was,
        // The middle of few that were scattered says little of the few microseconds beneath.
        Some(late) if late.deviation > 0.0 => 0.0,
        Some(late) => (was - late.mean).max(0.0),
    }
}

pub fn lost(meant: &[Meant], asked: Share, question: Question) -> Finding {
    let (mut sent, mut gone, mut sent_before, mut gone_before) = (0, 0, 0, 0);
    let (mut all, mut rest) = (Pool::default(), Pool::default());
    let mut likeness = asked.likeness;
    for one in meant {
        sent += one.tally.sent;
        gone += one.tally.lost();
        if let Some(was) = one.was.filter(|_| one.rest_before.lost.is_none() && !one.rest_before.cut) {
            sent_before += was.sent;
            gone_before += was.lost();
        }
        all.add(f64::from(one.tally.sent), one.all.loss().share, 0.0);
        rest.add(f64::from(one.tally.sent), one.rest.loss().share, 0.0);
        likeness = likeness.max(one.all.loss().likeness);
    }
    let share = f64::from(gone) / f64::from(sent.max(1));
    let was = f64::from(gone_before) / f64::from(sent_before.max(1));
    // Of what would have come back.
    let of_the_rest = |share: f64, was: f64| if was < 1.0 { (1.0 - (1.0 - share) / (1.0 - was)).max(0.0) } else { 0.0 };
    let total = of_the_rest(share, was);
    let shares = Shares {
        all: Share { share: all.mean(), likeness },
        rest: rest.mean(),
        adds: of_the_rest(total, rest.mean()),
        total,
        count: sent,
    };
    shares.finding("lost", asked, named(meant, |other| other.lost.is_some()), question)
}

pub fn doubled(meant: &[Meant], asked: Share, question: Question) -> Finding {
    let (mut answered, mut doubled) = (0, 0);
    let (mut all, mut rest) = (Pool::default(), Pool::default());
    let mut likeness = asked.likeness;
    for one in meant.iter().filter(|one| one.echo) {
        answered += one.tally.answered;
        doubled += one.tally.duplicates;
        all.add(f64::from(one.tally.answered), one.all.twice().share, 0.0);
        rest.add(f64::from(one.tally.answered), one.rest.twice().share, 0.0);
        likeness = likeness.max(one.all.twice().likeness);
    }
    let total = f64::from(doubled) / f64::from(answered.max(1));
    let adds = ((1.0 + total) / (1.0 + rest.mean()) - 1.0).max(0.0);
    let all = Share { share: all.mean(), likeness };
    let shares = Shares { all, rest: rest.mean(), adds, total, count: answered };
    shares.finding("twice", asked, named(meant, |other| other.doubled.is_some()), question)
}

/// Shares of so many: what all should come to, what the rest without ours, what there is, and what of it is ours.
struct Shares {
    all: Share,
    rest: f64,
    total: f64,
    adds: f64,
    count: u32,
}

impl Shares {
    fn finding(&self, what: &'static str, own: Share, others: Vec<String>, question: Question) -> Finding {
        let (count, crowded) = (self.count, !others.is_empty());
        let all = if crowded { self.all } else { own };
        let worth = (f64::from(count) / all.likeness).max(f64::MIN_POSITIVE);
        let error = |share: f64| {
            let share = share.clamp(0.0, 1.0);
            STANDARD_ERRORS * (share * (1.0 - share) / worth).sqrt() + 1.0 / f64::from(count.max(1))
        };
        let fits = |share: f64| (self.total - share).abs() <= error(share) + ROUNDING;
        let would_show = match crowded {
            true => all.share - self.rest > error(all.share),
            false => (1.0 - own.share.clamp(0.0, 1.0)).powf(worth) < CHANCE,
        };
        let outcome = match question {
            _ if count == 0 => Outcome::TooFew,
            Question::IsOver if self.total > self.rest && !fits(self.rest) => Outcome::NotOver,
            Question::IsOver if would_show => Outcome::Over,
            Question::IsOver => Outcome::TooFew,
            Question::Holds if !crowded && self.total == 0.0 => {
                if would_show {
                    Outcome::NoEffect
                } else {
                    Outcome::TooFew
                }
            }
            Question::Holds if fits(all.share) => {
                if crowded && !would_show {
                    Outcome::TooFew
                } else {
                    Outcome::AsAsked
                }
            }
            Question::Holds if crowded && fits(self.rest) => Outcome::NoEffect,
            Question::Holds => Outcome::Differs,
        };
        let text = |share: f64| format!("{} %", percent(share));
        let measured = match count {
            0 => "nothing to count".to_owned(),
            count => format!("{} over {count}", text(if crowded { self.adds } else { self.total })),
        };
        let expected = if question == Question::Holds { all.share } else { self.rest };
        let together = crowded.then(|| Together { with: others, asked: text(expected), measured: text(self.total) });
        Finding { what, asked: format!("{} % {what}", percent(own.share)), measured, together, outcome }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate of three digits")]
pub fn rate(meant: &[Meant], asked: u64, question: Question) -> Finding {
    let text = |bits: f64| format!("{}bit/s", metric(bits));
    let own = asked as f64;
    let finding = |measured, outcome| Finding { what: "rate", asked: text(own), measured, together: None, outcome };
    let bursts = meant.iter().filter_map(|one| Some((one, one.now.burst?)));
    let burst = bursts.into_iter().find(|(_, burst)| burst.answered_bytes > 0 && burst.took_us > 0);
    let Some((one, burst)) = burst else { return finding("no rate".to_owned(), Outcome::TooFew) };
    let bits = burst.answered_bytes as f64 * 8e6 / burst.took_us as f64;
    let measured = format!("{} over {} kB", text(bits), burst.answered_bytes / 1000);
    if let Some(lower) = one.rest.bits_per_second.filter(|other| *other <= asked) {
        let others = named(meant, |other| other.bits_per_second.is_some_and(|bits| bits <= asked)).join(" and ");
        return finding(format!("{measured}, of the {} of {others}", text(lower as f64)), Outcome::Hidden);
    }
    // Whether what others lose on the way would have waited too is unknown.
    let least = own * (1.0 - one.rest.loss().share) * (1.0 - RATE_SHARE);
    let outcome = match (question, bits) {
        (Question::Holds, bits) if bits > own * NO_RATE => Outcome::NoEffect,
        (Question::Holds, bits) if (least..=own * (1.0 + RATE_SHARE)).contains(&bits) => Outcome::AsAsked,
        (Question::Holds, _) => Outcome::Differs,
        (Question::IsOver, bits) if bits > own * NO_RATE => Outcome::Over,
        (Question::IsOver, _) => Outcome::NotOver,
    };
    finding(measured, outcome)
}

/// Of those that others cut off as well nothing is told; `untried` are the addresses that no node has had.
pub fn cut((open, hidden, untried): (&[Meant], &[Meant], usize), rejected: bool, question: Question) -> Finding {
    let answered_before: Vec<&Meant> =
        open.iter().filter(|one| one.before.is_none_or(|before| before.is_reached() || one.rest_before.cut)).collect();
    let silent = open.len() - answered_before.len();
    let still = answered_before.iter().filter(|one| !is_cut(one, rejected)).count();
    let (all, away) = (answered_before.len(), answered_before.len() - still);
    let outcome = match (question, all, still) {
        (_, 0, _) => Outcome::NotMeasured,
        (Question::Holds, _, 0) => Outcome::AsAsked,
        (Question::Holds, _, still) if still == all => Outcome::NoEffect,
        (Question::Holds, ..) => Outcome::Differs,
        (Question::IsOver, _, still) if still == all => Outcome::Over,
        (Question::IsOver, ..) => Outcome::NotOver,
    };
    let meant = open.len() + hidden.len() + untried;
    let asked = format!("{meant} {} out of reach", addresses(meant));
    let mut measured = format!("{away} of {all} out of reach");
    if silent > 0 {
        measured += &format!(", {silent} did not answer before");
    }
    if !hidden.is_empty() {
        let others = named(hidden, hides);
        measured += &format!(", {} cut off by {} too", hidden.len(), others.join(" and "));
    }
    Finding { what: "reach", asked, measured, together: None, outcome }
}

/// Whether it may be why nothing comes back.
pub fn hides(other: &Expected) -> bool {
    other.cut || other.loss().share >= 0.5
}

pub fn addresses(count: usize) -> &'static str {
    if count == 1 { "address" } else { "addresses" }
}

/// Nothing comes back, or a refusal from where there was a connection before.
fn is_cut(one: &Meant, rejected: bool) -> bool {
    let connect = one.now.connect;
    let accepted_before = one.before.is_some_and(|before: &PeerReading| before.connect.accepted() > 0);
    let refused = connect.accepted() == 0 && (accepted_before || rejected);
    (connect.answered == 0 || refused) && one.now.echo.is_none_or(|echo| echo.answered == 0)
}
