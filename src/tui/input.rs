//! What is typed, read by a thread of its own. Where the terminal is gone, or has sent the first half of a sequence,
//! crossterm reads until something comes and returns to nobody (`UnixInternalEventSource::try_read`, 0.29); the loop that
//! has the journal to finish must not be the one that waits there.

use std::{
    io::{self, stdin},
    os::fd::AsFd as _,
    thread,
};

use futures_util::StreamExt as _;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::crossterm::event::{Event, EventStream};
use tokio::{runtime::Handle, sync::mpsc};

/// So much may wait to be handled; the terminal keeps the rest.
const WAITING: usize = 64;

/// The keys and the mouse, until dropped.
pub struct Input {
    events: mpsc::Receiver<io::Result<Event>>,
}

impl Input {
    /// Begins to read, within a runtime of tokio.
    pub fn open() -> io::Result<Self> {
        let (sender, events) = mpsc::channel(WAITING);
        let runtime = Handle::current();
        thread::Builder::new().name("input".to_owned()).spawn(move || runtime.block_on(read(sender)))?;
        Ok(Self { events })
    }

    /// The next event; `None` once there will be no more.
    pub async fn next(&mut self) -> Option<io::Result<Event>> {
        self.events.recv().await
    }

    /// Whether the terminal hung up, which without SIGHUP (as under `nohup`) nobody says.
    pub fn is_gone(&self) -> bool {
        let stdin = stdin();
        let mut asked = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
        let hung_up = |flags: PollFlags| flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
        poll(&mut asked, PollTimeout::ZERO).is_ok() && asked[0].revents().is_some_and(hung_up)
    }
}

async fn read(events: mpsc::Sender<io::Result<Event>>) {
    let mut stream = EventStream::new();
    loop {
        tokio::select! {
            () = events.closed() => return,
            event = stream.next() => {
                let Some(event) = event else { return };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    }
}
