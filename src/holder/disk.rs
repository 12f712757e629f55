//! Fill files: made as large as asked where there is room, measured by what is really allocated.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    sys::statvfs::{FsFlags, statvfs},
};

use super::protocol::{Disk, Failure, FillFile};
use crate::chaos::Metadata;

/// Nobody but root reads a fill file.
const MODE: u32 = 0o600;

/// Docker mounts this file from its own folder into every container: the device under it is Docker's.
const DOCKERS_OWN: &str = "/etc/hosts";

/// The file system behind `path`, every link followed: a container may have made its data folder a link to anywhere.
pub fn stat(path: &str) -> Result<Disk, Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::failed(format!("cannot look at {path} in the node: {error}"));
    let real = fs::canonicalize(path).map_err(|error| cannot(&error))?;
    let real = real.to_str().ok_or_else(|| cannot(&"its name is not UTF-8"))?;
    let folder = fs::metadata(real).map_err(|error| cannot(&error))?;
    if !folder.is_dir() {
        return Err(cannot(&"it is not a folder"));
    }
    let figures = statvfs(real).map_err(|error| cannot(&error))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|error| cannot(&error))?;
    let mount = mount_of(real, &mounts).ok_or_else(|| cannot(&"it is on no mount"))?;
    let dockers = fs::metadata(DOCKERS_OWN).is_ok_and(|file| file.dev() == folder.dev());
    let shared = if dockers {
        Some("it lies on the file system of Docker's own folder, which every container of this host shares".to_owned())
    } else if mount.root != "/" {
        Some(format!("it is the folder {} of a larger file system", mount.root))
    } else {
        None
    };
    let block = figures.fragment_size();
    Ok(Disk {
        folder: real.to_owned(),
        mount_point: mount.point,
        total: figures.blocks() * block,
        available: figures.blocks_available() * block,
        kind: mount.kind.to_owned(),
        shared,
        read_only: figures.flags().contains(FsFlags::ST_RDONLY),
    })
}

/// Whether the fill file is there.
pub fn is_there(file: &str) -> bool {
    Metadata::is_fill_file(file) && fs::symlink_metadata(file).is_ok()
}

/// The files in the folder that have a fill file's name. A folder that is not there holds none.
pub fn find(folder: &str) -> Vec<FillFile> {
    let entries = fs::canonicalize(folder).and_then(fs::read_dir);
    let found = entries.into_iter().flatten().flatten().filter_map(|entry| {
        let path = entry.path().to_str().filter(|path| Metadata::is_fill_file(path))?.to_owned();
        let file = fs::symlink_metadata(&path).ok()?;
        let ours = file.is_file() && file.uid() == 0 && file.mode() & 0o7777 == MODE;
        Some(FillFile { path, bytes: file.blocks() * 512, ours })
    });
    found.collect()
}

struct Mount<'a> {
    point: String,
    root: &'a str,
    kind: &'a str,
}

/// The mount that the path lies on, from the text of `/proc/self/mountinfo` (proc(5)): the longest mount point.
fn mount_of<'a>(path: &str, mountinfo: &'a str) -> Option<Mount<'a>> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let words: Vec<&str> = left.split(' ').collect();
        let point = unescape(words.get(4)?);
        let kind = right.split(' ').next()?;
        Path::new(path).starts_with(&point).then(|| Mount { point, root: words[3], kind })
    });
    mounts.max_by_key(|mount| mount.point.len())
}

/// mountinfo writes space, tab, newline and backslash as octal.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Makes the file and gives the bytes that it really takes. What cannot be made whole for want of space is made as
/// large as there is room; on any other error the file is removed again.
pub fn fill(file: &str, bytes: u64, to_the_last_byte: bool) -> Result<u64, Failure> {
    if !Metadata::is_fill_file(file) {
        return Err(Failure::failed(format!("{file} is not a fill file's name")));
    }
    let cannot = |error: io::Error| Failure::failed(format!("cannot fill {file}: {error}"));
    let handle =
        OpenOptions::new().write(true).create_new(true).mode(MODE).custom_flags(nix::libc::O_NOFOLLOW).open(file);
    let mut handle = handle.map_err(cannot)?;
    let made = allocate(&mut handle, bytes)
        .and_then(|()| if to_the_last_byte { write_noise(&mut handle, u64::MAX) } else { Ok(()) })
        .and_then(|()| handle.sync_all().or_else(no_space_is_fine))
        .and_then(|()| handle.metadata());
    match made {
        Ok(metadata) => Ok(metadata.blocks() * 512),
        Err(error) => {
            let _ = fs::remove_file(file);
            Err(cannot(error))
        }
    }
}

/// Makes a file that is there larger or smaller in place, and gives the bytes that it really takes then. What cannot grow
/// for want of space grows as far as there is room; on any other error it is as it was.
pub fn refill(file: &str, bytes: u64, to_the_last_byte: bool) -> Result<u64, Failure> {
    if !Metadata::is_fill_file(file) {
        return Err(Failure::failed(format!("{file} is not a fill file's name")));
    }
    let cannot = |error: io::Error| Failure::failed(format!("cannot resize {file}: {error}"));
    let mut handle = OpenOptions::new().write(true).custom_flags(nix::libc::O_NOFOLLOW).open(file).map_err(cannot)?;
    let before = handle.metadata().map_err(cannot)?;
    if !before.is_file() {
        return Err(Failure::failed(format!("{file} is no plain file, so it is not touched")));
    }
    let resized = if bytes < before.len() { handle.set_len(bytes) } else { allocate(&mut handle, bytes) };
    let made = resized
        .and_then(|()| if to_the_last_byte { write_noise(&mut handle, u64::MAX) } else { Ok(()) })
        .and_then(|()| handle.sync_all().or_else(no_space_is_fine))
        .and_then(|()| handle.metadata());
    match made {
        Ok(metadata) => Ok(metadata.blocks() * 512),
        Err(error) => {
            // As large as it was; where it had shrunk, as far as there still is room.
            let _ = handle.set_len(before.len()).and_then(|()| allocate(&mut handle, before.len()));
            Err(cannot(error))
        }
    }
}

