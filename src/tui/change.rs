//! An active injection whose sliders move: the picker holds its parameters, and it follows them.

use super::{model::Model, open::Open};
use crate::chaos::{FaultType, InjectionId, Metadata, ParamSpec, Params, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changing {
    pub id: InjectionId,
    pub target: String,
    pub kind: FaultType,
    /// What was asked for last.
    pub asked: Params,
    /// What it had when it was opened.
    pub before: Params,
    /// What the picker held of that type, to be put back.
    pub kept: (FaultType, Params),
    /// How the last change ended, if it failed.
    pub error: Option<String>,
}

/// The parameters that were asked for, as far as what was made says so: the contract's metadata calls them by the same
/// names.
pub fn params_of(metadata: &Metadata) -> Params {
    let kind = metadata.fault_type();
    let mut params = Params::defaults(kind);
    let Ok(said) = serde_json::to_value(&metadata.fault) else { return params };
    for spec in kind.params() {
        if let Some(value) = said.get(spec.name).and_then(|said| value_of(spec, said)) {
            params.set(spec, value);
        }
    }
    params
}

fn value_of(spec: &ParamSpec, said: &serde_json::Value) -> Option<Value> {
    let text = match said {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        serde_json::Value::Bool(on) => on.to_string(),
        serde_json::Value::Array(all) => all.iter().filter_map(|one| one.as_str()).collect::<Vec<_>>().join(","),
        _ => return None,
    };
    spec.parse(&text).ok()
}

impl Model {
    /// Opens the selected injection; says why not where it cannot be changed.
    pub(super) fn open_to_change(&mut self) -> Result<(), String> {
        let Some((_, open)) = self.selected_open() else { return Err("nothing is injected".to_owned()) };
        changeable(&open)?;
        let metadata = &open.injection.metadata;
        let (id, kind, params) = (metadata.id.clone(), metadata.fault_type(), params_of(metadata));
        let target = metadata.target().to_owned();
        self.stop_changing();
        let kept = (self.picker.kind, self.picker.params(kind));
        self.picker.choose(kind);
        self.picker.set_params(kind, params.clone());
        self.picker.field = 1;
        let (asked, before) = (params.clone(), params);
        self.changing = Some(Changing { id, target, kind, asked, before, kept, error: None });
        Ok(())
    }

    /// The picker holds again what it held before.
    pub(super) fn stop_changing(&mut self) {
        let Some(changing) = self.changing.take() else { return };
        let (kind, params) = changing.kept;
        self.picker.set_params(changing.kind, params);
        self.picker.choose(kind);
    }
}

fn changeable(open: &Open) -> Result<(), String> {
    let kind = open.injection.metadata.fault_type();
    if !kind.params().iter().any(|spec| matches!(spec.kind, crate::chaos::Kind::Number { .. })) {
        return Err(format!("{kind} has no slider to move: revert it, and inject another"));
    }
    Ok(())
}
