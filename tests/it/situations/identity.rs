//! Which containers are nodes, and where they keep their data.

mod data;
mod lab;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use lab::Lab;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use support::{Program, docker_is_here, proxy::Proxy, run, wait_for};

/// Name, role and state of every node that is listed, by name.
fn listed(program: &Program, more: &[&str]) -> Vec<(String, String, String)> {
    let document = program.run(&[&["nodes", "--json"], more].concat()).ok().json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let nodes = document["nodes"].as_array().unwrap().iter();
    let mut nodes: Vec<_> =
        nodes.map(|node| (text(&node["name"]), text(&node["role"]), text(&node["state"]))).collect();
    nodes.sort();
    nodes
}

fn row(name: &str, role: &str, state: &str) -> (String, String, String) {
    (name.to_owned(), role.to_owned(), state.to_owned())
}

fn is_running(container: &str) -> bool {
    run("docker", &["inspect", "-f", "{{.State.Running}}", container]) == "true"
}

#[test]
fn node_behind_wrappers_and_scripts_is_found_and_stays_one_while_it_is_down() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let shell = lab.run("shell", &["/bin/sh", "-c", "A=b; exec /tikv-server --addr=0.0.0.0:20160"]);
    let child = lab.run("child", &["/start.sh", "/opt/tikv-server", "--addr=0.0.0.0:20160"]);
    let wrapped = lab.run("wrapped", &["/usr/bin/env", "A=b", "nice", "-n", "3", "/pd-server", "--name=pd0"]);
    let renamed = lab.run("renamed", &["/bin/sh", "-c", "exec /tikv-server-v8.5.5"]);
    let program = Program::new(Some(&lab.project));
    let expected = |child_state: &str| {
        let mut rows = vec![
            row(&shell, "tikv", "running"),
            row(&child, "tikv", child_state),
            row(&wrapped, "pd", "running"),
            row(&renamed, "tikv", "running"),
        ];
        rows.sort();
        rows
    };
    // A script has yet to come to its program.
    wait_for("the scripts to start their nodes", || (listed(&program, &[]) == expected("running")).then_some(()));
    let killed = program.inject(&["node_kill", "--target", &child]);
    assert!(!is_running(&child));
    assert_eq!(listed(&program, &[]), expected("exited"));
    program.run(&["revert", killed["id"].as_str().unwrap()]).ok();
    assert!(is_running(&child));
}

#[test]
fn what_runs_comes_before_what_the_image_is_called() {
    if !docker_is_here() {
        return;
    }
    let mut lab = Lab::new();
    let image = lab.tag("tikv");
    let pd = lab.run_of(&image, "one-image", &[], &["/bin/sh", "-c", "exec /pd-server --name=pd0"]);
    lab.run_of(&image, "prometheus", &[], &["/prometheus", "1000000"]);
    // Nothing but the image tells of these, whose script idles.
    let plain = lab.run_of(&image, "idle", &[], &["/idle.sh"]);
    let variant = lab.tag("tikv-arm64");
    let variant = lab.run_of(&variant, "variant", &[], &["/idle.sh"]);
    let other = lab.tag("tikv-exporter");
    lab.run_of(&other, "exporter", &[], &["/idle.sh"]);
    let program = Program::new(Some(&lab.project));
    let mut expected =
        vec![row(&pd, "pd", "running"), row(&plain, "tikv", "running"), row(&variant, "tikv", "running")];
    expected.sort();
    wait_for("the shell to start PD", || (listed(&program, &[]) == expected).then_some(()));
}

#[test]
fn service_named_after_tikv_whose_program_is_another_is_no_node() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let service = |name: &str| format!("com.docker.compose.service={name}");
    let (ui, numbered, kv) = (service("tikv-ui"), service("tikv7"), service("tikv0"));
    let image = lab.image();
    let of_ui = lab.run_of(&image, "tikv-ui", &["--label", &ui], &["/ui", "1000000"]);
    lab.run_of(&image, "tikv-ui-script", &["--label", &ui], &["/idle.sh"]);
    lab.run_of(&image, "numbered", &["--label", &numbered], &["/prometheus", "1000000"]);
    // A script of which nothing is known is what its service is called.
    let node = lab.run_of(&image, "tikv0", &["--label", &kv], &["/idle.sh"]);
    let program = Program::new(Some(&lab.project));
    let expected = [row(&node, "tikv", "running")];
    assert_eq!(listed(&program, &[]), expected);
    run("docker", &["kill", &of_ui]);
    assert_eq!(listed(&program, &[]), expected);
    assert_eq!(listed(&Program::new(Some(&lab.project)), &[]), expected);
}

