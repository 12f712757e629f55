//! What can go wrong with a subject, in sentences: what was tried, on what, what happened, what to do.

use crate::{chaos::ParamError, holder::protocol};

/// Whose turn it is after an error; also the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something was asked for that does not exist: 2.
    Usage,
    /// It could be done and was not, for a reason: 3.
    Refused,
    /// It was tried and did not work: 1.
    Failed,
}

/// How a container that is not taken for a node can be named as one, to follow a sentence that says that none was found.
pub const WAY_OUT: &str = "one that is not recognized can be named: by the label tikv-chaos.role=tikv, by --node NAME=tikv, or \
                           by NAME = \"tikv\" under [nodes] in the configuration";

#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    #[error("Docker is not answering at {host}: {reason} (is the daemon running, and may this user talk to it?)")]
    NoDocker { host: String, reason: String },
    #[error("cannot {operation} {object}: {reason}")]
    Docker { operation: &'static str, object: String, reason: String },
    #[error("{0}")]
    Param(#[from] ParamError),
    #[error("no node is named {name:?}; there are: {known}")]
    NoTarget { name: String, known: String },
    #[error("{name:?} could be any of {candidates}; give more of the name")]
    AmbiguousTarget { name: String, candidates: String },
    #[error("no TiKV container is running{scope}; `tikv-chaos nodes` shows what was found; {}", WAY_OUT)]
    NoNodes { scope: String },
    #[error("there are several clusters: {clusters}; say which with --project NAME")]
    SeveralClusters { clusters: String },
    #[error("{target} is {state}, and {what} needs it running")]
    NotRunning { target: String, state: String, what: &'static str },
    #[error("{target} has no other node to be cut off from; there must be at least one peer with an address")]
    NoPeers { target: String },
    #[error("{target} {reason}")]
    Refused { target: String, reason: String },
    #[error(
        "{target} still runs {seconds} s after {signal}; it stays in the journal, so that it is started again if it ends"
    )]
    StillRunning { target: String, signal: &'static str, seconds: u64 },
    #[error("{target} is not back: {reason}")]
    NotBack { target: String, reason: String },
    #[error("{id} {reason}: revert it and inject it anew")]
    NotChangeable { id: String, reason: String },
    /// Nothing was done, so nothing is to be undone.
    #[error("{0}")]
    NotBegun(Box<SubjectError>),
    #[error("{target} {what} while the fault was being made")]
    TargetChanged { target: String, what: String },
    #[error("the helper container of {target} failed: {reason}")]
    Holder { target: String, reason: String },
    #[error("{target}: {failure}")]
    Fault { target: String, failure: protocol::Failure },
    #[error("the helper's image cannot be made: {0}")]
    Image(String),
}

impl SubjectError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Param(_) | Self::NoTarget { .. } | Self::AmbiguousTarget { .. } => ErrorKind::Usage,
            Self::NoNodes { .. }
            | Self::SeveralClusters { .. }
            | Self::NotRunning { .. }
            | Self::NoPeers { .. }
            | Self::NotChangeable { .. }
            | Self::Refused { .. } => ErrorKind::Refused,
            Self::Fault { failure, .. } if failure.cause != protocol::Cause::Failed => ErrorKind::Refused,
            Self::NotBegun(error) => error.kind(),
            _ => ErrorKind::Failed,
        }
    }
}
