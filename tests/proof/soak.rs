//! Several programs at once over one cluster and one state folder, each doing what comes to its mind, with nodes that are
//! stopped under them and programs, guards and helpers that are killed. Afterwards one command ends everything.
//!
//! `TIKV_CHAOS_SOAK` sets how many operations there are, `TIKV_CHAOS_SEED` makes each program do the same ones again.

use std::{
    process::Child,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use support::{
    bed::{Bed, Fault, ended},
    docker_is_here,
    pty::{ENTER, Terminal},
    try_run,
};
use tikv_chaos::step::Step;

/// Programs that work at the same time.
const PROGRAMS: u64 = 3;
/// About a minute.
const USUAL: usize = 150;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

#[test]
#[ignore = "proof: two minutes"]
fn soak_with_killed_programs_and_helpers_leaves_nothing_behind() {
    if !docker_is_here() {
        return;
    }
    let seed = support::seed();
    let count = number("TIKV_CHAOS_SOAK").map_or(USUAL, |count| usize::try_from(count).unwrap());
    println!("{count} operations of TIKV_CHAOS_SEED={seed}");
    let bed = Bed::make();
    let faults = bed.possible();
    let (done, history) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for program in 0..PROGRAMS {
            let soak = Soak { bed: &bed, faults: &faults, history: &history, start, program };
            let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(PROGRAMS) + program);
            let done = &done;
            scope.spawn(move || {
                while done.fetch_add(1, Ordering::Relaxed) < count {
                    soak.operate(&mut rng);
                }
            });
        }
    });
    let last = bed.program.run(&["revert", "--all", "--every-session", "--json"]);
    let (end, history) = (start.elapsed(), history.into_inner().unwrap().join("\n"));
    let story = format!("TIKV_CHAOS_SEED={seed} TIKV_CHAOS_SOAK={count}:\n{history}\n{last:?}");
    assert_eq!(last.status, 0, "{story}");
    // What we stopped and paused ourselves is nobody else's to start.
    for node in &bed.cluster.nodes {
        try_run("docker", &["unpause", node]);
        try_run("docker", &["start", node]);
    }
    assert_eq!(bed.left(), Vec::<String>::new(), "{story}");
    let count_of = |text: &str| history.lines().filter(|line| line.contains(text)).count();
    let (made, deaths) = (count_of(" inject "), count_of(": killed") + count_of("killed after"));
    let refused = history.lines().filter(|line| line.contains(" inject ") && !line.contains(": 0, ")).count();
    println!(
        "{count} operations of TIKV_CHAOS_SEED={seed} in {end:?}: {made} injections, of which {refused} were refused or"
    );
    println!("cut short, and {deaths} deaths of a program");
}

/// One of the programs' users.
struct Soak<'a> {
    bed: &'a Bed,
    faults: &'a [Fault],
    history: &'a Mutex<Vec<String>>,
    start: Instant,
    program: u64,
}

