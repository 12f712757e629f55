//! The network namespace through the eyes of `tc` and `iptables`: run them, and read back only what a change touched,
//! since each reading costs a process.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Write as _},
    net::IpAddr,
    process::{Output, Stdio},
};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

use super::protocol::{Cause, Failure, Interface};
use crate::chaos::{
    Command,
    network::{Family, Flavour, Kernel, parse_filter, parse_qdiscs},
};

/// The parts of the namespace that are read on their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Qdiscs,
    Filter(Family),
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Qdiscs, Self::Filter(Family::V4), Self::Filter(Family::V6)];
}

/// Which iptables the kernel takes: the one that holds chains of ours, else nft where it answers, as Docker and the
/// distributions choose, else legacy.
pub fn probe_flavour() -> Flavour {
    let holds = |flavour: Flavour| {
        [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| flavour == Flavour::Nft || has_legacy_filter(*family))
            .any(|family| save(flavour, family).is_ok_and(|text| !parse_filter(&text).is_empty()))
    };
    let nft_answers = save(Flavour::Nft, Family::V4).is_ok();
    let legacy_answers = || save(Flavour::Legacy, Family::V4).is_ok();
    let legacy = (!nft_answers && legacy_answers()) || (holds(Flavour::Legacy) && !holds(Flavour::Nft));
    if legacy { Flavour::Legacy } else { Flavour::Nft }
}

/// Whether this namespace has the legacy filter table. Asking iptables-legacy for it would make it.
fn has_legacy_filter(family: Family) -> bool {
    let names = match family {
        Family::V4 => "/proc/self/net/ip_tables_names",
        Family::V6 => "/proc/self/net/ip6_tables_names",
    };
    std::fs::read_to_string(names).is_ok_and(|names| names.lines().any(|name| name == "filter"))
}

/// Reads one part of the kernel into `kernel`.
pub fn read(part: Part, flavour: Flavour, kernel: &mut Kernel) -> Result<(), Failure> {
    match part {
        Part::Qdiscs => {
            let json = run(&Command::new("tc", ["-j", "qdisc", "show"]))?;
            kernel.qdiscs = parse_qdiscs(&json).map_err(|error| Failure::failed(error.to_string()))?;
        }
        Part::Filter(Family::V4) => kernel.v4 = parse_filter(&save(flavour, Family::V4)?),
        // A kernel without IPv6 has no rules of ours for it; one that showed some must show them gone.
        Part::Filter(Family::V6) => match save(flavour, Family::V6) {
            Ok(text) => kernel.v6 = parse_filter(&text),
            Err(failure) if !kernel.v6.is_empty() => return Err(failure),
            Err(_) => {}
        },
    }
    Ok(())
}

fn save(flavour: Flavour, family: Family) -> Result<String, Failure> {
    run(&Command::new(&flavour.save(family), ["-t", "filter"]))
}

/// Runs one command to its end and gives its standard output.
pub fn run(command: &Command) -> Result<String, Failure> {
    let output = spawn(command).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let message = format!(
                "the holder's image has no {}, because the host that made it has none: install iproute2 and iptables \
                 there, or name an image that has them with --holder-image",
                command.program
            );
            Failure { cause: Cause::NoTool, message }
        }
        _ => Failure::failed(format!("cannot run {}: {error}", command.program)),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(explain(command, &said))
}

fn spawn(command: &Command) -> std::io::Result<Output> {
    let mut child = std::process::Command::new(&command.program)
        .args(&command.args)
        .stdin(if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), &command.stdin) {
        pipe.write_all(text.as_bytes())?;
    }
    child.wait_with_output()
}

/// "Specified qdisc kind is unknown" is the newer tc's word for a kernel without netem, "Specified qdisc not found" and
/// "No such file or directory" (ENOENT from the kernel) the older ones'.
fn explain(command: &Command, said: &str) -> Failure {
    let unknown = ["qdisc kind is unknown", "qdisc not found", "RTNETLINK answers: No such file or directory"];
    let netem = command.program == "tc" && command.args.iter().any(|arg| arg == "netem");
    if netem && unknown.iter().any(|text| said.contains(text)) {
        let message = "the kernel of this Docker host has no sch_netem, which latency needs: load it there with \
                       `modprobe sch_netem` (on Fedora and RHEL from the package kernel-modules-extra) and try again";
        return Failure { cause: Cause::NoNetem, message: message.to_owned() };
    }
    Failure::failed(format!("`{command}` failed: {said}"))
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
