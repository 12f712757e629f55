//! The terminal UI as its user meets it: the real program in a pseudo-terminal, on real containers.

mod support;

use std::{fs, path::Path};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    proxy::Proxy,
    pty::{CTRL_C, ENTER, Size, Terminal},
    run, wait_for,
};

/// Every pane has a box.
const LARGE: Size = (40, 120);
/// The least that the screen fits on.
const SMALL: Size = (24, 80);

fn start(options: &Options) -> (Cluster, Program) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

/// The program in a terminal, with the three nodes on its screen.
fn open(program: &Program, size: Size) -> Terminal {
    let terminal = Terminal::open(program, size);
    terminal.wait_until("three running nodes", all_run);
    terminal
}

fn all_run(screen: &str) -> bool {
    (0..3).all(|node| is_listed(screen, node, "running"))
}

fn name(node: usize) -> String {
    format!("tikv{node}-1")
}

/// The node's row in NODES.
fn row(screen: &str, node: usize) -> Option<&str> {
    screen.lines().find(|line| line.contains(&name(node)) && line.contains(" TiKV "))
}

fn is_listed(screen: &str, node: usize, state: &str) -> bool {
    row(screen, node).is_some_and(|row| row.contains(&format!(" {state} ")))
}

/// What stands in ACTIVE about the node, if it is active: the three rows of its injection.
fn active(screen: &str, node: usize) -> Option<String> {
    let pane: Vec<String> = active_pane(screen);
    let entry = pane.windows(3).find(|rows| rows[0].contains("● active") && rows[1].contains(&name(node)));
    entry.map(|rows| rows.join("\n"))
}

/// The rows of ACTIVE without what is left of it.
fn active_pane(screen: &str) -> Vec<String> {
    let Some(title) = screen.lines().find(|line| line.contains(" 3 ACTIVE ")) else { return Vec::new() };
    let left = columns_before(title, " 3 ACTIVE ");
    let below = screen.lines().skip_while(|line| *line != title).skip(1);
    let rows = below.take_while(|line| !line.contains(" 4 LOG "));
    rows.map(|line| line.chars().skip(left).collect()).collect()
}

fn columns_before(line: &str, text: &str) -> usize {
    line.split(text).next().unwrap().chars().count()
}

