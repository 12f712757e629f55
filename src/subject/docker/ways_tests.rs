use super::*;
use crate::subject::docker::node::{Endpoints, Network, Published};

/// What is published and advertised, and the ends and unknown addresses that follow.
type Case = (&'static [(&'static str, u16, u16)], &'static str, &'static [&'static str], &'static [&'static str]);

fn node(name: &str, ip: &str, published: &[(&str, u16, u16)], addresses: &[&str]) -> Node {
    let published = published.iter().map(|(address, port, container_port)| Published {
        address: address.parse().unwrap(),
        port: *port,
        container_port: *container_port,
    });
    let networks = vec![Network { name: "net".into(), ips: ip.parse().into_iter().collect(), link_local: None }];
    Node {
        id: format!("{name}-id"),
        cluster: "c".into(),
        networks,
        network_mode: "net".into(),
        endpoints: Endpoints {
            published: published.collect(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            aliases: vec![format!("{name}-alias")],
            ..Endpoints::default()
        },
        ..Node::bare(name)
    }
}

/// Two nodes, of which the second publishes and advertises this.
fn pair(published: &[(&str, u16, u16)], addresses: &[&str]) -> Snapshot {
    let nodes = vec![node("a", "10.0.0.2", &[], &[]), node("b", "10.0.0.3", published, addresses)];
    Snapshot { nodes, ..Snapshot::default() }
}

fn between(snapshot: &Snapshot, known: &Known) -> (Vec<String>, Vec<String>) {
    let ways = Routes::of(snapshot).ways(&snapshot.nodes[0], &snapshot.nodes[1], known);
    assert_eq!(ways.ips, ["10.0.0.3".parse().unwrap()].into());
    let ends = ways.ends.iter().map(|(end, port)| format!("{end} {port}")).collect();
    (ends, ways.unknown.into_iter().collect())
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[test]
fn advertised_address_leads_to_the_node_that_publishes_its_port_there() {
    const EVERYWHERE: &[(&str, u16, u16)] = &[("0.0.0.0", 20161, 20160), ("::", 20161, 20160)];
    let cases: [Case; 9] = [
        (EVERYWHERE, "192.0.2.1:20161", &["192.0.2.1:20161 20160"], &[]),
        (EVERYWHERE, "[2001:db8::1]:20161", &["[2001:db8::1]:20161 20160"], &[]),
        (&[("0.0.0.0", 20161, 20160)], "[2001:db8::1]:20161", &[], &[]),
        (&[("192.0.2.1", 20161, 20160)], "192.0.2.1:20161", &["192.0.2.1:20161 20160"], &[]),
        (&[("192.0.2.9", 20161, 20160)], "192.0.2.1:20161", &[], &[]),
        // Its own address and its names in Docker lead to all its ports.
        (EVERYWHERE, "10.0.0.3:20160", &[], &[]),
        (EVERYWHERE, "b-alias:20160", &[], &[]),
        (EVERYWHERE, "db.example:20161", &[], &["db.example:20161"]),
        (&[], "127.0.0.1:20160", &[], &[]),
    ];
    for (published, address, ends, unknown) in cases {
        let snapshot = pair(published, &[address]);
        let expected = (strings(ends), strings(unknown));
        assert_eq!(between(&snapshot, &Known::default()), expected, "{published:?} {address}");
        // PD's list says the same, without saying whose it is.
        let mut known = Known::default();
        known.list(address);
        assert_eq!(between(&pair(published, &[]), &known), expected, "{published:?} {address}");
    }
}

#[test]
fn same_port_of_another_host_is_no_way_to_a_node_that_says_where_it_is() {
    let snapshot = pair(&[("0.0.0.0", 20160, 20160)], &["192.0.2.1:20160"]);
    let mut known = Known::default();
    known.list("192.0.2.2:20160");
    let connection =
        Connection { local: "10.0.0.2:50000".parse().unwrap(), remote: "192.0.2.2:20160".parse().unwrap() };
    known.connections.insert("a-id".into(), vec![connection]);
    assert_eq!(between(&snapshot, &known), (strings(&["192.0.2.1:20160 20160"]), vec![]));
}

#[test]
fn connection_shows_where_a_name_leads_and_what_is_not_advertised() {
    let snapshot = pair(&[("0.0.0.0", 20161, 20160)], &["db.example:20161"]);
    let connection =
        |remote: &str| Connection { local: "10.0.0.2:50000".parse().unwrap(), remote: remote.parse().unwrap() };
    let known = |remotes: &[&str]| Known {
        connections: [("a-id".to_owned(), remotes.iter().map(|one| connection(one)).collect())].into(),
        ..Known::default()
    };
    let seen = between(&snapshot, &known(&["192.0.2.1:20161", "192.0.2.1:9", "10.0.0.3:20160"]));
    assert_eq!(seen, (strings(&["192.0.2.1:20161 20160"]), vec![]));
    assert_eq!(between(&snapshot, &known(&["10.0.0.3:20161"])), (vec![], vec![]));
    assert_eq!(between(&snapshot, &known(&["192.0.2.1:9"])).1, ["db.example:20161"]);
}

#[test]
fn way_that_leads_nowhere_known_is_named_and_refused_where_it_is_the_only_one() {
    let mut snapshot = pair(&[], &["db.example:20161"]);
    let left = |snapshot: &Snapshot, known: &Known| {
        let peers: Vec<&Node> = snapshot.nodes.iter().skip(1).collect();
        Routes::of(snapshot).left_open(&snapshot.nodes[0], &peers, known)
    };
    let alone = left(&snapshot, &Known::default());
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0].0, Grade::Refused);
    assert!(alone[0].1.starts_with("a reaches b by db.example:20161"), "{alone:?}");
    // Beside one that is cut, part of it is met.
    snapshot.nodes.push(node("c", "10.0.0.4", &[("0.0.0.0", 20162, 20160)], &["192.0.2.1:20162"]));
    assert_eq!(left(&snapshot, &Known::default())[0].0, Grade::Careful);
    assert_eq!(left(&pair(&[], &["b-alias:1"]), &Known::default()), vec![]);
}

#[test]
fn node_in_the_hosts_network_is_reached_by_the_ports_that_it_advertises() {
    let mut snapshot = pair(&[], &["192.0.2.1:20160"]);
    snapshot.nodes[1].network_mode = "host".into();
    snapshot.nodes[0].endpoints = node("a", "10.0.0.2", &[("0.0.0.0", 20161, 20160)], &["192.0.2.1:20161"]).endpoints;
    assert_eq!(between(&snapshot, &Known::default()).0, ["192.0.2.1:20160 20160"]);
    let known = Known::default();
    let reasons = Routes::of(&snapshot).left_open(&snapshot.nodes[0], &[&snapshot.nodes[1]], &known);
    assert!(reasons[0].1.contains("b uses the Docker host's own network"), "{reasons:?}");
}
