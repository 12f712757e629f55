//! Unit tests on real output of the tools, and a property: whatever set of faults is compiled, changed and removed again,
//! a model of the kernel ends as if the final set had been built from nothing, and with nothing as it began.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::chaos::Command;

fn id(number: u32) -> InjectionId {
    InjectionId::from_number(number)
}

fn bare_kernel() -> Kernel {
    let qdiscs = ["eth0", "eth1", "lo"].map(|name| (name.to_owned(), RootQdisc::Default));
    Kernel { qdiscs: qdiscs.into(), ..Kernel::default() }
}

fn commands(faults: &NetworkFaults, kernel: &Kernel) -> Vec<Command> {
    compile(faults, kernel, &Beside::default())
}

/// A second, independent reading of the commands: what `tc` and `iptables-restore --noflush` would do with them.
fn run(commands: &[Command], kernel: &mut Kernel) {
    for command in commands {
        let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
        let stdin = command.stdin.as_deref();
        match command.program.as_str() {
            "tc" if args == ["-batch", "-"] => {
                stdin.unwrap().lines().for_each(|line| run_tc(&line.split(' ').collect::<Vec<_>>(), kernel));
            }
            "tc" => run_tc(&args, kernel),
            "iptables-nft-restore" => run_restore(stdin.unwrap(), &mut kernel.v4),
            "ip6tables-nft-restore" => run_restore(stdin.unwrap(), &mut kernel.v6),
            other => panic!("unknown program {other}"),
        }
    }
}

fn run_tc(args: &[&str], kernel: &mut Kernel) {
    let [_, verb, "dev", interface, place @ ..] = args else { panic!("{args:?}") };
    let held = kernel.qdiscs.get_mut(*interface).expect("tc names an interface that is there");
    match (*verb, place, &mut *held) {
        ("add", ["root", "handle", "c4a0:", "prio", "bands", "16", "priomap", map @ ..], RootQdisc::Default) => {
            assert_eq!(map, ["0"; 16]);
            *held = RootQdisc::Ours(Tree::Bands([].into()));
        }
        ("add", ["root", "handle", "c4a0:", "netem", words @ ..], RootQdisc::Default) => {
            *held = RootQdisc::Ours(Tree::One(read_netem(words, Impairment::default())));
        }
        ("change", ["root", "handle", "c4a0:", "netem", words @ ..], RootQdisc::Ours(Tree::One(one))) => {
            *one = read_netem(words, *one);
        }
        ("del", ["root", "handle", "c4a0:"], RootQdisc::Ours(_)) => *held = RootQdisc::Default,
        (verb, ["parent", parent, "handle", handle, rest @ ..], RootQdisc::Ours(Tree::Bands(bands))) => {
            let band = u16::from_str_radix(parent.strip_prefix("c4a0:").unwrap(), 16).unwrap();
            let number = u16::from_str_radix(handle.strip_suffix(':').unwrap(), 16).unwrap();
            let distribution = [Distribution::Uniform, Distribution::Normal, Distribution::Pareto]
                [usize::from((number - 0xc4a0) / 0x20)];
            assert_eq!((number - 0xc4a0) % 0x20, band);
            let named = |impairment: Impairment| Impairment {
                delay: impairment.delay.map(|delay| Delay { distribution, ..delay }),
                ..impairment
            };
            match (verb, rest) {
                ("add", ["netem", words @ ..]) => {
                    let before = bands.insert(band, named(read_netem(words, Impairment::default())));
                    assert_eq!(before, None, "there is a leaf already");
                }
                ("replace", ["netem", words @ ..]) => {
                    bands.insert(band, named(read_netem(words, Impairment::default())));
                }
                ("change", ["netem", words @ ..]) => {
                    let changed = named(read_netem(words, bands[&band]));
                    bands.insert(band, changed);
                }
                ("del", []) => drop(bands.remove(&band).expect("a leaf that is there")),
                other => panic!("tc would refuse {other:?}"),
            }
        }
        other => panic!("tc would refuse {other:?}"),
    }
}

