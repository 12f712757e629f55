//! Tests that run in a guest: the test binary runs a second time there, beside a script.

use std::{env, time::Duration};

use super::{can_run, guest, program_path};

/// Set where a test binary runs in the guest.
const IN_GUEST: &str = "TIKV_CHAOS_TEST_IN_GUEST";

/// Between what the script printed and what the tests print that run after it.
const TESTS: &str = "the tests that are for the guest";

pub fn is_guest() -> bool {
    env::var_os(IN_GUEST).is_some()
}

/// Runs the script in a guest of its own, and then these tests of this binary, if any, which are ignored elsewhere and must pass.
/// Returns what the script printed; `None` where no guest can run. A guest has one processor.
pub fn run(script: &str, tests: &[&str]) -> Option<String> {
    if !can_run("netem", guest::missing()) {
        return None;
    }
    // Without a name it would run all of them.
    let tests_run = match tests {
        [] => String::new(),
        _ => format!("exec \"$SELF\" --ignored --nocapture --test-threads=1 --exact {}", tests.join(" ")),
    };
    let script = format!("(\n{script}\n) || exit\necho '{TESTS}'\n{tests_run}\n");
    let this = env::current_exe().unwrap();
    let program = program_path().to_str().unwrap();
    let env = [
        ("PRODUCT", program),
        ("SELF", this.to_str().unwrap()),
        (IN_GUEST, "1"),
        ("TIKV_CHAOS_SEED", &env::var("TIKV_CHAOS_SEED").unwrap_or_else(|_| "1".to_owned())),
        ("TIKV_CHAOS_SLICE", &super::slice().to_string()),
        ("TIKV_CHAOS_REQUIRE", "docker,netns"),
    ];
    let guest = guest::run(&script, &env, Duration::from_secs(1200)).unwrap();
    eprintln!("{}", guest.output);
    assert_eq!(guest.status, 0, "in the guest");
    let (script, rest) = guest.output.split_once(TESTS).unwrap();
    let all = format!("test result: ok. {} passed", tests.len());
    assert!(tests.is_empty() || rest.contains(&all), "not all of {tests:?} passed");
    Some(script.to_owned())
}
