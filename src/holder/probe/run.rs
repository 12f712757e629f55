//! One probe from its first packet to its last answer.

use std::{
    net::SocketAddr,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    connect::{self, End, Pending},
    echo::{Echo, LARGE},
    millis, scope,
};
use crate::{
    chaos::measured::{Burst, Tally, Times},
    holder::protocol::{Probe, Seen},
};

/// How often a probe looks whether it has to stop.
const LOOK: Duration = Duration::from_millis(1);

/// What is counted of one place.
#[derive(Default)]
struct Count {
    tally: Tally,
    times_us: Vec<u64>,
}

impl Count {
    fn lost(&mut self) {
        self.tally.sent += 1;
    }

    fn answered(&mut self, took: Duration) {
        self.tally.sent += 1;
        self.tally.answered += 1;
        self.times_us.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn sum(mut self) -> Tally {
        Tally { times: Times::of(&mut self.times_us), ..self.tally }
    }
}

/// An echo on its way.
struct Sent {
    place: usize,
    at: Instant,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Out,
    Answered,
    Lost,
}

struct Run<'a> {
    probe: &'a Probe,
    /// The places as the kernel takes them; `None` of one that nothing can be sent to.
    addresses: Vec<Option<SocketAddr>>,
    patience: Duration,
    connects: Vec<Count>,
    echoes: Vec<Count>,
    pending: Vec<Pending>,
    /// By number.
    sent: Vec<Sent>,
    sockets: [Option<Echo>; 2],
    burst: Option<Burst>,
}

/// Carries a probe out. Stops at once, and forgets what is under way, when `stop` says so.
pub fn run(probe: &Probe, stop: impl Fn() -> bool) -> Vec<Seen> {
    let socket = |v6: bool| {
        let wanted = (probe.echoes > 0 || probe.burst_bytes > 0) && probe.places.iter().any(|one| one.is_ipv6() == v6);
        let opened = wanted.then(|| Echo::open(v6));
        opened.and_then(|opened| opened.inspect_err(|error| tracing::warn!(%error, v6, "no echoes can be sent")).ok())
    };
    let count = || probe.places.iter().map(|_| Count::default()).collect();
    let mut run = Run {
        probe,
        addresses: probe.places.iter().map(|place| scope::with_interface(*place)).collect(),
        patience: millis(probe.patience_ms),
        connects: count(),
        echoes: count(),
        pending: Vec::new(),
        sent: Vec::new(),
        sockets: [socket(false), socket(true)],
        burst: None,
    };
    run.rounds(&stop);
    if probe.burst_bytes > 0 && !stop() {
        run.burst();
    }
    run.seen()
}

