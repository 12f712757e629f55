//! The guard: deadlines are kept when nobody who injected is left, and then the guard is gone too.

use std::{fs, os::unix::fs::MetadataExt as _, process::Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getsid},
};
use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    proxy::Proxy,
    run, try_run, wait_for,
};

fn start(options: &Options) -> (Cluster, Program) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

#[test]
fn guard_survives_hangup_and_restarts_killed_node_at_deadline() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    program.inject(&["node_kill", "--target", "tikv1", "--ttl", "12s"]);
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "exited");
    let pid = program.guard().expect("no guard is listed");
    let text = program.run(&["active"]).ok().stdout;
    assert!(text.contains(&format!("guard: process {pid}")), "{text}");
    let checks = program.run(&["doctor", "--json"]).ok().json();
    let line = checks["checks"].as_array().unwrap().iter().find(|check| check["what"] == "guard").unwrap().clone();
    assert!(line["detail"].as_str().unwrap().contains(&format!("process {pid}")), "{line}");

    // A session of its own, without a terminal; a hang-up does not end it.
    assert_ne!(getsid(Some(Pid::from_raw(pid))).unwrap(), getsid(None).unwrap());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let terminal = stat.rsplit(')').next().unwrap().split_whitespace().nth(4).unwrap().to_owned();
    assert_eq!(terminal, "0");
    kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    wait_for_rest(pid);
    kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    assert_eq!(program.guard(), Some(pid), "it let its lock go");

    wait_for("the node to run again", || (cluster.inspect(1, "{{.State.Status}}") == "running").then_some(()));
    program.wait_for_guards_end(pid);
    assert!(program.active().is_empty());
    assert_eq!(program.guard(), None);
    let log = fs::read_dir(program.state.path().join("log")).unwrap().flatten();
    let log: String = log.map(|file| fs::read_to_string(file.path()).unwrap()).collect();
    assert!(log.contains("its time is over") && log.contains("nothing is left to be guarded"), "{log}");
    cluster.assert_clean();
}

/// Waits until the guard knows nothing any more but what wakes it.
fn wait_for_rest(pid: i32) {
    let line = || fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    wait_for("the guard to rest", || line().contains("--resting").then_some(()));
}

fn wait_until_stopped(pid: i32) {
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    wait_for("the process to stand still", || stat().contains(") T ").then_some(()));
}

/// How often the node was started after it was made: etcd begins each life with its version. Docker's own events are of no
/// use here, as it keeps the last 256 alone, of all containers.
fn starts(cluster: &Cluster, node: usize) -> usize {
    let (_, log) = try_run("docker", &["logs", &cluster.nodes[node]]);
    log.matches("etcdmain: etcd Version: ").count() - 1
}

/// A guard that comes to its deadline and stands still there, and what a program does that starts meanwhile.
fn taken_over_at(step: &str, meanwhile: impl Fn(&Program, i32)) {
    let (cluster, program) = start(&Options::default());
    let fail = format!("{step}=return(stop)");
    let inject = ["inject", "node_kill", "--target", "tikv1", "--ttl", "8s"];
    program.run_with(&inject, "", &[("GUARD_FAILPOINTS", &fail)]).ok();
    let guard = program.guard().unwrap();
    wait_for_rest(guard);
    wait_until_stopped(guard);
    meanwhile(&program, guard);
    program.wait_for_guards_end(guard);
    assert!(program.active().is_empty());
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    assert_eq!(starts(&cluster, 1), 1, "stopped at {step}");
    cluster.assert_clean();
}

#[test]
fn guard_skips_overdue_injection_reverted_by_recover() {
    if !docker_is_here() {
        return;
    }
    taken_over_at("Overdue", |program, guard| {
        program.run(&["recover"]).ok();
        kill(Pid::from_raw(guard), Signal::SIGCONT).unwrap();
    });
}

