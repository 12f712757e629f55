//! Finding text in text: as it is typed into a filter, and loosely, as it is typed into the palette.

use std::cmp::Reverse;

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};

/// Whether the text holds the other one, whatever the case of its ASCII letters.
pub fn holds(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    wanted.is_empty() || text.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted))
}

/// The places of those that have the wanted letters in their order, the best first.
pub fn best(texts: &[String], wanted: &str) -> Vec<usize> {
    if wanted.trim().is_empty() {
        return (0..texts.len()).collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(wanted, CaseMatching::Ignore, Normalization::Never);
    let mut letters = Vec::new();
    let scores = texts.iter().map(|text| pattern.score(Utf32Str::new(text, &mut letters), &mut matcher));
    let scored = scores.enumerate().filter_map(|(at, score)| Some((Reverse(score?), at)));
    let mut scored: Vec<(Reverse<u32>, usize)> = scored.collect();
    scored.sort_unstable();
    scored.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_their_order_are_enough_and_the_nearest_comes_first() {
        let texts = ["revert", "revert_all", "previous_pane", "inject"].map(str::to_owned);
        assert_eq!(best(&texts, "rall"), [1]);
        assert_eq!(best(&texts, "REV")[0], 0);
        assert_eq!(best(&texts, "revert all"), [1]);
        assert_eq!(best(&texts, " "), [0, 1, 2, 3]);
        assert!(best(&texts, "xyz").is_empty());
    }

    #[test]
    fn a_filter_does_not_mind_the_case() {
        assert!(holds("demo-TiKV0-1", "tikv0") && holds("x", "") && !holds("a", "ab"));
    }
}
