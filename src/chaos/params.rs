//! The one table of parameters: it drives the sliders, the command-line flags, the help and the validation.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    FaultType, Partition, Signal,
    network::{DEFAULT_LIMIT, Direction},
    shaped::DISTRIBUTIONS,
};

/// One parameter of a fault type.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ParamSpec {
    /// As in the contract; the flag is the same with hyphens.
    pub name: &'static str,
    #[serde(flatten)]
    pub kind: Kind,
    pub help: &'static str,
}

/// What a parameter can be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// A whole number of `unit`, `least..=most`, moved by `step`.
    Number { unit: &'static str, least: u64, most: u64, step: u64, default: u64 },
    /// One of these words.
    Choice { options: &'static [&'static str], default: &'static str },
    /// On or off.
    Switch { default: bool },
    /// Free text; `empty` says what no text means.
    Text { empty: &'static str },
    /// Names separated by commas; `empty` says what no name means.
    List { empty: &'static str },
}

const fn number(
    name: &'static str,
    unit: &'static str,
    range: (u64, u64, u64),
    default: u64,
    help: &'static str,
) -> ParamSpec {
    let (least, most, step) = range;
    ParamSpec { name, kind: Kind::Number { unit, least, most, step, default }, help }
}

const fn choice(
    name: &'static str,
    options: &'static [&'static str],
    default: &'static str,
    help: &'static str,
) -> ParamSpec {
    ParamSpec { name, kind: Kind::Choice { options, default }, help }
}

const fn switch(name: &'static str, help: &'static str) -> ParamSpec {
    ParamSpec { name, kind: Kind::Switch { default: false }, help }
}

const fn list(name: &'static str, empty: &'static str, help: &'static str) -> ParamSpec {
    ParamSpec { name, kind: Kind::List { empty }, help }
}

const fn percent(default: u64, help: &'static str) -> ParamSpec {
    number("percent", "%", (0, 100, 1), default, help)
}

const CORRELATION: ParamSpec =
    number("correlation", "%", (0, 100, 5), 0, "how much each packet's fate follows the one before");
/// The shaper delays outgoing packets as they come in: see `Shape::streams`.
const DIRECTION: ParamSpec = choice(
    "direction",
    Direction::NAMES,
    "out",
    "which packets, as the node sees it; the shaper delays answers on their way in for out, so that round trips are the same",
);
const TO: ParamSpec = list("to", "everything", "tikv, pd, clients, nodes by name, addresses");
const PORTS: ParamSpec = list("ports", "all", "TCP and UDP ports, on either side");
const SPARE_STATUS: ParamSpec = switch("spare_status", "leave the status port alone");
const VIA: ParamSpec =
    choice("via", &["auto", "netem", "shaper"], "auto", "what does it; auto is netem where the kernel has it");
const LIMIT: ParamSpec = number(
    "limit",
    "packets",
    (1, 1_000_000, 1000),
    DEFAULT_LIMIT as u64,
    "how many may wait; more are dropped and counted",
);
const INTERFACE: ParamSpec = ParamSpec {
    name: "interface",
    kind: Kind::Text { empty: "all its networks" },
    help: "one network or interface of the node",
};

/// Names and defaults of the first four, and the fill percentage's range, are the contract's. Ten seconds of delay is
/// where TiKV's peers have long elected somebody else, so that more teaches nothing. The other defaults are those of
/// Pumba, and TiPocket's for TiKV where it has one (loss 25 % with a correlation of 25 %).
const fn table(kind: FaultType) -> &'static [ParamSpec] {
    match kind {
        FaultType::NodeKill => {
            const { &[choice("signal", Signal::NAMES, "SIGKILL", "what the node's first process is sent")] }
        }
        FaultType::Latency => {
            const {
                &[
                    number("min_ms", "ms", (0, 10_000, 10), 50, "least delay of a packet"),
                    number("max_ms", "ms", (0, 10_000, 10), 150, "greatest delay of a packet"),
                    INTERFACE,
                    number(
                        "mean_ms",
                        "ms",
                        (0, 10_000, 10),
                        0,
                        "mean delay, instead of least and greatest; 0: by those",
                    ),
                    number("jitter_ms", "ms", (0, 10_000, 10), 0, "how far from the mean: a bound, or one deviation"),
                    CORRELATION,
                    choice("distribution", DISTRIBUTIONS, "uniform", "how delays are spread"),
                    DIRECTION,
                    TO,
                    PORTS,
                    SPARE_STATUS,
                    VIA,
                    LIMIT,
                ]
            }
        }
        FaultType::DiskPressure => {
            const {
                &[
                    number("fill_percent", "%", (0, 100, 5), 80, "how much of the available space to take"),
                    ParamSpec {
                        name: "target_path",
                        kind: Kind::Text { empty: "the node's --data-dir" },
                        help: "the folder in the node where the file goes",
                    },
                    switch("fill_shared", "keep no reserve (5 %, 2 GiB) on a shared file system"),
                ]
            }
        }
        FaultType::NetworkPartition => {
            const {
                &[
                    choice("shape", Partition::NAMES, "isolate", "who is cut off from whom, seen from the node"),
                    list("peers", "every other TiKV node", "the nodes to be cut off from"),
                    switch("include_pd", "cut the node off from the members of PD as well"),
                    switch("reject", "refuse connections at once instead of dropping packets"),
                ]
            }
        }
        FaultType::PacketLoss => {
            const {
                &[
                    percent(25, "how many packets are lost"),
                    CORRELATION,
                    number(
                        "burst_length",
                        "packets",
                        (0, 1000, 1),
                        0,
                        "how long bursts of loss are on average; 0: no bursts",
                    ),
                    number("burst_percent", "%", (1, 100, 5), 100, "how many packets of a burst are lost"),
                    DIRECTION,
                    TO,
                    PORTS,
                    SPARE_STATUS,
                    VIA,
                    INTERFACE,
                ]
            }
        }
        FaultType::PacketDuplicate => {
            const {
                &[
                    percent(10, "how many packets come twice"),
                    CORRELATION,
                    DIRECTION,
                    TO,
                    PORTS,
                    SPARE_STATUS,
                    VIA,
                    INTERFACE,
                ]
            }
        }
        FaultType::PacketCorrupt => {
            const {
                &[
                    percent(5, "in how many packets a bit is flipped"),
                    CORRELATION,
                    DIRECTION,
                    TO,
                    PORTS,
                    SPARE_STATUS,
                    VIA,
                    INTERFACE,
                ]
            }
        }
        FaultType::PacketReorder => {
            const {
                &[
                    percent(25, "how many packets overtake the others"),
                    CORRELATION,
                    number("gap", "packets", (1, 1000, 1), 1, "only every so many packets may overtake"),
                    number("delay_ms", "ms", (1, 10_000, 10), 10, "how late the others come"),
                    DIRECTION,
                    TO,
                    PORTS,
                    SPARE_STATUS,
                    VIA,
                    LIMIT,
                    INTERFACE,
                ]
            }
        }
        FaultType::Bandwidth => {
            const {
                &[
                    number(
                        "rate_kbit",
                        "kbit",
                        (8, 10_000_000, 100),
                        1000,
                        "how much goes through each second; of two on one way the lower holds",
                    ),
                    number("burst_kb", "kB", (2, 100_000, 8), 32, "how much may go through at once (the shaper)"),
                    DIRECTION,
                    TO,
                    PORTS,
                    SPARE_STATUS,
                    VIA,
                    LIMIT,
                    INTERFACE,
                ]
            }
        }
        FaultType::NodePause => &[],
        FaultType::NodeStop => {
            const { &[number("timeout_s", "s", (0, 300, 5), 30, "how long the node may take before it is killed")] }
        }
    }
}

