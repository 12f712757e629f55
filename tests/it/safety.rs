//! What is refused before it happens, and that a refusal changes nothing.

use std::{io::Write as _, process::Command};

use serde_json::{Value, json};
use support::{
    Program,
    cluster::{Cluster, Options},
    demo::Demo,
    docker_is_here, run, unique, wait_for,
};

#[test]
fn inject_refuses_second_of_three_nodes_unless_forced() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let one = ["inject", "--json", "node_kill", "--target", "tikv0"];
    program.run(&one).ok();

    // Another session, with another journal, sees the exited node all the same.
    let other = Program::new(Some(&cluster.project));
    for (program, target) in [(&program, "tikv1"), (&other, "tikv2")] {
        for kind in ["node_kill", "network_partition"] {
            let ran = program.run(&["inject", kind, "--target", target]);
            assert_eq!(ran.status, 3, "{ran:?}");
            let words = ["this leaves 1 of 3 stores reachable", "tikv0", "is exited", "writes stop", "--force"];
            assert!(words.iter().all(|word| ran.stderr.contains(word)), "{ran:?}");
        }
    }
    let dry = program.run(&["inject", "--dry-run", "--json", "node_kill", "--target", "tikv1"]).ok().json();
    assert_eq!(dry["verdict"]["grade"], "refused");
    assert_eq!(program.active().len(), 1);
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    assert!(cluster.traces(1).is_empty() && cluster.traces(2).is_empty());

    // A delay takes nobody away, where the kernel can make one; and force is force.
    let forced = program.inject(&["node_kill", "--target", "tikv1"]);
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "exited");
    assert_eq!(forced["state"], "active");
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

#[test]
fn change_that_loses_quorum_is_refused_unless_forced() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let late = program.inject(&["latency", "--target", "tikv1", "--via", "shaper", "--mean-ms", "10"]);
    run("docker", &["stop", "-t", "0", &cluster.nodes[0]]);
    let id = late["id"].as_str().unwrap();
    let refused = program.run(&["change", id, "--mean-ms", "9000"]);
    assert_eq!(refused.status, 3, "{refused:?}");
    let words = ["this leaves 1 of 3 stores reachable", "tikv0", "is exited", "writes stop", "--force"];
    assert!(words.iter().all(|word| refused.stderr.contains(word)), "{refused:?}");
    assert_eq!(program.active()[0]["metadata"], late["metadata"]);
    let forced = program.run(&["change", id, "--mean-ms", "9000", "--force", "--json"]).ok().json();
    assert_eq!(forced["metadata"]["min_ms"], 9000);
    program.run(&["revert", "--all"]).ok();
    run("docker", &["start", &cluster.nodes[0]]);
    cluster.assert_clean();
}

