//! One reverter at a time for each injection, whatever program it is in: the guard, a screen and `recover` may all come
//! to the same deadline. Whoever comes second waits, and then finds in the journal that there is nothing left to do.

use std::{fs::File, os::fd::AsFd, path::Path, time::Duration};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

use super::journal::private;
use crate::chaos::InjectionId;

const PAUSE: Duration = Duration::from_millis(10);

/// Held while one injection is being undone; the kernel lets it go when the program dies.
pub struct Claim {
    _file: File,
}

impl Claim {
    /// Waits until nobody else undoes the injection. Each injection is one byte of one file, locked for an open file
    /// description (`F_OFD_SETLK`, fcntl(2)), so that tasks of one program keep one another out too.
    pub async fn take(folder: &Path, id: &InjectionId) -> std::io::Result<Self> {
        let file = private().create(true).truncate(false).open(folder.join("reverting.lock"))?;
        loop {
            match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&byte(id))) {
                Ok(_) => return Ok(Self { _file: file }),
                Err(Errno::EAGAIN | Errno::EACCES) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
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
