//! Clusters by what nodes were told and what PDs say, over nodes put together from values.

use super::{
    super::{
        belonging::{Belonging, addresses},
        islands::Said,
        node::{Endpoints, Network, Published},
    },
    *,
};

pub fn bare(name: &str, project: Option<&str>, networks: &[&str]) -> Node {
    Node {
        project: project.map(str::to_owned),
        networks: networks
            .iter()
            .map(|name| Network { name: name.to_string(), ips: vec![], link_local: None })
            .collect(),
        ..Node::bare(name)
    }
}

/// A node of the Compose project `lab`, whose service has its name, started with these flags.
fn composed(name: &str, networks: &[&str], flags: &[&str]) -> Node {
    with_flags(Node { service: Some(name.into()), ..bare(&format!("lab-{name}-1"), Some("lab"), networks) }, flags)
}

fn with_flags(node: Node, flags: &[&str]) -> Node {
    let role = if node.name.contains("pd") { Role::Pd } else { Role::Tikv };
    let args: Vec<String> = flags.iter().map(ToString::to_string).collect();
    let value = |name: &str| flags.iter().find_map(|flag| flag.strip_prefix(name)).map(str::to_owned);
    let endpoints = Endpoints {
        belonging: Belonging::of(role, &args, None, None),
        advertised: value("--advertise-addr="),
        member: value("--name=").filter(|_| role == Role::Pd),
        ..node.endpoints
    };
    Node { role, endpoints, ..node }
}

fn grouped(nodes: &[Node], evidence: &Evidence) -> Vec<(String, String)> {
    let snapshot = group(nodes.to_vec(), evidence);
    snapshot.nodes.into_iter().map(|node| (node.name, node.cluster)).collect()
}

fn cluster_of(nodes: &[Node], evidence: &Evidence, name: &str) -> String {
    let all = grouped(nodes, evidence);
    all.into_iter().find(|(other, _)| other == name).map(|(_, cluster)| cluster).unwrap()
}

fn said(id: u64, members: &[&str], stores: &[&str]) -> Said {
    Said {
        cluster_id: Some(id),
        size: members.len(),
        members: addresses(members.iter().copied()),
        stores: addresses(stores.iter().copied()),
    }
}

/// As in the files with which a cluster is copied to another: `upstream-…`, `downstream-…`, all on one network.
fn copied() -> Vec<Node> {
    let mut nodes = Vec::new();
    for side in ["upstream", "downstream"] {
        let (pd, store) = (format!("{side}-pd"), format!("{side}-tikv"));
        let initial = format!("--initial-cluster={pd}=http://{pd}:2380");
        nodes.push(composed(&pd, &["lab_default"], &[&format!("--name={pd}"), &initial]));
        for at in 0..2 {
            let name = format!("{store}{at}");
            nodes.push(composed(&name, &["lab_default"], &[&format!("--pd={pd}:2379")]));
        }
    }
    nodes
}

#[test]
fn clusters_are_projects_or_shared_networks() {
    let nodes = [
        bare("tikv10", None, &["left"]),
        bare("tikv2", None, &["left", "between"]),
        bare("tikv3", None, &["between"]),
        bare("other", None, &["right"]),
        bare("composed", Some("demo"), &["left"]),
    ];
    let pairs = grouped(&nodes, &Evidence::default());
    let found: Vec<_> = pairs.iter().map(|(name, cluster)| (cluster.as_str(), name.as_str())).collect();
    let expected =
        [("between", "tikv2"), ("between", "tikv3"), ("between", "tikv10"), ("demo", "composed"), ("right", "other")];
    assert_eq!(found, expected);
    let snapshot = group(nodes.to_vec(), &Evidence::default());
    assert_eq!(snapshot.clusters(), ["between", "demo", "right"]);
}

#[test]
fn two_clusters_in_one_project_are_told_apart_by_where_nodes_look_for_pd() {
    let nodes = copied();
    let found = grouped(&nodes, &Evidence::default());
    for (name, cluster) in &found {
        let side = if name.contains("upstream") { "lab/upstream-pd" } else { "lab/downstream-pd" };
        assert_eq!(cluster, side, "{name}");
    }
    assert!(in_doubt(&nodes, &Evidence::default()).is_empty());
    // A PD that was killed is there; one that was removed is missed by its own stores alone.
    let without: Vec<Node> = nodes.iter().filter(|node| node.name != "lab-downstream-pd-1").cloned().collect();
    let left = grouped(&without, &Evidence::default());
    assert_eq!(left.iter().filter(|(_, cluster)| cluster == "lab/upstream-pd").count(), 3, "{left:?}");
    assert_eq!(left.iter().filter(|(_, cluster)| cluster == "lab/downstream-pd").count(), 2, "{left:?}");
    // One cluster is called what it always was.
    let one: Vec<Node> = nodes.into_iter().filter(|node| node.name.contains("upstream")).collect();
    assert!(grouped(&one, &Evidence::default()).iter().all(|(_, cluster)| cluster == "lab"));
}

