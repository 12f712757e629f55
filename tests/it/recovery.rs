//! Recovery: whatever became of the containers, the helpers, the journal and Docker in between, `recover` finds what is
//! ours, puts it back, and leaves what is not ours alone.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use support::{
    Program,
    bed::{ended, spawn},
    can_run,
    cluster::{Cluster, Options},
    docker_is_here,
    proxy::Proxy,
    run, try_run, wait_for,
};

const OWN_VOLUMES: Options = Options {
    names: support::cluster::Names::ComposeV2,
    nodes: 3,
    project: None,
    data: "/data",
    second_network: false,
    ipv6: false,
    own_volumes_mib: Some(256),
    by_host: false,
    apart: false,
};

fn start(options: &Options) -> (Cluster, Program) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

/// Cuts each node off and fills each disk, for ever.
fn break_all(program: &Program) {
    for node in ["tikv0", "tikv1", "tikv2"] {
        program.inject(&["network_partition", "--target", node, "--ttl", "none"]);
        program.inject(&["disk_pressure", "--target", node, "--fill-percent", "10", "--ttl", "none"]);
    }
}

/// What the recovery has to go by.
#[derive(Clone, Copy, Debug)]
enum Truth {
    Journal,
    /// No record is left, and no helper lives that would keep anything.
    Marks,
}

/// Leaves only that truth.
fn reduce(truth: Truth, cluster: &Cluster, program: &Program) {
    if let Truth::Marks = truth {
        for journal in journals(program) {
            fs::remove_file(journal).unwrap();
        }
        for holder in cluster.holders() {
            run("docker", &["rm", "-f", &holder]);
        }
    }
}

fn journals(program: &Program) -> Vec<PathBuf> {
    let files = fs::read_dir(program.state.path().join("sessions")).unwrap().flatten().map(|file| file.path());
    files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect()
}

fn recover(program: &Program) -> Value {
    program.run(&["recover", "--json"]).ok().json()
}

/// Everything is back: nothing of ours is found, recorded or not.
fn assert_recovered(cluster: &Cluster, program: &Program) {
    cluster.assert_clean();
    assert!(program.active().is_empty());
    let again = recover(program);
    assert_eq!((&again["recovered"], &again["held"], &again["unseen"]), (&json!([]), &json!([]), &json!([])));
    cluster.assert_clean();
}

#[test]
fn recover_handles_restarted_stopped_and_paused_nodes() {
    if !docker_is_here() {
        return;
    }
    for truth in [Truth::Journal, Truth::Marks] {
        let (cluster, program) = start(&OWN_VOLUMES);
        break_all(&program);
        reduce(truth, &cluster, &program);
        run("docker", &["restart", "-t", "1", &cluster.nodes[0]]);
        run("docker", &["stop", "-t", "1", &cluster.nodes[1]]);
        run("docker", &["pause", &cluster.nodes[2]]);
        let recovered = recover(&program);
        // Whoever stopped and paused them, it was not us.
        let foreign: Vec<&str> =
            recovered["foreign"].as_array().unwrap().iter().map(|one| one["target"].as_str().unwrap()).collect();
        assert_eq!(foreign, [&cluster.nodes[1], &cluster.nodes[2]], "{truth:?}");
        assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "exited");
        assert_eq!(cluster.inspect(2, "{{.State.Status}}"), "paused");
        assert_recovered(&cluster, &program);
    }
}

#[test]
fn recover_handles_renamed_moved_and_recreated_nodes() {
    if !docker_is_here() {
        return;
    }
    for truth in [Truth::Journal, Truth::Marks] {
        let (mut cluster, program) = start(&OWN_VOLUMES);
        break_all(&program);
        // Another address, for itself and as a peer of the others: the old one is taken meanwhile.
        let before = cluster.ip(1);
        run("docker", &["network", "disconnect", &cluster.networks[0], &cluster.nodes[1]]);
        let squatter = cluster.run_stranger(&["--label", "tikv-chaos.role=ignore", "--network", &cluster.networks[0]]);
        run("docker", &["network", "connect", &cluster.networks[0], &cluster.nodes[1]]);
        assert_ne!(cluster.ip(1), before);
        program.inject(&["node_kill", "--target", "tikv0", "--ttl", "none"]);
        reduce(truth, &cluster, &program);
        let renamed = format!("{}-renamed", cluster.nodes[0]);
        run("docker", &["rename", &cluster.nodes[0], &renamed]);
        cluster.nodes[0] = renamed;
        cluster.recreate(2);
        assert_eq!(cluster.fill_files(&cluster.volumes[2]).len(), 1, "the file outlives the container");
        recover(&program);
        run("docker", &["rm", "-f", "-v", &squatter]);
        let state = cluster.inspect(0, "{{.State.Status}}");
        assert_eq!(state, if let Truth::Journal = truth { "running" } else { "exited" }, "a kill leaves no mark");
        assert_recovered(&cluster, &program);
    }
}

