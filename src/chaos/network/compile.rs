//! From what should hold and what holds to the commands in between. An empty list means that the kernel is as it
//! should be, which is also how an injection is found to be active and a revert to be complete.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr};

use super::{
    Chain, Chains, Family, Flavour, Hook, Kernel, Netem, NetworkFault, NetworkFaults, QDISC_HANDLE, RootQdisc,
};
use crate::chaos::{Command, InjectionId};

/// netem drops what is over its limit, and its default of 1000 packets is reached at 100 ms with 120 Mbit/s.
/// 20,000 hold 2.4 Gbit/s for 100 ms at an MTU of 1500.
const NETEM_LIMIT: &str = "20000";

/// A desired state that must not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("interface {interface} has a root qdisc that is not ours ({qdisc}); remove it first if it may go")]
    ForeignQdisc { interface: String, qdisc: String },
    #[error("there is no interface {interface}; there are {known}")]
    NoInterface { interface: String, known: String },
}

/// Whether the fault can hold at all: its interfaces are there, and their root qdiscs are the kernel's or ours.
pub fn check(fault: &NetworkFault, kernel: &Kernel) -> Result<(), Refusal> {
    let NetworkFault::Delay { interfaces, .. } = fault else { return Ok(()) };
    interfaces.iter().try_for_each(|interface| match kernel.qdiscs.get(interface) {
        Some(RootQdisc::Ours(_) | RootQdisc::Default) => Ok(()),
        Some(RootQdisc::Foreign(qdisc)) => {
            Err(Refusal::ForeignQdisc { interface: interface.clone(), qdisc: qdisc.clone() })
        }
        None => {
            let known = kernel.qdiscs.keys().cloned().collect::<Vec<_>>().join(", ");
            Err(Refusal::NoInterface { interface: interface.clone(), known })
        }
    })
}

/// The commands that turn `kernel` into what `faults` ask for, at most one for each interface and family. An interface
/// that went away or whose root qdisc somebody replaced since is left alone, so that it keeps nothing else from being
/// undone; [`check`] is for before.
pub fn compile(faults: &NetworkFaults, kernel: &Kernel, flavour: Flavour) -> Vec<Command> {
    let mut commands = qdisc_commands(&wanted_netems(faults), kernel);
    for family in [Family::V4, Family::V6] {
        let wanted = wanted_chains(faults, family);
        if let Some(text) = filter_text(&wanted, kernel.chains(family)) {
            commands.push(Command::new(&flavour.restore(family), ["-w", "5", "--noflush"]).with_stdin(text));
        }
    }
    commands
}

/// Delays on one interface add up, as they would on two links in a row.
fn wanted_netems(faults: &NetworkFaults) -> BTreeMap<&str, Netem> {
    let mut wanted = BTreeMap::new();
    for fault in faults.values() {
        let NetworkFault::Delay { min_ms, max_ms, interfaces } = fault else { continue };
        for interface in interfaces {
            let sum = wanted.entry(interface.as_str()).or_insert(Netem { delay_us: 0, jitter_us: 0 });
            sum.delay_us += (min_ms + max_ms) * 500;
            sum.jitter_us += (max_ms - min_ms) * 500;
        }
    }
    wanted
}

fn qdisc_commands(wanted: &BTreeMap<&str, Netem>, kernel: &Kernel) -> Vec<Command> {
    let mut commands = Vec::new();
    for (interface, netem) in wanted {
        let verb = match kernel.qdiscs.get(*interface) {
            Some(RootQdisc::Ours(held)) if held == netem => continue,
            Some(RootQdisc::Ours(_)) => "change",
            Some(RootQdisc::Default) => "add",
            Some(RootQdisc::Foreign(_)) | None => continue,
        };
        commands.push(netem_command(verb, interface, *netem));
    }
    let superfluous = kernel
        .qdiscs
        .iter()
        .filter(|(interface, qdisc)| matches!(qdisc, RootQdisc::Ours(_)) && !wanted.contains_key(interface.as_str()));
    for (interface, _) in superfluous {
        commands.push(Command::new("tc", ["qdisc", "del", "dev", interface, "root", "handle", QDISC_HANDLE]));
    }
    commands
}

