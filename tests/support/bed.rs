//! A cluster and a state folder that many cases are run over, one after the other, and the look for anything of ours
//! after each. Shares no code with the engine: Docker's client, the kernel's own tools, the text of the journals.

use std::{
    collections::BTreeSet,
    fmt, fs,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use serde_json::Value;

use super::{
    Program, Ran,
    cluster::{Cluster, Options, traces_beside},
    run, try_run,
};

/// One kind of injection, on nodes of its own so that all of them can be made at the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    pub name: &'static str,
    /// What `inject` calls it.
    pub kind: &'static str,
    pub nodes: &'static [usize],
    pub args: &'static [&'static str],
    /// What is changed while it holds; where that is nothing, its deadline can be.
    pub change: &'static [&'static str],
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn fault(
    name: &'static str,
    nodes: &'static [usize],
    args: &'static [&'static str],
    change: &'static [&'static str],
) -> Fault {
    Fault { name, kind: name, nodes, args, change }
}

/// Every type of fault. A further type is a further line.
pub const FAULTS: [Fault; 12] = [
    fault("node_kill", &[2], &[], &[]),
    fault("network_partition", &[0], &[], &["--reject"]),
    fault("disk_pressure", &[1], &["--fill-percent", "10"], &["--fill-percent", "20"]),
    fault("latency", &[3], &[], &["--max-ms", "300"]),
    fault("packet_loss", &[4], &[], &["--percent", "40"]),
    fault("packet_duplicate", &[5], &["--direction", "in"], &["--percent", "30"]),
    fault("packet_corrupt", &[6], &["--to", "tikv"], &["--percent", "20"]),
    fault("packet_reorder", &[7], &[], &["--percent", "50"]),
    fault("bandwidth", &[8], &["--direction", "both"], &["--rate-kbit", "2000"]),
    fault("node_pause", &[9], &[], &[]),
    fault("node_stop", &[10], &["--timeout-s", "1"], &[]),
    // An act of two members, which is made whole or not at all.
    Fault { kind: "packet_loss", ..fault("a group", &[11, 12], &["--percent", "10"], &["--percent", "30"]) },
];

/// Those that change the container's state, which a restart under the program's hands takes back.
pub fn is_of_state(fault: &Fault) -> bool {
    fault.name.starts_with("node_")
}

/// Helpers that hold nothing stay for the next case.
pub const HELPERS_STAY: &str = "HelpersStay=return";

pub struct Bed {
    pub cluster: Cluster,
    pub program: Program,
}

impl Bed {
    pub fn make() -> Self {
        let options = Options { own_volumes_mib: Some(256), apart: true, ..Options::default() };
        let cluster = Cluster::start(&options);
        let program = Program::new(Some(&cluster.project));
        Self { cluster, program }
    }

    /// One with a node for each type of fault.
    pub fn for_all_faults() -> Self {
        let mut bed = Self::make();
        let numbers = bed.cluster.nodes.len()..=FAULTS.iter().flat_map(|fault| fault.nodes).copied().max().unwrap();
        let cluster = &bed.cluster;
        let further: Vec<String> = std::thread::scope(|scope| {
            let run = |number| scope.spawn(move || cluster.run_further(number, &["--network", &cluster.networks[0]]));
            let running: Vec<_> = numbers.map(run).collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        bed.cluster.nodes.extend(further);
        bed
    }

    /// The types of fault that this kernel can make on one node, each tried.
    pub fn possible(&self) -> Vec<Fault> {
        let is_possible = |fault: &Fault| {
            let ran = self.program.run(&[&self.inject_on(fault.nodes[0] % 2, fault, "10m")[..], &["--json"]].concat());
            assert!(ran.status == 0 || ran.stdout.contains("netem"), "{ran:?}");
            if ran.status == 0 {
                self.program.run(&["revert", ran.json()["id"].as_str().unwrap()]).ok();
            }
            ran.status == 0
        };
        FAULTS.into_iter().filter(|fault| fault.nodes.len() == 1 && is_possible(fault)).collect()
    }

    pub fn inject<'a>(&'a self, fault: &Fault, ttl: &'a str) -> Vec<&'a str> {
        let targets = fault.nodes.iter().flat_map(|node| ["--target", self.cluster.nodes[*node].as_str()]);
        ["inject", fault.kind, "--force", "--ttl", ttl]
            .into_iter()
            .chain(targets)
            .chain(fault.args.iter().copied())
            .collect()
    }

    /// The change of an injection.
    pub fn change<'a>(&'a self, fault: &Fault, id: &'a str, ttl: &'a str) -> Vec<&'a str> {
        let deadline = ["--ttl", ttl];
        let given = if fault.change.is_empty() { &deadline[..] } else { fault.change };
        [&["change", id, "--force"][..], given].concat()
    }

