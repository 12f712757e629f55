//! What needs a kernel with netem: a User-Mode Linux guest with its own Docker. Its iptables is the legacy one, so this is
//! also where that flavour is tested.

#[path = "support/alike.rs"]
mod alike;
mod support;

use std::{collections::HashMap, time::Duration};

use support::{
    PROGRAM, Program, can_run,
    cluster::{Cluster, Options},
    guest, packets, states,
};

/// Set where this program runs a second time, in the guest.
const IN_GUEST: &str = "TIKV_CHAOS_TEST_IN_GUEST";

/// Between what the script says and what the tests say that run after it.
const TESTS: &str = "the tests that are for the guest";

/// Runs the script in a guest of its own and then those of the tests below, and returns what was said. A guest has one
/// processor, so the work is shared out between two of them.
fn in_a_guest(script: &str, tests: &[&str]) -> Option<String> {
    if !can_run("netem", guest::missing()) {
        return None;
    }
    let tests = tests.join(" ");
    let script = format!(
        "(\n{script}\n) || exit\necho '{TESTS}'\nexec \"$SELF\" --ignored --nocapture --test-threads=1 --exact {tests}\n"
    );
    let this = std::env::current_exe().unwrap();
    let env = [
        ("PRODUCT", PROGRAM),
        ("SELF", this.to_str().unwrap()),
        (IN_GUEST, "1"),
        ("TIKV_CHAOS_REQUIRE", "docker,netns"),
    ];
    let guest = guest::run(&script, &env, Duration::from_secs(1200)).unwrap();
    eprintln!("{}", guest.output);
    assert_eq!(guest.status, 0, "in the guest");
    Some(guest.output)
}

fn assert_ran(said: &str, tests: &[&str]) {
    assert!(said.contains(&format!("test result: ok. {} passed", tests.len())), "{tests:?}");
}

#[test]
fn netem_in_a_guest() {
    let tests = [
        "any_sequence_of_faults_by_netem_and_legacy_rules_ends_as_its_final_set_made_from_nothing",
        "some_of_the_packets_are_delayed_by_netem_and_the_others_are_not",
    ];
    let Some(output) = in_a_guest(include_str!("support/netem.sh"), &tests) else { return };
    let (script, rest) = output.split_once(TESTS).unwrap();
    latency_is_felt_composes_and_is_taken_back(script);
    assert_ran(rest, &tests);
}

#[test]
fn every_type_in_a_guest() {
    let tests = ["every_type_is_felt_by_netem_and_by_the_shaper_with_legacy_rules"];
    let Some(output) = in_a_guest("true", &tests) else { return };
    assert_ran(&output, &tests);
}

/// By what the script said.
fn latency_is_felt_composes_and_is_taken_back(output: &str) {
    let said: HashMap<&str, &str> = output.lines().filter_map(|line| line.split_once(' ')).collect();
    let milliseconds = |name: &str| -> Vec<u32> { said[name].split(' ').map(|word| word.parse().unwrap()).collect() };

    // Both the answer's delay and the shell's own start are in the figure.
    assert!(milliseconds("before")[0] < 500, "{output}");
    assert!(milliseconds("after")[0] < 500, "{output}");
    for delay in milliseconds("during") {
        assert!((600..1300).contains(&delay), "asked 600 to 800 ms, measured {delay}");
    }
    assert!(
        said["qdisc"].contains("netem c4a0: root") && said["qdisc"].contains("delay 700ms  100ms"),
        "{}",
        said["qdisc"]
    );
    assert!(said["both"].contains("delay 900ms  200ms"), "{}", said["both"]);
    assert!(said["second"].contains("delay 200ms  100ms"), "{}", said["second"]);
    assert!(said["left"].contains("delay 100ms  50ms"), "{}", said["left"]);
    assert!(said["held"].contains("netem c4a0: root") && said["said"] == "1", "{}", said["held"]);
    for clean in ["clean", "recovered", "unheld"] {
        assert!(said[clean].starts_with("qdisc noqueue 0: root"), "{clean}: {}", said[clean]);
    }
    assert!(said["foreign"].starts_with("3 ") && said["foreign"].contains("tbf 7:"), "{}", said["foreign"]);
    assert!(said["kept"].contains("tbf 7: root"), "{}", said["kept"]);
    assert_eq!((said["rules"], said["norules"], said["holders"]), ("2", "0", "0"));
}

