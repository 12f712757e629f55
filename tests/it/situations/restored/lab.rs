//! Small clusters whose nodes are scripts: they run, end again, are healthy or not as the test says, by files in a folder
//! that it shares with them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::OnceLock,
};

use support::{
    Program, Ran,
    cluster::{LABEL, import, install},
    run, try_run, unique, wait_for,
};

pub struct Lab {
    run: String,
    pub network: String,
    pub program: Program,
    folder: tempfile::TempDir,
    volumes: Vec<String>,
}

/// Runs until it is told to end.
pub const RUNS: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
/// Ends soon after its start where the test has said so.
pub const MAY_FAIL: &str =
    "trap 'exit 0' TERM; if [ -e /lab/fail ]; then sleep 0.2; exit 7; fi; while :; do sleep 0.1; done";

impl Lab {
    pub fn new() -> Self {
        let run_id = unique();
        let network = format!("lab{run_id}");
        run("docker", &["network", "create", "--label", &format!("{LABEL}={run_id}"), &network]);
        let program = Program::new(Some(&network));
        let folder = tempfile::tempdir().unwrap();
        Self { run: run_id, network, program, folder, volumes: vec![] }
    }

    /// Where the nodes see `/lab`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn name(&self, node: &str) -> String {
        format!("{}-{node}-1", self.network)
    }

    /// A node of the lab's network, or in the place that the options name.
    pub fn node(&self, node: &str, options: &[&str], script: &str, flags: &[&str]) -> String {
        let role = format!("tikv-chaos.role={}", node.trim_end_matches(|last: char| last.is_ascii_digit()));
        self.container(node, &[&["--label", &role], options].concat(), script, flags)
    }

    pub fn container(&self, name: &str, options: &[&str], script: &str, flags: &[&str]) -> String {
        let container = self.name(name);
        let labels = [format!("{LABEL}={}", self.run), format!("com.docker.compose.project={}", self.network)];
        let shared = format!("{}:/lab", self.folder.path().display());
        let mut args = vec!["run", "-d", "--name", &container, "--entrypoint", "/bin/sh", "-v", &shared];
        args.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
        if !options.contains(&"--network") {
            args.extend(["--network", self.network.as_str()]);
        }
        args.extend(options);
        args.extend([image(), "-c", script, name]);
        args.extend(flags);
        run("docker", &args);
        container
    }

    /// A volume of its own in memory.
    pub fn memory_volume(&mut self, name: &str) -> String {
        let volume = format!("{}-{name}", self.network);
        let memory = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=16m"];
        let label = format!("{LABEL}={}", self.run);
        run("docker", &[&["volume", "create", "--label", &label], &memory[..], &[&volume]].concat());
        self.volumes.push(volume.clone());
        volume
    }

    pub fn inspect(&self, node: &str, template: &str) -> String {
        run("docker", &["inspect", "-f", template, &self.name(node)])
    }

    pub fn state(&self, node: &str) -> String {
        self.inspect(node, "{{.State.Status}}")
    }

    /// What the kernel calls the network namespace of the node's process.
    pub fn namespace(&self, node: &str) -> PathBuf {
        fs::read_link(Path::new("/proc").join(self.inspect(node, "{{.State.Pid}}")).join("ns/net")).unwrap()
    }

    /// The address on the lab's network, as Docker knows it; none while the node has no end there.
    pub fn ip(&self, node: &str) -> String {
        self.inspect(node, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    }

    /// The addresses that the kernel shows in the node's network namespace, but for the loopback's.
    pub fn kernel_addresses(&self, node: &str) -> String {
        let pid = self.inspect(node, "{{.State.Pid}}");
        let shown = run("nsenter", &["-t", &pid, "-n", "ip", "-o", "-4", "address", "show", "scope", "global"]);
        shown.split_whitespace().filter(|word| word.contains('/')).collect::<Vec<_>>().join(" ")
    }

    /// The verdict on an injection and its warnings, without making it.
    pub fn plan(&self, args: &[&str]) -> serde_json::Value {
        self.program.run(&[&["inject", "--dry-run", "--json"], args].concat()).ok().json()
    }

    pub fn reasons(&self, args: &[&str]) -> String {
        let reasons = &self.plan(args)["verdict"]["reasons"];
        reasons.as_array().unwrap().iter().map(|reason| reason.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    }

    pub fn refused(&self, args: &[&str]) -> String {
        let ran = self.program.run(&[&["inject"], args].concat());
        assert_eq!(ran.status, 3, "{ran:?}");
        ran.stderr
    }

    pub fn revert(&self, id: &serde_json::Value) -> Ran {
        self.program.run(&["revert", id.as_str().unwrap()])
    }

    pub fn start_revert(&self, id: &serde_json::Value) -> Child {
        let mut command = self.program.command(&["revert", id.as_str().unwrap()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn wait_state(&self, node: &str, state: &str) {
        wait_for(state, || (self.state(node) == state).then_some(()));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let helpers = format!("label=tikv-chaos.cluster={}", self.network);
        let ours = format!("label={LABEL}={}", self.run);
        for filter in [helpers, ours] {
            for container in run("docker", &["ps", "-aq", "--filter", &filter]).lines() {
                try_run("docker", &["rm", "-f", "-v", container]);
            }
        }
        for volume in &self.volumes {
            try_run("docker", &["volume", "rm", volume]);
        }
        try_run("docker", &["network", "rm", &self.network]);
    }
}

/// A shell that can sleep, made once.
fn image() -> &'static str {
    const NAME: &str = "tikv-chaos-test-lab:1";
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        if try_run("docker", &["image", "inspect", NAME]).0 {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        for program in ["/bin/sh", "/usr/bin/sleep"] {
            install(Path::new(program), root.path());
        }
        import(root.path(), NAME);
    });
    NAME
}
