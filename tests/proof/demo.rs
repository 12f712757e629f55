//! The stand-in cluster at TiKV's own pace: every fault on every node, and on every pair that leaves both quorums.

use support::{demo::Demo, docker_is_here, outcome, packets::side_by_side};

/// Clusters at the same time: they mostly wait.
const CLUSTERS: usize = 6;
const RATE: f64 = 100.0;

#[test]
#[ignore = "proof: about seven minutes"]
fn demo_at_tikv_pace_survives_each_fault_on_each_node_and_pair() {
    if !docker_is_here() {
        return;
    }
    let cases: Vec<outcome::Case> = outcome::single().into_iter().chain(outcome::pairs()).collect();
    let shares: Vec<Vec<&outcome::Case>> =
        (0..CLUSTERS).map(|at| cases.iter().skip(at).step_by(CLUSTERS).collect()).collect();
    side_by_side(&shares, |share| {
        let demo = Demo::up(&["--rate", &RATE.to_string()]);
        share.iter().for_each(|case| outcome::assert_outcome(&demo, case, RATE));
    });
}
