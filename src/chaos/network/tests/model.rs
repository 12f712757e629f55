//! A model of what the kernel and its tools make of our commands, from their own sources: it keeps what `tc qdisc change` does
//! not say, and refuses what tc refuses.

use std::ops::{Deref, DerefMut};

use super::super::{
    chains,
    qdisc::{self, shown},
};
use super::*;

/// The kernel as we read it, and what its netems hold that is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    kernel: Kernel,
    /// By interface and band; 0 is the root.
    netems: BTreeMap<(String, u16), Netem>,
}

impl From<Kernel> for Model {
    fn from(kernel: Kernel) -> Self {
        Self { kernel, netems: BTreeMap::new() }
    }
}

impl Deref for Model {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl DerefMut for Model {
    fn deref_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }
}

/// `netem_sched_data` in the kernel's `sch_netem.c`, as far as we set it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Netem {
    mean_us: u64,
    jitter_us: u64,
    loss: Ppm,
    duplicate: Ppm,
    gap: u32,
    limit: u32,
    /// Of delay, loss and duplicates, which are sent together or not at all.
    correlations: [Ppm; 3],
    reorder: (Ppm, Ppm),
    corrupt: (Ppm, Ppm),
    bits_per_second: u64,
    bursts: Option<GilbertElliott>,
    distribution: Option<String>,
}

impl Netem {
    /// `netem_change` with what `netem_parse_opt` of iproute2 makes of the words.
    fn say(&mut self, words: &[&str]) {
        let mut words = words.iter().copied().peekable();
        let ms = |text: &str| (text.strip_suffix("ms").unwrap().parse::<f64>().unwrap() * 1000.0).round() as u64;
        let ppm =
            |text: &str| Ppm::new((text.strip_suffix('%').unwrap().parse::<f64>().unwrap() * 10_000.0).round() as u32);
        let percent = |words: &mut std::iter::Peekable<_>| words.next_if(|word: &&str| word.ends_with('%')).map(ppm);
        // The structure that is always sent, and the attributes that are sent where a word is said.
        let (mut now, mut correlations, mut sent) = (Self::default(), [Ppm::NONE; 3], false);
        let (mut reorder, mut corrupt, mut rate) = (None, None, None);
        let mut correlation = |of: usize, words: &mut _| {
            let said = percent(words);
            // tc forgets to send them for the correlation of duplicates alone.
            sent |= said.is_some() && of < 2;
            correlations[of] = said.unwrap_or(correlations[of]);
        };
        while let Some(word) = words.next() {
            match word {
                "delay" => {
                    now.mean_us = ms(words.next().unwrap());
                    if let Some(jitter) = words.next_if(|word| word.ends_with("ms")) {
                        now.jitter_us = ms(jitter);
                        correlation(0, &mut words);
                    }
                    if words.next_if_eq(&"distribution").is_some() {
                        now.distribution = words.next().map(str::to_owned);
                    }
                }
                "loss" if words.next_if_eq(&"gemodel").is_some() => {
                    let [p, r, bad, good] = [(); 4].map(|()| percent(&mut words).unwrap());
                    now.bursts = Some(GilbertElliott { p, r, bad, good });
                }
                "loss" => {
                    now.loss = percent(&mut words).unwrap();
                    correlation(1, &mut words);
                }
                "duplicate" => {
                    now.duplicate = percent(&mut words).unwrap();
                    correlation(2, &mut words);
                }
                "corrupt" => corrupt = Some((percent(&mut words).unwrap(), percent(&mut words).unwrap_or_default())),
                "reorder" => reorder = Some((percent(&mut words).unwrap(), percent(&mut words).unwrap_or_default())),
                "gap" => now.gap = words.next().unwrap().parse().unwrap(),
                "rate" => rate = Some(words.next().unwrap().strip_suffix("bit").unwrap().parse().unwrap()),
                "limit" => now.limit = words.next().unwrap().parse().unwrap(),
                other => panic!("netem would refuse {other:?}"),
            }
        }
        match reorder {
            Some((share, _)) if share != Ppm::NONE => {
                assert!(now.mean_us > 0, "tc: reordering not possible without specifying some delay");
                now.gap = now.gap.max(1);
            }
            _ => assert_eq!(now.gap, 0, "tc: gap specified without reorder probability"),
        }
        let distributed = now.distribution.is_none() || (now.mean_us > 0 && now.jitter_us > 0);
        assert!(distributed, "tc: distribution specified but no latency and jitter values");
        *self = Self {
            correlations: if sent { correlations } else { self.correlations },
            reorder: reorder.unwrap_or(self.reorder),
            corrupt: corrupt.unwrap_or(self.corrupt),
            bits_per_second: rate.unwrap_or(self.bits_per_second),
            distribution: now.distribution.take().or_else(|| self.distribution.take()),
            ..now
        };
    }

    /// As tc prints it and we read it.
    fn shown(&self, distribution: Distribution) -> Impairment {
        let [of_delay, of_loss, of_duplicate] = self.correlations;
        let delay = Delay { mean_us: self.mean_us, jitter_us: self.jitter_us, correlation: of_delay, distribution };
        let random = Loss::Random(Chance { share: self.loss, correlation: of_loss });
        let chance = |(share, correlation)| Chance { share, correlation };
        shown(Impairment {
            delay: Some(delay),
            loss: Some(self.bursts.map_or(random, Loss::Bursts)),
            duplicate: Some(chance((self.duplicate, of_duplicate))),
            corrupt: Some(chance(self.corrupt)),
            reorder: Some(Reorder { chance: chance(self.reorder), gap: self.gap }),
            rate: (self.bits_per_second > 0).then_some(Rate { bits_per_second: self.bits_per_second, burst_bytes: 0 }),
            limit: self.limit,
        })
    }
}

