//! Every fault of the network on real containers, by measurement: packets that this test sends between the nodes'
//! namespaces and counts itself. On a kernel without netem this is the shaper with iptables-nft; `tests/netem.rs` is the
//! other half.

mod support;

use std::{
    collections::HashSet,
    fs::File,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};
use support::{
    Program,
    cluster::{Cluster, Options},
    docker_is_here, run, wait_for,
};

const PORT: u16 = 7007;

fn start(options: &Options) -> (Cluster, Program) {
    let cluster = Cluster::start(options);
    let program = Program::new(Some(&cluster.project));
    (cluster, program)
}

/// Does something in the network namespace of a node, in a thread of its own.
fn inside<T: Send + 'static>(
    cluster: &Cluster,
    node: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let namespace = File::open(format!("/proc/{}/ns/net", cluster.inspect(node, "{{.State.Pid}}"))).unwrap();
    thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        work()
    })
}

/// Sends back what comes, until it is dropped.
struct Echo {
    ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Echo {
    fn on(cluster: &Cluster, node: usize) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (ends, bound) = (Arc::clone(&ended), Arc::new(AtomicBool::new(false)));
        let is_bound = Arc::clone(&bound);
        let thread = inside(cluster, node, move || {
            let socket = UdpSocket::bind(("::", PORT)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            is_bound.store(true, Ordering::Release);
            let mut buffer = [0; 2000];
            while !ends.load(Ordering::Acquire) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..length], from);
                }
            }
        });
        wait_for("the echo to listen", || bound.load(Ordering::Acquire).then_some(()));
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        let _ = self.thread.take().unwrap().join();
    }
}

/// What became of numbered packets that were sent at a steady pace.
struct Echoes {
    sent: usize,
    /// In the order of their arrival: the number and the round trip.
    came: Vec<(u32, Duration)>,
}

impl Echoes {
    fn distinct(&self) -> usize {
        self.came.iter().map(|(number, _)| number).collect::<HashSet<_>>().len()
    }

    fn lost(&self) -> f64 {
        1.0 - self.distinct() as f64 / self.sent as f64
    }

    fn twice(&self) -> f64 {
        (self.came.len() - self.distinct()) as f64 / self.sent as f64
    }

    /// The share that came before one that was sent earlier.
    fn early(&self) -> f64 {
        let late = self.came.windows(2).filter(|pair| pair[1].0 < pair[0].0).count();
        late as f64 / self.sent as f64
    }

    fn quantile(&self, share: f64) -> Duration {
        let mut times: Vec<Duration> = self.came.iter().map(|(_, time)| *time).collect();
        times.sort_unstable();
        times[((times.len() - 1) as f64 * share) as usize]
    }
}

/// Sends `count` packets from one node to another's echo, one each `pace`, and waits for what comes back.
fn echoes(cluster: &Cluster, from: usize, to: IpAddr, count: u32, pace: Duration) -> Echoes {
    let work = move || {
        let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect((to, PORT)).unwrap();
        let receiver = socket.try_clone().unwrap();
        let start = Instant::now();
        let listener = thread::spawn(move || {
            receiver.set_read_timeout(Some(Duration::from_millis(1200))).unwrap();
            let mut came = Vec::new();
            let mut buffer = [0; 200];
            // Until nothing has come for longer than the longest delay that is asked for here.
            loop {
                match receiver.recv(&mut buffer) {
                    Ok(length) if length >= 12 => {
                        let number = u32::from_be_bytes(buffer[..4].try_into().unwrap());
                        let sent = Duration::from_nanos(u64::from_be_bytes(buffer[4..12].try_into().unwrap()));
                        came.push((number, start.elapsed().saturating_sub(sent)));
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                    Err(_) => return came,
                }
            }
        });
        for number in 0..count {
            let mut packet = [0u8; 100];
            packet[..4].copy_from_slice(&number.to_be_bytes());
            let now = u64::try_from(start.elapsed().as_nanos()).unwrap();
            packet[4..12].copy_from_slice(&now.to_be_bytes());
            let _ = socket.send(&packet);
            thread::sleep(pace);
        }
        Echoes { sent: count as usize, came: listener.join().unwrap() }
    };
    inside(cluster, from, work).join().unwrap()
}

/// Bits a second of TCP from one node to another over `bytes`.
fn throughput(cluster: &Cluster, from: usize, (node, to): (usize, IpAddr), bytes: usize) -> f64 {
    let ready = Arc::new(AtomicBool::new(false));
    let is_ready = Arc::clone(&ready);
    let sink = inside(cluster, node, move || {
        let listener = TcpListener::bind(("::", PORT + 1)).unwrap();
        is_ready.store(true, Ordering::Release);
        let (mut stream, _) = listener.accept().unwrap();
        let (start, mut buffer, mut sum) = (Instant::now(), vec![0; 1 << 16], 0);
        while sum < bytes {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                read => sum += read,
            }
        }
        sum as f64 * 8.0 / start.elapsed().as_secs_f64()
    });
    wait_for("the sink to listen", || ready.load(Ordering::Acquire).then_some(()));
    let source = inside(cluster, from, move || {
        let mut stream = TcpStream::connect((to, PORT + 1)).unwrap();
        let block = vec![0; 1 << 14];
        let mut left = bytes;
        while left > 0 {
            left -= match stream.write(&block[..left.min(block.len())]) {
                Ok(written) => written,
                Err(_) => break,
            };
        }
    });
    source.join().unwrap();
    sink.join().unwrap()
}