#[test]
fn recover_handles_removed_node_and_dead_helpers() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    break_all(&program);
    let beside = |node: usize| {
        let filter = format!("label=tikv-chaos.target={}", cluster.inspect(node, "{{.Id}}"));
        run("docker", &["ps", "-aq", "--filter", &filter])
    };
    run("docker", &["kill", "-s", "KILL", &beside(0)]);
    run("docker", &["rm", "-f", &beside(1)]);
    run("docker", &["rm", "-f", &cluster.nodes[2]]);
    recover(&program);
    assert_recovered(&cluster, &program);
}

#[test]
fn recover_removes_unstarted_helper_even_if_node_restarted() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    for node in ["tikv0", "tikv1"] {
        let inject = ["inject", "network_partition", "--target", node, "--ttl", "none", "--force"];
        let child = spawn(&program, &inject, &[("FAILPOINTS", "HelperMade=return")]);
        assert!(ended(child).0, "killed between a helper's making and its start");
    }
    assert_eq!(cluster.holders().len(), 2, "made, and not started");
    // A life of its own has a helper of its own, so that nobody comes by the first one again.
    run("docker", &["restart", "-t", "0", &cluster.nodes[1]]);
    recover(&program);
    assert_recovered(&cluster, &program);
}

/// It names the node and no cluster, and no program uses its name again once the node runs.
#[test]
fn recover_removes_unstarted_helper_beside_volume_alone() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    let fill = program.inject(&["disk_pressure", "--target", "tikv1", "--fill-percent", "10", "--ttl", "none"]);
    cluster.holders().iter().for_each(|helper| drop(run("docker", &["rm", "-f", helper])));
    run("docker", &["stop", "-t", "0", &cluster.nodes[1]]);
    let child = spawn(&program, &["revert", fill["id"].as_str().unwrap()], &[("FAILPOINTS", "HelperMade=return")]);
    assert!(ended(child).0, "killed between a helper's making and its start");
    assert_eq!(cluster.volume_holders().len(), 1, "made, and not started");
    run("docker", &["start", &cluster.nodes[1]]);
    recover(&program);
    assert_recovered(&cluster, &program);
}

#[test]
fn recover_works_when_helper_image_is_gone() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    program.run(&["doctor"]).ok();
    let made = program.run(&["doctor", "--json"]).ok().json();
    let made = made["checks"].as_array().unwrap().iter().find(|check| check["what"] == "holder image").unwrap().clone();
    let image = format!("tikv-chaos-test-holder:{}", support::unique());
    run("docker", &["tag", made["detail"].as_str().unwrap(), &image]);
    let inject = ["inject", "--holder-image", &image, "--ttl", "none", "--force"];
    program.run(&[&inject[..], &["network_partition", "--target", "tikv0"]].concat()).ok();
    program.run(&[&inject[..], &["disk_pressure", "--target", "tikv1", "--fill-percent", "10"]].concat()).ok();
    for holder in cluster.holders() {
        run("docker", &["rm", "-f", &holder]);
    }
    run("docker", &["rmi", &image]);
    recover(&program);
    assert_recovered(&cluster, &program);
}

