//! Faults with their parameters under a name and a key: those that come with the program, and one's own. Reads and
//! writes their text, and knows no file.

use std::{fmt::Write as _, time::Duration};

use serde::Deserialize;
use toml::{Spanned, Value};

use super::file::{self, FileError};
use crate::chaos::{Fault, FaultType, Params};

const SHIPPED: &str = include_str!("../../assets/presets.toml");
/// The keys of those that name none, in this order.
const KEYS: &str = "123456789abcdefghijklmnopqrstuvwxyz";

/// Which node a preset is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// The target stays what it is.
    #[default]
    Selected,
    /// A random running TiKV node.
    Random,
    /// The store that leads the most regions, as PD says.
    MostLeaders,
    /// The store that leads the fewest.
    FewestLeaders,
}

impl Aim {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Selected => "the selected node",
            Self::Random => "a random node",
            Self::MostLeaders => "the node with the most leaders",
            Self::FewestLeaders => "the node with the fewest leaders",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    pub name: String,
    pub key: char,
    pub kind: FaultType,
    pub params: Params,
    pub ttl: Option<Duration>,
    pub aim: Aim,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presets(Vec<Preset>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    preset: Vec<Spanned<One>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    name: Spanned<String>,
    key: Option<Spanned<char>>,
    fault: Spanned<String>,
    #[serde(default)]
    params: toml::map::Map<String, Value>,
    ttl: Option<Spanned<String>>,
    #[serde(default)]
    node: Aim,
}

impl Default for Presets {
    /// Those that come with the program.
    fn default() -> Self {
        // What a test holds to be right.
        Self::parse("presets.toml", SHIPPED).unwrap_or(Self(Vec::new()))
    }
}

impl Presets {
    /// The presets in that text of that file.
    ///
    /// # Errors
    /// Names the file, the line, and what was expected there.
    pub fn parse(file: &str, text: &str) -> Result<Self, FileError> {
        let written: Written = file::read(file, text)?;
        let mut presets: Vec<Preset> = Vec::new();
        let taken: Vec<char> = written.preset.iter().filter_map(|one| one.get_ref().key.as_ref()).map(|key| *key.get_ref()).collect();
        for one in written.preset {
            let start = one.span().start;
            let one = one.into_inner();
            let wrong = |at: usize, what: String| FileError::at(file, text, at, what);
            let name = one.name.get_ref().trim().to_owned();
            if name.is_empty() || presets.iter().any(|other| other.name == name) {
                let what = format!("expected a name of its own for each preset, not {name:?}");
                return Err(wrong(one.name.span().start, what));
            }
            let kind = FaultType::from_name(one.fault.get_ref()).ok_or_else(|| {
                let what = format!("there is no fault {:?}; expected one of {}", one.fault.get_ref(), FaultType::names());
                wrong(one.fault.span().start, what)
            })?;
            let given = one.params.iter().map(|(name, value)| (name.clone(), as_text(value)));
            let params = Params::parse(kind, given).map_err(|error| wrong(start, format!("{name}: {error}")))?;
            Fault::from_params(kind, &params).map_err(|error| wrong(start, format!("{name}: {error}")))?;
            let ttl = match &one.ttl {
                None => None,
                Some(ttl) => Some(humantime::parse_duration(ttl.get_ref()).map_err(|_| {
                    wrong(ttl.span().start, format!("{:?} is no time; expected one such as 90s or 10m", ttl.get_ref()))
                })?),
            };
            let free = |key: &char| !presets.iter().any(|other| other.key == *key);
            let key = match &one.key {
                Some(key) if !free(key.get_ref()) => {
                    let what = format!("the key {} calls another preset already; expected another key", key.get_ref());
                    return Err(wrong(key.span().start, what));
                }
                Some(key) if key.get_ref().is_control() || key.get_ref().is_whitespace() => {
                    return Err(wrong(key.span().start, "expected a key that shows, such as \"s\"".to_owned()));
                }
                Some(key) => *key.get_ref(),
                None => KEYS.chars().find(|key| free(key) && !taken.contains(key)).ok_or_else(|| {
                    wrong(start, format!("{name}: no key is left for it; expected at most {} presets", KEYS.len()))
                })?,
            };
            presets.push(Preset { name, key, kind, params, ttl, aim: one.node });
        }
        Ok(Self(presets))
    }

    pub fn all(&self) -> &[Preset] {
        &self.0
    }

    /// These with one's own over them: the same name or the same key takes the other's place.
    pub fn with(mut self, own: Self) -> Self {
        for preset in own.0 {
            self.put(preset);
        }
        self
    }

