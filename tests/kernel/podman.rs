//! Podman in Docker's place, at its own socket: the demo, the faults, what another program finds of them, the screen.

use support::{
    Program, Ran,
    cluster::traces_beside,
    podman::{self, Podman},
    proxy,
    pty::Terminal,
    run, try_run, unique, wait_for,
};

struct Demo {
    name: String,
    podman: Podman,
    program: Program,
}

impl Demo {
    fn up() -> Self {
        let name = format!("t{}", unique());
        let program = Program::new(Some(&format!("tikv-chaos-{name}")));
        let demo = Self { name, podman: Podman::start(), program };
        demo.run(&["demo", "up", "--speed", "10", "--name", &demo.name]);
        demo
    }

    /// The program at this Podman, which must succeed.
    fn run(&self, args: &[&str]) -> Ran {
        self.run_as(&self.program, args)
    }

    fn run_as(&self, program: &Program, args: &[&str]) -> Ran {
        program.run(&[args, &["--docker-host", &self.podman.host()]].concat()).ok()
    }

    /// A fault in the first store, made by a program that has ended.
    fn injected(&self, args: &[&str]) -> serde_json::Value {
        let store = self.store();
        let all = [&["inject", "--json", "--force", "--target", &store][..], args].concat();
        self.run(&all).json()
    }

    /// The same; its id.
    fn inject(&self, args: &[&str]) -> String {
        self.injected(args)["id"].as_str().unwrap().to_owned()
    }

    fn store(&self) -> String {
        format!("{}-tikv0", self.name)
    }

    /// What the kernel holds in the first store's namespace.
    fn traces(&self) -> Vec<String> {
        traces_beside(&self.podman.pid(&self.store()))
    }

    /// The fill files in the first store's data folder.
    fn fill_files(&self) -> usize {
        let folder = format!("/proc/{}/root/data", self.podman.pid(&self.store()));
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        files.filter(|name| name.to_string_lossy().starts_with("chaos-fill-")).count()
    }

    fn status(&self) -> String {
        self.podman.inspect(&self.store(), "{{.State.Status}}")
    }

    fn nothing_is_left(&self) {
        for list in [&["ps", "-aq"][..], &["volume", "ls", "-q"], &["network", "ls", "-q"]] {
            let filter = format!("label=tikv-chaos.demo={}", self.name);
            assert_eq!(run("podman", &[list, &["--filter", &filter]].concat()), "", "{list:?}");
        }
        let cluster = format!("label=tikv-chaos.cluster=tikv-chaos-{}", self.name);
        assert_eq!(run("podman", &["ps", "-aq", "--filter", &cluster]), "", "helpers");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let args = ["demo", "down", "--name", &self.name, "--docker-host", &self.podman.host()];
        let _ = self.program.command(&args).output();
        // Where the program failed: a demo that is left slows down everything after it.
        let demo = format!("label=tikv-chaos.demo={}", self.name);
        let cluster = format!("label=tikv-chaos.cluster=tikv-chaos-{}", self.name);
        let lists = [
            (&["ps", "-aq"][..], &["rm", "-f", "-t", "0"][..], &cluster),
            (&["ps", "-aq"], &["rm", "-f", "-t", "0"], &demo),
            (&["volume", "ls", "-q"], &["volume", "rm"], &demo),
            (&["network", "ls", "-q"], &["network", "rm"], &demo),
        ];
        for (list, remove, filter) in lists {
            let (listed, ids) = try_run("podman", &[list, &["--filter", filter]].concat());
            for id in ids.lines().filter(|_| listed) {
                try_run("podman", &[remove, &[id]].concat());
            }
        }
    }
}