fn v6(cluster: &Cluster, node: usize) -> IpAddr {
    cluster.inspect(node, "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}").parse().unwrap()
}

fn v4(cluster: &Cluster, node: usize) -> IpAddr {
    cluster.ip(node).unwrap().parse().unwrap()
}

const FAST: Duration = Duration::from_millis(2);

/// Nothing is lost, doubled or late.
fn assert_well(cluster: &Cluster, to: IpAddr) {
    let echoes = echoes(cluster, 0, to, 50, FAST);
    assert_eq!((echoes.lost(), echoes.twice()), (0.0, 0.0), "to {to}");
    assert!(echoes.quantile(0.5) < Duration::from_millis(20), "to {to}: {:?}", echoes.quantile(0.5));
}

type Expect = fn(&Echoes) -> bool;

/// A type of fault, its arguments, and what must come of packets.
const SHAPED: [(&str, &[&str], Expect); 8] = [
    ("latency", &["--min-ms", "50", "--max-ms", "150"], |echoes| {
        let [low, middle, high] = [0.05, 0.5, 0.95].map(|share| echoes.quantile(share).as_secs_f64() * 1000.0);
        (48.0..85.0).contains(&low) && (80.0..125.0).contains(&middle) && (115.0..175.0).contains(&high)
    }),
    ("latency", &["--mean-ms", "60", "--direction", "both"], |echoes| {
        (118.0..145.0).contains(&(echoes.quantile(0.5).as_secs_f64() * 1000.0))
    }),
    ("packet_loss", &["--percent", "40"], |echoes| (0.30..0.50).contains(&echoes.lost())),
    ("packet_loss", &["--percent", "30", "--burst-length", "8", "--direction", "in"], |echoes| {
        let gone: Vec<bool> = (0..echoes.sent as u32).map(|n| !echoes.came.iter().any(|one| one.0 == n)).collect();
        let bursts = gone.windows(2).filter(|pair| !pair[0] && pair[1]).count().max(1);
        let length = gone.iter().filter(|gone| **gone).count() as f64 / bursts as f64;
        (0.12..0.48).contains(&echoes.lost()) && (4.0..14.0).contains(&length)
    }),
    ("packet_duplicate", &["--percent", "50"], |echoes| (0.38..0.62).contains(&echoes.twice()) && echoes.lost() == 0.0),
    // The receiver's checksum refuses them.
    ("packet_corrupt", &["--percent", "50", "--direction", "in"], |echoes| (0.35..0.62).contains(&echoes.lost())),
    ("packet_reorder", &["--percent", "30", "--delay-ms", "40"], |echoes| {
        echoes.early() > 0.10 && echoes.quantile(0.9) > Duration::from_millis(38) && echoes.lost() == 0.0
    }),
    // 300 packets of 100 bytes in 0.6 s are far more than 100 kbit/s takes: they wait.
    ("bandwidth", &["--rate-kbit", "100", "--burst-kb", "2"], |echoes| {
        echoes.quantile(0.95) > Duration::from_millis(300) && echoes.lost() < 0.05
    }),
];

#[test]
fn every_type_is_felt_by_both_families_and_taken_back() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options { ipv6: true, ..Options::default() });
    let _echo = Echo::on(&cluster, 1);
    let ips = [v4(&cluster, 1), v6(&cluster, 1)];
    wait_for("IPv6 between the nodes", || (echoes(&cluster, 0, ips[1], 1, FAST).lost() == 0.0).then_some(()));
    for (name, args, expect) in SHAPED {
        let injected = program.inject(&[&[name, "--target", "tikv1", "--via", "shaper"], args].concat());
        assert_eq!(injected["metadata"]["via"], "shaper");
        for ip in ips {
            let felt = echoes(&cluster, 0, ip, 300, FAST);
            let [median, most] = [0.5, 0.95].map(|share| felt.quantile(share));
            let (lost, twice, early) = (felt.lost(), felt.twice(), felt.early());
            eprintln!("{name} {args:?} to {ip}: {median:?}, {most:?}, lost {lost}, twice {twice}, early {early}");
            assert!(expect(&felt), "{name} {args:?} to {ip}");
        }
        program.run(&["revert", injected["id"].as_str().unwrap()]).ok();
        ips.iter().for_each(|ip| assert_well(&cluster, *ip));
        assert_eq!(cluster.traces(1), Vec::<String>::new(), "{name}");
    }
    cluster.assert_clean();
}

