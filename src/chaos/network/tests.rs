//! Unit tests on real output of the tools, and a property: whatever set of faults is compiled, applied and removed
//! again, a model of the kernel ends as it began.

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

/// A second, independent reading of the commands: what `tc` and `iptables-restore --noflush` would do with them.
fn run(commands: &[Command], kernel: &mut Kernel) {
    for command in commands {
        let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
        match command.program.as_str() {
            "tc" => run_tc(&args, kernel),
            "iptables-nft-restore" => run_restore(command.stdin.as_deref().unwrap(), &mut kernel.v4),
            "ip6tables-nft-restore" => run_restore(command.stdin.as_deref().unwrap(), &mut kernel.v6),
            other => panic!("unknown program {other}"),
        }
    }
}

fn run_tc(args: &[&str], kernel: &mut Kernel) {
    let [_, verb, "dev", interface, "root", "handle", handle, rest @ ..] = args else { panic!("{args:?}") };
    assert_eq!(*handle, "c4a0:");
    let held = kernel.qdiscs.get_mut(*interface).expect("tc names an interface that is there");
    let us = |text: &str| (text.strip_suffix("ms").unwrap().parse::<f64>().unwrap() * 1000.0).round() as u64;
    match (*verb, &*held) {
        ("add", RootQdisc::Default) | ("change", RootQdisc::Ours(_)) => {
            let ["netem", "delay", delay, more @ ..] = rest else { panic!("{rest:?}") };
            let jitter = more.first().filter(|word| word.ends_with("ms")).map_or(0, |word| us(word));
            *held = RootQdisc::Ours(Netem { delay_us: us(delay), jitter_us: jitter });
        }
        ("del", RootQdisc::Ours(_)) => *held = RootQdisc::Default,
        other => panic!("tc would refuse {other:?}"),
    }
}

fn run_restore(text: &str, chains: &mut Chains) {
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["*filter"] | ["COMMIT"] => {}
            [name, "-", "[0:0]"] => chains.entry(name[1..].to_owned()).or_default().drops.clear(),
            ["-A", name, _, ip, "-j", "DROP"] => {
                chains.get_mut(name).expect("rule in a chain that is there").drops.push(ip.parse().ok());
            }
            ["-I", _, "1", "-j", name] => chains.get_mut(name).unwrap().jumps += 1,
            ["-D", _, "-j", name] => chains.get_mut(name).unwrap().jumps -= 1,
            ["-F", name] => chains.get_mut(name).unwrap().drops.clear(),
            ["-X", name] => {
                let chain = chains.remove(name).unwrap();
                assert!(chain.jumps == 0 && chain.drops.is_empty(), "iptables removes only empty, unused chains");
            }
            _ => panic!("iptables-restore would refuse {line:?}"),
        }
    }
}

fn any_fault() -> impl Strategy<Value = NetworkFault> {
    let interfaces = prop::sample::subsequence(vec!["eth0".to_owned(), "eth1".to_owned()], 1..=2);
    let delay = (0u64..500, 0u64..500, interfaces).prop_map(|(min, more, interfaces)| NetworkFault::Delay {
        min_ms: min,
        max_ms: min + more,
        interfaces,
    });
    let ip = prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    let drop =
        prop::collection::btree_set(ip, 1..4).prop_map(|ips| NetworkFault::Drop { ips: ips.into_iter().collect() });
    prop_oneof![delay, drop]
}

fn any_faults() -> impl Strategy<Value = NetworkFaults> {
    prop::collection::btree_map((0u32..6).prop_map(id), any_fault(), 0..5)
}

proptest! {
    #[test]
    fn applied_is_as_desired_and_removed_leaves_nothing(first in any_faults(), second in any_faults()) {
        let mut kernel = bare_kernel();
        for faults in [&first, &second, &NetworkFaults::new()] {
            run(&compile(faults, &kernel, Flavour::Nft), &mut kernel);
            prop_assert_eq!(compile(faults, &kernel, Flavour::Nft), vec![]);
        }
        prop_assert_eq!(kernel, bare_kernel());
    }

    #[test]
    fn removing_one_leaves_the_others_as_if_it_had_never_been(faults in any_faults(), which in any::<prop::sample::Index>()) {
        prop_assume!(!faults.is_empty());
        let mut rest = faults.clone();
        let gone = which.get(&faults.keys().cloned().collect::<Vec<_>>()).clone();
        rest.remove(&gone);
        let (mut with, mut without) = (bare_kernel(), bare_kernel());
        run(&compile(&faults, &with, Flavour::Nft), &mut with);
        run(&compile(&rest, &with, Flavour::Nft), &mut with);
        run(&compile(&rest, &without, Flavour::Nft), &mut without);
        prop_assert_eq!(with, without);
    }
}