/// The names of all types, as the command line lists them.
fn program_types() -> Vec<String> {
    let listed = support::run(support::PROGRAM, &["types"]);
    let names = listed.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// Makes the node the target and the kind the fault, by keys, from any pane and field without a number.
fn choose(terminal: &mut Terminal, node: usize, kind: &str) {
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
fn inject(terminal: &mut Terminal, node: usize, kind: &str) -> String {
    choose(terminal, node, kind);
    terminal.send("i");
    wait_active(terminal, node, kind)
}

/// As [`inject`], where the program asks first.
fn inject_and_confirm(terminal: &mut Terminal, node: usize, kind: &str) -> String {
    choose(terminal, node, kind);
    terminal.send("i");
    terminal.wait_text("[y/Enter] inject");
    terminal.send("y");
    wait_active(terminal, node, kind)
}

/// As [`inject`], where it would be refused: the node's name overrules that.
fn inject_by_name(terminal: &mut Terminal, cluster: &Cluster, node: usize, kind: &str) -> String {
    choose(terminal, node, kind);
    terminal.send("i");
    terminal.wait_text("type the node's name");
    terminal.send(&cluster.nodes[node]);
    terminal.send("\r");
    wait_active(terminal, node, kind)
}

fn wait_active(terminal: &Terminal, node: usize, kind: &str) -> String {
    let holds = |screen: &str| active(screen, node).is_some_and(|entry| entry.contains(kind));
    terminal.wait_until(&format!("{kind} in node {node} active"), holds)
}

fn quit(terminal: &mut Terminal) -> String {
    terminal.send("q");
    terminal.wait_success()
}

/// Every injection in the journal's files.
fn journal(program: &Program) -> Vec<Value> {
    let Ok(files) = fs::read_dir(program.state.path().join("sessions")) else { return Vec::new() };
    let paths = files.map(|file| file.unwrap().path());
    let sessions = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    sessions.flat_map(|path| injections(&path)).collect()
}

fn injections(session: &Path) -> Vec<Value> {
    let file: Value = serde_json::from_str(&fs::read_to_string(session).unwrap()).unwrap();
    file["injections"].as_array().unwrap().clone()
}

#[test]
fn a_node_is_cut_off_and_put_back_by_keys() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    assert!(terminal.is_taken());
    choose(&mut terminal, 1, "network_partition");
    let shown = shows_exactly_what_would_run(&mut terminal, &program);
    assert!(cluster.traces(1).is_empty(), "nothing is injected before it is asked for");

    terminal.send("i");
    let screen = wait_active(&terminal, 1, "network_partition");
    assert!(screen.contains("1 open") && screen.contains("1 injection"), "{screen}");
    assert!(row(&screen, 1).unwrap().contains("network_partition"), "{screen}");
    assert!(!cluster.traces(1).is_empty());
    assert_eq!(journal(&program)[0]["state"], "active");
    assert_eq!(journal(&program)[0]["metadata"]["id"], shown.as_str(), "what was shown is what ran");

    terminal.send("r");
    terminal.wait_text("Nothing is injected.");
    terminal.wait_text("read back and gone");
    assert!(cluster.traces(1).is_empty());
    quit(&mut terminal);
    assert!(journal(&program).is_empty());
    cluster.assert_clean();
}

/// Compares the commands on the screen, in the pane and in the popup, with those of the command line. Only the
/// injection's own name may differ, which is another in each program; gives the one that is shown.
fn shows_exactly_what_would_run(terminal: &mut Terminal, program: &Program) -> String {
    let plan = program.run(&["inject", "network_partition", "--target", "tikv1", "--dry-run", "--json"]).ok().json();
    let (_, tool) = plan["commands"][0].as_str().unwrap().split_once(" | ").unwrap();
    let pane = terminal.wait_text("--noflush");
    assert!(pane.contains(&format!("$ {tool} <<'EOF'")), "{pane}");

    terminal.send("c");
    let popup = dense(&inside_popup(&terminal.wait_text("[Esc] close")));
    let shown = popup.split("TIKV-CHAOS-").nth(1).unwrap()[..8].to_owned();
    let ips = plan["metadata"]["target_ips"].as_array().unwrap().iter().map(|ip| ip.as_str().unwrap());
    let rules = ips.flat_map(|ip| {
        [("IN", "-s"), ("OUT", "-d")]
            .map(|(end, option)| format!("-A TIKV-CHAOS-{shown}-{end} {option} {ip}/32 -j DROP"))
    });
    let undo = plan["undo"][0].as_str().unwrap().replace(plan["id"].as_str().unwrap(), &shown);
    for expected in rules.chain([tool.to_owned(), undo]) {
        assert!(popup.contains(&dense(&expected)), "{expected}\nis not in\n{popup}");
    }
    terminal.send("c");
    terminal.wait_gone("[Esc] close");
    shown
}

/// What stands in the popup, without its frame.
fn inside_popup(screen: &str) -> String {
    let top = screen.lines().find(|line| line.contains("╭ network_partition into")).unwrap();
    let left = columns_before(top, "╭ network_partition into") + 1;
    let width = top.chars().skip(left).take_while(|c| *c != '╮').count();
    let rows = screen.lines().skip_while(|line| *line != top);
    rows.skip(1).map(|line| line.chars().skip(left).take(width).collect::<String>()).collect()
}

/// Without white space, which wrapping changes.
fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn a_node_is_cut_off_and_put_back_by_mouse_on_the_smallest_screen() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, SMALL);
    terminal.click(&name(2));
    terminal.wait_until("the target", |screen| {
        screen.lines().any(|line| line.contains(" 2 CHAOS ") && line.contains(&name(2)))
    });
    terminal.click("○ network_partition");
    terminal.wait_text("● network_partition");
    // The commands are one key away where there is no room for them.
    terminal.wait_text("c shows all");
    terminal.click("[ Inject ]");
    wait_active(&terminal, 2, "network_partition");
    assert!(!cluster.traces(2).is_empty());

    terminal.click("▸ network_partition");
    terminal.wait_text(" 3 ACTIVE ━");
    terminal.send("r");
    terminal.wait_text("Nothing is injected.");
    assert!(cluster.traces(2).is_empty());
    terminal.click("q quit");
    terminal.wait_success();
    cluster.assert_clean();
}

