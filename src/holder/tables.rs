//! What iptables-nft makes beside our chains and never removes: tables, and in them the chains that the hooks call.
//!
//! These are made here, before it makes them, with a mark that the kernel keeps; and what bears it goes once nothing is in
//! it. Each change is one batch, refused by the kernel if anybody changed anything since it was looked at, so that
//! nobody's rule is lost. Kernels before 5.10 keep no mark on a table, which then stays.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
            socket, sockopt::ReceiveTimeout,
        },
        time::TimeVal,
    },
};

use super::netlink::{self, ACK, Frame, Head, REQUEST, attribute, nested, number, text};
use crate::chaos::network::{Family, Table};

/// What `nft` shows as a comment: its type, its length, its text.
const MARK: &[u8] = b"\x00\x0btikv-chaos\x00";

const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const GET_TABLE: u16 = NEW_TABLE | 1;
const DELETE_TABLE: u16 = NEW_TABLE | 2;
const NEW_CHAIN: u16 = NEW_TABLE | 3;
const GET_CHAIN: u16 = NEW_TABLE | 4;
const DELETE_CHAIN: u16 = NEW_TABLE | 5;
const NEW_GENERATION: u16 = NEW_TABLE | 15;
const GET_GENERATION: u16 = NEW_TABLE | 16;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const DONE: u16 = 3;

const DUMP: u16 = 0x300;
const EXCLUSIVE: u16 = 0x200;
/// On what is to go: not if anything is in it.
const NOT_RECURSIVE: u16 = 0x100;
const CREATE: u16 = 0x400;

const BATCH_GENERATION: u16 = 1;
const GENERATION_ID: u16 = 1;
const TABLE_NAME: u16 = 1;
const TABLE_USE: u16 = 3;
const TABLE_USERDATA: u16 = 6;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_USE: u16 = 6;
const CHAIN_TYPE: u16 = 7;
const CHAIN_USERDATA: u16 = 12;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const ACCEPT: u32 = 1;

/// How often a look is repeated because somebody changed something after it.
const LOOKS: usize = 20;

/// Makes the table and the chains of these hooks as iptables-nft would, where they are not there yet.
pub fn prepare(family: Family, table: Table, hooks: &[&str]) -> io::Result<()> {
    change(family, table, |found| {
        let missing = hooks.iter().filter(|hook| !found.chains.iter().any(|chain| chain.name == **hook));
        let table = found.table.is_none().then_some(Change::NewTable);
        table.into_iter().chain(missing.map(|hook| Change::NewChain((*hook).to_owned()))).collect()
    })
}

/// Removes what [`prepare`] made and nobody uses.
pub fn tidy(family: Family, table: Table) -> io::Result<()> {
    change(family, table, |found| {
        let Some(whole) = &found.table else { return Vec::new() };
        let unused = |chain: &&Chain| chain.ours && chain.uses == 0 && chain.accepts;
        let mut gone: Vec<Change> =
            found.chains.iter().filter(unused).map(|chain| Change::DeleteChain(chain.name.clone())).collect();
        if whole.ours && whole.uses as usize == gone.len() {
            gone.push(Change::DeleteTable);
        }
        gone
    })
}

/// A table as it was found, without its rules.
struct Found {
    generation: u32,
    table: Option<Whole>,
    chains: Vec<Chain>,
}

struct Whole {
    ours: bool,
    /// How much is in it: chains, sets and objects.
    uses: u32,
}

struct Chain {
    name: String,
    ours: bool,
    /// Its rules, and what leads to it.
    uses: u32,
    accepts: bool,
}

enum Change {
    NewTable,
    NewChain(String),
    DeleteChain(String),
    DeleteTable,
}

fn change(family: Family, table: Table, decide: impl Fn(&Found) -> Vec<Change>) -> io::Result<()> {
    let link = Link::open()?;
    for _ in 0..LOOKS {
        let found = link.look(family, table)?;
        let changes = decide(&found);
        if changes.is_empty() || link.apply(family, table, found.generation, &changes)? {
            return Ok(());
        }
    }
    Err(io::Error::other("somebody changes the rules all the time"))
}

struct Link(OwnedFd);

