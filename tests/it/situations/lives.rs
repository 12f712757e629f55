//! Records of a node's former life; several faults on one path; what was not measured; the undo of one by hand.

mod beside;
mod by_hand;
mod restarted;

use serde_json::Value;
use support::{
    Program,
    cluster::{Cluster, Options},
};

fn start(options: &Options) -> (Cluster, Program) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

/// The shaper is on every kernel that has NFQUEUE, netem on few.
fn shaped(program: &Program, target: &str, fault: &[&str]) -> Value {
    program.inject(&[fault, &["--target", target, "--via", "shaper", "--ttl", "none"]].concat())
}

fn id(injected: &Value) -> String {
    injected["id"].as_str().unwrap().to_owned()
}
