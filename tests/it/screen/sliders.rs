//! The whole way on the screen, by keys and by mouse, on real containers: a node, a fault, its sliders, what it would run and
//! leave, the injection, its sliders while it holds, and the way back. What holds is read from the kernel and felt in a
//! connection, not believed from the screen.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    pty::{ENTER, Size, Terminal},
    wait_for,
};

const LARGE: Size = (50, 130);

fn start() -> (Cluster, Program, Terminal) {
    let cluster = Cluster::start(&Options { apart: true, ..Options::default() });
    let program = Program::new(Some(&cluster.project));
    let terminal = Terminal::open(&program, LARGE);
    let runs =
        |screen: &str, node: usize| screen.lines().any(|line| line.contains(&name(node)) && line.contains("running"));
    terminal.wait_until("three running nodes", |screen| (0..3).all(|node| runs(screen, node)));
    (cluster, program, terminal)
}

fn name(node: usize) -> String {
    format!("tikv{node}-1")
}

/// The value that stands beside a parameter's name.
fn value(screen: &str, parameter: &str) -> Option<String> {
    let row = screen.lines().find(|line| line.contains(&format!(" {parameter} ")))?;
    let unit = row.find(" ms").or_else(|| row.find(" %"))?;
    row[..unit].split_whitespace().next_back().map(str::to_owned)
}

/// How long a connection into the node takes.
fn connects_in(cluster: &Cluster, node: usize) -> Duration {
    let address: SocketAddr = format!("{}:2379", cluster.ip(node).unwrap()).parse().unwrap();
    let began = Instant::now();
    TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
    began.elapsed()
}

/// Waits until connecting takes at least that long.
fn wait_for_delay(cluster: &Cluster, node: usize, ms: u64) {
    wait_for("the delay to be felt", || (connects_in(cluster, node) >= Duration::from_millis(ms)).then_some(()));
}

/// The open injections' parameters, as their records have them.
fn bounds(program: &Program) -> Vec<(Value, Value)> {
    let active = program.active();
    active.iter().map(|one| (one["metadata"]["min_ms"].clone(), one["metadata"]["max_ms"].clone())).collect()
}

/// Types a number into the field that has the keys.
fn type_number(terminal: &mut Terminal, number: &str) {
    terminal.send(number);
    terminal.wait_until("the number, typed", |screen| screen.contains(&format!(" {number}▏")));
    terminal.send(ENTER);
    terminal.wait_gone("▏");
}

/// From the pane of the nodes: latency of 400 ms, exactly, by keys.
fn choose_latency(terminal: &mut Terminal) {
    terminal.send(ENTER);
    terminal.wait_text("2 CHAOS ━");
    terminal.send("jj");
    type_number(terminal, "400");
    terminal.send("k");
    type_number(terminal, "400");
    // What it would leave is said before it is asked for.
    terminal.wait_text("→ ");
}

