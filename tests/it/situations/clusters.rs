//! Which nodes form a cluster: several in one project or on one network, programs of PD's image that are no members, tasks
//! of Swarm, nodes that left their network.

mod lab;
mod swarm;
mod watched;

use std::collections::BTreeSet;

use support::{
    cluster::{Cluster, Options},
    docker_is_here, run, wait_for,
};

use self::lab::{Lab, ip, says};

/// As in the Compose files with which one cluster is copied to another: both in one project, on one network.
fn copied(lab: &mut Lab) -> String {
    let network = lab.network("default");
    for side in ["upstream", "downstream"] {
        let pd = format!("{side}-pd");
        let initial = format!("--initial-cluster={pd}=http://{pd}:2380");
        lab.node("pd", &pd, &network, &[&format!("--name={pd}"), &initial]);
        for at in 0..2 {
            lab.node("tikv", &format!("{side}-tikv{at}"), &network, &[&format!("--pd={pd}:2379")]);
        }
    }
    network
}

#[test]
fn two_clusters_of_one_compose_project_are_told_apart() {
    if !docker_is_here() {
        return;
    }
    let mut lab = Lab::new();
    copied(&mut lab);
    let program = lab.program();
    for (node, cluster) in lab.clusters(&program) {
        let side = node.split('-').next().unwrap();
        assert_eq!(cluster, format!("lab/{side}-pd"), "{node}");
    }
    // Which one is meant has to be said, and can be.
    let either = program.run(&["inject", "node_kill", "--dry-run"]);
    let names = format!("{0}/downstream-pd, {0}/upstream-pd", lab.name);
    assert!(either.status == 3 && either.stderr.contains(&names), "{either:?}");
    let upstream = support::Program::new(Some(&format!("{}/upstream-pd", lab.name)));
    assert_eq!(lab.clusters(&upstream).len(), 3);
    let verdict = upstream.run(&["inject", "node_kill", "--target", "upstream-tikv0", "--dry-run", "--json"]).json();
    let consequence = verdict["verdict"]["consequence"].as_str().unwrap();
    assert!(consequence.contains("of 2 stores"), "{verdict}");
    // No node of the other cluster is cut off.
    let injected = upstream.inject(&["network_partition", "--target", "upstream-tikv0"]);
    let peer = ip(&format!("{}-upstream-tikv1-1", lab.name)).to_string();
    assert_eq!(injected["metadata"]["target_ips"], serde_json::json!([peer]));
    let pid = run("docker", &["inspect", "-f", "{{.State.Pid}}", &format!("{}-upstream-tikv0-1", lab.name)]);
    let rules = ["nft", "legacy"]
        .map(|kind| support::try_run("nsenter", &["-t", &pid, "-n", &format!("iptables-{kind}-save")]).1);
    let dropped = |address: &str| rules.iter().any(|rules| rules.contains(&format!(" {address}/32 ")));
    assert!(dropped(&peer), "{rules:?}");
    for other in ["downstream-tikv0", "downstream-tikv1", "downstream-pd"] {
        assert!(!dropped(&ip(&format!("{}-{other}-1", lab.name)).to_string()), "{other} in {rules:?}");
    }
    upstream.run(&["revert", "--all"]).ok();
}

#[test]
fn one_cluster_bears_the_name_of_its_project_as_before() {
    if !docker_is_here() {
        return;
    }
    let mut lab = Lab::new();
    let network = lab.network("default");
    let all = "--initial-cluster=pd0=http://pd0:2380,pd1=http://pd1:2380";
    for pd in ["pd0", "pd1"] {
        lab.node("pd", pd, &network, &[&format!("--name={pd}"), all]);
    }
    lab.node("pd", "pd2", &network, &["--name=pd2", "--join=http://pd1:2379"]);
    lab.node("tikv", "tikv0", &network, &["--pd=pd2:2379"]);
    lab.node("tikv", "tikv1", &network, &[]);
    let clusters: BTreeSet<String> = lab.clusters(&lab.program()).into_iter().map(|(_, cluster)| cluster).collect();
    assert_eq!(clusters, BTreeSet::from(["lab".to_owned()]));
}