/// What `tc` and `iptables-restore --noflush` would do with the commands.
pub fn run(commands: &[Command], model: &mut Model) {
    for command in commands {
        let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
        let stdin = command.stdin.as_deref();
        match command.program.as_str() {
            "tc" if args == ["-batch", "-"] => {
                stdin.unwrap().lines().for_each(|line| model.run_tc(&line.split(' ').collect::<Vec<_>>()));
            }
            "tc" => model.run_tc(&args),
            "iptables-nft-restore" => run_restore(stdin.unwrap(), &mut model.v4),
            "ip6tables-nft-restore" => run_restore(stdin.unwrap(), &mut model.v6),
            other => panic!("unknown program {other}"),
        }
    }
}

impl Model {
    fn run_tc(&mut self, args: &[&str]) {
        let [_, verb, "dev", interface, place @ ..] = args else { panic!("{args:?}") };
        let Self { kernel, netems } = self;
        let held = kernel.qdiscs.get_mut(*interface).expect("tc names an interface that is there");
        let at = |band: u16| ((*interface).to_owned(), band);
        match (*verb, place, &mut *held) {
            ("add", ["root", "handle", "c4a0:", "prio", "bands", "16", "priomap", map @ ..], RootQdisc::Default) => {
                assert_eq!(map, ["0"; 16]);
                *held = RootQdisc::Ours(Tree::Bands([].into()));
            }
            ("add", ["root", "handle", "c4a0:", "netem", words @ ..], RootQdisc::Default) => {
                let netem = netems.entry(at(0)).or_default();
                netem.say(words);
                *held = RootQdisc::Ours(Tree::One(netem.shown(Distribution::Uniform)));
            }
            ("change", ["root", "handle", "c4a0:", "netem", words @ ..], RootQdisc::Ours(Tree::One(one))) => {
                let netem = netems.get_mut(&at(0)).unwrap();
                netem.say(words);
                *one = netem.shown(Distribution::Uniform);
            }
            ("del", ["root", "handle", "c4a0:"], RootQdisc::Ours(_)) => {
                netems.retain(|(of, _), _| of != interface);
                *held = RootQdisc::Default;
            }
            (verb, ["parent", parent, "handle", handle, rest @ ..], RootQdisc::Ours(Tree::Bands(bands))) => {
                let band = u16::from_str_radix(parent.strip_prefix("c4a0:").unwrap(), 16).unwrap();
                let (of, distribution) = qdisc::read_leaf(handle).unwrap();
                assert_eq!(of, band);
                match (verb, rest) {
                    ("add" | "replace", ["netem", words @ ..]) => {
                        let before = netems.insert(at(band), Netem::default());
                        assert_eq!(before.is_some(), verb == "replace", "{args:?}");
                        netems.get_mut(&at(band)).unwrap().say(words);
                    }
                    ("change", ["netem", words @ ..]) => netems.get_mut(&at(band)).unwrap().say(words),
                    ("del", []) => drop(netems.remove(&at(band)).expect("a leaf that is there")),
                    other => panic!("tc would refuse {other:?}"),
                }
                match netems.get(&at(band)) {
                    Some(netem) => drop(bands.insert(band, netem.shown(distribution))),
                    None => drop(bands.remove(&band)),
                }
            }
            other => panic!("tc would refuse {other:?}"),
        }
    }
}

fn run_restore(text: &str, tables: &mut Tables) {
    let mut chains = &mut Chains::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["*filter"] => chains = &mut tables.filter,
            ["*mangle"] => chains = &mut tables.mangle,
            ["COMMIT"] => {}
            [name, "-", "[0:0]"] => chains.entry(name[1..].to_owned()).or_default().rules.clear(),
            ["-A", name, ..] => {
                let rule = line.splitn(3, ' ').nth(2).unwrap();
                let target = words.iter().position(|word| *word == "-j").map(|at| words[at + 1]).unwrap();
                assert!(!target.starts_with(CHAIN_PREFIX) || chains.contains_key(target), "no chain {target}");
                chains.get_mut(name).expect("rule in a chain that is there").rules.push(rule.to_owned());
            }
            ["-I", hook, "1", "-j", name] => {
                move_jumps(chains, hook, |at| at + 1);
                chains.get_mut(name).unwrap().jumps.insert(0, 0);
            }
            ["-D", hook, "-j", name] => {
                let gone = chains.get_mut(name).unwrap().jumps.remove(0);
                move_jumps(chains, hook, |at| if at > gone { at - 1 } else { at });
            }
            ["-F", name] => chains.get_mut(name).unwrap().rules.clear(),
            ["-X", name] => {
                let chain = chains.remove(name).unwrap();
                assert!(chain.jumps.is_empty() && chain.rules.is_empty(), "iptables removes only empty, unused chains");
                let used =
                    chains.values().flat_map(|chain| &chain.rules).any(|rule| rule.ends_with(&format!("-j {name}")));
                assert!(!used, "{name} is used");
            }
            _ => panic!("iptables-restore would refuse {line:?}"),
        }
    }
}

fn move_jumps(chains: &mut Chains, hook: &str, place: impl Fn(usize) -> usize) {
    let of_hook = |name: &str| chains::place(name).unwrap().1 == Some(hook);
    let jumps = chains.iter_mut().filter(|(name, _)| of_hook(name)).flat_map(|(_, chain)| &mut chain.jumps);
    jumps.for_each(|at| *at = place(*at));
}