/// What netem makes of its words over what it did before: the kernel keeps most of what is not said.
fn read_netem(words: &[&str], before: Impairment) -> Impairment {
    let mut words = words.iter().copied().peekable();
    let ms = |text: &str| (text.strip_suffix("ms").unwrap().parse::<f64>().unwrap() * 1000.0).round() as u64;
    let ppm =
        |text: &str| Ppm::new((text.strip_suffix('%').unwrap().parse::<f64>().unwrap() * 10_000.0).round() as u32);
    // Delay, loss and duplicates are in the structure that is always sent; the others only when they are said.
    let mut now = Impairment { delay: None, loss: None, duplicate: None, ..before };
    while let Some(word) = words.next() {
        let percent = |words: &mut std::iter::Peekable<_>| words.next_if(|word: &&str| word.ends_with('%')).map(ppm);
        let chance =
            |words: &mut _| Chance { share: percent(words).unwrap(), correlation: percent(words).unwrap_or_default() };
        match word {
            "delay" => {
                let mean_us = ms(words.next().unwrap());
                let jitter_us = words.next_if(|word| word.ends_with("ms")).map_or(0, ms);
                let correlation = percent(&mut words).unwrap_or_default();
                if words.next_if_eq(&"distribution").is_some() {
                    words.next().unwrap();
                }
                now.delay = Some(Delay { mean_us, jitter_us, correlation, distribution: Distribution::Uniform });
            }
            "loss" if words.next_if_eq(&"gemodel").is_some() => {
                let [p, r, bad, good] = [(); 4].map(|()| percent(&mut words).unwrap());
                now.loss = Some(Loss::Bursts(GilbertElliott { p, r, bad, good }));
            }
            "loss" => now.loss = Some(Loss::Random(chance(&mut words))),
            "duplicate" => now.duplicate = Some(chance(&mut words)),
            "corrupt" => now.corrupt = Some(chance(&mut words)),
            "reorder" => {
                let chance = chance(&mut words);
                let gap = words.next_if_eq(&"gap").map_or(1, |_| words.next().unwrap().parse().unwrap());
                now.reorder = Some(Reorder { chance, gap });
            }
            "rate" => {
                let bits_per_second = words.next().unwrap().strip_suffix("bit").unwrap().parse().unwrap();
                now.rate = (bits_per_second > 0).then_some(Rate { bits_per_second, burst_bytes: 0 });
            }
            "limit" => now.limit = words.next().unwrap().parse().unwrap(),
            other => panic!("netem would refuse {other:?}"),
        }
    }
    // As it is printed: what does nothing is left out.
    super::qdisc::normal(now)
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
    let of_hook = |name: &str| super::chains::place(name).unwrap().1 == Some(hook);
    let jumps = chains.iter_mut().filter(|(name, _)| of_hook(name)).flat_map(|(_, chain)| &mut chain.jumps);
    jumps.for_each(|at| *at = place(*at));
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    // Few, so that filters meet.
    prop_oneof![
        (1u8..5).prop_map(|last| IpAddr::from([10, 0, 0, last])),
        (1u16..4).prop_map(|last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]))
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let peers = prop::option::of(prop::collection::btree_set(any_ip(), 1..3));
    let ports = prop::option::of(prop::collection::btree_set(1u16..4, 1..3));
    let except_ports = prop::collection::btree_set(20_180u16..20_182, 0..2);
    prop_oneof![
        Just(Filter::default()),
        (peers, ports, except_ports).prop_map(|(peers, ports, except_ports)| Filter {
            peers,
            ports,
            except_ports,
            ..Filter::default()
        })
    ]
}

