//! The one table of parameters: it drives the sliders, the command-line flags, the help and the validation.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{FaultType, Signal};

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

/// Names, defaults and the percentage's range are the contract's; ten seconds is where TiKV's peers have long elected
/// somebody else, so that more delay teaches nothing.
const fn table(kind: FaultType) -> &'static [ParamSpec] {
    match kind {
        FaultType::NodeKill => {
            const {
                &[ParamSpec {
                    name: "signal",
                    kind: Kind::Choice { options: Signal::NAMES, default: "SIGKILL" },
                    help: "what the node's first process is sent",
                }]
            }
        }
        FaultType::Latency => {
            const {
                &[
                    number("min_ms", "ms", (0, 10_000, 10), 50, "least delay of a packet"),
                    number("max_ms", "ms", (0, 10_000, 10), 150, "greatest delay of a packet"),
                    ParamSpec {
                        name: "interface",
                        kind: Kind::Text { empty: "all its networks" },
                        help: "one network or interface of the node",
                    },
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
                    ParamSpec {
                        name: "fill_shared",
                        kind: Kind::Switch { default: false },
                        help: "keep no reserve (5 %, 2 GiB) on a shared file system",
                    },
                ]
            }
        }
        FaultType::NetworkPartition => {
            const {
                &[
                    ParamSpec {
                        name: "peers",
                        kind: Kind::List { empty: "every other TiKV node" },
                        help: "the nodes to be cut off from",
                    },
                    ParamSpec {
                        name: "include_pd",
                        kind: Kind::Switch { default: false },
                        help: "cut the node off from PD as well",
                    },
                ]
            }
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
                let wanted = text.trim().to_ascii_uppercase();
                let found =
                    options.iter().find(|option| **option == wanted || option.trim_start_matches("SIG") == wanted);
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
        Self::defaults(kind).with(kind, given)
    }

    /// These, but for the given texts.
    pub fn with(self, kind: FaultType, given: impl IntoIterator<Item = (String, String)>) -> Result<Self, ParamError> {
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
        assert_eq!(error.to_string(), "latency has no parameter \"mean\"; it takes min_ms, max_ms, interface");
    }

    #[test]
    fn signals_may_be_short_and_lower_case() {
        let spec = FaultType::NodeKill.spec("signal").unwrap();
        assert_eq!(spec.parse("term"), Ok(Value::Text("SIGTERM".into())));
        assert!(spec.parse("SIGSTOP").is_err());
    }
}
