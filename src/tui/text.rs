//! Text to measure: cut, padded and wrapped by the columns it takes, and spans of time in words.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::glyphs::Glyphs;

pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// Whether every character takes one column and is one by itself: ASCII, arrows, and what frames, bars and signs are drawn
/// with. Such a text can be drawn character by character.
pub fn is_plain(text: &str) -> bool {
    // The two small squares behind the last one are wide (Unicode's EastAsianWidth.txt).
    text.chars().all(|c| matches!(c, ' '..='~' | '\u{2190}'..='\u{21ff}' | '\u{2500}'..='\u{25fc}'))
}

/// The text cleaned and cut to at most `width` columns; what was cut shows as an ellipsis.
pub fn fit(glyphs: Glyphs, text: &str, width: usize) -> String {
    let clean = glyphs.clean(text);
    if self::width(&clean) <= width {
        return clean.into_owned();
    }
    if width == 0 {
        return String::new();
    }
    let mut cut = head(&clean, width - 1).to_owned();
    cut.push_str(glyphs.ellipsis());
    cut
}

/// As [`fit`], cut at the front: the names of a cluster's nodes differ at their end.
pub fn fit_end(glyphs: Glyphs, text: &str, width: usize) -> String {
    let clean = glyphs.clean(text);
    let over = self::width(&clean).saturating_sub(width);
    if over == 0 || width == 0 {
        return fit(glyphs, &clean, width);
    }
    let mut cut = 0;
    let tail = clean.char_indices().find(|(_, c)| {
        let enough = cut > over;
        cut += c.width().unwrap_or(0);
        enough
    });
    let tail = tail.map_or("", |(at, _)| &clean[at..]);
    format!("{}{tail}", glyphs.ellipsis())
}

/// [`fit`], filled up with blanks to exactly `width` columns.
pub fn pad(glyphs: Glyphs, text: &str, width: usize) -> String {
    let mut padded = fit(glyphs, text, width);
    padded.extend(std::iter::repeat_n(' ', width.saturating_sub(self::width(&padded))));
    padded
}

/// The beginning of the text that takes at most `width` columns.
fn head(text: &str, width: usize) -> &str {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += c.width().unwrap_or(0);
        if taken > width {
            return &text[..at];
        }
    }
    text
}

/// The text cleaned and broken into lines of at most `width` columns, between words where that can be.
pub fn wrap(glyphs: Glyphs, text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let clean = glyphs.clean(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in clean.split(' ').filter(|word| !word.is_empty()) {
        let gap = usize::from(!line.is_empty());
        if self::width(&line) + gap + self::width(word) <= width {
            line.push_str(&" "[..gap]);
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        let mut rest = word;
        while self::width(rest) > width {
            let part = head(rest, width);
            lines.push(part.to_owned());
            rest = &rest[part.len()..];
        }
        line.push_str(rest);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A span of time in its two greatest units: `9m 12s`.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// As [`span`], by the minute alone.
pub fn minutes(seconds: i64) -> String {
    if seconds < 60 { "<1m".to_owned() } else { coarse_span(seconds) }
}

/// As [`span`], with seconds only below a minute, so that it seldom changes.
pub fn coarse_span(seconds: i64) -> String {
    if (60..3_600).contains(&seconds) { format!("{}m", seconds / 60) } else { span(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLYPHS: Glyphs = Glyphs::new(true);

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(fit(GLYPHS, "世界世界", 5), "世界…");
        assert_eq!(fit(GLYPHS, "世界世界", 4), "世…");
        assert_eq!(pad(GLYPHS, "世", 4), "世  ");
        assert_eq!(fit(GLYPHS, "abc", 0), "");
        assert_eq!(fit_end(GLYPHS, "abcdef", 4), "…def");
        assert_eq!(fit_end(GLYPHS, "世界世界", 6), "…世界");
        assert_eq!(fit_end(GLYPHS, "abc", 3), "abc");
    }

    #[test]
    fn what_is_drawn_character_by_character_takes_a_column_each() {
        for c in (' '..='\u{ffff}').filter(|c| is_plain(&c.to_string())) {
            assert_eq!(c.width(), Some(1), "{c:?}");
        }
        for text in ["世", "\u{1b}[0m", "a\u{301}", "☀\u{fe0f}"] {
            assert!(!is_plain(text), "{text:?}");
        }
    }

    #[test]
    fn lines_break_between_words_and_inside_only_what_is_too_long() {
        assert_eq!(wrap(GLYPHS, "tc qdisc add dev eth0", 9), ["tc qdisc", "add dev", "eth0"]);
        assert_eq!(wrap(GLYPHS, "a 123456789", 4), ["a", "1234", "5678", "9"]);
        assert_eq!(wrap(GLYPHS, "", 4), [""]);
        assert_eq!(wrap(GLYPHS, "世界", 1), ["世", "界"]);
    }

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, text) in
            [(-3, "0s"), (59, "59s"), (552, "9m 12s"), (3_840, "1h 4m"), (90_000, "1d 1h"), (600, "10m 0s")]
        {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(coarse_span(552), "9m");
        assert_eq!(coarse_span(42), "42s");
        assert_eq!([-1, 59, 60, 552, 3_840].map(minutes), ["<1m", "<1m", "1m", "9m", "1h 4m"]);
    }
}
