//! One cluster at work: a row after the other, and a look at what is left after each.

use std::{
    cell::Cell,
    process::Child,
    sync::Mutex,
    time::{Duration, Instant},
};

use tikv_chaos::step::Step;

use support::{
    Ran,
    bed::{Bed, Fault, HELPERS_STAY, ended, go_on, is_of_state, stopped},
    faulty::{Faulty, Manner},
    run,
};

use super::{
    ledger::{
        Ledger, WHAT_BY_DEADLINE, WHAT_BY_RECOVER, WHAT_DOCKER_HANGS, WHAT_DOCKER_REFUSES, WHAT_GUARD, WHAT_HOLDING,
        WHAT_HURT,
    },
    moments::Walk,
    rows::{Helpers, Injury, Loss, Moment, Row, Verb, at},
};

/// Where nothing waits for the deadline.
const LONG: &str = "10m";
/// How often a row is gone through with twice the time where a deadline overtook what was to come before it.
const TRIES: usize = 6;

pub struct Work<'a> {
    bed: Bed,
    walks: &'a [Walk],
    ledger: &'a Mutex<Ledger>,
    /// In seconds: how long injections must hold for what is to be done before their deadline, as far as was seen. The
    /// one is for what happens while they are made.
    ttl: [Cell<u64>; 2],
}

impl<'a> Work<'a> {
    pub fn new(bed: Bed, walks: &'a [Walk], ledger: &'a Mutex<Ledger>) -> Self {
        Self { bed, walks, ledger, ttl: [Cell::new(4), Cell::new(8)] }
    }

    pub fn go_through(&self, row: Row) {
        match row {
            Row::Dies(what, moment, faults) => self.dies(what, moment, &faults),
            Row::DiesRollingBack(what, step) => self.dies_rolling_back(what, step),
            Row::DiesChangingBack(what, step) => self.dies_changing_back(what, step),
            Row::GuardDies(step, nth) => self.guard_dies(step, nth),
            Row::Hurt(verb, step, injury) => self.hurt(verb, step, injury),
            Row::HurtHolding(loss) => self.hurt_holding(loss),
            Row::Docker(verb, manner, nth) => self.docker_fails(verb, manner, nth),
        }
    }

    /// After the last case: helpers that stayed from case to case hold nothing, and go.
    pub fn close(&self) {
        let left = self.recovered(Helpers::Anew);
        self.found(&"after everything", left);
    }

