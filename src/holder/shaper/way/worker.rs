//! The thread of one way: reads its queue, asks each packet's class what becomes of it, and gives verdicts when due.
//!
//! Between two packets it sleeps until shortly before the next due time, with a timer slack of a nanosecond: the default of
//! 50 µs would be half of the error that we allow ourselves. What waking takes is waited out awake. On the way in a delay
//! counts from the kernel's stamp of the arrival, not from when this thread came to look.

use std::{
    io,
    io::Read as _,
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::mpsc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::{prctl::set_timerslack, time::TimeSpec},
};

use super::{
    super::counters::{self, ClassCounters},
    Nanos,
    lane::{Lane, Lanes},
    packet::Header,
    queue::{Messages, Queue},
    resend::{self, Resender},
    schedule::Schedule,
    wire::{self, Config, Message, Packet, Verdict},
};
use crate::chaos::network::{Class, Flow};

/// Enough for every header that is read.
const HEADERS: u32 = 128;
const WHOLE: u32 = 0xffff;
/// What the kernel may queue beyond what is held: packets that wait to be read.
const UNREAD: u32 = 16 << 10;
/// What a timer and the scheduler take to wake a thread.
const WAKING: Nanos = 60_000;
/// A stamp that says a packet waited longer to be read is of a clock that was set meanwhile.
const UNREAD_FOR: Nanos = 200_000_000;

pub enum Order {
    Set(Vec<Class>, mpsc::Sender<Result<(), String>>),
    Count(mpsc::Sender<Vec<ClassCounters>>),
    Stop,
}

pub struct Worker {
    flow: Flow,
    queue: Queue,
    lanes: Lanes,
    held: Schedule<Held>,
    resender: Option<Resender>,
    orders: mpsc::Receiver<Order>,
    bell: UnixStream,
    epoch: Instant,
    /// When the last packet did.
    arrived: Nanos,
}

struct Held {
    id: u32,
    lane: u32,
    /// What is to be sent in place of what the kernel holds, or beside it.
    body: Option<Box<Body>>,
}

enum Body {
    Changed(Vec<u8>),
    Copy { bytes: Vec<u8>, header: Header, interface: u32 },
}

/// The queue's configuration while nothing is meant.
pub fn plain() -> Config {
    Config { copy: HEADERS, max_len: UNREAD, unsegmented: true }
}

impl Worker {
    pub fn new(flow: Flow, queue: Queue, orders: mpsc::Receiver<Order>, bell: UnixStream) -> Self {
        let (lanes, held) = (Lanes::new(), Schedule::new());
        Self { flow, queue, lanes, held, resender: None, orders, bell, epoch: Instant::now(), arrived: 0 }
    }

    /// Until it is told to stop. Everything held has its verdict then.
    pub fn run(mut self) {
        if let Err(errno) = set_timerslack(1) {
            tracing::warn!(%errno, "the timer slack stays as it is");
        }
        let ended = self.work().and_then(|()| self.release_all());
        if let Err(error) = ended {
            tracing::error!(%error, flow = ?self.flow, "the shaper has ended: the network goes on without it");
        }
    }

    fn work(&mut self) -> io::Result<()> {
        let mut messages = Messages::new();
        loop {
            while let Ok(order) = self.orders.try_recv() {
                match order {
                    Order::Set(classes, answer) => drop(answer.send(self.set(classes))),
                    Order::Count(answer) => drop(answer.send(self.count())),
                    Order::Stop => return Ok(()),
                }
            }
            let idle = self.read(&mut messages)?;
            self.release(self.now())?;
            self.queue.flush()?;
            if idle {
                self.sleep()?;
            }
        }
    }

