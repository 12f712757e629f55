//! Packets that a test sends between the nodes' namespaces and counts itself, and what must come of them under each type
//! of fault. Shares no code with the engine.

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

use super::{Program, cluster::Cluster, guest_tests, wait_for};
use nix::sched::{CloneFlags, setns};

pub const PORT: u16 = 7007;

/// Does something in the network namespace of a node, in a thread of its own.
pub fn inside<T: Send + 'static>(
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
pub struct Echo {
    ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Echo {
    pub fn on(cluster: &Cluster, node: usize) -> Self {
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
pub struct Echoes {
    pub sent: usize,
    /// In the order of their arrival: the number and the round trip.
    pub came: Vec<(u32, Duration)>,
}

impl Echoes {
    pub fn distinct(&self) -> usize {
        self.came.iter().map(|(number, _)| number).collect::<HashSet<_>>().len()
    }

    pub fn lost(&self) -> f64 {
        1.0 - self.distinct() as f64 / self.sent as f64
    }

    pub fn twice(&self) -> f64 {
        (self.came.len() - self.distinct()) as f64 / self.sent as f64
    }

    /// The share that came before one that was sent earlier.
    pub fn early(&self) -> f64 {
        let late = self.came.windows(2).filter(|pair| pair[1].0 < pair[0].0).count();
        late as f64 / self.sent as f64
    }

    pub fn quantile(&self, share: f64) -> Duration {
        let mut times: Vec<Duration> = self.came.iter().map(|(_, time)| *time).collect();
        times.sort_unstable();
        times[((times.len() - 1) as f64 * share) as usize]
    }
}

/// Sends `count` packets from one node to another's echo, one each `pace`, and waits for what comes back.
pub fn echoes(cluster: &Cluster, from: usize, to: IpAddr, count: u32, pace: Duration) -> Echoes {
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
pub fn throughput(cluster: &Cluster, from: usize, (node, to): (usize, IpAddr), bytes: usize) -> f64 {
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

pub fn v6(cluster: &Cluster, node: usize) -> IpAddr {
    cluster.inspect(node, "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}").parse().unwrap()
}

pub fn v4(cluster: &Cluster, node: usize) -> IpAddr {
    cluster.ip(node).unwrap().parse().unwrap()
}

pub const FAST: Duration = Duration::from_millis(2);

/// What the shaper keeps up with too, where the one processor of a guest is all there is.
pub fn pace() -> Duration {
    if guest_tests::is_guest() { FAST * 4 } else { FAST }
}

/// Looks at all of them at the same time.
pub fn side_by_side<I: Sync, T: Send>(items: &[I], look: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let look = &look;
    thread::scope(|scope| {
        let looks: Vec<_> = items.iter().map(|item| scope.spawn(move || look(item))).collect();
        looks.into_iter().map(|look| look.join().unwrap()).collect()
    })
}

/// Nothing is lost, doubled or late.
pub fn assert_well(cluster: &Cluster, to: IpAddr) {
    let echoes = echoes(cluster, 0, to, 50, pace());
    assert_eq!((echoes.lost(), echoes.twice()), (0.0, 0.0), "to {to}");
    assert!(echoes.quantile(0.5) < Duration::from_millis(20), "to {to}: {:?}", echoes.quantile(0.5));
}

pub type Expect = fn(&Echoes) -> bool;

/// A type of fault, its arguments, and what must come of packets.
pub const SHAPED: [(&str, &[&str], Expect); 8] = [
    ("latency", &["--min-ms", "50", "--max-ms", "150"], |echoes| {
        let [low, middle, high] = [0.05, 0.5, 0.95].map(|share| echoes.quantile(share).as_secs_f64() * 1000.0);
        // A busy machine makes the last ones later still, but not half of them.
        (48.0..85.0).contains(&low) && (80.0..125.0).contains(&middle) && high > 115.0
    }),
    ("latency", &["--mean-ms", "60", "--direction", "both"], |echoes| {
        (118.0..145.0).contains(&(echoes.quantile(0.5).as_secs_f64() * 1000.0))
    }),
    ("packet_loss", &["--percent", "40"], |echoes| (0.30..0.50).contains(&echoes.lost())),
    ("packet_loss", &["--percent", "30", "--burst-length", "8", "--direction", "in"], |echoes| {
        let gone: Vec<bool> = (0..echoes.sent as u32).map(|n| !echoes.came.iter().any(|one| one.0 == n)).collect();
        let bursts = gone.windows(2).filter(|pair| !pair[0] && pair[1]).count().max(1);
        let length = gone.iter().filter(|gone| **gone).count() as f64 / bursts as f64;
        (0.17..0.43).contains(&echoes.lost()) && (4.5..12.0).contains(&length)
    }),
    ("packet_duplicate", &["--percent", "50"], |echoes| (0.38..0.62).contains(&echoes.twice()) && echoes.lost() == 0.0),
    // The receiver's checksum refuses them.
    ("packet_corrupt", &["--percent", "50", "--direction", "in"], |echoes| (0.35..0.62).contains(&echoes.lost())),
    ("packet_reorder", &["--percent", "30", "--delay-ms", "40"], |echoes| {
        echoes.early() > 0.10 && echoes.quantile(0.9) > Duration::from_millis(38) && echoes.lost() == 0.0
    }),
    // 300 packets of 100 bytes in 0.6 s, or in a guest in 2.4 s, are more than 100 kbit/s takes: they wait.
    ("bandwidth", &["--rate-kbit", "100", "--burst-kb", "2"], |echoes| {
        echoes.quantile(0.95) > Duration::from_millis(300) && echoes.lost() < 0.05
    }),
];

/// Injects every type on the second node by `via`, and looks at what comes of packets to it, by every family that the
/// cluster has; then reverts it, and looks again. Another fault holds meanwhile, for nobody's packets: it keeps the helper,
/// which takes longer to start in a guest than all else, and is as it was each time.
pub fn every_type(cluster: &Cluster, program: &Program, via: &str, ips: &[IpAddr]) {
    let _echo = Echo::on(cluster, 1);
    for ip in ips {
        wait_for("a way between the nodes", || (echoes(cluster, 0, *ip, 1, FAST).lost() == 0.0).then_some(()));
    }
    let nobodys = ["packet_loss", "--target", "tikv1", "--via", "shaper", "--ports", "9"];
    let beside = program.inject(&nobodys)["id"].as_str().unwrap().to_owned();
    let before = cluster.traces(1);
    // netem is for what leaves.
    let possible = SHAPED.iter().filter(|(_, args, _)| via == "shaper" || !args.contains(&"--direction"));
    for (name, args, expect) in possible {
        let injected = program.inject(&[&[*name, "--target", "tikv1", "--via", via], *args].concat());
        assert_eq!(injected["metadata"]["via"], via);
        // The share lost in bursts scatters over 300 packets by 0.085, over so many by 0.03.
        let count = if args.contains(&"--burst-length") { 2400 } else { 300 };
        let look = |ip: &IpAddr| echoes(cluster, 0, *ip, count, pace());
        // Both families would share their bursts and their rate.
        let shared = args.contains(&"--burst-length") || *name == "bandwidth";
        let felt = if shared { ips.iter().map(look).collect() } else { side_by_side(ips, look) };
        for (ip, felt) in ips.iter().zip(felt) {
            let [median, most] = [0.5, 0.95].map(|share| felt.quantile(share));
            let (lost, twice, early) = (felt.lost(), felt.twice(), felt.early());
            println!("{via} {name} {args:?} to {ip}: {median:?}, {most:?}, lost {lost}, twice {twice}, early {early}");
            assert!(expect(&felt), "{via} {name} {args:?} to {ip}");
        }
        program.run(&["revert", injected["id"].as_str().unwrap()]).ok();
        side_by_side(ips, |ip| assert_well(cluster, *ip));
        assert_eq!(cluster.traces(1), before, "{name}");
    }
    program.run(&["revert", &beside]).ok();
}
