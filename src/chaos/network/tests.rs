//! Unit tests on real output of the tools, and a property: whatever set of faults is compiled, changed and removed again,
//! a model of the kernel ends as if the final set had been built from nothing, and with nothing as it began.

mod model;

use std::net::{IpAddr, SocketAddr};

use model::{Model, run};
use proptest::prelude::*;

use super::*;
use crate::chaos::Command;

fn id(number: u32) -> InjectionId {
    InjectionId::from_number(number)
}

fn bare_kernel() -> Model {
    let qdiscs = ["eth0", "eth1", "lo"].map(|name| (name.to_owned(), RootQdisc::Default));
    Model::from(Kernel { qdiscs: qdiscs.into(), ..Kernel::default() })
}

fn commands(faults: &NetworkFaults, kernel: &Kernel) -> Vec<Command> {
    compile(faults, kernel, &Beside::default())
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    // Few, so that filters meet.
    prop_oneof![
        (1u8..5).prop_map(|last| IpAddr::from([10, 0, 0, last])),
        (1u16..4).prop_map(|last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last])),
        (1u16..3).prop_map(|last| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, last]))
    ]
}

/// Ports of addresses that may be peers too.
fn any_ends(most: usize) -> impl Strategy<Value = BTreeSet<SocketAddr>> {
    let host = prop_oneof![any_ip(), Just(IpAddr::from([192, 0, 2, 1]))];
    prop::collection::btree_set((host, 1u16..4).prop_map(|(ip, port)| SocketAddr::new(ip, port)), 0..=most)
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let peers = prop::option::of(prop::collection::btree_set(any_ip(), 1..3));
    let ports = prop::option::of(prop::collection::btree_set(1u16..4, 1..3));
    let except_ports = prop::collection::btree_set(20_180u16..20_182, 0..2);
    prop_oneof![
        Just(Filter::default()),
        (peers, ports, except_ports, any_ends(2)).prop_map(|(peers, ports, except_ports, ends)| Filter {
            // A filter for all peers has nothing to add.
            ends: if peers.is_some() { ends } else { BTreeSet::new() },
            peers,
            ports,
            except_ports,
            ..Filter::default()
        }),
        any_ends(1).prop_map(|except_ends| Filter { except_ends, ..Filter::default() }),
    ]
}

/// Often with shares of nothing and of all: what has nothing to act on, and what leaves nothing to others.
fn any_impairment() -> BoxedStrategy<Impairment> {
    fn sometimes<T: Clone + std::fmt::Debug + 'static>(weight: f64, of: BoxedStrategy<T>) -> BoxedStrategy<Option<T>> {
        prop::option::weighted(weight, of).boxed()
    }
    let percent = || prop_oneof![Just(0u64), 0u64..=100, Just(100)].prop_map(Ppm::percent);
    let chance = move || (percent(), percent()).prop_map(|(share, correlation)| Chance { share, correlation });
    let distribution = prop::sample::select(vec![Distribution::Uniform, Distribution::Normal, Distribution::Pareto]);
    let jitter = prop_oneof![Just(0u64), 0u64..500];
    let delay = (jitter, 0u64..500, percent(), distribution).prop_map(|(jitter, more, correlation, distribution)| {
        Delay { mean_us: (jitter + more) * 1000, jitter_us: jitter * 500, correlation, distribution }
    });
    let bursts = (percent(), percent(), percent())
        .prop_map(|(p, r, bad)| Loss::Bursts(GilbertElliott { p, r, bad, good: Ppm::NONE }));
    let loss = prop_oneof![chance().prop_map(Loss::Random), bursts];
    let reorder = (chance(), 1u32..5).prop_map(|(chance, gap)| Reorder { chance, gap });
    let rate = (8u64..9_000).prop_map(|kbit| Rate { bits_per_second: kbit * 1000, burst_bytes: 9_000 });
    let (delay, reorder) = (sometimes(0.5, delay.boxed()), sometimes(0.2, reorder.boxed()));
    let (duplicate, corrupt) = (sometimes(0.2, chance().boxed()), sometimes(0.2, chance().boxed()));
    let (loss, rate) = (sometimes(0.3, loss.boxed()), sometimes(0.2, rate.boxed()));
    let limit = prop::sample::select(vec![0, 7]);
    (delay, loss, duplicate, corrupt, reorder, rate, limit)
        .prop_map(|(delay, loss, duplicate, corrupt, reorder, rate, limit)| Impairment {
            delay,
            loss,
            duplicate,
            corrupt,
            reorder,
            rate,
            limit,
        })
        .boxed()
}