impl Run<'_> {
    fn rounds(&mut self, stop: &impl Fn() -> bool) {
        let rounds = self.probe.connects.max(self.probe.echoes);
        let interval = millis(self.probe.interval_ms);
        let mut next = (0, Instant::now());
        let mut last_answer = Instant::now();
        loop {
            if stop() {
                return;
            }
            let now = Instant::now();
            if next.0 < rounds && now >= next.1 {
                self.send_round(next.0, rounds);
                // Late rounds are not made up for: that would be a burst.
                next = (next.0 + 1, now + interval);
            }
            self.give_up();
            let out = !self.pending.is_empty() || self.sent.iter().any(|one| one.state == State::Out);
            if next.0 >= rounds && !out && last_answer.elapsed() >= millis(self.probe.linger_ms) {
                return;
            }
            let until_next = if next.0 < rounds { next.1.saturating_duration_since(now) } else { LOOK * 10 };
            let wait = if self.probe.until_change { until_next.min(LOOK) } else { until_next.min(LOOK * 10) };
            if self.wait(wait, stop) {
                last_answer = Instant::now();
            }
        }
    }

    fn send_round(&mut self, round: u16, rounds: u16) {
        // Fewer connections than rounds are spread over them.
        let (round, rounds, connects) = (u32::from(round), u32::from(rounds), u32::from(self.probe.connects));
        let connects_now = (round + 1) * connects / rounds > round * connects / rounds;
        let echoes_now = round < u32::from(self.probe.echoes);
        for place in 0..self.addresses.len() {
            let Some(address) = self.addresses[place] else { continue };
            if connects_now {
                match connect::begin(place, address) {
                    Ok(pending) => self.pending.push(pending),
                    Err(end) => self.connects[place].end(end, Duration::ZERO),
                }
            }
            if echoes_now {
                self.send_echo(place, address);
            }
        }
    }

    fn send_echo(&mut self, place: usize, address: SocketAddr) {
        let Some(socket) = &self.sockets[usize::from(address.is_ipv6())] else { return };
        let Ok(number) = u16::try_from(self.sent.len()) else { return };
        let at = Instant::now();
        // A rule that drops it on the way out is told to whoever sends it (EPERM): it is lost.
        let state = if socket.send(address, number, false).is_ok() { State::Out } else { State::Lost };
        if state == State::Lost {
            self.echoes[place].lost();
        }
        self.sent.push(Sent { place, at, state });
    }

    /// Counts as lost what is past its time.
    fn give_up(&mut self) {
        let patience = self.patience;
        let connects = &mut self.connects;
        self.pending.retain(|one| {
            let waits = one.begun.elapsed() < patience;
            if !waits {
                connects[one.place].lost();
            }
            waits
        });
        for one in self.sent.iter_mut().filter(|one| one.state == State::Out && one.at.elapsed() >= patience) {
            one.state = State::Lost;
            self.echoes[one.place].lost();
        }
    }

    /// Waits for answers, counts them, and says whether there were any. What arrived as it had to stop is not counted:
    /// it may have met the change.
    fn wait(&mut self, wait: Duration, stop: &impl Fn() -> bool) -> bool {
        let fds = self.pending.iter().map(|one| (one.fd(), PollFlags::POLLOUT));
        let fds = fds.chain(self.sockets.iter().flatten().map(|socket| (socket.fd(), PollFlags::POLLIN)));
        let ready = ready(fds, wait);
        let now = Instant::now();
        if stop() || !ready.contains(&true) {
            return false;
        }
        let mut at = 0;
        let connects = &mut self.connects;
        self.pending.retain(|one| {
            at += 1;
            let ended = ready[at - 1];
            if ended {
                connects[one.place].end(one.end(), now - one.begun);
            }
            !ended
        });
        for socket in self.sockets.iter().flatten() {
            while let Some((number, _)) = socket.receive() {
                let now = Instant::now();
                let Some(one) = self.sent.get_mut(usize::from(number)) else { continue };
                match one.state {
                    State::Out => {
                        one.state = State::Answered;
                        self.echoes[one.place].answered(now - one.at);
                    }
                    State::Answered => self.echoes[one.place].tally.duplicates += 1,
                    State::Lost => {}
                }
            }
        }
        true
    }

    /// Many large echoes at once to the first place. The first half of the answers may have found a bucket full of
    /// tokens, so the rate is that of the second half.
    fn burst(&mut self) {
        let Some(place) = self.addresses.first().copied().flatten() else { return };
        let Some(socket) = &self.sockets[usize::from(place.is_ipv6())] else { return };
        let first = self.sent.len();
        let packets = usize::try_from(self.probe.burst_bytes).unwrap_or(0) / LARGE;
        let (begun, mut sent, mut arrivals) = (Instant::now(), 0, Vec::new());
        while begun.elapsed() < self.patience && (sent < packets || arrivals.len() < sent) {
            while sent < packets
                && u16::try_from(first + sent).is_ok_and(|number| socket.send(place, number, true).is_ok())
            {
                sent += 1;
            }
            let wait = if sent < packets { LOOK } else { LOOK * 10 };
            if !ready(std::iter::once((socket.fd(), PollFlags::POLLIN)), wait).contains(&true) {
                // A queue that was full has thrown the rest away, and no more will come.
                let quiet = arrivals.last().is_some_and(|last: &Instant| last.elapsed() > Duration::from_millis(200));
                if quiet && sent == packets {
                    break;
                }
                continue;
            }
            while let Some((number, _)) = socket.receive() {
                if usize::from(number) >= first {
                    arrivals.push(Instant::now());
                }
            }
        }
        let bytes = |packets: usize| u64::try_from(packets * LARGE).unwrap_or(u64::MAX);
        let half = arrivals.len() / 2;
        let (Some(middle), Some(last)) = (arrivals.get(half), arrivals.last()) else { return };
        let took_us = u64::try_from((*last - *middle).as_micros()).unwrap_or(u64::MAX);
        self.burst = Some(Burst { sent_bytes: bytes(sent), answered_bytes: bytes(arrivals.len() - half - 1), took_us });
    }

    fn seen(self) -> Vec<Seen> {
        let Self { probe, addresses, connects, echoes, sockets, burst, .. } = self;
        let counts = probe.places.iter().zip(connects.into_iter().zip(echoes)).enumerate();
        counts
            .map(|(at, (place, (connect, echo)))| Seen {
                place: *place,
                connect: connect.sum(),
                echo: sockets[usize::from(place.is_ipv6())]
                    .as_ref()
                    .filter(|_| addresses[at].is_some())
                    .map(|_| echo.sum()),
                burst: burst.filter(|_| at == 0),
            })
            .collect()
    }
}

impl Count {
    fn end(&mut self, end: End, took: Duration) {
        match end {
            End::Connected => self.answered(took),
            End::Refused => {
                self.answered(took);
                self.tally.refused += 1;
            }
            End::Failed => self.lost(),
        }
    }
}

/// Which of them are ready, in their order, after at most so long.
fn ready<'fd>(fds: impl Iterator<Item = (BorrowedFd<'fd>, PollFlags)>, wait: Duration) -> Vec<bool> {
    let mut fds: Vec<PollFd> = fds.map(|(fd, flags)| PollFd::new(fd, flags)).collect();
    // poll counts in whole milliseconds, and nothing would be a busy loop.
    let timeout = PollTimeout::try_from(wait.max(LOOK)).unwrap_or(PollTimeout::MAX);
    if poll(&mut fds, timeout).is_err() {
        return vec![false; fds.len()];
    }
    fds.iter().map(|fd| fd.any().unwrap_or(false)).collect()
}
