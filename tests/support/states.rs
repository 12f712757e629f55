//! What the kernel holds in a namespace, as its own tools print it, and random sequences of faults that must not be seen
//! in it: neither in what holds at their end, nor, once all are gone, at all. The reader shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tikv_chaos::chaos::{
    InjectionId,
    network::{
        Chance, Cut, Delay, Direction, Distribution, Filter, GilbertElliott, Impairment, Loss, NetworkFault, Ppm, Rate,
        Reorder, Shape, Via,
    },
};

use super::{
    holder::Holder,
    netns::{INTERFACE, Pair, Place},
    run, try_run,
};

/// Everything that the tools print of the namespace, without the time of day and what packets have counted.
pub fn printed(place: &Place) -> String {
    place.enter(|| {
        let mut text = run("tc", &["qdisc", "show"]);
        for what in ["class", "filter"] {
            text += &run("tc", &[what, "show", "dev", INTERFACE]);
        }
        for tool in ["iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save"] {
            let (done, said) = try_run(tool, &[]);
            text += &format!("{tool}\n{}", if done { said } else { String::new() });
        }
        let (done, ruleset) = try_run("nft", &["list", "ruleset"]);
        text += if done { &ruleset } else { "" };
        uncounted(&text)
    })
}

fn uncounted(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        let mut words: Vec<&str> = line.split(' ').collect();
        for at in 0..words.len() {
            let follows = |word: &str| at > 0 && words[at - 1] == word;
            if words[at].starts_with('[') && words[at].ends_with(']') && line.starts_with(':') {
                words[at] = "[]";
            } else if follows("packets") || follows("bytes") {
                words[at] = "N";
            }
        }
        lines += &(words.join(" ") + "\n");
    }
    lines
}

/// What of it does not depend on the order in which chains and qdiscs were made: nft lists them so.
fn unordered(place: &Place) -> String {
    let text = printed(place);
    let mut qdiscs: Vec<&str> = text.lines().take_while(|line| !line.ends_with("-save")).collect();
    qdiscs.sort_unstable();
    let rules = text.lines().skip(qdiscs.len()).take_while(|line| !line.starts_with("table ip"));
    qdiscs.iter().copied().chain(rules).collect::<Vec<_>>().join("\n")
}

/// What there is to choose from.
struct Pool {
    rng: StdRng,
    vias: Vec<Via>,
}

impl Pool {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.rng).unwrap()
    }

    fn percent(&mut self) -> Ppm {
        Ppm::percent(self.rng.random_range(1..100))
    }

    fn chance(&mut self) -> Chance {
        let share = self.percent();
        Chance { share, correlation: if self.rng.random() { self.percent() } else { Ppm::default() } }
    }

    fn peers(&mut self) -> BTreeSet<std::net::IpAddr> {
        let all = ["10.77.0.2", "10.77.0.3", "10.77.0.4", "fd77::2", "fd77::3", "fe80::77"];
        (0..self.rng.random_range(1..3)).map(|_| self.one(&all).parse().unwrap()).collect()
    }

    fn ends(&mut self) -> BTreeSet<std::net::SocketAddr> {
        let all = ["10.77.0.1:20161", "10.77.0.1:2379", "[fd77::1]:20161"];
        (0..self.rng.random_range(0..3)).map(|_| self.one(&all).parse().unwrap()).collect()
    }

    fn filter(&mut self) -> Filter {
        match self.rng.random_range(0..6) {
            0 | 1 => Filter::default(),
            2 => Filter { peers: Some(self.peers()), ..Filter::default() },
            4 => Filter { peers: Some(self.peers()), ends: self.ends(), ..Filter::default() },
            3 => Filter { ports: Some([self.one(&[2379, 2380, 20_160])].into()), ..Filter::default() },
            _ => Filter { except_peers: self.peers(), except_ports: [20_180].into(), ..Filter::default() },
        }
    }

    fn impairment(&mut self) -> Impairment {
        let none = Impairment::default();
        let jitter_us = self.rng.random_range(0..9) * 1000;
        let distribution = self.one(&[Distribution::Uniform, Distribution::Normal, Distribution::Pareto]);
        let mean_us = jitter_us + self.rng.random_range(1..50) * 1000;
        let delay = Some(Delay { mean_us, jitter_us, correlation: Ppm::default(), distribution });
        match self.rng.random_range(0..6) {
            0 | 1 => Impairment { delay, ..none },
            2 => Impairment { loss: Some(Loss::Random(self.chance())), ..none },
            3 => {
                let (p, r, bad) = (self.percent(), self.percent(), self.percent());
                Impairment { loss: Some(Loss::Bursts(GilbertElliott { p, r, bad, good: Ppm::default() })), ..none }
            }
            4 => Impairment { delay, reorder: Some(Reorder { chance: self.chance(), gap: self.one(&[1, 3]) }), ..none },
            _ => {
                let bits_per_second = self.rng.random_range(1..90) * 100_000;
                Impairment { rate: Some(Rate { bits_per_second, burst_bytes: 9000 }), ..none }
            }
        }
    }

    fn fault(&mut self) -> NetworkFault {
        let direction = self.one(&[Direction::Out, Direction::In, Direction::Both]);
        if self.rng.random_range(0..3) == 0 {
            return NetworkFault::Drop(Cut {
                ips: self.peers().into_iter().collect(),
                ends: self.ends().into_iter().collect(),
                direction,
                reject: self.rng.random(),
            });
        }
        let vias = self.vias.clone();
        let via = self.one(&vias);
        let direction = if via == Via::Netem { Direction::Out } else { direction };
        let (filter, impairment) = (self.filter(), self.impairment());
        NetworkFault::Shape(Shape { via, direction, filter, impairment, ..Shape::on(INTERFACE) })
    }
}

