//! The Docker that is meant: over TLS, over ssh, by a context, and what is said where it cannot be.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::json;
use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    tls::Authority,
};

/// Docker's own configuration with one context, `lab`, as `docker context create` lays it out.
fn context(folder: &Path, host: &str, tls: Option<(&Authority, &support::tls::Signed)>) -> String {
    let (meta, certs) = (folder.join("contexts/meta/0a1b"), folder.join("contexts/tls/0a1b/docker"));
    fs::create_dir_all(&meta).unwrap();
    let text =
        json!({ "Name": "lab", "Metadata": {}, "Endpoints": { "docker": { "Host": host, "SkipTLSVerify": false } } });
    fs::write(meta.join("meta.json"), text.to_string()).unwrap();
    if let Some((ca, own)) = tls {
        fs::create_dir_all(&certs).unwrap();
        for (from, to) in [(&ca.file(), "ca.pem"), (&own.cert, "cert.pem"), (&own.key, "key.pem")] {
            fs::copy(from, certs.join(to)).unwrap();
        }
    }
    folder.to_str().unwrap().to_owned()
}

/// A program named `ssh` at the front of PATH; gives that PATH and where its arguments are written.
fn fake_ssh(folder: &Path, text: &str) -> (String, PathBuf) {
    let (ssh, said) = (folder.join("ssh"), folder.join("said"));
    fs::write(&ssh, text.replace("SAID", said.to_str().unwrap())).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    (format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()), said)
}

/// What `docker system dial-stdio` does on the other side.
const DIAL_STDIO: &str = r#"#!/usr/bin/env python3
import os, socket, sys, threading
with open("SAID", "a") as said:
    said.write(" ".join(sys.argv[1:]) + "\n")
docker = socket.socket(socket.AF_UNIX)
docker.connect("/var/run/docker.sock")
def up():
    while data := os.read(0, 65536):
        docker.sendall(data)
    docker.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := docker.recv(65536):
    os.write(1, data)
"#;

/// A fault is made and undone through that Docker, and another is ended by the guard, which is `told` of the same.
fn breaks_and_heals(env: &[(&str, &str)], flags: &[&str], told: &str) {
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    let run = |args: &[&str]| program.run_with(&[args, flags].concat(), "", env).ok();
    let made = run(&["inject", "network_partition", "--target", "tikv1", "--json", "--force", "--ttl", "5m"]).json();
    let first = program.guard().unwrap();
    run(&["revert", made["id"].as_str().unwrap()]);
    cluster.assert_clean();
    program.wait_for_guards_end(first);

    run(&["inject", "node_kill", "--target", "tikv1", "--force", "--ttl", "3s"]);
    let guard = program.guard().unwrap();
    let words = fs::read_to_string(format!("/proc/{guard}/cmdline")).unwrap().replace('\0', " ");
    assert!(words.contains(told), "{words}");
    program.wait_for_guards_end(guard);
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
    let log = program.log();
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_over_tls_injects_and_reverts_by_env_or_context() {
    if !docker_is_here() {
        return;
    }
    let ca = Authority::new("one");
    let own = ca.sign("tikv-chaos");
    let host = format!("tcp://localhost:{}", ca.carry_to_docker("localhost").await);
    let certs = tempfile::tempdir().unwrap();
    fs::copy(ca.file(), certs.path().join("ca.pem")).unwrap();
    let path = certs.path().to_str().unwrap();
    let env = [("DOCKER_HOST", host.as_str()), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", path)];
    let program = Program::new(Some("none"));
    // The authority alone does not do: this daemon wants to know us.
    let refused = program.run_with(&["nodes"], "", &env);
    assert_eq!(refused.status, 1, "{refused:?}");
    fs::copy(&own.cert, certs.path().join("cert.pem")).unwrap();
    let half = program.run_with(&["nodes"], "", &env);
    assert_eq!(half.status, 2, "{half:?}");
    assert!(half.stderr.contains("the key of our certificate is wanted"), "{half:?}");
    fs::copy(&own.key, certs.path().join("key.pem")).unwrap();
    breaks_and_heals(&env, &[], &format!("--docker-host {host}"));

    let folder = tempfile::tempdir().unwrap();
    let config = context(folder.path(), &host, Some((&ca, &own)));
    breaks_and_heals(&[("DOCKER_CONFIG", &config), ("DOCKER_HOST", "")], &["--context", "lab"], "--context lab");

    let stranger = Authority::new("two");
    fs::copy(stranger.file(), certs.path().join("ca.pem")).unwrap();
    let refused = program.run_with(&["nodes"], "", &env);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("certificate"), "{refused:?}");
}

#[test]
fn docker_over_ssh_spawns_ssh_with_expected_arguments() {
    if !docker_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, said) = fake_ssh(folder.path(), DIAL_STDIO);
    let host = "ssh://me@localhost:2222/run/docker.sock";
    breaks_and_heals(&[("PATH", &path), ("DOCKER_HOST", host)], &[], &format!("--docker-host {host}"));
    let said = fs::read_to_string(said).unwrap();
    let expected = "-T -o BatchMode=yes -o ConnectTimeout=10 -l me -p 2222 -- localhost \
                    docker --host unix:///run/docker.sock system dial-stdio";
    assert!(said.lines().all(|line| line == expected), "{said}");
}

