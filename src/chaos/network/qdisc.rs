//! netem on an interface: one root qdisc where everything on it has the same fate, else a `prio` with a netem for each
//! class of packets.
//!
//! The classes of a `prio` are told apart by `CLASSIFY` rules in a chain of ours, which name the band itself: no filter
//! of tc's, and nobody's packet marks, are touched. Band 1 is where everything else goes. What a leaf's distribution is
//! cannot be read from the kernel, so its handle says it; the single root is always a uniform one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Chance, Class, Delay, Distribution, GilbertElliott, Impairment, Loss, Ppm, Shape};
use crate::chaos::Command;

/// The handle of every root qdisc that we make. Docker and systemd leave handles to the kernel, which counts from
/// `8001:`; administrators begin at `1:`.
pub const QDISC_HANDLE: &str = "c4a0:";
pub(super) const QDISC_MAJOR: u16 = 0xc4a0;

/// prio has sixteen, and band 1 is for whatever is in no class.
pub(super) const BANDS: u16 = 16;
pub(super) const FIRST_BAND: u16 = 1;

/// The root qdisc of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootQdisc {
    /// The kernel's own choice, handle `0:`.
    Default,
    /// Made by us.
    Ours(Tree),
    /// Somebody else's; the text names it.
    Foreign(String),
}

/// What of ours stands on an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tree {
    One(Impairment),
    /// By band.
    Bands(#[serde(with = "pairs")] BTreeMap<u16, Impairment>),
}

/// An object's keys are texts, and serde reads no number back from one in what is flattened or tagged inside, as the
/// lines between engine and holder are.
mod pairs {
    use super::{BTreeMap, Deserialize as _, Impairment, Serialize as _};

    pub fn serialize<S: serde::Serializer>(bands: &BTreeMap<u16, Impairment>, to: S) -> Result<S::Ok, S::Error> {
        bands.iter().collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<u16, Impairment>, D::Error> {
        Vec::deserialize(from).map(|pairs| pairs.into_iter().collect())
    }
}

impl Tree {
    /// The tree of an interface's classes, and the class of each band after the first. `None` where there are too many.
    pub(super) fn of(classes: &[&Class]) -> Option<(Self, Vec<(u16, Class)>)> {
        if let [one] = classes
            && one.filter.is_everything()
            && let wanted = effective(one.impairment)
            && wanted.delay.is_none_or(|delay| delay.distribution == Distribution::Uniform)
        {
            return Some((Self::One(wanted), Vec::new()));
        }
        let (everything, some): (Vec<&&Class>, Vec<&&Class>) =
            classes.iter().partition(|class| class.filter.is_everything());
        let rest = everything.into_iter().map(|class| (FIRST_BAND, *class));
        let bands: Vec<(u16, &Class)> = rest.chain((FIRST_BAND + 1..).zip(some.into_iter().copied())).collect();
        if bands.iter().any(|(band, _)| *band > BANDS) {
            return None;
        }
        let tree = bands.iter().map(|(band, class)| (*band, effective(class.impairment))).collect();
        let classified = bands.into_iter().filter(|(band, _)| *band != FIRST_BAND);
        Some((Self::Bands(tree), classified.map(|(band, class)| (band, class.clone())).collect()))
    }

    /// As one fault for everything that leaves: the nearest that can be told from what is there.
    pub(super) fn as_fault(&self, interface: &str) -> Shape {
        let impairment = match self {
            Self::One(impairment) => *impairment,
            Self::Bands(bands) => bands.values().next().copied().unwrap_or_default(),
        };
        Shape { impairment, ..Shape::on(interface) }
    }

