//! The lines between the engine and the holder: one JSON object a line, a request's `id` comes back in its answer.
//! Several programs may be attached to one holder; each takes the answers to the ids that it made.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{
    chaos::{
        Command, InjectionId,
        measured::{Burst, Tally},
        network::{Flavour, Kernel, NetworkFault, Packets},
    },
    cluster::{
        http::{self, HttpError, Place},
        tls::Pem,
    },
};

/// Raised when a line changes its meaning; the image's name carries it, so that old and new never talk.
pub const VERSION: u32 = 7;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub id: String,
    #[serde(flatten)]
    pub ask: Ask,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// What is here, the kernel as it was last read.
    Hello,
    /// Whether this kernel has netem, and what tells some of the packets apart for it, found out without changing anything.
    Ways,
    /// What making a network fault beside the others would run.
    Preview { injection: InjectionId, fault: NetworkFault },
    /// Make a network fault hold until `ttl_ms` from now; one of that injection that holds becomes this one in one step.
    Add { injection: InjectionId, fault: NetworkFault, ttl_ms: Option<u64> },
    /// Take over the network faults that a former holder made, as far as the kernel shows them, and their deadlines: all
    /// at once, so that none is missing while another is taken over.
    Adopt { faults: Vec<Adoption> },
    /// Take over the deadline of a fill file, if it is there.
    AdoptFill { injection: InjectionId, file: String, ttl_ms: Option<u64> },
    /// End a network fault. The fault is named whole, for a holder that does not know the id.
    Remove { injection: InjectionId, fault: NetworkFault },
    /// The file system behind a folder.
    Disk { path: String },
    /// Make a file of `bytes`, or of all there is with `to_the_last_byte`, until `ttl_ms` from now.
    Fill { injection: InjectionId, file: String, bytes: u64, to_the_last_byte: bool, ttl_ms: Option<u64> },
    /// Make a fill file that is there as large as this, in place, until `ttl_ms` from now.
    Refill { injection: InjectionId, file: String, bytes: u64, to_the_last_byte: bool, ttl_ms: Option<u64> },
    /// Remove a fill file.
    Unfill { injection: InjectionId, file: String },
    /// Everything of ours that is here, read afresh; fill files in these folders, not below them.
    Survey { folders: Vec<String> },
    /// Ask an address in the network of a relay; of its metrics only the lines that are read come back.
    Fetch { place: Place, path: String, tls: Option<Pem> },
    /// Look at these places from here; answered when it is done, with other answers meanwhile.
    Probe(Probe),
    /// How many packets a fault that is held here has met.
    Packets { injection: InjectionId },
    /// The TCP connections of this namespace that stand, those with itself left out.
    Connections,
    /// End the process if it holds no fault.
    QuitIfIdle,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adoption {
    pub injection: InjectionId,
    pub fault: NetworkFault,
    pub ttl_ms: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    pub id: String,
    #[serde(flatten)]
    pub result: Result<Answer, Failure>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    Hello {
        flavour: Flavour,
        interfaces: Vec<Interface>,
        kernel: Kernel,
    },
    /// The kernel as read back after the change.
    Network {
        flavour: Flavour,
        kernel: Kernel,
    },
    Disk(Disk),
    /// What is really allocated, in bytes.
    Filled {
        bytes: u64,
    },
    Unfilled {
        existed: bool,
    },
    /// Whether what was to be taken over is there.
    Adopted {
        held: bool,
    },
    Survey(Survey),
    Ways {
        /// Why not, where there is none.
        netem: Result<(), String>,
        /// Likewise for some of the packets.
        bands: Result<(), String>,
    },
    Preview {
        commands: Vec<Command>,
        warnings: Vec<String>,
    },
    /// A relay is here, which holds nothing.
    Relaying,
    /// What was answered, whatever it is.
    Fetched {
        result: Result<http::Answer, HttpError>,
    },
    Probed {
        seen: Vec<Seen>,
    },
    /// `None` of what is not counted, as a partition is not.
    Packets {
        packets: Option<Packets>,
    },
    Connections {
        connections: Vec<Connection>,
    },
    Quitting {
        idle: bool,
    },
}

