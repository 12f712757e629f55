//! Partitions of every shape on a real Raft cluster of five, which keeps a quorum or loses it as the shape says: asked of
//! each member itself, by writing to it.

use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here,
    packets::side_by_side,
    wait_for,
};

/// Who can write while a partition stands.
struct Expect {
    args: Vec<String>,
    /// At least one of them, again and again where the shape lets no leader stay.
    some: Vec<usize>,
    /// None of them.
    none: Vec<usize>,
}

fn shape(name: &str, target: usize, some: &[usize], none: &[usize]) -> Expect {
    let args = ["--shape", name, "--target", &format!("tikv{target}")].map(str::to_owned).to_vec();
    Expect { args, some: some.to_vec(), none: none.to_vec() }
}

/// The others of the five.
fn but(nodes: &[usize]) -> Vec<usize> {
    (0..5).filter(|node| !nodes.contains(node)).collect()
}

fn all_agree(cluster: &Cluster) -> usize {
    wait_for("all five to agree", || cluster.leader())
}

fn assert_quorum(cluster: &Cluster, program: &Program, expect: &Expect) {
    let args: Vec<&str> = expect.args.iter().map(String::as_str).collect();
    let injected = program.inject(&[&["network_partition"], &args[..]].concat());
    let id = injected["group"].as_str().or(injected["id"].as_str()).unwrap().to_owned();
    // Each alone may wait for seconds.
    let none = || !side_by_side(&expect.none, |node| cluster.writes(*node)).contains(&true);
    wait_for(&format!("{args:?}: none of {:?} to take a write", expect.none), || none().then_some(()));
    if !expect.some.is_empty() {
        let one = || expect.some.iter().find(|node| cluster.writes(**node));
        wait_for(&format!("{args:?}: one of {:?} to take a write", expect.some), one);
    }
    // Nor has whoever lost the quorum found another since.
    assert!(none(), "{args:?}");
    program.run(&["revert", &id]).ok();
    all_agree(cluster);
}

#[test]
#[ignore = "proof: a minute or two"]
fn quorum_is_kept_or_lost_as_partition_shape_predicts() {
    if docker_is_here() {
        assert_all_shapes(&Options { nodes: 5, ..Options::default() });
    }
}

#[test]
#[ignore = "proof: a minute or two"]
fn quorum_is_kept_or_lost_alike_where_nodes_meet_by_docker_hosts_ports() {
    if docker_is_here() {
        assert_all_shapes(&Options { nodes: 5, by_host: true, ..Options::default() });
    }
}

fn assert_all_shapes(options: &Options) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));

    // The target's half is the smaller one: itself and the next.
    assert_quorum(&cluster, &program, &shape("halves", 0, &[2, 3, 4], &[0, 1]));
    // Everybody reaches a majority, which need not be their leader's.
    assert_quorum(&cluster, &program, &shape("majorities-ring", 0, &but(&[]), &[]));
    // The target and either side are a majority, and no side is one alone.
    assert_quorum(&cluster, &program, &shape("bridge", 2, &but(&[]), &[]));
    for one_way in ["one-way-in", "one-way-out"] {
        let leader = all_agree(&cluster);
        assert_quorum(&cluster, &program, &shape(one_way, leader, &but(&[leader]), &[leader]));
    }
    // No PD says here who leads most, so it is named.
    let leader = all_agree(&cluster);
    assert_quorum(&cluster, &program, &shape("primaries", leader, &but(&[leader]), &[leader]));
    let other = (leader + 1) % 5;
    assert_quorum(&cluster, &program, &shape("isolate", other, &but(&[other]), &[other]));

    // Three of five, each alone: two are left, who are no majority.
    let three = Expect {
        args: ["--target", "tikv0", "--target", "tikv1", "--target", "tikv2"].map(str::to_owned).to_vec(),
        some: vec![],
        none: but(&[]),
    };
    assert_quorum(&cluster, &program, &three);
    cluster.assert_clean();
}