impl FaultType {
    /// The parameters, in the order in which they are shown.
    pub const fn params(self) -> &'static [ParamSpec] {
        table(self)
    }

    fn spec(self, name: &str) -> Option<&'static ParamSpec> {
        self.params().iter().find(|spec| spec.name == name)
    }

    fn param_names(self) -> String {
        self.params().iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ")
    }
}

impl ParamSpec {
    /// The command-line flag without its dashes.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    pub fn default_value(&self) -> Value {
        match self.kind {
            Kind::Number { default, .. } => Value::Number(default),
            Kind::Choice { default, .. } => Value::Text(default.to_owned()),
            Kind::Switch { default } => Value::Switch(default),
            Kind::Text { .. } => Value::Text(String::new()),
            Kind::List { .. } => Value::List(Vec::new()),
        }
    }

    /// The value that the text stands for; the error names what is allowed.
    pub fn parse(&self, text: &str) -> Result<Value, ParamError> {
        let not_allowed = |allowed: String| ParamError::NotAllowed { name: self.name, given: text.to_owned(), allowed };
        match self.kind {
            Kind::Number { unit, least, most, .. } => {
                let digits = text.trim().trim_end_matches(unit).trim();
                match digits.parse() {
                    Ok(value) if (least..=most).contains(&value) => Ok(Value::Number(value)),
                    _ => Err(not_allowed(format!("a whole number from {least} to {most} {unit}"))),
                }
            }
            Kind::Choice { options, .. } => {
                let is = |option: &&str| option.eq_ignore_ascii_case(text.trim());
                let found = options.iter().find(|option| is(option) || is(&option.trim_start_matches("SIG")));
                found.map(|option| Value::Text((*option).to_owned())).ok_or_else(|| not_allowed(options.join(", ")))
            }
            Kind::Switch { .. } => match text.trim() {
                "true" | "yes" | "on" => Ok(Value::Switch(true)),
                "false" | "no" | "off" => Ok(Value::Switch(false)),
                _ => Err(not_allowed("true, false".to_owned())),
            },
            Kind::Text { .. } => Ok(Value::Text(text.to_owned())),
            Kind::List { .. } => {
                let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
                Ok(Value::List(names.map(str::to_owned).collect()))
            }
        }
    }
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Number(u64),
    Switch(bool),
    Text(String),
    List(Vec<String>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(value) => write!(f, "{value}"),
            Self::Switch(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
            Self::List(names) => f.write_str(&names.join(",")),
        }
    }
}

