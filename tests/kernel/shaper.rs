//! The holder's own shaper on a real kernel's queue, measured from the other end of a cable.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
    time::Duration,
};

use support::{
    netns::{self, INTERFACE, Pair, Place, class, delay, shape},
    traffic::{Arrival, Datagrams, connect},
    wait_for,
};
use tikv_chaos::{
    chaos::network::{Chance, Class, Filter, Flow, GilbertElliott, Impairment, Loss, Ppm, Rate, Reorder},
    holder::shaper::Shaper,
};

const FLOWS: [Flow; 2] = [Flow::In, Flow::Out];
const FAMILIES: [bool; 2] = [false, true];

fn many(count: u32) -> Datagrams {
    Datagrams { count, gap: Duration::from_micros(150), bytes: 100, quiet: Duration::from_millis(700) }
}

fn burst(count: u32, bytes: usize) -> Datagrams {
    Datagrams { count, gap: Duration::ZERO, bytes, quiet: Duration::from_millis(700) }
}

fn percent(share: u64) -> Chance {
    Chance { share: Ppm::percent(share), correlation: Ppm::default() }
}

/// Over the cable the way that the flow means, seen from the near side.
fn send(pair: &Pair, flow: Flow, v6: bool, datagrams: &Datagrams) -> Vec<Arrival> {
    match flow {
        Flow::In => datagrams.send(&pair.far, &pair.near, v6),
        Flow::Out => datagrams.send(&pair.near, &pair.far, v6),
    }
}

/// Measures on both ways and both families, with a fresh class each.
fn everywhere(impairment: Impairment, check: impl Fn(&Pair, &Shaper, Flow, bool)) {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    let shaper = shape(&pair);
    for flow in FLOWS {
        for v6 in FAMILIES {
            shaper.set(vec![]).unwrap();
            // The neighbours find one another first: what waits for that is sent in no certain order.
            assert_eq!(send(&pair, flow, v6, &burst(1, 100)).len(), 1);
            shaper.set(vec![class(flow, impairment)]).unwrap();
            check(&pair, &shaper, flow, v6);
        }
    }
}

/// Within five standard deviations of what independent chances give, and so wrong once in two million times.
fn is_share(hits: usize, of: usize, share: f64) -> bool {
    let (mean, deviation) = (of as f64 * share, (of as f64 * share * (1.0 - share)).sqrt());
    (hits as f64 - mean).abs() <= 5.0 * deviation
}

/// How often each number came.
fn times(arrivals: &[Arrival]) -> BTreeMap<u32, usize> {
    let mut times = BTreeMap::new();
    arrivals.iter().for_each(|arrival| *times.entry(arrival.number).or_default() += 1);
    times
}

fn listen(place: &Place, v6: bool) -> (TcpListener, SocketAddr) {
    let listener = place.enter(|| TcpListener::bind((place.ip(v6), 0)).unwrap());
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn shaper_delay_slows_connection_and_ends_when_cleared() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    let shaper = shape(&pair);
    for v6 in FAMILIES {
        let (_listener, address) = listen(&pair.near, v6);
        let measure = |classes: Vec<Class>| {
            shaper.set(classes).unwrap();
            connect(&pair.far, address)
        };
        // The neighbours find one another first.
        measure(vec![]);
        let inward = measure(vec![class(Flow::In, delay(400))]);
        let both = measure(vec![class(Flow::In, delay(400)), class(Flow::Out, delay(300))]);
        let after = measure(vec![]);
        assert!(inward >= Duration::from_millis(400) && inward < Duration::from_millis(700), "{inward:?}");
        assert!(both >= Duration::from_millis(700) && both < Duration::from_millis(1000), "{both:?}");
        assert!(after < Duration::from_millis(300), "{after:?}");
    }
}

#[test]
fn shaper_delay_holds_each_datagram_in_order() {
    everywhere(delay(50), |pair, shaper, flow, v6| {
        let arrivals = send(pair, flow, v6, &many(500));
        assert_eq!(arrivals.len(), 500);
        assert!(arrivals.iter().all(|arrival| arrival.took >= Duration::from_millis(50)), "{flow:?} {v6}");
        let numbers: Vec<u32> = arrivals.iter().map(|arrival| arrival.number).collect();
        assert!(numbers.is_sorted(), "{flow:?} {v6}: {numbers:?}");
        // The neighbours' own packets may come at any time, and go as well.
        let counters = || Some(shaper.counters()[0].counters);
        let counters = wait_for("nothing to be held", || counters().filter(|counters| counters.held == 0));
        assert!(counters.delayed >= 500, "{counters:?}");
    });
}

#[test]
fn shaper_loss_drops_requested_share() {
    let loss = Impairment { loss: Some(Loss::Random(percent(30))), ..Impairment::default() };
    everywhere(loss, |pair, shaper, flow, v6| {
        let arrived = send(pair, flow, v6, &many(3000)).len();
        assert!(is_share(arrived, 3000, 0.7), "{flow:?} {v6}: {arrived} of 3000");
        let counters = shaper.counters()[0].counters;
        assert!(counters.lost >= 3000 - arrived as u64 && counters.seen >= 3000, "{counters:?}");
    });
}

