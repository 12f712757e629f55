//! What was typed wrong, in one line that names what is allowed.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::command;
use crate::{
    chaos::{FaultType, InjectionId},
    cli::output::Failure,
};

pub(super) fn unknown_type(name: &str) -> String {
    format!("there is no chaos type {name:?}; there are {}", FaultType::names())
}

/// clap's error in one line, with what is allowed.
pub(super) fn one_line(error: &clap::Error, words: &[OsString]) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let typed: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let in_inject = typed.contains(&"inject");
    let kind = typed.iter().find_map(|word| FaultType::from_name(word)).filter(|_| in_inject);
    match (error.kind(), in_inject) {
        (ErrorKind::InvalidSubcommand, true) => {
            unknown_type(&context(ContextKind::InvalidSubcommand).unwrap_or_default())
        }
        (ErrorKind::UnknownArgument, true) if kind.is_none() => {
            unknown_type(&context(ContextKind::InvalidArg).unwrap_or_default())
        }
        (ErrorKind::UnknownArgument, true) => {
            let given = context(ContextKind::InvalidArg).unwrap_or_default();
            let flags = kind.into_iter().flat_map(FaultType::params).map(|spec| format!("--{}", spec.flag()));
            let flags: Vec<String> = flags
                .chain(["--target", "--random", "--seed", "--ttl", "--dry-run", "--force"].map(str::to_owned))
                .collect();
            let name = kind.map(FaultType::name).unwrap_or_default();
            format!("{name} has no parameter {given}; it takes {}", flags.join(", "))
        }
        (ErrorKind::InvalidSubcommand, false) => {
            let names: Vec<String> = command()
                .get_subcommands()
                .filter(|one| !one.is_hide_set())
                .map(|one| one.get_name().to_owned())
                .collect();
            let given = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("there is no command {given:?}; there are {}", names.join(", "))
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_owned()
        }
    }
}

/// The open injections that are meant by what was typed: whole ids or unique beginnings.
pub fn match_id(typed: &str, known: &[InjectionId]) -> Result<InjectionId, Failure> {
    let found: Vec<&InjectionId> =
        known.iter().filter(|id| id.as_str().starts_with(typed) && !typed.is_empty()).collect();
    let names = |ids: &[InjectionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match found[..] {
        [id] => Ok(id.clone()),
        [] if known.is_empty() => Err(Failure::new(2, format!("there is no injection {typed:?}; nothing is injected"))),
        [] => Err(Failure::new(2, format!("there is no injection {typed:?}; there are {}", names(known)))),
        _ => Err(Failure::new(2, format!("{typed:?} could be any of {}", names(known)))),
    }
}