/// All parameters of one fault type, each within its specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params(BTreeMap<&'static str, Value>);

impl Params {
    pub fn defaults(kind: FaultType) -> Self {
        Self(kind.params().iter().map(|spec| (spec.name, spec.default_value())).collect())
    }

    /// The given texts over the defaults.
    pub fn parse(kind: FaultType, given: impl IntoIterator<Item = (String, String)>) -> Result<Self, ParamError> {
        Self::defaults(kind).over(kind, given)
    }

    /// The given texts over these values.
    pub fn over(self, kind: FaultType, given: impl IntoIterator<Item = (String, String)>) -> Result<Self, ParamError> {
        let mut params = self;
        for (name, text) in given {
            let spec = kind.spec(&name).ok_or_else(|| ParamError::Unknown {
                kind,
                given: name.clone(),
                allowed: kind.param_names(),
            })?;
            params.0.insert(spec.name, spec.parse(&text)?);
        }
        Ok(params)
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub fn set(&mut self, spec: &ParamSpec, value: Value) {
        self.0.insert(spec.name, value);
    }

    /// A value of the program's own making; a name that the type does not have is left out.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        if let Some(held) = self.0.get_mut(name) {
            *held = value;
        }
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        match self.get(name) {
            Some(Value::Number(value)) => *value,
            _ => 0,
        }
    }

    pub(super) fn switch(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Switch(true)))
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.optional_text(name).unwrap_or_default()
    }

    pub(super) fn optional_text(&self, name: &str) -> Option<String> {
        match self.get(name) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::List(names)) => names.clone(),
            _ => Vec::new(),
        }
    }
}

/// A parameter that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    #[error("{kind} has no parameter {given:?}; it takes {allowed}")]
    Unknown { kind: FaultType, given: String, allowed: String },
    #[error("{name} cannot be {given:?}; allowed: {allowed}")]
    NotAllowed { name: &'static str, given: String, allowed: String },
    #[error("min_ms {min_ms} is over max_ms {max_ms}; min_ms must be at most max_ms")]
    MinOverMax { min_ms: u64, max_ms: u64 },
    #[error(
        "jitter_ms {jitter_ms} is over mean_ms {mean_ms}: a packet cannot be early; jitter_ms must be at most mean_ms"
    )]
    JitterOverMean { mean_ms: u64, jitter_ms: u64 },
    #[error("burst_length {length} and a correlation say the same in two ways; leave one out")]
    BurstsCorrelate { length: u64 },
    #[error(
        "percent {percent} is lost in all, so burst_percent {in_burst} must be over it: in between bursts nothing is lost"
    )]
    BurstsTooThin { percent: u64, in_burst: u64 },
    #[error("bursts of {length} packets are too short for a loss of {percent} %: make burst_length greater")]
    BurstsTooShort { percent: u64, length: u64 },
    #[error("{name} cannot be {given:?}; allowed: an absolute path with no . or .. in it")]
    BadPath { name: &'static str, given: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_passes_its_own_specification() {
        for kind in FaultType::ALL {
            for spec in kind.params() {
                let default = spec.default_value();
                assert_eq!(spec.parse(&default.to_string()).as_ref(), Ok(&default), "{kind} {}", spec.name);
            }
        }
    }

    #[test]
    fn a_number_is_held_to_its_range_and_may_carry_its_unit() {
        let spec = FaultType::DiskPressure.spec("fill_percent").unwrap();
        assert_eq!(spec.parse("100"), Ok(Value::Number(100)));
        assert_eq!(spec.parse("33 %"), Ok(Value::Number(33)));
        for bad in ["101", "-1", "1.5", "", "many", "99999999999999999999999"] {
            let error = spec.parse(bad).unwrap_err().to_string();
            assert!(error.contains("from 0 to 100 %"), "{error}");
        }
    }

    #[test]
    fn an_unknown_parameter_names_the_known_ones() {
        let error = Params::parse(FaultType::Latency, [("mean".to_owned(), "3".to_owned())]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "latency has no parameter \"mean\"; it takes min_ms, max_ms, interface, mean_ms, jitter_ms, correlation, distribution, direction, to, ports, spare_status, via, limit"
        );
    }

    #[test]
    fn signals_may_be_short_and_lower_case() {
        let spec = FaultType::NodeKill.spec("signal").unwrap();
        assert_eq!(spec.parse("term"), Ok(Value::Text("SIGTERM".into())));
        assert!(spec.parse("SIGSTOP").is_err());
    }
}