    /// The types of fault that this kernel can make.
    fn faults(&self) -> Vec<Fault> {
        self.walks.iter().map(|walk| walk.fault).collect()
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

    /// Starts for each of them what it takes, with this environment: an injection, or what is done with one that there is.
    fn start(
        &self,
        verb: Verb,
        (faults, ids): (&[Fault], &[(Fault, String)]),
        ttl: &str,
        env: &[(&str, &str)],
    ) -> Vec<(Fault, Child)> {
        let start = |fault: &Fault| {
            let args = match (verb, ids.iter().find(|(other, _)| other == fault)) {
                (Verb::Inject, _) => self.bed.inject(fault, ttl),
                (Verb::Change, Some((_, id))) => self.bed.change(fault, id, ttl),
                (Verb::Revert, Some((_, id))) => vec!["revert", id],
                _ => return None,
            };
            Some((*fault, self.bed.spawn(&args, env)))
        };
        faults.iter().filter_map(start).collect()
    }

    /// Makes all of them at the same time, and gives the ids of those that held long enough for that.
    fn injected(&self, faults: &[Fault], ttl: &str, helpers: Helpers) -> Vec<(Fault, String)> {
        let stay = stay(helpers);
        let start = |fault: &Fault| {
            let args = [&self.bed.inject(fault, ttl)[..], &["--json"]].concat();
            (*fault, self.bed.spawn(&args, &[("FAILPOINTS", stay), ("GUARD_FAILPOINTS", stay)]))
        };
        let children: Vec<_> = faults.iter().map(start).collect();
        let id = |(fault, child)| {
            let (_, ran) = ended(child);
            // runc gives up freezing a process on a machine that is too busy; the case is gone through again.
            let not_frozen =
                ran.stderr.contains("OCI runtime pause failed") && ran.stderr.contains("nothing of it is left");
            assert!(ran.status == 0 || ttl != LONG || not_frozen, "{ran:?}");
            (ran.status == 0).then(|| (fault, ran.json()["id"].as_str().unwrap().to_owned()))
        };
        children.into_iter().filter_map(id).collect()
    }

    fn recovered(&self, helpers: Helpers) -> Vec<String> {
        let ran = self.bed.program.run_with(&["recover", "--json"], "", &[("FAILPOINTS", stay(helpers))]);
        let mut left = if helpers == Helpers::There { self.bed.left_but_helpers() } else { self.bed.left() };
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
        self.bed.forget();
        left
    }

    /// Has the helpers be there or not, as the case wants it.
    fn prepare(&self, helpers: Helpers, faults: &[Fault]) {
        match helpers {
            Helpers::Anew => self.bed.remove_helpers(),
            Helpers::There if self.bed.has_helpers(faults) => {}
            // A look at every node.
            Helpers::There => drop(self.recovered(helpers)),
        }
    }

    fn dies(&self, what: &'static str, moment: Moment, faults: &[Fault]) {
        let Moment { verb, step, nth, helpers } = moment;
        let fail = format!("{};{}", at(step, nth, "return"), stay(helpers));
        let ttl = &self.ttl[usize::from(verb != Verb::Inject)];
        let mut alive: Vec<(Fault, Option<Ran>)> = faults.iter().map(|fault| (*fault, None)).collect();
        let mut left = Vec::new();
        for again in 0..TRIES {
            if again > 0 && what == WHAT_BY_DEADLINE {
                // The deadline came first.
                ttl.set(ttl.get() * 2);
            }
            let these: Vec<Fault> = alive.iter().map(|(fault, _)| *fault).collect();
            self.prepare(helpers, &these);
            let ttl = if what == WHAT_BY_RECOVER { LONG.to_owned() } else { format!("{}s", ttl.get()) };
            let env = [("FAILPOINTS", fail.as_str()), ("GUARD_FAILPOINTS", stay(helpers))];
            let ids = if verb == Verb::Inject { Vec::new() } else { self.injected(&these, &ttl, helpers) };
            let children = self.start(verb, (&these, &ids), &ttl, &env);
            let ended = children.into_iter().map(|(fault, child)| (fault, ended(child)));
            let ran: Vec<(Fault, (bool, Ran))> = ended.collect();
            let of = |fault: &Fault| ran.iter().find(|(other, _)| other == fault).map(|(_, ran)| ran);
            alive.retain(|(fault, _)| of(fault).is_none_or(|(killed, _)| !killed));
            for (fault, last) in &mut alive {
                *last = of(fault).map(|(_, ran)| ran.clone());
            }
            left.extend(if what == WHAT_BY_RECOVER { self.recovered(helpers) } else { self.left_alone() });
            if alive.is_empty() || !left.is_empty() {
                break;
            }
        }
        if !alive.is_empty() {
            left.push(format!("did not die: {alive:?}"));
        }
        self.found(&(moment, what), left);
        self.count(what, Some(step), faults);
        if helpers == Helpers::Anew {
            self.bed.remove_helpers();
        }
    }

    /// The node is restarted under the program's hands, so that the injection fails.
    fn dies_rolling_back(&self, what: &'static str, step: Step) {
        let mut faults = self.faults();
        // Of an act of several the others are reverted, which has steps of its own.
        faults.retain(|fault| !is_of_state(fault));
        let ttl = if what == WHAT_BY_RECOVER { LONG } else { "5s" };
        let fail = format!("{};{}", at(Step::ApplyingWritten, 0, "1*return(stop)"), at(step, 0, "return"));
        let spawn = |fault: &Fault| (*fault, self.bed.spawn(&self.bed.inject(fault, ttl), &[("FAILPOINTS", &fail)]));
        let children: Vec<_> = faults.iter().map(spawn).collect();
        let reached: Vec<_> = children.iter().filter(|(_, child)| stopped(child)).collect();
        let nodes =
            reached.iter().flat_map(|(fault, _)| fault.nodes).map(|node| self.bed.cluster.nodes[*node].as_str());
        run("docker", &["restart", "-t", "0"].into_iter().chain(nodes).collect::<Vec<_>>());
        reached.iter().for_each(|(_, child)| go_on(child));
        self.all_were_killed(("rolling back", step, what), &faults, children);
    }

    /// Whether each program died at the step, and what is there once it was cleaned up after or left alone.
    fn all_were_killed(
        &self,
        case: (&'static str, Step, &'static str),
        faults: &[Fault],
        children: impl IntoIterator<Item = (Fault, Child)>,
    ) {
        let (_, step, what) = case;
        let mut unhurt = Vec::new();
        for (fault, child) in children {
            let (killed, ran) = ended(child);
            if !killed {
                unhurt.push(format!("{} was not killed: {ran:?}", fault.name));
            }
        }
        let mut left = if what == WHAT_BY_RECOVER { self.recovered(Helpers::Anew) } else { self.left_alone() };
        left.extend(unhurt);
        self.found(&case, left);
        self.count(what, Some(step), faults);
        self.bed.remove_helpers();
    }

    /// The helper stands still as the change is asked of it, and is killed then, so that the change fails and what it was is
    /// made again.
    fn dies_changing_back(&self, what: &'static str, step: Step) {
        let before = |fault: &Fault| self.walks.iter().find(|one| one.fault == *fault)?.requests_before_change();
        let mut faults = self.faults();
        faults.retain(|fault| before(fault).is_some());
        self.prepare(Helpers::There, &faults);
        let ids = self.injected(&faults, if what == WHAT_BY_RECOVER { LONG } else { "60s" }, Helpers::There);
        let start = |fault: &Fault| {
            let stop = at(Step::RequestSent, before(fault).unwrap(), "1*return(stop)");
            let fail = format!("ChangeWritten=1*return(stop);{stop};{}", at(step, 0, "return"));
            self.start(Verb::Change, (&[*fault], &ids), LONG, &[("FAILPOINTS", &fail)])
        };
        let children: Vec<_> = faults.iter().flat_map(start).collect();
        let reached: Vec<_> = children.iter().filter(|(_, child)| stopped(child)).collect();
        self.bed.all_helpers(&["kill", "--signal", "STOP"]);
        reached.iter().for_each(|(_, child)| go_on(child));
        let sent: Vec<_> = reached.into_iter().filter(|(_, child)| stopped(child)).collect();
        self.bed.all_helpers(&["kill"]);
        sent.iter().for_each(|(_, child)| go_on(child));
        self.all_were_killed(("changing back", step, what), &faults, children);
    }

    fn guard_dies(&self, step: Step, nth: usize) {
        let kill = self.faults().into_iter().find(|fault| fault.name == "node_kill").unwrap();
        let ends = || self.bed.program.log().matches("nothing is left to be guarded").count();
        let (before, fail) = (ends(), at(step, nth, "return"));
        let (_, ran) = ended(self.bed.spawn(&self.bed.inject(&kill, "1s"), &[("GUARD_FAILPOINTS", &fail)]));
        self.bed.wait_for_no_guard();
        let died = ends() == before;
        let mut left = self.recovered(Helpers::There);
        if ran.status != 0 || !died {
            left.push(format!("the guard died: {died}; {ran:?}"));
        }
        self.found(&("guard", step, nth), left);
        self.count(WHAT_GUARD, Some(step), &[kill]);
    }

    fn hurt(&self, verb: Verb, step: Step, injury: Injury) {
        let faults = self.faults();
        // A guard's death is nothing to helpers.
        let helpers = if injury == Injury::GuardKilled { Helpers::There } else { Helpers::Anew };
        let fail = format!("{};{}", at(step, 0, "1*return(stop)"), stay(helpers));
        self.prepare(helpers, &faults);
        let ids = if verb == Verb::Inject { Vec::new() } else { self.injected(&faults, LONG, helpers) };
        let env = [("FAILPOINTS", fail.as_str()), ("GUARD_FAILPOINTS", stay(helpers))];
        let children = self.start(verb, (&faults, &ids), LONG, &env);
        let reached: Vec<Fault> =
            children.iter().filter(|(_, child)| stopped(child)).map(|(fault, _)| *fault).collect();
        match injury {
            Injury::HelpersKilled => self.bed.all_helpers(&["kill"]),
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
        left.extend(self.recovered(helpers));
        self.found(&(verb, step, injury), left);
        self.count(WHAT_HURT, Some(step), &reached);
    }

    fn hurt_holding(&self, loss: Loss) {
        let faults = self.faults();
        let hurt = || {
            if matches!(loss, Loss::Guard | Loss::Everything) {
                self.bed.kill_guards();
            }
            match loss {
                Loss::Guard => {}
                Loss::HelpersKilled | Loss::Everything => self.bed.all_helpers(&["kill"]),
                Loss::HelpersRemoved => self.bed.remove_helpers(),
            }
        };
        let ttl = &self.ttl[1];
        for again in 0..TRIES {
            let begun = Instant::now();
            let seconds = if loss == Loss::Everything { 600 } else { ttl.get() };
            let held = self.injected(&faults, &format!("{seconds}s"), Helpers::Anew).len() == faults.len();
            hurt();
            if held && begun.elapsed() < Duration::from_secs(seconds) {
                if loss != Loss::Everything {
                    std::thread::sleep(Duration::from_secs(seconds).saturating_sub(begun.elapsed()));
                }
                break;
            }
            assert!(again + 1 < TRIES, "{seconds} s are over before all of them hold");
            ttl.set(ttl.get() * 2);
            self.recovered(Helpers::Anew);
        }
        let mut left = match loss {
            Loss::Everything => Vec::new(),
            _ => self.kept(loss == Loss::Guard),
        };
        left.extend(self.recovered(Helpers::Anew));
        self.found(&(loss, "while it holds"), left);
        self.count(WHAT_HOLDING, None, &faults);
    }

    /// What is there after the deadline, and does not go.
    fn kept(&self, without_guard: bool) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let mut left = self.bed.faults_left();
            // A node that was killed, stopped or paused has only the guard to keep its deadline.
            left.retain(|one| !(without_guard && (one.contains("is exited") || one.contains("is paused"))));
            if left.is_empty() || begun.elapsed() > Duration::from_secs(180) {
                return left;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn docker_fails(&self, verb: Verb, manner: Manner, nth: usize) {
        let mut faults = self.faults();
        self.bed.remove_helpers();
        let ids = if verb == Verb::Inject { Vec::new() } else { self.injected(&faults, LONG, Helpers::Anew) };
        faults.retain(|fault| verb == Verb::Inject || ids.iter().any(|(held, _)| held == fault));
        let start = |fault: &Fault| {
            let docker = Faulty::start(manner, nth);
            let env = [("DOCKER_HOST", docker.host.as_str()), ("FAILPOINTS", &docker.silence())];
            let (_, child) = self.start(verb, (&[*fault], &ids), LONG, &env).remove(0);
            (*fault, docker, child)
        };
        let children: Vec<_> = faults.iter().map(start).collect();
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
        left.extend(self.recovered(Helpers::Anew));
        self.found(&(verb, manner, nth), left);
        self.count(if manner == Manner::Silent { WHAT_DOCKER_HANGS } else { WHAT_DOCKER_REFUSES }, None, &hit);
    }
}

/// What the environment says for helpers to stay for the next case.
fn stay(helpers: Helpers) -> &'static str {
    match helpers {
        Helpers::Anew => "",
        Helpers::There => HELPERS_STAY,
    }
}