fn any_impairment() -> impl Strategy<Value = Impairment> {
    let percent = || (0u64..=100).prop_map(Ppm::percent);
    let chance = || (percent(), percent()).prop_map(|(share, correlation)| Chance { share, correlation });
    let distribution = prop::sample::select(vec![Distribution::Uniform, Distribution::Normal, Distribution::Pareto]);
    let delay =
        (0u64..500, 0u64..500, percent(), distribution).prop_map(|(jitter, more, correlation, distribution)| Delay {
            mean_us: (jitter + more) * 1000,
            jitter_us: jitter * 500,
            correlation,
            distribution,
        });
    let bursts = (percent(), percent(), percent())
        .prop_map(|(p, r, bad)| Loss::Bursts(GilbertElliott { p, r, bad, good: Ppm::NONE }));
    let none = Impairment::default();
    prop_oneof![
        3 => delay.clone().prop_map(move |delay| Impairment { delay: Some(delay), ..none }),
        1 => chance().prop_map(move |one| Impairment { loss: Some(Loss::Random(one)), ..none }),
        1 => bursts.prop_map(move |loss| Impairment { loss: Some(loss), ..none }),
        1 => chance().prop_map(move |one| Impairment { duplicate: Some(one), ..none }),
        1 => chance().prop_map(move |one| Impairment { corrupt: Some(one), limit: 7, ..none }),
        1 => (delay, chance(), 1u32..5).prop_map(move |(delay, chance, gap)| Impairment {
            delay: Some(delay),
            reorder: Some(Reorder { chance, gap }),
            ..none
        }),
        1 => (8u64..9_000).prop_map(move |kbit| Impairment {
            rate: Some(Rate { bits_per_second: kbit * 1000, burst_bytes: 9_000 }),
            ..none
        }),
    ]
}

fn any_fault() -> impl Strategy<Value = NetworkFault> {
    let direction = || prop::sample::select(vec![Direction::Out, Direction::In, Direction::Both]);
    let interfaces = prop::sample::subsequence(vec!["eth0".to_owned(), "eth1".to_owned()], 1..=2);
    let via = prop::sample::select(vec![Via::Netem, Via::Shaper]);
    let shape = (interfaces, via, direction(), any_filter(), any_impairment()).prop_map(
        |(interfaces, via, direction, filter, impairment)| {
            let direction = if via == Via::Netem { Direction::Out } else { direction };
            NetworkFault::Shape(Shape { interfaces, via, direction, filter, impairment })
        },
    );
    let cut = (prop::collection::btree_set(any_ip(), 1..4), direction(), any::<bool>()).prop_map(
        |(ips, direction, reject)| NetworkFault::Drop(Cut { ips: ips.into_iter().collect(), direction, reject }),
    );
    prop_oneof![3 => shape, 1 => cut]
}

/// What somebody does: an injection is made or changed into another, or ended.
fn any_steps() -> impl Strategy<Value = Vec<(u32, Option<NetworkFault>)>> {
    prop::collection::vec((0u32..5, prop::option::weighted(0.7, any_fault())), 1..8)
}

fn is_refused(id: &InjectionId, faults: &NetworkFaults, kernel: &Kernel) -> bool {
    check(id, faults, kernel, &BTreeSet::new()).is_err()
}

proptest! {
    #[test]
    fn any_sequence_ends_as_the_final_set_built_from_nothing(steps in any_steps()) {
        let (mut kernel, mut faults) = (bare_kernel(), NetworkFaults::new());
        for (number, fault) in steps {
            let before = faults.clone();
            match fault {
                Some(fault) => drop(faults.insert(id(number), fault)),
                None => drop(faults.remove(&id(number))),
            }
            if is_refused(&id(number), &faults, &kernel) {
                faults = before;
            }
            run(&commands(&faults, &kernel), &mut kernel);
            prop_assert_eq!(commands(&faults, &kernel), vec![], "applied is as desired");
            let mut anew = bare_kernel();
            run(&commands(&faults, &anew), &mut anew);
            prop_assert_eq!(&kernel, &anew);
        }
        run(&commands(&NetworkFaults::new(), &kernel), &mut kernel);
        prop_assert_eq!(kernel, bare_kernel());
    }

    #[test]
    fn a_partition_is_known_again_from_its_chains(fault in any_fault()) {
        let NetworkFault::Drop(_) = &fault else { return Ok(()) };
        let (mut kernel, faults) = (bare_kernel(), NetworkFaults::from([(id(7), fault)]));
        run(&commands(&faults, &kernel), &mut kernel);
        prop_assert_eq!(kernel.as_faults(), faults);
    }
}