fn netem_command(verb: &str, interface: &str, netem: Netem) -> Command {
    let (delay, jitter) = (milliseconds(netem.delay_us), milliseconds(netem.jitter_us));
    let mut args = vec!["qdisc", verb, "dev", interface, "root", "handle", QDISC_HANDLE, "netem", "delay", &delay];
    if netem.jitter_us > 0 || verb == "change" {
        args.push(&jitter);
    }
    args.extend(["limit", NETEM_LIMIT]);
    Command::new("tc", args)
}

/// `100ms`, `0.5ms`: as in the contract, and never in an exponent.
fn milliseconds(micros: u64) -> String {
    let (whole, rest) = (micros / 1000, micros % 1000);
    if rest == 0 { format!("{whole}ms") } else { format!("{whole}.{rest:03}").trim_end_matches('0').to_owned() + "ms" }
}

fn wanted_chains(faults: &NetworkFaults, family: Family) -> BTreeMap<String, (Hook, Vec<IpAddr>)> {
    let mut chains = BTreeMap::new();
    for (id, fault) in faults {
        let NetworkFault::Drop { ips } = fault else { continue };
        let ips: Vec<IpAddr> = ips.iter().copied().filter(|ip| Family::of(ip) == family).collect();
        if ips.is_empty() {
            continue;
        }
        for hook in Hook::ALL {
            chains.insert(hook.ours(id), (hook, ips.clone()));
        }
    }
    chains
}

/// One transaction for `iptables-restore --noflush`; `None` where nothing is to be done.
fn filter_text(wanted: &BTreeMap<String, (Hook, Vec<IpAddr>)>, held: &Chains) -> Option<String> {
    let mut text = String::new();
    for (name, (hook, ips)) in wanted {
        let found = held.get(name);
        if found.is_some_and(|chain| is_whole(chain, ips)) {
            continue;
        }
        // With --noflush this line makes the chain or, where it exists, empties it.
        writeln!(text, ":{name} - [0:0]").ok()?;
        for ip in ips {
            writeln!(text, "-A {name} {} {ip} -j DROP", hook.peer_option()).ok()?;
        }
        if found.is_none_or(|chain| chain.jumps == 0) {
            writeln!(text, "-I {} 1 -j {name}", hook.chain()).ok()?;
        }
    }
    for (name, chain) in held.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        let hook = Hook::of(name)?;
        text.push_str(&removal_lines(name, hook, chain.jumps));
    }
    (!text.is_empty()).then(|| format!("*filter\n{text}COMMIT\n"))
}

fn is_whole(chain: &Chain, ips: &[IpAddr]) -> bool {
    chain.jumps >= 1 && chain.drops.len() == ips.len() && ips.iter().all(|ip| chain.drops.contains(&Some(*ip)))
}

fn removal_lines(name: &str, hook: Hook, jumps: usize) -> String {
    let jump = format!("-D {} -j {name}\n", hook.chain());
    format!("{}-F {name}\n-X {name}\n", jump.repeat(jumps))
}

/// The transaction that removes a whole partition, for a person to pipe into `iptables-restore --noflush`.
pub fn removal_text(id: &InjectionId) -> String {
    let lines: String = Hook::ALL.iter().map(|hook| removal_lines(&hook.ours(id), *hook, 1)).collect();
    format!("*filter\n{lines}COMMIT\n")
}

/// The commands that one more fault would need, beside what of ours already holds.
pub fn preview(
    id: &InjectionId,
    fault: &NetworkFault,
    kernel: &Kernel,
    flavour: Flavour,
) -> Result<Vec<Command>, Refusal> {
    check(fault, kernel)?;
    let mut faults = kernel.as_faults();
    faults.insert(id.clone(), fault.clone());
    Ok(compile(&faults, kernel, flavour))
}
