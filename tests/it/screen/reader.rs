//! What a user reads off the screen and does there, for these tests.

use std::{fs, path::Path};

use serde_json::Value;

use support::{
    Program,
    cluster::{Cluster, Options},
    pty::{ENTER, Size, Terminal},
};

/// Every pane has a box.
pub const LARGE: Size = (40, 120);
/// The least that the screen fits on.
pub const SMALL: Size = (24, 80);

pub fn start(options: &Options) -> (Cluster, Program) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

/// The program in a terminal, with the three nodes on its screen.
pub fn open(program: &Program, size: Size) -> Terminal {
    let terminal = Terminal::open(program, size);
    terminal.wait_until("three running nodes", all_run);
    terminal
}

pub fn all_run(screen: &str) -> bool {
    (0..3).all(|node| is_listed(screen, node, "running"))
}

pub fn name(node: usize) -> String {
    format!("tikv{node}-1")
}

/// The node's row in NODES.
pub fn row(screen: &str, node: usize) -> Option<&str> {
    screen.lines().find(|line| line.contains(&name(node)) && line.contains(" TiKV "))
}

pub fn is_listed(screen: &str, node: usize, state: &str) -> bool {
    row(screen, node).is_some_and(|row| row.contains(&format!(" {state} ")))
}

/// What stands in ACTIVE about the node, if it is active: the three rows of its injection.
pub fn active(screen: &str, node: usize) -> Option<String> {
    let pane: Vec<String> = active_pane(screen);
    let entry = pane.windows(3).find(|rows| rows[0].contains("● active") && rows[1].contains(&name(node)));
    entry.map(|rows| rows.join("\n"))
}

/// The rows of ACTIVE without what is left of it.
pub fn active_pane(screen: &str) -> Vec<String> {
    let Some(title) = screen.lines().find(|line| line.contains(" 3 ACTIVE ")) else { return Vec::new() };
    let left = columns_before(title, " 3 ACTIVE ");
    let below = screen.lines().skip_while(|line| *line != title).skip(1);
    let rows = below.take_while(|line| !line.contains(" 4 LOG "));
    rows.map(|line| line.chars().skip(left).collect()).collect()
}

pub fn columns_before(line: &str, text: &str) -> usize {
    line.split(text).next().unwrap().chars().count()
}

/// The names of all types, as the command line lists them.
pub fn program_types() -> Vec<String> {
    let listed = support::run(support::program_path().to_str().unwrap(), &["types"]);
    let names = listed.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// Makes the node the target and the kind the fault, by keys, from any pane and field without a number.
pub fn choose(terminal: &mut Terminal, node: usize, kind: &str) {
    terminal.send("1g");
    terminal.send(&"j".repeat(node));
    terminal.wait_until("the target", |screen| {
        screen.lines().any(|line| line.contains(" 2 CHAOS ") && line.contains(&name(node)))
    });
    terminal.send(ENTER);
    let kinds: Vec<String> = program_types();
    let chosen = |screen: &str| kinds.iter().find(|kind| screen.contains(&format!("● {kind} "))).cloned();
    let mut now = chosen(&terminal.screen());
    while now.as_deref() != Some(kind) {
        terminal.send("l");
        now = chosen(&terminal.wait_until("another kind", |screen| chosen(screen) != now));
    }
}

/// Injects by keys, and waits until it holds.
pub fn inject(terminal: &mut Terminal, node: usize, kind: &str) -> String {
    choose(terminal, node, kind);
    terminal.send("i");
    wait_active(terminal, node, kind)
}

/// As [`inject`], where the program asks first.
pub fn inject_and_confirm(terminal: &mut Terminal, node: usize, kind: &str) -> String {
    choose(terminal, node, kind);
    terminal.send("i");
    terminal.wait_text("[y/Enter] inject");
    terminal.send("y");
    wait_active(terminal, node, kind)
}

/// As [`inject`], where it would be refused: the node's name overrules that.
pub fn inject_by_name(terminal: &mut Terminal, cluster: &Cluster, node: usize, kind: &str) -> String {
    choose(terminal, node, kind);
    terminal.send("i");
    terminal.wait_text("type the node's name");
    terminal.send(&cluster.nodes[node]);
    terminal.send("\r");
    wait_active(terminal, node, kind)
}

pub fn wait_active(terminal: &Terminal, node: usize, kind: &str) -> String {
    let holds = |screen: &str| active(screen, node).is_some_and(|entry| entry.contains(kind));
    terminal.wait_until(&format!("{kind} in node {node} active"), holds)
}

pub fn quit(terminal: &mut Terminal) -> String {
    terminal.send("q");
    terminal.wait_success()
}

/// Every injection in the journal's files.
pub fn journal(program: &Program) -> Vec<Value> {
    let Ok(files) = fs::read_dir(program.state.path().join("sessions")) else { return Vec::new() };
    let paths = files.map(|file| file.unwrap().path());
    let sessions = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    sessions.flat_map(|path| injections(&path)).collect()
}

pub fn injections(session: &Path) -> Vec<Value> {
    let file: Value = serde_json::from_str(&fs::read_to_string(session).unwrap()).unwrap();
    file["injections"].as_array().unwrap().clone()
}

/// A terminal whose program finds no Docker at all.
pub fn open_without_docker(program: &Program, size: Size) -> Terminal {
    let host = format!("unix://{}", program.state.path().join("nobody.sock").display());
    Terminal::open_with(program, size, &[("DOCKER_HOST", &host)])
}
