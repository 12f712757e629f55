//! Every moment at which the program can be killed, found out by undisturbed runs of everything.

use std::collections::BTreeMap;

use tikv_chaos::step::Step;

use support::{
    Program,
    bed::{Bed, FAULTS, Fault, HELPERS_STAY, ended, is_of_state, spawn, wait_for_no_guard},
};

use super::rows::{Helpers, Verb};

/// The steps that the program comes to on the way of one fault, in their order.
pub struct Walk {
    pub fault: Fault,
    pub steps: BTreeMap<(Verb, Helpers), Vec<Step>>,
}

impl Walk {
    /// How many requests a helper gets before the one that changes the fault, where that is not the first: one that fails
    /// before the helper is known is asked of the next.
    pub fn requests_before_change(&self) -> Option<usize> {
        let steps = self.steps.get(&(Verb::Change, Helpers::Anew))?;
        let mut parts = steps.split(|step| matches!(step, Step::ChangeWritten | Step::Changed));
        let (before, between) = (parts.next()?, parts.next()?);
        let count = |steps: &[Step]| steps.iter().filter(|step| **step == Step::RequestSent).count();
        Some(count(before)).filter(|before| *before > 0 && count(between) > 0)
    }

    /// How often it comes to each of the steps.
    pub fn counts(&self, verb: Verb, helpers: Helpers) -> impl Iterator<Item = (Step, usize)> {
        let steps = self.steps.get(&(verb, helpers)).map(Vec::as_slice).unwrap_or_default();
        Step::ALL.iter().map(|step| (*step, steps.iter().filter(|one| *one == step).count()))
    }
}

/// Each type of fault that this kernel can make, walked through with helpers made anew and, unless that is all that is
/// wanted, once more with those that are there.
pub fn walk_all(bed: &Bed, only_anew: bool) -> Vec<Walk> {
    let walks: Vec<Option<Walk>> = std::thread::scope(|scope| {
        let walking: Vec<_> = FAULTS.iter().map(|fault| scope.spawn(|| walk(bed, fault, only_anew))).collect();
        walking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let walks: Vec<Walk> = walks.into_iter().flatten().collect();
    bed.remove_helpers();
    walks
}

/// `None` where this kernel cannot make it.
fn walk(bed: &Bed, fault: &Fault, only_anew: bool) -> Option<Walk> {
    // With a log that nobody else writes to.
    let program = Program::new(Some(&bed.cluster.project));
    let mut walk = Walk { fault: *fault, steps: BTreeMap::new() };
    let fail = all_steps() + if only_anew { "" } else { HELPERS_STAY };
    let guard = if only_anew { "" } else { HELPERS_STAY };
    for helpers in if only_anew { &[Helpers::Anew][..] } else { &[Helpers::Anew, Helpers::There] } {
        let mut run = |verb, args: &[&str]| {
            let before = program.log().len();
            let (_, ran) = ended(spawn(&program, args, &[("FAILPOINTS", &fail), ("GUARD_FAILPOINTS", guard)]));
            walk.steps.insert((verb, *helpers), steps_in(&program.log()[before..]));
            ran
        };
        let ran = run(Verb::Inject, &[&bed.inject(fault, "10m")[..], &["--json"]].concat());
        if ran.status != 0 {
            assert!(ran.stdout.contains("netem"), "{ran:?}");
            return None;
        }
        let id = ran.json()["id"].as_str().unwrap().to_owned();
        run(Verb::Change, &bed.change(fault, &id, "10m")).ok();
        run(Verb::Revert, &["revert", &id]).ok();
        wait_for_no_guard(&program);
    }
    assert!(is_of_state(fault) || only_anew || bed.has_helpers(&[*fault]), "no helper stayed for {fault:?}");
    Some(walk)
}

/// The same of a guard that starts a killed node: each step that it comes to.
pub fn guard(bed: &Bed) -> Vec<(Step, usize)> {
    let kill = FAULTS.iter().find(|fault| fault.name == "node_kill").unwrap();
    let before = bed.program.log().len();
    let (_, ran) = ended(bed.spawn(&bed.inject(kill, "1s"), &[("GUARD_FAILPOINTS", &all_steps())]));
    ran.ok();
    bed.wait_for_no_guard();
    let steps = BTreeMap::from([((Verb::Inject, Helpers::Anew), steps_in(&bed.program.log()[before..]))]);
    let walk = Walk { fault: *kill, steps };
    let came =
        walk.counts(Verb::Inject, Helpers::Anew).flat_map(|(step, count)| (0..count).map(move |nth| (step, nth)));
    // Before there is a log.
    came.chain([(Step::GuardLocked, 0), (Step::Guarding, 0)]).collect()
}

fn all_steps() -> String {
    Step::ALL.iter().map(|step| format!("{}=return(say);", step.name())).collect()
}

fn steps_in(log: &str) -> Vec<Step> {
    let names = log.lines().filter_map(|line| line.split_once("came to ")).map(|(_, name)| name);
    names.filter_map(|name| Step::ALL.iter().find(|step| step.name() == name).copied()).collect()
}
