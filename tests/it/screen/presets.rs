//! Presets on the screen: called with two keys, injected with a third, and what the sliders say written down as one more.

use std::fs;

use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    pty::{ENTER, Size, Terminal},
};

const LARGE: Size = (50, 130);

#[test]
fn preset_is_selected_injected_and_reverted() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let mut terminal = Terminal::open(&program, LARGE);
    terminal.wait_until("three nodes", |screen| screen.matches(" running ").count() >= 3);
    terminal.send("p");
    let screen = terminal.wait_text("the process stands still");
    let row = screen.lines().find(|line| line.contains(" frozen ")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    let key = words[words.iter().position(|word| *word == "frozen").unwrap() - 1];
    terminal.send(key);
    terminal.wait_text("● node_pause");
    assert!(program.active().is_empty(), "nothing is injected before it is asked for");
    // Its plan is there, so that the key acts at once.
    terminal.wait_text("→ ");
    terminal.send("i");
    terminal.wait_text("● active");
    assert_eq!(cluster.inspect(0, "{{.State.Status}}"), "paused");
    terminal.send("r");
    terminal.wait_text("Nothing is injected.");
    assert_eq!(cluster.inspect(0, "{{.State.Status}}"), "running");
    terminal.send("q");
    terminal.wait_success();
    cluster.assert_clean();
}

#[test]
fn preset_from_sliders_is_saved_in_config_and_recalled() {
    let program = Program::new(None);
    let file = program.state.path().join("ours.toml");
    fs::write(&file, "# mine\nno_motion = true\n").unwrap();
    let env = [("DOCKER_HOST", "unix:///nonexistent.sock")];
    let open = || {
        let args = ["--config", file.to_str().unwrap()];
        Terminal::open_in_shell(&program, LARGE, &format!("exec \"$@\" {} {}", args[0], args[1]), &env)
    };
    let mut terminal = open();
    terminal.wait_text(" 4 LOG ");
    // No name, a name that is none, and one that is.
    terminal.send("2");
    terminal.wait_text("2 CHAOS ━");
    terminal.send("j");
    terminal.wait_text("▸ min_ms");
    terminal.send("l");
    terminal.wait_until("60", |screen| screen.lines().any(|line| line.contains("min_ms") && line.contains(" 60 ms")));
    terminal.send("P");
    terminal.wait_text("keep these sliders as: ");
    terminal.send(ENTER);
    terminal.wait_gone("keep these sliders as: ");
    terminal.send("Pslow net");
    terminal.send(ENTER);
    terminal.wait_text("allowed: up to 30 letters");
    terminal.send("Pslow-net");
    terminal.wait_text("keep these sliders as: slow-net");
    terminal.send(ENTER);
    terminal.wait_text("slow-net stands in ");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# mine\nno_motion = true\n") && text.contains("[presets.slow-net]"), "{text}");
    terminal.send("q");
    terminal.wait_success();

    // The next start knows it, and the file comes before what is shipped.
    let mut terminal = open();
    terminal.wait_text(" 4 LOG ");
    terminal.send("p");
    terminal.wait_text("1 slow-net");
    terminal.send("1");
    terminal.wait_until("60", |screen| screen.lines().any(|line| line.contains("min_ms") && line.contains(" 60 ms")));
    terminal.send("q");
    terminal.wait_success();
}
