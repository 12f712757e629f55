//! The name of one injection: eight hexadecimal digits, short enough to type and to fit in an iptables chain's name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

/// Exactly eight lower-case hexadecimal digits. Parsing refuses anything else, because the text ends up in
/// the names of kernel objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct InjectionId(String);

impl InjectionId {
    pub fn from_number(number: u32) -> Self {
        Self(format!("{number:08x}"))
    }

    pub fn random() -> Self {
        Self::from_number(rand::random())
    }

    /// The eight digits as a number.
    pub fn number(&self) -> u32 {
        u32::from_str_radix(&self.0, 16).unwrap_or_default()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InjectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an injection's id: eight hexadecimal digits, such as 1f0c93ab")]
pub struct BadId(String);

impl FromStr for InjectionId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 8 && text.bytes().all(hex) { Ok(Self(text.to_owned())) } else { Err(BadId(text.to_owned())) }
    }
}

impl<'de> Deserialize<'de> for InjectionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_eight_lower_case_hex_digits_are_an_id() {
        assert!("1f0c93ab".parse::<InjectionId>().is_ok());
        for bad in ["", "1f0c93a", "1f0c93abc", "1F0C93AB", "1f0c93a;", "-j DROP "] {
            assert!(bad.parse::<InjectionId>().is_err(), "{bad:?}");
        }
    }
}
