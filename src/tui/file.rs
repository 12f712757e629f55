//! A file that a person wrote, and what is wrong with it: where, and what was expected there.

use serde::de::DeserializeOwned;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {what}")]
pub struct FileError {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub what: String,
}

impl FileError {
    /// At that byte of the text.
    pub fn at(file: &str, text: &str, byte: usize, what: String) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        Self { file: file.to_owned(), line: before.matches('\n').count() + 1, what }
    }
}

/// The text as TOML.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|error| {
        let byte = error.span().map_or(0, |span| span.start);
        FileError::at(file, text, byte, error.message().to_owned())
    })
}
