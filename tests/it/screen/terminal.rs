//! What can befall a terminal: sizes, rubbish, a panic behind the screen, and a line that is cut while nobody may be told.

use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    pty::{CTRL_C, Size, Terminal},
};

const SMALL: Size = (24, 80);

fn open_without_docker(program: &Program, size: Size) -> Terminal {
    Terminal::open_with(program, size, &[("DOCKER_HOST", "unix:///nonexistent.sock")])
}

#[test]
fn screen_draws_at_sizes_from_one_cell_to_200x60() {
    let program = Program::new(None);
    let mut terminal = open_without_docker(&program, SMALL);
    terminal.wait_text(" 4 LOG ");
    for rows in [1, 2, 3, 5, 9, 10, 11, 23, 24, 31, 32, 40, 49, 50, 60] {
        for columns in [1, 2, 3, 10, 39, 40, 41, 55, 79, 80, 99, 100, 120, 160, 200] {
            terminal.resize((rows, columns));
            terminal.wait_until(&format!("anything at {columns}x{rows}"), |screen| !screen.trim().is_empty());
        }
    }
    terminal.resize(SMALL);
    terminal.wait_text(" 4 LOG ");
    terminal.send("q");
    terminal.wait_success();
}

/// Bytes that are no text, escape sequences that no terminal sends, a paste without an end in sight: nothing of it
/// injects anything, and the screen stays what it is.
#[test]
fn screen_ignores_pasted_garbage_and_unknown_sequences() {
    let program = Program::new(None);
    let mut terminal = open_without_docker(&program, SMALL);
    terminal.wait_text(" 4 LOG ");
    let mut rubbish = String::new();
    let mut seed = 1_u32;
    for _ in 0..20_000 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        rubbish.push(char::from_u32(seed >> 12 & 0xfff).filter(|c| *c != '\x1b').unwrap_or('?'));
    }
    // As a paste, in a pane and where text is typed.
    for place in ["", "/", ":"] {
        terminal.send(place);
        terminal.send(&format!("\x1b[200~{rubbish}\x1b[201~"));
        terminal.send("\r\x1b");
        terminal.wait_until("the panes", |screen| screen.contains(" 1 NODES") && screen.contains(" 4 LOG "));
    }
    // And as sequences that mean nothing.
    for sequence in ["\x1b[999;999;999Z", "\x1b[<0;9999;9999M", "\x1bP+q544e\x1b\\", "\x1b]52;c;?\x07", "\x1b[?1;2c"] {
        terminal.send(sequence);
    }
    terminal.wait_until("the panes", |screen| screen.contains(" 1 NODES") && screen.contains(" 4 LOG "));
    terminal.send(CTRL_C);
    terminal.wait_success();
    let sessions = program.state.path().join("sessions");
    assert!(!sessions.exists() || std::fs::read_dir(sessions).unwrap().next().is_none(), "nothing was injected");
}

/// Under `nohup` nobody says that the terminal is gone: it is noticed all the same, and nothing spins.
#[test]
fn screen_ends_when_terminal_closes_without_signal() {
    let program = Program::new(None);
    let env = [("DOCKER_HOST", "unix:///nonexistent.sock")];
    // Often, since what it does at that moment is another thing each time: it draws, reads or waits.
    for keys in 0..24 {
        let mut terminal = Terminal::open_in_shell(&program, SMALL, r#"trap '' HUP; exec "$@""#, &env);
        terminal.wait_text(" 4 LOG ");
        terminal.send(&"2l".repeat(keys));
        let status = terminal.close().wait_exit();
        assert!(status.success(), "{status:?}");
    }
}

/// What was done is in the journal, the terminal is the shell's again, and only then is it said what happened.
#[test]
fn screen_panic_restores_terminal_and_keeps_journal() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    // The guard, which inherits this, has a variable of its own.
    let mut terminal = Terminal::open_with(&program, (40, 120), &[("FAILPOINTS", "ActiveWritten=panic(on purpose)")]);
    terminal.wait_until("three nodes", |screen| screen.matches(" running ").count() >= 3);
    terminal.send("2ll");
    terminal.wait_text("● network_partition");
    terminal.send("i");
    let status = terminal.wait_exit();
    assert_eq!(status.exit_code(), 1, "{status:?}");
    terminal.assert_given_back();
    let written = terminal.written();
    let said = written.rfind("an internal error").expect("what happened is said");
    assert!(said > written.rfind("\x1b[?1049l").unwrap(), "it is said on the shell's screen");
    assert!(written[said..].contains("on purpose"), "{}", &written[said..]);
    assert_eq!(program.active().len(), 1);
    program.run(&["recover"]).ok();
    assert!(program.active().is_empty());
    cluster.assert_clean();
}
