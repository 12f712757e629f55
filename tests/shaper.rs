//! The holder's own shaper on a real kernel's queue, measured from the other end of a cable.

mod support;

use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use support::netns::{self, INTERFACE, Pair};
use tikv_chaos::{
    chaos::network::{Class, Delay, Distribution, Filter, Flow, Impairment, Ppm},
    holder::shaper::Shaper,
};

fn class(flow: Flow, impairment: Impairment) -> Class {
    Class { interface: INTERFACE.to_owned(), flow, filter: Filter::default(), impairment }
}

fn delay(milliseconds: u64) -> Impairment {
    let delay = Delay {
        mean_us: milliseconds * 1000,
        jitter_us: 0,
        correlation: Ppm::default(),
        distribution: Distribution::Uniform,
    };
    Impairment { delay: Some(delay), ..Impairment::default() }
}

/// The shaper in the near namespace, with rules that lead every packet to it.
fn shape(pair: &Pair) -> Shaper {
    pair.near.enter(|| {
        let shaper = Shaper::start().unwrap();
        for program in ["iptables", "ip6tables"] {
            for (chain, side, flow) in [("INPUT", "-i", Flow::In), ("OUTPUT", "-o", Flow::Out)] {
                let queue = shaper.queue(flow).to_string();
                let rule = ["-w", "-t", "mangle", "-A", chain, side, INTERFACE, "-j", "NFQUEUE", "--queue-bypass"];
                support::run(program, &[&rule[..], &["--queue-num", &queue]].concat());
            }
        }
        shaper
    })
}

/// How long a TCP connection takes.
fn connect(address: SocketAddr) -> Duration {
    let start = Instant::now();
    TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
    start.elapsed()
}

#[test]
fn a_delay_is_felt_on_both_ways_and_both_families_and_goes() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    let shaper = shape(&pair);
    for v6 in [false, true] {
        let listener = pair.near.enter(|| TcpListener::bind((pair.near.ip(v6), 0)).unwrap());
        let address = listener.local_addr().unwrap();
        let measure = || pair.far.enter(|| connect(address));
        shaper.set(vec![]).unwrap();
        measure();
        let without = measure();
        shaper.set(vec![class(Flow::In, delay(100))]).unwrap();
        let inward = measure();
        shaper.set(vec![class(Flow::In, delay(100)), class(Flow::Out, delay(50))]).unwrap();
        let both = measure();
        shaper.set(vec![]).unwrap();
        let after = measure();
        eprintln!("{without:?} {inward:?} {both:?} {after:?} {:?}", shaper.counters());
        let _ = IpAddr::is_ipv4;
    }
}
