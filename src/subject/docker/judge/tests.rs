//! Verdicts on clusters put together from values: what PD and the nodes say, and what is injected already.

use std::collections::BTreeMap;
use tikv_chaos_core::units::parse_size;

use super::{
    super::node::{Network, NetworkOf, Node, Role, Snapshot, State},
    *,
};
use crate::{
    chaos::{DataMount, InjectionId, MountKind, Signal},
    cluster::{NodeConfig, NodeView, PdConfig, PdMember, PdView, Read, StoreView, assumed::UP, node_config},
    safety::{self, Grade, Verdict},
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn mount(volume: &str, destination: &str) -> DataMount {
    DataMount { kind: MountKind::Volume, source: volume.into(), destination: destination.into() }
}

fn node(number: u8) -> Node {
    let name = format!("tikv{number}");
    Node {
        id: format!("{name}-id"),
        cluster: "demo".into(),
        started_at: "then".into(),
        network_mode: "demo".into(),
        mounts: vec![mount(&name, "/data"), mount("logs", "/raft")],
        ..Node::bare(&name)
    }
}

fn read<T>(value: Option<T>) -> Read<T> {
    Read { value, at: None, error: None }
}

/// Three stores with so much room, of which so much is available, and the configuration that they gave.
fn cluster(capacity: u64, available: u64, config: Option<&NodeConfig>) -> (Snapshot, ClusterState) {
    let nodes: Vec<Node> = (0..3).map(node).collect();
    let view = |node: &Node| {
        let store = StoreView {
            state_name: UP.into(),
            capacity: Some(capacity),
            available: Some(available),
            ..StoreView::default()
        };
        (node.id.clone(), NodeView { store: Some(store), config: read(config.cloned()), ..NodeView::default() })
    };
    let pd = PdView { max_replicas: Some(3), ..PdView::default() };
    let state = ClusterState {
        cluster: "demo".into(),
        pd: read(Some(pd)),
        nodes: nodes.iter().map(view).collect::<BTreeMap<_, _>>(),
        ..ClusterState::default()
    };
    (Snapshot { nodes, ..Snapshot::default() }, state)
}

fn verdict(
    (snapshot, state): &(Snapshot, ClusterState),
    fault: &FaultMetadata,
    disk: Option<&DiskBefore>,
    open: &[Metadata],
) -> Verdict {
    let known = Knowledge { open, cluster: Some(state), shares_targets_network: false };
    safety::judge(&situation(snapshot, &snapshot.nodes[0], fault, disk, &known))
}

fn kill() -> FaultMetadata {
    FaultMetadata::NodeKill { target_container: "tikv0".into(), signal: Signal::Kill }
}

fn fill(bytes: u64, mount: DataMount) -> FaultMetadata {
    let fill_file = format!("{}/chaos-fill-1769999400000.tmp", mount.destination);
    let target_container = "tikv0".into();
    FaultMetadata::DiskPressure { whole: true, target_container, fill_percent: 80, fill_file, fill_bytes: bytes, mount }
}

fn open(node: &Node, fault: FaultMetadata) -> Metadata {
    Metadata {
        fault,
        id: InjectionId::from_number(1),
        container_id: node.id.clone(),
        container_started_at: node.started_at.clone(),
        daemon_id: None,
        group: None,
        holder_image: None,
        before: None,
        task: None,
    }
}

/// As the status port gives what this program's own compose file gives to TiKV.
fn of_the_compose_file() -> NodeConfig {
    let file: toml::Table = include_str!("../../../../compose/tikv.toml").parse().unwrap();
    let reserve = file["storage"]["reserve-space"].as_str().and_then(parse_size).unwrap();
    assert_eq!(reserve, 256 * MIB);
    let answer = format!(
        r#"{{"storage":{{"data-dir":"/data","reserve-space":"{}MiB","reserve-raft-space":"1GiB"}},
        "raftstore":{{"capacity":"0KiB"}},"raft-engine":{{"enable":true,"dir":"/data/raft-engine"}}}}"#,
        reserve / MIB
    );
    node_config::parse(&answer).unwrap()
}

