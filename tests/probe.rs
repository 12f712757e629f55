//! The holder's look at its peers, against impairments that the test itself makes: in two namespaces with a cable.

mod support;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use support::{
    PROGRAM,
    netns::{self, Pair, Place, class, delay, shape},
    run,
};
use tikv_chaos::{
    chaos::{
        measured::Tally,
        network::{Chance, Flow, Impairment, Loss, Ppm},
    },
    holder::protocol::{Answer, Ask, Probe, Reply, Request, Seen},
};

/// A holder in a namespace.
struct Holder {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Holder {
    fn beside(place: &Place) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("holder").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = place.enter(move || command.spawn().unwrap());
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn send(&mut self, id: &str, ask: Ask) {
        let line = serde_json::to_string(&Request { id: id.to_owned(), ask }).unwrap();
        writeln!(self.input, "{line}").unwrap();
    }

    /// The next answer, to whatever request.
    fn next(&mut self) -> (String, Answer) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let reply: Reply = serde_json::from_str(&line).unwrap();
        (reply.id, reply.result.unwrap())
    }

    fn probe(&mut self, probe: Probe) -> Vec<Seen> {
        self.send("probe", Ask::Probe(probe));
        seen(self.next().1)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn seen(answer: Answer) -> Vec<Seen> {
    let Answer::Probed { seen } = answer else { panic!("{answer:?}") };
    seen
}

fn probe(places: Vec<SocketAddr>) -> Probe {
    Probe {
        places,
        connects: 20,
        echoes: 100,
        interval_ms: 5,
        patience_ms: 500,
        linger_ms: 50,
        burst_bytes: 0,
        until_change: false,
    }
}

/// What the near side sees of an open port of the far side, over both families.
fn see(flow: Flow, impairment: Impairment) -> Option<Vec<(Tally, Tally)>> {
    if !netns::is_here() {
        return None;
    }
    let pair = Pair::new();
    let listeners: Vec<TcpListener> =
        [false, true].map(|v6| pair.far.enter(|| TcpListener::bind((pair.far.ip(v6), 0)).unwrap())).into();
    let places: Vec<SocketAddr> = listeners.iter().map(|one| one.local_addr().unwrap()).collect();
    let mut holder = Holder::beside(&pair.near);
    // The neighbours find one another first.
    holder.probe(probe(places.clone()));
    let shaper = shape(&pair);
    shaper.set(vec![class(flow, impairment)]).unwrap();
    let seen = holder.probe(probe(places));
    assert_eq!(seen.len(), 2);
    Some(seen.into_iter().map(|one| (one.connect, one.echo.unwrap())).collect())
}

fn share(share: u64) -> Chance {
    Chance { share: Ppm::percent(share), correlation: Ppm::default() }
}

/// Within five standard deviations of independent chances.
fn is_share(hits: u32, of: u32, share: f64) -> bool {
    let of = f64::from(of);
    (f64::from(hits) - of * share).abs() <= 5.0 * (of * share * (1.0 - share)).sqrt()
}

#[test]
fn a_delay_is_seen_in_connections_and_in_echoes() {
    let Some(seen) = see(Flow::In, delay(50)) else { return };
    for (connect, echo) in seen {
        for tally in [connect, echo] {
            assert_eq!(tally.lost(), 0, "{tally:?}");
            let times = tally.times.unwrap();
            // What is held is late by so much and by what a busy machine adds, never early.
            assert!(times.least_us >= 50_000 && times.median_us < 60_000, "{tally:?}");
        }
    }
}

#[test]
fn what_is_lost_there_or_back_is_counted() {
    for flow in [Flow::Out, Flow::In] {
        let impairment = Impairment { loss: Some(Loss::Random(share(30))), ..Impairment::default() };
        let Some(seen) = see(flow, impairment) else { return };
        for (_, echo) in seen {
            assert!(echo.sent == 100 && is_share(echo.lost(), 100, 0.3), "{echo:?}");
            assert_eq!(echo.duplicates, 0);
        }
    }
}

#[test]
fn a_second_answer_is_no_first_one_and_a_broken_one_is_none() {
    for flow in [Flow::Out, Flow::In] {
        let Some(seen) = see(flow, Impairment { duplicate: Some(share(40)), ..Impairment::default() }) else { return };
        for (_, echo) in seen {
            assert!(echo.answered == 100 && is_share(echo.duplicates, 100, 0.4), "{echo:?}");
        }
        let Some(seen) = see(flow, Impairment { corrupt: Some(share(100)), ..Impairment::default() }) else { return };
        for (_, echo) in seen {
            // A flipped bit in a field that no checksum covers is no harm.
            assert!(echo.answered <= 10, "{echo:?}");
        }
    }
}

#[test]
fn a_probe_that_waits_keeps_nobody_waiting() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    for chain in ["INPUT", "OUTPUT"] {
        pair.near.enter(|| run("iptables", &["-w", "-A", chain, "-d", &pair.far.v4.to_string(), "-j", "DROP"]));
    }
    let mut holder = Holder::beside(&pair.near);
    let place = SocketAddr::new(pair.far.v4, 9);
    holder.send("slow", Ask::Probe(Probe { echoes: 3, connects: 3, patience_ms: 5000, ..probe(vec![place]) }));
    holder.send("quick", Ask::Hello);
    assert_eq!(holder.next().0, "quick");
    let (id, answer) = holder.next();
    assert_eq!(id, "slow");
    let seen = seen(answer);
    assert_eq!((seen[0].connect.sent, seen[0].connect.answered), (3, 0));
    assert_eq!(seen[0].echo.map(|echo| (echo.sent, echo.answered)), Some((3, 0)));
}

#[test]
fn what_was_there_before_a_change_has_nothing_of_it() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    let place = SocketAddr::new(pair.far.v4, 9);
    let mut holder = Holder::beside(&pair.near);
    let long = Probe { interval_ms: 50, patience_ms: 20_000, until_change: true, ..probe(vec![place]) };
    holder.send("before", Ask::Probe(long));
    let gone: serde_json::Value = serde_json::json!({
        "id": "add", "ask": "add", "injection": "01234567", "ttl_ms": null,
        "fault": { "fault": "drop", "ips": [pair.far.v4] },
    });
    writeln!(holder.input, "{gone}").unwrap();
    let answers = [holder.next(), holder.next()];
    let (_, answer) = answers.iter().find(|(id, _)| id == "before").unwrap();
    let seen = seen(answer.clone());
    let echo = seen[0].echo.unwrap();
    // It ended long before its five seconds were over, and what the rule dropped is not in it.
    assert!(echo.sent < 100 && echo.lost() == 0, "{echo:?}");
}
