//! Containers that sleep under nodes' labels and flags, on networks of the test's own or on the host's, where a server of the
//! test's process answers in PD's place.

use std::net::IpAddr;

use serde_json::Value;
use support::{
    Program,
    cluster::LABEL,
    fake::image,
    http::{Reply, Server, healthy_pd},
    run, try_run, unique,
};

pub struct Lab {
    pub name: String,
    label: String,
    networks: Vec<String>,
}

/// Options for Docker, then the command behind the shell's `sleep`.
type Words<'a> = (&'a [&'a str], &'a [&'a str]);

impl Lab {
    pub fn new() -> Self {
        let run = unique();
        Self { name: format!("lab{run}"), label: format!("{LABEL}={run}"), networks: vec![] }
    }

    pub fn network(&mut self, name: &str) -> String {
        let name = format!("{}_{name}", self.name);
        run("docker", &["network", "create", "--label", &self.label, &name]);
        self.networks.push(name.clone());
        name
    }

    /// A container of that name; gives the name.
    pub fn container(&self, name: &str, (options, words): Words) -> String {
        let name = format!("{}-{name}", self.name);
        let docker = ["run", "-d", "--name", &name, "--label", &self.label, "--entrypoint", "/bin/sh"];
        let sleeps = [image(), "-c", "exec sleep 1000000"];
        run("docker", &[&docker[..], options, &sleeps, words].concat());
        name
    }

    /// A service of the project that has the lab's name.
    pub fn service(&self, service: &str, (options, words): Words) -> String {
        let labels =
            [format!("com.docker.compose.project={}", self.name), format!("com.docker.compose.service={service}")];
        let labels = ["--label", &labels[0], "--label", &labels[1]];
        self.container(&format!("{service}-1"), (&[&labels[..], options].concat(), words))
    }

    /// A node among the services, on that network.
    pub fn node(&self, role: &str, service: &str, network: &str, flags: &[&str]) -> String {
        let role_label = format!("tikv-chaos.role={role}");
        let alias = ["--network-alias", service];
        let mut options = vec!["--label", &role_label, "--network", network];
        if network != "host" {
            options.extend(alias);
        }
        self.service(service, (&options, &[&[role], flags].concat()))
    }

    /// A PD of the project that answers, of the cluster with that number, with its members and stores.
    pub fn answering_pd(&self, service: &str, cluster: u64, members: &[&str], stores: &[&str]) -> Server {
        let server = Server::start(healthy_pd());
        says(&server, cluster, members, stores);
        let (name, client) = (format!("--name={service}"), format!("--client-urls=http://0.0.0.0:{}", server.port));
        self.node("pd", service, "host", &[&name, &client, &format!("--advertise-client-urls=http://{service}:2379")]);
        server
    }

    pub fn program(&self) -> Program {
        Program::new(Some(&self.name))
    }

    /// Each node's name, without the lab's, and its cluster.
    pub fn clusters(&self, program: &Program) -> Vec<(String, String)> {
        let nodes = program.run(&["nodes", "--json"]).ok().json();
        let text = |node: &Value, key: &str| node[key].as_str().unwrap().replace(&self.name, "lab");
        let nodes = nodes["nodes"].as_array().unwrap().iter();
        nodes.map(|node| (text(node, "name").replace("lab-", ""), text(node, "cluster"))).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let filter = format!("label={}", self.label);
        let mut doomed: Vec<String> =
            run("docker", &["ps", "-aq", "--filter", &filter]).lines().map(str::to_owned).collect();
        for target in doomed.clone() {
            let beside = format!("label=tikv-chaos.target={}", run("docker", &["inspect", "-f", "{{.Id}}", &target]));
            doomed.extend(run("docker", &["ps", "-aq", "--filter", &beside]).lines().map(str::to_owned));
        }
        for container in doomed {
            try_run("docker", &["rm", "-f", "-v", &container]);
        }
        for network in &self.networks {
            try_run("docker", &["network", "rm", network]);
        }
    }
}

/// What a PD says of itself from now on.
pub fn says(pd: &Server, cluster: u64, members: &[&str], stores: &[&str]) {
    let member = |name: &&str| {
        format!(r#"{{"name":"{name}","client_urls":["http://{name}:2379"],"peer_urls":["http://{name}:2380"]}}"#)
    };
    let all: Vec<String> = members.iter().map(member).collect();
    let healthy: Vec<String> = members.iter().map(|name| format!(r#"{{"name":"{name}","health":true}}"#)).collect();
    let beat = jiff::Timestamp::now();
    let store = |(at, address): (usize, &&str)| {
        format!(
            r#"{{"store":{{"id":{},"address":"{address}","version":"8.5.5","state_name":"Up"}},"status":{{"capacity":"10GiB",
            "available":"8GiB","leader_count":1,"region_count":1,"last_heartbeat_ts":"{beat}"}}}}"#,
            100 * cluster + at as u64
        )
    };
    let stores: Vec<String> = stores.iter().enumerate().map(store).collect();
    let (count, first) = (stores.len(), &all[0]);
    pd.set(
        "/pd/api/v1/members",
        Reply::Json(format!(
            r#"{{"header":{{"cluster_id":{cluster}}},"members":[{}],"leader":{first}}}"#,
            all.join(",")
        )),
    );
    pd.set("/pd/api/v1/health", Reply::Json(format!("[{}]", healthy.join(","))));
    pd.set("/pd/api/v1/stores", Reply::Json(format!(r#"{{"count":{count},"stores":[{}]}}"#, stores.join(","))));
    pd.set("/pd/api/v1/regions", Reply::Json(r#"{"count":0,"regions":[]}"#.into()));
}

pub fn ip(container: &str) -> IpAddr {
    let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    run("docker", &["inspect", "-f", template, container]).parse().unwrap()
}