#[test]
fn killing_one_of_three_of_the_compose_file_is_fine() {
    let config = of_the_compose_file();
    let roomy = verdict(&cluster(GIB, 900 * MIB, Some(&config)), &kill(), None, &[]);
    assert_eq!(roomy.grade, Grade::Fine, "{roomy:?}");
    assert!(roomy.consequence.starts_with("this leaves 2 of 3 stores reachable: every region keeps its quorum"));
    // At its reserve each of them refuses writes, and TiKV's default on the same disk would leave none.
    let by_default = NodeConfig { reserve_space: Some(5 * GIB), ..config.clone() };
    for (available, config) in [(256 * MIB, &config), (900 * MIB, &by_default)] {
        let full = verdict(&cluster(GIB, available, Some(config)), &kill(), None, &[]);
        assert_eq!(full.grade, Grade::Refused);
        assert!(full.reasons[0].starts_with("quorums are lost already"), "{full:?}");
    }
    let unread = verdict(&cluster(GIB, 900 * MIB, None), &kill(), None, &[]);
    assert_eq!(unread.grade, Grade::Careful, "{unread:?}");
    assert!(!unread.consequence.contains("full disk"), "{unread:?}");
    assert!(unread.reasons[0].starts_with("storage.reserve-space of tikv0, tikv1 and tikv2 is not known"));
    let off = NodeConfig { reserve_space: Some(0), ..config };
    assert_eq!(verdict(&cluster(GIB, MIB, Some(&off)), &kill(), None, &[]).grade, Grade::Fine);
}

#[test]
fn fill_is_judged_by_the_reserve_of_the_disk_that_it_is_on() {
    let config = NodeConfig { raft_dir: Some("/raft/engine".into()), ..of_the_compose_file() };
    let before = cluster(GIB, 900 * MIB, Some(&config));
    let disk = |total: u64| DiskBefore { total, available: total, shared: None };
    let reason = |bytes: u64, on: DataMount, total: u64| {
        let verdict = verdict(&before, &fill(bytes, on), Some(&disk(total)), &[]);
        (verdict.grade, verdict.reasons.into_iter().next().unwrap_or_default())
    };
    assert_eq!(reason(700 * MIB, mount("tikv0", "/data"), GIB).0, Grade::Fine);
    let (grade, data) = reason(800 * MIB, mount("tikv0", "/data"), GIB);
    assert_eq!(grade, Grade::Careful);
    assert!(data.contains("under TiKV's reserve of 256.0 MiB: tikv0 becomes AlmostFull"), "{data}");
    assert_eq!(reason(8 * GIB, mount("logs", "/raft"), 10 * GIB).0, Grade::Fine);
    let (_, raft) = reason(10 * GIB - 100 * MIB, mount("logs", "/raft"), 10 * GIB);
    assert!(raft.contains("under TiKV's reserve of 1.0 GiB: tikv0 becomes AlreadyFull"), "{raft}");
    // Of a disk that TiKV may use a part of, that part counts.
    let limited = NodeConfig { capacity: Some(GIB), ..of_the_compose_file() };
    let before = cluster(GIB, 900 * MIB, Some(&limited));
    let one = verdict(&before, &fill(MIB, mount("tikv0", "/data")), Some(&disk(100 * GIB)), &[]);
    assert_eq!(one.grade, Grade::Fine, "{one:?}");
}

#[test]
fn fill_that_holds_counts_by_what_it_leaves() {
    let config = of_the_compose_file();
    let before = cluster(GIB, 900 * MIB, Some(&config));
    let with = |bytes: u64, on: DataMount, before: &(Snapshot, ClusterState)| {
        verdict(before, &kill(), None, &[open(&before.0.nodes[1], fill(bytes, on))])
    };
    assert_eq!(with(90 * MIB, mount("tikv1", "/data"), &before).grade, Grade::Fine);
    let full = with(800 * MIB, mount("tikv1", "/data"), &before);
    assert_eq!(full.grade, Grade::Refused);
    assert!(full.consequence.contains("(tikv1 has a full disk)"), "{full:?}");
    // Where it is not reported how much is left, a disk that was filled counts as full.
    let mut silent = cluster(GIB, 900 * MIB, None);
    silent.1.nodes.clear();
    assert_eq!(with(90 * MIB, mount("tikv1", "/data"), &silent).grade, Grade::Refused);
}