#[test]
fn project_means_every_cluster_in_it() {
    let only = |name: &str| {
        let snapshot = group(copied(), &Evidence::default()).only(Some(name));
        (snapshot.clusters().join(" "), snapshot.nodes.len(), snapshot.others)
    };
    assert_eq!(only("lab"), ("lab/downstream-pd lab/upstream-pd".into(), 6, vec![]));
    assert_eq!(only("lab/upstream-pd"), ("lab/upstream-pd".into(), 3, vec!["lab/downstream-pd".into()]));
    assert_eq!(only("la").1, 0);
}

#[test]
fn two_clusters_on_one_network_without_a_project_are_told_apart() {
    let plain = |name: &str, flags: &[&str]| with_flags(bare(name, None, &["shared"]), flags);
    let nodes = [
        plain("a-pd", &["--name=pd", "--initial-cluster=pd=http://a-pd:2380"]),
        plain("b-pd", &["--name=pd", "--initial-cluster=pd=http://b-pd:2380"]),
        plain("a-tikv", &["--pd=http://a-pd:2379"]),
        plain("b-tikv", &["--pd=b-pd:2379"]),
    ];
    let found = |name| cluster_of(&nodes, &Evidence::default(), name);
    assert_eq!((found("a-tikv"), found("b-tikv")), ("shared/a-pd".into(), "shared/b-pd".into()));
    assert_eq!(found("a-pd"), "shared/a-pd");
}

#[test]
fn members_that_start_together_or_join_are_one_cluster() {
    let all = "--initial-cluster=a=http://pd0:2380,b=http://pd1:2380";
    let nodes = [
        composed("pd0", &["lab_default"], &["--name=a", all]),
        composed("pd1", &["lab_default"], &["--name=b", all]),
        composed("pd2", &["lab_default"], &["--join=http://pd1:2379"]),
        composed("tikv0", &["lab_default"], &["--pd=pd2:2379"]),
        composed("tikv1", &["lab_default"], &[]),
    ];
    assert!(grouped(&nodes, &Evidence::default()).iter().all(|(_, cluster)| cluster == "lab"));
    assert!(in_doubt(&nodes, &Evidence::default()).is_empty());
}

#[test]
fn same_name_on_two_networks_means_the_nearest() {
    let nodes: Vec<Node> = ["left", "right"]
        .into_iter()
        .flat_map(|side| {
            let network = format!("lab_{side}");
            let alias = |mut node: Node, name: &str| {
                node.endpoints.aliases = vec![name.into()];
                node
            };
            let pd = composed(&format!("{side}-pd"), &[&network], &["--initial-cluster=pd=http://pd:2380"]);
            [alias(pd, "pd"), composed(&format!("{side}-tikv"), &[&network], &["--pd=pd:2379"])]
        })
        .collect();
    let found = |name| cluster_of(&nodes, &Evidence::default(), name);
    assert_eq!(found("lab-left-tikv-1"), "lab/left-pd");
    assert_eq!(found("lab-right-tikv-1"), "lab/right-pd");
}

#[test]
fn ports_of_the_docker_host_lead_to_their_pd() {
    let published = |name: &str, port: u16| {
        let mut node = composed(name, &["lab_default"], &[&format!("--initial-cluster=x=http://{name}:2380")]);
        node.endpoints.published = vec![Published { container_port: 2379, address: [0, 0, 0, 0].into(), port }];
        node
    };
    let nodes = [
        published("pd-a", 12379),
        published("pd-b", 22379),
        composed("tikv-a", &["lab_default"], &["--pd=192.0.2.1:12379"]),
        composed("tikv-b", &["lab_default"], &["--pd=docker.lan:22379"]),
    ];
    let found = |name| cluster_of(&nodes, &Evidence::default(), name);
    assert_eq!((found("lab-tikv-a-1"), found("lab-tikv-b-1")), ("lab/pd-a".into(), "lab/pd-b".into()));
}