#[test]
fn quitting_with_an_open_injection_asks_what_becomes_of_it() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    inject(&mut terminal, 0, "network_partition");
    terminal.send("q");
    terminal.wait_text("Quit with 1 injection open?");
    terminal.send("s");
    terminal.wait_gone("Quit with");
    assert!(active(&terminal.screen(), 0).is_some());

    terminal.send("q");
    terminal.wait_text("[l] leave them until their deadline and quit");
    terminal.send("l");
    let said = terminal.wait_success();
    assert!(said.contains("left in place:") && said.contains("tikv-chaos recover"), "{said}");
    let left = &journal(&program)[0];
    assert_eq!((&left["state"], &left["left"]), (&"active".into(), &true.into()));
    assert!(!cluster.traces(0).is_empty());
    program.run(&["recover"]).ok();
    assert!(journal(&program).is_empty());
    cluster.assert_clean();

    let mut terminal = open(&program, LARGE);
    inject(&mut terminal, 0, "network_partition");
    terminal.send("q");
    terminal.wait_text("[r] revert all and quit");
    terminal.send("r");
    let said = terminal.wait_success();
    assert!(!said.contains("left in place"), "{said}");
    assert!(journal(&program).is_empty());
    cluster.assert_clean();
}

#[test]
fn ctrl_c_asks_once_and_then_leaves() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, SMALL);
    inject(&mut terminal, 1, "network_partition");
    terminal.send(CTRL_C);
    terminal.wait_text("Quit with 1 injection open?");
    terminal.send(CTRL_C);
    terminal.wait_success();
    assert_eq!(journal(&program)[0]["left"], true);
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn what_a_killed_program_left_is_offered_at_the_next_start() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    inject(&mut terminal, 1, "network_partition");
    terminal.kill_9();
    assert!(!cluster.traces(1).is_empty());
    assert_eq!(journal(&program)[0]["state"], "active");

    let mut terminal = Terminal::open(&program, LARGE);
    let screen = terminal.wait_text("1 injection left behind");
    let listed = |line: &str| line.contains("network_partition") && line.contains(&name(1)) && line.contains("active");
    assert!(screen.lines().any(listed), "{screen}");
    terminal.send("r");
    terminal.wait_text("Nothing is injected.");
    assert!(cluster.traces(1).is_empty());
    quit(&mut terminal);
    assert!(journal(&program).is_empty());
    cluster.assert_clean();
}

#[test]
fn recover_undoes_a_kill_and_a_full_disk_of_a_killed_program() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { own_volumes_mib: Some(256), ..Options::default() });
    let mut terminal = open(&program, LARGE);
    inject_and_confirm(&mut terminal, 0, "node_kill");
    // With a second node of three there would be no quorum.
    inject_by_name(&mut terminal, &cluster, 1, "disk_pressure");
    terminal.kill_9();
    assert_eq!(cluster.inspect(0, "{{.State.Status}}"), "exited");
    assert_eq!(cluster.fill_files(&cluster.volumes[1]).len(), 1);

    program.run(&["recover"]).ok();
    assert_eq!(cluster.inspect(0, "{{.State.Status}}"), "running");
    assert!(journal(&program).is_empty());
    wait_for("all three to agree again", || cluster.leader());
    cluster.assert_clean();
}

