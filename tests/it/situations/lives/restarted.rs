//! Every reader of a record compares it with the life of its container.

use serde_json::Value;
use support::{Program, cluster::Options, docker_is_here, pty::Terminal, run};

use super::{id, shaped, start};

const NOWHERE: [(&str, &str); 1] = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];

/// What the journal says of an injection, read from its files without the program.
fn recorded(program: &Program, id: &str) -> Value {
    let folders = ["sessions", "ended"].map(|name| program.state.path().join(name));
    let files = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let sessions = texts.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
    let mut all = sessions.flat_map(|session| session["injections"].as_array().cloned().unwrap_or_default());
    all.find(|one| one["metadata"]["id"] == id).unwrap_or_else(|| panic!("no record of {id}"))
}

#[test]
fn latency_of_a_node_that_was_restarted_since_is_lost_in_every_command() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let late = id(&shaped(&program, "tikv0", &["latency", "--mean-ms", "30"]));
    run("docker", &["restart", "-t", "0", &cluster.nodes[0]]);

    let shown = program.run(&["active", "--json", "--read-only"]).ok().json();
    assert_eq!(shown["active"][0]["state"], "lost", "{shown}");
    assert_eq!(recorded(&program, &late)["state"], "active", "--read-only writes nothing");
    let listed = program.run(&["active"]).ok().stdout;
    assert!(listed.contains(" lost ") && listed.contains("was restarted, and the fault went with it"), "{listed}");
    assert_eq!(recorded(&program, &late)["state"], "lost");
    assert!(program.active().is_empty(), "it was told");
    let report = program.run(&["report"]).ok().stdout;
    assert!(report.contains("the target went away, and the fault with it"), "{report}");
    let reverted = program.run(&["revert", &late]).ok().stdout;
    assert!(reverted.contains("nothing left to undo: ") && reverted.contains("was restarted"), "{reverted}");

    // Whichever command comes next finds it.
    for command in
        [&["nodes"][..], &["reach"], &["wait", "--healthy", "--timeout", "1s"], &["inject", "node_kill", "--dry-run"]]
    {
        let cut = id(&program.inject(&["network_partition", "--target", "tikv1", "--peers", "tikv2", "--ttl", "none"]));
        run("docker", &["restart", "-t", "0", &cluster.nodes[1]]);
        let ran = program.run(command);
        assert!(ran.stderr.contains(&format!("{cut} network_partition on {} is lost", cluster.nodes[1])), "{ran:?}");
        assert_eq!(recorded(&program, &cut)["state"], "lost", "{command:?}");
        assert!(!ran.stdout.contains("CUT"), "{ran:?}");
    }
    cluster.assert_clean();
}

#[test]
fn paused_node_that_was_restarted_or_unpaused_since_is_not_judged_as_paused() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let node = &cluster.nodes[1];
    for (ended, how) in [(&["restart", "-t", "0"][..], "was restarted"), (&["unpause"], "was unpaused")] {
        let frozen = id(&program.inject(&["node_pause", "--target", "tikv1", "--ttl", "none"]));
        assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "paused");
        let judged = || program.run(&["inject", "node_pause", "--target", "tikv2", "--dry-run", "--json"]);
        let before = judged().ok().json();
        assert_eq!(before["verdict"]["grade"], "refused", "{before:#}");
        run("docker", &[ended, &[node.as_str()]].concat());
        let ran = judged();
        assert!(ran.stderr.contains(&format!("{frozen} node_pause on {node} is lost: {node} {how}")), "{ran:?}");
        let after = ran.ok().json();
        assert!(
            after["verdict"]["grade"] != "refused" && !after["verdict"].to_string().contains("paused"),
            "{after:#}"
        );
        assert!(program.active().is_empty());
    }
    cluster.assert_clean();
}

#[test]
fn killed_node_started_by_hand_is_lost_and_a_fill_outlives_the_restart() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { own_volumes_mib: Some(256), ..Options::default() });
    let killed = id(&program.inject(&["node_kill", "--target", "tikv0", "--ttl", "none"]));
    let full = id(&program.inject(&["disk_pressure", "--target", "tikv1", "--fill-percent", "10", "--ttl", "none"]));
    let open = program.active();
    assert_eq!(open.iter().map(|one| &one["state"]).collect::<Vec<_>>(), ["active", "active"]);
    run("docker", &["start", &cluster.nodes[0]]);
    run("docker", &["restart", "-t", "1", &cluster.nodes[1]]);
    let listed = program.active();
    let states: Vec<_> =
        listed.iter().map(|one| (one["id"].as_str().unwrap(), one["state"].as_str().unwrap())).collect();
    assert_eq!(states, [(killed.as_str(), "lost"), (full.as_str(), "active")]);
    // It was started by hand and may be stopped again: that is not ours to undo.
    run("docker", &["stop", "-t", "0", &cluster.nodes[0]]);
    program.run(&["recover"]).ok();
    assert_eq!(cluster.inspect(0, "{{.State.Status}}"), "exited");
    assert!(cluster.all_fill_files().is_empty());
    cluster.assert_clean();
}

#[test]
fn screen_shows_injection_of_command_line_as_lost_when_its_node_restarts() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let late = id(&shaped(&program, "tikv1", &["latency", "--mean-ms", "30"]));
    let mut terminal = Terminal::open(&program, (50, 160));
    terminal.wait_text("[k/Esc] keep for now");
    terminal.send("k");
    terminal.wait_gone("[k/Esc] keep for now");
    run("docker", &["restart", "-t", "0", &cluster.nodes[1]]);
    // The end of the line may not fit.
    terminal.wait_text(&format!("{late} latency on {} is lost", cluster.nodes[1]));
    terminal.wait_text("Nothing is injected.");
    assert_eq!(recorded(&program, &late)["state"], "lost");
    terminal.send("q");
    terminal.wait_success();
    cluster.assert_clean();
}

#[test]
fn active_without_docker_answers_from_the_journal_and_says_so() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { apart: true, nodes: 2, ..Options::default() });
    let frozen = id(&program.inject(&["node_pause", "--target", &cluster.nodes[0], "--ttl", "none"]));
    let ran = program.run_with(&["active"], "", &NOWHERE).ok();
    assert!(ran.stdout.contains(&frozen) && ran.stderr.contains("by the journal alone"), "{ran:?}");
    let told = program.run_with(&["active", "--json"], "", &NOWHERE).ok().json();
    assert_eq!(told["active"][0]["state"], "active");
    assert!(told["not_compared"].as_str().unwrap().contains("Docker is not answering"), "{told}");
    assert_eq!(program.run_with(&["nodes"], "", &NOWHERE).status, 1);
    let report = program.run_with(&["report"], "", &NOWHERE).ok().stdout;
    assert!(report.contains("not compared with the nodes"), "{report}");
    assert!(program.run(&["active", "--json"]).ok().json()["not_compared"].is_null());
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

#[test]
fn record_of_a_removed_container_is_lost_and_its_helper_goes() {
    if !docker_is_here() {
        return;
    }
    let (mut cluster, program) = start(&Options::default());
    let late = id(&shaped(&program, "tikv2", &["latency", "--mean-ms", "30"]));
    cluster.recreate(2);
    let listed = program.active();
    assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&late.as_str().into(), &"lost".into()), "{listed:?}");
    assert!(listed[0]["note"].as_str().unwrap().contains("was removed"), "{listed:?}");
    cluster.assert_clean();
}