fn any_fault() -> BoxedStrategy<NetworkFault> {
    let direction = || prop::sample::select(vec![Direction::Out, Direction::In, Direction::Both]);
    let interfaces = prop::sample::subsequence(vec!["eth0".to_owned(), "eth1".to_owned()], 1..=2);
    let via = prop::sample::select(vec![Via::Netem, Via::Shaper]);
    let shape = (interfaces, via, direction(), any_filter(), any_impairment()).prop_map(
        |(interfaces, via, direction, filter, impairment)| {
            let direction = if via == Via::Netem { Direction::Out } else { direction };
            NetworkFault::Shape(Shape { interfaces, via, direction, filter, impairment })
        },
    );
    let peers = (prop::collection::btree_set(any_ip(), 0..4), any_ends(3))
        .prop_filter("a cut is off from something", |(ips, ends)| !ips.is_empty() || !ends.is_empty());
    let cut = (peers, direction(), any::<bool>()).prop_map(|((ips, ends), direction, reject)| {
        let (ips, ends) = (ips.into_iter().collect(), ends.into_iter().collect());
        NetworkFault::Drop(Cut { ips, ends, direction, reject })
    });
    prop_oneof![3 => shape, 1 => cut].boxed()
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

/// Once found by chance: a loss of 0 % made into a delay whose correlation has no jitter to act on.
#[test]
fn correlation_without_jitter_is_not_kept() {
    let none = Chance { share: Ppm::NONE, correlation: Ppm::NONE };
    let delay =
        Delay { mean_us: 1000, jitter_us: 0, correlation: Ppm::percent(1), distribution: Distribution::Uniform };
    let lossless = Impairment { loss: Some(Loss::Random(none)), ..Impairment::default() };
    let delayed = Impairment { delay: Some(delay), ..Impairment::default() };
    let fault = |impairment| one(NetworkFault::Shape(Shape { impairment, ..Shape::on("eth0") }));
    let (mut changed, mut new) = (bare_kernel(), bare_kernel());
    run(&commands(&fault(lossless), &changed), &mut changed);
    run(&commands(&fault(delayed), &changed), &mut changed);
    run(&commands(&fault(delayed), &new), &mut new);
    assert_eq!(changed, new);
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
fn port_of_the_docker_host_is_cut_and_classified_without_the_host_itself() {
    let end = "192.0.2.1:20161".parse().unwrap();
    let cut = |reject| Cut { ips: vec![], ends: vec![end], direction: Direction::Both, reject };
    let made = commands(&one(NetworkFault::Drop(cut(false))), &bare_kernel());
    assert_eq!(made.len(), 1);
    let text = made[0].stdin.as_deref().unwrap();
    assert!(text.contains("-A TIKV-CHAOS-00000001-IN -s 192.0.2.1/32 -p tcp -m tcp --sport 20161 -j DROP\n"), "{text}");
    assert!(
        text.contains("-A TIKV-CHAOS-00000001-OUT -d 192.0.2.1/32 -p tcp -m tcp --dport 20161 -j DROP\n"),
        "{text}"
    );
    let made = commands(&one(NetworkFault::Drop(cut(true))), &bare_kernel());
    let refused = "-d 192.0.2.1/32 -p tcp -m tcp --dport 20161 -j REJECT --reject-with tcp-reset\n";
    assert!(made[0].stdin.as_deref().unwrap().contains(refused), "{made:?}");
    let shape = Shape { filter: Filter::only([end].into()), ..delay(10, 10) };
    let made = commands(&one(NetworkFault::Shape(shape)), &bare_kernel());
    let classified = "-d 192.0.2.1/32 -o eth0 -p tcp -m tcp --dport 20161 -j CLASSIFY --set-class c4a0:0002\n";
    assert!(made[1].stdin.as_deref().unwrap().contains(classified), "{made:?}");
}

#[test]
fn the_shaper_delays_the_answers_to_what_leaves() {
    let shape = Shape { via: Via::Shaper, ..delay(10, 10) };
    let made = commands(&one(NetworkFault::Shape(shape.clone())), &bare_kernel());
    let rule = "'-A TIKV-CHAOS-00000001-Q-IN -i eth0 -j NFQUEUE --queue-num 50336 --queue-bypass'";
    assert!(texts(&made)[0].contains(rule), "{made:?}");
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
    held.qdiscs = kernel.qdiscs.clone();
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
    let mut kernel = bare_kernel();
    kernel.v4 = parse_chains(text);
    assert_eq!(kernel.v4.filter.len(), 2);
    let faults = one(NetworkFault::Drop(Cut::off(vec!["10.0.0.2".parse().unwrap()])));
    assert_eq!(commands(&faults, &kernel), vec![]);
    kernel.v4.filter.get_mut("TIKV-CHAOS-00000001-IN").unwrap().jumps.clear();
    assert_eq!(commands(&faults, &kernel).len(), 1);
    let gone = commands(&NetworkFaults::new(), &kernel);
    run(&gone, &mut kernel);
    assert_eq!(kernel, bare_kernel());
}

/// What a person pipes into `iptables-restore`, in both families.
fn by_hand(id: &InjectionId, shape: &Shape) -> Vec<Command> {
    let text = |family: Family| {
        let text = queue_removal_text(id, shape, family)?;
        Some(Command::new(&Flavour::Nft.restore(family), ["--noflush"]).with_stdin(text))
    };
    Family::ALL.into_iter().filter_map(text).collect()
}

fn any_shaper() -> impl Strategy<Value = Shape> {
    let direction = prop::sample::select(vec![Direction::Out, Direction::In, Direction::Both]);
    let interfaces = prop::sample::subsequence(vec!["eth0".to_owned(), "eth1".to_owned()], 1..=2);
    (interfaces, direction, any_filter(), any_impairment()).prop_map(|(interfaces, direction, filter, impairment)| {
        Shape { interfaces, via: Via::Shaper, direction, filter, impairment }
    })
}

proptest! {
    #[test]
    fn undo_by_hand_of_one_shaper_fault_leaves_the_other_as_it_was(one in any_shaper(), other in any_shaper()) {
        let (mut kernel, mut alone) = (bare_kernel(), bare_kernel());
        let other = NetworkFault::Shape(other);
        let both = NetworkFaults::from([(id(1), NetworkFault::Shape(one.clone())), (id(2), other.clone())]);
        run(&commands(&both, &kernel), &mut kernel);
        run(&commands(&[(id(2), other.clone())].into(), &alone), &mut alone);
        run(&by_hand(&id(1), &one), &mut kernel);
        prop_assert!(!kernel.shows(&id(1), &NetworkFault::Shape(one)));
        prop_assert_eq!(kernel.v4.mangle.keys().collect::<Vec<_>>(), alone.v4.mangle.keys().collect::<Vec<_>>());
        prop_assert_eq!(&kernel.v6, &alone.v6);
        prop_assert!(commands(&[(id(2), other)].into(), &kernel).is_empty(), "it is as it should be alone");
    }
}

#[test]
fn a_shaper_fault_is_known_by_its_chains_and_what_earlier_helpers_left_is_ours() {
    let shape = Shape { via: Via::Shaper, direction: Direction::In, ..delay(10, 10) };
    let mut kernel = bare_kernel();
    run(&commands(&one(NetworkFault::Shape(shape.clone())), &kernel), &mut kernel);
    let found = kernel.as_faults();
    let Some(NetworkFault::Shape(seen)) = found.get(&id(1)) else { panic!("{found:?}") };
    assert_eq!((&seen.interfaces, seen.via, found.len()), (&shape.interfaces, Via::Shaper, 1));
    assert!(!kernel.shows(&id(2), &NetworkFault::Shape(shape.clone())), "another's chains are not its own");

    let text = "*mangle\n:INPUT ACCEPT [0:0]\n:TIKV-CHAOS-QUEUE-IN - [0:0]\n-A INPUT -j TIKV-CHAOS-QUEUE-IN\n\
        -A TIKV-CHAOS-QUEUE-IN -i eth0 -j NFQUEUE --queue-num 50336 --queue-bypass\nCOMMIT\n";
    let mut old = bare_kernel();
    old.v4 = parse_chains(text);
    assert!(old.shows(&id(1), &NetworkFault::Shape(shape)));
    assert_eq!(old.as_faults().len(), 1);
    run(&commands(&NetworkFaults::new(), &old), &mut old);
    assert_eq!(old, bare_kernel());
}