#[test]
fn recover_waits_for_revert_in_progress_by_guard() {
    if !docker_is_here() {
        return;
    }
    for step in ["Claimed", "RevertingWritten", "Undone"] {
        taken_over_at(step, |program, guard| {
            let recover = program.command(&["recover", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
            // It has come to wait as well, or will.
            let lock = program.state.path().join("sessions/reverting.lock");
            let opened = || {
                let files = fs::read_dir(format!("/proc/{}/fd", recover.id())).unwrap().flatten();
                files.filter_map(|file| fs::read_link(file.path()).ok()).any(|file| file == lock).then_some(())
            };
            wait_for("the other program to wait", opened);
            kill(Pid::from_raw(guard), Signal::SIGCONT).unwrap();
            let output = recover.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        });
    }
}

#[test]
fn guard_reverts_overdue_injection_of_suspended_program() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut inject = program.command(&["inject", "node_kill", "--target", "tikv1", "--ttl", "1s"]);
    let mut inject = inject.env("FAILPOINTS", "ActiveWritten=return(stop)").spawn().unwrap();
    wait_until_stopped(i32::try_from(inject.id()).unwrap());
    let guard = program.guard().unwrap();
    wait_for("the node to run again", || (cluster.inspect(1, "{{.State.Status}}") == "running").then_some(()));
    program.wait_for_guards_end(guard);
    assert!(program.active().is_empty());
    kill(Pid::from_raw(i32::try_from(inject.id()).unwrap()), Signal::SIGCONT).unwrap();
    inject.wait().unwrap();
    assert!(program.active().is_empty());
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    cluster.assert_clean();
}

#[test]
fn guard_is_shared_by_injections_and_ends_with_the_last() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { own_volumes_mib: Some(256), ..Options::default() });
    program.inject(&["latency", "--target", "tikv0", "--via", "shaper", "--ttl", "none"]);
    assert_eq!(program.guard(), None, "there is no deadline to keep, and there are no peers to follow");
    let kill = program.inject(&["node_kill", "--target", "tikv1", "--ttl", "1h"]);
    let pid = program.guard().unwrap();
    let fill = program.inject(&["disk_pressure", "--target", "tikv2", "--fill-percent", "10", "--ttl", "1h"]);
    assert_eq!(program.guard(), Some(pid));
    program.run(&["revert", kill["id"].as_str().unwrap()]).ok();
    assert_eq!(program.guard(), Some(pid));
    program.run(&["revert", fill["id"].as_str().unwrap()]).ok();
    program.wait_for_guards_end(pid);
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn guard_ends_faults_of_dead_helper_at_deadline() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { own_volumes_mib: Some(256), ..Options::default() });
    program.inject(&["network_partition", "--target", "tikv0", "--ttl", "12s"]);
    program.inject(&["disk_pressure", "--target", "tikv0", "--fill-percent", "10", "--ttl", "12s"]);
    let pid = program.guard().unwrap();
    run("docker", &["rm", "-f", &cluster.holder_of(0)]);
    assert!(!cluster.traces(0).is_empty() && !cluster.fill_files(&cluster.volumes[0]).is_empty());
    program.wait_for_guards_end(pid);
    assert!(program.active().is_empty());
    cluster.assert_clean();
}

#[test]
fn guard_retries_until_docker_is_back() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut proxy = Proxy::start();
    let host = proxy.host();
    let inject = ["inject", "node_kill", "--target", "tikv1", "--ttl", "2s"];
    program.run_with(&inject, "", &[("DOCKER_HOST", &host)]).ok();
    let pid = program.guard().unwrap();
    proxy.stop();
    wait_for("a try that fails", || program.active()[0]["note"].as_str().map(str::to_owned));
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "exited");
    proxy.restart();
    program.wait_for_guards_end(pid);
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    assert!(program.active().is_empty());
    cluster.assert_clean();
}

#[test]
fn killed_guard_is_replaced_by_inject_and_not_needed_by_recover() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    program.inject(&["node_kill", "--target", "tikv1", "--ttl", "1h"]);
    let first = program.guard();
    program.kill_guard();
    assert!(program.run(&["active"]).ok().stdout.contains("guard: none runs"));
    program.inject(&["network_partition", "--target", "tikv0", "--ttl", "1h"]);
    assert!(program.guard().is_some() && program.guard() != first);
    program.kill_guard();
    program.run(&["recover"]).ok();
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    cluster.assert_clean();
}

#[test]
fn guard_ends_when_sessions_folder_is_removed() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let metadata = program.inject(&["node_kill", "--target", "tikv1", "--ttl", "1h"])["metadata"].to_string();
    let pid = program.guard().unwrap();
    let sessions = program.state.path().join("sessions");
    assert_eq!(fs::metadata(&sessions).unwrap().mode() & 0o777, 0o700);
    fs::remove_dir_all(&sessions).unwrap();
    program.wait_for_guards_end(pid);
    program.run_with(&["cleanup"], &metadata, &[]).ok();
    cluster.assert_clean();
}