#[test]
fn a_bandwidth_is_what_tcp_gets() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let args = ["bandwidth", "--target", "tikv1", "--via", "shaper", "--rate-kbit", "8000"];
    program.inject(&args);
    let got = throughput(&cluster, 1, (0, v4(&cluster, 0)), 2_000_000);
    assert!((5e6..9e6).contains(&got), "asked 8 Mbit/s, measured {got}");
    program.run(&["revert", "--all"]).ok();
    assert!(throughput(&cluster, 1, (0, v4(&cluster, 0)), 20_000_000) > 50e6);
    cluster.assert_clean();
}

#[test]
fn only_those_who_are_meant_are_hit_and_the_status_port_is_spared() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let _echo = Echo::on(&cluster, 1);
    let to = v4(&cluster, 1);
    let delayed = |from: usize| echoes(&cluster, from, to, 20, FAST).quantile(0.5) > Duration::from_millis(90);
    for (args, expected) in [
        (&["--to", "tikv0"][..], [true, false]),
        (&["--to", "clients"], [false, false]),
        (&["--to", "tikv"], [true, true]),
        (&["--ports", "7007"], [true, true]),
        (&["--ports", "1,2,3"], [false, false]),
        (&["--spare-status"], [true, true]),
    ] {
        let args = [&["latency", "--target", "tikv1", "--via", "shaper", "--mean-ms", "100"], args].concat();
        let id = program.inject(&args)["id"].as_str().unwrap().to_owned();
        assert_eq!([delayed(0), delayed(2)], expected, "{args:?}");
        program.run(&["revert", &id]).ok();
    }
    let nobody = program.run(&["inject", "latency", "--target", "tikv1", "--via", "shaper", "--to", "pd", "--dry-run"]);
    assert!(nobody.stderr.contains("no packet is meant"), "{nobody:?}");
    cluster.assert_clean();
}

#[test]
fn faults_compose_and_removing_one_leaves_the_others_as_they_were() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let _echo = Echo::on(&cluster, 1);
    let to = v4(&cluster, 1);
    let inject = |args: &[&str]| {
        let id = program.inject(&[args, &["--target", "tikv1", "--via", "shaper"]].concat())["id"].clone();
        id.as_str().unwrap().to_owned()
    };
    let late = inject(&["latency", "--mean-ms", "60"]);
    let rules = cluster.traces(1);
    let later = inject(&["latency", "--mean-ms", "40"]);
    let lossy = inject(&["packet_loss", "--percent", "50"]);
    let all = echoes(&cluster, 0, to, 200, FAST);
    assert!((0.35..0.65).contains(&all.lost()) && all.quantile(0.5) > Duration::from_millis(98), "{}", all.lost());
    program.run(&["revert", &lossy]).ok();
    program.run(&["revert", &later]).ok();
    let one = echoes(&cluster, 0, to, 50, FAST);
    assert_eq!(one.lost(), 0.0);
    assert!((58..90).contains(&one.quantile(0.5).as_millis()), "{:?}", one.quantile(0.5));
    assert_eq!(cluster.traces(1), rules);
    program.run(&["revert", &late]).ok();
    cluster.assert_clean();
}

#[test]
fn a_change_shows_no_moment_without_the_fault_and_loses_nothing() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let _echo = Echo::on(&cluster, 1);
    let to = v4(&cluster, 1);
    let injected = program.inject(&["latency", "--target", "tikv1", "--via", "shaper", "--mean-ms", "100"]);
    let id = injected["id"].as_str().unwrap();
    thread::scope(|scope| {
        let watched = scope.spawn(|| echoes(&cluster, 0, to, 1200, FAST));
        let changed = program.run(&["change", id, "--mean-ms", "250", "--json"]).ok().json();
        assert_eq!((&changed["metadata"]["min_ms"], &changed["deadline"]), (&250.into(), &injected["deadline"]));
        let watched = watched.join().unwrap();
        assert_eq!(watched.lost(), 0.0);
        let [least, most] = [0.0, 1.0].map(|share| watched.quantile(share).as_millis());
        assert!(least >= 98 && most >= 248, "from {least} to {most} ms");
    });
    assert_eq!(program.active()[0]["metadata"]["max_ms"], 250);
    let refused = program.run(&["change", id, "--min-ms", "300", "--max-ms", "1"]);
    assert_eq!(refused.status, 2, "{refused:?}");
    program.run(&["revert", id]).ok();
    assert_well(&cluster, to);
    cluster.assert_clean();
}

