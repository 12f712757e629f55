//! Ways to a real container's port: published, by its own address, through a relay inside its network.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::Value;
use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here, proxy, run,
    tls::Authority,
    wait_for,
};

/// TiKV's status port, where the listener answers like one.
const PORT: u16 = 20180;
const PLAIN: &str = "http://0.0.0.0:20180";

fn start() -> (Cluster, Program) {
    let cluster = Cluster::start(&Options::default());
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

/// What `nodes --json` says of the node of that name: how it was reached, and its metrics.
fn seen(document: &Value, name: &str) -> (String, Value) {
    let nodes = document["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["name"] == name).unwrap();
    let view = &document["clusters"][0]["nodes"][node["id"].as_str().unwrap()];
    (view["via"].as_str().unwrap_or_default().to_owned(), view["metrics"].clone())
}

/// Asks until the container's program listens.
fn reached(program: &Program, name: &str, env: &[(&str, &str)]) -> String {
    wait_for("the node to be reached", || {
        let (via, metrics) = seen(&program.run_with(&["nodes", "--json"], "", env).ok().json(), name);
        metrics["value"]["process_start"].as_f64().map(|_| via)
    })
}

fn ip(cluster: &Cluster, name: &str) -> String {
    let template = format!("{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}", cluster.networks[0]);
    run("docker", &["inspect", "-f", &template, name])
}

/// The helper containers in the cluster's network.
fn relays(cluster: &Cluster) -> Vec<String> {
    let network = format!("network={}", cluster.networks[0]);
    let found = run("docker", &["ps", "-aq", "--filter", "label=tikv-chaos.role=holder", "--filter", &network]);
    found.lines().map(str::to_owned).collect()
}

#[test]
fn route_uses_container_address_without_relay() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start();
    let name = cluster.run_listener(PLAIN, &[], &[]);
    let expected = format!("{}:{PORT} in {}", ip(&cluster, &name), cluster.networks[0]);
    assert_eq!(reached(&program, &name, &[]), expected);
    // The other nodes run and nobody listens there: the reason is the kernel's own, and no relay is made to hear it too.
    let (_, metrics) = seen(&program.run(&["nodes", "--json"]).ok().json(), &cluster.nodes[0]);
    assert!(metrics["error"].as_str().unwrap().ends_with("Connection refused"), "{metrics}");
    assert!(relays(&cluster).is_empty());
}

#[test]
fn route_uses_published_port_at_docker_host() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start();
    let name = cluster.run_listener(PLAIN, &["-p", &format!("127.0.0.1::{PORT}")], &[]);
    let template = format!("{{{{(index (index .NetworkSettings.Ports \"{PORT}/tcp\") 0).HostPort}}}}");
    let port = run("docker", &["inspect", "-f", &template, &name]);
    let expected = format!("port 127.0.0.1:{port} of the Docker host");
    assert_eq!(reached(&program, &name, &[]), expected);
    assert_eq!(reached(&program, &name, &[("DOCKER_HOST", &proxy::over_tcp())]), expected);
}

#[test]
fn relay_for_remote_docker_is_unprivileged_and_ends_by_itself() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start();
    let name = cluster.run_listener(PLAIN, &[], &[]);
    let remote = proxy::over_tcp();
    let env = [("DOCKER_HOST", remote.as_str())];
    let network = &cluster.networks[0];
    // Where there can be no relay, that is what is said of the node, and the nodes are listed all the same.
    let ran = program.run_with(&["nodes", "--json", "--holder-image", "none:none"], "", &env).ok();
    let error = seen(&ran.json(), &name).1["error"].as_str().unwrap().to_owned();
    let no_relay = format!("no relay in {network}: the helper's image cannot be made: there is no image none:none");
    assert!(error.ends_with(&no_relay), "{error}");

    let expected = format!("{}:{PORT} through a relay in {network}", ip(&cluster, &name));
    assert_eq!(reached(&program, &name, &env), expected);
    wait_for("the relay to go with its program", || relays(&cluster).is_empty().then_some(()));

    let mut command = program.command(&["watch", "--json"]);
    let mut watching = command.envs(env).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let document: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(seen(&document, &name).0, expected);
    let relay = relays(&cluster);
    assert_eq!(relay.len(), 1, "one for the whole network");
    let template = "{{.Config.User}} {{.HostConfig.CapDrop}} {{.HostConfig.CapAdd}} {{.HostConfig.Privileged}} \
                    {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.NetworkMode}} {{.HostConfig.SecurityOpt}}";
    let rights = run("docker", &["inspect", "-f", template, &relay[0]]);
    assert_eq!(rights, format!("65534:65534 [ALL] [] false true {network} [no-new-privileges]"));

    // Another program shares it, and leaves it to the one that still looks.
    assert_eq!(reached(&program, &name, &env), expected);
    assert_eq!(relays(&cluster), relay);
    // Nobody says good-bye for a program that is killed.
    watching.kill().unwrap();
    watching.wait().unwrap();
    wait_for("the relay to end by itself", || relays(&cluster).is_empty().then_some(()));
    cluster.assert_clean();
}

#[test]
fn relay_speaks_tls_with_given_certificates() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start();
    let ca = Authority::new("one");
    let (theirs, ours) = (ca.sign(&cluster.listener()), ca.sign("tikv-chaos"));
    let mount = format!("{}:/certs:ro", ca.folder().display());
    let file = |path: &std::path::Path| format!("/certs/{}", path.file_name().unwrap().to_str().unwrap());
    let (cert, key) = (file(&theirs.cert), file(&theirs.key));
    let tls = ["--cert-file", &cert, "--key-file", &key, "--client-cert-auth", "--trusted-ca-file", "/certs/ca.pem"];
    let name = cluster.run_listener("https://0.0.0.0:20180", &["-v", &mount], &tls);
    let remote = proxy::over_tcp();
    let files = [ca.file(), ours.cert, ours.key].map(|path| path.to_str().unwrap().to_owned());
    let env = [
        ("DOCKER_HOST", remote.as_str()),
        ("TIKV_CHAOS_PD_CA", &files[0]),
        ("TIKV_CHAOS_PD_CERT", &files[1]),
        ("TIKV_CHAOS_PD_KEY", &files[2]),
    ];
    assert!(reached(&program, &name, &env).contains("through a relay"));
    let plain = program.run_with(&["nodes", "--json"], "", &env[..1]).ok().json();
    let error = seen(&plain, &name).1["error"].as_str().unwrap().to_owned();
    assert!(error.contains("speaks TLS, give --pd-ca, --pd-cert and --pd-key"), "{error}");
}
