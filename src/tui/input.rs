//! What is typed, read by a thread of its own. Where the terminal is gone, or has sent the first half of a sequence,
//! crossterm reads until something comes and returns to nobody (`UnixInternalEventSource::try_read`, 0.29); the loop that
//! has the journal to finish must not be the one that waits there.

use std::{io, thread};

use futures_util::StreamExt as _;
use ratatui::crossterm::event::{Event, EventStream};
use tokio::{runtime::Handle, sync::mpsc};

/// So much may wait to be handled; the terminal keeps the rest.
const WAITING: usize = 64;

/// The keys and the mouse, until the receiver is dropped. Within a runtime of tokio.
pub fn events() -> io::Result<mpsc::Receiver<io::Result<Event>>> {
    let (sender, events) = mpsc::channel(WAITING);
    let runtime = Handle::current();
    thread::Builder::new().name("input".to_owned()).spawn(move || runtime.block_on(read(sender)))?;
    Ok(events)
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