/// What is to be looked at, how often and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub places: Vec<SocketAddr>,
    /// Connections to each place, spread over the time of the echoes.
    pub connects: u16,
    /// ICMP echoes to each place.
    pub echoes: u16,
    pub interval_ms: u32,
    /// How long an answer may take.
    pub patience_ms: u32,
    /// How long to wait after the last answer for one that comes twice.
    pub linger_ms: u32,
    /// So many bytes of echoes at once, to the first place; 0 is none.
    pub burst_bytes: u32,
    /// Only what was there before a fault is made or ended here: it stops at once when that begins.
    pub until_change: bool,
}

/// What was seen of one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub place: SocketAddr,
    pub connect: Tally,
    /// `None` where this kernel lets nobody send echoes.
    pub echo: Option<Tally>,
    pub burst: Option<Burst>,
}

/// A TCP connection that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Connection {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// An interface of the namespace, the loopback left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    pub name: String,
    pub ips: Vec<IpAddr>,
}

/// What of ours a holder finds beside its target, and what of it it keeps itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    pub flavour: Flavour,
    pub kernel: Kernel,
    pub held: Vec<Held>,
    pub files: Vec<FillFile>,
}

/// Something that some program asked this holder to keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub injection: InjectionId,
    /// Until its deadline; `None` where it has none.
    pub left_ms: Option<u64>,
    #[serde(flatten)]
    pub what: HeldThing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "held", content = "of", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "few live at a time, and the large one is the usual one")]
pub enum HeldThing {
    Network(NetworkFault),
    /// A fill file, by its path.
    Fill(String),
}

/// A file with a fill file's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillFile {
    /// Full path with every link followed.
    pub path: String,
    pub bytes: u64,
    /// It is a plain file that nobody but root can read, as those that we make are.
    pub ours: bool,
}

/// A file system as the target sees it, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The folder with every symbolic link followed.
    pub folder: String,
    /// Where the file system that it lies on is mounted.
    pub mount_point: String,
    pub total: u64,
    /// What an unprivileged process may still take, as `df` prints it.
    pub available: u64,
    pub kind: String,
    /// Why a full disk here would be felt elsewhere; `None` where the file system is the folder's own.
    pub shared: Option<String>,
    pub read_only: bool,
}

/// Why a request could not be met. Nothing of it is left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub cause: Cause,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The kernel has no sch_netem.
    NoNetem,
    /// Somebody else's qdisc, or an interface that is not there.
    Refused,
    /// The holder's image has no such tool.
    NoTool,
    /// A tool, a file or the kernel said no.
    Failed,
}

impl Failure {
    pub fn failed(message: impl Into<String>) -> Self {
        Self { cause: Cause::Failed, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::network::{Chain, Impairment, RootQdisc, Tree};

    #[test]
    fn a_kernel_with_everything_of_ours_in_it_is_read_back_from_its_line() {
        let mut kernel = Kernel::default();
        let bands = [(1, Impairment::default()), (16, Impairment::default())].into();
        kernel.qdiscs.insert("eth0".to_owned(), RootQdisc::Ours(Tree::Bands(bands)));
        kernel.qdiscs.insert("eth1".to_owned(), RootQdisc::Ours(Tree::One(Impairment::default())));
        kernel.qdiscs.insert("eth2".to_owned(), RootQdisc::Foreign("tbf 7:".to_owned()));
        let chain = Chain { rules: vec!["-o eth0 -j DROP".to_owned()], jumps: vec![0] };
        kernel.v6.mangle.insert("TIKV-CHAOS-CLASSIFY".to_owned(), chain);
        let result = Ok(Answer::Network { flavour: Flavour::Nft, kernel: kernel.clone() });
        let line = serde_json::to_string(&Reply { id: "1".to_owned(), result }).unwrap();
        let reply: Reply = serde_json::from_str(&line).unwrap();
        assert!(matches!(reply.result, Ok(Answer::Network { kernel: read, .. }) if read == kernel), "{line}");
    }
}
