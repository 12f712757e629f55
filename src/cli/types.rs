//! `types`: the table of parameters, printed.

use std::process::ExitCode;

use serde_json::json;

use super::output::{self, Failure};
use crate::{
    chaos::{FaultType, Kind, ParamSpec},
    config::Config,
};

#[expect(clippy::unnecessary_wraps, reason = "every subcommand ends alike")]
pub fn run(config: &Config) -> Result<ExitCode, Failure> {
    if config.json {
        let types = FaultType::ALL
            .map(|kind| json!({ "chaos_type": kind.name(), "summary": kind.summary(), "parameters": kind.params() }));
        output::document(&json!({ "types": types }));
    } else {
        for kind in FaultType::ALL {
            output::lines([format!("{kind}: {}", kind.summary())]);
            output::lines(kind.params().iter().map(line));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(spec: &ParamSpec) -> String {
    let values = match spec.kind {
        Kind::Number { unit, least, most, default, .. } => format!("{least}..{most} {unit}, default {default}"),
        Kind::Choice { options, default } => format!("{}, default {default}", options.join("|")),
        Kind::Switch { default } => format!("true|false, default {default}"),
        Kind::Text { empty } | Kind::List { empty } => format!("default {empty}"),
    };
    format!("  --{:<14} {} ({values})", spec.flag(), spec.help)
}
