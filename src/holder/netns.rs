//! The network namespace through the eyes of `tc` and `iptables`: run them, and read back only what a change touched, all
//! of it at the same time, since each reading costs a process.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Write as _},
    net::IpAddr,
    process::{Child, Stdio},
};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

use super::protocol::{Cause, Failure, Interface};
use crate::chaos::{
    Command,
    network::{Family, Flavour, Kernel, QDISC_HANDLE, ReadError, RootQdisc, parse_chains, parse_counts, parse_qdiscs},
};

/// The parts of the namespace that are read on their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Qdiscs,
    Rules(Family),
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Qdiscs, Self::Rules(Family::V4), Self::Rules(Family::V6)];

    /// What the command changes.
    pub fn of(command: &Command) -> Self {
        match command.program.as_str() {
            "tc" => Self::Qdiscs,
            program if program.starts_with("ip6") => Self::Rules(Family::V6),
            _ => Self::Rules(Family::V4),
        }
    }

    /// What prints it. Every table that is there: asking iptables-legacy for one by name would make it.
    fn look(self, flavour: Flavour) -> Command {
        match self {
            Self::Qdiscs => Command::new("tc", ["-j", "qdisc", "show"]),
            Self::Rules(family) => Command::new(&flavour.save(family), [] as [&str; 0]),
        }
    }
}

/// What the netems of ours have counted, by interface and band.
pub type Counts = BTreeMap<(String, u16), [u64; 3]>;

/// Which iptables the kernel takes: the one that holds chains of ours, else nft where it answers, as Docker and the
/// distributions choose, else legacy.
pub fn probe_flavour() -> Flavour {
    let holds = |flavour: Flavour| {
        let ours = |family: &Family| {
            run(&Part::Rules(*family).look(flavour)).is_ok_and(|text| !parse_chains(&text).is_clean())
        };
        Family::ALL.iter().any(ours)
    };
    let answers = |flavour: Flavour| run(&Command::new(&flavour.save(Family::V4), ["-t", "filter"])).is_ok();
    let nft_answers = answers(Flavour::Nft);
    let legacy = (!nft_answers && answers(Flavour::Legacy)) || (holds(Flavour::Legacy) && !holds(Flavour::Nft));
    if legacy { Flavour::Legacy } else { Flavour::Nft }
}

/// Reads these parts of the kernel into `kernel`, at the same time; says of each whether it could be read.
pub fn read(parts: &[Part], flavour: Flavour, kernel: &mut Kernel) -> Vec<Result<(), Failure>> {
    let looks: Vec<_> = parts.iter().map(|part| (*part, part.look(flavour))).collect();
    let started: Vec<_> = looks.iter().map(|(part, look)| (*part, look, start(look))).collect();
    let said = |look: &Command, child: Result<Child, Failure>| finish(look, child?);
    // Every one of them is waited for, whatever the others say.
    started.into_iter().map(|(part, look, child)| take(part, said(look, child), kernel)).collect()
}

fn take(part: Part, said: Result<String, Failure>, kernel: &mut Kernel) -> Result<(), Failure> {
    match part {
        Part::Qdiscs => kernel.qdiscs = parse_qdiscs(&said?).map_err(unreadable)?,
        Part::Rules(Family::V4) => kernel.v4 = parse_chains(&said?),
        // A kernel without IPv6 has no rules of ours for it; one that showed some must show them gone.
        Part::Rules(Family::V6) => match said {
            Ok(text) => kernel.v6 = parse_chains(&text),
            Err(failure) if !kernel.v6.is_clean() => return Err(failure),
            Err(_) => {}
        },
    }
    Ok(())
}

/// The root qdiscs, with what the netems of ours have counted.
pub fn counted() -> Result<(BTreeMap<String, RootQdisc>, Counts), Failure> {
    let json = run(&Command::new("tc", ["-s", "-j", "qdisc", "show"]))?;
    Ok((parse_qdiscs(&json).map_err(unreadable)?, parse_counts(&json).map_err(unreadable)?))
}

