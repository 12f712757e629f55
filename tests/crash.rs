//! The proof that nothing is ever left behind: the program is killed at every step of every kind of work, its guard, its
//! helpers and Docker fail it in the middle, and afterwards somebody who shares no code with it looks at the kernel, the
//! volumes, Docker and the journals. The cases are counted, and the page that makes the promise must name their number.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Mutex,
    time::{Duration, Instant},
};

use support::{
    bed::{Bed, FAULTS, Fault, ended, go_on, is_of_state, stopped},
    docker_is_here,
    faulty::{Faulty, Manner},
    run, try_run, wait_for,
};
use tikv_chaos::step::Step;

/// Clusters that are worked on at the same time: more than there are cores, as half of the cases are spent waiting.
const BEDS: usize = 4;
const PROMISES: &str = include_str!("../assets/promises.md");

/// How many of the program's requests to Docker are answered badly: as many as are the same in each run. Later ones ask
/// again and again whether a helper is gone.
const REQUESTS: [(Verb, usize); 2] = [(Verb::Inject, 12), (Verb::Revert, 8)];
/// The fault that no helper keeps.
const KILL: Fault = FAULTS[0];

/// Where the program makes a mistake of its own accord, and undoes it.
const ROLLED_BACK: [Step; 2] = [Step::RolledBack, Step::FailedWritten];
/// Steps in the middle of which something else is broken.
const INJECTING: [Step; 6] =
    [Step::Recorded, Step::GuardStarted, Step::ApplyingWritten, Step::RequestSent, Step::Made, Step::ActiveWritten];
const REVERTING: [Step; 4] = [Step::Claimed, Step::RevertingWritten, Step::RequestSent, Step::Undone];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Inject,
    Revert,
}

/// What is done to the program's surroundings while it is stopped.
#[derive(Clone, Copy, Debug)]
enum Injury {
    HelpersKilled,
    GuardKilled,
}

