//! One way through the namespace: its queue, its classes and the thread that works for them.

mod bucket;
mod lane;
mod model;
mod packet;
mod queue;
mod random;
mod resend;
mod schedule;
mod tables;
mod wire;
mod worker;

use std::{
    io::{self, Write as _},
    os::unix::net::UnixStream,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use self::{
    queue::Queue,
    worker::{Order, Worker},
};
use super::{super::protocol::Failure, ClassCounters};
use crate::chaos::network::{Class, Flow};

/// Time since the start, in nanoseconds.
type Nanos = u64;

/// The first number that is tried: the handle of our qdiscs, for whoever meets it.
const FIRST_QUEUE: u16 = 0xc4a0;

/// How to talk to the thread.
pub struct Way {
    queue: u16,
    orders: mpsc::Sender<Order>,
    bell: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Way {
    pub fn start(flow: Flow) -> Result<Self, Failure> {
        Self::try_start(flow).map_err(|error| {
            Failure::failed(format!(
                "cannot take a packet queue (NFQUEUE) of this kernel: {error}: it needs nfnetlink_queue and CAP_NET_ADMIN"
            ))
        })
    }

    fn try_start(flow: Flow) -> io::Result<Self> {
        let queue = Queue::open(FIRST_QUEUE, worker::plain())?;
        let number = queue.number;
        let (orders, receiver) = mpsc::channel();
        let (bell, heard) = UnixStream::pair()?;
        heard.set_nonblocking(true)?;
        let worker = Worker::new(flow, queue, receiver, heard);
        let name = match flow {
            Flow::In => "shaper-in",
            Flow::Out => "shaper-out",
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || worker.run())?;
        Ok(Self { queue: number, orders, bell, thread: Some(thread) })
    }

    pub fn queue(&self) -> u16 {
        self.queue
    }

    fn order(&self, order: Order) -> bool {
        self.orders.send(order).is_ok() && (&self.bell).write_all(&[0]).is_ok()
    }

    pub fn set(&self, classes: Vec<Class>) -> Result<(), Failure> {
        let (answer, answered) = mpsc::channel();
        self.order(Order::Set(classes, answer));
        match answered.recv() {
            Ok(result) => result.map_err(Failure::failed),
            Err(_) => Err(Failure::failed("the shaper's thread has ended: packets go on without it")),
        }
    }

    pub fn count(&self) -> Vec<ClassCounters> {
        let (answer, answered) = mpsc::channel();
        self.order(Order::Count(answer));
        answered.recv().unwrap_or_default()
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.order(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed there.
            let _ = thread.join();
        }
    }
}
