//! The version of a TiKV or PD node, as far as what it does depends on it, and the versions for which a statement holds.

use std::fmt;

/// A release. What comes after the three numbers (`-beta.1`, a build's date) is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl Version {
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// Of `8.5.5`, `v7.5.6` or `8.5.4-20250930-abcdef0`. None of a pre-release, which has what its line of releases did not have
    /// when it was cut, and of anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let (numbers, rest) = text.split_once('-').unwrap_or((text, ""));
        if ["alpha", "beta", "rc", "nightly"].iter().any(|word| rest.starts_with(word)) {
            return None;
        }
        let mut parts = numbers.split('.').map(|part| part.parse().ok());
        let version = Self::new(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }

    /// The versions whose source was read.
    pub fn is_known(self) -> bool {
        (Self::new(6, 5, 0)..Self::new(8, 6, 0)).contains(&self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Ranges of versions, each from its first on and up to its second, which is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions(pub &'static [(Version, Version)]);

/// The first of a line that is not known yet.
const NEXT: Version = Version::new(8, 6, 0);

impl Versions {
    pub const ALL: Self = Self(&[(Version::new(6, 5, 0), NEXT)]);
    /// Where graceful shutdown and the score of the network came.
    pub const SINCE_8_5_5: Self = Self(&[(Version::new(8, 5, 5), NEXT)]);
    pub const SINCE_8_5_4: Self = Self(&[(Version::new(8, 5, 4), NEXT)]);
    pub const SINCE_8_5: Self = Self(&[(Version::new(8, 5, 0), NEXT)]);
    pub const SINCE_7_5: Self = Self(&[(Version::new(7, 5, 0), NEXT)]);

    /// Whether it holds for that version; `None` where the source was not read.
    pub fn has(&self, version: Option<Version>) -> Option<bool> {
        let version = version.filter(|version| version.is_known())?;
        Some(self.0.iter().any(|(from, until)| (*from..*until).contains(&version)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_nodes_spell_them() {
        for (text, version) in [
            ("8.5.5", Some(Version::new(8, 5, 5))),
            ("v7.5.6", Some(Version::new(7, 5, 6))),
            ("6.5.12-standin", Some(Version::new(6, 5, 12))),
            ("v8.5.4-20250930-abcdef0", Some(Version::new(8, 5, 4))),
            ("9.0.0-beta.1", None),
            ("8.5", None),
            ("8.5.5.1", None),
            ("nightly", None),
            ("", None),
        ] {
            assert_eq!(Version::parse(text), version, "{text:?}");
        }
    }

    #[test]
    fn statement_of_unread_version_is_unknown() {
        let at = |text| Versions::SINCE_8_5_5.has(Version::parse(text));
        assert_eq!([at("8.5.4"), at("8.5.5"), at("8.5.9")], [Some(false), Some(true), Some(true)]);
        assert_eq!([at("6.1.0"), at("9.0.0"), at("9.0.0-beta.1"), at("?")], [None; 4]);
    }
}
