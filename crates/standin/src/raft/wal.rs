//! The log on disk, one for all groups of a node as in TiKV's raft-engine, so that one fsync covers them all.
//!
//! A file of records: length, CRC-32, a batch of items. A record that is cut short or damaged ends the log: it was
//! being written when the machine or the process stopped, and nothing that hung on it had left the node. Compaction
//! writes everything that still counts to a new file, which replaces the old one in one rename.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use protobuf::Message as _;
use raft::eraftpb::{Entry, HardState, Snapshot};

const NAME: &str = "raft.log";
const NEW_NAME: &str = "raft.log.new";
const HEAD: usize = 8;
/// No record is as long; a longer length is damage.
const RECORD_LIMIT: usize = 256 << 20;
/// The log is worth rewriting from here on.
const COMPACT_FROM: u64 = 4 << 20;

/// One thing that happened to one group.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// What the node must know of the group; the last one counts.
    Note(Vec<u8>),
    Snapshot(Snapshot),
    HardState(HardState),
    Entry(Entry),
}

/// Items that are written together or not at all.
#[derive(Debug, Default)]
pub struct Batch(Vec<u8>);

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn note(&mut self, group: u64, bytes: &[u8]) {
        self.push(0, group, bytes);
    }

    pub fn snapshot(&mut self, group: u64, snapshot: &Snapshot) -> io::Result<()> {
        self.push(1, group, &bytes_of(snapshot)?);
        Ok(())
    }

    pub fn hard_state(&mut self, group: u64, state: &HardState) -> io::Result<()> {
        self.push(2, group, &bytes_of(state)?);
        Ok(())
    }

    pub fn entry(&mut self, group: u64, entry: &Entry) -> io::Result<()> {
        self.push(3, group, &bytes_of(entry)?);
        Ok(())
    }

    fn push(&mut self, kind: u8, group: u64, bytes: &[u8]) {
        self.0.push(kind);
        self.0.extend_from_slice(&group.to_le_bytes());
        self.0.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn record(&self) -> Vec<u8> {
        let mut record = Vec::with_capacity(HEAD + self.0.len());
        record.extend_from_slice(&(self.0.len() as u32).to_le_bytes());
        record.extend_from_slice(&crc32fast::hash(&self.0).to_le_bytes());
        record.extend_from_slice(&self.0);
        record
    }
}

fn bytes_of(message: &impl protobuf::Message) -> io::Result<Vec<u8>> {
    message.write_to_bytes().map_err(io::Error::other)
}

/// The items of a record whose CRC was right.
fn items(mut bytes: &[u8]) -> io::Result<Vec<(u64, Item)>> {
    let mut items = vec![];
    while !bytes.is_empty() {
        let kind = take::<1>(&mut bytes)?[0];
        let group = u64::from_le_bytes(take(&mut bytes)?);
        let length = u32::from_le_bytes(take(&mut bytes)?) as usize;
        let (body, rest) = bytes.split_at_checked(length).ok_or_else(damaged)?;
        bytes = rest;
        let item = match kind {
            0 => Item::Note(body.to_vec()),
            1 => Item::Snapshot(Snapshot::parse_from_bytes(body).map_err(io::Error::other)?),
            2 => Item::HardState(HardState::parse_from_bytes(body).map_err(io::Error::other)?),
            3 => Item::Entry(Entry::parse_from_bytes(body).map_err(io::Error::other)?),
            _ => return Err(damaged()),
        };
        items.push((group, item));
    }
    Ok(items)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> io::Result<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or_else(damaged)?;
    *bytes = rest;
    Ok(*head)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a record with a right checksum and a wrong content")
}

pub struct Wal {
    folder: PathBuf,
    file: File,
    length: u64,
    /// The length after the last rewrite.
    base: u64,
}

