//! The stand-in cluster's figures, printed: `cargo bench --bench demo`. Nothing here passes or fails.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use support::{demo::Demo, docker_is_here, proc, program_path, run, unique};

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

/// From the command to every store `Up`, and what of it is spent on what. The program is a new copy of itself, so that its image
/// is made as on a machine that never saw it.
fn up() {
    let (name, folder) = (format!("b{}", unique()), tempfile::tempdir().unwrap());
    let copy = folder.path().join("tikv-chaos");
    fs::copy(program_path(), &copy).unwrap();
    let demo = |args: &[&str]| {
        let mut command = Command::new(&copy);
        command.arg("demo").args(args).args(["--name", &name, "--state-dir"]).arg(folder.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let start = Instant::now();
    let up: serde_json::Value = serde_json::from_slice(&demo(&["up", "--json"])).unwrap();
    let all = start.elapsed().as_secs_f64();
    let image = run("docker", &["inspect", "-f", "{{.Config.Image}}", &format!("{name}-pd0")]);
    demo(&["down"]);
    run("docker", &["image", "rm", &image]);
    let part = |part: &str| up["seconds"][part].as_f64().unwrap();
    println!(
        "demo up: every store Up after {all:.2} s: image {:.2}, network and volumes {:.2}, containers {:.2}, stores {:.2}",
        part("image"),
        part("network"),
        part("containers"),
        part("stores")
    );
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
