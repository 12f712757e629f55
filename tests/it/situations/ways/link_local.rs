//! The addresses that interfaces give themselves where a network has IPv6: Docker does not list them.

use std::{
    net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream},
    sync::mpsc,
    time::Duration,
};

use nix::net::if_::if_nametoindex;
use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    packets::inside,
    wait_for,
};

/// As the kernel of the node says.
fn link_local(cluster: &Cluster, node: usize) -> Ipv6Addr {
    let shown = cluster.in_namespace(node, &["ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link"]);
    let address = shown.split_whitespace().find_map(|word| word.strip_suffix("/64")?.parse().ok());
    address.unwrap_or_else(|| panic!("no link-local address: {shown:?}"))
}

/// Whether a connection from one node to the other's link-local address comes about.
fn reaches(cluster: &Cluster, from: usize, to: usize) -> bool {
    let (ip, (ready, port)) = (link_local(cluster, to), mpsc::channel());
    let (end, ended) = mpsc::channel::<()>();
    let listener = inside(cluster, to, move || {
        let listener = TcpListener::bind("[::]:0").unwrap();
        ready.send(listener.local_addr().unwrap().port()).unwrap();
        // Until the other end is dropped.
        let _ = ended.recv();
    });
    let port = port.recv().unwrap();
    let connect = move || {
        let index = if_nametoindex("eth0").unwrap();
        TcpStream::connect_timeout(&SocketAddrV6::new(ip, port, 0, index).into(), Duration::from_millis(700)).is_ok()
    };
    let reached = inside(cluster, from, connect).join().unwrap();
    drop(end);
    listener.join().unwrap();
    reached
}

#[test]
fn partition_cuts_link_local_addresses_too() {
    if !docker_is_here() {
        return;
    }
    let cluster = Cluster::start(&Options { ipv6: true, ..Options::default() });
    let program = Program::new(Some(&cluster.project));
    let all = || [reaches(&cluster, 0, 1), reaches(&cluster, 1, 0), reaches(&cluster, 0, 2)];
    // The kernel looks for others with the same address first (RFC 4862).
    wait_for("the addresses to be usable", || (all() == [true; 3]).then_some(()));
    let injected = program.inject(&["network_partition", "--target", "tikv0", "--peers", "tikv1"]);
    assert_eq!(all(), [false, false, true]);
    let metadata = &injected["metadata"];
    assert_eq!(metadata["link_local"][0], link_local(&cluster, 1).to_string(), "{metadata:#}");
    // The contract's field has the addresses that Docker lists.
    assert_eq!(metadata["target_ips"].as_array().unwrap().len(), 2, "{metadata:#}");
    assert_eq!(injected["measured"]["judgement"]["outcome"], "as_asked", "{injected:#}");

    // One that is open after all is seen.
    let (id, ip) = (injected["id"].as_str().unwrap(), link_local(&cluster, 1).to_string());
    for (end, option) in [("IN", "-s"), ("OUT", "-d")] {
        let chain = format!("TIKV-CHAOS-{id}-{end}");
        cluster.in_namespace(0, &["ip6tables-nft", "-D", &chain, option, &ip, "-j", "DROP"]);
    }
    let now = program.run(&["active", "--now", "--json"]).ok().json()["active"][0]["measured"]["judgement"].clone();
    let named = format!("{} at {ip}", cluster.nodes[1]);
    assert!(now["outcome"] == "differs" && now["text"].as_str().unwrap().contains(&named), "{now:#}");
    program.run(&["revert", "--all"]).ok();
    assert_eq!(all(), [true; 3]);
    cluster.assert_clean();
}
