use super::*;
use crate::chaos::{Fault, FaultType};

fn failure(line: &str) -> String {
    let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    match command().try_get_matches_from(&words) {
        Ok(matches) => {
            interpret(&matches, None, &preset::all(None)).err().map(|failure| failure.message).unwrap_or_default()
        }
        Err(error) => one_line(&error, &words),
    }
}

fn inject(line: &str) -> Inject {
    match interpret(&command().try_get_matches_from(line.split(' ')).unwrap(), None, &preset::all(None))
        .map_err(|f| f.message)
        .unwrap()
        .subcommand
    {
        Subcommand::Inject(inject) => inject,
        _ => panic!("not an inject"),
    }
}

#[test]
fn the_command_is_sound() {
    command().debug_assert();
}

/// Most of them need a Docker, which other tests give them: here none of them is refused for how it is written.
#[test]
fn every_command_in_the_readme_is_one() {
    let readme = include_str!("../../../README.md");
    let blocks = readme.split("```console").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).map(|line| line.trim_start_matches("$ ").split(" #").next().unwrap());
    let lines: Vec<&str> =
        lines.flat_map(|line| line.split(" | ")).filter(|line| line.starts_with("tikv-chaos ")).collect();
    assert!(lines.len() > 25, "{lines:?}");
    for line in lines {
        let text = failure(line.split(" > ").next().unwrap().trim());
        // One shows an error on purpose, and the test of the examples holds it.
        assert!(text.is_empty() || readme.contains(&format!("tikv-chaos: {text}")), "{line}: {text}");
    }
}

#[test]
fn flags_may_stand_before_and_after_the_type() {
    let one = inject("tikv-chaos inject --target a latency --min-ms 1 --max-ms 2 --ttl 90s");
    let two = inject("tikv-chaos inject latency --target a --min-ms=1 --max-ms=2 --ttl=90s --json");
    assert_eq!(one.fault, two.fault);
    assert_eq!((one.targets, one.ttl), (two.targets, two.ttl));
    let Fault::Shape { kind: FaultType::Latency, impairment, .. } = one.fault else { panic!() };
    assert_eq!(impairment.delay.map(|delay| (delay.mean_us, delay.jitter_us)), Some((1500, 500)));
}

#[test]
fn a_preset_is_a_fault_and_a_seed_is_a_node() {
    let one = inject("tikv-chaos inject --preset frozen --seed 7 --dry-run");
    assert_eq!((one.fault, one.seed, one.ttl), (Fault::NodePause, Some(7), Some(Duration::from_secs(120))));
    let one = inject("tikv-chaos inject --preset frozen --ttl 9m --target a");
    assert_eq!((one.seed, one.ttl), (None, Some(Duration::from_secs(540))));
    assert!(inject("tikv-chaos inject node_pause --random").seed.is_some());
}

#[test]
fn a_switch_needs_no_value() {
    let one = inject("tikv-chaos inject network_partition --include-pd --peers a,b");
    let Fault::NetworkPartition { peers, include_pd: true, .. } = one.fault else { panic!() };
    assert_eq!(peers, ["a", "b"]);
}

#[test]
fn bad_input_is_one_line_that_names_what_is_allowed() {
    let cases = [
        ("tikv-chaos inject clock_skew", "there are node_kill, latency, disk_pressure, network_partition"),
        ("tikv-chaos inject", "inject needs a TYPE: node_kill, latency"),
        ("tikv-chaos inject --preset nope", "there is no preset \"nope\"; there are bad-cable, bursts"),
        ("tikv-chaos inject latency --preset flaky", "either the type latency or the preset flaky"),
        ("tikv-chaos inject latency --random --target a", "either --target or --random"),
        ("tikv-chaos inject latency --seed many", "--seed cannot be \"many\"; allowed: 0 to"),
        ("tikv-chaos inject latency --mean 3", "it takes --min-ms, --max-ms, --interface, --mean-ms"),
        ("tikv-chaos inject latency --min-ms -3", "allowed: a whole number from 0 to 10000 ms"),
        ("tikv-chaos inject latency --min-ms 9 --max-ms 3", "min_ms 9 is over max_ms 3"),
        ("tikv-chaos inject node_kill --signal SIGSTOP", "allowed: SIGKILL, SIGTERM"),
        ("tikv-chaos inject node_kill --ttl soon", "allowed: 1s to 7d"),
        ("tikv-chaos explode", "there are nodes, watch, state, wait, types, active, revert"),
    ];
    for (line, expected) in cases {
        let text = failure(line);
        assert!(text.contains(expected) && !text.contains('\n'), "{line}: {text}");
    }
}
