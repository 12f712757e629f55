//! Containers of small labs: scripts, wrappers and programs under a node's name, which sleep.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::OnceLock};

use support::{
    cluster::{LABEL, import, install},
    run, try_run, unique,
};

const IMAGE: &str = "tikv-chaos-test-lab:1";

pub struct Lab {
    run: String,
    pub project: String,
    tags: Vec<String>,
    volumes: Vec<String>,
}

impl Lab {
    pub fn new() -> Self {
        make();
        let run = unique();
        Self { project: format!("lab{run}"), run, tags: vec![], volumes: vec![] }
    }

    /// Its name tells nothing.
    pub fn image(&self) -> String {
        IMAGE.to_owned()
    }

    /// The same image under a name that ends so.
    pub fn tag(&mut self, name: &str) -> String {
        let tag = format!("{}/{name}:v1", self.project);
        run("docker", &["tag", IMAGE, &tag]);
        self.tags.push(tag.clone());
        tag
    }

    /// A volume with a small file system of its own.
    pub fn volume(&mut self, name: &str) -> String {
        let volume = format!("{}-{name}", self.project);
        let label = format!("{LABEL}={}", self.run);
        let size = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=16m"];
        run("docker", &[&["volume", "create", "--label", &label], &size[..], &[&volume]].concat());
        self.volumes.push(volume.clone());
        volume
    }

    /// The fill files on a volume.
    pub fn files(&self, volume: &str) -> Vec<String> {
        let folder = run("docker", &["volume", "inspect", "-f", "{{.Mountpoint}}", volume]);
        run("find", &[&folder, "-name", "chaos-fill-*"]).lines().map(str::to_owned).collect()
    }

    /// A container with this command and nothing else that would tell what it is; gives its name.
    pub fn run(&self, name: &str, command: &[&str]) -> String {
        self.run_of(IMAGE, name, &[], command)
    }

    pub fn run_of(&self, image: &str, name: &str, options: &[&str], command: &[&str]) -> String {
        let name = format!("{}-{name}-1", self.project);
        let labels = [format!("{LABEL}={}", self.run), format!("com.docker.compose.project={}", self.project)];
        let docker = ["run", "-d", "--name", &name, "--label", &labels[0], "--label", &labels[1], "--network", "none"];
        let command = [&["--entrypoint", command[0], image], &command[1..]].concat();
        run("docker", &[&docker[..], options, &command].concat());
        name
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let filter = format!("label={LABEL}={}", self.run);
        for container in run("docker", &["ps", "-aq", "--filter", &filter]).lines() {
            try_run("docker", &["rm", "-f", "-v", container]);
        }
        self.volumes.iter().for_each(|volume| drop(try_run("docker", &["volume", "rm", volume])));
        self.tags.iter().for_each(|tag| drop(try_run("docker", &["rmi", tag])));
    }
}

/// What is in the image: a name, and the text of a script.
const SCRIPTS: [(&str, &str); 9] = [
    ("tikv-server", SLEEP),
    ("opt/tikv-server", SLEEP),
    ("tikv-server-v8.5.5", SLEEP),
    ("pd-server", SLEEP),
    ("idle.sh", SLEEP),
    // It stays beside its node.
    ("start.sh", "#!/bin/sh\nsleep 0.3\n\"$@\" &\nwait\n"),
    ("late.sh", "until [ -e /gate/open ]; do sleep 0.2; done\nexec /start.sh /tikv-server\n"),
    ("playground.sh", "#!/bin/sh\nfor port in 0 1 2; do /tikv-server --addr=127.0.0.1:2016$port &\ndone\nwait\n"),
    ("conf/tikv.toml", "[storage]\nreserve-space = \"1MiB\"\ndata-dir = \"/kv\"\n"),
];
const SLEEP: &str = "#!/bin/sh\nwhile :; do sleep 1000; done\n";

fn make() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = tempfile::tempdir().unwrap();
        for program in ["/bin/sh", "/usr/bin/sleep", "/usr/bin/env", "/usr/bin/nice", "/usr/bin/mkdir"] {
            install(Path::new(program), root.path());
        }
        for name in ["ui", "kvd", "prometheus"] {
            fs::copy("/usr/bin/sleep", root.path().join(name)).unwrap();
        }
        for (name, text) in SCRIPTS {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::os::unix::fs::symlink("conf/tikv.toml", root.path().join("linked.toml")).unwrap();
        import(root.path(), IMAGE);
    });
}