fn unreadable(error: ReadError) -> Failure {
    Failure::failed(error.to_string())
}

/// Whether the kernel has this kind of qdisc, and why not. The kernel looks for the kind, and loads its module, before it
/// finds that neither netem nor prio has blocks to share (`qdisc_create` in its `sch_api.c`), so nothing is made.
pub fn probe_qdisc(kind: &str) -> Result<(), Failure> {
    let ask = ["dev", "lo", "root", "handle", QDISC_HANDLE, "egress_block", "1", kind];
    match run(&Command::new("tc", ["qdisc", "add"].into_iter().chain(ask))) {
        Err(failure) if failure.cause == Cause::Failed && failure.message.contains("block sharing") => Ok(()),
        Err(failure) => Err(failure),
        // A kernel from before blocks made one after all.
        Ok(_) => run(&Command::new("tc", ["qdisc", "del", "dev", "lo", "root", "handle", QDISC_HANDLE])).map(|_| ()),
    }
}

/// Runs one command to its end and gives its standard output.
pub fn run(command: &Command) -> Result<String, Failure> {
    finish(command, start(command)?)
}

fn start(command: &Command) -> Result<Child, Failure> {
    let child = std::process::Command::new(&command.program)
        .args(&command.args)
        .stdin(if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    child.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let message = format!(
                "the holder's image has no {}, because the host that made it has none: install iproute2 and iptables \
                 there, or name an image that has them with --holder-image",
                command.program
            );
            Failure { cause: Cause::NoTool, message }
        }
        _ => not_run(command, &error),
    })
}

fn not_run(command: &Command, error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot run {}: {error}", command.program))
}

fn finish(command: &Command, mut child: Child) -> Result<String, Failure> {
    let fed = match (child.stdin.take(), &command.stdin) {
        (Some(mut pipe), Some(text)) => pipe.write_all(text.as_bytes()),
        _ => Ok(()),
    };
    let output = fed.and_then(|()| child.wait_with_output()).map_err(|error| not_run(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(explain(command, &said))
}

/// "Specified qdisc kind is unknown" is the newer tc's word for a kernel without netem, "Specified qdisc not found" and
/// "No such file or directory" (ENOENT from the kernel) the older ones'.
fn explain(command: &Command, said: &str) -> Failure {
    let unknown = ["qdisc kind is unknown", "qdisc not found", "RTNETLINK answers: No such file or directory"];
    let words = command.args.iter().chain(&command.stdin);
    let makes = |word: &String| word.contains("netem") || word.contains("prio");
    if command.program == "tc" && words.clone().any(makes) && unknown.iter().any(|text| said.contains(text)) {
        let message = "the kernel of this Docker host has no sch_netem (or no sch_prio, for a part of the packets): load it \
                       there with `modprobe sch_netem` (on Fedora and RHEL from the package kernel-modules-extra), or \
                       choose --via shaper";
        return Failure { cause: Cause::NoNetem, message: message.to_owned() };
    }
    let hint = if words.clone().any(|word| word.contains("-j CLASSIFY")) {
        " (for netem some of the packets are told apart by xt_CLASSIFY; --via shaper needs none)"
    } else {
        ""
    };
    Failure::failed(format!("`{command}` failed: {said}{hint}"))
}

/// The interfaces with their addresses.
pub fn interfaces() -> Result<Vec<Interface>, Failure> {
    let addresses = getifaddrs().map_err(|error| Failure::failed(format!("cannot list the interfaces: {error}")))?;
    let mut found: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for address in addresses.filter(|address| !address.flags.contains(InterfaceFlags::IFF_LOOPBACK)) {
        let ips = found.entry(address.interface_name).or_default();
        let Some(storage) = address.address else { continue };
        if let Some(v4) = storage.as_sockaddr_in() {
            ips.push(v4.ip().into());
        } else if let Some(v6) = storage.as_sockaddr_in6() {
            ips.push(v6.ip().into());
        }
    }
    Ok(found.into_iter().map(|(name, ips)| Interface { name, ips }).collect())
}
