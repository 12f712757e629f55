//! What was measured of an injection, for text and JSON.

use serde_json::{Value, json};

use crate::chaos::{
    Metadata,
    measured::{Asked, Judgement, Look, Measured, judge},
};

/// `asked 100 ± 50 ms, measured 98 ± 51 ms over 40: as asked`, by a look now or by the one that is recorded; nothing where
/// nobody has looked.
pub fn text(metadata: &Metadata, measured: Option<&Measured>, now: Option<&Look>) -> Option<String> {
    judgement(metadata, measured, now).map(|judgement| judgement.to_string())
}

/// What to know before measuring it in another way.
pub fn note(metadata: &Metadata) -> Option<String> {
    let network = metadata.network()?;
    network.shape()?.ping_note().map(str::to_owned)
}

/// The judgement, and the figures behind it.
pub fn to_json(metadata: &Metadata, measured: Option<&Measured>, now: Option<&Look>) -> Value {
    if measured.is_none() && now.is_none() {
        return Value::Null;
    }
    let mut document = json!({
        "judgement": judgement(metadata, measured, now),
        "before": measured.map(|measured| &measured.before), "during": measured.map(|measured| &measured.during),
        "after": measured.map(|measured| &measured.after),
    });
    if let Some(now) = now {
        document["now"] = json!(now);
    }
    document
}

fn judgement(metadata: &Metadata, measured: Option<&Measured>, now: Option<&Look>) -> Option<Judgement> {
    let asked = Asked::of(&metadata.network()?);
    match now {
        Some(now) => Some(judge(&asked, measured.and_then(Measured::before), now)),
        None => measured?.judgement(&asked),
    }
}