/// Cases that are made together, one for each type of fault.
#[derive(Clone, Debug)]
enum Row {
    /// The program dies the nth time that it comes to the step, for these types.
    Dies(&'static str, Verb, Step, usize, Vec<Fault>),
    /// It dies while it undoes what went wrong half-way.
    DiesRollingBack(&'static str, Step),
    /// The guard of a killed node dies the nth time that it comes to the step.
    GuardDies(Step, usize),
    /// Something is killed while the program is at the step.
    Hurt(Verb, Step, Injury),
    /// Something is killed while the injections hold.
    HurtHolding,
    /// Docker answers the nth request badly.
    Docker(Verb, Manner, usize),
}

impl Row {
    /// Whether most of its time is spent on a deadline or on Docker's silence.
    fn waits(&self) -> bool {
        match self {
            Self::Dies(what, ..) | Self::DiesRollingBack(what, _) => *what == BY_DEADLINE,
            Self::Docker(_, manner, _) => *manner == Manner::Silent,
            Self::HurtHolding => true,
            Self::GuardDies(..) | Self::Hurt(..) => false,
        }
    }
}

/// What was counted and found.
#[derive(Default)]
struct Ledger {
    /// By what was done, and to which type of fault.
    cases: BTreeMap<(&'static str, &'static str), usize>,
    reached: BTreeSet<Step>,
    problems: Vec<String>,
}

impl Ledger {
    fn count(&mut self, what: &'static str, faults: &[Fault]) {
        for fault in faults {
            *self.cases.entry((what, fault.name)).or_default() += 1;
        }
    }

    /// The page's table. What this kernel cannot make is as the page says.
    fn table(&self, possible: &[Fault]) -> String {
        let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        let mut table = format!("| | {} |\n| --- |{}\n", names.join(" | "), " --- |".repeat(names.len()));
        for what in WHAT {
            let figures = FAULTS.iter().map(|fault| match possible.contains(fault) {
                true => self.cases.get(&(what, fault.name)).copied().unwrap_or_default().to_string(),
                false => promised(what, fault.name).unwrap_or_else(|| "-".to_owned()),
            });
            table += &format!("| {what} | {} |\n", figures.collect::<Vec<_>>().join(" | "));
        }
        table
    }
}

/// What the page says in the row of what was done, in the column of a type of fault.
fn promised(what: &str, fault: &str) -> Option<String> {
    let rows = PROMISES.lines().filter(|line| line.starts_with('|'));
    let mut rows = rows.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let column = rows.next()?.iter().position(|cell| *cell == fault)?;
    let row = rows.find(|row| row.get(1) == Some(&what))?;
    row.get(column).map(|&cell| cell.to_owned())
}

const BY_RECOVER: &str = "the program is killed at a step; a new start recovers";
const BY_DEADLINE: &str = "the program is killed at a step; nobody starts anything";
const GUARD: &str = "the guard is killed at a step; a new start recovers";
const HURT: &str = "a helper or the guard is killed while the program works";
const HOLDING: &str = "helpers or the guard are killed while it holds";
const DOCKER_REFUSES: &str = "Docker answers a request with an error";
const DOCKER_HANGS: &str = "Docker never answers a request";
const WHAT: [&str; 7] = [BY_RECOVER, BY_DEADLINE, GUARD, HURT, HOLDING, DOCKER_REFUSES, DOCKER_HANGS];

/// One bed at work.
struct Work<'a> {
    bed: Bed,
    possible: &'a [Fault],
    ledger: &'a Mutex<Ledger>,
}

#[test]
fn nothing_is_left_behind_whatever_is_killed_at_whatever_step() {
    if !docker_is_here() {
        return;
    }
    let start = Instant::now();
    let mut bed = Bed::make();
    let possible = bed.possible();
    let rows: Mutex<VecDeque<Row>> = Mutex::new(rows(&bed, &possible).into());
    let ledger = Mutex::new(Ledger::default());
    let first = Mutex::new(Some(bed));
    std::thread::scope(|scope| {
        for _ in 0..BEDS {
            scope.spawn(|| {
                let first = first.lock().unwrap().take();
                let work = Work {
                    bed: first.unwrap_or_else(|| Bed::for_faults(&possible)),
                    possible: &possible,
                    ledger: &ledger,
                };
                loop {
                    let Some(row) = rows.lock().unwrap().pop_front() else { return };
                    let said = format!("{:6.1} {row:?}", start.elapsed().as_secs_f32());
                    work.go_through(row);
                    println!("{said}: until {:.1}", start.elapsed().as_secs_f32());
                }
            });
        }
    });
    let ledger = ledger.into_inner().unwrap();
    let total: usize = ledger.cases.values().sum();
    println!("{total} cases in {:?}", start.elapsed());
    for fault in FAULTS.iter().filter(|fault| !possible.contains(fault)) {
        let reason = format!("no case of {}: this kernel cannot make it", fault.name);
        // What the page does not promise is not missed.
        let missed = promised(BY_RECOVER, fault.name).is_some_and(|cell| cell != "-");
        let needs = if missed { "netem" } else { "netem, of which the page promises nothing" };
        support::can_run(needs, Some(reason));
    }
    assert!(ledger.problems.is_empty(), "{} problems:\n{}", ledger.problems.len(), ledger.problems.join("\n"));
    let never: Vec<_> = Step::ALL.iter().filter(|step| !ledger.reached.contains(step)).collect();
    assert!(never.is_empty(), "no case came to {never:?}");
    let table = ledger.table(&possible);
    assert!(PROMISES.contains(&table), "assets/promises.md must have this table:\n\n{table}");
}

/// What there is to be gone through, found out by one undisturbed run of everything.
fn rows(bed: &Bed, possible: &[Fault]) -> Vec<Row> {
    let mut rows = Vec::new();
    for manner in [Manner::Silent, Manner::Refused] {
        for (verb, most) in REQUESTS {
            rows.extend((0..most).map(|nth| Row::Docker(verb, manner, nth)));
        }
    }
    rows.push(Row::HurtHolding);
    let (moments, guards) = moments(bed, possible);
    for what in [BY_DEADLINE, BY_RECOVER] {
        rows.extend(
            moments.iter().map(|((verb, step, nth), faults)| Row::Dies(what, *verb, *step, *nth, faults.clone())),
        );
        rows.extend(ROLLED_BACK.map(|step| Row::DiesRollingBack(what, step)));
    }
    rows.extend(guards.into_iter().map(|(step, nth)| Row::GuardDies(step, nth)));
    for injury in [Injury::HelpersKilled, Injury::GuardKilled] {
        rows.extend(INJECTING.map(|step| Row::Hurt(Verb::Inject, step, injury)));
        rows.extend(REVERTING.map(|step| Row::Hurt(Verb::Revert, step, injury)));
    }
    let only = std::env::var("TIKV_CHAOS_CRASH_ROWS").unwrap_or_default();
    let rows = rows.into_iter().filter(|row| format!("{row:?}").contains(&only));
    // Those that wait beside those that work.
    let (waiting, working): (Vec<Row>, Vec<Row>) = rows.partition(Row::waits);
    let (mut waiting, mut working) = (waiting.into_iter(), working.into_iter());
    let pairs = std::iter::from_fn(|| {
        let pair: Vec<Row> = waiting.next().into_iter().chain(working.next()).collect();
        (!pair.is_empty()).then_some(pair)
    });
    pairs.flatten().collect()
}

/// Each time that the program comes to a step, with the types of fault on whose way it lies; and the same of a guard
/// that starts a killed node.
type Moments = (BTreeMap<(Verb, Step, usize), Vec<Fault>>, Vec<(Step, usize)>);

fn moments(bed: &Bed, possible: &[Fault]) -> Moments {
    let say: String = Step::ALL.iter().map(|step| format!("{}=return(say);", step.name())).collect();
    let mut heard = bed.program.log().len();
    let mut since = || -> Vec<(Step, usize)> {
        let log = bed.program.log();
        let lines = log[heard..].lines().filter_map(|line| line.split_once("came to "));
        let names: Vec<String> = lines.map(|(_, name)| name.to_owned()).collect();
        heard = log.len();
        let count = |step: &Step| names.iter().filter(|name| *name == step.name()).count();
        Step::ALL.iter().flat_map(|step| (0..count(step)).map(|nth| (*step, nth))).collect()
    };
    let mut moments: BTreeMap<_, Vec<Fault>> = BTreeMap::new();
    let mut note = |verb, fault: &Fault, came: Vec<(Step, usize)>| {
        came.into_iter().for_each(|(step, nth)| moments.entry((verb, step, nth)).or_default().push(*fault));
    };
    let run = |args: &[&str], variable| {
        let (_, ran) = ended(bed.spawn(args, &[(variable, &say)]));
        ran.ok().json()
    };
    for fault in possible {
        let id = run(&[&bed.inject(fault, "10m")[..], &["--json"]].concat(), "FAILPOINTS")["id"].clone();
        note(Verb::Inject, fault, since());
        run(&["revert", "--json", id.as_str().unwrap()], "FAILPOINTS");
        note(Verb::Revert, fault, since());
        bed.wait_for_no_guard();
        since();
    }
    run(&[&bed.inject(&KILL, "1s")[..], &["--json"]].concat(), "GUARD_FAILPOINTS");
    bed.wait_for_no_guard();
    let mut guards = since();
    // Before there is a log.
    guards.extend([(Step::GuardLocked, 0), (Step::Guarding, 0)]);
    (moments, guards)
}

/// Dies the `nth` time that it comes to the step, counted from 0.
fn at(step: Step, nth: usize, action: &str) -> String {
    if nth == 0 { format!("{}={action}", step.name()) } else { format!("{}={nth}*off->{action}", step.name()) }
}

impl Work<'_> {
    fn go_through(&self, row: Row) {
        match row {
            Row::Dies(what, verb, step, nth, faults) => self.dies(what, verb, (step, nth), &faults),
            Row::DiesRollingBack(what, step) => self.dies_rolling_back(what, step),
            Row::GuardDies(step, nth) => self.guard_dies(step, nth),
            Row::Hurt(verb, step, injury) => self.hurt(verb, step, injury),
            Row::HurtHolding => self.hurt_holding(),
            Row::Docker(verb, manner, nth) => self.docker_fails(verb, manner, nth),
        }
    }