#[test]
fn shaper_burst_loss_has_requested_mean_length() {
    let model = GilbertElliott { p: Ppm::percent(4), r: Ppm::percent(20), bad: Ppm::ALL, good: Ppm::default() };
    let loss = Impairment { loss: Some(Loss::Bursts(model)), ..Impairment::default() };
    everywhere(loss, |pair, _, flow, v6| {
        let arrived = times(&send(pair, flow, v6, &many(4000)));
        let lost: Vec<u32> = (0..4000).filter(|number| !arrived.contains_key(number)).collect();
        let runs = lost.chunk_by(|one, two| one + 1 == *two).count();
        let mean = lost.len() as f64 / runs as f64;
        // A run has 5 packets in the mean and a deviation of 4.5; there are some 130 of them.
        assert!((3.0..7.0).contains(&mean), "{flow:?} {v6}: {} lost in {runs} runs", lost.len());
    });
}

#[test]
fn shaper_duplicates_requested_share_at_most_once() {
    let duplicate = Impairment { duplicate: Some(percent(40)), ..delay(5) };
    everywhere(duplicate, |pair, shaper, flow, v6| {
        let times = times(&send(pair, flow, v6, &many(2000)));
        let twice = times.values().filter(|count| **count == 2).count();
        assert!(times.len() == 2000 && times.values().all(|count| *count <= 2), "{flow:?} {v6}: {}", times.len());
        assert!(is_share(twice, 2000, 0.4), "{flow:?} {v6}: {twice} of 2000, {:?}", shaper.counters());
    });
}

#[test]
fn shaper_corruption_fails_udp_checksum() {
    let corrupt = Impairment { corrupt: Some(percent(30)), ..Impairment::default() };
    everywhere(corrupt, |pair, _, flow, v6| {
        let receiver = if flow == Flow::In { &pair.near } else { &pair.far };
        let before = checksum_errors(receiver, v6);
        let arrived = send(pair, flow, v6, &many(2000)).len();
        let errors = checksum_errors(receiver, v6) - before;
        assert!(is_share(arrived, 2000, 0.7), "{flow:?} {v6}: {arrived} of 2000");
        // A flipped length is refused before the sum is looked at, on 16 of some 800 bits.
        assert!(errors > (2000 - arrived) * 9 / 10 && errors <= 2000 - arrived, "{errors} of {}", 2000 - arrived);
    });
}

fn checksum_errors(place: &Place, v6: bool) -> usize {
    let file = if v6 { "/proc/thread-self/net/snmp6" } else { "/proc/thread-self/net/snmp" };
    let text = place.enter(|| fs::read_to_string(file).unwrap());
    if v6 {
        let line = text.lines().find_map(|line| line.strip_prefix("Udp6InCsumErrors")).unwrap();
        return line.trim().parse().unwrap();
    }
    let mut rows = text.lines().filter(|line| line.starts_with("Udp:")).map(|line| line.split_whitespace());
    let at = rows.next().unwrap().position(|name| name == "InCsumErrors").unwrap();
    rows.next().unwrap().nth(at).unwrap().parse().unwrap()
}

#[test]
fn shaper_reorder_lets_requested_share_overtake() {
    let reorder = Reorder { chance: percent(25), gap: 1 };
    everywhere(Impairment { reorder: Some(reorder), ..delay(300) }, |pair, shaper, flow, v6| {
        let arrivals = send(pair, flow, v6, &many(1000));
        assert_eq!(arrivals.len(), 1000);
        let held = arrivals.iter().filter(|arrival| arrival.took >= Duration::from_millis(300)).count();
        assert!(is_share(held, 1000, 0.75), "{flow:?} {v6}: {held} of 1000 were held");
        assert!(!arrivals.is_sorted_by_key(|arrival| arrival.number), "{:?}", shaper.counters());
    });
}

#[test]
fn shaper_rate_limits_throughput_and_keeps_order() {
    let rate = Rate { bits_per_second: 4_000_000, burst_bytes: 20_000 };
    everywhere(Impairment { rate: Some(rate), ..Impairment::default() }, |pair, _, flow, v6| {
        let arrivals = send(pair, flow, v6, &burst(300, 972));
        let numbers: Vec<u32> = arrivals.iter().map(|arrival| arrival.number).collect();
        assert!(numbers.iter().copied().eq(0..300), "{flow:?} {v6}: {numbers:?}");
        // 280,000 bytes beyond the burst, at 500,000 a second; with IPv6 a packet has 20 bytes more.
        let all = arrivals[299].at - arrivals[0].at;
        assert!(all >= Duration::from_millis(500) && all < Duration::from_millis(900), "{flow:?} {v6}: {all:?}");
    });
}

