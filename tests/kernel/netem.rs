//! A kernel with netem: a User-Mode Linux guest with its own Docker. The rest of what needs a guest is in the proof.

use support::{
    guest_tests,
    netem::{self, Changes, Said},
};

#[test]
fn netem_in_guest_is_injected_composed_and_reverted() {
    let tests = ["netem::inside_guest::netem_changed_in_a_round_equals_fresh_netem"];
    let Some(output) = guest_tests::run(netem::FELT, &tests) else { return };
    let said = Said::new(&output);
    // Both the answer's delay and the shell's own start are in the figure.
    for calm in ["before", "after"] {
        assert!(said.milliseconds(calm)[0] < 500, "{output}");
    }
    for delay in said.milliseconds("during") {
        assert!((600..1300).contains(&delay), "asked 600 to 800 ms, measured {delay}");
    }
    said.assert_contains("qdisc", &["netem c4a0: root", "delay 700ms  100ms"]);
    said.assert_contains("both", &["delay 900ms  200ms"]);
    said.assert_contains("second", &["delay 200ms  100ms"]);
    said.assert_bare(&["clean"]);
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