#[test]
fn podman_faults_are_reverted_by_a_later_program_run() {
    if !podman::is_here() {
        return;
    }
    let demo = Demo::up();
    let undo = |id: &str| {
        demo.run(&["revert", id]);
        assert_eq!(demo.traces(), Vec::<String>::new());
    };

    let delayed = demo.inject(&["latency", "--min-ms", "20", "--max-ms", "20"]);
    assert!(!demo.traces().is_empty());
    // A second one at the same helper, while the first program's words are long over.
    let cut = demo.inject(&["network_partition"]);
    let seen = demo.run(&["active", "--now", "--json"]).json();
    assert_eq!(seen["active"].as_array().unwrap().len(), 2, "{seen}");
    demo.run(&["revert", &cut]);
    assert!(!demo.traces().is_empty(), "the other still holds");
    undo(&delayed);

    let full = demo.inject(&["disk_pressure"]);
    assert_eq!(demo.fill_files(), 1);
    undo(&full);
    assert_eq!(demo.fill_files(), 0);

    for fault in ["latency", "network_partition", "disk_pressure"] {
        let injected = demo.injected(&[fault]);
        for line in injected["undo"].as_array().unwrap() {
            demo.podman.by_hand(line.as_str().unwrap());
        }
        assert_eq!((demo.traces(), demo.fill_files()), (Vec::new(), 0), "{fault} after its undo by hand");
        undo(injected["id"].as_str().unwrap());
    }

    for (fault, status) in [("node_kill", "exited"), ("node_stop", "exited"), ("node_pause", "paused")] {
        for by_hand in [false, true] {
            let injected = demo.injected(&[fault]);
            assert_eq!(demo.status(), status);
            for line in injected["undo"].as_array().unwrap().iter().filter(|_| by_hand) {
                demo.podman.by_hand(line.as_str().unwrap());
                assert_eq!(demo.status(), "running", "{line}");
            }
            undo(injected["id"].as_str().unwrap());
            assert_eq!(demo.status(), "running");
        }
    }

    demo.inject(&["network_partition", "--ttl", "1s"]);
    wait_for("its deadline", || demo.traces().is_empty().then_some(()));

    // As if it were on another host: its nodes are read through a relay in their network.
    let remote = proxy::over_tcp_to(&demo.podman.socket());
    let read = demo.program.run(&["nodes", "--json", "--docker-host", &remote]).ok().stdout;
    assert!(read.contains(&format!("through a relay in tikv-chaos-{}", demo.name)), "{read}");

    // Without its record it is found by its mark.
    demo.inject(&["network_partition"]);
    let stranger = Program::new(Some(&format!("tikv-chaos-{}", demo.name)));
    demo.run_as(&stranger, &["recover", "--held"]);
    assert_eq!(demo.traces(), Vec::<String>::new());

    demo.run(&["demo", "down", "--name", &demo.name]);
    demo.nothing_is_left();
}

#[test]
fn podman_screen_injects_and_reverts_fault() {
    if !podman::is_here() {
        return;
    }
    let demo = Demo::up();
    let mut terminal = Terminal::open_args(&demo.program, (40, 120), &["--docker-host", &demo.podman.host()]);
    terminal.wait_text("3/3 stores up");
    terminal.send("2");
    terminal.wait_text("→ ");
    terminal.send("i");
    terminal.wait_text("● active");
    assert!(!demo.traces().is_empty());
    // Another program comes and goes at the same helper, which stays for this one.
    let other = demo.inject(&["network_partition"]);
    demo.run(&["revert", &other]);
    assert!(!demo.traces().is_empty(), "the screen's still holds");
    terminal.send("r");
    terminal.wait_text("Nothing is injected.");
    assert_eq!(demo.traces(), Vec::<String>::new());
    // What happens beside it is seen as it happens.
    run("podman", &["kill", &demo.store()]);
    let row = |screen: &str, word: &str| screen.lines().any(|row| row.contains("-tikv0 ") && row.contains(word));
    terminal.wait_until("the store to be shown as ended", |screen| row(screen, "exited"));
    terminal.send("q");
    terminal.wait_success();
    demo.run(&["demo", "down", "--name", &demo.name]);
    demo.nothing_is_left();
}