impl Link {
    fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(2, 0))?;
        Ok(Self(socket))
    }

    /// Asks, and gives each message of the answer to `each` until that says that it was the last.
    fn ask(&self, request: &[u8], mut each: impl FnMut(Frame<'_>) -> io::Result<bool>) -> io::Result<()> {
        send(self.0.as_raw_fd(), request, MsgFlags::empty())?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                count => count?,
            };
            for frame in netlink::frames(&buffer[..count]) {
                if each(frame)? {
                    return Ok(());
                }
            }
        }
    }

    fn dump(&self, kind: u16, family: Family, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut request = Vec::new();
        netlink::message(&mut request, &head(kind, REQUEST | DUMP, family), |_| {});
        self.ask(&request, |frame| match frame {
            Frame::Answer { errno: 0, .. } | Frame::Message { kind: DONE, .. } => Ok(true),
            Frame::Answer { errno, .. } => Err(io::Error::from_raw_os_error(errno)),
            Frame::Message { attributes, .. } => {
                each(attributes);
                Ok(false)
            }
        })
    }

    fn generation(&self) -> io::Result<u32> {
        let (mut request, mut generation) = (Vec::new(), None);
        netlink::message(&mut request, &head(GET_GENERATION, REQUEST, Family::V4), |_| {});
        self.ask(&request, |frame| match frame {
            Frame::Message { kind: NEW_GENERATION, attributes } => {
                generation = find(attributes, GENERATION_ID).and_then(number);
                Ok(true)
            }
            Frame::Answer { errno, .. } if errno != 0 => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(false),
        })?;
        generation.ok_or_else(|| io::Error::other("the kernel tells no generation of its rules"))
    }

    fn look(&self, family: Family, table: Table) -> io::Result<Found> {
        let mut found = Found { generation: self.generation()?, table: None, chains: Vec::new() };
        let is = |value: Option<&[u8]>| value.is_some_and(|value| name(value) == table.name());
        let count = |value: Option<&[u8]>| value.and_then(number).unwrap_or(u32::MAX);
        self.dump(GET_TABLE, family, |whole| {
            if is(find(whole, TABLE_NAME)) {
                let ours = find(whole, TABLE_USERDATA) == Some(MARK);
                found.table = Some(Whole { ours, uses: count(find(whole, TABLE_USE)) });
            }
        })?;
        self.dump(GET_CHAIN, family, |chain| {
            if is(find(chain, CHAIN_TABLE)) {
                found.chains.push(Chain {
                    name: find(chain, CHAIN_NAME).map(name).unwrap_or_default(),
                    ours: find(chain, CHAIN_USERDATA) == Some(MARK),
                    uses: count(find(chain, CHAIN_USE)),
                    accepts: find(chain, CHAIN_POLICY).and_then(number) == Some(ACCEPT),
                });
            }
        })?;
        Ok(found)
    }

    /// All of it; false if it was refused because somebody changed something meanwhile.
    fn apply(&self, family: Family, table: Table, generation: u32, changes: &[Change]) -> io::Result<bool> {
        let limit = |kind| Head { resource: SUBSYSTEM, ..head(kind, REQUEST, family) };
        let mut batch = Vec::new();
        netlink::message(&mut batch, &limit(BATCH_BEGIN), |out| {
            attribute(out, BATCH_GENERATION, &[&generation.to_be_bytes()]);
        });
        changes.iter().for_each(|change| change.write(&mut batch, family, table));
        netlink::message(&mut batch, &limit(BATCH_END), |_| {});
        let mut acknowledged = 0;
        let done = self.ask(&batch, |frame| match frame {
            Frame::Answer { errno: 0, .. } => {
                acknowledged += 1;
                Ok(acknowledged == changes.len())
            }
            Frame::Answer { errno, .. } => Err(io::Error::from_raw_os_error(errno)),
            Frame::Message { .. } => Ok(false),
        });
        let raced = [Errno::ERESTART, Errno::EEXIST, Errno::EBUSY, Errno::ENOENT];
        match done {
            Ok(()) => Ok(true),
            Err(error) if raced.iter().any(|errno| error.raw_os_error() == Some(*errno as i32)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Change {
    fn write(&self, batch: &mut Vec<u8>, family: Family, table: Table) {
        let make = |kind| head(kind, REQUEST | ACK | CREATE | EXCLUSIVE, family);
        let delete = |kind| head(kind, REQUEST | ACK | NOT_RECURSIVE, family);
        match self {
            Self::NewTable => netlink::message(batch, &make(NEW_TABLE), |out| {
                text(out, TABLE_NAME, table.name());
                attribute(out, TABLE_USERDATA, &[MARK]);
            }),
            Self::NewChain(hook) => netlink::message(batch, &make(NEW_CHAIN), |out| {
                text(out, CHAIN_TABLE, table.name());
                text(out, CHAIN_NAME, hook);
                nested(out, CHAIN_HOOK, |out| {
                    attribute(out, HOOK_NUMBER, &[&hook_number(hook).to_be_bytes()]);
                    attribute(out, HOOK_PRIORITY, &[&priority(table).to_be_bytes()]);
                });
                attribute(out, CHAIN_POLICY, &[&ACCEPT.to_be_bytes()]);
                text(out, CHAIN_TYPE, kind(table, hook));
                attribute(out, CHAIN_USERDATA, &[MARK]);
            }),
            Self::DeleteChain(chain) => netlink::message(batch, &delete(DELETE_CHAIN), |out| {
                text(out, CHAIN_TABLE, table.name());
                text(out, CHAIN_NAME, chain);
            }),
            Self::DeleteTable => {
                netlink::message(batch, &delete(DELETE_TABLE), |out| text(out, TABLE_NAME, table.name()));
            }
        }
    }
}

fn head(kind: u16, flags: u16, family: Family) -> Head {
    let family = match family {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    Head { kind, flags, sequence: 0, family, resource: 0 }
}

fn find(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    netlink::attributes(attributes).find(|(one, _)| *one == kind).map(|(_, value)| value)
}

fn name(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// Netfilter's numbers of the hooks that our chains are called from.
fn hook_number(hook: &str) -> u32 {
    match hook {
        "INPUT" => 1,
        "OUTPUT" => 3,
        _ => 4,
    }
}

/// iptables' own places of its tables.
fn priority(table: Table) -> i32 {
    match table {
        Table::Filter => 0,
        Table::Mangle => -150,
    }
}

/// A mark that is set on the way out may choose another route.
fn kind(table: Table, hook: &str) -> &'static str {
    if table == Table::Mangle && hook == "OUTPUT" { "route" } else { "filter" }
}
