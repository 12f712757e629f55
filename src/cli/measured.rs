//! What was measured of an injection, for text and JSON.

use serde_json::{Value, json};

use crate::chaos::{
    Metadata,
    measured::{Asked, Judgement, Measured},
};

/// `asked 100 ± 50 ms, measured 98 ± 51 ms over 40: as asked`; nothing where nobody has looked.
pub fn text(metadata: &Metadata, measured: Option<&Measured>) -> Option<String> {
    judgement(metadata, measured).map(|judgement| judgement.to_string())
}

/// The judgement, and the figures behind it.
pub fn to_json(metadata: &Metadata, measured: Option<&Measured>) -> Value {
    let Some(measured) = measured else { return Value::Null };
    json!({
        "judgement": judgement(metadata, Some(measured)),
        "before": measured.before, "during": measured.during, "after": measured.after,
    })
}

fn judgement(metadata: &Metadata, measured: Option<&Measured>) -> Option<Judgement> {
    measured?.judgement(&Asked::of(&metadata.network()?))
}