#[test]
fn clusters_whose_commands_say_nothing_are_told_apart_by_their_pds() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let a = lab.answering_pd("pd-a", 1, &["pd-a"], &["tikv-a:20160"]);
    let b = lab.answering_pd("pd-b", 2, &["pd-b"], &["tikv-b:20160"]);
    for name in ["tikv-a", "tikv-b"] {
        lab.node("tikv", name, "host", &[&format!("--advertise-addr={name}:20160"), "--config=/tikv.toml"]);
    }
    let program = lab.program();
    for (node, cluster) in lab.clusters(&program) {
        let side = if node.contains("-a-") { "lab/pd-a" } else { "lab/pd-b" };
        assert_eq!(cluster, side, "{node}");
    }
    // Each PD speaks for its own stores.
    let read = program.run(&["nodes", "--json"]).ok().json();
    for cluster in read["clusters"].as_array().unwrap() {
        let side = if cluster["cluster"].as_str().unwrap().ends_with("pd-a") { "a" } else { "b" };
        let pd = &cluster["pd"]["value"];
        assert_eq!(pd["answered_by"], format!("{}-pd-{side}-1", lab.name), "{pd}");
        assert_eq!(pd["stores"][0]["address"], format!("tikv-{side}:20160"), "{pd}");
    }
    // What it said is kept while it says nothing, by another program too.
    b.set_all(&support::http::Reply::Status("503 Service Unavailable", "text/plain", "no leader".into()));
    run("docker", &["pause", &format!("{}-pd-b-1", lab.name)]);
    assert!(lab.clusters(&program).contains(&("tikv-b-1".to_owned(), "lab/pd-b".to_owned())));
    // One PD cluster of two members is one cluster.
    run("docker", &["unpause", &format!("{}-pd-b-1", lab.name)]);
    for pd in [&a, &b] {
        says(pd, 3, &["pd-a", "pd-b"], &["tikv-a:20160", "tikv-b:20160"]);
    }
    b.set("/pd/api/v1/version", support::http::Reply::Json(r#"{"version":"v8.5.5"}"#.into()));
    assert!(lab.clusters(&lab.program()).iter().all(|(_, cluster)| cluster == "lab"));
}

#[test]
fn pd_microservices_count_for_no_quorum_of_pd() {
    if !docker_is_here() {
        return;
    }
    let lab = Lab::new();
    let names = ["pd0", "pd1", "pd2"];
    let _pds = names.map(|name| lab.answering_pd(name, 1, &names, &["tikv0:20160"]));
    lab.node("tikv", "tikv0", "host", &["--advertise-addr=tikv0:20160"]);
    let host = ["--network", "host"];
    // One is known by its command; the other, behind a script, only because PD does not list it.
    lab.service("pd-tso", (&host, &["/pd-server", "services", "tso", "--backend-endpoints=http://pd0:2379"]));
    lab.service("pd-scheduling", (&host, &["/start.sh"]));
    let program = lab.program();
    let nodes: Vec<String> = lab.clusters(&program).into_iter().map(|(name, _)| name).collect();
    assert!(!nodes.contains(&"pd-tso-1".to_owned()), "{nodes:?}");
    let left = |target: &str| {
        let ran = program.run(&["inject", "node_kill", "--target", target, "--dry-run", "--json"]).json();
        ran["verdict"]["consequence"].as_str().unwrap().to_owned()
    };
    assert!(left("pd0").starts_with("this leaves 2 of 3 PD members reachable"), "{}", left("pd0"));
    if nodes.contains(&"pd-scheduling-1".to_owned()) {
        assert!(left("pd-scheduling").starts_with("all 3 PD members stay reachable"), "{}", left("pd-scheduling"));
    }
    for pd in ["pd1", "pd2"] {
        run("docker", &["kill", &format!("{}-{pd}-1", lab.name)]);
    }
    wait_for("the verdict to know of both", || left("pd0").contains("0 of 3 PD members reachable").then_some(()));
}

#[test]
fn node_that_leaves_its_network_stays_in_its_cluster() {
    if !docker_is_here() {
        return;
    }
    let mut lab = Lab::new();
    let (network, other) = (lab.network("net"), lab.network("other"));
    let role = |role: &str| format!("tikv-chaos.role={role}");
    let on = |name: &str, kind: &str, network: &str, flags: &[&str]| {
        lab.container(name, (&["--label", &role(kind), "--network", network], &[&[kind], flags].concat()))
    };
    let pd = on("pd", "pd", &network, &[&format!("--initial-cluster=pd=http://{}-pd:2380", lab.name)]);
    let tikv0 = on("tikv0", "tikv", &network, &[]);
    on("tikv1", "tikv", &network, &[]);
    // It came to this network later, and says where its PD is.
    let tikv2 = on("tikv2", "tikv", &other, &[&format!("--pd={pd}:2379")]);
    run("docker", &["network", "connect", &network, &tikv2]);
    let program = support::Program::new(Some(&network));
    let seen = |program: &support::Program| {
        let clusters = lab.clusters(program);
        assert!(clusters.iter().all(|(_, cluster)| *cluster == network.replace(&lab.name, "lab")), "{clusters:?}");
        clusters.len()
    };
    assert_eq!(seen(&program), 4);
    for (from, node) in [(&network, &tikv0), (&network, &tikv2), (&other, &tikv2)] {
        run("docker", &["network", "disconnect", from, node]);
    }
    assert_eq!(seen(&program), 4);
    run("docker", &["kill", &tikv0]);
    assert_eq!(seen(&program), 4);
}

#[test]
fn hundredth_of_a_large_disk_filled_is_no_full_disk() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options { apart: true, ..Options::default() });
    let program = support::Program::new(Some(&cluster.project));
    let available = cluster.available(&cluster.volumes[1]);
    program.inject(&["disk_pressure", "--target", "tikv1", "--fill-percent", "1"]);
    let plan = program.run(&["inject", "node_kill", "--target", "tikv0", "--dry-run", "--json"]).json();
    let consequence = plan["verdict"]["consequence"].as_str().unwrap();
    // By what TiKV keeps free where its configuration says nothing else.
    let is_full = available / 100 * 99 <= 5 << 30;
    assert_eq!(consequence.contains("full disk"), is_full, "{available} available: {plan}");
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}