/// fallocate where the file system has it, else plain writing. ENOSPC half-way is success with less: some file
/// systems undo a failed fallocate whole, so the rest is written.
fn allocate(handle: &mut File, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let length = i64::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    match fallocate(&*handle, FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::ENOSPC) => write_noise(handle, bytes),
        Err(error) => Err(error.into()),
    }
}

/// Grows the file to `bytes` at most by writing, in ever smaller blocks as the space runs out.
fn write_noise(handle: &mut File, bytes: u64) -> io::Result<()> {
    let mut length = handle.metadata()?.len();
    io::Seek::seek(handle, io::SeekFrom::End(0))?;
    for block in [1 << 20, 1 << 12] {
        // Noise, since a file system that compresses would make nothing of zeros.
        let mut noise = vec![0u8; block];
        rand::fill(&mut noise[..]);
        while length < bytes {
            let most = usize::try_from(bytes - length).unwrap_or(block).min(block);
            match handle.write(&noise[..most]) {
                Ok(0) => break,
                Ok(written) => length += written as u64,
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOSPC) => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn no_space_is_fine(error: io::Error) -> io::Result<()> {
    if error.raw_os_error() == Some(nix::libc::ENOSPC) { Ok(()) } else { Err(error) }
}

/// Removes the file; true if it was there.
pub fn unfill(file: &str) -> Result<bool, Failure> {
    if !Metadata::is_fill_file(file) {
        return Err(Failure::failed(format!("{file} is not a fill file's name, so it is not removed")));
    }
    if fs::symlink_metadata(file).is_ok_and(|found| !found.is_file()) {
        return Err(Failure::failed(format!("{file} is no plain file, so it is not removed")));
    }
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::failed(format!("cannot remove {file}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_wins_and_octal_is_read() {
        let text = "22 1 0:20 / / rw - overlay overlay rw\n\
                    30 22 8:1 /volumes/tikv0/_data /data rw,relatime - ext4 /dev/sda1 rw\n\
                    31 22 0:44 / /data/ti\\040kv rw - tmpfs tmpfs rw,size=65536k\n";
        let mount = mount_of("/data/db", text).unwrap();
        assert_eq!((mount.root, mount.kind), ("/volumes/tikv0/_data", "ext4"));
        let mount = mount_of("/data/ti kv", text).unwrap();
        assert_eq!((mount.root, mount.kind), ("/", "tmpfs"));
        assert_eq!(mount_of("/database", text).unwrap().kind, "overlay");
    }

    #[test]
    fn a_fill_file_takes_what_it_says_and_goes_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chaos-fill-1.tmp");
        let file = file.to_str().unwrap();
        let made = fill(file, 1 << 20, false).unwrap();
        assert_eq!(made, 1 << 20);
        assert!(fill(file, 1, false).is_err(), "an existing file is never taken over");
        assert_eq!(unfill(file), Ok(true));
        assert_eq!(unfill(file), Ok(false));
    }

    #[test]
    fn a_fill_file_grows_and_shrinks_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chaos-fill-1.tmp");
        let file = path.to_str().unwrap();
        assert!(refill(file, 4096, false).is_err() && !path.exists(), "it makes no file");
        fill(file, 1 << 20, false).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        for bytes in [2 << 20, 2 << 20, 64 << 10, 0, 4096] {
            assert_eq!(refill(file, bytes, false), Ok(bytes));
        }
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        fs::remove_file(&path).unwrap();
        fs::write(folder.path().join("db"), "precious").unwrap();
        std::os::unix::fs::symlink(folder.path().join("db"), &path).unwrap();
        assert!(refill(file, 0, false).is_err());
        assert_eq!(fs::read_to_string(folder.path().join("db")).unwrap(), "precious");
    }

    #[test]
    fn fill_files_are_found_and_told_from_what_others_named_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fill(path("chaos-fill-1.tmp").to_str().unwrap(), 4096, false).unwrap();
        fs::write(path("chaos-fill-2.tmp"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path("chaos-fill-3.tmp")).unwrap();
        fs::write(path("db"), "").unwrap();
        let mut found = find(folder.path().to_str().unwrap());
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let is_root = fs::metadata(folder.path()).unwrap().uid() == 0;
        let ours: Vec<bool> = found.iter().map(|file| file.ours).collect();
        assert_eq!(ours, [is_root, false, false]);
        assert_eq!(found[0].bytes, 4096);
        assert!(find("/nowhere").is_empty());
    }

    #[test]
    fn where_there_is_no_fallocate_the_file_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chaos-fill-2.tmp");
        let mut file = File::create_new(&path).unwrap();
        write_noise(&mut file, (3 << 20) + 5000).unwrap();
        file.sync_all().unwrap();
        let made = fs::metadata(&path).unwrap();
        assert_eq!(made.len(), (3 << 20) + 5000);
        assert!(made.blocks() * 512 >= made.len());
    }

    #[test]
    fn no_other_file_is_ever_made_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wal.log");
        fs::write(&file, "precious").unwrap();
        let file = file.to_str().unwrap();
        assert!(unfill(file).is_err() && fill(file, 1, false).is_err());
        assert_eq!(fs::read_to_string(file).unwrap(), "precious");
    }
}
