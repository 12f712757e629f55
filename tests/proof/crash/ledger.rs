//! What was counted and found, and the page that names the numbers.

use std::collections::{BTreeMap, BTreeSet};

use tikv_chaos::step::Step;

use support::bed::{FAULTS, Fault};

pub const PROMISES: &str = include_str!("../../../assets/promises.md");

pub const WHAT_BY_RECOVER: &str = "the program is killed at a step; a new start recovers";
pub const WHAT_BY_DEADLINE: &str = "the program is killed at a step; nobody starts anything";
pub const WHAT_GUARD: &str = "the guard is killed at a step; a new start recovers";
pub const WHAT_HURT: &str = "a helper or the guard is killed while the program works";
pub const WHAT_HOLDING: &str = "helpers or the guard are killed while it holds";
pub const WHAT_DOCKER_REFUSES: &str = "Docker answers a request with an error";
pub const WHAT_DOCKER_HANGS: &str = "Docker never answers a request";
const WHAT: [&str; 7] =
    [WHAT_BY_RECOVER, WHAT_BY_DEADLINE, WHAT_GUARD, WHAT_HURT, WHAT_HOLDING, WHAT_DOCKER_REFUSES, WHAT_DOCKER_HANGS];

#[derive(Default)]
pub struct Ledger {
    /// By what was done, and to which type of fault.
    cases: BTreeMap<(&'static str, &'static str), usize>,
    pub reached: BTreeSet<Step>,
    pub problems: Vec<String>,
}

impl Ledger {
    pub fn count(&mut self, what: &'static str, faults: &[Fault]) {
        for fault in faults {
            *self.cases.entry((what, fault.name)).or_default() += 1;
        }
    }

    pub fn total(&self) -> usize {
        self.cases.values().sum()
    }

    /// What was done, in the page's form. What this kernel cannot make is as the page says.
    pub fn table(&self, possible: &[Fault]) -> String {
        let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        let mut table = format!("| | {} |\n| --- |{}\n", names.join(" | "), " --- |".repeat(names.len()));
        for what in WHAT {
            let figures = FAULTS.iter().map(|fault| match possible.contains(fault) {
                true => self.figure(what, fault).to_string(),
                false => promised(what, fault.name).unwrap_or_else(|| "-".to_owned()),
            });
            table += &format!("| {what} | {} |\n", figures.collect::<Vec<_>>().join(" | "));
        }
        table
    }

    fn figure(&self, what: &'static str, fault: &Fault) -> usize {
        self.cases.get(&(what, fault.name)).copied().unwrap_or_default()
    }

    pub fn assert_every_step(&self) {
        let never: Vec<_> = Step::ALL.iter().filter(|step| !self.reached.contains(step)).collect();
        assert!(never.is_empty(), "no case came to {never:?}");
    }

    pub fn assert_every_fault(&self, possible: &[Fault]) {
        let met = |fault: &&Fault| WHAT.iter().any(|what| self.figure(what, fault) > 0);
        let never: Vec<_> = possible.iter().filter(|fault| !met(fault)).collect();
        assert!(never.is_empty(), "no case of {never:?}");
    }

    /// Where the page says nothing, or more than was done.
    pub fn not_kept(&self, possible: &[Fault]) -> Vec<String> {
        let cells = WHAT.iter().flat_map(|what| possible.iter().map(move |fault| (*what, fault)));
        let missing = cells.filter_map(|(what, fault)| {
            let (said, done) = (promised(what, fault.name), self.figure(what, fault));
            let kept = said.as_ref().and_then(|said| said.parse().ok()).is_some_and(|said: usize| said <= done);
            (!kept).then(|| format!("{what}, {}: {said:?} is promised, {done} were done", fault.name))
        });
        missing.collect()
    }
}

/// What the page says in the row of what was done, in the column of a type of fault.
pub fn promised(what: &str, fault: &str) -> Option<String> {
    let rows = PROMISES.lines().filter(|line| line.starts_with('|'));
    let mut rows = rows.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let column = rows.next()?.iter().position(|cell| *cell == fault)?;
    let row = rows.find(|row| row.get(1) == Some(&what))?;
    row.get(column).map(|&cell| cell.to_owned())
}
