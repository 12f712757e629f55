//! Lines of TiKV's and PD's logs that tell one fault from another, by the part that does not change. Sources and versions:
//! [`super::facts::LINES`].

pub const ELECTION: &str = "starting a new election";
pub const PRE_CANDIDATE: &str = "became pre-candidate at term";
pub const CANDIDATE: &str = "became candidate at term";
pub const LEADER: &str = "became leader at term";
pub const FOLLOWER: &str = "became follower at term";
pub const HIGHER_TERM: &str = "received a message with higher term from";
pub const NO_QUORUM: &str = "stepped down to follower since quorum is not active";
/// Also `connection aborted`.
pub const CONNECTION_ABORT: &str = "connection abort";
pub const CONNECT_TIMEOUT: &str = "wait connect timeout";
pub const CONNECTED: &str = "connection established";
/// Two of [`DISK_USAGES`] follow, with `->` between them: how it was, and is. A fill may skip the middle one.
pub const DISK_USAGE: &str = "disk usage ";
pub const DISK_USAGES: [&str; 3] = ["Normal", "AlmostFull", "AlreadyFull"];
pub const STOPPING: &str = "starting graceful shutdown";
pub const EVICTING: &str = "Waiting for leader eviction";
pub const EVICTED: &str = "All leaders evicted, completing graceful shutdown";
pub const NOT_EVICTED: &str = "Graceful shutdown timeout reached with";
/// PD's.
pub const LOW_SPACE: &str = "store does not have enough disk space";
