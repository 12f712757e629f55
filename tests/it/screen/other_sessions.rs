//! What others did: a killed program, one beside this one, somebody outside.

use support::{cluster::Options, docker_is_here, pty::Terminal, run, wait_for};

use super::reader::*;

#[test]
fn screen_offers_injection_left_by_killed_program_at_start() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    inject(&mut terminal, 1, "network_partition");
    // The helpers of the look at every node would have two minutes more.
    wait_for("the look at the nodes to be over", || (cluster.holders().len() == 1).then_some(()));
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
fn recover_reverts_node_kill_and_disk_pressure_of_killed_screen() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { own_volumes_mib: Some(256), ..Options::default() });
    let mut terminal = open(&program, LARGE);
    inject_and_confirm(&mut terminal, 0, "node_kill");
    // What these nodes keep free of a disk is not known, so whether a quorum is left is not either.
    inject_and_confirm(&mut terminal, 1, "disk_pressure");
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
fn screen_finds_unrecorded_partition_and_reverts_it() {
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
fn screen_shows_node_changes_made_outside() {
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
fn screens_of_two_programs_show_each_others_injections() {
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
fn helper_stays_usable_while_other_programs_come_and_go() {
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
fn helper_that_dies_is_replaced_while_injection_lasts() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    inject(&mut terminal, 1, "network_partition");
    let first = cluster.holder_of(1);
    run("docker", &["rm", "-f", &first]);
    wait_for("another helper", || cluster.find_holder(1).filter(|holder| *holder != first));
    assert!(!cluster.traces(1).is_empty());
    terminal.send("R");
    terminal.wait_text("read back and gone");
    assert!(cluster.traces(1).is_empty());
    quit(&mut terminal);
    cluster.assert_clean();
}