fn delay(min_ms: u64, max_ms: u64) -> Shape {
    let delay = Delay {
        mean_us: (min_ms + max_ms) * 500,
        jitter_us: (max_ms - min_ms) * 500,
        correlation: Ppm::NONE,
        distribution: Distribution::Uniform,
    };
    Shape { impairment: Impairment { delay: Some(delay), ..Impairment::default() }, ..Shape::on("eth0") }
}

fn one(fault: NetworkFault) -> NetworkFaults {
    [(id(1), fault)].into()
}

fn texts(commands: &[Command]) -> Vec<String> {
    commands.iter().map(ToString::to_string).collect()
}

#[test]
fn latency_is_the_contracts_command_with_our_handle() {
    let mut kernel = bare_kernel();
    let made = commands(&one(NetworkFault::Shape(delay(50, 150))), &kernel);
    assert_eq!(texts(&made), ["tc qdisc add dev eth0 root handle c4a0: netem delay 100ms 50ms limit 20000"]);
    run(&made, &mut kernel);
    let changed = commands(&one(NetworkFault::Shape(delay(50, 51))), &kernel);
    assert_eq!(texts(&changed), ["tc qdisc change dev eth0 root handle c4a0: netem delay 50.5ms 0.5ms 0% limit 20000"]);
}

#[test]
fn a_part_of_the_packets_gets_a_band_and_a_rule_of_its_own() {
    let peers = Some(BTreeSet::from(["10.0.0.2".parse().unwrap()]));
    let filter = Filter { peers, except_ports: [20_180].into(), ..Filter::default() };
    let shape = Shape { filter, ..delay(10, 10) };
    let made = commands(&one(NetworkFault::Shape(shape)), &bare_kernel());
    assert_eq!(
        made[0].stdin.as_deref().unwrap(),
        "qdisc add dev eth0 root handle c4a0: prio bands 16 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n\
         qdisc add dev eth0 parent c4a0:2 handle c4a2: netem delay 10ms limit 20000\n"
    );
    assert_eq!(
        made[1].stdin.as_deref().unwrap(),
        "*mangle\n:TIKV-CHAOS-CLASSIFY - [0:0]\n:TIKV-CHAOS-ONLY-0 - [0:0]\n\
         -A TIKV-CHAOS-CLASSIFY -d 10.0.0.2/32 -o eth0 -j TIKV-CHAOS-ONLY-0\n\
         -A TIKV-CHAOS-ONLY-0 -p tcp -m multiport --ports 20180 -j RETURN\n\
         -A TIKV-CHAOS-ONLY-0 -p udp -m multiport --ports 20180 -j RETURN\n\
         -A TIKV-CHAOS-ONLY-0 -j CLASSIFY --set-class c4a0:0002\n\
         -I POSTROUTING 1 -j TIKV-CHAOS-CLASSIFY\nCOMMIT\n"
    );
    assert_eq!(made.len(), 2, "no rule for IPv6, where nobody is meant");
}

#[test]
fn the_shaper_delays_the_answers_to_what_leaves() {
    let shape = Shape { via: Via::Shaper, ..delay(10, 10) };
    let made = commands(&one(NetworkFault::Shape(shape.clone())), &bare_kernel());
    assert!(texts(&made)[0].contains("'-A TIKV-CHAOS-QUEUE-IN -i eth0 -j NFQUEUE --queue-num 50336 --queue-bypass'"));
    assert_eq!(made.len(), 2);
    let both = Shape { direction: Direction::Both, ..shape };
    let classes = shaper_classes(&one(NetworkFault::Shape(both)));
    assert_eq!(classes.len(), 1);
    assert_eq!(classes[0].impairment.delay.unwrap().mean_us, 20_000);
}

