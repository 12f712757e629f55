//! The stand-in cluster's figures, printed: `cargo bench --bench demo`. Nothing here passes or fails.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use support::{Program, demo::Demo, docker_is_here, proc, unique};

const ROUNDS: usize = 5;
const IDLE: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_secs(20);
const NODES: [&str; 6] = ["pd0", "pd1", "pd2", "tikv0", "tikv1", "tikv2"];

fn main() {
    if !docker_is_here() {
        return;
    }
    for _ in 0..ROUNDS {
        up();
    }
    let demo = Demo::up(&["--rate", "0"]);
    idle(&demo);
    reader(&demo);
}

/// From the command to every store `Up`, and from the command to the last container's start: with the image's making,
/// as on a machine that never saw it.
fn up() {
    let name = format!("b{}", unique());
    let program = Program::new(None);
    let start = Instant::now();
    let mut command = program.command(&["demo", "up", "--name", &name]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut made = None;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        if line.unwrap().contains("waiting for the stores") {
            made = Some(start.elapsed());
        }
    }
    assert!(child.wait().unwrap().success());
    let (all, made) = (start.elapsed().as_secs_f64(), made.unwrap().as_secs_f64());
    program.run(&["demo", "down", "--name", &name]).ok();
    println!("demo up: every store Up after {all:.2} s, of which image, network, volumes and containers {made:.2} s");
}

/// What six nodes cost while nobody asks them anything.
fn idle(demo: &Demo) {
    let pids: Vec<u32> = NODES.iter().map(|host| demo.inspect(host, "{{.State.Pid}}").parse().unwrap()).collect();
    thread::sleep(SETTLE);
    let spent = || pids.iter().map(|pid| proc::cpu_time(*pid)).sum::<Duration>();
    let before = spent();
    thread::sleep(IDLE);
    let percent = 100.0 * (spent() - before).as_secs_f64() / IDLE.as_secs_f64();
    println!("six idle nodes: {percent:.2} % of a core together over {} s", IDLE.as_secs());
    for (host, pid) in NODES.iter().zip(&pids) {
        println!("six idle nodes: {host} has {} resident", proc::resident(*pid));
    }
}

/// What reading PD and six status ports once a second costs the program.
fn reader(demo: &Demo) {
    let mut child = demo.program.command(&["watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let lines = thread::spawn(move || BufReader::new(output).lines().count());
    thread::sleep(SETTLE);
    let before = proc::cpu_time(child.id());
    thread::sleep(IDLE);
    let percent = 100.0 * (proc::cpu_time(child.id()) - before).as_secs_f64() / IDLE.as_secs_f64();
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = lines.join().unwrap();
    println!("watch --json over six nodes: {percent:.3} % of a core over {} s, {lines} documents", IDLE.as_secs());
}