#[test]
fn recover_leaves_running_helper_faults_unless_held_is_given() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    let other = Program::new(Some(&cluster.project));
    other.inject(&["network_partition", "--target", "tikv0", "--ttl", "1h"]);
    other.inject(&["disk_pressure", "--target", "tikv1", "--fill-percent", "10", "--ttl", "1h"]);
    let found = recover(&program);
    assert_eq!(found["recovered"], json!([]));
    let held = found["held"].as_array().unwrap();
    assert_eq!(held.len(), 2, "{found}");
    for one in held {
        assert!((3000..=3600).contains(&one["ends_in_s"].as_u64().unwrap()), "{one}");
    }
    let text = program.run(&["recover"]).ok().stdout;
    assert!(text.contains("a running helper keeps it") && text.contains("--held"), "{text}");
    assert!(!cluster.traces(0).is_empty() && !cluster.fill_files(&cluster.volumes[1]).is_empty());
    assert_eq!(other.active().len(), 2);

    let ended = program.run(&["recover", "--held", "--json"]).ok().json();
    assert_eq!(ended["recovered"].as_array().unwrap().len(), 2);
    // Its own program finds nothing left to do.
    other.run(&["recover"]).ok();
    assert_recovered(&cluster, &other);
}

#[test]
fn recover_reports_foreign_state_and_leaves_it() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    let add = ["tc", "qdisc", "add", "dev", "eth0", "root", "handle", "7:", "pfifo", "limit", "9"];
    cluster.in_namespace(0, &add);
    cluster.in_namespace(0, &["iptables-nft", "-N", "TIKV-CHAOS-MINE"]);
    let pid = cluster.inspect(1, "{{.State.Pid}}");
    let file = PathBuf::from(format!("/proc/{pid}/root/data/chaos-fill-1.tmp"));
    if !can_run("docker", fs::write(&file, "theirs").err().map(|error| error.to_string())) {
        return;
    }
    run("docker", &["stop", "-t", "1", &cluster.nodes[2]]);
    let found = recover(&program);
    assert_eq!(found["recovered"], json!([]));
    let foreign: Vec<&str> =
        found["foreign"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    for expected in ["pfifo 7:", "/data/chaos-fill-1.tmp", "is exited"] {
        assert!(foreign.iter().any(|what| what.contains(expected)), "{expected}: {foreign:?}");
    }
    assert!(cluster.in_namespace(0, &["tc", "qdisc", "show", "dev", "eth0"]).contains("pfifo 7:"));
    assert!(cluster.in_namespace(0, &["iptables-nft-save"]).contains("TIKV-CHAOS-MINE"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "theirs");
    fs::remove_file(&file).unwrap();
    assert_eq!(cluster.holders(), Vec::<String>::new());
}

#[test]
fn recover_finds_marked_faults_despite_unreadable_journal() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    let spoil: [&dyn Fn(&str) -> String; 2] =
        [&|text| text[..text.len() / 2].to_owned(), &|text| text.replace("\"schema\": 1", "\"schema\": 99")];
    for spoil in spoil {
        program.inject(&["network_partition", "--target", "tikv0", "--ttl", "none"]);
        program.inject(&["disk_pressure", "--target", "tikv1", "--fill-percent", "10", "--ttl", "none"]);
        let journals = journals(&program);
        for path in &journals {
            let text = fs::read_to_string(path).unwrap();
            fs::write(path, spoil(&text)).unwrap();
        }
        // It may hold more than bears a mark, so this is no success.
        let ran = program.run(&["recover", "--held", "--json"]);
        assert_eq!(ran.status, 1, "{ran:?}");
        assert_eq!(ran.json()["unreadable"].as_array().unwrap().len(), journals.len());
        cluster.assert_clean();
        for path in journals {
            assert!(path.exists());
            fs::remove_file(path).unwrap();
        }
    }
    assert_recovered(&cluster, &program);
}

#[test]
fn recover_works_after_reboot_and_clock_set_back() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    program.inject(&["network_partition", "--target", "tikv0", "--ttl", "none"]);
    program.inject(&["node_kill", "--target", "tikv1", "--ttl", "1h"]);
    program.kill_guard();
    for path in journals(&program) {
        let mut journal: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        journal["boot_id"] = "another".into();
        // As if the clock had been years ahead.
        journal["injections"][0]["created_at"] = "2086-01-01T00:00:00Z".into();
        journal["injections"][0]["deadline"] = "2086-01-01T01:00:00Z".into();
        fs::write(&path, journal.to_string()).unwrap();
    }
    assert!(program.active().iter().all(|one| one["overdue"] == true));
    recover(&program);
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    assert_recovered(&cluster, &program);
}

