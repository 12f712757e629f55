//! Containers that Docker shows as the nodes of a cluster, and that sleep: they use the host's own network, where
//! servers of the test's process answer in their place. For what a PD says that no cluster here could be made to say.

use std::{path::Path, sync::OnceLock};

use super::{
    cluster::{LABEL, import, install},
    http::{Answers, Server, config, healthy_pd, metrics},
    run, try_run, unique,
};

pub struct Fake {
    run: String,
    pub project: String,
    pub pds: Vec<Server>,
    pub tikvs: Vec<Server>,
    /// Container names, TiKV before PD, in the order of the program.
    pub names: Vec<String>,
}

impl Fake {
    /// A cluster whose PD nodes are healthy and whose TiKV nodes have served nothing.
    pub fn start(pds: usize, tikvs: usize) -> Self {
        let run_id = unique();
        let mut fake =
            Self { project: format!("fake{run_id}"), run: run_id, pds: vec![], tikvs: vec![], names: vec![] };
        for node in 0..tikvs {
            let answers = [("/metrics".to_owned(), metrics(0)), ("/config".to_owned(), config("5GiB"))];
            let server = Server::start(Answers::from(answers));
            let advertised = format!("--advertise-addr=tikv{node}:20160");
            let status = format!("--status-addr=0.0.0.0:{}", server.port);
            fake.add("tikv", node, &[], &[&advertised, &status]);
            fake.tikvs.push(server);
        }
        for node in 0..pds {
            let server = Server::start(healthy_pd());
            let (name, client) = (format!("--name=pd{node}"), format!("--client-urls=http://0.0.0.0:{}", server.port));
            let advertised = format!("--advertise-client-urls=http://pd{node}:2379");
            fake.add("pd", node, &[], &[&name, &client, &advertised]);
            fake.pds.push(server);
        }
        fake
    }

    /// One more node, with options for Docker and flags that look like its program's.
    pub fn add(&mut self, role: &str, node: usize, options: &[&str], flags: &[&str]) {
        let name = format!("{}-{role}{node}-1", self.project);
        let labels = [
            format!("{LABEL}={}", self.run),
            format!("com.docker.compose.project={}", self.project),
            format!("com.docker.compose.service={role}{node}"),
            format!("tikv-chaos.role={role}"),
        ];
        let mut args = vec!["run", "-d", "--name", &name, "--network", "host", "--entrypoint", "/bin/sh"];
        args.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
        args.extend(options);
        args.extend([image(), "-c", "exec sleep 1000000", role]);
        args.extend(flags);
        run("docker", &args);
        self.names.push(name);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let filter = format!("label={LABEL}={}", self.run);
        for container in run("docker", &["ps", "-aq", "--filter", &filter]).lines() {
            try_run("docker", &["rm", "-f", "-v", container]);
        }
    }
}

/// A shell that can sleep, made once.
pub fn image() -> &'static str {
    const NAME: &str = "tikv-chaos-test-sleeper:1";
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
