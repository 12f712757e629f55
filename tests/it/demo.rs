//! The stand-in cluster as a user meets it: up with one command, hurt as TiKV is hurt, down without a trace.

use std::{process::Stdio, time::Instant};

use support::{
    Program,
    demo::{Demo, Port},
    docker_is_here, outcome, proxy,
    pty::Terminal,
    run, slice, try_run, unique, wait_for,
};

const STORES: [&str; 3] = ["tikv0", "tikv1", "tikv2"];
const NODES: [&str; 7] = ["pd0", "pd1", "pd2", "tikv0", "tikv1", "tikv2", "load"];

/// A store that leads something.
fn a_leader(demo: &Demo) -> &'static str {
    wait_for("a store with leaders", || STORES.into_iter().find(|host| demo.leaders(host) > Some(0)))
}

fn healthy(demo: &Demo) {
    wait_for("every store Up and leading", || {
        STORES
            .iter()
            .all(|host| demo.state(host).as_deref() == Some("Up") && demo.leaders(host) > Some(0))
            .then_some(())
    });
}

fn inject(demo: &Demo, args: &[&str]) -> String {
    demo.program.inject(args)["id"].as_str().unwrap().to_owned()
}

fn revert(demo: &Demo, id: &str) {
    demo.program.run(&["revert", id]).ok();
}

/// A slice of what the proof goes through at TiKV's own pace, and what needs a disk, a quorum or netem.
#[test]
fn demo_faults_show_tikv_symptoms_and_heal() {
    if !docker_is_here() {
        return;
    }
    let rate = 200.0;
    let demo = Demo::up(&["--speed", "10", "--rate", &rate.to_string()]);
    for case in outcome::slice(slice()) {
        outcome::assert_outcome(&demo, &case, rate);
    }
    delayed(&demo);
    filled(&demo);
    a_member_of_pd_lost(&demo);
    demo.program.run(&["demo", "down", "--name", &demo.name]).ok();
    let left = run("docker", &["ps", "-aq", "--filter", &format!("label=tikv-chaos.demo={}", demo.name)]);
    assert_eq!(left, "");
}

/// Needs netem, which not every kernel has: elsewhere the refusal is what is seen, and nothing changes.
fn delayed(demo: &Demo) {
    let balanced = || STORES.iter().all(|host| demo.leaders(host) == Some(2));
    wait_for("every store to lead two regions", || balanced().then_some(()));
    let host = STORES[0];
    let args = ["inject", "--json", "latency", "--min-ms", "20", "--max-ms", "40", "--target", &demo.container(host)];
    let ran = demo.program.run(&args);
    if ran.status == 0 {
        assert_eq!((demo.state(host).as_deref(), demo.status_port(host)), (Some("Up"), Port::Answers(200)));
        revert(demo, ran.json()["id"].as_str().unwrap());
    } else {
        assert!(ran.stderr.contains("netem"), "{ran:?}");
    }
    assert!(demo.leaders(host) > Some(0));
}

fn filled(demo: &Demo) {
    let host = a_leader(demo);
    let available = || demo.metric(host, "tikv_store_size_bytes", &["type=\"available\""]).unwrap();
    let before = available();
    let id = inject(demo, &["disk_pressure", "--target", &demo.container(host)]);
    wait_for("its disk to be almost full", || demo.logs(host).contains("disk usage Normal->AlmostFull").then_some(()));
    wait_for("its leaders to go where there is room", || (demo.leaders(host) == Some(0)).then_some(()));
    assert!(available() < before / 2.0);
    assert_eq!((demo.state(host).as_deref(), demo.status_port(host)), (Some("Up"), Port::Answers(200)));
    revert(demo, &id);
    wait_for("its disk to have room", || demo.logs(host).contains("disk usage AlmostFull->Normal").then_some(()));
    healthy(demo);
}

/// One of three is nobody's loss; the second would be everybody's, and is refused.
fn a_member_of_pd_lost(demo: &Demo) {
    let id = inject(demo, &["node_kill", "--target", &demo.container("pd2")]);
    healthy(demo);
    let second = demo.program.run(&["inject", "node_kill", "--target", &demo.container("pd1")]);
    assert_eq!(second.status, 3, "{second:?}");
    assert!(second.stderr.contains("this leaves 1 of 3 PD members reachable"), "{second:?}");
    assert_eq!(demo.inspect("pd1", "{{.State.Status}}"), "running");
    revert(demo, &id);
    // Two of three stores and one member of PD, which comes last and would be fine.
    let mixed = refused(demo, "node_kill", &[STORES[0], STORES[1], "pd0"]);
    assert!(mixed.contains("1 of 3 stores reachable"), "{mixed}");
    // They keep one another, and no store reaches any of them.
    let all = refused(demo, "network_partition", &["pd0", "pd1", "pd2"]);
    assert!(all.contains("0 of 3 PD members reachable"), "{all}");
    healthy(demo);
}

