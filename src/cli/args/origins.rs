//! Where each setting has its value from: the flag, else the environment, else the file, else its default.

use clap::{ArgMatches, Command, parser::ValueSource};

use super::command;
use crate::config::{
    Layer, Origin,
    file::ConfigFile,
    option::{DEFAULT_TTL, SETTINGS, Setting, Shape},
};

/// The file's values take the place of the defaults, so that clap itself puts flags and environment before them.
pub(super) fn with_file(command: Command, file: &ConfigFile) -> Command {
    file.values.iter().filter(|(name, _)| **name != "ttl").fold(command, |command, (name, (value, _))| {
        let value = value.clone();
        command.mut_arg(*name, |arg| arg.default_value(value))
    })
}

/// The variable that sets how long an injection lasts. Not clap's to read: the flag belongs to `inject` alone.
const TTL_VARIABLE: &str = "TIKV_CHAOS_TTL";

/// How long an injection lasts where its flag says nothing.
pub(super) fn ttl(file: Option<&ConfigFile>) -> Origin {
    let said = std::env::var(TTL_VARIABLE).ok().filter(|text| !text.is_empty());
    let said = said.map(|text| (text, Layer::Environment, TTL_VARIABLE.to_owned()));
    let said = said.or_else(|| file.and_then(|file| in_file(file, "ttl")));
    let (value, from, source) = said.unwrap_or((DEFAULT_TTL.to_owned(), Layer::Default, "default".to_owned()));
    Origin { name: "ttl", value: Some(value), from, source }
}

fn in_file(file: &ConfigFile, name: &str) -> Option<(String, Layer, String)> {
    let (value, line) = file.values.get(name)?;
    Some((value.clone(), Layer::File, format!("{}:{line}", file.path.display())))
}

/// Every setting with its value and where clap took it from.
pub(super) fn origins(matches: &ArgMatches, file: Option<&ConfigFile>, ttl: Origin) -> Vec<Origin> {
    let of = |setting: &'static Setting| {
        let name = setting.name;
        let variable = || {
            let command = command();
            let arg = command.get_arguments().find(|arg| arg.get_id() == name);
            arg.and_then(|arg| arg.get_env()).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let raw = matches.get_raw(name).and_then(|mut values| values.next());
        let typed = match setting.shape {
            Shape::Switch => Some(matches.get_flag(name).to_string()),
            _ => raw.map(|value| value.to_string_lossy().into_owned()),
        };
        let (from, source) = match matches.value_source(name) {
            Some(ValueSource::CommandLine) => (Layer::Flag, setting.flag()),
            Some(ValueSource::EnvVariable) => (Layer::Environment, variable()),
            _ => file
                .and_then(|file| in_file(file, name))
                .map_or((Layer::Default, "default".to_owned()), |(_, from, source)| (from, source)),
        };
        Origin { name, value: typed, from, source }
    };
    let settings = SETTINGS.iter().map(|setting| if setting.shape == Shape::Ttl { ttl.clone() } else { of(setting) });
    settings.collect()
}
