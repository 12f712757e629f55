//! Faults with their parameters under a name: those of the configuration file, those that come with the program, and
//! writing a new one down without touching what else stands in the file.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use toml::Value as Toml;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::{
    file::{ConfigFile, usual_place},
    option::parse_ttl,
};
use crate::chaos::{Fault, FaultType, Params, Value};

/// Those that come with the program.
const SHIPPED: &str = include_str!("../../assets/presets.toml");

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    pub name: String,
    pub kind: FaultType,
    pub params: Params,
    /// How long it lasts; what else is the default where nothing is said.
    pub ttl: Option<Duration>,
    /// What it is for, in a line.
    pub about: String,
}

/// What is wrong with a preset: of that name, at that entry of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct PresetError {
    pub name: String,
    pub entry: Option<String>,
    what: String,
}

/// Every preset that can be called: the file's, then those of the program that have no namesake there.
pub fn all(file: Option<&ConfigFile>) -> Vec<Preset> {
    let mut presets = file.map(|file| file.named.clone()).unwrap_or_default();
    let shipped = SHIPPED.parse::<toml::Table>().unwrap_or_default();
    let shipped = shipped.get("presets").and_then(Toml::as_table).and_then(|table| parse(table).ok());
    for preset in shipped.unwrap_or_default() {
        if presets.iter().all(|own| own.name != preset.name) {
            presets.push(preset);
        }
    }
    presets
}

/// What `[presets]` holds.
///
/// # Errors
/// A preset that is no fault, with what was expected.
pub fn parse(table: &toml::Table) -> Result<Vec<Preset>, PresetError> {
    table.iter().map(|(name, entry)| one(name, entry)).collect()
}

fn one(name: &str, entry: &Toml) -> Result<Preset, PresetError> {
    let wrong = |entry: Option<&str>, what: String| PresetError {
        name: name.to_owned(),
        entry: entry.map(str::to_owned),
        what: format!("{name}: {what}"),
    };
    check_name(name).map_err(|what| wrong(None, what))?;
    let table = entry.as_table().ok_or_else(|| wrong(None, format!("expected a table, as in [presets.{name}]")))?;
    let word = |key: &str| match table.get(key) {
        None => Ok(None),
        Some(Toml::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(wrong(Some(key), format!("{key} must be a text in quotation marks"))),
    };
    let expected = || format!("type must be one of {}", FaultType::names());
    let kind = word("type")?.ok_or_else(|| wrong(None, expected()))?;
    let kind = FaultType::from_name(kind).ok_or_else(|| wrong(Some("type"), expected()))?;
    let ttl = word("ttl")?.map(|text| parse_ttl("ttl", text)).transpose().map_err(|what| wrong(Some("ttl"), what))?;
    let about = word("about")?.unwrap_or_default().to_owned();
    let mut params = Params::defaults(kind);
    for (key, entry) in table.iter().filter(|(key, _)| !["type", "ttl", "about"].contains(&key.as_str())) {
        let text = written(entry).ok_or_else(|| {
            wrong(Some(key), format!("{key} must be a number, a text, true, false or a list of texts"))
        })?;
        params = params.over(kind, [(key.clone(), text)]).map_err(|error| wrong(Some(key), error.to_string()))?;
    }
    Fault::from_params(kind, &params).map_err(|error| wrong(None, error.to_string()))?;
    Ok(Preset { name: name.to_owned(), kind, params, ttl: ttl.flatten(), about })
}

/// As the flag would take it.
fn written(entry: &Toml) -> Option<String> {
    match entry {
        Toml::String(text) => Some(text.clone()),
        Toml::Integer(number) => Some(number.to_string()),
        Toml::Boolean(on) => Some(on.to_string()),
        Toml::Array(all) => all.iter().map(written).collect::<Option<Vec<_>>>().map(|all| all.join(",")),
        _ => None,
    }
}

/// # Errors
/// A name that would have to be quoted somewhere, with what is allowed.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=30).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    Err(format!("a preset cannot be called {name:?}; allowed: up to 30 letters, digits, - and _"))
}

