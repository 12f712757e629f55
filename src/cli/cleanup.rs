//! `cleanup`: the contract's clean-up, from the metadata alone.

use std::{io::Read as _, process::ExitCode};

use serde_json::json;

use super::{
    output::{self, Failure},
    progress,
};
use crate::{
    chaos::{FaultType, InjectionId, Metadata},
    config::Config,
    session::{Durability, Life},
    subject::{Cleaned, Subject as _},
};

pub async fn run(config: &Config) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::new(2, format!("the metadata on standard input cannot be read: {error}")))?;
    let metadata = parse(&text)?;
    let subject = config.subject(progress());
    let (mut cleaned, mut failed) = (subject.cleanup(&metadata).await, None);
    // The journal may know it too, or may be another host's.
    let done = |id: &InjectionId, cleaned: &Cleaned| {
        let done = config.store.update(id, Durability::Synced, |injection| match cleaned {
            _ if !injection.is_open() => {}
            Cleaned::Clean | Cleaned::Back(_) => injection.state = Life::Clean,
            Cleaned::Lost(how) => (injection.state, injection.note) = (Life::Lost, Some(how.clone())),
        });
        if let Err(error) = done.and_then(|_| config.store.prune()) {
            eprintln!("tikv-chaos: {id} is undone, but the journal cannot say so: {error}");
        }
    };
    for far in metadata.fault.far() {
        match subject.cleanup(far).await {
            Ok(cleaned) => done(&far.id, &cleaned),
            Err(error) => failed = Some(error),
        }
    }
    if let Ok(cleaned) = &cleaned {
        done(&metadata.id, cleaned);
    }
    if let (Ok(_), Some(error)) = (&cleaned, failed) {
        cleaned = Err(error);
    }
    subject.release().await;
    let cleaned = cleaned?;
    let (outcome, note) = match &cleaned {
        Cleaned::Clean => ("clean", None),
        Cleaned::Back(how) => ("clean", Some(how)),
        Cleaned::Lost(how) => ("lost", Some(how)),
    };
    if config.json {
        output::document(&json!({ "id": metadata.id, "outcome": outcome, "note": note }));
    } else {
        let how = match &cleaned {
            Cleaned::Clean => "read back and gone".to_owned(),
            Cleaned::Back(how) => format!("read back and gone; {how}"),
            Cleaned::Lost(how) => format!("nothing left to undo: {how}"),
        };
        output::lines([format!("{} {} on {}: {how}", metadata.id, metadata.fault_type(), metadata.target())]);
    }
    Ok(ExitCode::SUCCESS)
}

/// The metadata, or what `inject --json` printed around it.
fn parse(text: &str) -> Result<Metadata, Failure> {
    let bad = |reason: String| Failure::new(2, format!("standard input is not an injection's metadata: {reason}"));
    let mut value: serde_json::Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    if value["metadata"].is_object() {
        value = value["metadata"].take();
    }
    let kind = value["chaos_type"].as_str().unwrap_or_default().to_owned();
    if FaultType::from_name(&kind).is_none() {
        return Err(bad(format!("its chaos_type is {kind:?}; there are {}", FaultType::names())));
    }
    let metadata: Metadata = serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
    metadata.check().map_err(bad)?;
    Ok(metadata)
}
