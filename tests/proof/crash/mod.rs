//! The proof that nothing is ever left behind: the program is killed at every step of every kind of work, its guard, its
//! helpers and Docker fail it in the middle, and afterwards somebody who shares no code with it looks at the kernel, the
//! volumes, Docker and the journals. The cases are counted, and the page that makes the promise must name their number.
//!
//! `TIKV_CHAOS_CRASH=all` leaves no occurrence out and has helpers made anew for each case; `TIKV_CHAOS_CRASH_ROWS` goes
//! through the rows alone whose text has that.

mod ledger;
mod moments;
mod rows;
mod work;

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use ledger::{Ledger, WHAT_BY_RECOVER, promised};
use rows::Row;
use support::{
    bed::{Bed, FAULTS, Fault, ended},
    docker_is_here,
};
use tikv_chaos::step::Step;
use work::Work;

/// Clusters that are worked on at the same time: more than there are cores, as half of the cases are spent waiting. Of a slice
/// most would be spent on making more of them.
const BEDS: usize = 5;
const BEDS_OF_SLICE: usize = 3;

#[test]
#[ignore = "proof: a quarter of an hour"]
fn crash_matrix_leaves_nothing_behind_and_keeps_promises() {
    if !docker_is_here() {
        return;
    }
    let all = std::env::var("TIKV_CHAOS_CRASH").is_ok_and(|value| value == "all");
    let only = std::env::var("TIKV_CHAOS_CRASH_ROWS").unwrap_or_default();
    let chosen = |rows: Vec<Row>| rows.into_iter().filter(|row| format!("{row:?}").contains(&only)).collect();
    let (ledger, possible) = go_through(all, BEDS, chosen);
    for fault in FAULTS.iter().filter(|fault| !possible.contains(fault)) {
        let reason = format!("no case of {}: this kernel cannot make it", fault.name);
        // What the page does not promise is not missed.
        let missed = promised(WHAT_BY_RECOVER, fault.name).is_some_and(|cell| cell != "-");
        let needs = if missed { "netem" } else { "netem, of which the page promises nothing" };
        support::can_run(needs, Some(reason));
    }
    if !only.is_empty() {
        println!("not all of it: TIKV_CHAOS_CRASH_ROWS={only}");
        return;
    }
    ledger.assert_every_step();
    let not_kept = ledger.not_kept(&possible);
    assert!(not_kept.is_empty(), "assets/promises.md:\n{}", not_kept.join("\n"));
}

/// As many cases as it takes for every step, every type of fault and every way of dying to come once, chosen by
/// `TIKV_CHAOS_SLICE`, a number.
#[test]
fn slice_of_crash_matrix_leaves_nothing_behind() {
    if !docker_is_here() {
        return;
    }
    let (ledger, possible) = go_through(false, BEDS_OF_SLICE, |rows| rows::slice(rows, support::slice()));
    ledger.assert_every_step();
    ledger.assert_every_fault(&possible);
}

/// Goes through the chosen rows of the matrix. Gives what was done, and the types of fault that this kernel can make.
fn go_through(all: bool, beds: usize, choose: impl FnOnce(Vec<Row>) -> Vec<Row>) -> (Ledger, Vec<Fault>) {
    let start = Instant::now();
    let bed = Bed::for_all_faults();
    let walks = moments::walk_all(&bed, all);
    let possible: Vec<Fault> = walks.iter().map(|walk| walk.fault).collect();
    let rows = rows::rows(&walks, &moments::guard(&bed), all);
    let of = rows.len();
    let rows = rows::in_turn(choose(rows));
    println!("{:6.1} {} of {of} rows", start.elapsed().as_secs_f32(), rows.len());
    let (rows, ledger) = (Mutex::new(rows), Mutex::new(Ledger::default()));
    let first = Mutex::new(Some(bed));
    std::thread::scope(|scope| {
        for _ in 0..beds {
            scope.spawn(|| {
                let first = first.lock().unwrap().take();
                let work = Work::new(first.unwrap_or_else(Bed::for_all_faults), &walks, &ledger);
                loop {
                    let Some(row) = rows.lock().unwrap().pop_front() else { break };
                    let said = format!("{:6.1} {row:?}", start.elapsed().as_secs_f32());
                    work.go_through(row);
                    println!("{said}: until {:.1}", start.elapsed().as_secs_f32());
                }
                work.close();
            });
        }
    });
    let ledger = ledger.into_inner().unwrap();
    println!("{} cases in {:?}\n{}", ledger.total(), start.elapsed(), ledger.table(&possible));
    assert!(ledger.problems.is_empty(), "{} problems:\n{}", ledger.problems.len(), ledger.problems.join("\n"));
    (ledger, possible)
}

/// What a program that died while planning left: a helper that holds nothing.
#[test]
#[ignore = "proof: two minutes of waiting"]
fn helper_without_faults_ends_by_itself_after_program_dies() {
    if !docker_is_here() {
        return;
    }
    let bed = Bed::make();
    let fault = FAULTS.iter().find(|fault| fault.name == "network_partition").unwrap();
    let child = bed.spawn(&bed.inject(fault, "10m"), &[("FAILPOINTS", &rows::at(Step::Planned, 0, "return"))]);
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