/// What is said where the fault is refused on all of them.
fn refused(demo: &Demo, fault: &str, hosts: &[&str]) -> String {
    let targets: Vec<String> = hosts.iter().map(|host| demo.container(host)).collect();
    let targets = targets.iter().flat_map(|target| ["--target", target.as_str()]);
    let args: Vec<&str> = ["inject", fault].into_iter().chain(targets).collect();
    let ran = demo.program.run(&args);
    assert_eq!(ran.status, 3, "{ran:?}");
    ran.stderr
}

/// As on a laptop without a network: a name that is looked up gets no answer.
#[test]
fn demo_throughput_comes_back_after_each_kill_without_dns() {
    if !docker_is_here() {
        return;
    }
    let demo = Demo::up(&["--speed", "10"]);
    healthy(&demo);
    NODES.iter().for_each(|host| demo.cut_dns(host));
    let before = writes_per_second(&demo, &STORES, "writes before anything is injected");
    for host in STORES {
        let id = inject(&demo, &["node_kill", "--target", &demo.container(host)]);
        let rest: Vec<&str> = STORES.into_iter().filter(|other| *other != host).collect();
        let what = format!(
            "three quarters of {before:.0} writes/s while {host} is dead, which takes two elections, so 4 s at this speed"
        );
        wait_for(&what, || (writes_per_second(&demo, &rest, &what) >= 0.75 * before).then_some(()));
        assert_eq!(demo.inspect(host, "{{.State.Status}}"), "exited", "it came back by itself");
        let asking = NODES.iter().filter(|node| **node != host && demo.dns_packets(node) > 0);
        assert_eq!(asking.collect::<Vec<_>>(), Vec::<&&str>::new(), "these asked DNS for a name");
        revert(&demo, &id);
        healthy(&demo);
        demo.cut_dns(host);
    }
}

/// Over the next hundred writes that a quorum agrees on.
fn writes_per_second(demo: &Demo, stores: &[&str], what: &str) -> f64 {
    let (begun, before) = (Instant::now(), demo.agreed(stores));
    let writes = wait_for(what, || Some(demo.agreed(stores) - before).filter(|writes| *writes >= 100.0));
    writes / begun.elapsed().as_secs_f64()
}

#[test]
fn demo_nodes_keep_their_addresses_when_restarted_in_another_order() {
    if !docker_is_here() {
        return;
    }
    let demo = Demo::up(&["--speed", "10", "--rate", "0"]);
    healthy(&demo);
    let addresses = || NODES.map(|host| demo.ip(host));
    let before = addresses();
    // Without the load, which keeps the stores' volumes.
    let mut containers: Vec<String> = NODES[..6].iter().map(|host| demo.container(host)).collect();
    let docker = |command: &str, containers: &[String]| {
        let names = containers.iter().map(String::as_str);
        run("docker", &std::iter::once(command).chain(names).collect::<Vec<_>>());
    };
    docker("stop", &containers);
    // What joins the network meanwhile takes none of them. It goes with the demo.
    let image = demo.inspect("load", "{{.Config.Image}}");
    let label = format!("tikv-chaos.demo={}", demo.name);
    let made = ["run", "-d", "--network", &demo.project, "--label", &label, "--entrypoint", "/tikv-chaos", &image];
    let guest = run("docker", &[&made[..], &["demo-node", "load", "--pd=pd0:2379", "--rate=0"]].concat());
    let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let its = run("docker", &["inspect", "-f", template, &guest]);
    assert!(!its.is_empty() && !before.contains(&its), "{its} is a node's: {before:?}");
    containers.reverse();
    docker("start", &containers);
    run("docker", &["restart", &demo.container("load")]);
    assert_eq!(addresses(), before);
    healthy(&demo);
}

