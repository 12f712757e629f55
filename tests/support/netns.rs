//! Two network namespaces with a cable between them, IPv4 and IPv6, which go with the value. A thread enters one of them,
//! and the sockets and programs that it makes are there.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    thread,
};

use nix::sched::{CloneFlags, setns};

use tikv_chaos::{
    chaos::network::{Class, Delay, Distribution, Filter, Flow, Impairment, Ppm},
    holder::shaper::Shaper,
};

use super::{can_run, run, try_run, unique};

/// The interface's name on both sides.
pub const INTERFACE: &str = "eth0";

pub struct Pair {
    /// The one whose packets are impaired.
    pub near: Place,
    pub far: Place,
}

#[derive(Debug, Clone)]
pub struct Place {
    pub name: String,
    pub v4: IpAddr,
    pub v6: IpAddr,
}

/// Whether namespaces can be made here, with the rules that lead to a queue.
pub fn is_here() -> bool {
    let probe = unique();
    let made = try_run("ip", &["netns", "add", &probe]);
    let missing = if made.0 {
        let rule = ["-t", "mangle", "-A", "INPUT", "-j", "NFQUEUE", "--queue-num", "9", "--queue-bypass"];
        let ruled = enter(&probe, || try_run("iptables", &rule));
        run("ip", &["netns", "del", &probe]);
        (!ruled.0).then(|| format!("no NFQUEUE rule: {}", ruled.1))
    } else {
        Some(format!("no network namespace: {}", made.1))
    };
    can_run("netns", missing)
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

impl Pair {
    pub fn new() -> Self {
        let unique = unique();
        let place = |number: u8, side: &str| Place {
            name: format!("tikv-chaos-{side}-{unique}"),
            v4: Ipv4Addr::new(10, 77, 0, number).into(),
            v6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number.into()).into(),
        };
        let pair = Self { near: place(1, "near"), far: place(2, "far") };
        let (near, far) = (&pair.near.name, &pair.far.name);
        run("ip", &["netns", "add", near]);
        run("ip", &["netns", "add", far]);
        run("ip", &["-n", near, "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns", far]);
        for place in [&pair.near, &pair.far] {
            let (v4, v6) = (format!("{}/24", place.v4), format!("{}/64", place.v6));
            run("ip", &["-n", &place.name, "addr", "add", &v4, "dev", INTERFACE]);
            run("ip", &["-n", &place.name, "addr", "add", &v6, "dev", INTERFACE, "nodad"]);
            for interface in ["lo", INTERFACE] {
                run("ip", &["-n", &place.name, "link", "set", interface, "up"]);
            }
        }
        pair
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for place in [&self.near, &self.far] {
            try_run("ip", &["netns", "del", &place.name]);
        }
    }
}

impl Place {
    pub fn ip(&self, v6: bool) -> IpAddr {
        if v6 { self.v6 } else { self.v4 }
    }

    /// Runs it in this namespace, on a thread of its own.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        enter(&self.name, work)
    }
}

fn enter<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(Path::new("/run/netns").join(name)).unwrap();
    let inside = move || {
        setns(file, CloneFlags::CLONE_NEWNET).unwrap();
        work()
    };
    thread::scope(|scope| match scope.spawn(inside).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// The shaper in the near namespace, with rules that lead every packet of the cable to it.
pub fn shape(pair: &Pair) -> Shaper {
    shape_in(&pair.near.name)
}

pub fn shape_in(name: &str) -> Shaper {
    enter(name, || {
        let shaper = Shaper::start().unwrap();
        for program in ["iptables", "ip6tables"] {
            for (chain, side, flow) in [("INPUT", "-i", Flow::In), ("OUTPUT", "-o", Flow::Out)] {
                let queue = shaper.queue(flow).to_string();
                let rule = ["-w", "-t", "mangle", "-A", chain, side, INTERFACE, "-j", "NFQUEUE", "--queue-bypass"];
                run(program, &[&rule[..], &["--queue-num", &queue]].concat());
            }
        }
        shaper
    })
}

pub fn class(flow: Flow, impairment: Impairment) -> Class {
    Class { interface: INTERFACE.to_owned(), flow, filter: Filter::default(), impairment }
}

pub fn delay(milliseconds: u64) -> Impairment {
    let delay = Delay {
        mean_us: milliseconds * 1000,
        jitter_us: 0,
        correlation: Ppm::default(),
        distribution: Distribution::Uniform,
    };
    Impairment { delay: Some(delay), ..Impairment::default() }
}