#[test]
fn sliders_by_keys_change_active_latency_and_undo_it() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program, mut terminal) = start();
    terminal.send("j");
    terminal.wait_until("the target", |screen| {
        screen.lines().any(|line| line.contains(" 2 CHAOS ") && line.contains(&name(1)))
    });
    choose_latency(&mut terminal);
    assert!(cluster.traces(1).is_empty(), "nothing is injected before it is asked for");
    terminal.send("i");
    terminal.wait_text("● active");
    wait_for_delay(&cluster, 1, 400);

    // Opened in the picker's place: the sliders are its own.
    terminal.send("\t");
    terminal.wait_text("3 ACTIVE ━");
    terminal.send(ENTER);
    terminal.wait_text("It changes as you move.");
    terminal.send("j");
    terminal.wait_text("▸ max_ms");
    // Faster than one change is made: the last one counts.
    terminal.send(&"l".repeat(30));
    terminal.wait_until("700", |screen| value(screen, "max_ms").as_deref() == Some("700"));
    terminal.wait_text("● it is as the sliders say");
    assert_eq!(bounds(&program), [(400.into(), 700.into())]);
    terminal.send("k");
    type_number(&mut terminal, "700");
    terminal.wait_text("● it is as the sliders say");
    assert_eq!(bounds(&program), [(700.into(), 700.into())]);
    wait_for_delay(&cluster, 1, 700);
    // What cannot be says why, and what holds stays as it is.
    terminal.send("\x1b[F");
    terminal.wait_text("is over max_ms 700");
    assert_eq!(bounds(&program), [(700.into(), 700.into())]);

    // The former value again, with one key; and again the one before.
    terminal.send("u");
    terminal.wait_until("400", |screen| value(screen, "min_ms").as_deref() == Some("400"));
    terminal.wait_text("● it is as the sliders say");
    wait_for("the record", || (bounds(&program) == [(400.into(), 700.into())]).then_some(()));
    terminal.send("u");
    wait_for("the record", || (bounds(&program) == [(400.into(), 400.into())]).then_some(()));
    terminal.wait_text("● it is as the sliders say");

    // A choice as well: both ways are twice the delay.
    terminal.send("jjjjj");
    terminal.wait_text("▸ distribution");
    terminal.send("j");
    terminal.wait_text("▸ direction");
    terminal.send("h");
    terminal.wait_text("◂ both ▸");
    wait_for_delay(&cluster, 1, 800);
    terminal.wait_text("● it is as the sliders say");

    terminal.send("r");
    terminal.wait_text("read back and gone");
    terminal.wait_text("target ");
    assert!(cluster.traces(1).is_empty());
    // A revert is taken back too: with the parameters that it had last.
    terminal.send("u");
    terminal.wait_text("● active");
    assert_eq!(bounds(&program), [(400.into(), 400.into())]);
    terminal.send("u");
    terminal.wait_text("Nothing is injected.");
    assert!(cluster.traces(1).is_empty());
    terminal.send("q");
    terminal.wait_success();
    cluster.assert_clean();
}

#[test]
fn screen_copies_undo_commands_to_terminal_clipboard() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program, mut terminal) = start();
    choose_latency(&mut terminal);
    terminal.send("i");
    terminal.wait_text("● active");
    terminal.send("U");
    terminal.wait_text("[y] copy");
    terminal.send("y");
    let undo: Vec<String> =
        program.active()[0]["undo"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
    let copied = wait_for("the copy", || {
        let written = terminal.written();
        let rest = written.split("\x1b]52;c;").nth(1)?;
        rest.split_once("\x1b\\").map(|(text, _)| text.to_owned())
    });
    assert_eq!(decoded(&copied), undo.join("\n") + "\n");
    terminal.send("U");
    terminal.wait_gone("[y] copy");
    terminal.send("r");
    terminal.wait_text("Nothing is injected.");
    terminal.send("q");
    terminal.wait_success();
    cluster.assert_clean();
}

/// From base64 (RFC 4648).
fn decoded(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter(|byte| *byte != b'=');
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in digits {
        bits = bits << 6 | ALPHABET.iter().position(|one| *one == digit).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn latency_on_marked_nodes_is_changed_and_reverted_as_group() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program, mut terminal) = start();
    terminal.send(" j ");
    terminal.wait_text("◆ 2 marked");
    choose_latency(&mut terminal);
    terminal.wait_text("target 2 nodes");
    terminal.send("i");
    terminal.wait_text("Inject latency into 2 nodes?");
    terminal.send("y");
    terminal.wait_text("2 open");
    wait_for("both", || (program.active().iter().filter(|one| one["state"] == "active").count() == 2).then_some(()));
    let groups: Vec<Value> = program.active().iter().map(|one| one["metadata"]["group"].clone()).collect();
    assert!(groups[0].is_string() && groups[0] == groups[1], "{groups:?}");
    wait_for_delay(&cluster, 0, 400);
    wait_for_delay(&cluster, 1, 400);
    assert!(cluster.traces(2).is_empty());

    // Opened and changed as one, and refused as one: two of three that answer after ten seconds are too many.
    terminal.send("\t");
    terminal.wait_text("3 ACTIVE ━");
    terminal.send(ENTER);
    terminal.wait_text("latency on 2 nodes");
    terminal.send("j");
    terminal.wait_text("▸ max_ms");
    terminal.send("\x1b[F");
    terminal.wait_text("refused, i insists:");
    let of_both = |max_ms: u64| vec![(Value::from(400), Value::from(max_ms)); 2];
    assert_eq!(bounds(&program), of_both(400));
    terminal.send("i");
    terminal.wait_text("Change latency on 2 nodes?");
    terminal.send("2 nodes");
    terminal.send(ENTER);
    terminal.wait_text("● it is as the sliders say");
    assert_eq!(bounds(&program), of_both(10_000));
    terminal.send("u");
    wait_for("the values of before", || (bounds(&program) == of_both(400)).then_some(()));
    terminal.wait_text("● it is as the sliders say");

    terminal.send("u");
    terminal.wait_text("Nothing is injected.");
    assert!(cluster.traces(0).is_empty() && cluster.traces(1).is_empty());
    // A node at random is one of them, and its seed is told.
    terminal.send("d");
    terminal.wait_text("at random of 3: --random --seed ");
    terminal.send("q");
    terminal.wait_success();
    cluster.assert_clean();
}

