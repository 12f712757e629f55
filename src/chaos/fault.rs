//! A fault that was asked for, checked: no value out of range, no contradiction.

use serde::{Deserialize, Serialize};

use super::{FaultType, ParamError, Params};

/// The signals that `node_kill` may send: those that end a process. Stopping signals are left out, because starting
/// the container again would not undo them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    #[serde(rename = "SIGKILL")]
    Kill,
    #[serde(rename = "SIGTERM")]
    Term,
    #[serde(rename = "SIGINT")]
    Int,
    #[serde(rename = "SIGQUIT")]
    Quit,
    #[serde(rename = "SIGABRT")]
    Abrt,
    #[serde(rename = "SIGSEGV")]
    Segv,
}

impl Signal {
    pub const NAMES: &'static [&'static str] = &["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGABRT", "SIGSEGV"];
    const ALL: [Self; 6] = [Self::Kill, Self::Term, Self::Int, Self::Quit, Self::Abrt, Self::Segv];

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.name() == name)
    }
}

/// What should be done to a target, with every parameter settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    NodeKill {
        signal: Signal,
    },
    Latency {
        min_ms: u64,
        max_ms: u64,
        /// A network's or an interface's name; `None` is every network of the node.
        interface: Option<String>,
    },
    DiskPressure {
        /// Of what is available now, 0 to 100.
        fill_percent: u64,
        /// `None` is the node's own data directory.
        target_path: Option<String>,
        /// Fill as asked even where others share the file system.
        fill_shared: bool,
    },
    NetworkPartition {
        /// Names of the nodes to be cut off from; empty is every other TiKV node.
        peers: Vec<String>,
        include_pd: bool,
    },
}

impl Fault {
    pub fn fault_type(&self) -> FaultType {
        match self {
            Self::NodeKill { .. } => FaultType::NodeKill,
            Self::Latency { .. } => FaultType::Latency,
            Self::DiskPressure { .. } => FaultType::DiskPressure,
            Self::NetworkPartition { .. } => FaultType::NetworkPartition,
        }
    }

    /// The fault that the parameters describe; what is not given has the table's default.
    pub fn from_params(kind: FaultType, params: &Params) -> Result<Self, ParamError> {
        Ok(match kind {
            FaultType::NodeKill => {
                let name = params.text("signal");
                let signal = Signal::from_name(&name).ok_or(ParamError::NotAllowed {
                    name: "signal",
                    given: name,
                    allowed: Signal::NAMES.join(", "),
                })?;
                Self::NodeKill { signal }
            }
            FaultType::Latency => {
                let (min_ms, max_ms) = (params.number("min_ms"), params.number("max_ms"));
                if min_ms > max_ms {
                    return Err(ParamError::MinOverMax { min_ms, max_ms });
                }
                Self::Latency { min_ms, max_ms, interface: params.optional_text("interface") }
            }
            FaultType::DiskPressure => {
                let target_path = params.optional_text("target_path");
                if let Some(path) = target_path.as_deref().filter(|path| !is_clean_absolute(path)) {
                    return Err(ParamError::BadPath { name: "target_path", given: path.to_owned() });
                }
                Self::DiskPressure {
                    fill_percent: params.number("fill_percent"),
                    target_path,
                    fill_shared: params.switch("fill_shared"),
                }
            }
            FaultType::NetworkPartition => {
                Self::NetworkPartition { peers: params.list("peers"), include_pd: params.switch("include_pd") }
            }
        })
    }
}

/// An absolute path with no `.` or `..` in it, so that it means the same to everybody who reads it.
fn is_clean_absolute(path: &str) -> bool {
    path.starts_with('/') && !path.contains('\0') && path.split('/').all(|part| part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultType, given: &[(&str, &str)]) -> Result<Fault, String> {
        let given = given.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let params = Params::parse(kind, given).map_err(|error| error.to_string())?;
        Fault::from_params(kind, &params).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_the_contracts() {
        assert_eq!(fault(FaultType::Latency, &[]), Ok(Fault::Latency { min_ms: 50, max_ms: 150, interface: None }));
        assert_eq!(
            fault(FaultType::DiskPressure, &[]),
            Ok(Fault::DiskPressure { fill_percent: 80, target_path: None, fill_shared: false })
        );
        assert_eq!(fault(FaultType::NodeKill, &[]), Ok(Fault::NodeKill { signal: Signal::Kill }));
        assert_eq!(
            fault(FaultType::NetworkPartition, &[]),
            Ok(Fault::NetworkPartition { peers: vec![], include_pd: false })
        );
    }

    #[test]
    fn min_over_max_is_refused_by_name() {
        let error = fault(FaultType::Latency, &[("min_ms", "200"), ("max_ms", "100")]).unwrap_err();
        assert!(error.contains("min_ms 200") && error.contains("max_ms 100"), "{error}");
    }

    #[test]
    fn a_path_must_be_absolute_and_straight() {
        for bad in ["data", "/data/../etc", "/data/./x"] {
            let error = fault(FaultType::DiskPressure, &[("target_path", bad)]).unwrap_err();
            assert!(error.contains("absolute"), "{error}");
        }
        assert!(fault(FaultType::DiskPressure, &[("target_path", "/var/lib/ti kv")]).is_ok());
    }
}
