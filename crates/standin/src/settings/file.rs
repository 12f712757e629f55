//! A TOML file's values by table and key. An error is one sentence with the file, the key, the value and what is allowed.

use std::{fs, path::Path, time::Duration};

use toml::{Table, Value};

use tikv_chaos_core::units::{parse_duration, parse_size};

const SIZE: &str = "a size such as 64MiB or 256MB";
const TIME: &str = "a time such as 20s or 1m30s";

/// As it is written, as far as that fits into a sentence.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        other => format!("of the type {}", other.type_str()),
    }
}

pub struct File {
    name: String,
    table: Table,
}

impl File {
    /// None is an empty file.
    pub fn load(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self { name: String::new(), table: Table::new() }) };
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| format!("{name}: cannot be read: {error}"))?;
        Self::parse(&name, &text)
    }

    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(table) => Ok(Self { name: name.to_owned(), table }),
            Err(error) => {
                let error: toml::de::Error = error;
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                Err(format!("{name}: line {line}: {}", error.message().replace('\n', " ")))
            }
        }
    }

    pub fn refused(&self, why: &str) -> String {
        format!("{}: {why}", self.name)
    }

    /// The empty name is the file's top.
    fn table(&self, name: &str) -> Result<Option<&Table>, String> {
        match self.table.get(name) {
            _ if name.is_empty() => Ok(Some(&self.table)),
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(table)),
            Some(other) => Err(self.refused(&format!("{name} cannot be {}; allowed: a table", shown(other)))),
        }
    }

    fn value<T>(
        &self,
        table: &str,
        key: &str,
        allowed: &str,
        parse: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.table(table)?.and_then(|table| table.get(key)) else { return Ok(None) };
        let dot = if table.is_empty() { "" } else { "." };
        let refused = || self.refused(&format!("{table}{dot}{key} cannot be {}; allowed: {allowed}", shown(value)));
        parse(value).map(Some).ok_or_else(refused)
    }

    /// That the table has no other keys.
    pub fn only(&self, table: &str, known: &[&str]) -> Result<(), String> {
        let keys = self.table(table)?.into_iter().flat_map(Table::keys);
        match keys.into_iter().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(self.refused(&format!("{table}.{key} is not known; allowed: {}", known.join(", ")))),
            None => Ok(()),
        }
    }

    /// In bytes, of a text with a unit or of a bare number.
    pub fn size(&self, table: &str, key: &str) -> Result<Option<u64>, String> {
        self.value(table, key, SIZE, |value| match value {
            Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            value => value.as_str().and_then(parse_size),
        })
    }

    pub fn duration(&self, table: &str, key: &str) -> Result<Option<Duration>, String> {
        self.value(table, key, TIME, |value| value.as_str().and_then(parse_duration))
    }

    /// A duration that is not zero.
    pub fn time(&self, table: &str, key: &str) -> Result<Option<Duration>, String> {
        self.value(table, key, "a time of more than nothing, such as 500ms or 10s", |value| {
            value.as_str().and_then(parse_duration).filter(|time| !time.is_zero())
        })
    }

    /// From 1 on.
    pub fn count(&self, table: &str, key: &str) -> Result<Option<u32>, String> {
        self.value(table, key, "a whole number from 1 on", |value| {
            value.as_integer().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
        })
    }

    pub fn number(&self, table: &str, key: &str) -> Result<Option<f64>, String> {
        self.value(table, key, "a number", |value| {
            value.as_float().or_else(|| value.as_integer().map(|number| number as f64))
        })
    }

    pub fn text(&self, table: &str, key: &str) -> Result<Option<String>, String> {
        self.value(table, key, "a text in quotes", |value| value.as_str().map(str::to_owned))
    }
}