#[test]
fn the_helpers_death_is_the_end_of_what_the_shaper_does_and_its_successor_goes_on() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let _echo = Echo::on(&cluster, 1);
    let to = v4(&cluster, 1);
    program.inject(&["latency", "--target", "tikv1", "--via", "shaper", "--mean-ms", "100"]);
    program.kill_guard();
    run("docker", &["rm", "-f", &cluster.holders()[0]]);
    assert_well(&cluster, to);
    assert!(!cluster.traces(1).is_empty(), "its rules are marks");
    // Whatever makes a new holder hands over what is written down.
    program.run(&["doctor"]).ok();
    assert!(echoes(&cluster, 0, to, 20, FAST).quantile(0.5) > Duration::from_millis(98));
    program.run(&["recover"]).ok();
    assert_well(&cluster, to);
    cluster.assert_clean();
}

/// Whether a TCP connection comes about, and how soon it is known.
fn connects(cluster: &Cluster, from: usize, to: usize) -> (bool, Duration) {
    let address = SocketAddr::new(v4(cluster, to), 2379);
    let work = move || {
        let start = Instant::now();
        (TcpStream::connect_timeout(&address, Duration::from_millis(700)).is_ok(), start.elapsed())
    };
    inside(cluster, from, work).join().unwrap()
}

#[test]
fn partitions_have_the_shape_that_was_asked_for() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let cases: [(&[&str], [bool; 3]); 5] = [
        (&["--shape", "halves"], [false, true, false]),
        // The target reaches both, and they not one another.
        (&["--shape", "bridge"], [true, false, true]),
        (&["--shape", "pair", "--peers", "tikv1"], [false, true, true]),
        (&["--shape", "one-way-in"], [false, true, false]),
        (&["--shape", "one-way-out"], [false, true, false]),
    ];
    for (args, expected) in cases {
        let args = [&["network_partition", "--target", "tikv0"], args].concat();
        let injected = program.inject(&args);
        let seen = [(0, 1), (1, 2), (2, 0)].map(|(from, to)| connects(&cluster, from, to).0);
        assert_eq!(seen, expected, "{args:?}");
        program.run(&["revert", injected["id"].as_str().unwrap()]).ok();
        cluster.assert_clean();
    }
    let ring = program.run(&["inject", "network_partition", "--shape", "majorities-ring", "--target", "tikv0"]);
    assert!(ring.status == 3 && ring.stderr.contains("at least 4"), "{ring:?}");

    program.inject(&["network_partition", "--target", "tikv0", "--reject"]);
    for (from, to) in [(0, 1), (1, 0)] {
        let (came, after) = connects(&cluster, from, to);
        assert!(!came && after < Duration::from_millis(600), "refused at once, not dropped: {after:?}");
    }
    program.run(&["revert", "--all"]).ok();
    cluster.assert_clean();
}

#[test]
fn several_targets_are_one_group_that_ends_together() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let args = ["network_partition", "--target", "tikv0", "--target", "tikv1", "--peers", "tikv2"];
    let injected = program.inject(&args);
    assert_eq!(injected["injections"].as_array().unwrap().len(), 2);
    let group = injected["group"].as_str().unwrap();
    assert!(program.active().iter().all(|one| one["metadata"]["group"] == group));
    assert!(!connects(&cluster, 0, 2).0 && !connects(&cluster, 1, 2).0 && connects(&cluster, 0, 1).0);
    program.run(&["revert", group]).ok();
    assert!(program.active().is_empty());
    cluster.assert_clean();

    // None where one cannot be.
    run("docker", &["pause", &cluster.nodes[1]]);
    let ran = program.run(&["inject", "--force", "network_partition", "--target", "tikv0", "--target", "tikv1"]);
    run("docker", &["unpause", &cluster.nodes[1]]);
    assert_eq!(ran.status, 3, "{ran:?}");
    cluster.assert_clean();
}

#[test]
fn a_paused_or_stopped_node_goes_on_after_the_revert() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    for (fault, state) in [("node_pause", "paused"), ("node_stop", "exited")] {
        let injected = program.inject(&[fault, "--target", "tikv1"]);
        assert_eq!(cluster.inspect(1, "{{.State.Status}}"), state);
        let metadata = injected["metadata"].to_string();
        for _ in 0..2 {
            program.run_with(&["cleanup"], &metadata, &[]).ok();
            assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "running");
        }
        assert!(program.active().is_empty());
    }
    // Somebody else's pause is not ours to end.
    run("docker", &["pause", &cluster.nodes[1]]);
    assert_eq!(program.run(&["inject", "node_pause", "--force", "--target", "tikv1"]).status, 3);
    program.run(&["recover"]).ok();
    assert_eq!(cluster.inspect(1, "{{.State.Status}}"), "paused");
    run("docker", &["unpause", &cluster.nodes[1]]);
    cluster.assert_clean();
}