#[test]
fn latency_is_the_contracts_command_with_our_handle() {
    let delay = NetworkFault::Delay { min_ms: 50, max_ms: 150, interfaces: vec!["eth0".into()] };
    let commands = compile(&[(id(1), delay)].into(), &bare_kernel(), Flavour::Nft);
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0].to_string(), "tc qdisc add dev eth0 root handle c4a0: netem delay 100ms 50ms limit 20000");
}

#[test]
fn a_foreign_root_qdisc_is_a_refusal_that_names_it() {
    let mut kernel = bare_kernel();
    kernel.qdiscs.insert("eth0".into(), RootQdisc::Foreign("htb 1:".into()));
    let delay = NetworkFault::Delay { min_ms: 1, max_ms: 1, interfaces: vec!["eth0".into()] };
    let error = check(&delay, &kernel).unwrap_err();
    assert!(error.to_string().contains("htb 1:"), "{error}");
    // One that was replaced later keeps nothing else from being undone.
    let mut held = bare_kernel();
    let drop = NetworkFault::Drop { ips: vec!["10.0.0.2".parse().unwrap()] };
    run(&compile(&[(id(2), drop)].into(), &held, Flavour::Nft), &mut held);
    held.qdiscs = kernel.qdiscs;
    let delayed = [(id(1), delay)].into();
    run(&compile(&delayed, &held, Flavour::Nft), &mut held);
    assert_eq!((held.v4.len(), &held.qdiscs["eth0"]), (0, &RootQdisc::Foreign("htb 1:".into())));
}

#[test]
fn real_output_of_tc_is_read() {
    let json = r#"[{"kind":"noqueue","handle":"0:","dev":"lo","root":true,"refcnt":2,"options":{}},
        {"kind":"netem","handle":"c4a0:","dev":"eth0","root":true,"refcnt":2,"options":{"limit":20000,"delay":{"delay":0.1005,"jitter":0.0505,"correlation":0},"ecn":false,"gap":0}},
        {"kind":"htb","handle":"1:","dev":"eth1","root":true,"refcnt":2,"options":{}},
        {"kind":"fq_codel","handle":"0:","dev":"eth1","parent":"1:1","options":{}}]"#;
    let qdiscs = parse_qdiscs(json).unwrap();
    assert_eq!(qdiscs["lo"], RootQdisc::Default);
    assert_eq!(qdiscs["eth0"], RootQdisc::Ours(Netem { delay_us: 100_500, jitter_us: 50_500 }));
    assert_eq!(qdiscs["eth1"], RootQdisc::Foreign("htb 1:".into()));
    assert!(parse_qdiscs("Segmentation fault").is_err());
}

#[test]
fn real_output_of_iptables_save_is_read_and_damage_is_seen() {
    let text = "# Generated by iptables-nft-save v1.8.9 (nf_tables)\n*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
        :TIKV-CHAOS-00000001-IN - [0:0]\n:TIKV-CHAOS-00000001-OUT - [0:0]\n:DOCKER-USER - [0:0]\n\
        -A INPUT -j TIKV-CHAOS-00000001-IN\n-A OUTPUT -j TIKV-CHAOS-00000001-OUT\n\
        -A TIKV-CHAOS-00000001-IN -s 10.0.0.2/32 -j DROP\n-A TIKV-CHAOS-00000001-OUT -d 10.0.0.2/32 -j DROP\nCOMMIT\n";
    let mut kernel = Kernel { v4: parse_filter(text), ..bare_kernel() };
    assert_eq!(kernel.v4.len(), 2);
    let faults = [(id(1), NetworkFault::Drop { ips: vec!["10.0.0.2".parse().unwrap()] })].into();
    assert_eq!(compile(&faults, &kernel, Flavour::Nft), vec![]);
    kernel.v4.get_mut("TIKV-CHAOS-00000001-IN").unwrap().jumps = 0;
    assert_eq!(compile(&faults, &kernel, Flavour::Nft).len(), 1);
    let gone = compile(&NetworkFaults::new(), &kernel, Flavour::Nft);
    run(&gone, &mut kernel);
    assert_eq!(kernel, bare_kernel());
}
