//! The fault that is being put together: its type, its parameters, its time to live, and what is known of the commands
//! that it would run. Driven by the parameter table; knows no type by name.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    chaos::{Fault, FaultType, Kind, ParamSpec, Params, Value},
    subject::Plan,
};

/// Ten minutes are enough to see a cluster react; thirty are as long as an unwatched fault should last.
static TTL: ParamSpec = ParamSpec {
    name: "ttl",
    kind: Kind::Number { unit: "min", least: 1, most: 30, step: 1, default: 10 },
    help: "after this time the injection ends by itself",
};

/// A place in the picker that the keys can act on.
#[derive(Debug, Clone, Copy)]
pub enum Field {
    Kind,
    Value(&'static ParamSpec),
    Button,
}

/// What a plan depends on; when this changes, a new one is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub fault: Fault,
    /// Each container's id with what names one life of it.
    pub targets: Vec<(String, String)>,
    pub ttl: Duration,
    /// Counts what happened to the nodes and to what is injected: faults of one target are compiled together, and all of
    /// them count in the verdict.
    pub turn: u64,
}

#[derive(Debug)]
pub struct Picker {
    pub kind: FaultType,
    params: BTreeMap<FaultType, Params>,
    ttl: Value,
    pub field: usize,
    /// What is being typed into the field.
    pub typing: Option<String>,
    /// What was wrong with what was typed last.
    pub error: Option<String>,
    pub wanted: Option<Wanted>,
    pub seq: u64,
    /// One for each injection that it takes.
    pub plan: Option<Result<Vec<Plan>, String>>,
    /// The plan is the answer to what is wanted now.
    pub fresh: bool,
    /// How far the commands are scrolled.
    pub scroll: usize,
}

impl Default for Picker {
    fn default() -> Self {
        Self {
            kind: FaultType::Latency,
            params: FaultType::ALL.into_iter().map(|kind| (kind, Params::defaults(kind))).collect(),
            ttl: TTL.default_value(),
            field: 0,
            typing: None,
            error: None,
            wanted: None,
            seq: 0,
            plan: None,
            fresh: false,
            scroll: 0,
        }
    }
}

impl Picker {
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = vec![Field::Kind];
        fields.extend(self.kind.params().iter().chain([&TTL]).map(Field::Value));
        fields.push(Field::Button);
        fields
    }

    pub fn current(&self) -> Field {
        self.fields().get(self.field).copied().unwrap_or(Field::Button)
    }

    pub fn value(&self, spec: &ParamSpec) -> Value {
        if spec.name == TTL.name {
            return self.ttl.clone();
        }
        let stored = self.params.get(&self.kind).and_then(|params| params.get(spec.name));
        stored.cloned().unwrap_or_else(|| spec.default_value())
    }

    pub fn set(&mut self, spec: &ParamSpec, value: Value) {
        if spec.name == TTL.name {
            self.ttl = value;
        } else if let Some(params) = self.params.get_mut(&self.kind) {
            params.set(spec, value);
        }
    }

    pub fn fault(&self) -> Result<Fault, String> {
        Fault::from_params(self.kind, &self.params(self.kind)).map_err(|error| error.to_string())
    }

    pub fn params(&self, kind: FaultType) -> Params {
        self.params.get(&kind).cloned().unwrap_or_else(|| Params::defaults(kind))
    }

    pub fn set_params(&mut self, kind: FaultType, params: Params) {
        self.params.insert(kind, params);
    }

    /// In whole minutes, as the slider has them.
    pub fn set_ttl(&mut self, ttl: Duration) {
        if let Kind::Number { least, most, .. } = TTL.kind {
            self.ttl = Value::Number(ttl.as_secs().div_ceil(60).clamp(least, most));
        }
    }

    pub fn ttl(&self) -> Duration {
        match self.ttl {
            Value::Number(minutes) => Duration::from_secs(minutes * 60),
            _ => Duration::ZERO,
        }
    }

    /// What was typed becomes the value, if it can; nothing typed changes nothing in a number.
    pub fn take_typed(&mut self) {
        let (Some(typed), Field::Value(spec)) = (self.typing.take(), self.current()) else { return };
        if typed.is_empty() && matches!(spec.kind, Kind::Number { .. }) {
            return;
        }
        match spec.parse(&typed) {
            Ok(value) => self.set(spec, value),
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    /// Another field; what was being typed in the old one counts.
    pub fn go_to(&mut self, field: usize) {
        self.error = None;
        self.take_typed();
        self.field = field.min(self.fields().len() - 1);
    }

    pub fn choose(&mut self, kind: FaultType) {
        self.go_to(0);
        self.kind = kind;
    }
}