#[test]
fn docker_over_ssh_error_reports_ssh_output_or_missing_ssh() {
    let folder = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\necho 'me@lab: Permission denied (publickey).' >&2\nexit 255\n";
    let (path, _) = fake_ssh(folder.path(), script);
    let program = Program::new(None);
    let ran = program.run_with(&["nodes"], "", &[("PATH", &path), ("DOCKER_HOST", "ssh://me@lab")]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("ssh: me@lab: Permission denied (publickey)."), "{ran:?}");
    let nowhere = folder.path().join("empty");
    let env = [("PATH", nowhere.to_str().unwrap()), ("DOCKER_HOST", "ssh://me@lab")];
    let ran = program.run_with(&["nodes"], "", &env);
    assert!(ran.stderr.contains("the program ssh is not there"), "{ran:?}");
}

#[test]
fn docker_context_resolves_like_docker_cli() {
    let folder = tempfile::tempdir().unwrap();
    let config = context(folder.path(), "unix:///nonexistent/lab.sock", None);
    let program = Program::new(None);
    let base = [("DOCKER_CONFIG", config.as_str()), ("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "")];
    let said = |args: &[&str], more: &[(&str, &str)]| {
        let ran = program.run_with(&[&["nodes"], args].concat(), "", &[&base, more].concat());
        (ran.status, ran.stderr)
    };
    let lab = |(status, text): (i32, String)| assert!(status == 1 && text.contains("/nonexistent/lab.sock"), "{text}");
    lab(said(&["--context", "lab"], &[]));
    lab(said(&[], &[("DOCKER_CONTEXT", "lab")]));
    // A flag comes before the environment, and there the host before the context.
    lab(said(&["--context", "lab"], &[("DOCKER_HOST", "unix:///nonexistent/other.sock")]));
    let other = said(&[], &[("DOCKER_CONTEXT", "lab"), ("DOCKER_HOST", "unix:///nonexistent/other.sock")]);
    assert!(other.1.contains("/nonexistent/other.sock"), "{other:?}");
    fs::write(folder.path().join("config.json"), r#"{ "currentContext": "lab", "auths": {} }"#).unwrap();
    lab(said(&[], &[]));
    let cases: [(&[&str], &str); 4] = [
        (&["--context", "moon"], "there is no Docker context \"moon\""),
        (&["--context", "moon"], "there are default, lab"),
        (&["--context", "lab", "--docker-host", "tcp://a:1"], "are both given"),
        (&["--docker-host", "ftp://a"], "allowed: unix://, tcp://, ssh://"),
    ];
    for (args, expected) in cases {
        let (status, text) = said(args, &[]);
        assert!(status == 2 && text.contains(expected) && text.lines().count() == 1, "{args:?}: {text}");
    }
    let meta = folder.path().join("contexts/meta/0a1b/meta.json");
    fs::write(&meta, fs::read_to_string(&meta).unwrap().replace("false", "true")).unwrap();
    let (status, text) = said(&["--context", "lab"], &[]);
    assert!(status == 2 && text.contains("skips the check"), "{text}");
}
