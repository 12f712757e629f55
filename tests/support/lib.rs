//! What the tests stand on: a real cluster in containers, the program as a user runs it, and a reader of truth that
//! shares no code with the engine (the Docker client, nsenter, tc, iptables-save).
//!
//! Everything made here bears the label `tikv-chaos-test=<unique>` and goes when the value is dropped.

pub mod alike;
pub mod bed;
pub mod by_host;
pub mod cluster;
pub mod daemon;
pub mod demo;
pub mod fake;
pub mod faulty;
pub mod guest;
pub mod guest_tests;
pub mod holder;
pub mod http;
pub mod linear;
pub mod netem;
pub mod netns;
pub mod outcome;
pub mod packets;
pub mod podman;
pub mod proc;
pub mod proxy;
pub mod pty;
pub mod standin;
pub mod states;
mod times;
pub mod tls;
pub mod traffic;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

/// The program under test: what cargo names when it runs a test, else the one that it built beside the test or benchmark.
pub fn program_path() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let beside = || {
            let this = std::env::current_exe().unwrap();
            this.parent().and_then(Path::parent).unwrap().join("tikv-chaos")
        };
        let program = std::env::var_os("CARGO_BIN_EXE_tikv-chaos").map_or_else(beside, PathBuf::from);
        assert!(program.exists(), "{} is missing: run the tests with cargo", program.display());
        program
    });
    times::begin();
    &PROGRAM
}

/// Where random tests begin: the same in each run, unless `TIKV_CHAOS_SEED` is a number of one's own or `random`.
pub fn seed() -> u64 {
    let asked = std::env::var("TIKV_CHAOS_SEED").unwrap_or_else(|_| "1".to_owned());
    let seed = if asked == "random" { rand::random() } else { asked.parse().expect("TIKV_CHAOS_SEED is a number") };
    println!("TIKV_CHAOS_SEED={seed}");
    seed
}

/// Which part of a proof a test goes through that does not go through all of it: `TIKV_CHAOS_SLICE`, a number, printed.
pub fn slice() -> u64 {
    let slice = std::env::var("TIKV_CHAOS_SLICE").unwrap_or_else(|_| "1".to_owned());
    println!("TIKV_CHAOS_SLICE={slice}");
    slice.parse().expect("TIKV_CHAOS_SLICE is a number")
}

/// Whether the test can run. Where it can't, it says so on standard error, and fails if `TIKV_CHAOS_REQUIRE` names
/// what is missing.
pub fn can_run(needs: &str, missing: Option<String>) -> bool {
    times::begin();
    let Some(reason) = missing else { return true };
    let required = std::env::var("TIKV_CHAOS_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == needs), "{needs} is required and missing: {reason}");
    // Not eprintln!, which the test runner keeps to itself where a test passes.
    let _ = writeln!(std::io::stderr(), "NOT RUN, for want of {needs}: {reason}");
    false
}

/// Whether there is a Docker to test with, and etcd to make a cluster of.
pub fn docker_is_here() -> bool {
    let missing = if !try_run("docker", &["version", "--format", "{{.Server.Version}}"]).0 {
        Some("`docker version` fails".to_owned())
    } else if !Path::new(cluster::ETCD).exists() {
        Some(format!("{} is not there (Debian: etcd-server)", cluster::ETCD))
    } else {
        None
    };
    can_run("docker", missing)
}

/// Runs a command to its end: whether it succeeded, and what it printed on both streams.
pub fn try_run(program: &str, args: &[&str]) -> (bool, String) {
    match Command::new(program).args(args).stdin(Stdio::null()).output() {
        Ok(output) => (output.status.success(), both(&output)),
        Err(error) => (false, error.to_string()),
    }
}

/// Runs a command that must succeed, and gives its standard output.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", both(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Waits until the condition gives a value. The limit is for a machine in trouble, not a measurement.
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_up_to(Duration::from_secs(180), condition).unwrap_or_else(|| panic!("waited three minutes for: {what}"))
}

/// The same; `None` once it was waited for so long.
pub fn wait_up_to<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        let waited = start.elapsed();
        if waited > limit {
            return None;
        }
        // A look costs a process or several, which the machine lacks for what is waited for.
        std::thread::sleep((waited / 8).clamp(Duration::from_millis(10), Duration::from_millis(250)));
    }
}

/// A name that no other test and no other run has.
pub fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    format!("{:x}{:08x}{}", std::process::id(), nanos, COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The program with a state folder of its own, looking at one cluster.
pub struct Program {
    pub state: State,
    project: Option<String>,
}

/// A state folder: one that goes with the test, or one that the test made itself.
pub enum State {
    Own(tempfile::TempDir),
    Given(PathBuf),
}

impl State {
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Given(folder) => folder,
        }
    }
}

/// How a run of the program ended.
#[derive(Clone, Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not one JSON document: {error}\n{self:?}"))
    }

    pub fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }
}

impl Program {
    pub fn new(project: Option<&str>) -> Self {
        Self { state: State::Own(tempfile::tempdir().unwrap()), project: project.map(str::to_owned) }
    }

    /// The program with a given state folder.
    pub fn at(state: &Path, project: &str) -> Self {
        Self { state: State::Given(state.to_owned()), project: Some(project.to_owned()) }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program_path());
        command.args(args).arg("--state-dir").arg(self.state.path());
        if let Some(project) = &self.project {
            command.args(["--project", project]);
        }
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "", &[])
    }

    pub fn run_with(&self, args: &[&str], stdin: &str, env: &[(&str, &str)]) -> Ran {
        let mut command = self.command(args);
        command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that refuses early does not read its input.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ran {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// `inject --json …`, which must succeed, whatever the verdict on it.
    pub fn inject(&self, args: &[&str]) -> serde_json::Value {
        let all: Vec<&str> = ["inject", "--json", "--force"].iter().chain(args).copied().collect();
        self.run(&all).ok().json()
    }

    pub fn active(&self) -> Vec<serde_json::Value> {
        self.run(&["active", "--json"]).ok().json()["active"].as_array().unwrap().clone()
    }

    /// The process that guards this state folder, as `active` lists it.
    pub fn guard(&self) -> Option<i32> {
        let pid = &self.run(&["active", "--json"]).ok().json()["guards"][0]["pid"];
        pid.as_i64().map(|pid| i32::try_from(pid).unwrap())
    }

    /// Everything that the log says.
    pub fn log(&self) -> String {
        let mut files: Vec<_> =
            std::fs::read_dir(self.state.path().join("log")).into_iter().flatten().flatten().collect();
        files.sort_by_key(std::fs::DirEntry::path);
        files.iter().filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
    }

    /// Kills the guard, and waits until its lock is free.
    pub fn kill_guard(&self) {
        use nix::{sys::signal, unistd::Pid};
        let guard = self.guard().expect("no guard runs");
        signal::kill(Pid::from_raw(guard), signal::Signal::SIGKILL).unwrap();
        wait_for("the guard's lock to be let go", || self.guard().is_none().then_some(()));
    }

    /// Waits until the guard of that id has ended by itself.
    pub fn wait_for_guards_end(&self, guard: i32) {
        // Nobody waits for a guard's end but init, which may take its time.
        let stat = || std::fs::read_to_string(format!("/proc/{guard}/stat")).unwrap_or_default();
        let ended = || (stat().is_empty() || stat().contains(") Z ")).then_some(());
        wait_for("the guard to end", ended);
        assert!(!self.state.path().exists() || self.guard().is_none());
    }
}
