//! Podman's service on a socket of the test's own, with the containers of this host's Podman, and a reader of what there
//! is that shares no code with the program: Podman's command line.

use std::{
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{can_run, run, try_run, wait_for};

/// One at a time: all of them show the same containers, and a busy Podman is slow to clean up behind one that has ended.
static ALONE: Mutex<()> = Mutex::new(());

pub struct Podman {
    service: Child,
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Whether there is a Podman that can be looked behind: with the rights of root.
pub fn is_here() -> bool {
    let missing = if !try_run("podman", &["info"]).0 {
        Some("`podman info` fails".to_owned())
    // Beside a warning of a Podman that has just been installed.
    } else if run("podman", &["info", "--format", "{{.Host.Security.Rootless}}"]) != "false" {
        Some("it is not root's".to_owned())
    } else {
        None
    };
    can_run("podman", missing)
}

impl Podman {
    pub fn start() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        // It gives containers a million files to open, which a process without CAP_SYS_RESOURCE may not; and the process
        // behind an exec stays for five minutes, in case somebody asks how it ended.
        let config = settings(&folder);
        let settings = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=512:512\"]\n\
                        [engine]\nexit_command_delay = 1\n";
        std::fs::write(&config, settings).unwrap();
        let socket = folder.path().join("podman.sock");
        let service = Command::new("podman")
            .args(["system", "service", "--time", "0", &format!("unix://{}", socket.display())])
            .env("CONTAINERS_CONF", &config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let podman = Self { service, folder, _alone: alone };
        wait_for("Podman's socket", || UnixStream::connect(podman.socket()).ok());
        podman
    }

    /// Runs a line as a person would type it.
    pub fn by_hand(&self, line: &str) {
        let output =
            Command::new("sh").args(["-c", line]).env("CONTAINERS_CONF", settings(&self.folder)).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("podman.sock")
    }

    /// For `--docker-host`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn inspect(&self, container: &str, template: &str) -> String {
        run("podman", &["inspect", "--type", "container", "-f", template, container])
    }

    pub fn pid(&self, container: &str) -> String {
        self.inspect(container, "{{.State.Pid}}")
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

fn settings(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("containers.conf")
}