#[test]
fn sliders_by_mouse_inject_change_and_revert_latency() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program, mut terminal) = start();
    terminal.click(&name(2));
    terminal.wait_until("the target", |screen| {
        screen.lines().any(|line| line.contains(" 2 CHAOS ") && line.contains(&name(2)))
    });
    terminal.click("○ packet_loss");
    terminal.wait_text("● packet_loss");
    terminal.click("○ latency");
    terminal.wait_text("● latency");
    // Both knobs to the end of their tracks, which is ten seconds, and the lower one back to the beginning.
    let (column, row) = terminal.place_of("max_ms ");
    let track = column + "max_ms       ".len();
    terminal.drag((track + 3, row), (track + 60, row));
    terminal.wait_until("the end", |screen| value(screen, "max_ms").as_deref() == Some("10000"));
    let (_, least) = terminal.place_of("min_ms ");
    terminal.drag((track + 1, least), (track, least));
    terminal.wait_until("the beginning", |screen| value(screen, "min_ms").as_deref() == Some("0"));
    terminal.drag((track + 20, row), (track + 4, row));
    terminal.wait_until("less", |screen| value(screen, "max_ms").as_deref() != Some("10000"));
    // The wheel goes through what it would run.
    terminal.press_at(65, (column, row + 8));
    terminal.click("[ Inject ]");
    terminal.wait_text("● active");
    assert!(!cluster.traces(2).is_empty());
    let before = bounds(&program);

    // The first click selects, the second one opens.
    terminal.click("▸ latency");
    terminal.wait_text("3 ACTIVE ━");
    terminal.click("▸ latency");
    terminal.wait_text("It changes as you move.");
    let (_, row) = terminal.place_of("max_ms ");
    terminal.drag((track + 4, row), (track + 10, row));
    terminal.wait_text("● it is as the sliders say");
    wait_for("the change", || (bounds(&program) != before).then_some(()));
    terminal.click("Esc back");
    terminal.wait_gone("It changes as you move.");
    terminal.click("r revert");
    terminal.wait_text("Nothing is injected.");
    assert!(cluster.traces(2).is_empty());
    terminal.click("q quit");
    terminal.wait_success();
    cluster.assert_clean();
}

#[test]
fn screen_random_target_matches_command_line_for_same_seed() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program, mut terminal) = start();
    terminal.send("d");
    let screen = terminal.wait_text("at random of 3: --random --seed ");
    let told = screen.lines().find(|line| line.contains("at random of 3")).unwrap();
    let word_after = |text: &str, before: &str| {
        let rest = text.split_once(before).unwrap().1;
        rest.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').next().unwrap().to_owned()
    };
    let (node, seed) = (word_after(told, "chose "), word_after(told, "--seed "));
    terminal.wait_until("the target", |screen| {
        screen.lines().any(|line| line.contains(" 2 CHAOS ") && line.contains(&format!("target {node}")))
    });
    let args = ["inject", "latency", "--random", "--seed", &seed, "--dry-run"];
    let ran = program.run(&args).ok();
    assert!(ran.stderr.contains(&format!("chose {node}, at random of 3")), "{ran:?}");
    terminal.send("q");
    terminal.wait_success();
    cluster.assert_clean();
}