#[test]
fn container_is_named_as_a_node_or_hidden_by_flag_and_configuration() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let unknown = lab.run("unknown", &["/kvd", "1000000"]);
    let program = Program::new(Some(&lab.project));
    let none = program.run(&["nodes"]).ok();
    let refused = program.run(&["inject", "node_kill"]);
    assert_eq!((refused.status, none.stdout.contains("no TiKV or PD containers found")), (3, true));
    for text in [&none.stderr, &refused.stderr, &program.run(&["wait", "--healthy", "--timeout", "1s"]).stderr] {
        for way in ["tikv-chaos.role=tikv", "--node NAME=tikv", "[nodes]"] {
            assert!(text.contains(way), "{way}: {text}");
        }
    }
    let wrong = program.run(&["nodes", "--node", "unknown=store"]);
    assert!(wrong.status == 2 && wrong.stderr.contains("tikv, pd or ignore"), "{wrong:?}");

    let (as_tikv, as_pd) = (format!("{unknown}=tikv"), format!("{unknown}=pd"));
    assert_eq!(listed(&program, &["--node", &as_tikv]), [row(&unknown, "tikv", "running")]);
    let file = program.state.path().join("ours.toml");
    let node = lab.run("node", &["/tikv-server"]);
    fs::write(&file, format!("[nodes]\n\"{unknown}\" = \"tikv\"\n\"{node}\" = \"ignore\"\n")).unwrap();
    let configured = ["--config", file.to_str().unwrap()];
    assert_eq!(listed(&program, &configured), [row(&unknown, "tikv", "running")]);
    assert_eq!(listed(&program, &[&configured[..], &["--node", &as_pd]].concat()), [row(&unknown, "pd", "running")]);
    let shown = program.run(&[&["config"], &configured[..]].concat()).ok().stdout;
    assert!(shown.contains(&format!("{unknown}=tikv")), "{shown}");
    fs::write(&file, "[nodes]\n\nkv-1 = \"store\"\n").unwrap();
    let wrong = program.run(&[&["nodes"], &configured[..]].concat());
    assert!(wrong.status == 2 && wrong.stderr.contains("ours.toml:3: [nodes]: \"kv-1\""), "{wrong:?}");

    // What was chosen by its name is undone by a command without it.
    let killed = program.inject(&["node_kill", "--target", &unknown, "--node", &as_tikv]);
    assert!(!is_running(&unknown));
    program.run(&["revert", killed["id"].as_str().unwrap()]).ok();
    assert!(is_running(&unknown));
}

#[test]
fn several_stores_in_one_container_are_said_and_hit_as_a_whole_only() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let playground = lab.run("playground", &["/playground.sh"]);
    let program = Program::new(Some(&lab.project));
    let several = "3 tikv-server processes in one container";
    wait_for("three stores to be counted", || program.run(&["nodes"]).ok().stderr.contains(several).then_some(()));
    assert_eq!(listed(&program, &[]), [row(&playground, "tikv", "running")]);
    for fault in ["latency", "network_partition", "packet_loss", "disk_pressure"] {
        let refused = program.run(&["inject", fault, "--force", "--target", &playground]);
        assert!(refused.status == 3 && refused.stderr.contains(several), "{fault}: {refused:?}");
    }
    let whole = program.run(&["inject", "node_kill", "--dry-run", "--json", "--target", &playground]).json();
    assert!(whole["verdict"].to_string().contains(&format!("{several} of {playground} go at once")), "{whole}");
    let paused = program.inject(&["node_pause", "--target", &playground]);
    assert_eq!(run("docker", &["inspect", "-f", "{{.State.Status}}", &playground]), "paused");
    program.run(&["revert", paused["id"].as_str().unwrap()]).ok();
    assert_eq!(run("docker", &["inspect", "-f", "{{.State.Status}}", &playground]), "running");
}