#[test]
#[ignore = "is run in the guest"]
fn any_sequence_of_faults_by_netem_and_legacy_rules_ends_as_its_final_set_made_from_nothing() {
    if std::env::var_os(IN_GUEST).is_some() {
        states::any_sequence(3);
    }
}

/// A cluster in the guest; `None` elsewhere.
fn in_guest() -> Option<(Cluster, Program)> {
    std::env::var_os(IN_GUEST)?;
    let cluster = Cluster::start(&Options { ipv6: true, ..Options::default() });
    let program = Program::new(Some(&cluster.project));
    Some((cluster, program))
}

#[test]
#[ignore = "is run in the guest"]
fn every_type_is_felt_by_netem_and_by_the_shaper_with_legacy_rules() {
    let Some((cluster, program)) = in_guest() else { return };
    let ips = [packets::v4(&cluster, 1), packets::v6(&cluster, 1)];
    for via in ["netem", "shaper"] {
        packets::every_type(&cluster, &program, via, &ips);
    }
    alike::netem_and_shaper(&cluster, &program, ips[0]);
    cluster.assert_clean();
}

#[test]
#[ignore = "is run in the guest"]
fn some_of_the_packets_are_delayed_by_netem_and_the_others_are_not() {
    let Some((cluster, program)) = in_guest() else { return };
    let _echo = packets::Echo::on(&cluster, 1);
    let ways: Vec<_> = [packets::v4(&cluster, 1), packets::v6(&cluster, 1)]
        .into_iter()
        .flat_map(|ip| [0, 2].map(|from| (from, ip)))
        .collect();
    support::wait_for("a way between the nodes", || {
        let lost = |(from, ip): &(usize, _)| packets::echoes(&cluster, *from, *ip, 1, packets::FAST).lost();
        packets::side_by_side(&ways, lost).iter().all(|lost| *lost == 0.0).then_some(())
    });
    // Milliseconds from the first node and from the third.
    let assert_felt = |what: &str, expected: [u64; 2]| {
        // For longer than a busy guest stands still.
        let pace = Duration::from_millis(15);
        let felt = packets::side_by_side(&ways, |(from, ip)| packets::echoes(&cluster, *from, *ip, 40, pace));
        for ((from, ip), felt) in ways.iter().zip(felt) {
            // The quickest: a busy machine makes the others late, whatever is asked.
            let (quickest, asked) = (felt.quantile(0.0), Duration::from_millis(expected[from / 2]));
            println!("{what} from {from} to {ip}: {quickest:?}");
            let within = asked..asked + Duration::from_millis(45);
            assert!(felt.lost() == 0.0 && within.contains(&quickest), "{what} from {from}: {quickest:?}");
        }
    };
    let inject = |args: &[&str]| {
        let injected = program.inject(&[&["latency", "--target", "tikv1"], args].concat());
        assert_eq!(injected["metadata"]["via"], "netem", "{args:?}");
        injected["id"].as_str().unwrap().to_owned()
    };
    let alone: [(&[&str], [u64; 2]); 4] = [
        (&["--to", "tikv0"], [100, 0]),
        (&["--ports", "7007"], [100, 100]),
        (&["--ports", "7006"], [0, 0]),
        (&["--spare-status"], [100, 100]),
    ];
    // The helper stays for its sake.
    let beside = program.inject(&["packet_loss", "--target", "tikv1", "--direction", "in", "--ports", "9"]);
    let before = cluster.traces(1);
    for (args, expected) in alone {
        let id = inject(&[&["--mean-ms", "100"], args].concat());
        assert_felt(&args.join(" "), expected);
        program.run(&["revert", &id]).ok();
        assert_eq!(cluster.traces(1), before, "{args:?}");
    }
    let all = inject(&["--mean-ms", "60"]);
    let some = inject(&["--mean-ms", "100", "--to", "tikv0"]);
    assert_felt("both", [160, 60]);
    program.run(&["change", &some, "--mean-ms", "200"]).ok();
    assert_felt("changed", [260, 60]);
    program.run(&["revert", &all]).ok();
    assert_felt("one left", [200, 0]);
    program.run(&["revert", &some]).ok();
    assert_felt("none left", [0, 0]);
    program.run(&["revert", beside["id"].as_str().unwrap()]).ok();
    cluster.assert_clean();
}