#[test]
fn recover_twice_in_parallel_succeeds_and_cleans_up() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    break_all(&program);
    program.inject(&["node_kill", "--target", "tikv1", "--ttl", "none"]);
    let spawn = || program.command(&["recover", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let both: Vec<_> = (0..2).map(|_| spawn().unwrap()).collect();
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    assert_recovered(&cluster, &program);
}

#[test]
fn recover_interrupted_by_docker_outage_can_be_resumed() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    break_all(&program);
    let mut proxy = Proxy::start();
    let mut command = program.command(&["recover"]);
    command.env("DOCKER_HOST", proxy.host()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let states = || -> String { journals(&program).iter().filter_map(|path| fs::read_to_string(path).ok()).collect() };
    wait_for("a revert to begin", || states().contains("\"state\": \"reverting\"").then_some(()));
    proxy.stop();
    let status = child.wait().unwrap();
    assert_eq!(status.success(), program.active().is_empty(), "what is not gone keeps its record");
    recover(&program);
    assert_recovered(&cluster, &program);
}

#[test]
fn recover_undoes_faults_when_journal_disk_is_full() {
    if !docker_is_here() {
        return;
    }
    let (cluster, _) = start(&OWN_VOLUMES);
    let mount = tempfile::tempdir().unwrap();
    let Some(_full) = Tmpfs::mount(mount.path()) else { return };
    let program = Program::at(&mount.path().join("state"), &cluster.project);
    program.inject(&["network_partition", "--target", "tikv0", "--ttl", "none"]);
    program.inject(&["node_kill", "--target", "tikv1", "--ttl", "none"]);
    let _ = fs::write(mount.path().join("ballast"), vec![1; 1 << 20]);
    let ran = program.run(&["recover"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("is undone, but the journal cannot say so"), "{ran:?}");
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    cluster.assert_clean();
    assert_eq!(program.active().len(), 2);
    fs::remove_file(mount.path().join("ballast")).unwrap();
    assert_recovered_with_record(&cluster, &program);
}

fn assert_recovered_with_record(cluster: &Cluster, program: &Program) {
    let recovered = recover(program);
    assert_eq!(recovered["recovered"].as_array().unwrap().len(), 2);
    assert_recovered(cluster, program);
}

/// A file system of a quarter of a MiB, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path) -> Option<Self> {
        let (mounted, said) = try_run("mount", &["-t", "tmpfs", "-o", "size=256k", "tmpfs", at.to_str().unwrap()]);
        can_run("docker", (!mounted).then_some(said)).then(|| Self(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        try_run("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

#[test]
fn recover_dry_run_prints_undo_commands_that_work_in_shell() {
    if !docker_is_here() {
        return;
    }
    for truth in [Truth::Journal, Truth::Marks] {
        // Every kind of character that Docker takes.
        let project = format!("Aa0_.-{}", support::unique()).leak();
        let data = "/a 'b' \"c\", $d;e";
        let (cluster, program) = start(&Options { project: Some(project), data, ..OWN_VOLUMES });
        break_all(&program);
        reduce(truth, &cluster, &program);
        run("docker", &["stop", "-t", "1", &cluster.nodes[2]]);
        let dry = program.run(&["recover", "--dry-run", "--json"]).ok().json();
        let rows = [&dry["recoverable"], &dry["unrecorded"]].map(|rows| rows.as_array().unwrap().clone()).concat();
        // Of the stopped node only the file is left to be found without a record.
        let expected = if let Truth::Journal = truth { 6 } else { 5 };
        assert_eq!(rows.len(), expected, "{dry}");
        let text = program.run(&["recover", "--dry-run"]).ok().stdout;
        for line in rows.iter().flat_map(|row| row["undo"].as_array().unwrap()) {
            let line = line.as_str().unwrap();
            assert!(text.contains(line), "{line} is not in {text}");
            // One that finds nothing to undo fails and does no harm.
            try_run("sh", &["-c", line]);
        }
        assert!(cluster.traces(0).is_empty() && cluster.traces(1).is_empty());
        for volume in &cluster.volumes {
            assert_eq!(cluster.fill_files(volume), Vec::<String>::new());
        }
        recover(&program);
        assert_recovered(&cluster, &program);
    }
}

#[test]
fn revert_every_session_ends_all_and_lists_undo_on_failure() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    let other = Program::new(Some(&cluster.project));
    program.inject(&["network_partition", "--target", "tikv0", "--ttl", "1h"]);
    program.inject(&["node_kill", "--target", "tikv2", "--ttl", "1h"]);
    let guard = program.guard().unwrap();
    other.inject(&["disk_pressure", "--target", "tikv1", "--fill-percent", "10", "--ttl", "none"]);
    let ran = program.run(&["revert", "--all", "--every-session", "--json"]).ok().json();
    assert_eq!((ran["reverted"].as_array().unwrap().len(), &ran["ok"]), (3, &true.into()), "{ran}");
    assert_eq!(cluster.inspect(2, "{{.State.Status}}"), "running");
    program.wait_for_guards_end(guard);
    other.run(&["recover"]).ok();
    assert_recovered(&cluster, &program);

    // What cannot be ended is listed with its undo, and the status tells.
    let injected = program.inject(&["network_partition", "--target", "tikv0", "--ttl", "none"]);
    let nowhere = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let ran = program.run_with(&["revert", "--all", "--every-session"], "", &nowhere);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains(injected["undo"][0].as_str().unwrap()), "{ran:?}");
    let again = program.run_with(&["revert", "--all", "--every-session"], "", &[]).ok();
    assert!(again.stdout.contains("reverted, read back and gone"), "{again:?}");
    assert_recovered(&cluster, &program);
}

/// Changes the one journal that there is.
fn tamper(program: &Program, change: impl Fn(&mut Value)) {
    let journal = journals(program).remove(0);
    let mut value: Value = serde_json::from_str(&fs::read_to_string(&journal).unwrap()).unwrap();
    change(&mut value["injections"][0]);
    fs::write(&journal, value.to_string()).unwrap();
}

#[test]
fn recover_refuses_tampered_or_world_writable_journal() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&OWN_VOLUMES);
    let bystander = cluster.run_stranger(&["--label", "tikv-chaos.role=ignore"]);
    run("docker", &["stop", "-t", "0", &bystander]);
    let id = run("docker", &["inspect", "-f", "{{.Id}}", &bystander]);

    let killed = program.inject(&["node_kill", "--target", "tikv0", "--ttl", "none"]);
    tamper(&program, |injection| {
        injection["metadata"]["container_id"] = id.as_str().into();
        injection["undo"] = json!(["touch /tmp/owned"]);
        injection["note"] = "\u{1b}[2J".into();
    });
    assert!(!program.run(&["recover", "--dry-run"]).ok().stdout.contains("touch"));
    assert!(!program.run(&["active"]).ok().stdout.contains('\u{1b}'));
    let ran = program.run(&["recover"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("no node of a TiKV cluster"), "{ran:?}");
    assert_eq!(run("docker", &["inspect", "-f", "{{.State.Status}}", &bystander]), "exited");
    let id = killed["metadata"]["container_id"].clone();
    tamper(&program, |injection| injection["metadata"]["container_id"] = id.clone());
    program.run(&["recover"]).ok();
    assert_eq!(cluster.inspect(0, "{{.State.Status}}"), "running");

    // A file of the same name on another volume.
    program.inject(&["disk_pressure", "--target", "tikv1", "--fill-percent", "10", "--ttl", "none"]);
    let ours = cluster.volumes[1].clone();
    tamper(&program, |injection| injection["metadata"]["mount"]["source"] = cluster.volumes[2].as_str().into());
    let ran = program.run(&["recover"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("has no mount of"), "{ran:?}");
    tamper(&program, |injection| injection["metadata"]["mount"]["source"] = ours.as_str().into());
    program.run(&["recover"]).ok();

    // One that others may write is not even read.
    program.inject(&["network_partition", "--target", "tikv1", "--ttl", "none"]);
    let journal = journals(&program).remove(0);
    let mode = |mode: u32| fs::set_permissions(&journal, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o666);
    let ran = program.run(&["recover"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("others can write it (mode 666)"), "{ran:?}");
    assert!(!cluster.traces(1).is_empty());
    mode(0o600);
    program.run(&["recover"]).ok();
    run("docker", &["rm", "-v", &bystander]);
    assert_recovered(&cluster, &program);
}
