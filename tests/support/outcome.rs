//! What becomes of the stand-in cluster when a node is killed, paused, stopped or cut off, as TiKV's source has it, and that it
//! heals. Reads Docker, PD's answers, the stores' metrics and logs, and shares no code with the engine.

use std::time::{Duration, Instant};

use super::{
    demo::{Demo, Port},
    wait_for,
};

pub const STORES: [&str; 3] = ["tikv0", "tikv1", "tikv2"];
pub const PDS: [&str; 3] = ["pd0", "pd1", "pd2"];

/// A share of the load's writes that counts as all of them on a busy machine.
const ENOUGH: f64 = 0.6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Kill,
    Pause,
    /// SIGTERM, and what TiKV then does before it ends.
    Stop,
    /// From the other stores; of a member of PD, from the stores.
    Cut,
    /// From every other node.
    CutFromAll,
}

impl Fault {
    pub const ALL: [Self; 5] = [Self::Kill, Self::Pause, Self::Stop, Self::Cut, Self::CutFromAll];

    const fn args(self) -> &'static [&'static str] {
        match self {
            Self::Kill => &["node_kill"],
            Self::Pause => &["node_pause"],
            Self::Stop => &["node_stop"],
            Self::Cut => &["network_partition"],
            Self::CutFromAll => &["network_partition", "--include-pd"],
        }
    }

    /// Whether PD still hears from a store.
    const fn reaches_pd(self) -> bool {
        matches!(self, Self::Cut)
    }
}

