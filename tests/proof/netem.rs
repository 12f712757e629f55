//! All that needs a kernel with netem, in three User-Mode Linux guests: random sequences of faults, every change of
//! netem, filters, what is left behind, and every type of packet fault by netem and by the shaper, compared.

use std::time::Duration;

use support::{
    Program, alike,
    cluster::{Cluster, Options},
    guest_tests,
    netem::{self, Changes, Said},
    packets, states,
};

#[test]
#[ignore = "proof: about five minutes in a guest"]
fn netem_in_guest_converges_and_filters_packets() {
    let tests = [
        "netem::inside_guest::netem_and_legacy_rules_sequence_equals_fresh_final_set",
        "netem::inside_guest::netem_filter_delays_only_matching_packets",
        "netem::inside_guest::netem_change_of_any_into_any_equals_fresh_netem",
    ];
    guest_tests::run("true", &tests);
}

/// Its iptables is the legacy one, so that flavour is tested here too.
#[test]
#[ignore = "proof: about four minutes in a guest"]
fn netem_in_guest_is_recovered_by_record_and_by_mark() {
    let Some(output) = guest_tests::run(netem::LEFT_BEHIND, &[]) else { return };
    let said = Said::new(&output);
    said.assert_contains("held", &["netem c4a0: root"]);
    assert_eq!(said.of("said"), "1", "{output}");
    said.assert_contains("left", &["delay 100ms  50ms"]);
    said.assert_bare(&["recovered", "unheld"]);
    assert!(said.of("foreign").starts_with("3 "), "{output}");
    said.assert_contains("foreign", &["tbf 7:"]);
    said.assert_contains("kept", &["tbf 7: root"]);
    assert_eq!(["rules", "norules", "holders"].map(|name| said.of(name)), ["2", "0", "0"]);
}

#[test]
#[ignore = "proof: about five minutes in a guest"]
fn packet_faults_in_guest_behave_alike_by_netem_and_shaper() {
    guest_tests::run("true", &["netem::inside_guest::packet_faults_by_netem_and_legacy_shaper_behave_alike"]);
}

/// What runs there: on this host `--skip inside_guest` leaves it out.
mod inside_guest {
    use super::*;

    #[test]
    #[ignore = "runs in the guest"]
    fn netem_and_legacy_rules_sequence_equals_fresh_final_set() {
        if guest_tests::is_guest() {
            states::any_sequence(3);
        }
    }

    #[test]
    #[ignore = "runs in the guest"]
    fn netem_change_of_any_into_any_equals_fresh_netem() {
        if guest_tests::is_guest() {
            netem::changes_end_as_new(&Changes::All);
        }
    }

    /// A cluster in the guest; `None` elsewhere.
    fn in_guest() -> Option<(Cluster, Program)> {
        if !guest_tests::is_guest() {
            return None;
        }
        let cluster = Cluster::start(&Options { ipv6: true, ..Options::default() });
        let program = Program::new(Some(&cluster.project));
        Some((cluster, program))
    }

    #[test]
    #[ignore = "runs in the guest"]
    fn packet_faults_by_netem_and_legacy_shaper_behave_alike() {
        let Some((cluster, program)) = in_guest() else { return };
        let ips = [packets::v4(&cluster, 1), packets::v6(&cluster, 1)];
        for via in ["netem", "shaper"] {
            packets::every_type(&cluster, &program, via, &ips);
        }
        alike::netem_and_shaper(&cluster, &program, ips[0]);
        cluster.assert_clean();
    }

    #[test]
    #[ignore = "runs in the guest"]
    fn netem_filter_delays_only_matching_packets() {
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
}
