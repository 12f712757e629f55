//! netem changed from any parameters into any others, on a kernel that has it: what `tc` prints afterwards must be what it
//! prints of the same parameters made from nothing.

use std::{
    collections::HashMap,
    io::Write as _,
    process::{Command, Stdio},
};

use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use tikv_chaos::chaos::{
    InjectionId,
    network::{
        Beside, Chance, Delay, Distribution, Filter, GilbertElliott, Impairment, Kernel, Loss, NetworkFault, Ppm, Rate,
        Reorder, Shape, compile, parse_qdiscs,
    },
};

use super::{
    netns::{INTERFACE, Pair},
    run,
};

/// Scripts for a guest, each with a node of its own.
pub const FELT: &str = concat!(include_str!("guest-node.sh"), include_str!("netem-felt.sh"));
pub const LEFT_BEHIND: &str = concat!(include_str!("guest-node.sh"), include_str!("netem-recovery.sh"));

/// What such a script said: lines of a name and a text.
pub struct Said<'a>(HashMap<&'a str, &'a str>);

impl<'a> Said<'a> {
    pub fn new(output: &'a str) -> Self {
        Self(output.lines().filter_map(|line| line.split_once(' ')).collect())
    }

    pub fn of(&self, name: &str) -> &'a str {
        self.0.get(name).unwrap_or_else(|| panic!("nothing was said of {name}"))
    }

    pub fn milliseconds(&self, name: &str) -> Vec<u32> {
        self.of(name).split(' ').map(|word| word.parse().unwrap()).collect()
    }

    pub fn assert_contains(&self, name: &str, words: &[&str]) {
        assert!(words.iter().all(|word| self.of(name).contains(word)), "{name}: {}, without {words:?}", self.of(name));
    }

    /// Fails unless the interface had no qdisc but the kernel's own.
    pub fn assert_bare(&self, names: &[&str]) {
        names
            .iter()
            .for_each(|name| assert!(self.of(name).starts_with("qdisc noqueue 0: root"), "{name}: {}", self.of(name)));
    }
}

/// The one that loses nothing, from which a correlation without jitter stayed once.
const IDLE_LOSS: usize = 5;

/// Every attribute with and without a correlation, with nothing to act on, and all of them together.
fn impairments() -> Vec<Impairment> {
    let none = Impairment::default();
    let chance = |share, correlation| Chance { share: Ppm::percent(share), correlation: Ppm::percent(correlation) };
    let delay = |mean_us, jitter_us, correlation, distribution| {
        Some(Delay { mean_us, jitter_us, correlation: Ppm::percent(correlation), distribution })
    };
    let (uniform, normal, pareto) = (Distribution::Uniform, Distribution::Normal, Distribution::Pareto);
    let loss = |share, correlation| Some(Loss::Random(chance(share, correlation)));
    let bursts = |p, bad, good| {
        let [p, r, bad, good] = [p, 20, bad, good].map(Ppm::percent);
        Some(Loss::Bursts(GilbertElliott { p, r, bad, good }))
    };
    let reorder = |share, correlation, gap| Some(Reorder { chance: chance(share, correlation), gap });
    let rate = Some(Rate { bits_per_second: 2_000_000, burst_bytes: 9000 });
    vec![
        none,
        Impairment { delay: delay(1000, 0, 1, uniform), ..none },
        Impairment { delay: delay(10_000, 5000, 25, uniform), ..none },
        Impairment { delay: delay(10_000, 0, 30, pareto), ..none },
        Impairment { delay: delay(10_000, 5000, 0, normal), ..none },
        Impairment { loss: loss(0, 0), ..none },
        Impairment { loss: loss(0, 7), ..none },
        Impairment { loss: loss(30, 10), ..none },
        Impairment { loss: bursts(4, 90, 5), ..none },
        Impairment { loss: bursts(0, 90, 0), ..none },
        Impairment { duplicate: Some(chance(10, 20)), ..none },
        Impairment { duplicate: Some(chance(0, 20)), corrupt: Some(chance(0, 5)), ..none },
        Impairment { corrupt: Some(chance(5, 30)), limit: 7, ..none },
        Impairment { delay: delay(9000, 0, 0, uniform), reorder: reorder(25, 50, 1), ..none },
        Impairment { delay: delay(9000, 3000, 0, uniform), reorder: reorder(40, 0, 5), ..none },
        Impairment { reorder: reorder(25, 50, 3), ..none },
        Impairment { delay: delay(9000, 0, 0, uniform), reorder: reorder(0, 50, 3), ..none },
        Impairment { rate, ..none },
        Impairment {
            delay: delay(20_000, 4000, 40, uniform),
            loss: loss(3, 2),
            duplicate: Some(chance(4, 3)),
            corrupt: Some(chance(6, 5)),
            reorder: reorder(8, 7, 2),
            rate,
            limit: 900,
        },
    ]
}