impl Wal {
    /// Opens or makes the log of a folder; each item that it holds is given to `each`, oldest first.
    pub fn open(folder: &Path, mut each: impl FnMut(u64, Item)) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // A rewrite that didn't come to its rename.
        match fs::remove_file(folder.join(NEW_NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let path = folder.join(NAME);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut length = 0;
        let mut reader = BufReader::new(&file);
        while let Some(body) = next_record(&mut reader)? {
            length += (HEAD + body.len()) as u64;
            for (group, item) in items(&body)? {
                each(group, item);
            }
        }
        drop(reader);
        if file.metadata()?.len() != length {
            file.set_len(length)?;
        }
        file.seek(io::SeekFrom::Start(length))?;
        file.sync_all()?;
        sync_folder(folder)?;
        Ok(Self { folder: folder.to_owned(), file, length, base: length })
    }

    /// Appends one record. After an error the log must not be written again: its tail is unknown.
    pub fn append(&mut self, batch: &Batch, sync: bool) -> io::Result<()> {
        let record = batch.record();
        self.file.write_all(&record)?;
        self.length += record.len() as u64;
        if sync {
            self.file.sync_data()?;
        }
        Ok(())
    }

    pub fn wants_compaction(&self) -> bool {
        self.length > (2 * self.base).max(COMPACT_FROM)
    }

    pub fn len(&self) -> u64 {
        self.length
    }

    /// Replaces everything by one record. Without room for both, the old log stays and goes on.
    pub fn rewrite(&mut self, everything: &Batch) -> io::Result<()> {
        let new = self.folder.join(NEW_NAME);
        let record = everything.record();
        let written = (|| {
            let mut file = File::create(&new)?;
            file.write_all(&record)?;
            file.sync_all()?;
            fs::rename(&new, self.folder.join(NAME))?;
            Ok(file)
        })();
        match written {
            Ok(file) => self.file = file,
            Err(error) => {
                self.base = self.length;
                let _ = fs::remove_file(&new);
                return Err(error);
            }
        }
        self.length = record.len() as u64;
        self.base = self.length;
        sync_folder(&self.folder)
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The next whole record; none at the end, or where the rest is the torn tail.
fn next_record(reader: &mut impl io::Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; HEAD];
    let mut body = vec![];
    match reader.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let (length, crc) = head.split_at(4);
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let (length, crc) = (number(length) as usize, number(crc));
    if length > RECORD_LIMIT {
        return Ok(None);
    }
    reader.take(length as u64).read_to_end(&mut body)?;
    // Room that a crash left behind as zeros has the CRC of nothing.
    let whole = length > 0 && body.len() == length && crc32fast::hash(&body) == crc;
    Ok(whole.then_some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64) -> Entry {
        Entry { index, term: 6, data: format!("put {index}").into_bytes().into(), ..Entry::default() }
    }

    fn batch(items: &[(u64, Item)]) -> Batch {
        let mut batch = Batch::default();
        for (group, item) in items {
            match item {
                Item::Note(bytes) => batch.note(*group, bytes),
                Item::Snapshot(snapshot) => batch.snapshot(*group, snapshot).unwrap(),
                Item::HardState(state) => batch.hard_state(*group, state).unwrap(),
                Item::Entry(entry) => batch.entry(*group, entry).unwrap(),
            }
        }
        batch
    }

    fn open(folder: &Path) -> (Wal, Vec<(u64, Item)>) {
        let mut read = vec![];
        let wal = Wal::open(folder, |group, item| read.push((group, item))).unwrap();
        (wal, read)
    }

    fn records() -> Vec<Vec<(u64, Item)>> {
        let mut snapshot = Snapshot::default();
        snapshot.mut_metadata().index = 5;
        snapshot.data = b"everything".to_vec().into();
        let state = HardState { term: 6, commit: 6, ..HardState::default() };
        vec![
            vec![(0, Item::Note(b"store 4".to_vec())), (2, Item::Snapshot(snapshot))],
            vec![(2, Item::Entry(entry(6))), (2, Item::HardState(state)), (8, Item::Entry(entry(6)))],
            vec![(2, Item::Entry(entry(7)))],
        ]
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut wal, read) = open(folder.path());
        assert_eq!(read, []);
        for record in records() {
            wal.append(&batch(&record), true).unwrap();
        }
        assert_eq!(open(folder.path()).1, records().concat());
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_tore() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mut ends = vec![0];
        let (mut wal, _) = open(folder.path());
        for record in records() {
            wal.append(&batch(&record), true).unwrap();
            ends.push(wal.len() as usize);
        }
        let whole = fs::read(&path).unwrap();
        let after = [(9, Item::Entry(entry(1)))];
        for cut in 0..whole.len() {
            for damaged in [whole[..cut].to_vec(), [&whole[..cut], &[0; 40]].concat(), {
                let mut flipped = whole.clone();
                flipped[cut] ^= 1;
                flipped
            }] {
                fs::write(&path, damaged).unwrap();
                let survivors = ends.iter().filter(|end| **end <= cut).count() - 1;
                let (mut wal, read) = open(folder.path());
                assert_eq!(read, records()[..survivors].concat(), "cut at {cut}");
                wal.append(&batch(&after), true).unwrap();
                assert_eq!(open(folder.path()).1, [&records()[..survivors].concat()[..], &after].concat());
            }
        }
    }

    #[test]
    fn a_rewrite_replaces_everything_and_one_that_did_not_finish_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (mut wal, _) = open(folder.path());
        for index in 1..100 {
            wal.append(&batch(&[(2, Item::Entry(entry(index)))]), false).unwrap();
        }
        let long = wal.len();
        wal.rewrite(&batch(&[(2, Item::Entry(entry(99)))])).unwrap();
        assert!(wal.len() < long / 10);
        wal.append(&batch(&[(2, Item::Entry(entry(100)))]), true).unwrap();
        fs::write(folder.path().join(NEW_NAME), b"half a record").unwrap();
        assert_eq!(open(folder.path()).1, [(2, Item::Entry(entry(99))), (2, Item::Entry(entry(100)))]);
        assert!(!folder.path().join(NEW_NAME).exists());
    }
}