#[test]
fn max_ttl_max_active_and_read_only_prevent_any_change() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let inject = ["inject", "network_partition", "--target", "tikv0", "--peers", "tikv1"];
    let refused = |further: &[&str], words: &str| {
        let ran = program.run(&[&inject[..], further].concat());
        assert_eq!(ran.status, 3, "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
        assert!(cluster.traces(0).is_empty() && program.active().is_empty());
    };
    refused(&["--ttl", "31m"], "--max-ttl is 30m: PD moves the replicas");
    refused(&["--ttl", "none"], "it would never end by itself");
    refused(&["--ttl", "2m", "--max-ttl", "1m"], "it would last 2m");
    refused(&["--max-active", "0"], "--max-active is 0");
    refused(&["--read-only"], "this run is --read-only");
    assert!(cluster.holders().is_empty(), "a run that only looks made a helper");

    program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
    for undo in [&["revert", "--all", "--read-only"][..], &["recover", "--read-only"]] {
        let ran = program.run(undo);
        assert_eq!(ran.status, 3, "{ran:?}");
        assert!(ran.stderr.contains("this run is --read-only"), "{ran:?}");
        assert!(!cluster.traces(0).is_empty());
    }
    assert_eq!(program.active()[0]["state"], "active");
    program.run(&["nodes", "--read-only"]).ok();
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

/// What a store keeps free stands in its configuration, and on no command line of TiKV's.
#[test]
fn reserve_is_asked_of_the_node_and_known_while_it_is_silent() {
    if !docker_is_here() {
        return;
    }
    let demo = Demo::up(&["--rate", "0"]);
    let target = demo.container("tikv0");
    let verdict = |program: &Program| {
        let args = ["inject", "node_kill", "--dry-run", "--json", "--target", &target];
        program.run(&args).ok().json()["verdict"].clone()
    };
    // PD has regions a moment after it answers.
    let first = wait_for("a verdict by PD's regions", || {
        let verdict = verdict(&demo.program);
        verdict["consequence"].as_str()?.contains("(by PD's regions)").then_some(verdict)
    });
    assert_eq!(first["grade"], "fine", "{first}");
    assert!(first["consequence"].as_str().unwrap().starts_with("this leaves 2 of 3 stores reachable: "), "{first}");
    assert!(!first.to_string().contains("full disk"), "{first}");
    let nodes = demo.program.run(&["nodes", "--json"]).ok().json();
    let node = |name: &str| nodes["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
    let config = &node(&target)["config"];
    assert_eq!((&config["value"]["reserve_space"], &config["error"]), (&json!(64 << 20), &Value::Null), "{config}");

    // Frozen, it runs to Docker and is Up to PD for a while, and does not answer.
    run("docker", &["kill", "--signal", "STOP", &target]);
    let silent = verdict(&demo.program);
    assert_eq!((&silent["grade"], &silent["consequence"]), (&first["grade"], &first["consequence"]), "{silent}");
    // A program that never met it knows what it does not know.
    let stranger = Program::new(Some(&demo.project));
    let unknown = verdict(&stranger);
    assert_eq!(unknown["grade"], "careful", "{unknown}");
    let words = format!("storage.reserve-space of {target} is not known: at TiKV's default of 5.0 GiB");
    assert!(unknown["reasons"].to_string().contains(&words), "{unknown}");
    run("docker", &["kill", "--signal", "CONT", &target]);
}

/// A status port that only the container itself reaches: by a flag, and by TiKV's default, which PD alone tells.
#[test]
fn status_port_on_loopback_is_read_from_inside_the_container() {
    if !docker_is_here() {
        return;
    }
    let demo = Demo::up(&["--rate", "0", "--speed", "10"]);
    let label = format!("tikv-chaos.demo={}", demo.name);
    let image = demo.inspect("tikv0", "{{.Config.Image}}");
    let program = demo.inspect("tikv0", "{{index .Config.Entrypoint 0}}");
    let by_flag = ["--status-addr=127.0.0.1:20180", "--advertise-status-addr=tikv8:20180"];
    let stores = [("tikv8", &by_flag[..]), ("tikv9", &[])].map(|(store, more)| {
        let name = demo.container(store);
        let docker = ["run", "-d", "--name", &name, "--label", &label, "--label", "tikv-chaos.role=tikv"];
        let place = ["--network", demo.project.as_str(), "--network-alias", store, "--entrypoint", program.trim()];
        let data = ["--mount", "type=tmpfs,destination=/data,tmpfs-size=268435456", image.trim(), "demo-node", "store"];
        let advertised = format!("--advertise-addr={store}:20160");
        let flags = ["--addr=0.0.0.0:20160", &advertised, "--data-dir=/data", "--pd=pd0:2379,pd1:2379,pd2:2379"];
        run("docker", &[&docker[..], &place, &data, &flags, more].concat());
        name
    });
    for name in &stores {
        let view = wait_for("its configuration", || {
            let read = demo.program.run(&["nodes", "--json"]).ok().json();
            let id = read["nodes"].as_array()?.iter().find(|node| node["name"] == name.as_str())?["id"].as_str()?;
            let view = read["clusters"][0]["nodes"][id].clone();
            view["config"]["value"]["data_dir"].is_string().then_some(view)
        });
        assert_eq!(view["via"], "127.0.0.1:20180 through a relay in the container's own network", "{view}");
        assert_eq!(view["config"]["value"]["data_dir"], "/data");
        assert!(view["metrics"]["value"]["process_start"].is_number(), "{view}");
    }
    for name in &stores {
        let beside = format!("name=tikv-chaos-relay-{}", &run("docker", &["inspect", "-f", "{{.Id}}", name])[..12]);
        let helpers = ["ps", "-aq", "--filter", "label=tikv-chaos.role=holder", "--filter", &beside];
        wait_for("the relay to go with its program", || run("docker", &helpers).trim().is_empty().then_some(()));
        run("docker", &["rm", "-f", name]);
    }
}

/// The Compose file that is shipped, with its files of configuration, played by the stand-in.
struct Compose {
    project: String,
    over: tempfile::NamedTempFile,
}

impl Compose {
    const SERVICES: [&str; 7] = ["keeper", "pd0", "pd1", "pd2", "tikv0", "tikv1", "tikv2"];

    fn up(image: &str) -> Self {
        let service = |name: &&str| {
            let (role, more) = match &name[..2] {
                "ke" => ("ignore", &["load", "--pd=pd0:2379", "--rate=0"][..]),
                "pd" => ("pd", &["pd"][..]),
                _ => ("tikv", &["store"][..]),
            };
            let entrypoint = [&["/tikv-chaos", "demo-node"], more].concat();
            let labels = json!({ "tikv-chaos.role": role });
            let body = json!({ "image": image, "entrypoint": entrypoint, "labels": labels, "healthcheck": { "test": ["CMD", "/tikv-chaos", "--version"] } });
            ((*name).to_owned(), body)
        };
        let services: serde_json::Map<String, Value> = Self::SERVICES.iter().map(service).collect();
        let mut over = tempfile::NamedTempFile::new().unwrap();
        write!(over, "{}", json!({ "services": services })).unwrap();
        let compose = Self { project: format!("t{}", unique()), over };
        // Without waiting for the health checks that the others depend on.
        compose.run(&[&["up", "-d", "--no-deps"], &Self::SERVICES[..]].concat());
        compose
    }

    fn command(&self, args: &[&str]) -> Command {
        let ports = ["PD0", "PD1", "PD2", "TIKV0_STATUS", "TIKV1_STATUS", "TIKV2_STATUS"];
        let mut command = Command::new("docker-compose");
        command.envs(ports.map(|port| (format!("{port}_PORT"), "0"))).args(["-p", &self.project]);
        command.args(["-f", "compose/tikv.yaml", "-f"]).arg(self.over.path()).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        let _ = self.command(&["down", "-v", "-t", "0"]).output();
    }
}

/// A disk of 1 GiB, and a reserve of 256 MB that only TiKV's configuration file tells.
#[test]
fn verdict_on_the_compose_cluster_goes_by_its_own_configuration() {
    if !docker_is_here() {
        return;
    }
    let demo = Demo::up(&["--rate", "0"]);
    let compose = Compose::up(&demo.inspect("tikv0", "{{.Config.Image}}"));
    let target = run("docker", &["inspect", "-f", "{{.Name}}", &compose.run(&["ps", "-q", "tikv1"])]);
    let program = Program::new(Some(&compose.project));
    let args = ["inject", "node_kill", "--dry-run", "--json", "--target", target.trim_start_matches('/')];
    let verdict = wait_for("a verdict by PD's regions", || {
        let ran = program.run(&args);
        let verdict = (ran.status == 0).then(|| ran.json()["verdict"].clone())?;
        verdict["consequence"].as_str()?.contains("(by PD's regions)").then_some(verdict)
    });
    assert_eq!((&verdict["grade"], &verdict["reasons"]), (&json!("fine"), &json!([])), "{verdict}");
    let words = "this leaves 2 of 3 stores reachable: ";
    assert!(verdict["consequence"].as_str().unwrap().starts_with(words), "{verdict}");
    let nodes = program.run(&["nodes", "--json"]).ok().json();
    let stores = nodes["nodes"].as_array().unwrap().iter().filter(|node| node["role"] == "tikv");
    let reserves: Vec<&Value> = stores.map(|node| &node["config"]["value"]["reserve_space"]).collect();
    assert_eq!(reserves, [&json!(256 << 20); 3]);
}
