//! `[nodes]` in the configuration file, which the flag `--node` adds to: which containers are nodes.

use toml::Table;

use crate::subject::docker::{ALLOWED, Named};

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be {value}; allowed: {}, in quotation marks", ALLOWED)]
pub struct NodesError {
    pub name: String,
    value: String,
}

/// The entries of the table, in its order.
pub fn parse(table: &Table) -> Result<Vec<(String, Named)>, NodesError> {
    let entry = |(name, value): (&String, &toml::Value)| match value.as_str().and_then(|text| text.parse().ok()) {
        Some(named) if !name.is_empty() => Ok((name.clone(), named)),
        _ => Err(NodesError { name: name.clone(), value: written(value) }),
    };
    table.iter().map(entry).collect()
}

fn written(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| format!("of the type {}", value.type_str()), |text| format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_names_with_what_they_are() {
        let parsed = |text: &str| parse(&toml::from_str(text).unwrap()).map_err(|error| error.to_string());
        let expected = vec![("kv-1".to_owned(), Named::Tikv), ("old".to_owned(), Named::Ignore)];
        assert_eq!(parsed("kv-1 = \"tikv\"\nold = \"ignore\""), Ok(expected));
        let wrong = "\"kv-1\" cannot be \"store\"; allowed: tikv, pd or ignore, in quotation marks";
        assert_eq!(parsed("kv-1 = \"store\""), Err(wrong.to_owned()));
        assert!(parsed("kv-1 = 3").unwrap_err().contains("cannot be of the type integer"));
        assert!(parsed("[kv]\nrole = \"tikv\"").unwrap_err().starts_with("\"kv\" cannot be"));
    }
}