    fn now(&self) -> Nanos {
        Nanos::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// Until something is due, comes, or is ordered.
    fn sleep(&mut self) -> io::Result<()> {
        let timeout = match self.held.next() {
            Some(due) => match due.saturating_sub(self.now()).saturating_sub(WAKING) {
                0 => return Ok(()),
                nanos => Some(TimeSpec::from(Duration::from_nanos(nanos))),
            },
            None => None,
        };
        let mut fds =
            [PollFd::new(self.queue.as_fd(), PollFlags::POLLIN), PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if fds[1].any().unwrap_or(false) {
            let mut rings = [0; 64];
            // Nothing to read is as good: whoever rang was heard.
            let _ = self.bell.read(&mut rings);
        }
        Ok(())
    }

    fn set(&mut self, classes: Vec<Class>) -> Result<(), String> {
        let copying = |class: &Class| class.impairment.corrupt.is_some() || class.impairment.duplicate.is_some();
        if classes.iter().any(|class| class.impairment.duplicate.is_some()) && self.resender.is_none() {
            let opened = Resender::open();
            self.resender =
                Some(opened.map_err(|error| {
                    format!("cannot open a raw socket, which duplicates need (CAP_NET_RAW): {error}")
                })?);
        }
        let copying = classes.iter().any(copying);
        let limits = classes.iter().fold(0_u32, |sum, class| sum.saturating_add(class.impairment.limit()));
        self.lanes
            .set(classes)
            .map_err(|(interface, error)| format!("cannot shape the packets of {interface}: {error}"))?;
        let held = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        let config = Config {
            copy: if copying { WHOLE } else { HEADERS },
            // What is held for classes that are gone stays held.
            max_len: limits.saturating_add(held).saturating_add(UNREAD),
            unsegmented: !copying,
        };
        self.queue.configure(config).map_err(|error| format!("cannot configure the packet queue: {error}"))
    }

    /// What the kernel dropped unseen is counted with the first class, the widest.
    fn count(&self) -> Vec<ClassCounters> {
        let mut counts: Vec<_> = self.lanes.all.iter().map(Lane::count).collect();
        if let Some(first) = counts.first_mut() {
            let table = std::fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_queue").unwrap_or_default();
            first.counters.overflowed += counters::dropped(&table, self.queue.number);
        }
        counts
    }

    /// Reads some of what waits; true if that was all.
    fn read(&mut self, messages: &mut Messages) -> io::Result<bool> {
        self.queue.receive(messages)?;
        for message in messages.iter().flat_map(wire::messages) {
            match message {
                Message::Packet(packet) => self.judge(&packet)?,
                Message::Answer { errno: 0, .. } | Message::Other => {}
                // A verdict for a packet that the kernel dropped meanwhile, as it does when its interface goes.
                Message::Answer { errno, .. } => tracing::debug!(errno, "the kernel said no"),
            }
        }
        Ok(messages.were_all())
    }

    fn judge(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        // Before the time is asked for: what comes in between makes a packet late, and never early.
        let waited = waited(packet);
        // Stamps of several processors differ a little, and none may overtake for that.
        self.arrived = self.arrived.max(self.now().saturating_sub(waited));
        let now = self.arrived;
        let (flow, accept) = (self.flow, Verdict::Accept);
        let Some(header) = Header::parse(packet.payload) else {
            return self.queue.verdict(packet.id, accept, None);
        };
        let (peer, interface) = match flow {
            Flow::In => (header.source, packet.interface_in),
            Flow::Out => (header.destination, packet.interface_out),
        };
        // The peer's comes first.
        let ports = header.ports.map(|[source, destination]| match flow {
            Flow::In => [source, destination],
            Flow::Out => [destination, source],
        });
        let own_copy = flow == Flow::Out && packet.mark == resend::MARK;
        let means = |class: &Class| class.flow == flow && class.filter.matches(peer, ports);
        let Some(lane) = self.lanes.find(interface, means).filter(|_| !own_copy) else {
            return self.queue.verdict(packet.id, accept, None);
        };
        lane.counters.seen += 1;
        lane.counters.bytes += u64::from(packet.bytes);
        let copies = lane.model.copies();
        if copies == 0 {
            lane.counters.lost += 1;
            return self.queue.verdict(packet.id, Verdict::Drop, None);
        }
        let lane_id = lane.id;
        // The copy first, as netem does.
        if copies > 1 && packet.is_whole() && may_be_sent_again(flow, &header) {
            lane.counters.duplicated += 1;
            if lane.model.loses() {
                lane.counters.lost += 1;
            } else {
                let mut bytes = packet.payload.to_vec();
                if lane.model.corrupts() {
                    flip(lane, &mut bytes, header);
                }
                let body = Body::Copy { bytes, header, interface };
                self.admit(Held { id: 0, lane: lane_id, body: Some(Box::new(body)) }, packet.bytes, now)?;
            }
        }
        let Some(lane) = self.lanes.by_id(lane_id) else { return Ok(()) };
        let mut body = None;
        if lane.model.corrupts() && packet.is_whole() {
            let mut bytes = packet.payload.to_vec();
            if flip(lane, &mut bytes, header) {
                body = Some(Box::new(Body::Changed(bytes)));
            }
        }
        self.admit(Held { id: packet.id, lane: lane_id, body }, packet.bytes, now)
    }

    fn admit(&mut self, held: Held, bytes: u32, now: Nanos) -> io::Result<()> {
        let Some(lane) = self.lanes.by_id(held.lane) else { return Ok(()) };
        if lane.is_full() {
            lane.counters.overflowed += 1;
            return match held.body.as_deref() {
                Some(Body::Copy { .. }) => Ok(()),
                _ => self.queue.verdict(held.id, Verdict::Drop, None),
            };
        }
        let leave = lane.model.leave(now, bytes);
        if leave.overtakes {
            lane.counters.reordered += 1;
        }
        if leave.at <= now {
            return self.let_go(&held);
        }
        lane.counters.delayed += 1;
        lane.counters.held += 1;
        self.held.push(leave.at, held);
        Ok(())
    }

    fn release(&mut self, now: Nanos) -> io::Result<()> {
        while let Some(held) = self.held.pop(now) {
            if let Some(lane) = self.lanes.by_id(held.lane) {
                lane.counters.held -= 1;
            }
            self.let_go(&held)?;
        }
        Ok(())
    }

    fn let_go(&mut self, held: &Held) -> io::Result<()> {
        match held.body.as_deref() {
            None => self.queue.verdict(held.id, Verdict::Accept, None),
            Some(Body::Changed(bytes)) => self.queue.verdict(held.id, Verdict::Accept, Some(bytes)),
            Some(Body::Copy { bytes, header, interface }) => {
                // Behind what was let go before it.
                self.queue.flush()?;
                let sent = self.resender.as_ref().map(|resender| resender.send(bytes, header.destination, *interface));
                if let Some(Err(error)) = sent {
                    tracing::debug!(%error, "a duplicate was not sent");
                }
                Ok(())
            }
        }
    }

    /// The last thing: what is held goes, and what waits to be read with it.
    fn release_all(&mut self) -> io::Result<()> {
        self.lanes.all.clear();
        self.release(Nanos::MAX)?;
        let mut messages = Messages::new();
        // An error may end a reading before its time.
        while !(self.read(&mut messages)? && messages.is_empty()) {}
        self.queue.flush()
    }
}

/// Since the packet arrived.
fn waited(packet: &Packet<'_>) -> Nanos {
    let Some(arrived) = packet.arrived_us else { return 0 };
    let since = (UNIX_EPOCH + Duration::from_micros(arrived)).elapsed().ok();
    since.and_then(|since| Nanos::try_from(since.as_nanos()).ok()).filter(|since| *since < UNREAD_FOR).unwrap_or(0)
}

/// On the way in only what is for one of our own addresses: another's would leave the machine.
fn may_be_sent_again(flow: Flow, header: &Header) -> bool {
    flow == Flow::Out || !header.destination.is_multicast()
}

/// Flips one bit behind the IP header; false where there is none.
fn flip(lane: &mut Lane, bytes: &mut [u8], header: Header) -> bool {
    let Some(payload) = bytes.get_mut(header.transport..).filter(|payload| !payload.is_empty()) else { return false };
    let (at, mask) = lane.model.bit(payload.len());
    payload[at] ^= mask;
    lane.counters.corrupted += 1;
    true
}