#[test]
fn small_fill_of_a_large_disk_is_no_full_disk() {
    let one_percent = |bytes: u64, on: DataMount| match fill(bytes, on) {
        FaultMetadata::DiskPressure { target_container, fill_file, fill_bytes, whole, mount, .. } => {
            FaultMetadata::DiskPressure { target_container, fill_percent: 1, fill_file, fill_bytes, whole, mount }
        }
        other => other,
    };
    let mut silent = cluster(75 * GIB, 75 * GIB, None);
    silent.1.nodes.clear();
    let verdict = |on: DataMount, before: &(Snapshot, ClusterState)| {
        verdict(before, &kill(), None, &[open(&before.0.nodes[1], one_percent(768 * MIB, on))])
    };
    // Nothing is reported of the disk, nor what is kept free of it: neither full nor fine.
    let unknown = verdict(mount("tikv1", "/data"), &silent);
    assert_eq!(unknown.grade, Grade::Careful, "{unknown:?}");
    assert!(!unknown.consequence.contains("full disk"), "{unknown:?}");
    // With the node's own words it is fine, on the disk of the data as on the Raft log's.
    let config = NodeConfig { raft_dir: Some("/raft/engine".into()), ..of_the_compose_file() };
    let mut known = cluster(75 * GIB, 75 * GIB, Some(&config));
    for on in [mount("tikv1", "/data"), mount("logs", "/raft")] {
        assert_eq!(verdict(on, &known).grade, Grade::Fine);
    }
    known.1.nodes.values_mut().for_each(|view| view.store = None);
    assert_eq!(verdict(mount("tikv1", "/data"), &known).grade, Grade::Fine);
}

#[test]
fn members_of_pd_are_those_that_pd_lists() {
    let (mut snapshot, mut state) = cluster(GIB, 900 * MIB, None);
    let pd = |name: &str| {
        let mut node = Node { id: format!("{name}-id"), name: name.into(), role: Role::Pd, ..node(9) };
        node.endpoints.member = Some(name.into());
        node
    };
    let names = ["pd0", "pd1", "pd2", "other", "another"];
    snapshot.nodes.extend(names.map(pd));
    let listed = |name: &str| PdMember { name: name.into(), healthy: Some(true) };
    let verdict = |snapshot: &Snapshot, state: &ClusterState, target: &str| {
        let known = Knowledge { open: &[], cluster: Some(state), shares_targets_network: false };
        let node = snapshot.nodes.iter().find(|node| node.name == target).unwrap();
        safety::judge(&situation(snapshot, node, &kill(), None, &known)).consequence
    };
    assert!(verdict(&snapshot, &state, "pd0").starts_with("this leaves 4 of 5 PD members reachable"));
    state.pd.value.as_mut().unwrap().members = ["pd0", "pd1", "pd2"].map(listed).into();
    assert!(verdict(&snapshot, &state, "pd0").starts_with("this leaves 2 of 3 PD members reachable"));
    assert!(verdict(&snapshot, &state, "other").starts_with("all 3 PD members stay reachable"));
    // Those that ended are out, and the strangers make up for none.
    snapshot.nodes.iter_mut().filter(|node| node.name == "pd1").for_each(|node| node.state = State::Exited);
    assert!(verdict(&snapshot, &state, "pd0").contains("this leaves 1 of 3 PD members reachable (pd1 is exited)"));
    // One without a container counts as much as any.
    snapshot.nodes.retain(|node| node.name != "pd1");
    assert!(verdict(&snapshot, &state, "pd0").starts_with("this leaves 2 of 3 PD members reachable"));
    state.pd.value.as_mut().unwrap().members[1].healthy = Some(false);
    assert!(verdict(&snapshot, &state, "pd0").contains("1 of 3 PD members reachable (pd1 is not healthy in PD)"));
}

