//! A kernel with netem: a User-Mode Linux guest with its own Docker. Its iptables is the legacy one, so that flavour is tested
//! here too. The rest of what needs a guest is in the proof.

use std::collections::HashMap;

use support::{
    guest_tests,
    netem::{self, Changes},
};

#[test]
fn netem_in_guest_is_injected_composed_and_recovered() {
    let tests = ["netem::inside_guest::netem_changed_in_a_round_equals_fresh_netem"];
    let Some(script) = guest_tests::run(include_str!("../support/netem.sh"), &tests) else { return };
    latency_is_felt_composes_and_is_taken_back(&script);
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

/// What runs there: on this host `--skip inside_guest` leaves it out.
mod inside_guest {
    use super::*;

    #[test]
    #[ignore = "runs in the guest"]
    fn netem_changed_in_a_round_equals_fresh_netem() {
        if guest_tests::is_guest() {
            netem::changes_end_as_new(&Changes::Round(support::slice()));
        }
    }
}