/// Writes the preset into that configuration file, else into the usual one, which is made where there is none. Everything
/// else in the file stays as it is, comments and all. Gives where it stands, and every preset that there is now.
///
/// # Errors
/// A namesake in the file, a file that is none or has errors itself, and what keeps it from being written.
pub fn save(file: Option<&Path>, preset: &Preset) -> Result<(String, Vec<Preset>), String> {
    check_name(&preset.name)?;
    let path = file.map(Path::to_owned).or_else(usual_place);
    let path = path.ok_or("neither XDG_CONFIG_HOME nor HOME is set: there is no configuration file to write to")?;
    // What a link leads to is written, and the link stays.
    let path = fs::canonicalize(&path).unwrap_or(path);
    let shown = path.display().to_string();
    let failed = |error: io::Error| format!("{shown} cannot be written: {error}");
    let text = match fs::symlink_metadata(&path) {
        Ok(found) if !found.is_file() => return Err(format!("{shown} is no file that could be written to")),
        Ok(_) => fs::read_to_string(&path).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let text = with(&text, preset).map_err(|what| format!("{shown}: {what}"))?;
    let parsed = ConfigFile::parse(&path, text).map_err(|error| error.to_string())?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    new.write_all(parsed.text.as_bytes()).map_err(failed)?;
    if let Ok(before) = fs::metadata(&path) {
        new.as_file().set_permissions(before.permissions()).map_err(failed)?;
    }
    new.as_file().sync_all().map_err(failed)?;
    new.persist(&path).map_err(|error| failed(error.error))?;
    Ok((shown.clone(), all(Some(&parsed))))
}

/// The text with the preset at its end.
fn with(text: &str, preset: &Preset) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("this is no TOML: {error}"))?;
    let presets = document.entry("presets").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let presets = presets.as_table_like_mut().ok_or("presets must be a table")?;
    if presets.contains_key(&preset.name) {
        return Err(format!("there is a preset {} already: choose another name", preset.name));
    }
    let mut table = Table::new();
    table.insert("type", value(preset.kind.name()));
    for spec in preset.kind.params() {
        let Some(own) = preset.params.get(spec.name).filter(|own| **own != spec.default_value()) else { continue };
        let item = match own {
            Value::Number(number) => value(i64::try_from(*number).unwrap_or(i64::MAX)),
            Value::Switch(on) => value(*on),
            Value::Text(text) => value(text.as_str()),
            Value::List(names) => value(names.iter().map(String::as_str).collect::<Array>()),
        };
        table.insert(spec.name, item);
    }
    if let Some(ttl) = preset.ttl {
        table.insert("ttl", value(humantime::format_duration(ttl).to_string()));
    }
    presets.insert(&preset.name, Item::Table(table));
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Preset>, PresetError> {
        let table: toml::Table = text.parse().unwrap();
        parse(table["presets"].as_table().unwrap())
    }

    #[test]
    fn those_that_come_with_the_program_are_all_faults_and_each_has_a_word_for_it() {
        let shipped = of(SHIPPED).unwrap();
        assert!(shipped.len() > 8);
        assert!(shipped.iter().all(|preset| !preset.about.is_empty()));
        assert_eq!(all(None), shipped);
    }

    #[test]
    fn what_is_no_fault_is_refused_with_what_was_expected() {
        let cases = [
            ("[presets.a]\nmin_ms = 3", "a: type must be one of node_kill, latency", None),
            ("[presets.a]\ntype = \"slow\"", "a: type must be one of node_kill", Some("type")),
            ("[presets.a]\ntype = \"latency\"\nmean = 3", "latency has no parameter \"mean\"", Some("mean")),
            ("[presets.a]\ntype = \"latency\"\nmin_ms = -3", "min_ms cannot be \"-3\"", Some("min_ms")),
            ("[presets.a]\ntype = \"latency\"\nmin_ms = 300", "min_ms 300 is over max_ms 150", None),
            ("[presets.a]\ntype = \"latency\"\nttl = \"soon\"", "ttl cannot be \"soon\"", Some("ttl")),
            ("[presets.a]\ntype = 3", "type must be a text", Some("type")),
            ("[presets.\"a b\"]\ntype = \"latency\"", "a preset cannot be called \"a b\"", None),
            ("[presets]\na = 3", "expected a table, as in [presets.a]", None),
        ];
        for (text, expected, entry) in cases {
            let error = of(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
            assert_eq!(error.entry.as_deref(), entry, "{text}");
        }
    }

    #[test]
    fn a_new_one_is_written_down_and_everything_else_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config.toml");
        let given = [("min_ms", "100"), ("max_ms", "300"), ("to", "pd,tikv"), ("spare_status", "true")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let params = Params::parse(FaultType::Latency, given).unwrap();
        let ttl = Some(Duration::from_secs(300));
        let mut preset = Preset { name: "slow".into(), kind: FaultType::Latency, params, ttl, about: String::new() };
        let (_, now) = save(Some(&path), &preset).unwrap();
        assert_eq!(now[0], preset);
        let before = "# ours\nproject = \"lab\"   # the lab\n\n[keys]\n# mine\nrevert = \"x\"\n";
        fs::write(&path, before).unwrap();
        save(Some(&path), &preset).unwrap();
        let after = fs::read_to_string(&path).unwrap();
        assert!(after.starts_with(before) && after.contains("[presets.slow]\ntype = \"latency\""), "{after}");
        assert!(save(Some(&path), &preset).unwrap_err().contains("there is a preset slow already"));
        preset.name = "../x".into();
        assert!(save(Some(&path), &preset).unwrap_err().contains("allowed: up to 30 letters"));
        preset.name = "other".into();
        assert!(save(Some(Path::new("/dev/null")), &preset).unwrap_err().contains("is no file"));
        fs::write(&path, "colour = 3").unwrap();
        assert!(save(Some(&path), &preset).unwrap_err().contains("there is no setting"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "colour = 3");
    }
}