#[test]
fn pds_that_say_nothing_by_their_commands_are_asked() {
    let store = |name: &str| composed(name, &["lab_default"], &[&format!("--advertise-addr={name}:20160")]);
    let pd = |name: &str| composed(name, &["lab_default"], &["--config=/pd.toml"]);
    let nodes = [pd("pd-a"), pd("pd-b"), store("tikv-a"), store("tikv-b")];
    let unheard = Evidence::default();
    assert!(grouped(&nodes, &unheard).iter().all(|(_, cluster)| cluster == "lab"));
    assert_eq!(in_doubt(&nodes, &unheard).len(), 4);
    let mut evidence = Evidence::default();
    evidence.said.insert("lab-pd-a-1".into(), said(1, &["http://pd-a:2379"], &["tikv-a:20160"]));
    evidence.said.insert("lab-pd-b-1".into(), said(2, &["http://pd-b:2379"], &["tikv-b:20160"]));
    let found = |name| cluster_of(&nodes, &evidence, name);
    assert_eq!((found("lab-tikv-a-1"), found("lab-tikv-b-1")), ("lab/pd-a".into(), "lab/pd-b".into()));
    // Still to be asked: what was heard may change.
    assert_eq!(in_doubt(&nodes, &evidence).len(), 4);
    let same = |id| said(id, &[], &["tikv-a:20160", "tikv-b:20160"]);
    evidence.said = [("lab-pd-a-1".into(), same(7)), ("lab-pd-b-1".into(), same(7))].into();
    assert!(grouped(&nodes, &evidence).iter().all(|(_, cluster)| cluster == "lab"));
}

#[test]
fn pd_that_is_silent_is_of_no_cluster_that_does_not_list_it() {
    let store = |name: &str| composed(name, &["lab_default"], &[&format!("--advertise-addr={name}:20160")]);
    let pd = |name: &str| composed(name, &["lab_default"], &["--config=/pd.toml"]);
    let nodes = [pd("pd-a"), pd("pd-b"), store("tikv-a"), store("tikv-b")];
    let heard = |members: &[&str], stores: &[&str]| {
        let said = [("lab-pd-a-1".to_owned(), said(1, members, stores))].into();
        Evidence { said, ..Evidence::default() }
    };
    let of = |evidence: &Evidence, name| cluster_of(&nodes, evidence, name);
    let alone = heard(&["pd-a:2379"], &["tikv-a:20160"]);
    assert_eq!((of(&alone, "lab-pd-a-1"), of(&alone, "lab-tikv-a-1")), ("lab/pd-a".into(), "lab/pd-a".into()));
    assert_eq!((of(&alone, "lab-pd-b-1"), of(&alone, "lab-tikv-b-1")), ("lab/other".into(), "lab/other".into()));
    // One that lists a member under an address that leads nowhere may mean it.
    let with_another = heard(&["pd-a:2379", "127.0.0.1:2379"], &["tikv-a:20160", "10.9.9.9:20160"]);
    assert!(grouped(&nodes, &with_another).iter().all(|(_, cluster)| cluster == "lab"));
}

#[test]
fn different_ids_are_never_one_cluster_whatever_commands_say() {
    let all = "--initial-cluster=a=http://pd-a:2380,b=http://pd-b:2380";
    let nodes = [
        composed("pd-a", &["lab_default"], &[all]),
        composed("pd-b", &["lab_default"], &[all]),
        composed("tikv0", &["lab_default"], &["--pd=pd-a:2379,pd-b:2379"]),
    ];
    let mut evidence = Evidence::default();
    evidence.said.insert("lab-pd-a-1".into(), said(1, &[], &[]));
    evidence.said.insert("lab-pd-b-1".into(), said(2, &[], &["tikv0:20160"]));
    let found = |name| cluster_of(&nodes, &evidence, name);
    assert_eq!((found("lab-pd-a-1"), found("lab-pd-b-1")), ("lab/pd-a".into(), "lab/pd-b".into()));
    assert_eq!(found("lab-tikv0-1"), "lab/pd-b");
}

#[test]
fn stores_own_configuration_says_where_its_pd_is() {
    let initial = |name: &str| format!("--initial-cluster=x=http://{name}:2380");
    let nodes = [
        composed("pd-a", &["lab_default"], &[&initial("pd-a")]),
        composed("pd-b", &["lab_default"], &[&initial("pd-b")]),
        composed("tikv0", &["lab_default"], &["--config=/tikv.toml"]),
    ];
    assert_eq!(cluster_of(&nodes, &Evidence::default(), "lab-tikv0-1"), "lab/other");
    let configured = [("lab-tikv0-1".to_owned(), addresses(["pd-b:2379"]))].into();
    let evidence = Evidence { configured, ..Evidence::default() };
    assert_eq!(cluster_of(&nodes, &evidence, "lab-tikv0-1"), "lab/pd-b");
}

