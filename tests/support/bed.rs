//! A cluster and a state folder that many cases are run over, one after the other, and the look for anything of ours
//! after each. Shares no code with the engine: Docker's client, the kernel's own tools, the text of the journals.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Stdio},
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
    cluster::{Cluster, Options},
    run, try_run, wait_for,
};

/// One kind of injection, on a node of its own so that all of them can be made at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    pub name: &'static str,
    pub node: usize,
    pub args: &'static [&'static str],
}

/// Every type of fault. A further type is a further line.
pub const FAULTS: [Fault; 11] = [
    Fault { name: "node_kill", node: 2, args: &[] },
    Fault { name: "network_partition", node: 0, args: &[] },
    Fault { name: "disk_pressure", node: 1, args: &["--fill-percent", "10"] },
    Fault { name: "latency", node: 3, args: &[] },
    Fault { name: "packet_loss", node: 4, args: &[] },
    Fault { name: "packet_duplicate", node: 5, args: &["--direction", "in"] },
    Fault { name: "packet_corrupt", node: 6, args: &["--to", "tikv"] },
    Fault { name: "packet_reorder", node: 7, args: &[] },
    Fault { name: "bandwidth", node: 8, args: &["--direction", "both"] },
    Fault { name: "node_pause", node: 9, args: &[] },
    Fault { name: "node_stop", node: 10, args: &["--timeout-s", "1"] },
];

/// Those that change the container's state, which a restart under the program's hands takes back.
pub fn is_of_state(fault: &Fault) -> bool {
    fault.name.starts_with("node_")
}

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

    /// One with a node for each of these types of fault.
    pub fn for_faults(faults: &[Fault]) -> Self {
        let mut bed = Self::make();
        bed.add_nodes(faults);
        bed
    }

    fn add_nodes(&mut self, faults: &[Fault]) {
        let cluster = &mut self.cluster;
        for number in cluster.nodes.len()..=faults.iter().map(|fault| fault.node).max().unwrap_or_default() {
            let further = cluster.run_further(number, &["--network", &cluster.networks[0]]);
            cluster.nodes.push(further);
        }
    }

    /// The types of fault that this kernel can make, each tried; and the nodes for them.
    pub fn possible(&mut self) -> Vec<Fault> {
        let is_possible = |fault: &Fault| {
            let fault = Fault { node: fault.node % 2, ..*fault };
            let ran = self.program.run(&[&self.inject(&fault, "10m")[..], &["--json"]].concat());
            assert!(ran.status == 0 || ran.stdout.contains("netem"), "{ran:?}");
            if ran.status == 0 {
                self.program.run(&["revert", ran.json()["id"].as_str().unwrap()]).ok();
            }
            ran.status == 0
        };
        let possible: Vec<Fault> = FAULTS.into_iter().filter(is_possible).collect();
        self.add_nodes(&possible);
        possible
    }

    pub fn inject<'a>(&'a self, fault: &Fault, ttl: &'a str) -> Vec<&'a str> {
        let target = self.cluster.nodes[fault.node].as_str();
        [&["inject", fault.name, "--force", "--target", target, "--ttl", ttl], fault.args].concat()
    }

    /// Starts the program with these arguments and this environment.
    pub fn spawn(&self, args: &[&str], env: &[(&str, &str)]) -> Child {
        let mut command = self.program.command(args);
        command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
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

    /// The guards of this state folder that run, by the kernel's list.
    pub fn guards(&self) -> Vec<i32> {
        let state = self.program.state.path().to_str().unwrap().to_owned();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let guards = processes.filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let line = fs::read_to_string(process.path().join("cmdline")).ok()?;
            let words: Vec<&str> = line.split('\0').collect();
            (words.get(1) == Some(&"guard") && words.contains(&state.as_str())).then_some(pid)
        });
        guards.collect()
    }

    pub fn wait_for_no_guard(&self) {
        wait_for("the guard to be gone", || self.guards().is_empty().then_some(()));
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
                    let traces = cluster.traces_beside(pid).into_iter();
                    left.extend(traces.map(|line| format!("in the kernel of {node}: {line}")));
                }
                _ => left.push(format!("{node} is {state}: {}", try_run("docker", &["logs", "--tail", "4", node]).1)),
            }
        }
        left.extend(cluster.all_fill_files());
        left
    }

    /// The same, with records, guards and helpers. Whatever runs has the time to end.
    pub fn left(&self) -> Vec<String> {
        let mut left = self.faults_left();
        left.extend(self.recorded().into_iter().map(|state| format!("the journal says {state}")));
        let gone = |what: &str, count: &dyn Fn() -> usize| -> Option<String> {
            for _ in 0..200 {
                if count() == 0 {
                    return None;
                }
                std::thread::sleep(std::time::Duration::from_millis(25));
            }
            Some(format!("{what}: {}", count()))
        };
        left.extend(gone("guards", &|| self.guards().len()));
        left.extend(gone("helpers", &|| self.cluster.holders().len()));
        left
    }

    pub fn remove_helpers(&self) {
        for helper in self.cluster.holders() {
            try_run("docker", &["rm", "-f", &helper]);
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
        for (at, node) in self.cluster.nodes.iter().enumerate() {
            // A new life, without whatever stood in the kernel.
            run("docker", &["restart", "-t", "0", node]);
            if let Some(volume) = self.cluster.volumes.get(at) {
                assert_eq!(self.cluster.fill_files(volume), Vec::<String>::new(), "{node} cannot be repaired");
            }
        }
    }
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