#[test]
fn what_no_journal_knows_is_found_in_the_nodes_offered_and_ended() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { apart: true, ..Options::default() });
    let forget = || {
        program.inject(&["network_partition", "--target", &cluster.nodes[1], "--ttl", "none"]);
        std::fs::remove_dir_all(program.state.path().join("sessions")).unwrap();
        // The helper keeps what it was asked to keep, for whoever asked.
        cluster.holders().iter().for_each(|helper| drop(run("docker", &["rm", "-f", helper])));
        assert!(!cluster.traces(1).is_empty());
    };
    forget();
    let mut terminal = open(&program, LARGE);
    let screen = terminal.wait_text("with our mark and without a record");
    assert!(screen.contains(&format!("network_partition on {}", cluster.nodes[1])), "{screen}");
    terminal.send("r");
    terminal.wait_text("read back and gone");
    assert_eq!(cluster.traces(1), Vec::<String>::new());
    quit(&mut terminal);
    cluster.assert_clean();

    forget();
    let mut terminal = open(&program, LARGE);
    terminal.wait_text("with our mark and without a record");
    terminal.send("k");
    terminal.wait_text("Without a record; Ctrl-X ends it:");
    terminal.send("\x18");
    terminal.wait_text("read back and gone");
    quit(&mut terminal);
    cluster.assert_clean();
}

#[test]
fn what_happens_to_the_nodes_outside_is_seen() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    let changes: [(&[&str], &str); 4] =
        [(&["pause"], "paused"), (&["unpause"], "running"), (&["stop", "-t", "1"], "exited"), (&["start"], "running")];
    for (change, state) in changes {
        run("docker", &[change, &[cluster.nodes[1].as_str()]].concat());
        terminal.wait_until(&format!("node 1 {state}"), |screen| is_listed(screen, 1, state));
    }
    run("docker", &["rm", "-f", &cluster.nodes[2]]);
    let screen = terminal.wait_until("no node 2", |screen| row(screen, 2).is_none());
    assert!(is_listed(&screen, 0, "running"), "{screen}");
    quit(&mut terminal);
}

#[test]
fn a_signal_ends_the_program_and_leaves_terminal_and_journal_in_order() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        let mut terminal = open(&program, LARGE);
        inject(&mut terminal, 1, "network_partition");
        assert!(terminal.is_taken());
        terminal.signal(signal);
        let said = terminal.wait_success();
        assert!(said.contains("left in place:") && said.contains("tikv-chaos recover"), "{signal}: {said}");
        assert_eq!(journal(&program)[0]["state"], "active", "{signal}");
        program.run(&["recover"]).ok();
        assert!(journal(&program).is_empty(), "{signal}");
        cluster.assert_clean();
    }
}

#[test]
fn a_signal_in_the_middle_of_an_injection_leaves_nothing_unrecorded() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    for node in 0..3 {
        let mut terminal = open(&program, LARGE);
        choose(&mut terminal, node, "network_partition");
        terminal.send("i");
        terminal.wait_text("injecting network_partition");
        terminal.signal(Signal::SIGTERM);
        terminal.wait_success();
        // Whether it came about or not: what the kernel has is in the journal.
        let recorded = journal(&program).iter().any(|one| one["metadata"]["isolated_container"] == cluster.nodes[node]);
        assert!(recorded || cluster.traces(node).is_empty());
        program.run(&["recover"]).ok();
        assert!(journal(&program).is_empty());
    }
    cluster.assert_clean();
}

