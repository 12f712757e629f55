//! Latency where the kernel has netem: a User-Mode Linux guest with its own Docker. Its iptables is the legacy one, so
//! this is also where that flavour is tested.

mod support;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use support::{
    PROGRAM, Program, can_run,
    cluster::{Cluster, Options},
    guest, packets,
};

/// Two guests at once would each have too little of a small machine for what is measured in them.
static ONE_GUEST: Mutex<()> = Mutex::new(());

/// Set where this very test runs a second time, in the guest.
const IN_GUEST: &str = "TIKV_CHAOS_TEST_IN_GUEST";

#[test]
fn latency_is_felt_composes_and_is_taken_back() {
    if !can_run("netem", guest::missing()) {
        return;
    }
    let script = include_str!("support/netem.sh");
    let _one = ONE_GUEST.lock().unwrap_or_else(PoisonError::into_inner);
    let guest = guest::run(script, &[("PRODUCT", PROGRAM)], Duration::from_secs(420)).unwrap();
    assert_eq!(guest.status, 0, "{}", guest.output);
    eprintln!("{}", guest.output);
    let said: HashMap<&str, &str> = guest.output.lines().filter_map(|line| line.split_once(' ')).collect();
    let milliseconds = |name: &str| -> Vec<u32> { said[name].split(' ').map(|word| word.parse().unwrap()).collect() };

    // Both the answer's delay and the shell's own start are in the figure.
    assert!(milliseconds("before")[0] < 500, "{}", guest.output);
    assert!(milliseconds("after")[0] < 500, "{}", guest.output);
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
fn every_type_is_felt_by_netem_and_by_the_shaper_with_legacy_rules() {
    in_guest("every_type_is_felt_by_netem_and_by_the_shaper_with_legacy_rules", |cluster, program| {
        let ips = [packets::v4(cluster, 1), packets::v6(cluster, 1)];
        for via in ["netem", "shaper"] {
            packets::every_type(cluster, program, via, &ips);
        }
    });
}

/// Does the work in a guest, over a cluster: this program is started there again with the test's name.
fn in_guest(test: &str, work: impl FnOnce(&Cluster, &Program)) {
    if std::env::var_os(IN_GUEST).is_some() {
        let cluster = Cluster::start(&Options { ipv6: true, ..Options::default() });
        let program = Program::new(Some(&cluster.project));
        work(&cluster, &program);
        cluster.assert_clean();
        return;
    }
    if !can_run("netem", guest::missing()) {
        return;
    }
    let this = std::env::current_exe().unwrap();
    let script = "exec \"$SELF\" --exact \"$NAME\" --nocapture\n";
    let env = [("SELF", this.to_str().unwrap()), ("NAME", test), (IN_GUEST, "1"), ("TIKV_CHAOS_REQUIRE", "docker")];
    let _one = ONE_GUEST.lock().unwrap_or_else(PoisonError::into_inner);
    let guest = guest::run(script, &env, Duration::from_secs(480)).unwrap();
    eprintln!("{}", guest.output);
    assert_eq!(guest.status, 0);
}