    fn count(&self, what: &'static str, step: Option<Step>, faults: &[Fault]) {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.count(what, faults);
        ledger.reached.extend(step);
    }

    /// Notes what was found after a case, if something was, and makes the bed fit for the next.
    fn found(&self, case: &dyn std::fmt::Debug, left: Vec<String>) {
        if !left.is_empty() {
            let problem = format!("{case:?}: {left:#?}");
            println!("{problem}");
            self.ledger.lock().unwrap().problems.push(problem);
            self.bed.repair();
        }
    }

    /// Injects, reverts or otherwise runs each fault's command at the same time, and gives those that were killed.
    fn run_all<'f>(&self, faults: &'f [Fault], args: impl Fn(&Fault) -> Vec<String>, fail: &str) -> Vec<&'f Fault> {
        let start = |fault: &Fault| {
            let args = args(fault);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            self.bed.spawn(&args, &[("FAILPOINTS", fail)])
        };
        let children: Vec<_> = faults.iter().map(|fault| (fault, start(fault))).collect();
        children.into_iter().filter_map(|(fault, child)| ended(child).0.then_some(fault)).collect()
    }

    fn inject(&self, fault: &Fault, ttl: &str) -> Vec<String> {
        self.bed.inject(fault, ttl).into_iter().map(str::to_owned).collect()
    }

    /// Makes all of them, and gives their ids in the same order.
    fn injected(&self, faults: &[Fault], ttl: &str) -> Vec<(Fault, String)> {
        let start = |fault: &Fault| {
            let args = [&self.bed.inject(fault, ttl)[..], &["--json"]].concat();
            (*fault, self.bed.spawn(&args, &[]))
        };
        let children: Vec<_> = faults.iter().map(start).collect();
        let id = |child| ended(child).1.ok().json()["id"].as_str().unwrap().to_owned();
        children.into_iter().map(|(fault, child)| (fault, id(child))).collect()
    }

    fn recovered(&self) -> Vec<String> {
        let ran = self.bed.program.run(&["recover", "--json"]);
        let mut left = self.bed.left();
        if ran.status != 0 {
            left.push(format!("recover failed: {ran:?}"));
        }
        left
    }

    /// Waits until nobody is left to do anything, and gives what is there then.
    fn left_alone(&self) -> Vec<String> {
        self.bed.wait_for_no_guard();
        let mut left = self.bed.faults_left();
        // What was not begun when the program died has nobody to keep it, and needs nobody.
        left.extend(self.bed.open().into_iter().filter(|state| state != "planned"));
        left
    }

    fn dies(&self, what: &'static str, verb: Verb, (step, nth): (Step, usize), faults: &[Fault]) {
        let ttl = match (what, verb) {
            (BY_RECOVER, _) => "10m",
            // What the program measures afterwards is done by then.
            (_, Verb::Inject) => "5s",
            // Enough for the injections to be made, and the reverts begun, before it is over.
            (_, Verb::Revert) => "15s",
        };
        let fail = at(step, nth, "return");
        let died = match verb {
            Verb::Inject => self.run_all(faults, |fault| self.inject(fault, ttl), &fail),
            Verb::Revert => {
                let ids = self.injected(faults, ttl);
                let id = |fault: &Fault| ids.iter().find(|(other, _)| other == fault).unwrap().1.clone();
                self.run_all(faults, |fault| vec!["revert".to_owned(), id(fault)], &fail)
            }
        };
        let mut left = if what == BY_RECOVER { self.recovered() } else { self.left_alone() };
        let alive: Vec<_> = faults.iter().filter(|fault| !died.contains(fault)).map(|fault| fault.name).collect();
        if !alive.is_empty() {
            left.push(format!("did not die: {alive:?}"));
        }
        self.found(&(verb, step, nth, what), left);
        self.count(what, Some(step), faults);
        self.tidy();
    }

    /// Removes helpers that hold nothing, as nothing is held any more, and records of what was never begun.
    fn tidy(&self) {
        self.bed.remove_helpers();
        self.bed.forget();
    }

    /// The node is restarted under the program's hands, so that the injection fails.
    fn dies_rolling_back(&self, what: &'static str, step: Step) {
        let faults: Vec<Fault> = self.possible.iter().copied().filter(|fault| !is_of_state(fault)).collect();
        let ttl = if what == BY_RECOVER { "10m" } else { "5s" };
        let fail = format!("{};{}", at(Step::ApplyingWritten, 0, "1*return(stop)"), at(step, 0, "return"));
        let spawn = |fault: &Fault| (*fault, self.bed.spawn(&self.bed.inject(fault, ttl), &[("FAILPOINTS", &fail)]));
        let children: Vec<_> = faults.iter().map(spawn).collect();
        let mut unhurt = Vec::new();
        for (fault, child) in children {
            if stopped(&child) {
                run("docker", &["restart", "-t", "0", &self.bed.cluster.nodes[fault.node]]);
                go_on(&child);
            }
            let (killed, ran) = ended(child);
            if !killed {
                unhurt.push(format!("{} was not killed: {ran:?}", fault.name));
            }
        }
        let mut left = if what == BY_RECOVER { self.recovered() } else { self.left_alone() };
        left.extend(unhurt);
        self.found(&("rolling back", step, what), left);
        self.count(what, Some(step), &faults);
        self.tidy();
    }

    fn guard_dies(&self, step: Step, nth: usize) {
        let ends = || self.bed.program.log().matches("nothing is left to be guarded").count();
        let (before, fail) = (ends(), at(step, nth, "return"));
        let (_, ran) = ended(self.bed.spawn(&self.bed.inject(&KILL, "1s"), &[("GUARD_FAILPOINTS", &fail)]));
        self.bed.wait_for_no_guard();
        let died = ends() == before;
        let mut left = self.recovered();
        if ran.status != 0 || !died {
            left.push(format!("the guard died: {died}; {ran:?}"));
        }
        self.found(&("guard", step, nth), left);
        self.count(GUARD, Some(step), &[KILL]);
    }

    fn hurt(&self, verb: Verb, step: Step, injury: Injury) {
        let fail = at(step, 0, "1*return(stop)");
        let env = [("FAILPOINTS", fail.as_str())];
        let children: Vec<_> = match verb {
            Verb::Inject => self
                .possible
                .iter()
                .map(|fault| (*fault, self.bed.spawn(&self.bed.inject(fault, "10m"), &env)))
                .collect(),
            Verb::Revert => {
                let ids = self.injected(self.possible, "10m");
                ids.into_iter().map(|(fault, id)| (fault, self.bed.spawn(&["revert", &id], &env))).collect()
            }
        };
        let reached: Vec<Fault> =
            children.iter().filter(|(_, child)| stopped(child)).map(|(fault, _)| *fault).collect();
        match injury {
            Injury::HelpersKilled => {
                for helper in self.bed.cluster.holders() {
                    try_run("docker", &["kill", &helper]);
                }
            }
            Injury::GuardKilled => self.bed.kill_guards(),
        }
        let mut left = Vec::new();
        for (fault, child) in children {
            if reached.contains(&fault) {
                go_on(&child);
            }
            let (_, ran) = ended(child);
            let said_so = ran.status == 0 || ran.stderr.lines().any(|line| line.starts_with("tikv-chaos: "));
            if !said_so {
                left.push(format!("{}: {ran:?}", fault.name));
            }
        }
        left.extend(self.recovered());
        self.found(&(verb, step, injury), left);
        self.count(HURT, Some(step), &reached);
    }

    fn hurt_holding(&self) {
        let helpers = |verb: &[&str]| {
            for helper in self.bed.cluster.holders() {
                run("docker", &[verb, &[&helper]].concat());
            }
        };
        let injuries: [(&str, &dyn Fn()); 3] = [
            ("guard killed", &|| self.bed.kill_guards()),
            ("helpers killed", &|| helpers(&["kill"])),
            ("helpers removed", &|| helpers(&["rm", "-f"])),
        ];
        for (name, injury) in injuries {
            self.injected(self.possible, "8s");
            injury();
            let kept = |left: &Vec<String>| {
                // A node that was killed, stopped or paused has only the guard to keep its deadline.
                let of_state = |one: &String| one.contains("is exited") || one.contains("is paused");
                left.is_empty() || (name == "guard killed" && left.iter().all(of_state))
            };
            wait_for("the deadline to be kept", || kept(&self.bed.faults_left()).then_some(()));
            let left = self.recovered();
            self.found(&(name, "deadline"), left);
            self.count(HOLDING, None, self.possible);
        }
        self.injected(self.possible, "10m");
        self.bed.kill_guards();
        helpers(&["kill"]);
        let left = self.recovered();
        self.found(&("guard and helpers killed", "recover"), left);
        self.count(HOLDING, None, self.possible);
    }

    fn docker_fails(&self, verb: Verb, manner: Manner, nth: usize) {
        let ids = if verb == Verb::Revert { self.injected(self.possible, "10m") } else { Vec::new() };
        let start = |fault: &Fault| {
            let docker = Faulty::start(manner, nth);
            let env = [("DOCKER_HOST", docker.host.as_str()), ("FAILPOINTS", "Impatient=return")];
            let child = match ids.iter().find(|(other, _)| other == fault) {
                Some((_, id)) => self.bed.spawn(&["revert", id], &env),
                None => self.bed.spawn(&self.bed.inject(fault, "10m"), &env),
            };
            (*fault, docker, child)
        };
        let children: Vec<_> = self.possible.iter().map(start).collect();
        let (mut hit, mut left) = (Vec::new(), Vec::new());
        for (fault, docker, child) in children {
            let (_, ran) = ended(child);
            if docker.asked() > nth {
                hit.push(fault);
            } else if ran.status != 0 {
                left.push(format!("{} failed although Docker did not: {ran:?}", fault.name));
            }
            if ran.stderr.contains("panicked") {
                left.push(format!("{}: {ran:?}", fault.name));
            }
        }
        left.extend(self.recovered());
        self.found(&(verb, manner, nth), left);
        self.count(if manner == Manner::Silent { DOCKER_HANGS } else { DOCKER_REFUSES }, None, &hit);
    }
}

/// What a program that died while planning left: a helper that holds nothing.
#[test]
fn a_helper_that_nobody_came_back_to_goes_by_itself() {
    if !docker_is_here() {
        return;
    }
    let bed = Bed::make();
    let fault = FAULTS.iter().find(|fault| fault.name == "network_partition").unwrap();
    let child = bed.spawn(&bed.inject(fault, "10m"), &[("FAILPOINTS", &at(Step::Planned, 0, "return"))]);
    assert!(ended(child).0);
    assert_eq!((bed.cluster.holders().len(), bed.recorded().len()), (1, 0));
    let start = Instant::now();
    // Two minutes, and what a machine in trouble needs.
    while !bed.cluster.holders().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(240), "it stays");
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(bed.left(), Vec::<String>::new());
}