#[test]
fn docker_may_go_away_and_come_back() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut proxy = Proxy::start();
    let mut terminal = Terminal::open_with(&program, LARGE, &[("DOCKER_HOST", &proxy.host())]);
    terminal.wait_until("three running nodes", all_run);
    inject(&mut terminal, 1, "network_partition");
    // The helpers that the look at every node took would have two minutes more without Docker.
    wait_for("the look at the nodes to be over", || (cluster.holders().len() == 1).then_some(()));

    proxy.stop();
    let screen = terminal.wait_text("trying again in 2 s");
    let complaint = screen.lines().find(|line| line.contains("trying again in 2 s")).unwrap();
    let reason = complaint.split("Docker is not answering: ").nth(1).expect(complaint);
    assert!(!reason.starts_with(','), "{complaint}");
    assert!(screen.contains("3 nodes last seen"), "{screen}");
    // The fault holds without us, and is not said to be gone.
    assert!(!cluster.traces(1).is_empty());
    terminal.send("r");
    terminal.wait_text("could not be reverted");
    terminal.wait_text("! not reverted");
    assert!(terminal.screen().contains("1 open"));

    run("docker", &["pause", &cluster.nodes[2]]);
    proxy.restart();
    terminal.wait_until("what happened meanwhile", |screen| is_listed(screen, 2, "paused"));
    run("docker", &["unpause", &cluster.nodes[2]]);
    terminal.wait_until("news as they come", all_run);
    terminal.send("r");
    terminal.wait_text("Nothing is injected.");
    quit(&mut terminal);
    cluster.assert_clean();
}

#[test]
fn quitting_while_docker_is_away_says_what_failed_and_can_leave_it() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut proxy = Proxy::start();
    let mut terminal = Terminal::open_with(&program, LARGE, &[("DOCKER_HOST", &proxy.host())]);
    terminal.wait_until("three running nodes", all_run);
    inject(&mut terminal, 2, "network_partition");
    proxy.stop();
    terminal.wait_text("Docker is not answering");
    terminal.send("q");
    terminal.wait_text("[r] revert all and quit");
    terminal.send("r");
    terminal.wait_text("A revert failed:");
    terminal.send("l");
    let said = terminal.wait_success();
    assert!(said.contains("left in place:"), "{said}");
    assert_eq!(journal(&program)[0]["left"], true);
    program.run(&["recover"]).ok();
    assert!(journal(&program).is_empty());
    cluster.assert_clean();
}

/// A terminal whose program finds no Docker at all.
fn open_without_docker(program: &Program, size: Size) -> Terminal {
    let host = format!("unix://{}", program.state.path().join("nobody.sock").display());
    Terminal::open_with(program, size, &[("DOCKER_HOST", &host)])
}

#[test]
fn without_docker_it_starts_and_says_so() {
    let program = Program::new(None);
    let mut terminal = open_without_docker(&program, SMALL);
    let screen = terminal.wait_text("Docker is not answering: ");
    assert!(screen.contains("trying again in 2 s") && screen.contains("No node was seen yet."), "{screen}");
    terminal.send("i");
    terminal.wait_text("not injected: Docker is not answering");
    quit(&mut terminal);
}

#[test]
fn an_overdue_injection_waits_for_docker_without_flooding_the_log() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    program.inject(&["network_partition", "--target", "tikv1", "--ttl", "4s"]);
    // The guard's Docker is there; the next one has the screen's.
    program.kill_guard();
    let mut proxy = Proxy::start();
    proxy.stop();
    let mut terminal = Terminal::open_with(&program, LARGE, &[("DOCKER_HOST", &proxy.host())]);
    terminal.wait_text("1 injection left behind");
    terminal.send("k");
    // The screen's own clock says when several tries could have been made.
    let screen = terminal.wait_text("due 6s ago");
    for words in ["is over its time", "could not be reverted"] {
        assert_eq!(screen.matches(words).count(), 1, "{words}\n{screen}");
    }
    proxy.restart();
    terminal.wait_text("Nothing is injected.");
    quit(&mut terminal);
    assert!(journal(&program).is_empty());
    cluster.assert_clean();
}

