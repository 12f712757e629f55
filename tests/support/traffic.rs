//! Traffic between two places, and what became of it: datagrams with their number and the time when they were sent, and a
//! stream of bytes. Both ends are in this process, so that one clock serves both.

use std::{
    io::{IoSlice, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, setsockopt, sockopt::RcvBufForce},
    unistd::Pid,
};

use super::netns::Place;

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One datagram's arrival; a duplicate is two.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub number: u32,
    /// When, by the clock of this process.
    pub at: Duration,
    pub took: Duration,
}

/// One datagram every `gap`, of that many bytes, and what arrived until nothing did for `quiet`.
pub struct Datagrams {
    pub count: u32,
    pub gap: Duration,
    pub bytes: usize,
    pub quiet: Duration,
}

impl Datagrams {
    pub fn send(&self, from: &Place, to: &Place, v6: bool) -> Vec<Arrival> {
        let receiver = to.enter(|| UdpSocket::bind((to.ip(v6), 0)).unwrap());
        let sender = from.enter(|| UdpSocket::bind((from.ip(v6), 0)).unwrap());
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        receiver.set_read_timeout(Some(self.quiet)).unwrap();
        // What a busy machine does not read in time is not to be taken for a loss.
        setsockopt(&receiver, RcvBufForce, &(16 << 20)).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let arrivals = scope.spawn(|| receive(&receiver, &done));
            // The kernel keeps no order between processors.
            let here = sched_getaffinity(Pid::from_raw(0)).unwrap();
            let mut one = CpuSet::new();
            one.set((0..CpuSet::count()).find(|cpu| here.is_set(*cpu).unwrap()).unwrap()).unwrap();
            sched_setaffinity(Pid::from_raw(0), &one).unwrap();
            let start = Instant::now();
            let mut datagram = vec![0x55; self.bytes.max(12)];
            for number in 0..self.count {
                // The scheduler's own lateness does not add up.
                let due = start + self.gap * number;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                datagram[..4].copy_from_slice(&number.to_be_bytes());
                datagram[4..12].copy_from_slice(&now().to_be_bytes());
                // A rule may refuse it, as one that drops does on the way out.
                let _ = sender.send(&datagram);
            }
            sched_setaffinity(Pid::from_raw(0), &here).unwrap();
            done.store(true, Ordering::Relaxed);
            arrivals.join().unwrap()
        })
    }
}

fn now() -> u64 {
    EPOCH.elapsed().as_nanos() as u64
}

fn receive(socket: &UdpSocket, done: &AtomicBool) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        match socket.recv(&mut buffer) {
            Ok(count @ 12..) => {
                let number = u32::from_be_bytes(*buffer[..count].first_chunk().unwrap());
                let sent = u64::from_be_bytes(*buffer[4..].first_chunk().unwrap());
                let at = Duration::from_nanos(now());
                arrivals.push(Arrival { number, at, took: at.saturating_sub(Duration::from_nanos(sent)) });
            }
            Ok(_) => {}
            Err(_) if done.load(Ordering::Relaxed) => return arrivals,
            Err(_) => {}
        }
    }
}

/// How long a TCP connection takes.
pub fn connect(from: &Place, address: SocketAddr) -> Duration {
    from.enter(|| {
        let start = Instant::now();
        TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
        start.elapsed()
    })
}

/// One TCP stream for that long: bytes that arrived in the second half, when the window has grown, and for how long.
pub fn stream(from: &Place, to: &Place, v6: bool, time: Duration) -> (u64, Duration) {
    let listener = to.enter(|| TcpListener::bind((to.ip(v6), 0)).unwrap());
    let address = listener.local_addr().unwrap();
    let mut sender = from.enter(|| TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap());
    let (mut receiver, _) = listener.accept().unwrap();
    let count = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = vec![0; 256 << 10];
            while let Ok(read @ 1..) = receiver.read(&mut buffer) {
                count.fetch_add(read as u64, Ordering::Relaxed);
            }
        });
        let sending = sender.try_clone().unwrap();
        scope.spawn(move || {
            let bytes = vec![7; 256 << 10];
            while (&sending).write_all(&bytes).is_ok() {}
        });
        thread::sleep(time / 2);
        let (start, before) = (Instant::now(), count.load(Ordering::Relaxed));
        thread::sleep(time / 2);
        let result = (count.load(Ordering::Relaxed) - before, start.elapsed());
        sender.flush().unwrap();
        sender.shutdown(std::net::Shutdown::Both).unwrap();
        result
    })
}

/// Datagrams that one system call sends.
const AT_ONCE: usize = 64;
const QUIET: Duration = Duration::from_millis(300);

/// Datagrams as fast as one thread sends them, for that long: how many were sent and how many arrived.
pub fn flood(from: &Place, to: &Place, bytes: usize, time: Duration) -> (u64, u64) {
    let receiver = to.enter(|| UdpSocket::bind((to.v4, 0)).unwrap());
    let sender = from.enter(|| UdpSocket::bind((from.v4, 0)).unwrap());
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    receiver.set_nonblocking(true).unwrap();
    setsockopt(&receiver, RcvBufForce, &(16 << 20)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let arrived = scope.spawn(|| {
            let (mut buffer, mut count, mut last) = ([0; 2048], 0, Instant::now());
            loop {
                match receiver.recv(&mut buffer) {
                    Ok(_) => (count, last) = (count + 1, Instant::now()),
                    Err(_) if done.load(Ordering::Relaxed) && last.elapsed() > QUIET => return count,
                    // Woken for each, it would take more of the machine than what is measured.
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        let (start, datagram, mut sent) = (Instant::now(), vec![0x55; bytes], 0);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(AT_ONCE, None);
        let slices = vec![[IoSlice::new(&datagram)]; AT_ONCE];
        while start.elapsed() < time {
            let flags = MsgFlags::empty();
            let went = sendmmsg(sender.as_raw_fd(), &mut headers, &slices, vec![None; AT_ONCE], [], flags);
            sent += went.map_or(0, |went| went.count() as u64);
        }
        done.store(true, Ordering::Relaxed);
        (sent, arrived.join().unwrap())
    })
}
