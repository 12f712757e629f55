//! Docker gone, the terminal gone, a signal: the journal is right and the terminal as it was.

use nix::sys::signal::Signal;

use support::{Program, cluster::Options, docker_is_here, proxy::Proxy, pty::Terminal, run, wait_for};

use super::reader::*;

#[test]
fn screen_on_signal_restores_terminal_and_keeps_journal() {
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
fn screen_signal_during_injection_leaves_nothing_unrecorded() {
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
fn screen_survives_docker_outage_and_reverts_afterwards() {
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
fn screen_quit_during_docker_outage_reports_failed_revert() {
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

#[test]
fn screen_starts_without_docker_and_refuses_injection() {
    let program = Program::new(None);
    let mut terminal = open_without_docker(&program, SMALL);
    let screen = terminal.wait_text("Docker is not answering: ");
    assert!(screen.contains("trying again in 2 s") && screen.contains("No node was seen yet."), "{screen}");
    terminal.send("i");
    terminal.wait_text("not injected: Docker is not answering");
    quit(&mut terminal);
}

#[test]
fn screen_retries_overdue_injection_without_flooding_log() {
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
fn screen_ends_on_closed_terminal_and_keeps_journal() {
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
