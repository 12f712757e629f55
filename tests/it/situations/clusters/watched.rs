//! A program that looks on while nodes turn out to be of other clusters than was thought, or leave their networks.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Stdio},
};

use serde_json::Value;
use support::{Program, docker_is_here, http::Reply, run};

use super::lab::{Lab, says};

/// `watch --json`, ended with the value.
struct Watch(Child, BufReader<ChildStdout>);

impl Watch {
    fn start(program: &Program) -> Self {
        let mut child = program.command(&["watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self(child, lines)
    }

    /// The next document in which the node is, or is not, of the cluster.
    fn until(&mut self, node: &str, is_there: impl Fn(Option<&str>) -> bool) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.1.read_line(&mut line).unwrap() > 0, "watch ended");
            let document: Value = serde_json::from_str(&line).unwrap();
            let nodes = document["nodes"].as_array().into_iter().flatten();
            let cluster = nodes.clone().find(|one| one["name"] == node).map(|one| one["cluster"].as_str().unwrap());
            if is_there(cluster) {
                return document;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn running_watch_tells_clusters_apart_once_their_pds_answer() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let pds = ["a", "b"].map(|side| lab.answering_pd(&format!("pd-{side}"), 1, &["x"], &[]));
    pds.iter().for_each(|pd| pd.set_all(&Reply::Status("503 Service Unavailable", "text/plain", "no leader".into())));
    for name in ["tikv-a", "tikv-b"] {
        lab.node("tikv", name, "host", &[&format!("--advertise-addr={name}:20160")]);
    }
    let mut watch = Watch::start(&lab.program());
    let (tikv, apart) = (format!("{}-tikv-b-1", lab.name), format!("{}/pd-b", lab.name));
    watch.until(&tikv, |cluster| cluster == Some(lab.name.as_str()));
    says(&pds[0], 1, &["pd-a"], &["tikv-a:20160"]);
    says(&pds[1], 2, &["pd-b"], &["tikv-b:20160"]);
    watch.until(&tikv, |cluster| cluster == Some(apart.as_str()));
}

#[test]
fn running_watch_keeps_a_node_without_network_where_it_saw_it() {
    if !docker_is_here() {
        return;
    }
    let mut lab = Lab::new();
    let (network, other) = (lab.network("net"), lab.network("other"));
    let options = |network| ["--label", "tikv-chaos.role=tikv", "--network", network];
    lab.container("tikv0", (&options(&network), &["tikv"]));
    let guest = lab.container("tikv1", (&options(&other), &["tikv"]));
    run("docker", &["network", "connect", &network, &guest]);
    let mut watch = Watch::start(&Program::new(Some(&network)));
    watch.until(&guest, |cluster| cluster == Some(network.as_str()));
    for from in [&network, &other] {
        run("docker", &["network", "disconnect", from, &guest]);
    }
    run("docker", &["pause", &guest]);
    let state = |document: &Value| {
        let node = document["nodes"].as_array().unwrap().iter().find(|one| one["name"] == guest.as_str());
        node.map(|node| node["state"].clone()).unwrap_or_else(|| panic!("it is of no cluster: {document}"))
    };
    while state(&watch.until(&guest, |_| true)) != "paused" {}
}