#[test]
fn demo_up_on_conflict_makes_nothing_and_down_removes_all() {
    if !docker_is_here() {
        return;
    }
    let demo = Demo::up(&["--speed", "10", "--rate", "0", "--as", "7.5.6"]);
    let stores = demo.pd("/pd/api/v1/stores").unwrap();
    assert_eq!(stores["stores"][0]["store"]["version"], "7.5.6-standin");
    let again = demo.program.run(&["demo", "up", "--name", &demo.name]);
    assert_eq!(again.status, 3);
    assert!(again.stderr.contains("is there already") && again.stderr.contains("demo down"), "{again:?}");

    let status = demo.program.run(&["demo", "status", "--json", "--name", &demo.name]).ok().json();
    assert_eq!(status["stores_up"], 3);
    assert_eq!(status["found"]["containers"].as_array().unwrap().len(), 7);

    // A port that somebody listens on.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let other = format!("{}x", demo.name);
    let refused = demo.program.run(&["demo", "up", "--name", &other, "--pd-port", &port]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("choose another --pd-port"), "{refused:?}");
    assert_nothing_of(&other);

    // A container of somebody else under one of its names.
    let foreign = format!("{other}-tikv1");
    let image = demo.inspect("tikv0", "{{.Config.Image}}");
    run("docker", &["create", "--name", &foreign, &image, "nothing"]);
    let refused = demo.program.run(&["demo", "up", "--name", &other]);
    assert!(try_run("docker", &["rm", &foreign]).0, "it is still there");
    assert_eq!(refused.status, 3);
    assert!(refused.stderr.contains(&foreign) && refused.stderr.contains("--name"), "{refused:?}");
    assert_nothing_of(&other);

    // Down takes what is injected with it, and a second time finds nothing.
    inject(&demo, &["network_partition", "--target", &demo.container("tikv0")]);
    demo.program.run(&["demo", "down", "--name", &demo.name]).ok();
    assert!(demo.program.active().is_empty());
    assert_nothing_of(&demo.name);
    let nothing = demo.program.run(&["demo", "down", "--name", &demo.name]).ok();
    assert!(nothing.stdout.contains("there is no demo"), "{nothing:?}");
}

#[test]
fn demo_down_removes_relay_of_killed_watch() {
    if !docker_is_here() {
        return;
    }
    let demo = Demo::up(&["--speed", "10", "--rate", "0"]);
    let relays = || {
        let network = format!("network={}", demo.project);
        run("docker", &["ps", "-aq", "--filter", "label=tikv-chaos.role=holder", "--filter", &network])
    };
    let mut command = demo.program.command(&["watch", "--json"]);
    let mut looking = command.env("DOCKER_HOST", proxy::over_tcp()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("a relay in the demo's network", || (!relays().is_empty()).then_some(()));
    // Nobody says good-bye for a program that is killed.
    looking.kill().unwrap();
    looking.wait().unwrap();
    demo.program.run(&["demo", "down", "--name", &demo.name]).ok();
    assert_eq!(relays(), "");
    assert_nothing_of(&demo.name);
}

#[test]
fn demo_screen_shows_three_stores_and_takes_demo_down_on_quit() {
    if !docker_is_here() {
        return;
    }
    let name = format!("t{}", unique());
    let demo = Demo { name: name.clone(), project: format!("tikv-chaos-{name}"), program: Program::new(None) };
    let args = ["demo", "--name", &name, "--speed", "10"];
    let mut terminal = Terminal::open_args(&demo.program, (40, 120), &args);
    let screen = terminal.wait_text("3/3 stores up");
    for host in STORES {
        let row = screen.lines().find(|line| line.contains(&format!("{name}-{host}")) && line.contains("● Up"));
        assert!(row.is_some(), "{screen}");
    }
    terminal.send("q");
    let asked = terminal.wait_text(&format!("Quit with the demo {name} up?"));
    assert!(asked.contains("[d] take the demo down and quit"), "{asked}");
    terminal.send("d");
    let said = terminal.wait_success();
    assert!(said.contains(&format!("the demo {name} is gone")), "{said}");
    assert_nothing_of(&name);
}

fn assert_nothing_of(name: &str) {
    let filter = format!("label=tikv-chaos.demo={name}");
    for list in [["ps", "-aq"], ["volume", "ls"], ["network", "ls"]] {
        let quiet = if list[0] == "ps" { "--no-trunc" } else { "-q" };
        assert_eq!(run("docker", &[list[0], list[1], quiet, "--filter", &filter]), "", "{list:?}");
    }
}

#[test]
fn demo_rejects_bad_options_before_asking_docker() {
    let program = Program::new(None);
    let nowhere = [("DOCKER_HOST", "unix:///nowhere.sock")];
    let cases = [
        (&["demo", "up", "--nodes", "2"][..], "--nodes"),
        (&["demo", "up", "--speed", "0.5"], "allowed: 1 to 50"),
        (&["demo", "--name", "../x", "up"], "a letter or digit first"),
        (&["demo", "up", "--rate", "many"], "--rate"),
        (&["demo", "up", "--as", "5.4.0"], "allowed: a release from 6.5 to 8.5"),
        (&["demo", "up", "--as", "8.5"], "--as cannot be \"8.5\""),
    ];
    for (args, expected) in cases {
        let ran = program.run_with(args, "", &nowhere);
        assert_eq!(ran.status, 2, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(expected) && ran.stderr.lines().count() == 1, "{args:?}: {ran:?}");
    }
    let ran = program.run_with(&["demo"], "", &nowhere);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("needs a terminal"), "{ran:?}");
}