#[test]
fn store_that_cannot_reach_pd_is_given_up_when_pd_says() {
    let mut before = cluster(GIB, 900 * MIB, Some(&of_the_compose_file()));
    let at = |minutes: Option<u64>, before: &mut (Snapshot, ClusterState)| {
        let config = minutes.map(|minutes| PdConfig { max_store_down_time_ms: Some(minutes * 60_000) });
        before.1.pd_config = read(config);
        let known = Knowledge { open: &[], cluster: Some(&before.1), shares_targets_network: false };
        situation(&before.0, &before.0.nodes[0], &kill(), None, &known).down_after.as_secs() / 60
    };
    assert_eq!((at(Some(60), &mut before), at(None, &mut before)), (60, 30));
}

/// The second store has joined the first one's network.
fn sharing() -> (Snapshot, ClusterState) {
    let (mut snapshot, state) = cluster(GIB, 900 * MIB, Some(&of_the_compose_file()));
    let address = |last: u8| Network { name: "net".into(), ips: vec![[10, 0, 0, last].into()], link_local: None };
    snapshot.nodes[0].networks = vec![address(2)];
    snapshot.nodes[1].networks = vec![address(2)];
    snapshot.nodes[2].networks = vec![address(3)];
    let owner = NetworkOf { id: snapshot.nodes[0].id.clone(), name: "tikv0".into(), is_node: true, lost: false };
    snapshot.nodes[1].network_mode = format!("container:{}", owner.id);
    snapshot.nodes[1].network_of = Some(owner);
    (snapshot, state)
}

fn partition(from: [u8; 4]) -> FaultMetadata {
    FaultMetadata::NetworkPartition {
        isolated_container: "tikv0".into(),
        target_ips: vec![from.into()],
        peers: vec![],
        flavour: crate::chaos::network::Flavour::Nft,
        direction: Direction::Both,
        reject: false,
        ends: vec![],
        link_local: vec![],
        far: vec![],
        peer_nodes: vec![],
    }
}

#[test]
fn nodes_in_one_network_are_hit_by_what_its_owner_suffers() {
    let cluster = sharing();
    let killed = verdict(&cluster, &kill(), None, &[]);
    assert_eq!(killed.grade, Grade::Refused);
    assert!(killed.consequence.starts_with("this leaves 1 of 3 stores reachable"), "{killed:?}");
    // They have one another, and the third has neither.
    let cut = verdict(&cluster, &partition([10, 0, 0, 3]), None, &[]);
    assert!(cut.consequence.starts_with("this leaves 2 of 3 stores reachable"), "{cut:?}");
    let joined = safety::judge(&situation(
        &cluster.0,
        &cluster.0.nodes[1],
        &kill(),
        None,
        &Knowledge { open: &[], cluster: Some(&cluster.1), shares_targets_network: false },
    ));
    assert_eq!(joined.grade, Grade::Fine, "its owner keeps the network: {joined:?}");
    // A frozen process leaves the network as it is.
    let frozen = verdict(&cluster, &FaultMetadata::NodePause { target_container: "tikv0".into() }, None, &[]);
    assert_eq!(frozen.grade, Grade::Fine, "{frozen:?}");
}

#[test]
fn what_holds_on_an_owner_counts_for_what_has_joined_it() {
    let cluster = sharing();
    let (snapshot, state) = &cluster;
    let last = |open: &[Metadata], snapshot: &Snapshot| {
        let known = Knowledge { open, cluster: Some(state), shares_targets_network: false };
        safety::judge(&situation(snapshot, &snapshot.nodes[2], &kill(), None, &known))
    };
    let cut = open(&snapshot.nodes[0], partition([10, 0, 0, 3]));
    // Those two have one another.
    assert_eq!(last(&[cut], snapshot).grade, Grade::Fine);
    let killed = last(&[open(&snapshot.nodes[0], kill())], snapshot);
    assert!(killed.reasons[0].contains("tikv1 has no network while another is down"), "{killed:?}");
    let mut lost = snapshot.clone();
    lost.nodes[1].network_of.as_mut().unwrap().lost = true;
    assert!(last(&[], &lost).reasons[0].contains("tikv1 has lost tikv0's network"));
}
