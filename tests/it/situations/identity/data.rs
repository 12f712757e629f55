//! Where a fill goes: the folder that the node says itself, its process's arguments, its configuration file; never a guess.

use support::{
    Program, docker_is_here,
    fake::Fake,
    http::{Answers, Reply, Server, metrics},
    run,
};

use super::lab::Lab;

/// A node with a volume at `/kv` and another at `/data`, which is where a guess would go.
struct Place {
    lab: Lab,
    program: Program,
    kv: String,
    data: String,
}

impl Place {
    fn new() -> Self {
        let mut lab = Lab::new();
        let (kv, data) = (lab.volume("kv"), lab.volume("data"));
        let program = Program::new(Some(&lab.project));
        Self { lab, program, kv, data }
    }

    fn run(&self, name: &str, command: &[&str]) -> String {
        self.run_with(name, &[], command)
    }

    fn run_with(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        let mounts = [format!("{}:/kv", self.kv), format!("{}:/data", self.data)];
        let options = [options, &["-v", &mounts[0], "-v", &mounts[1]]].concat();
        self.lab.run_of(&self.lab.image(), name, &options, command)
    }

    /// Fills the node's disk, and looks where the file is.
    fn is_filled(&self, node: &str, more: &[&str]) {
        let fill = ["disk_pressure", "--fill-percent", "30", "--target", node];
        let filled = self.program.inject(&[&fill[..], more].concat());
        assert_eq!((self.lab.files(&self.kv).len(), self.lab.files(&self.data).len()), (1, 0), "{filled}");
        self.program.run(&["revert", filled["id"].as_str().unwrap()]).ok();
        assert_eq!(self.lab.files(&self.kv).len(), 0);
        run("docker", &["rm", "-f", node]);
    }
}

#[test]
fn fill_goes_where_the_arguments_of_the_process_say() {
    if !docker_is_here() {
        return;
    }
    let place = Place::new();
    for (at, command) in [
        &["/tikv-server", "--store=/kv"][..],
        &["/bin/sh", "-c", "exec /tikv-server --data-dir /kv"],
        // Only what runs shows it.
        &["/bin/sh", "-c", "D=/kv; exec /tikv-server -s $D/"],
    ]
    .iter()
    .enumerate()
    {
        let node = place.run(&format!("tikv{at}"), command);
        support::wait_for("the shell to start its node", || {
            let top = run("docker", &["top", &node, "-eo", "pid,args"]);
            top.lines().nth(1)?.contains("/tikv-server -").then_some(()).filter(|()| !top.contains("-c exec"))
        });
        place.is_filled(&node, &[]);
    }
}

#[test]
fn fill_goes_where_the_configuration_file_says() {
    if !docker_is_here() {
        return;
    }
    let place = Place::new();
    for (at, command) in [
        &["/tikv-server", "-C", "/conf/tikv.toml"][..],
        &["/tikv-server", "--config=conf/tikv.toml"],
        &["/tikv-server", "--config", "/linked.toml"],
    ]
    .iter()
    .enumerate()
    {
        let node = place.run(&format!("tikv{at}"), command);
        place.is_filled(&node, &[]);
    }
    // From the host, and under a name that only what runs shows.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ours.toml");
    std::fs::write(&file, "storage.data-dir = \"/kv/db\"\n").unwrap();
    let mount = format!("{}:/etc/ours.toml:ro", file.display());
    let node = place.run_with("mounted", &["-v", &mount], &["/start.sh", "/tikv-server", "-C/etc/ours.toml"]);
    run("docker", &["exec", &node, "mkdir", "/kv/db"]);
    place.is_filled(&node, &[]);
}

#[test]
fn fill_of_a_node_that_does_not_say_where_its_data_is_asks_for_the_folder() {
    if !docker_is_here() {
        return;
    }
    let place = Place::new();
    for (at, command) in [
        &["/tikv-server"][..],
        &["/tikv-server", "--data-dir=data"],
        &["/tikv-server", "--config=/conf/none.toml"],
        &["/tikv-server", "--config=/start.sh"],
    ]
    .iter()
    .enumerate()
    {
        let node = place.run(&format!("tikv{at}"), command);
        let refused = place.program.run(&["inject", "disk_pressure", "--force", "--target", &node]);
        assert!(refused.status == 3 && refused.stderr.contains("--target-path"), "{command:?}: {refused:?}");
        assert_eq!((place.lab.files(&place.kv).len(), place.lab.files(&place.data).len()), (0, 0));
        place.is_filled(&node, &["--target-path", "/kv"]);
    }
}

#[test]
fn fill_goes_where_the_node_itself_says_whatever_its_arguments_are() {
    if !docker_is_here() {
        return;
    }
    let mut place = Place::new();
    let config = r#"{"storage":{"data-dir":"/kv","reserve-space":"1MiB"},"raft-engine":{"dir":"/kv/raft"}}"#;
    let answers = [("/metrics".to_owned(), metrics(0)), ("/config".to_owned(), Reply::Json(config.to_owned()))];
    let server = Server::start(Answers::from(answers));
    let mut fake = Fake::start(0, 0);
    place.program = Program::new(Some(&fake.project));
    let status = format!("--status-addr=0.0.0.0:{}", server.port);
    let mounts = [format!("{}:/kv", place.kv), format!("{}:/data", place.data)];
    fake.add("tikv", 0, &["-v", &mounts[0], "-v", &mounts[1]], &["--data-dir=/data", &status]);
    place.is_filled(&fake.names[0].clone(), &[]);
}