/// In which flavour and by which means faults can be made here: iptables-legacy keeps a table that it has used, so there
/// the kernel before is one whose tables have been used.
fn means(pair: &Pair) -> (bool, Vec<Via>) {
    pair.far.enter(|| {
        let nft = ["iptables-nft", "ip6tables-nft"].iter().all(|tool| try_run(tool, &["-N", "PROBE"]).0);
        let netem = try_run("tc", &["qdisc", "add", "dev", INTERFACE, "root", "netem", "delay", "1ms"]).0;
        (nft, if netem { vec![Via::Netem, Via::Netem, Via::Shaper] } else { vec![Via::Shaper] })
    })
}

pub fn use_legacy_tables(place: &Place) {
    place.enter(|| {
        for tool in ["iptables-legacy", "ip6tables-legacy"] {
            ["filter", "mangle"].iter().for_each(|table| drop(run(tool, &["-t", table, "-S"])));
        }
    });
}

/// What somebody else may have there already; none of it is ours to change.
const FOREIGN: [&[&str]; 4] = [
    &[],
    &["-t", "mangle", "-N", "FOREIGN"],
    &["-A", "INPUT", "-s", "10.9.9.9", "-j", "ACCEPT"],
    &["-P", "OUTPUT", "ACCEPT"],
];

/// So many random sequences of faults that are made, changed and ended, each against its final set made from nothing; and
/// after each everything is as it was.
pub fn any_sequence(sequences: u32) {
    if !super::netns::is_here() {
        return;
    }
    let seed = super::seed();
    let (nft, vias) = means(&Pair::new());
    let mut pool = Pool { rng: StdRng::seed_from_u64(seed), vias };
    for sequence in 0..sequences {
        let (pair, fresh) = (Pair::new(), Pair::new());
        let foreign = pool.one(&FOREIGN);
        for place in [&pair.near, &fresh.near] {
            if !nft {
                use_legacy_tables(place);
            }
            if !foreign.is_empty() {
                let tool = if nft { "iptables-nft" } else { "iptables-legacy" };
                place.enter(|| run(tool, foreign));
            }
        }
        let before = printed(&pair.near);
        let (mut holder, mut wanted) = (Holder::beside(&pair.near), BTreeMap::<InjectionId, NetworkFault>::new());
        let mut story = format!("TIKV_CHAOS_SEED={seed}, sequence {sequence}, beside {foreign:?}\n");
        for _ in 0..pool.rng.random_range(2..9) {
            let id = InjectionId::from_number(pool.rng.random_range(0..4));
            match wanted.get(&id) {
                Some(fault) if pool.rng.random_range(0..3) == 0 => {
                    story += &format!("end {id}\n");
                    holder.remove(&id, fault);
                    wanted.remove(&id);
                }
                _ => {
                    let fault = pool.fault();
                    let made = holder.add(&id, &fault);
                    story += &format!("make {id}: {fault:?}: {made:?}\n");
                    if made.is_ok() {
                        wanted.insert(id, fault);
                    }
                }
            }
        }
        let mut anew = Holder::beside(&fresh.near);
        wanted.iter().for_each(|(id, fault)| anew.add(id, fault).unwrap_or_else(|error| panic!("{story}{error}")));
        let (after, expected) = (unordered(&pair.near), unordered(&fresh.near));
        assert_eq!(after, expected, "{story}");
        wanted.iter().for_each(|(id, fault)| holder.remove(id, fault));
        assert_eq!(printed(&pair.near), before, "{story}");
    }
}
