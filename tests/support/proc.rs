//! What the kernel says of a process.

use std::{fs, time::Duration};

/// The time that all threads of a process were on a core, in nanoseconds from the scheduler: the hundredths of a second
/// in `stat` are too coarse for an idle program.
pub fn cpu_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanos = tasks.flatten().map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}

/// What resident memory is made of: memory of its own, and its share of what others have in sight as well.
pub fn shares(pid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    format!("{} anonymous; proportional share {}", figure("Anonymous:"), figure("Pss:"))
}

/// Resident memory, in the kernel's words.
pub fn resident(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