/// A fault on one node, or at once on a store and a member of PD, which leaves a quorum of either.
pub type Case = Vec<(Fault, &'static str)>;

/// Each fault on each node.
pub fn single() -> Vec<Case> {
    let nodes = || STORES.into_iter().chain(PDS);
    Fault::ALL.into_iter().flat_map(|fault| nodes().map(move |node| vec![(fault, node)])).collect()
}

/// Every store with every member of PD: both killed, both paused, both cut off.
pub fn pairs() -> Vec<Case> {
    let both = |fault| {
        STORES.into_iter().flat_map(move |store| PDS.into_iter().map(move |pd| vec![(fault, store), (fault, pd)]))
    };
    [Fault::Kill, Fault::Pause, Fault::CutFromAll].into_iter().flat_map(both).collect()
}

/// Every store is up and leads regions, PD has a leader and all its members, and the load's writes succeed.
pub fn wait_healthy(demo: &Demo, rate: f64) {
    let well = |host: &&str| demo.state(host).as_deref() == Some("Up") && demo.leaders(host) > Some(0);
    wait_for("every store to be Up and to lead", || STORES.iter().all(well).then_some(()));
    wait_for("every member of PD to be healthy", || (healthy_pds(demo) == PDS).then_some(()));
    wait_served(demo, &[], rate);
}

/// Some of them: each fault on a store, two of them on a member of PD, and a pair; others with another number.
pub fn slice(number: u64) -> Vec<Case> {
    let number = usize::try_from(number % 0x1_0000).unwrap_or_default();
    let fault = |at: usize| Fault::ALL[(number + at) % Fault::ALL.len()];
    let stores = (0..Fault::ALL.len()).map(|at| vec![(fault(at), STORES[(number / 5 + at) % STORES.len()])]);
    let pds = (0..2).map(|at| vec![(fault(at), PDS[(number / 5 + at) % PDS.len()])]);
    let pairs = pairs();
    stores.chain(pds).chain([pairs[number % pairs.len()].clone()]).collect()
}

/// Injects the case, sees what must come of it, reverts it and sees the cluster well again.
pub fn assert_outcome(demo: &Demo, case: &Case, rate: f64) {
    println!("{case:?}");
    wait_healthy(demo, rate);
    let before: Vec<f64> = case.iter().map(|(_, node)| unreachable(demo, node)).collect();
    let led: Vec<bool> = case.iter().map(|(_, node)| STORES.contains(node) && demo.leaders(node) > Some(0)).collect();
    let said: Vec<usize> = case.iter().map(|(_, node)| demo.logs(node).matches(STEPPED_DOWN).count()).collect();
    let inject = |(fault, node): &(Fault, &str)| {
        let target = demo.container(node);
        let args = [fault.args(), &["--target", target.as_str()][..]].concat();
        demo.program.inject(&args)["id"].as_str().unwrap().to_owned()
    };
    let ids: Vec<String> = case.iter().map(inject).collect();
    for (at, (fault, node)) in case.iter().enumerate() {
        assert_docker(demo, *fault, node);
        if PDS.contains(node) {
            // What is cut off from the stores alone is as well as ever among its own.
            let gone = *fault != Fault::Cut;
            wait_for(&format!("{node} to be out of PD: {gone}"), || {
                let healthy = healthy_pds(demo);
                (!healthy.is_empty() && healthy.iter().any(|name| name == node) != gone).then_some(())
            });
            continue;
        }
        let state = if fault.reaches_pd() { "Up" } else { "Disconnected" };
        wait_for(&format!("{node} to be {state} without leaders"), || {
            (demo.state(node).as_deref() == Some(state) && demo.leaders(node) == Some(0)).then_some(())
        });
        wait_for(&format!("the others to count {node} as unreachable"), || {
            (unreachable(demo, node) > before[at]).then_some(())
        });
        if matches!(fault, Fault::Cut | Fault::CutFromAll) && led[at] {
            wait_for(&format!("{node} to step down"), || {
                (demo.logs(node).matches(STEPPED_DOWN).count() > said[at]).then_some(())
            });
        }
    }
    // While it holds, all the load's writes succeed on the stores that are left.
    let out: Vec<&str> = case.iter().map(|(_, node)| *node).collect();
    wait_served(demo, &out, rate);
    for id in &ids {
        demo.program.run(&["revert", id]).ok();
    }
    wait_healthy(demo, rate);
}

const STEPPED_DOWN: &str = "stepped down to follower since quorum is not active";

fn assert_docker(demo: &Demo, fault: Fault, node: &str) {
    let state = demo.inspect(node, "{{.State.Status}} {{.State.ExitCode}}");
    match fault {
        Fault::Kill => assert_eq!(state, "exited 137", "{node}"),
        Fault::Stop => assert_eq!(state, "exited 0", "{node}"),
        Fault::Pause => {
            assert_eq!(state, "paused 0", "{node}");
            assert!(PDS.contains(&node) || demo.status_port(node) == Port::Hangs, "{node}");
        }
        Fault::Cut | Fault::CutFromAll => {
            assert_eq!(state, "running 0", "{node}");
            assert!(PDS.contains(&node) || demo.status_port(node) == Port::Answers(200), "{node}");
        }
    }
}

/// The members that PD's own check reaches; none where no PD answers it.
fn healthy_pds(demo: &Demo) -> Vec<String> {
    let Some(health) = demo.pd("/pd/api/v1/health") else { return vec![] };
    let healthy = health.as_array().unwrap().iter().filter(|member| member["health"] == true);
    let mut names: Vec<String> = healthy.map(|member| member["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// How often the other stores could not reach this one; 0 of a member of PD.
fn unreachable(demo: &Demo, node: &str) -> f64 {
    if PDS.contains(&node) {
        return 0.0;
    }
    let label = format!("store_id=\"{}\"", demo.store_id(node));
    let others = STORES.iter().filter(|other| **other != node);
    let name = "tikv_server_report_failure_msg_total";
    others.filter_map(|other| demo.metric(other, name, &["type=\"unreachable\"", &label])).sum()
}

/// Waits until the stores, but for these, serve as many writes in a second as the load of that rate makes.
pub fn wait_served(demo: &Demo, out: &[&str], rate: f64) {
    let mut last: Option<(Instant, f64)> = None;
    wait_for(&format!("the writes of the load to succeed without {out:?}"), || {
        let (now, count) = (Instant::now(), successful_writes(demo, out)?);
        let (then, former) = *last.get_or_insert((now, count));
        if now - then < Duration::from_secs(1) {
            return None;
        }
        last = Some((now, count));
        // Half of its operations are writes.
        ((count - former) / (now - then).as_secs_f64() >= ENOUGH * rate / 2.0).then_some(())
    });
}

fn successful_writes(demo: &Demo, out: &[&str]) -> Option<f64> {
    let labels = ["type=\"write\"", "status=\"success\""];
    let stores = STORES.iter().filter(|host| !out.contains(host));
    let counts = stores.map(|host| demo.metric(host, "tikv_storage_engine_async_request_total", &labels));
    counts.sum()
}