#[test]
fn a_foreign_root_qdisc_is_a_refusal_that_names_it() {
    let mut kernel = bare_kernel();
    kernel.qdiscs.insert("eth0".into(), RootQdisc::Foreign("htb 1:".into()));
    let delayed = one(NetworkFault::Shape(delay(1, 1)));
    let error = check(&id(1), &delayed, &kernel, &BTreeSet::new()).unwrap_err();
    assert!(error.to_string().contains("htb 1:"), "{error}");
    // One that was replaced later keeps nothing else from being undone.
    let mut held = bare_kernel();
    let drop = NetworkFault::Drop(Cut::off(vec!["10.0.0.2".parse().unwrap()]));
    run(&commands(&[(id(2), drop)].into(), &held), &mut held);
    held.qdiscs = kernel.qdiscs;
    run(&commands(&delayed, &held), &mut held);
    assert_eq!((held.v4.filter.len(), &held.qdiscs["eth0"]), (0, &RootQdisc::Foreign("htb 1:".into())));
}

#[test]
fn what_contradicts_another_is_refused_with_both_named() {
    let bursts = GilbertElliott { p: Ppm::percent(1), r: Ppm::percent(9), bad: Ppm::ALL, good: Ppm::NONE };
    let impairment = Impairment { loss: Some(Loss::Bursts(bursts)), ..Impairment::default() };
    let shape = || NetworkFault::Shape(Shape { impairment, ..Shape::on("eth0") });
    let faults = [(id(1), shape()), (id(2), shape())].into();
    let error = check(&id(2), &faults, &bare_kernel(), &BTreeSet::new()).unwrap_err().to_string();
    assert!(error.contains("00000001") && error.contains("00000002"), "{error}");
    let lost =
        Impairment { loss: Some(Loss::Random(Chance { share: Ppm::ALL, correlation: Ppm::NONE })), ..impairment };
    let all = NetworkFault::Shape(Shape { impairment: lost, ..Shape::on("eth0") });
    let faults = [(id(1), NetworkFault::Shape(delay(1, 2))), (id(2), all)].into();
    assert!(warnings(&id(2), &faults)[0].contains("the loss wins"));
}

#[test]
fn of_two_rates_on_one_way_the_lower_holds_and_it_is_said_whose_that_is() {
    let rated = |kbit: u64, via, direction| {
        let rate = Some(Rate { bits_per_second: kbit * 1000, burst_bytes: 32_000 });
        let impairment = Impairment { rate, ..Impairment::default() };
        NetworkFault::Shape(Shape { impairment, via, direction, ..Shape::on("eth0") })
    };
    let slow = rated(100, Via::Shaper, Direction::Both);
    let with = |other| NetworkFaults::from([(id(1), slow.clone()), (id(2), other)]);
    let faults = with(rated(500, Via::Shaper, Direction::In));
    let rates: Vec<u64> =
        shaper_classes(&faults).iter().map(|class| class.impairment.rate.unwrap().bits_per_second).collect();
    assert_eq!(rates, [100_000, 100_000]);
    let said = warnings(&id(2), &faults);
    assert!(said[0].starts_with("00000001 ") && said[0].ends_with("that of 00000001"), "{said:?}");
    assert!(warnings(&id(2), &with(rated(50, Via::Shaper, Direction::In)))[0].ends_with("that of 00000002"));
    assert!(warnings(&id(2), &with(rated(500, Via::Netem, Direction::Out))).is_empty(), "each holds in its own place");
}

#[test]
fn more_classes_than_netem_has_bands_are_refused_with_the_faults_named() {
    let filter = |port: u16| Filter { ports: Some([port].into()), ..Filter::default() };
    let faults: NetworkFaults =
        (1..=16).map(|n| (id(n), NetworkFault::Shape(Shape { filter: filter(n as u16), ..delay(1, 1) }))).collect();
    let error = check(&id(16), &faults, &bare_kernel(), &BTreeSet::new()).unwrap_err().to_string();
    assert!(error.contains("0000000c") && error.contains("--via shaper"), "{error}");
}

