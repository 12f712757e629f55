//! What a user says of containers: `--node NAME=tikv` and `[nodes]` in the configuration. Pure.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// What a container is by `--node` or `[nodes]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Tikv,
    Pd,
    /// No node, whatever it looks like.
    Ignore,
}

pub const ALLOWED: &str = "tikv, pd or ignore";

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tikv" => Ok(Self::Tikv),
            "pd" => Ok(Self::Pd),
            "ignore" => Ok(Self::Ignore),
            _ => Err(format!("{text:?} is not allowed; allowed: {ALLOWED}")),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tikv => "tikv",
            Self::Pd => "pd",
            Self::Ignore => "ignore",
        })
    }
}

/// `NAME=ROLE`, as the flag takes it. A container's name has no `=`.
pub fn parse(text: &str) -> Result<(String, Named), String> {
    match text.split_once('=') {
        Some((name, role)) if !name.is_empty() => Ok((name.to_owned(), role.parse()?)),
        _ => Err("allowed: NAME=tikv, NAME=pd or NAME=ignore, with the name of a container".to_owned()),
    }
}

/// Everything that was said, by the name of a container, of a Compose service, or an id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(BTreeMap<String, Named>);

impl FromIterator<(String, Named)> for Names {
    /// Of two for one name the later holds.
    fn from_iter<T: IntoIterator<Item = (String, Named)>>(said: T) -> Self {
        Self(said.into_iter().collect())
    }
}

impl Names {
    pub fn iter(&self) -> impl Iterator<Item = (&str, Named)> {
        self.0.iter().map(|(name, named)| (name.as_str(), *named))
    }

    /// What was said of a container: by its own name, else by its id, of which twelve digits are enough, else by its service.
    pub fn of(&self, id: &str, name: &str, service: Option<&str>) -> Option<Named> {
        let by_id = || self.0.iter().find(|(said, _)| said.len() >= 12 && id.starts_with(said.as_str()));
        let found = self.0.get(name).or_else(|| by_id().map(|(_, named)| named));
        found.or_else(|| self.0.get(service?)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_is_a_name_and_what_that_is() {
        assert_eq!(parse("kv-1=tikv"), Ok(("kv-1".into(), Named::Tikv)));
        assert_eq!(parse("kv-1=ignore"), Ok(("kv-1".into(), Named::Ignore)));
        for wrong in ["kv-1", "=tikv", "kv-1=", "kv-1=TiKV", "kv-1=store"] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains("tikv") && error.contains("ignore"), "{wrong}: {error}");
        }
    }

    #[test]
    fn container_is_meant_by_its_name_before_its_service() {
        let said = [("kv", Named::Tikv), ("db", Named::Pd), ("0123456789ab", Named::Ignore), ("0123", Named::Pd)];
        let names: Names = said.into_iter().map(|(name, named)| (name.to_owned(), named)).collect();
        let id = "0123456789abcdef";
        assert_eq!(names.of("ffff", "kv", Some("db")), Some(Named::Tikv));
        assert_eq!(names.of("ffff", "other", Some("db")), Some(Named::Pd));
        assert_eq!(names.of(id, "other", Some("db")), Some(Named::Ignore));
        assert_eq!(names.of("ffff", "other", None), None);
    }
}