#[test]
fn packets_over_limit_are_dropped_and_counted() {
    everywhere(Impairment { limit: 50, ..delay(1000) }, |pair, shaper, flow, v6| {
        let datagrams = Datagrams { quiet: Duration::from_secs(2), ..burst(200, 100) };
        let arrived = send(pair, flow, v6, &datagrams).len();
        let counters = shaper.counters()[0].counters;
        assert!(arrived <= 50 && counters.overflowed >= 150, "{flow:?} {v6}: {arrived} arrived, {counters:?}");
        assert!(arrived > 40, "the neighbours' own packets have some of the places: {arrived}");
    });
}

#[test]
fn shaper_applies_last_matching_class_to_packet() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    let shaper = shape(&pair);
    let (_one, first) = listen(&pair.near, false);
    let (_two, second) = listen(&pair.near, false);
    connect(&pair.far, first);
    let only = |filter: Filter, impairment: Impairment| Class { filter, ..class(Flow::In, impairment) };
    let peers = |place: &Place| Some([place.v4].into());
    let port = Filter { ports: Some([second.port()].into()), ..Filter::default() };
    let measure = |classes: Vec<Class>| {
        shaper.set(classes).unwrap();
        [first, second].map(|address| connect(&pair.far, address) >= Duration::from_millis(400))
    };
    assert_eq!(measure(vec![only(port.clone(), delay(400))]), [false, true]);
    assert_eq!(measure(vec![class(Flow::In, delay(400)), only(port.clone(), delay(0))]), [true, false]);
    let near = Filter { peers: peers(&pair.near), ..Filter::default() };
    assert_eq!(measure(vec![only(near, delay(400))]), [false, false], "nobody's peer is oneself");
    let far = Filter { peers: peers(&pair.far), except_ports: [first.port()].into(), ..Filter::default() };
    assert_eq!(measure(vec![only(far, delay(400))]), [false, true]);
    let nowhere = Class { interface: "eth7".to_owned(), ..class(Flow::In, delay(400)) };
    let failure = shaper.set(vec![nowhere]).unwrap_err().to_string();
    assert!(failure.contains("eth7"), "{failure}");
    assert_eq!(shaper.counters().len(), 1, "what was set before stays");
}

#[test]
fn shaper_change_affects_new_packets_and_end_releases_held() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    let shaper = shape(&pair);
    send(&pair, Flow::In, false, &burst(1, 100));
    let change = |shaper: &Shaper, ms: u64| shaper.set(vec![class(Flow::In, delay(ms))]).unwrap();
    change(&shaper, 3000);
    // Between the near and the far there may be a word of the neighbours' own.
    let held = |shaper: &Shaper| {
        let enough = || (shaper.counters()[0].counters.held >= 20).then_some(());
        wait_for("twenty datagrams to be held", enough);
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let datagrams = Datagrams { quiet: Duration::from_secs(5), ..burst(20, 100) };
            send(&pair, Flow::In, false, &datagrams)
        });
        held(&shaper);
        change(&shaper, 0);
        let second = send(&pair, Flow::In, false, &burst(20, 100));
        let later = Duration::from_millis(1500);
        assert!(second.len() == 20 && second.iter().all(|arrival| arrival.took < later), "{second:?}");
        let first = first.join().unwrap();
        assert!(first.len() == 20 && first.iter().all(|arrival| arrival.took >= Duration::from_secs(3)), "{first:?}");
    });
    let counters = shaper.counters()[0].counters;
    assert!(counters.seen >= 40, "the class goes on with its counts: {counters:?}");

    change(&shaper, 30_000);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let datagrams = Datagrams { quiet: Duration::from_secs(3), ..burst(20, 100) };
            send(&pair, Flow::In, false, &datagrams)
        });
        held(&shaper);
        drop(shaper);
        assert_eq!(waiting.join().unwrap().len(), 20);
    });
}

/// Not a test: a process that shapes, for the test below to kill. It ends with its standard input.
#[test]
#[ignore = "a process for another test to kill"]
fn shaper_process_delays_packets_until_stdin_closes() {
    let Ok(name) = std::env::var("SHAPE_NAMESPACE") else { return };
    let shaper = netns::shape_in(&name);
    shaper.set(vec![class(Flow::In, delay(1500))]).unwrap();
    println!("shaping");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn killed_shaper_restores_traffic_despite_remaining_rules() {
    if !netns::is_here() {
        return;
    }
    let pair = Pair::new();
    let (_listener, address) = listen(&pair.near, false);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "shaper::shaper_process_delays_packets_until_stdin_closes", "--ignored", "--nocapture"])
        .env("SHAPE_NAMESPACE", &pair.near.name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("shaping")));
    assert!(connect(&pair.far, address) >= Duration::from_millis(1500));
    child.kill().unwrap();
    child.wait().unwrap();
    let rules = pair.near.enter(|| support::run("iptables-save", &["-t", "mangle"]));
    assert!(rules.contains(INTERFACE) && rules.contains("NFQUEUE"), "the rules are still there: {rules}");
    assert!(connect(&pair.far, address) < Duration::from_millis(1000));
}
