//! The fault that is being put together: its type, its parameters, its time to live, and what is known of the commands
//! that it would run. Driven by the parameter table; knows no type by name.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    chaos::{Fault, FaultType, InjectionId, Kind, Metadata, ParamSpec, Params, Value},
    subject::Plan,
    subject::docker::State,
    tui::message::NotChanged,
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
    /// The containers' ids.
    pub targets: Vec<String>,
    /// Names one life of each container.
    pub started_at: Vec<String>,
    pub ttl: Duration,
    /// What is injected already, anywhere: faults of one target are compiled together, and all of them count in the
    /// verdict.
    pub beside: Vec<InjectionId>,
    /// How the nodes are, which counts as well.
    pub states: Vec<(String, State)>,
}

/// Injections that hold and were made as one act, most often one, while the picker's fields are theirs.
#[derive(Debug, Clone)]
pub struct Held {
    /// Their records as they were last seen here, first the one that was opened.
    pub seen: Vec<Metadata>,
    /// By which each holds.
    pub holds: Vec<Params>,
    /// What the fields were when it was last asked to be so.
    pub asked: Params,
    /// Why what was asked last could not be.
    pub problem: Option<NotChanged>,
}

impl Held {
    pub fn ids(&self) -> Vec<InjectionId> {
        self.seen.iter().map(|one| one.id.clone()).collect()
    }

    /// The target's name, or how many there are.
    pub fn whom(&self) -> String {
        match &self.seen[..] {
            [one] => one.target().to_owned(),
            several => format!("{} nodes", several.len()),
        }
    }
}

/// What an injection keeps as long as it holds: where it stands, and what does it.
const KEPT: [&str; 3] = ["via", "interface", "target_path"];

#[derive(Debug)]
pub struct Picker {
    /// What is changed, where it is not a new injection that is put together.
    pub held: Option<Held>,
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
    pub plan: Option<Result<Box<Plan>, String>>,
    /// The plan is the answer to what is wanted now.
    pub fresh: bool,
    /// How far the commands are scrolled.
    pub scroll: usize,
}

impl Default for Picker {
    fn default() -> Self {
        Self {
            held: None,
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
    /// With another time to live to begin with, in whole minutes as far as the slider goes.
    pub fn lasting(ttl: Option<Duration>) -> Self {
        let mut picker = Self::default();
        if let Some(ttl) = ttl {
            picker.last(ttl);
        }
        picker
    }

    /// With the parameters of the first of these injections, which hold, if they have some that can be changed.
    pub fn holding(seen: Vec<Metadata>) -> Option<Self> {
        let holds = seen.iter().map(Metadata::params).collect::<Option<Vec<_>>>()?;
        let (kind, params) = (seen.first()?.fault_type(), holds.first()?.clone());
        let held = Held { seen, holds, asked: params.clone(), problem: None };
        let mut picker = Self { held: Some(held), ..Self::default() };
        picker.put(kind, params);
        Some(picker)
    }

    /// That type with these parameters.
    pub fn put(&mut self, kind: FaultType, params: Params) {
        self.typing = None;
        self.error = None;
        self.kind = kind;
        self.params.insert(kind, params);
        self.field = self.field.min(self.fields().len() - 1);
    }

    /// The parameters of the chosen type.
    pub fn params(&self) -> Params {
        self.params.get(&self.kind).cloned().unwrap_or_else(|| Params::defaults(self.kind))
    }

    /// What of an injection that holds can be changed.
    fn changeable(&self) -> impl Iterator<Item = &'static ParamSpec> {
        self.kind.params().iter().filter(|spec| !KEPT.contains(&spec.name))
    }

    /// What each injection that is open here would be if it followed the fields that were moved; the others of its
    /// parameters are its own.
    pub fn followed(&self, held: &Held) -> Vec<Params> {
        let Some(first) = held.holds.first() else { return Vec::new() };
        let moved: Vec<_> = self.changeable().filter(|spec| first.get(spec.name) != Some(&self.value(spec))).collect();
        let follow = |own: &Params| {
            let mut params = own.clone();
            moved.iter().for_each(|spec| params.set(spec, self.value(spec)));
            params
        };
        held.holds.iter().map(follow).collect()
    }

    pub fn fields(&self) -> Vec<Field> {
        if self.held.is_some() {
            return self.changeable().map(Field::Value).collect();
        }
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
        Fault::from_params(self.kind, &self.params()).map_err(|error| error.to_string())
    }

    pub fn ttl(&self) -> Duration {
        match self.ttl {
            Value::Number(minutes) => Duration::from_secs(minutes * 60),
            _ => Duration::ZERO,
        }
    }

    /// In whole minutes as far as the slider goes.
    pub fn last(&mut self, ttl: Duration) {
        if let Kind::Number { least, most, .. } = TTL.kind {
            self.ttl = Value::Number(ttl.as_secs().div_ceil(60).clamp(least, most));
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