    /// [`Self::inject`] on another node than the fault's own.
    fn inject_on<'a>(&'a self, node: usize, fault: &Fault, ttl: &'a str) -> Vec<&'a str> {
        let target = self.cluster.nodes[node].as_str();
        [&["inject", fault.kind, "--force", "--ttl", ttl, "--target", target], fault.args].concat()
    }

    /// Starts the program with these arguments and this environment.
    pub fn spawn(&self, args: &[&str], env: &[(&str, &str)]) -> Child {
        spawn(&self.program, args, env)
    }

    /// The states that the journals say, as text.
    pub fn recorded(&self) -> Vec<String> {
        let files = fs::read_dir(self.program.state.path().join("sessions")).into_iter().flatten().flatten();
        let journals = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
        let mut states = Vec::new();
        for path in journals {
            // One that goes meanwhile has nothing open.
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let journal: Value = serde_json::from_str(&text).unwrap();
            let injections = journal["injections"].as_array().unwrap();
            states.extend(injections.iter().map(|one| one["state"].as_str().unwrap().to_owned()));
        }
        states
    }

    /// Those of them that say that there may be something to undo.
    pub fn open(&self) -> Vec<String> {
        let closed = ["clean", "failed", "lost"];
        self.recorded().into_iter().filter(|state| !closed.contains(&state.as_str())).collect()
    }

    /// The guards of this state folder that run.
    pub fn guards(&self) -> Vec<i32> {
        guards(&self.program)
    }

    pub fn wait_for_no_guard(&self) {
        wait_for_no_guard(&self.program);
    }

    pub fn kill_guards(&self) {
        for guard in self.guards() {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(guard), Signal::SIGKILL);
        }
        self.wait_for_no_guard();
    }

    /// What is left of ours or out of its place in the kernel, on the volumes and in Docker.
    pub fn faults_left(&self) -> Vec<String> {
        let cluster = &self.cluster;
        let mut left = Vec::new();
        let nodes: Vec<&str> = cluster.nodes.iter().map(String::as_str).collect();
        let states = run("docker", &[&["inspect", "-f", "{{.State.Status}} {{.State.Pid}}"], &nodes[..]].concat());
        for (node, state) in nodes.iter().zip(states.lines()) {
            match state.split_once(' ') {
                Some(("running", pid)) => {
                    let traces = traces_beside(pid).into_iter();
                    left.extend(traces.map(|line| format!("in the kernel of {node}: {line}")));
                }
                _ => left.push(format!("{node} is {state}: {}", try_run("docker", &["logs", "--tail", "4", node]).1)),
            }
        }
        left.extend(cluster.all_fill_files());
        left
    }

    /// The same, with records and guards. Whatever runs has the time to end.
    pub fn left_but_helpers(&self) -> Vec<String> {
        let mut left = self.faults_left();
        left.extend(self.recorded().into_iter().map(|state| format!("the journal says {state}")));
        left.extend(gone("guards", &|| usize::from(is_guarded(&self.program))));
        left
    }

    /// The same, with helpers.
    pub fn left(&self) -> Vec<String> {
        let mut left = self.left_but_helpers();
        left.extend(gone("helpers", &|| self.cluster.holders().len()));
        left
    }

    /// Whether each of these faults finds a helper beside its node.
    pub fn has_helpers(&self, faults: &[Fault]) -> bool {
        let nodes = faults.iter().filter(|fault| !is_of_state(fault)).flat_map(|fault| fault.nodes);
        let nodes: Vec<&str> = nodes.map(|node| self.cluster.nodes[*node].as_str()).collect();
        let filters = ["--filter", "label=tikv-chaos.role=holder", "--filter", "status=running"];
        let beside =
            run("docker", &[&["ps", "--format", "{{.Label \"tikv-chaos.target-name\"}}"], &filters[..]].concat());
        let beside: BTreeSet<&str> = beside.lines().collect();
        nodes.iter().all(|node| beside.contains(node))
    }

    pub fn remove_helpers(&self) {
        self.all_helpers(&["rm", "-f"]);
    }

    /// Does this to every helper. One that ended meanwhile needs it no more.
    pub fn all_helpers(&self, verb: &[&str]) {
        let helpers = self.cluster.holders();
        let helpers: Vec<&str> = helpers.iter().map(String::as_str).collect();
        if !helpers.is_empty() {
            try_run("docker", &[verb, &helpers].concat());
        }
    }

    /// Removes the journals of a bed where nothing is left.
    pub fn forget(&self) {
        let sessions = fs::read_dir(self.program.state.path().join("sessions")).into_iter().flatten().flatten();
        for session in sessions {
            // A program that ends removes its own.
            let _ = fs::remove_file(session.path());
        }
    }

    /// Makes the bed fit for the next case by whatever it takes.
    pub fn repair(&self) {
        self.program.run(&["recover", "--held"]);
        self.kill_guards();
        self.remove_helpers();
        self.forget();
        let nodes: Vec<&str> = self.cluster.nodes.iter().map(String::as_str).collect();
        // A new life, without whatever stood in the kernel.
        run("docker", &[&["restart", "-t", "0"], &nodes[..]].concat());
        assert_eq!(self.cluster.all_fill_files(), Vec::<String>::new(), "the volumes cannot be repaired");
    }
}