#[test]
fn node_that_outlived_its_signal_is_not_judged_as_killed() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    // As process 1 a shell does not hear SIGTERM.
    let nodes = ["tikv0", "tikv1", "tikv2"].map(|name| lab.run(name, &["/tikv-server"]));
    let program = Program::new(Some(&lab.project));
    let judged = |target: &str| program.run(&["inject", "node_kill", "--dry-run", "--json", "--target", target]);
    let before = judged(&nodes[1]).json()["verdict"].clone();
    let ran = program.run(&["inject", "node_kill", "--signal", "SIGTERM", "--target", &nodes[0]]);
    assert!(ran.status == 1 && is_running(&nodes[0]), "{ran:?}");
    assert_eq!(program.active().len(), 1);
    assert_eq!(judged(&nodes[1]).json()["verdict"], before);
    // One that was killed is.
    run("docker", &["kill", &nodes[0]]);
    let after = judged(&nodes[1]).json()["verdict"].to_string();
    assert!(after.contains(&format!("{} is exited", nodes[0])), "{after}");
    program.run(&["revert", "--all"]).ok();
    assert!(is_running(&nodes[0]));
}

#[test]
fn watch_shows_a_node_once_its_script_has_come_to_it() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let gate = tempfile::tempdir().unwrap();
    let mount = format!("{}:/gate:ro", gate.path().display());
    let name = lab.run_of(&lab.image(), "late", &["-v", &mount], &["/bin/sh", "/late.sh"]);
    let program = Program::new(Some(&lab.project));
    let mut child = program.command(&["watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let first = next();
    // No event tells when the script goes on.
    assert_eq!(first["nodes"].as_array().unwrap().len(), 0, "{first}");
    fs::write(gate.path().join("open"), "").unwrap();
    let found = (0..20).map(|_| next()).find(|document| document["nodes"][0]["name"] == name.as_str());
    assert_eq!(found.expect("the node is never told")["nodes"][0]["role"], "tikv");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_runs_is_asked_for_once_in_the_life_of_a_container() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let direct = lab.run("direct", &["/tikv-server"]);
    let shell = lab.run("shell", &["/bin/sh", "-c", "exec /tikv-server"]);
    wait_for("the shell to start its node", || {
        run("docker", &["top", &shell, "-eo", "pid,args"]).contains("/bin/sh /tikv-server").then_some(())
    });
    let id = |name: &str| run("docker", &["inspect", "-f", "{{.Id}}", name]);
    let proxy = Proxy::start();
    let asked = |name: &str| proxy.asked(&format!("/containers/{}/top", id(name))).len();
    let program = Program::new(Some(&lab.project));
    let host = proxy.host();
    let mut command = program.command(&["watch", "--json"]);
    let mut child = command.env("DOCKER_HOST", &host).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut wait_until = |state: &str| {
        let is_so = |document: Value| {
            let nodes = document["nodes"].as_array().unwrap().clone();
            nodes.len() == 2 && nodes.iter().any(|node| node["name"] == shell.as_str() && node["state"] == state)
        };
        assert!((0..20).any(|_| is_so(serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap())), "{state}");
    };
    wait_until("running");
    let first = asked(&shell);
    assert!(first > 0);
    for (change, state) in [("pause", "paused"), ("unpause", "running"), ("kill", "exited")] {
        run("docker", &[change, &shell]);
        wait_until(state);
    }
    assert_eq!((asked(&shell), asked(&direct)), (first, 0));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
    // Another command remembers it.
    let again = program.run_with(&["nodes", "--json"], "", &[("DOCKER_HOST", &host)]).ok().json();
    assert_eq!(again["nodes"].as_array().unwrap().len(), 2, "{again}");
    assert_eq!(asked(&shell), first);
    run("docker", &["start", &shell]);
    program.run_with(&["nodes"], "", &[("DOCKER_HOST", &host)]).ok();
    assert!(asked(&shell) > first);
}