impl Soak<'_> {
    fn say(&self, what: &str) {
        let at = self.start.elapsed().as_secs_f32();
        self.history.lock().unwrap().push(format!("{at:7.2} {}: {what}", self.program));
    }

    fn operate(&self, rng: &mut StdRng) {
        match rng.random_range(0..22) {
            0..=6 => self.inject(rng),
            7..=9 => self.revert(rng),
            20..=21 => self.change(rng),
            10 => self.run(&["revert", "--all"], None),
            11 => self.run(&["recover"], None),
            12 => self.run(&["active"], None),
            13 => self.meddle(rng),
            14..=15 => self.start_all(),
            16 => self.kill_helper(rng),
            17 => self.kill_guard(),
            18 => self.screen(rng),
            _ => self.run(&["recover"], Some(&dies(rng))),
        }
    }

    /// Any fault on any node; every third program dies of it.
    fn inject(&self, rng: &mut StdRng) {
        let fault = self.faults.choose(rng).unwrap();
        // Of the three that have a volume.
        let target = self.bed.cluster.nodes[rng.random_range(0..3)].as_str();
        let ttl = ["1s", "3s", "20s", "10m", "none"].choose(rng).unwrap();
        let mut args = vec!["inject", fault.kind, "--force", "--target", target, "--ttl", ttl];
        args.extend(fault.args);
        let dies = (rng.random_range(0..3) == 0).then(|| dies(rng));
        self.run(&args, dies.as_deref());
    }

    fn revert(&self, rng: &mut StdRng) {
        let (chosen, dies) = (self.open(rng), (rng.random_range(0..3) == 0).then(|| dies(rng)));
        let Some((id, _)) = chosen else { return };
        self.run(&["revert", &id], dies.as_deref());
    }

    /// Other parameters for what holds, or another deadline; every third program dies of it.
    fn change(&self, rng: &mut StdRng) {
        let (chosen, dies) = (self.open(rng), (rng.random_range(0..3) == 0).then(|| dies(rng)));
        let ttl = ["3s", "20s", "10m"].choose(rng).unwrap();
        let Some((id, kind)) = chosen else { return };
        let changeable = self.faults.iter().find(|fault| fault.kind == kind).expect("a type of fault of ours");
        self.run(&self.bed.change(changeable, &id, ttl), dies.as_deref());
    }

    /// One of what is open, with its type.
    fn open(&self, rng: &mut StdRng) -> Option<(String, String)> {
        let choice = rng.random::<u32>() as usize;
        let open = self.bed.program.run(&["active", "--json"]).ok().json()["active"].as_array().unwrap().clone();
        let chosen = open.get(choice % open.len().max(1))?;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        Some((text(&chosen["id"]), text(&chosen["metadata"]["chaos_type"])))
    }

    /// Runs the program. It may refuse and it may fail, as everything around it does, but it says so.
    fn run(&self, args: &[&str], dies: Option<&str>) {
        let env: Vec<_> = dies.map(|fail| ("FAILPOINTS", fail)).into_iter().collect();
        let child: Child = self.bed.spawn(args, &env);
        let (killed, ran) = ended(child);
        let how = if killed { "killed".to_owned() } else { format!("{}, {}", ran.status, ran.stderr.trim()) };
        self.say(&format!("{} {}: {how}", args.join(" "), dies.unwrap_or_default()));
        assert!(killed || [0, 1, 2, 3].contains(&ran.status), "{args:?}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{args:?}: {ran:?}");
    }

    fn meddle(&self, rng: &mut StdRng) {
        let node = &self.bed.cluster.nodes[rng.random_range(0..3)];
        let verbs: [&[&str]; 5] = [&["restart", "-t", "0"], &["stop", "-t", "0"], &["kill"], &["pause"], &["unpause"]];
        self.docker(verbs.choose(rng).unwrap(), node);
    }

    /// Somebody who finds nodes down and brings them up, so that there is something to break.
    fn start_all(&self) {
        for node in &self.bed.cluster.nodes {
            self.docker(&["unpause"], node);
            self.docker(&["start"], node);
        }
    }

    fn docker(&self, verb: &[&str], node: &str) {
        let (done, _) = try_run("docker", &[verb, &[node]].concat());
        self.say(&format!("docker {} {node}: {done}", verb.join(" ")));
    }

    fn kill_helper(&self, rng: &mut StdRng) {
        let choice = rng.random::<u32>() as usize;
        let helpers = self.bed.cluster.holders();
        let Some(helper) = helpers.get(choice % helpers.len().max(1)) else { return };
        let (done, _) = try_run("docker", &["kill", helper]);
        self.say(&format!("a helper is killed: {done}"));
    }

    fn kill_guard(&self) {
        for guard in self.bed.guards() {
            let (done, _) = try_run("kill", &["-KILL", &guard.to_string()]);
            self.say(&format!("a guard is killed: {done}"));
        }
    }

    /// Somebody at a screen, who injects or takes back, and whose terminal dies.
    fn screen(&self, rng: &mut StdRng) {
        let (node, kind, pause) = (rng.random_range(0..3), rng.random_range(0..4), rng.random_range(0..2000));
        let last = ["i", "iy", "R", "r", "f"].choose(rng).unwrap();
        let keys = format!("1g{}{ENTER}{}{last}", "j".repeat(node), "l".repeat(kind));
        let mut terminal = Terminal::open(&self.bed.program, (40, 120));
        terminal.wait_text(&self.bed.cluster.nodes[0]);
        terminal.send(&keys);
        // As long as somebody looks before the lights go out.
        std::thread::sleep(Duration::from_millis(pause));
        terminal.kill_9();
        self.say(&format!("a screen, {keys:?}, killed after {pause} ms"));
    }
}

/// A program's death at a step that it may or may not come to.
fn dies(rng: &mut StdRng) -> String {
    let step = Step::ALL.choose(rng).unwrap().name();
    match rng.random_range(0..3) {
        0 => format!("{step}=return"),
        nth => format!("{step}={nth}*off->return"),
    }
}
