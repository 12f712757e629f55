//! `report`: what happened in a session, from its file in the journal or from where ended ones are laid aside.

use std::{fmt, path::Path, path::PathBuf, process::ExitCode};

use super::{
    output::{self, Failure},
    progress, settle,
};
use crate::{
    config::Config,
    report::{Report, html, markdown},
    session::Injection,
};

/// How many sessions an error names.
const NAMED: usize = 5;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    #[default]
    Md,
    Html,
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Md => "md",
            Self::Html => "html",
            Self::Json => "json",
        })
    }
}

pub async fn run(config: &Config, session: &str, format: Format, output: Option<&Path>) -> Result<ExitCode, Failure> {
    let mut told = config.store.tell(&find(config, session)?)?;
    let mut not_compared = None;
    if told.0.injections.iter().any(Injection::is_open) {
        let subject = config.subject(progress());
        not_compared = settle::settle(config, &subject).await.err().map(|error| error.to_string());
        subject.release().await;
        told = config.store.tell(&find(config, session)?)?;
    }
    let (file, raw) = told;
    let report = Report { not_compared, ..Report::of(&file, &raw) };
    let text = match format {
        _ if config.json => json(&report)?,
        Format::Json => json(&report)?,
        Format::Md => markdown(&report),
        Format::Html => html(&report),
    };
    match output {
        None => output::lines(text.lines()),
        Some(path) => {
            let failed = |error: std::io::Error| Failure::new(1, format!("cannot write {}: {error}", path.display()));
            std::fs::write(path, text.trim_end().to_owned() + "\n").map_err(failed)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json(report: &Report) -> Result<String, Failure> {
    serde_json::to_string_pretty(report).map_err(|error| Failure::new(1, error.to_string()))
}

/// The file of the session that is meant. Names begin with the time, so the last in order is the last in time.
fn find(config: &Config, wanted: &str) -> Result<PathBuf, Failure> {
    let mut files = config.store.told()?;
    let name = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    files.sort_by_key(name);
    if wanted == "last" {
        let none = || Failure::new(2, format!("there is no session yet in {}", config.state_dir.display()));
        return files.pop().ok_or_else(none);
    }
    let newest = |files: &[PathBuf]| files.iter().rev().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
    let found: Vec<PathBuf> = files.iter().filter(|path| name(path).starts_with(wanted)).cloned().collect();
    match &found[..] {
        [path] => Ok(path.clone()),
        [] if files.is_empty() => Err(Failure::new(2, format!("there is no session {wanted:?}; there is none yet"))),
        [] => Err(Failure::new(2, format!("there is no session {wanted:?}; the newest are {}", newest(&files)))),
        several => Err(Failure::new(2, format!("{wanted:?} could be any of {}", newest(several)))),
    }
}