    /// tc's lines from `held` to this tree; none where they are alike.
    pub(super) fn lines(&self, interface: &str, held: Option<&Self>) -> Vec<Vec<String>> {
        let root = |verb: &str| words(&["qdisc", verb, "dev", interface, "root", "handle", QDISC_HANDLE]);
        match (self, held) {
            (Self::One(wanted), Some(Self::One(held))) if alike(wanted, held) => Vec::new(),
            (Self::One(wanted), Some(Self::One(held))) => vec![[root("change"), netem(wanted, Some(held))].concat()],
            (Self::Bands(wanted), Some(Self::Bands(held))) => band_lines(interface, wanted, held),
            (wanted, held) => {
                let mut lines = Vec::new();
                if held.is_some() {
                    lines.push(root("del"));
                }
                match wanted {
                    Self::One(wanted) => lines.push([root("add"), netem(wanted, None)].concat()),
                    Self::Bands(wanted) => {
                        let map = vec!["0".to_owned(); usize::from(BANDS)];
                        lines.push([root("add"), words(&["prio", "bands", "16", "priomap"]), map].concat());
                        lines.extend(band_lines(interface, wanted, &BTreeMap::new()));
                    }
                }
                lines
            }
        }
    }
}

/// tc's line that removes whatever of ours is on the interface.
pub(super) fn removal(interface: &str) -> Vec<String> {
    words(&["qdisc", "del", "dev", interface, "root", "handle", QDISC_HANDLE])
}

fn band_lines(
    interface: &str,
    wanted: &BTreeMap<u16, Impairment>,
    held: &BTreeMap<u16, Impairment>,
) -> Vec<Vec<String>> {
    let line = |verb: &str, band: u16, impairment: &Impairment| {
        let (parent, handle) = (format!("{QDISC_HANDLE}{band:x}"), leaf_handle(band, impairment));
        words(&["qdisc", verb, "dev", interface, "parent", &parent, "handle", &handle])
    };
    let changed = wanted.iter().filter_map(|(band, wanted)| match held.get(band) {
        None => Some([line("add", *band, wanted), netem(wanted, None)].concat()),
        Some(held) if leaf_handle(*band, held) != leaf_handle(*band, wanted) => {
            Some([line("replace", *band, wanted), netem(wanted, None)].concat())
        }
        Some(held) if alike(wanted, held) => None,
        Some(held) => Some([line("change", *band, wanted), netem(wanted, Some(held))].concat()),
    });
    let gone = held.iter().filter(|(band, _)| !wanted.contains_key(band));
    changed.chain(gone.map(|(band, held)| line("del", *band, held))).collect()
}

/// One command where that is enough, else one that reads its lines, so that nothing happens in between.
pub(super) fn command(lines: Vec<Vec<String>>) -> Option<Command> {
    match <[Vec<String>; 1]>::try_from(lines) {
        Ok([line]) => Some(Command::new("tc", line)),
        Err(lines) if lines.is_empty() => None,
        Err(lines) => {
            let text = lines.iter().map(|line| line.join(" ") + "\n").collect();
            Some(Command::new("tc", ["-batch", "-"]).with_stdin(text))
        }
    }
}

/// `c4a2:` is band 2 with a uniform distribution, `c4c2:` a normal one, `c4e2:` Pareto's.
fn leaf_handle(band: u16, impairment: &Impairment) -> String {
    let distribution = impairment.delay.map_or(Distribution::Uniform, |delay| delay.distribution);
    let above = match distribution {
        Distribution::Uniform => 0,
        Distribution::Normal => 0x20,
        Distribution::Pareto => 0x40,
    };
    format!("{:x}:", QDISC_MAJOR + above + band)
}

/// The band and the distribution that a leaf's handle says, if it is one of ours.
pub(super) fn read_leaf(handle: &str) -> Option<(u16, Distribution)> {
    let number = u16::from_str_radix(handle.strip_suffix(':')?, 16).ok()?.checked_sub(QDISC_MAJOR)?;
    let distribution = match number >> 5 {
        0 => Distribution::Uniform,
        1 => Distribution::Normal,
        2 => Distribution::Pareto,
        _ => return None,
    };
    let band = number & 0x1f;
    (FIRST_BAND..=BANDS).contains(&band).then_some((band, distribution))
}

/// netem's words. Over something that is held, everything is said that either has: what is left out stays as it was
/// (`netem_change` in the kernel's `sch_netem.c`). The correlations of delay, loss and duplicates are one attribute, which tc
/// sends only where that of delay or loss is said, and not for that of duplicates (`netem_parse_opt` in iproute2's
/// `q_netem.c`): so that of delay is said whenever another counts.
fn netem(wanted: &Impairment, held: Option<&Impairment>) -> Vec<String> {
    let was = held.copied().unwrap_or_default();
    let whole = held.is_some();
    let mut words = vec!["netem".to_owned()];
    let mut say = |texts: &[&str]| words.extend(texts.iter().map(|text| (*text).to_owned()));
    let chance =
        |chance: Option<Chance>| chance.unwrap_or(Chance { share: Ppm::default(), correlation: Ppm::default() });
    let correlated = whole || wanted.duplicate.is_some_and(|duplicate| duplicate.correlation != Ppm::NONE);
    if wanted.delay.is_some() || correlated {
        let delay = wanted.delay.unwrap_or(NO_DELAY);
        say(&["delay", &milliseconds(delay.mean_us)]);
        if delay.jitter_us > 0 || correlated {
            say(&[&milliseconds(delay.jitter_us)]);
            if delay.correlation != Ppm::default() || correlated {
                say(&[&percent(delay.correlation)]);
            }
        }
        match delay.distribution {
            Distribution::Normal if delay.jitter_us > 0 => say(&["distribution", "normal"]),
            Distribution::Pareto if delay.jitter_us > 0 => say(&["distribution", "pareto"]),
            _ => {}
        }
    }
    match wanted.loss {
        Some(Loss::Bursts(GilbertElliott { p, r, bad, good })) => {
            say(&["loss", "gemodel", &percent(p), &percent(r), &percent(bad), &percent(good)]);
        }
        Some(Loss::Random(one)) => say_chance(&mut say, "loss", one, whole),
        None if was.loss.is_some() => say_chance(&mut say, "loss", chance(None), true),
        None => {}
    }
    for (word, wanted, was) in
        [("duplicate", wanted.duplicate, was.duplicate), ("corrupt", wanted.corrupt, was.corrupt)]
    {
        if wanted.is_some() || was.is_some() {
            say_chance(&mut say, word, chance(wanted), whole);
        }
    }
    match wanted.reorder {
        Some(reorder) => {
            say_chance(&mut say, "reorder", reorder.chance, whole);
            say(&["gap", &reorder.gap.to_string()]);
        }
        None if was.reorder.is_some() => say_chance(&mut say, "reorder", chance(None), true),
        None => {}
    }
    if wanted.rate.is_some() || was.rate.is_some() {
        say(&["rate", &format!("{}bit", wanted.rate.map_or(0, |rate| rate.bits_per_second))]);
    }
    say(&["limit", &wanted.limit().to_string()]);
    words
}

const NO_DELAY: Delay = Delay { mean_us: 0, jitter_us: 0, correlation: Ppm::NONE, distribution: Distribution::Uniform };

fn say_chance(say: &mut impl FnMut(&[&str]), word: &str, chance: Chance, whole: bool) {
    say(&[word, &percent(chance.share)]);
    if chance.correlation != Ppm::default() || whole {
        say(&[&percent(chance.correlation)]);
    }
}

fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// `100ms`, `0.5ms`: as in the contract, and never in an exponent.
fn milliseconds(micros: u64) -> String {
    thousandths(micros, 1000) + "ms"
}

fn percent(share: Ppm) -> String {
    thousandths(u64::from(share.parts()), 10_000) + "%"
}

fn thousandths(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    format!("{whole}.{rest:0digits$}").trim_end_matches('0').to_owned()
}

/// As the kernel shows it: without what is zero.
pub(super) fn shown(impairment: Impairment) -> Impairment {
    let chance = |chance: &Chance| chance.share != Ppm::default();
    Impairment {
        delay: impairment.delay.filter(|delay| delay.mean_us > 0 || delay.jitter_us > 0),
        loss: impairment.loss.filter(|loss| !matches!(loss, Loss::Random(one) if !chance(one))),
        duplicate: impairment.duplicate.filter(chance),
        corrupt: impairment.corrupt.filter(chance),
        reorder: impairment.reorder.filter(|reorder| chance(&reorder.chance)),
        // The burst is the shaper's.
        rate: impairment.rate.map(|rate| super::Rate { burst_bytes: 0, ..rate }),
        limit: impairment.limit(),
    }
}

/// Without parameters that have nothing to act on: a correlation and a distribution without jitter, an order without a delay
/// that others could overtake, bursts that lose nothing. The kernel would keep them unseen until something else is changed,
/// and tc refuses some of them.
pub(super) fn effective(impairment: Impairment) -> Impairment {
    let shown = shown(impairment);
    let delay = shown.delay.map(|delay| match delay.jitter_us {
        0 => Delay { correlation: Ppm::NONE, distribution: Distribution::Uniform, ..delay },
        _ => delay,
    });
    let bursts = |model: &GilbertElliott| {
        let bad = model.p != Ppm::NONE && model.bad != Ppm::NONE;
        bad || model.good != Ppm::NONE
    };
    Impairment {
        delay,
        loss: shown.loss.filter(|loss| !matches!(loss, Loss::Bursts(model) if !bursts(model))),
        reorder: shown.reorder.filter(|_| delay.is_some_and(|delay| delay.mean_us > 0)),
        ..shown
    }
}

/// Whether the kernel shows what is wanted: tc prints six digits.
fn alike(wanted: &Impairment, held: &Impairment) -> bool {
    fn both<T>(one: Option<T>, two: Option<T>, alike: impl FnOnce(T, T) -> bool) -> bool {
        match (one, two) {
            (Some(one), Some(two)) => alike(one, two),
            (None, None) => true,
            _ => false,
        }
    }
    let near = |one: u64, two: u64| one.abs_diff(two) <= one.max(two) / 50_000 + 1;
    let same = |one: Ppm, two: Ppm| near(one.parts().into(), two.parts().into());
    let chance = |one: Chance, two: Chance| same(one.share, two.share) && same(one.correlation, two.correlation);
    let delay = |one: Delay, two: Delay| {
        near(one.mean_us, two.mean_us) && near(one.jitter_us, two.jitter_us) && same(one.correlation, two.correlation)
    };
    let loss = |one: Loss, two: Loss| match (one, two) {
        (Loss::Random(one), Loss::Random(two)) => chance(one, two),
        (Loss::Bursts(one), Loss::Bursts(two)) => {
            same(one.p, two.p) && same(one.r, two.r) && same(one.bad, two.bad) && same(one.good, two.good)
        }
        _ => false,
    };
    both(wanted.delay, held.delay, delay)
        && both(wanted.loss, held.loss, loss)
        && both(wanted.duplicate, held.duplicate, chance)
        && both(wanted.corrupt, held.corrupt, chance)
        && both(wanted.reorder, held.reorder, |one, two| one.gap == two.gap && chance(one.chance, two.chance))
        && both(wanted.rate, held.rate, |one, two| near(one.bits_per_second, two.bits_per_second))
        && wanted.limit() == held.limit()
}