#[test]
fn any_size_is_survived() {
    let program = Program::new(None);
    let mut terminal = open_without_docker(&program, SMALL);
    terminal.wait_text("Docker is not answering");
    for (size, expected) in [
        ((1, 1), "t"),
        ((3, 10), "80x24"),
        (SMALL, "1 NODES"),
        ((60, 200), "4 LOG"),
        ((23, 80), "needs 80x24, this terminal has 80x23"),
        ((24, 79), "needs 80x24, this terminal has 79x24"),
        (SMALL, "q quit"),
    ] {
        terminal.resize(size);
        terminal.wait_text(expected);
    }
    // Back before the program may have drawn: the rows in between are lost on a terminal, and must be drawn again.
    for _ in 0..10 {
        terminal.resize((10, 40));
        terminal.resize(SMALL);
        terminal.wait_until("a whole screen", |screen| {
            ["1 NODES", "4 LOG", "q quit"].iter().all(|part| screen.contains(part))
        });
    }
    terminal.resize((3, 10));
    terminal.wait_text("needs");
    quit(&mut terminal);
}

#[test]
fn a_closed_terminal_ends_the_program_and_not_the_record() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    inject(&mut terminal, 1, "network_partition");
    let status = terminal.close().wait_exit();
    assert!(status.success(), "{status:?}");
    assert_eq!(journal(&program)[0]["state"], "active");
    assert!(!cluster.traces(1).is_empty());
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn two_programs_see_what_the_other_injected() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut one = open(&program, LARGE);
    let mut two = open(&program, LARGE);
    inject(&mut one, 0, "network_partition");
    let others = |node: usize| move |screen: &str| active(screen, node).is_some_and(|entry| entry.contains(" other "));
    two.wait_until("the first one's injection", others(0));
    inject_by_name(&mut two, &cluster, 1, "network_partition");
    one.wait_until("the second one's injection", others(1));
    assert!(!one.screen().contains("left behind") && !two.screen().contains("left behind"));

    // Each answers for its own only.
    one.send("q");
    one.wait_text("Quit with 1 injection open?");
    one.send("r");
    one.wait_success();
    assert!(cluster.traces(0).is_empty() && !cluster.traces(1).is_empty());
    two.wait_until("only its own", |screen| active(screen, 0).is_none() && active(screen, 1).is_some());
    two.send("R");
    two.wait_text("Nothing is injected.");
    quit(&mut two);
    assert!(journal(&program).is_empty());
    cluster.assert_clean();
}

#[test]
fn programs_that_come_and_go_do_not_take_a_helper_from_one_another() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    // Each of these lets go of the helper when it ends, and the helper has nothing to hold.
    let question = ["inject", "network_partition", "--target", "tikv1", "--dry-run"];
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..8).for_each(|_| drop(program.run(&question).ok())));
        }
        for _ in 0..4 {
            inject(&mut terminal, 1, "network_partition");
            terminal.send("r");
            terminal.wait_text("Nothing is injected.");
        }
    });
    assert!(!terminal.screen().contains("error"), "{}", terminal.screen());
    quit(&mut terminal);
    cluster.assert_clean();
}

#[test]
fn without_a_terminal_it_points_to_the_command_line() {
    let ran = Program::new(None).run(&[]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.stderr.contains("needs a terminal") && ran.stderr.contains("--help"), "{ran:?}");
    assert_eq!(ran.stderr.trim().lines().count(), 1, "{ran:?}");
}

#[test]
fn a_helper_that_died_is_replaced_while_its_injection_lasts() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    inject(&mut terminal, 1, "network_partition");
    let first = cluster.holders().remove(0);
    run("docker", &["rm", "-f", &first]);
    wait_for("another helper", || cluster.holders().into_iter().find(|holder| *holder != first));
    assert!(!cluster.traces(1).is_empty());
    terminal.send("R");
    terminal.wait_text("read back and gone");
    assert!(cluster.traces(1).is_empty());
    quit(&mut terminal);
    cluster.assert_clean();
}
