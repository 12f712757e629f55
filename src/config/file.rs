//! The configuration file: found, read, and checked down to the line, so that nothing in it is silently ignored.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    nodes,
    option::{SETTINGS, Setting, Shape, parse_ttl},
    preset::{self, Preset},
};
use crate::{
    subject::docker::Named,
    tui::{Keymap, theme},
};

/// Tables that are not made of settings: what the keys do, faults with a name, and which containers are nodes.
const TABLES: [&str; 3] = ["keys", "presets", "nodes"];

/// A configuration file that could be used.
#[derive(Debug, Clone, Default)]
pub struct ConfigFile {
    pub path: PathBuf,
    /// Its whole text, for errors in the tables that others read.
    pub text: String,
    /// What it sets, as the flag would take it, with its line.
    pub values: BTreeMap<&'static str, (String, usize)>,
    /// `[keys]` as it stands there: an action's name to one key or several.
    pub keys: toml::Table,
    /// The keys that hold with it.
    pub keymap: Keymap,
    /// `[presets]` as it stands there.
    pub presets: toml::Table,
    /// The faults that it names.
    pub named: Vec<Preset>,
    /// `[nodes]`: which containers are nodes.
    pub nodes: Vec<(String, Named)>,
}

/// What is wrong with it, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {reason}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct FileError {
    pub path: PathBuf,
    pub line: Option<usize>,
    pub reason: String,
}

/// `$XDG_CONFIG_HOME/tikv-chaos/config.toml`, by default below `~/.config` (XDG Base Directory Specification 0.8).
pub fn usual_place() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    folder.map(|folder| folder.join("tikv-chaos/config.toml"))
}

impl ConfigFile {
    /// The one that was named, which must be there, else the usual one if it is there.
    pub fn load(named: Option<&Path>) -> Result<Option<Self>, FileError> {
        let Some(path) = named.map(Path::to_owned).or_else(usual_place) else { return Ok(None) };
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, text).map(Some),
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError { path, line: None, reason: format!("it cannot be read: {error}") }),
        }
    }

    pub fn parse(path: &Path, text: String) -> Result<Self, FileError> {
        let at = |offset: usize, reason: String| {
            let line = text.get(..offset).unwrap_or(&text).matches('\n').count() + 1;
            FileError { path: path.to_owned(), line: Some(line), reason }
        };
        let no_toml = |error: toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start);
            at(offset, format!("this is no TOML: {}", error.message().replace('\n', " ")))
        };
        let document = DeTable::parse(&text).map_err(no_toml)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut values = BTreeMap::new();
        for (key, value) in document.get_ref() {
            let name = key.get_ref().as_ref();
            let start = key.span().start;
            if TABLES.contains(&name) {
                if !value.get_ref().is_table() {
                    return Err(at(start, format!("{name} must be a table, as in [{name}]")));
                }
                continue;
            }
            let setting = Setting::find(name).ok_or_else(|| at(start, unknown(name)))?;
            let text = plain(setting, value, folder).map_err(|reason| at(start, reason))?;
            let line = at(start, String::new()).line.unwrap_or_default();
            values.insert(setting.name, (text, line));
        }
        let whole: toml::Table = toml::from_str(&text).map_err(no_toml)?;
        let table = |name: &str| whole.get(name).and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let (keys, presets) = (table("keys"), table("presets"));
        let keymap = Keymap::from_table(&keys)
            .map_err(|error| at(place(document.get_ref(), "keys", &error.action), format!("[keys]: {error}")))?;
        let named = preset::parse(&presets).map_err(|error| {
            let start = place_in(document.get_ref(), "presets", &error.name, error.entry.as_deref());
            at(start, format!("[presets]: {error}"))
        })?;
        let nodes = nodes::parse(&table("nodes"))
            .map_err(|error| at(place(document.get_ref(), "nodes", &error.name), format!("[nodes]: {error}")))?;
        Ok(Self { path: path.to_owned(), values, keys, keymap, presets, named, nodes, text })
    }
}

/// Where in the text the entry of a table begins.
fn place(document: &DeTable, table: &str, name: &str) -> usize {
    let table = document.get(table).and_then(|table| table.get_ref().as_table());
    let mut entries = table.into_iter().flatten();
    entries.find(|(key, _)| key.get_ref().as_ref() == name).map_or(0, |(key, _)| key.span().start)
}

/// Where an entry of that entry begins, or that itself.
fn place_in(document: &DeTable, table: &str, name: &str, entry: Option<&str>) -> usize {
    let within = || {
        let inner = document.get(table)?.get_ref().as_table()?.get(name)?.get_ref().as_table()?;
        inner.iter().find(|(key, _)| Some(key.get_ref().as_ref()) == entry).map(|(key, _)| key.span().start)
    };
    within().unwrap_or_else(|| place(document, table, name))
}

fn unknown(name: &str) -> String {
    let dashed = name.replace('-', "_");
    let meant = if Setting::find(&dashed).is_some() { format!("; {dashed} is meant, perhaps") } else { String::new() };
    let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    let tables: Vec<String> = TABLES.iter().map(|name| format!("[{name}]")).collect();
    format!("there is no setting {name:?}{meant}; there are {}, {}", names.join(", "), tables.join(", "))
}