/// What tc prints of the namespace; of one interface alone it would leave out its name.
fn printed() -> String {
    run("tc", &["-j", "qdisc", "show"])
}

/// Lets tc do what leads from what it printed before to these parameters. Gives what it prints afterwards.
fn apply(before: &str, impairment: Option<Impairment>, filter: &Filter) -> String {
    let shape = |impairment| Shape { impairment, filter: filter.clone(), ..Shape::on(INTERFACE) };
    let fault = impairment.map(|impairment| (InjectionId::from_number(1), NetworkFault::Shape(shape(impairment))));
    let kernel = Kernel { qdiscs: parse_qdiscs(before).unwrap(), ..Kernel::default() };
    for command in compile(&fault.into_iter().collect(), &kernel, &Beside::default()) {
        // The rules that tell packets apart are tested elsewhere.
        if command.program != "tc" {
            continue;
        }
        let mut child = Command::new("tc").args(&command.args).stdin(Stdio::piped()).spawn().unwrap();
        let text = command.stdin.as_deref().unwrap_or_default();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "tc refused {command}");
    }
    printed()
}

/// Which of them are changed into which.
pub enum Changes {
    /// Each into each other one and back.
    All,
    /// In an order from the seed each into the next, the last into the first, and the one whose correlation stayed.
    Round(u64),
}

impl Changes {
    fn among(&self, count: usize) -> Vec<(usize, usize)> {
        match self {
            Self::All => {
                let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other)));
                pairs.flat_map(|(one, other)| [(one, other), (other, one)]).collect()
            }
            Self::Round(seed) => {
                let mut order: Vec<usize> = (0..count).collect();
                order.shuffle(&mut StdRng::seed_from_u64(*seed));
                let next = order.iter().copied().cycle().skip(1);
                order.iter().copied().zip(next).chain((count > IDLE_LOSS).then_some((IDLE_LOSS, 1))).collect()
            }
        }
    }
}

/// From some of them to others, alone on the interface, and of some of them as one class of several.
pub fn changes_end_as_new(changes: &Changes) {
    let pair = Pair::new();
    let all = impairments();
    let some: Vec<Impairment> = all.iter().step_by(3).copied().collect();
    let one_port = Filter { ports: Some([7].into()), ..Filter::default() };
    pair.near.enter(|| {
        let bare = printed();
        for (filter, impairments) in [(Filter::default(), all), (one_port, some)] {
            let new = |impairment: &Impairment| {
                let text = apply(&bare, Some(*impairment), &filter);
                assert_eq!(apply(&text, None, &filter), bare);
                (*impairment, text)
            };
            let new: Vec<(Impairment, String)> = impairments.iter().map(new).collect();
            let mut now = bare.clone();
            for (from, to) in changes.among(new.len()) {
                let (from, (wanted, text)) = (&new[from], &new[to]);
                if now != from.1 {
                    apply(&now, Some(from.0), &filter);
                }
                now = apply(&from.1, Some(*wanted), &filter);
                assert_eq!(&now, text, "{:?} changed into {wanted:?}", from.0);
            }
            apply(&now, None, &filter);
        }
    });
}
