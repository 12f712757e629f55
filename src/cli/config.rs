//! `config`: every setting with its value and where it comes from, or the commented default file.

use std::{collections::BTreeMap, process::ExitCode};

use serde_json::json;

use super::output::{self, Failure};
use crate::config::{
    DEFAULT_FILE, Globals,
    file::{FileError, usual_place},
    option::Setting,
};

pub fn run(globals: &Globals, default: bool, file_error: Option<FileError>) -> Result<ExitCode, Failure> {
    if default {
        output::lines(DEFAULT_FILE.lines());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(error) = file_error {
        return Err(Failure::new(2, error.to_string()));
    }
    let (origins, file, names) = (&globals.origins, globals.file.as_ref(), globals.names());
    if globals.json {
        let tables = file.map(|file| json!({ "keys": file.keys, "presets": file.presets }));
        let nodes: BTreeMap<_, _> = names.iter().map(|(name, named)| (name, named.to_string())).collect();
        let path = file.map(|file| &file.path);
        output::document(&json!({ "file": path, "settings": origins, "tables": tables, "nodes": nodes }));
        return Ok(ExitCode::SUCCESS);
    }
    output::lines([match (file, usual_place()) {
        (Some(file), _) => format!("file: {}", file.path.display()),
        (None, Some(place)) => format!("file: none; {} would be read", place.display()),
        (None, None) => "file: none; neither XDG_CONFIG_HOME nor HOME is set".to_owned(),
    }]);
    let heading = ["SETTING", "VALUE", "FROM", "FLAG"].map(str::to_owned);
    let rows = origins.iter().map(|origin| {
        let flag = Setting::find(origin.name).map(Setting::flag).unwrap_or_default();
        [origin.name.to_owned(), origin.value.clone().unwrap_or_else(|| "-".to_owned()), origin.source.clone(), flag]
    });
    output::table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>());
    if let Some(file) = file {
        output::lines([format!("keys: {} remapped; presets: {}", file.keys.len(), file.presets.len())]);
    }
    let nodes: Vec<String> = names.iter().map(|(name, named)| format!("{name}={named}")).collect();
    if !nodes.is_empty() {
        output::lines([format!("nodes: {}", nodes.join(", "))]);
    }
    Ok(ExitCode::SUCCESS)
}
