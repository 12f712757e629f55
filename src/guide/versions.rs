//! Which versions of TiKV a part of a guide is for: `>=8.5.5`, `>=8.5.0 <8.5.4`, `<8.5.4 or unknown`. A version whose source was
//! never read is unknown, as one that no node told: what is said then claims the least.

use serde::Deserialize;
use tikv_chaos_core::Version;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ForVersions {
    /// One of them is enough; of each, all bounds hold.
    ranges: Vec<Vec<Bound>>,
    unknown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    From(Version),
    Before(Version),
}

impl ForVersions {
    pub fn has(&self, version: Option<Version>) -> bool {
        let Some(version) = version.filter(|version| version.is_known()) else { return self.unknown };
        self.ranges.iter().any(|bounds| bounds.iter().all(|bound| bound.admits(version)))
    }
}

impl Default for ForVersions {
    fn default() -> Self {
        Self { ranges: vec![vec![]], unknown: true }
    }
}

impl Bound {
    fn admits(self, version: Version) -> bool {
        match self {
            Self::From(first) => version >= first,
            Self::Before(end) => version < end,
        }
    }

    fn parse(word: &str) -> Option<Self> {
        match word.strip_prefix(">=") {
            Some(first) => Version::parse(first).map(Self::From),
            None => Version::parse(word.strip_prefix('<')?).map(Self::Before),
        }
    }
}

impl TryFrom<String> for ForVersions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut parsed = Self { ranges: vec![], unknown: false };
        for part in text.split(" or ").map(str::trim) {
            if part == "unknown" {
                parsed.unknown = true;
                continue;
            }
            let bounds: Option<Vec<Bound>> = part.split_whitespace().map(Bound::parse).collect();
            let bounds = bounds.filter(|bounds| !bounds.is_empty());
            parsed.ranges.push(bounds.ok_or_else(|| {
                format!("{text:?} names no versions; `>=8.5.5`, `>=8.5.0 <8.5.4` and `<8.5.4 or unknown` do")
            })?);
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &str) -> [bool; 5] {
        let versions = ForVersions::try_from(text.to_owned()).unwrap();
        ["7.5.6", "8.5.3", "8.5.5", "9.1.0", "?"].map(|version| versions.has(Version::parse(version)))
    }

    #[test]
    fn known_versions_are_compared_and_others_are_unknown() {
        assert_eq!(has(">=8.5.5"), [false, false, true, false, false]);
        assert_eq!(has(">=8.5.0 <8.5.4"), [false, true, false, false, false]);
        assert_eq!(has("<8.0.0 or >=8.5.4 or unknown"), [true, false, true, true, true]);
        assert_eq!(has("unknown"), [false, false, false, true, true]);
        assert!(ForVersions::default().has(None) && ForVersions::default().has(Version::parse("8.5.5")));
    }

    #[test]
    fn other_words_are_rejected_with_an_example() {
        for text in ["", "8.5.5", ">=8.5", "=>8.5.5", ">=8.5.5 or", "or unknown"] {
            let error = ForVersions::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(">=8.5.5"), "{error}");
        }
    }
}