    /// Adds a preset, in the place of one of its name; one that has its key gets another, if there is one.
    fn put(&mut self, preset: Preset) {
        self.0.retain(|other| other.name != preset.name);
        if let Some(at) = self.0.iter().position(|other| other.key == preset.key) {
            let free = self.free_key(preset.key);
            match free {
                Some(free) => self.0[at].key = free,
                None => drop(self.0.remove(at)),
            }
        }
        self.0.push(preset);
    }

    fn free_key(&self, besides: char) -> Option<char> {
        KEYS.chars().find(|key| *key != besides && !self.0.iter().any(|other| other.key == *key))
    }

    /// Keeps a fault under that name, and gives the preset; `None` where no key is left for it.
    pub fn keep(&mut self, name: &str, kind: FaultType, params: Params, ttl: Duration) -> Option<Preset> {
        let same = self.0.iter().find(|preset| preset.name == name).map(|preset| preset.key);
        let key = same.or_else(|| self.free_key('\0'))?;
        let preset = Preset { name: name.to_owned(), key, kind, params, ttl: Some(ttl), aim: Aim::Selected };
        self.put(preset.clone());
        Some(preset)
    }
}

impl Preset {
    /// The parameters that are not the default, in a few words.
    pub fn summary(&self) -> String {
        let mut said = self.kind.to_string();
        for spec in self.kind.params() {
            if let Some(value) = self.params.get(spec.name).filter(|value| **value != spec.default_value()) {
                let _ = write!(said, " {}={value}", spec.name);
            }
        }
        said
    }

    /// As it stands in a file.
    pub fn text(&self) -> String {
        let quoted = |text: &str| Value::String(text.to_owned()).to_string();
        let mut text = format!(
            "[[preset]]\nname = {}\nkey = {}\nfault = {}\n",
            quoted(&self.name),
            quoted(&self.key.to_string()),
            quoted(self.kind.name())
        );
        if let Some(ttl) = self.ttl {
            let _ = writeln!(text, "ttl = {}", quoted(&humantime::format_duration(ttl).to_string()));
        }
        let given = self.kind.params().iter().filter_map(|spec| {
            let value = self.params.get(spec.name).filter(|value| **value != spec.default_value())?;
            Some(format!("{} = {}", spec.name, quoted(&value.to_string())))
        });
        let given: Vec<String> = given.collect();
        if !given.is_empty() {
            let _ = writeln!(text, "params = {{ {} }}", given.join(", "));
        }
        text
    }
}

/// A parameter's table reads text, whatever TOML calls the value.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(as_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_ones_are_right_and_each_has_its_key() {
        let presets = Presets::parse("presets.toml", SHIPPED).unwrap();
        assert!(presets.all().len() >= 6);
        for preset in presets.all() {
            assert!(Fault::from_params(preset.kind, &preset.params).is_ok(), "{}", preset.name);
        }
    }

    #[test]
    fn a_preset_is_read_as_it_was_written() {
        let mut presets = Presets::default();
        let given = [("min_ms".to_owned(), "300".to_owned()), ("max_ms".to_owned(), "310".to_owned())];
        let params = Params::parse(FaultType::Latency, given).unwrap();
        let kept = presets.keep("far \"away\"", FaultType::Latency, params, Duration::from_secs(90)).unwrap();
        let read = Presets::parse("own.toml", &kept.text()).unwrap();
        assert_eq!(read.all(), [kept.clone()]);
        assert_eq!(kept.summary(), "latency min_ms=300 max_ms=310");
        let both = Presets::default().with(read);
        assert_eq!(both.all().last(), Some(&kept));
        let mut keys: Vec<char> = both.all().iter().map(|preset| preset.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), both.all().len());
    }

    #[test]
    fn an_error_names_file_line_and_what_was_expected() {
        let error = |text: &str| Presets::parse("own.toml", text).unwrap_err().to_string();
        let head = "[[preset]]\nname = \"a\"\n";
        for (text, line, said) in [
            (format!("{head}fault = \"latencey\""), 3, "expected one of node_kill"),
            (format!("{head}fault = \"latency\"\nttl = \"soon\""), 4, "expected one such as 90s"),
            (format!("{head}fault = \"latency\"\nparams = {{ min_ms = 9000 }}"), 1, "min_ms 9000 is over max_ms 150"),
            (format!("{head}fault = \"latency\"\nparams = {{ mean = 3 }}"), 1, "has no parameter"),
            (format!("{head}falt = \"latency\""), 3, "expected one of"),
            (format!("{head}fault = \"node_kill\"\n{head}fault = \"node_kill\""), 5, "a name of its own"),
        ] {
            let told = error(&text);
            assert!(told.starts_with(&format!("own.toml, line {line}: ")) && told.contains(said), "{told}");
        }
    }
}
