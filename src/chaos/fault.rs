//! A fault that was asked for, checked: no value out of range, no contradiction.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    FaultType, ParamError, Params, Partition,
    network::{Direction, Impairment, Via},
    shaped,
};

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
    /// Latency, loss, duplicates, corruption, reordering or a bandwidth, as `kind` says.
    Shape {
        kind: FaultType,
        impairment: Impairment,
        scope: Scope,
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
        shape: Partition,
        /// Names of the nodes to be cut off from; empty is every other TiKV node.
        peers: Vec<String>,
        include_pd: bool,
        /// Refused at once instead of dropped.
        reject: bool,
    },
    NodePause,
    NodeStop {
        /// How long the node may take before Docker kills it.
        timeout_s: u64,
    },
}

/// Which packets a fault is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    pub direction: Direction,
    /// `tikv`, `pd`, `clients`, names of nodes, addresses; empty is everybody.
    pub to: Vec<String>,
    /// Empty is all.
    pub ports: BTreeSet<u16>,
    /// Leave the status port alone.
    pub spare_status: bool,
    /// `None` is whatever can do it, netem first.
    pub via: Option<Via>,
    /// A network's or an interface's name; `None` is every network of the node.
    pub interface: Option<String>,
}

impl Fault {
    pub fn fault_type(&self) -> FaultType {
        match self {
            Self::NodeKill { .. } => FaultType::NodeKill,
            Self::Shape { kind, .. } => *kind,
            Self::DiskPressure { .. } => FaultType::DiskPressure,
            Self::NetworkPartition { .. } => FaultType::NetworkPartition,
            Self::NodePause => FaultType::NodePause,
            Self::NodeStop { .. } => FaultType::NodeStop,
        }
    }

    /// The fault that the parameters describe; what is not given has the table's default.
    pub fn from_params(kind: FaultType, params: &Params) -> Result<Self, ParamError> {
        if let Some(impairment) = shaped::impairment(kind, params)? {
            return Ok(Self::Shape { kind, impairment, scope: Scope::from_params(params)? });
        }
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
            FaultType::NodePause => Self::NodePause,
            FaultType::NodeStop => Self::NodeStop { timeout_s: params.number("timeout_s") },
            _ => partition(params)?,
        })
    }
}

fn partition(params: &Params) -> Result<Fault, ParamError> {
    let shape = Partition::from_name(&params.text("shape")).unwrap_or_default();
    let (peers, include_pd) = (params.list("peers"), params.switch("include_pd"));
    let one_peer = shape == Partition::Pair && peers.len() <= 1;
    if !peers.is_empty() && !one_peer && (!shape.is_of_one() || shape == Partition::Primaries) {
        let allowed = match shape {
            Partition::Pair => "one node, the other of the pair".to_owned(),
            _ => format!("none, because {} says itself who is cut off from whom", shape.name()),
        };
        return Err(ParamError::NotAllowed { name: "peers", given: peers.join(","), allowed });
    }
    if include_pd && !shape.is_of_one() {
        let allowed = format!("false, because {} is about TiKV nodes alone", shape.name());
        return Err(ParamError::NotAllowed { name: "include_pd", given: "true".to_owned(), allowed });
    }
    Ok(Fault::NetworkPartition { shape, peers, include_pd, reject: params.switch("reject") })
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
        let Ok(Fault::Shape { kind: FaultType::Latency, impairment, scope }) = fault(FaultType::Latency, &[]) else {
            panic!()
        };
        assert_eq!(impairment.delay.map(|delay| (delay.mean_us, delay.jitter_us)), Some((100_000, 50_000)));
        assert_eq!(scope, Scope::default());
        assert_eq!(
            fault(FaultType::DiskPressure, &[]),
            Ok(Fault::DiskPressure { fill_percent: 80, target_path: None, fill_shared: false })
        );
        assert_eq!(fault(FaultType::NodeKill, &[]), Ok(Fault::NodeKill { signal: Signal::Kill }));
        assert_eq!(
            fault(FaultType::NetworkPartition, &[]),
            Ok(Fault::NetworkPartition { shape: Partition::Isolate, peers: vec![], include_pd: false, reject: false })
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

    #[test]
    fn a_mean_counts_before_the_bounds_and_jitter_over_it_is_refused() {
        let mean = fault(FaultType::Latency, &[("mean_ms", "80"), ("jitter_ms", "20")]).unwrap();
        let Fault::Shape { impairment, .. } = mean else { panic!() };
        assert_eq!(impairment.delay.map(|delay| (delay.mean_us, delay.jitter_us)), Some((80_000, 20_000)));
        let error = fault(FaultType::Latency, &[("mean_ms", "20"), ("jitter_ms", "30")]).unwrap_err();
        assert!(error.contains("jitter_ms 30") && error.contains("mean_ms 20"), "{error}");
    }

    #[test]
    fn bursts_lose_in_all_what_was_asked_for() {
        let given = [("percent", "10"), ("burst_length", "5"), ("burst_percent", "100")];
        let Ok(Fault::Shape { impairment, .. }) = fault(FaultType::PacketLoss, &given) else { panic!() };
        let Some(crate::chaos::network::Loss::Bursts(model)) = impairment.loss else { panic!() };
        let (p, r) = (model.p.fraction(), model.r.fraction());
        assert!((p / (p + r) - 0.10).abs() < 1e-3 && (1.0 / r - 5.0).abs() < 1e-3);
        for (name, value, expected) in
            [("correlation", "5", "correlation"), ("burst_percent", "10", "burst_percent 10")]
        {
            let error = fault(FaultType::PacketLoss, &[&given[..2], &[(name, value)]].concat()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_shape_says_who_is_cut_off_and_takes_no_other_word_for_it() {
        let error = fault(FaultType::NetworkPartition, &[("shape", "halves"), ("peers", "a")]).unwrap_err();
        assert!(error.contains("halves"), "{error}");
        assert!(fault(FaultType::NetworkPartition, &[("shape", "pair"), ("peers", "a")]).is_ok());
        assert!(fault(FaultType::NetworkPartition, &[("shape", "bridge"), ("include_pd", "yes")]).is_err());
    }
}
