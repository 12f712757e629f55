//! One reverter at a time for each injection, whatever program it is in: the guard, a screen and `recover` may all come
//! to the same deadline. Whoever comes second waits, and then finds in the journal that there is nothing left to do.

use std::{fs::File, io, os::fd::AsFd, path::Path, time::Duration};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};
use tokio::time::Instant;

use super::journal::private;
use crate::chaos::InjectionId;

const PAUSE: Duration = Duration::from_millis(10);
/// Longer than an undo takes, unless whoever is at it stands still; two at once do no harm then, as nothing left to undo
/// is no error.
const PATIENCE: Duration = Duration::from_secs(60);

/// Held while one injection is being undone; the kernel lets it go when the program dies.
pub struct Claim {
    _file: File,
}

impl Claim {
    /// Waits until no other program undoes the injection, for as long as that may take. Each injection is one byte of one
    /// file, locked for an open file description (`F_OFD_SETLK`, fcntl(2)), so that tasks of one program keep one another out
    /// too.
    pub async fn take(folder: &Path, id: &InjectionId) -> io::Result<Self> {
        let file = Self::open(folder)?;
        let end = Instant::now() + PATIENCE;
        while !is_locked(&file, id)? {
            if Instant::now() >= end {
                let reason = format!("another program has been at it for {} s", PATIENCE.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Self { _file: file })
    }

    /// The same at once; `None` while another program undoes it.
    pub fn try_take(folder: &Path, id: &InjectionId) -> io::Result<Option<Self>> {
        let file = Self::open(folder)?;
        Ok(is_locked(&file, id)?.then_some(Self { _file: file }))
    }

    fn open(folder: &Path) -> io::Result<File> {
        private().create(true).truncate(false).open(folder.join("reverting.lock"))
    }
}

/// Whether the lock is ours now.
fn is_locked(file: &File, id: &InjectionId) -> io::Result<bool> {
    match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&byte(id))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn byte(id: &InjectionId) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: id.number().into(),
        l_len: 1,
        l_pid: 0,
    }
}