/// The value as the flag would take it.
fn plain(setting: &Setting, value: &Spanned<DeValue>, folder: &Path) -> Result<String, String> {
    let name = setting.name;
    let value = value.get_ref();
    let expected = |what: &str| Err(format!("{name} cannot be {}; allowed: {what}", written(value)));
    match (setting.shape, value) {
        (Shape::Text, DeValue::String(text)) if !text.is_empty() => Ok(text.to_string()),
        (Shape::Text, _) => expected("a text in quotation marks"),
        (Shape::Path, DeValue::String(text)) if !text.is_empty() => {
            Ok(folder.join(text.as_ref()).to_string_lossy().into_owned())
        }
        (Shape::Path, _) => expected("a path in quotation marks"),
        (Shape::Theme, DeValue::String(text)) if theme::file::is_path(text) => {
            Ok(folder.join(text.as_ref()).to_string_lossy().into_owned())
        }
        (Shape::Theme, DeValue::String(text)) if !text.is_empty() => Ok(text.to_string()),
        (Shape::Theme, _) => expected("the name of a theme or the path of its file, in quotation marks"),
        (Shape::Count, DeValue::Integer(number))
            if number.radix() == 10 && number.as_str().parse::<usize>().is_ok() =>
        {
            Ok(number.as_str().to_owned())
        }
        (Shape::Count, _) => expected("a whole number, 0 or more"),
        (Shape::Time, DeValue::String(text)) if humantime::parse_duration(text).is_ok() => Ok(text.to_string()),
        (Shape::Time, _) => expected("a time in quotation marks, such as \"90s\" or \"30m\""),
        (Shape::Ttl, DeValue::String(text)) => parse_ttl(name, text).map(|_| text.to_string()),
        (Shape::Ttl, _) => expected("\"1s\" to \"7d\", such as \"90s\" or \"10m\", or \"none\""),
        (Shape::Switch, DeValue::Boolean(on)) => Ok(on.to_string()),
        (Shape::Switch, _) => expected("true or false"),
    }
}

fn written(value: &DeValue) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Boolean(on) => on.to_string(),
        other => format!("a {}", other.type_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, String> {
        ConfigFile::parse(Path::new("/etc/chaos/config.toml"), text.to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_set_is_kept_with_its_line() {
        let text = "# ours\nproject = \"lab\"\nmax_active = 1_000\npd_ca = \"pki/ca.pem\"\nread_only = true\n\
                    ttl = \"none\"\n[keys]\nrevert = \"x\"\n[presets.slow]\ntype = \"latency\"\n[nodes]\nkv-1 = \"tikv\"\n";
        let file = parse(text).unwrap();
        let value = |name: &str| file.values[name].clone();
        assert_eq!(value("project"), ("lab".to_owned(), 2));
        assert_eq!(value("max_active"), ("1000".to_owned(), 3));
        assert_eq!(value("pd_ca"), ("/etc/chaos/pki/ca.pem".to_owned(), 4));
        assert_eq!(value("read_only"), ("true".to_owned(), 5));
        assert_eq!(file.keys["revert"].as_str(), Some("x"));
        assert_eq!(file.presets["slow"]["type"].as_str(), Some("latency"));
        assert_eq!(file.nodes, [("kv-1".to_owned(), Named::Tikv)]);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_file_the_line_and_what_was_expected() {
        let cases = [
            ("project = lab", ":1: this is no TOML"),
            ("\n\nproject = \"a\"\nproject = \"b\"", ":4: this is no TOML: duplicate key"),
            ("\nmax-active = 3", ":2: there is no setting \"max-active\"; max_active is meant, perhaps"),
            ("colour = true", ":1: there is no setting \"colour\"; there are project, ttl"),
            ("\nmax_active = -1", ":2: max_active cannot be -1; allowed: a whole number"),
            ("max_active = \"3\"", "max_active cannot be \"3\""),
            ("max_ttl = \"soon\"", "max_ttl cannot be \"soon\"; allowed: a time"),
            ("ttl = \"8d\"", "ttl cannot be \"8d\"; allowed: 1s to 7d"),
            ("ttl = 10", "ttl cannot be 10; allowed: \"1s\" to \"7d\""),
            ("read_only = \"yes\"", "read_only cannot be \"yes\"; allowed: true or false"),
            ("project = \"\"", "project cannot be \"\""),
            ("state_dir = 7", "state_dir cannot be 7; allowed: a path"),
            ("theme = 3", "theme cannot be 3; allowed: the name of a theme or the path"),
            ("no_motion = 1", "no_motion cannot be 1; allowed: true or false"),
            ("keys = 3", ":1: keys must be a table"),
            (
                "[keys]\nhelp = \"F1\"\ninjekt = \"i\"",
                ":3: [keys]: there is no action \"injekt\"; expected one of inject,",
            ),
            ("[keys]\n\nrevert = \"Hyper-r\"", ":3: [keys]: revert: there is no key \"Hyper-r\"; expected a character"),
            (
                "[presets.a]\ntype = \"latency\"\nmin_ms = 300",
                ":1: [presets]: a: min_ms 300 is over max_ms 150; min_ms must be at most max_ms",
            ),
            (
                "[presets.a]\ntype = \"latency\"\n\nmin = 3",
                ":4: [presets]: a: latency has no parameter \"min\"; it takes min_ms,",
            ),
            (
                "[nodes]\nkv-1 = \"tikv\"\nkv-2 = \"store\"",
                ":3: [nodes]: \"kv-2\" cannot be \"store\"; allowed: tikv, pd or ignore",
            ),
            ("nodes = [\"kv-1\"]", ":1: nodes must be a table"),
            ("keys.revert = \"i\"", ":1: [keys]: the key i cannot be both revert"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("/etc/chaos/config.toml:") && error.contains(expected), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