/// Starts the program with these arguments and this environment.
pub fn spawn(program: &Program, args: &[&str], env: &[(&str, &str)]) -> Child {
    let mut command = program.command(args);
    command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// The guards of the program's state folder that run, by the kernel's list.
fn guards(program: &Program) -> Vec<i32> {
    let state = program.state.path().to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let guards = processes.filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let line = fs::read_to_string(process.path().join("cmdline")).ok()?;
        let mut words = line.split('\0').skip(1);
        (words.next() == Some("guard") && words.any(|word| word == state)).then_some(pid)
    });
    guards.collect()
}

/// Whether one runs, by its lock too: between its two shapes a guard has no command line.
fn is_guarded(program: &Program) -> bool {
    let files = fs::read_dir(program.state.path().join("sessions")).into_iter().flatten().flatten();
    let mut locks = files.filter(|file| file.file_name().to_str().is_some_and(|name| name.starts_with("guard-")));
    let is_held = |file: fs::DirEntry| fs::File::open(file.path()).is_ok_and(|file| file.try_lock_shared().is_err());
    locks.any(is_held) || !guards(program).is_empty()
}

/// Waits for the deadline of everything, and for the guard to keep it.
pub fn wait_for_no_guard(program: &Program) {
    let start = Instant::now();
    while is_guarded(program) {
        assert!(start.elapsed() < Duration::from_secs(600), "waited ten minutes for the guard to be gone");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// How many there are, unless they go within half a minute.
fn gone(what: &str, count: &dyn Fn() -> usize) -> Option<String> {
    let start = Instant::now();
    while count() > 0 {
        if start.elapsed() > Duration::from_secs(30) {
            return Some(format!("{what}: {}", count()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

/// Waits for the program's end: whether it was killed, and what it said.
pub fn ended(child: Child) -> (bool, Ran) {
    let output = child.wait_with_output().unwrap();
    let ran = Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    (output.status.signal() == Some(Signal::SIGKILL as i32), ran)
}

/// Waits until the program has stopped itself, or ended; whether it stopped.
pub fn stopped(child: &Child) -> bool {
    let id = Id::Pid(Pid::from_raw(child.id().cast_signed()));
    // Left to be waited for by whoever wants to know how it ended.
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    matches!(waitid(id, flags).unwrap(), WaitStatus::Stopped(..))
}

pub fn go_on(child: &Child) {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGCONT).unwrap();
}