#[test]
fn what_nobody_answers_for_is_left_as_it_is() {
    let filter = Filter { ports: Some([7].into()), ..Filter::default() };
    let mut kernel = bare_kernel();
    run(&commands(&one(NetworkFault::Shape(Shape { filter, ..delay(1, 2) })), &kernel), &mut kernel);
    let beside = Beside { left: ["eth0".to_owned()].into(), ..Beside::default() };
    assert_eq!(compile(&NetworkFaults::new(), &kernel, &beside), vec![]);
    let error = check(&id(2), &[(id(2), NetworkFault::Shape(delay(1, 2)))].into(), &kernel, &beside.left);
    assert!(error.unwrap_err().to_string().contains("recover"));
}

#[test]
fn real_output_of_tc_is_read() {
    let json = r#"[{"kind":"noqueue","handle":"0:","dev":"lo","root":true,"refcnt":2,"options":{}},
        {"kind":"netem","handle":"c4a0:","dev":"eth0","root":true,"refcnt":2,"options":{"limit":20000,"delay":{"delay":0.1005,"jitter":0.0505,"correlation":0},"ecn":false,"gap":0}},
        {"kind":"htb","handle":"1:","dev":"eth1","root":true,"refcnt":2,"options":{}},
        {"kind":"fq_codel","handle":"0:","dev":"eth1","parent":"1:1","options":{}}]"#;
    let qdiscs = parse_qdiscs(json).unwrap();
    assert_eq!(qdiscs["lo"], RootQdisc::Default);
    let RootQdisc::Ours(Tree::One(netem)) = &qdiscs["eth0"] else { panic!() };
    assert_eq!(netem.delay.map(|delay| (delay.mean_us, delay.jitter_us)), Some((100_500, 50_500)));
    assert_eq!(qdiscs["eth1"], RootQdisc::Foreign("htb 1:".into()));
    assert!(parse_qdiscs("Segmentation fault").is_err());
}

#[test]
fn real_counts_of_tc_are_read() {
    let json = r#"[{"kind":"netem","handle":"c4a0:","dev":"eth0","root":true,"refcnt":2,"options":{"limit":20000},"bytes":840,"packets":12,"drops":3,"overlimits":0,"requeues":0,"backlog":98,"qlen":1},
        {"kind":"netem","handle":"c4c2:","dev":"eth1","parent":"c4a0:2","options":{"limit":20000},"bytes":0,"packets":0,"drops":0,"overlimits":0,"requeues":0,"backlog":0,"qlen":0},
        {"kind":"netem","handle":"8001:","dev":"eth2","root":true,"options":{"limit":1000}}]"#;
    let expected = [(("eth0".to_owned(), 1), [12, 1, 3]), (("eth1".to_owned(), 2), [0, 0, 0])];
    assert_eq!(parse_counts(json).unwrap(), expected.into());
}

#[test]
fn real_output_of_iptables_save_is_read_and_damage_is_seen() {
    let text = "# Generated by iptables-nft-save v1.8.9 (nf_tables)\n*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
        :TIKV-CHAOS-00000001-IN - [0:0]\n:TIKV-CHAOS-00000001-OUT - [0:0]\n:DOCKER-USER - [0:0]\n\
        -A INPUT -j TIKV-CHAOS-00000001-IN\n-A OUTPUT -j TIKV-CHAOS-00000001-OUT\n\
        -A TIKV-CHAOS-00000001-IN -s 10.0.0.2/32 -j DROP\n-A TIKV-CHAOS-00000001-OUT -d 10.0.0.2/32 -j DROP\nCOMMIT\n";
    let mut kernel = Kernel { v4: parse_chains(text), ..bare_kernel() };
    assert_eq!(kernel.v4.filter.len(), 2);
    let faults = one(NetworkFault::Drop(Cut::off(vec!["10.0.0.2".parse().unwrap()])));
    assert_eq!(commands(&faults, &kernel), vec![]);
    kernel.v4.filter.get_mut("TIKV-CHAOS-00000001-IN").unwrap().jumps.clear();
    assert_eq!(commands(&faults, &kernel).len(), 1);
    let gone = commands(&NetworkFaults::new(), &kernel);
    run(&gone, &mut kernel);
    assert_eq!(kernel, bare_kernel());
}
