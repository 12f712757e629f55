//! The screen put aside with Ctrl-Z: the terminal is the shell's again, deadlines are kept all the same, and the screen
//! comes back whole.

use std::time::{Duration, Instant};

use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    pty::{CTRL_Z, Terminal},
    wait_for,
};

/// As a user would by hand: start it, be back in the shell, return, be back once more, return and quit.
const SHELL: &str = r#""$@"; echo "stopped: $?"; read -r; fg; echo "again: $?"; read -r; fg; echo "ended: $?""#;

#[test]
fn suspended_screen_leaves_deadline_to_guard_and_resumes() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    // The shortest that the screen knows.
    let mut terminal = Terminal::open_in_shell(&program, (40, 120), SHELL, &[("TIKV_CHAOS_TTL", "1m")]);
    let is_row = |line: &&str| line.contains(" TiKV ") && line.contains(" running ");
    let running = |screen: &str| screen.lines().filter(is_row).count() == 3;
    terminal.wait_until("three running nodes", running);
    terminal.send("2h");
    terminal.wait_text("● node_kill");
    terminal.send("i");
    terminal.wait_text("[y/Enter] inject");
    terminal.send("y");
    terminal.wait_text("● active");
    let injected = Instant::now();
    assert_eq!(cluster.inspect(0, "{{.State.Status}}"), "exited");

    terminal.send(CTRL_Z);
    // 128 and SIGTSTP, as for any program that was stopped from the keyboard.
    terminal.wait_text("stopped: 148");
    terminal.assert_given_back();
    // A minute's wait may be over before the minute is.
    wait_for("most of the minute to pass", || (injected.elapsed() > Duration::from_secs(40)).then_some(()));
    wait_for("the guard to start the node again", || {
        (cluster.inspect(0, "{{.State.Status}}") == "running").then_some(())
    });
    wait_for("the record to be closed", || program.active().is_empty().then_some(()));
    assert!(!terminal.screen().contains("again:"), "it went on by itself: {}", terminal.screen());

    terminal.send("\n");
    let whole = |screen: &str| running(screen) && screen.contains("Nothing is injected.") && screen.contains(" 4 LOG ");
    terminal.wait_until("the whole screen", whole);
    assert!(terminal.is_taken());
    terminal.wait_text("ended while this program stood still");

    // What is injected now is this program's own again, and a second time is like the first.
    terminal.send("i");
    terminal.wait_text("[y/Enter] inject");
    terminal.send("y");
    terminal.wait_text("● active");
    terminal.send("r");
    terminal.wait_until("the whole screen", whole);
    terminal.send(CTRL_Z);
    terminal.wait_text("again: 148");
    terminal.send("\n");
    terminal.wait_until("the whole screen", whole);
    terminal.send("q");
    terminal.wait_text("ended: 0");
    terminal.wait_success();
    cluster.assert_clean();
}

/// As by hand: put aside while it works, told to go on without the terminal, and taken back.
const BACKGROUND: &str =
    r#""$@"; echo "stopped: $?"; read -r; bg; wait %1; echo "behind: $?"; read -r; fg; echo "ended: $?""#;

#[test]
fn suspend_waits_for_injection_and_stops_again_in_background() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let mut terminal = Terminal::open_in_shell(&program, (40, 120), BACKGROUND, &[]);
    terminal.wait_until("three running nodes", |screen| screen.matches(" running ").count() >= 3);
    // Its plan is there, so that the key begins at once.
    terminal.wait_text("→ ");
    terminal.send(&format!("i{CTRL_Z}"));
    terminal.wait_text("stopped: 148");
    terminal.assert_given_back();
    let active = program.active();
    assert_eq!((active.len(), &active[0]["state"]), (1, &"active".into()), "{active:?}");

    // In the background the terminal is not its own: it stops again (SIGTTOU) and what holds stays the guard's.
    terminal.send("\n");
    terminal.wait_text("behind: 150");
    terminal.assert_given_back();
    assert_eq!(program.active().len(), 1);

    terminal.send("\n");
    terminal.wait_text("● active");
    assert!(terminal.is_taken());
    terminal.send("r");
    terminal.wait_text("Nothing is injected.");
    terminal.send("q");
    terminal.wait_text("ended: 0");
    terminal.wait_success();
    cluster.assert_clean();
}

#[test]
fn suspend_without_shell_returns_to_screen_by_itself() {
    let program = Program::new(None);
    // The program is the terminal's first process: there is no shell to come back to.
    let mut terminal = Terminal::open_with(&program, (24, 80), &[("DOCKER_HOST", "unix:///nonexistent.sock")]);
    terminal.wait_text(" 4 LOG ");
    let entered = |terminal: &Terminal| terminal.written().matches("\x1b[?1049h").count();
    assert_eq!(entered(&terminal), 1);
    terminal.send(CTRL_Z);
    wait_for("the screen to come back", || (entered(&terminal) == 2).then_some(()));
    terminal.wait_text(" 4 LOG ");
    terminal.send("q");
    terminal.wait_success();
}