#[test]
fn stores_behind_a_balancer_stay_where_they_were() {
    let nodes = [
        composed("pd0", &["lab_default"], &["--initial-cluster=pd0=http://pd0:2380"]),
        composed("tikv0", &["lab_default"], &["--pd=haproxy:2379"]),
        composed("tikv1", &["lab_default"], &["--pd=haproxy:2379"]),
    ];
    assert!(grouped(&nodes, &Evidence::default()).iter().all(|(_, cluster)| cluster == "lab"));
}

#[test]
fn cluster_of_two_projects_is_its_pds() {
    let nodes = [
        with_flags(bare("pd0", Some("control"), &["shared"]), &["--initial-cluster=pd0=http://pd0:2380"]),
        with_flags(bare("tikv0", Some("data"), &["shared"]), &["--pd=pd0:2379"]),
    ];
    assert!(grouped(&nodes, &Evidence::default()).iter().all(|(_, cluster)| cluster == "control"));
    assert_eq!(group(nodes.to_vec(), &Evidence::default()).only(Some("data")).nodes.len(), 2);
}

#[test]
fn nodes_of_other_projects_are_not_taken_for_ones_own() {
    // The same names elsewhere, as every demo has them.
    let of = |project: &str| {
        let network = format!("{project}_default");
        let named = |name: &str, flags: &[&str]| {
            let node = bare(&format!("{project}-{name}"), None, &[&network]);
            let mut node = with_flags(node, flags);
            node.endpoints.aliases = vec![name.into()];
            node
        };
        [named("pd0", &["--initial-cluster=pd0=http://pd0:2380"]), named("tikv0", &["--pd=pd0:2379"])]
    };
    let nodes: Vec<Node> = [of("one"), of("two")].into_iter().flatten().collect();
    let found = |nodes: &[Node], name| cluster_of(nodes, &Evidence::default(), name);
    assert_eq!((found(&nodes, "one-tikv0"), found(&nodes, "two-tikv0")), ("one_default".into(), "two_default".into()));
    let without: Vec<Node> = nodes.into_iter().filter(|node| node.name != "two-pd0").collect();
    assert_eq!(found(&without, "two-tikv0"), "two_default");
}

#[test]
fn node_that_left_its_network_stays_where_it_was() {
    let made_on = |node: Node, mode: &str| Node { network_mode: mode.into(), ..node };
    let mut nodes = vec![
        made_on(bare("tikv0", None, &["net"]), "net"),
        bare("tikv1", None, &["net"]),
        bare("tikv2", None, &["net"]),
    ];
    let seen = Evidence { seats: seats(&nodes), ..Evidence::default() };
    nodes[0].networks.clear();
    nodes[1].networks.clear();
    // By how it was made for every program, by where it was seen for one that saw it.
    assert_eq!(cluster_of(&nodes, &Evidence::default(), "tikv0"), "net");
    assert_eq!(cluster_of(&nodes, &Evidence::default(), "tikv1"), "no network");
    assert_eq!(cluster_of(&nodes, &seen, "tikv1"), "net");
    // A network where it is alone is not where it belongs.
    nodes[1].networks = vec![Network { name: "apart".into(), ips: vec![], link_local: None }];
    assert_eq!(cluster_of(&nodes, &seen, "tikv1"), "net");
    // By where it looks for PD, if nothing else is left.
    let pd = with_flags(bare("my-pd", None, &["net"]), &["--initial-cluster=x=http://my-pd:2380"]);
    let gone = with_flags(made_on(bare("tikv9", None, &[]), "elsewhere"), &["--pd=my-pd:2379"]);
    assert_eq!(cluster_of(&[pd, gone, bare("tikv0", None, &["net"])], &Evidence::default(), "tikv9"), "net");
}

#[test]
fn swarms_own_network_joins_nothing() {
    let nodes = [bare("tikv0", None, &["a", "ingress"]), bare("tikv1", None, &["b", "ingress"])];
    let found = |name| cluster_of(&nodes, &Evidence::default(), name);
    assert_eq!((found("tikv0"), found("tikv1")), ("a".into(), "b".into()));
}
