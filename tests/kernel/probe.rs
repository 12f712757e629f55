//! The holder's look at its peers, against impairments that the test itself makes: in two namespaces with a cable.

use std::net::{SocketAddr, TcpListener};

use support::{
    holder::Holder,
    netns::{self, Pair, class, delay, shape},
    run,
};
use tikv_chaos::{
    chaos::{
        InjectionId,
        measured::Tally,
        network::{Chance, Cut, Flow, Impairment, Loss, NetworkFault, Ppm},
    },
    holder::protocol::{Answer, Ask, Probe, Seen},
};

fn measure(holder: &mut Holder, probe: Probe) -> Vec<Seen> {
    seen(holder.ask(Ask::Probe(probe)).unwrap())
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
    measure(&mut holder, probe(places.clone()));
    let shaper = shape(&pair);
    shaper.set(vec![class(flow, impairment)]).unwrap();
    let seen = measure(&mut holder, probe(places));
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
fn probe_measures_delay_in_connects_and_echoes() {
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
fn probe_counts_loss_in_both_directions() {
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
fn probe_separates_duplicates_and_rejects_corrupted_answers() {
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
fn probe_in_progress_does_not_block_other_requests() {
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
    assert_eq!(holder.next_answer().0, "quick");
    let (id, answer) = holder.next_answer();
    assert_eq!(id, "slow");
    let seen = seen(answer.unwrap());
    assert_eq!((seen[0].connect.sent, seen[0].connect.answered), (3, 0));
    assert_eq!(seen[0].echo.map(|echo| (echo.sent, echo.answered)), Some((3, 0)));
}

#[test]
fn probe_until_change_excludes_effects_of_new_fault() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    let place = SocketAddr::new(pair.far.v4, 9);
    let mut holder = Holder::beside(&pair.near);
    let long = Probe { interval_ms: 50, patience_ms: 20_000, until_change: true, ..probe(vec![place]) };
    holder.send("before", Ask::Probe(long));
    let (injection, fault) = (InjectionId::from_number(7), NetworkFault::Drop(Cut::off(vec![pair.far.v4])));
    holder.send("add", Ask::Add { injection, fault, ttl_ms: None });
    let answers = [holder.next_answer(), holder.next_answer()];
    let (_, answer) = answers.iter().find(|(id, _)| id == "before").unwrap();
    let seen = seen(answer.clone().unwrap());
    let echo = seen[0].echo.unwrap();
    // It ended long before its five seconds were over, and what the rule dropped is not in it.
    assert!(echo.sent < 100 && echo.lost() == 0, "{echo:?}");
}
