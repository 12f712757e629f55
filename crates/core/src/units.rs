//! Sizes and times as TiKV and PD spell them in configurations: TiKV's ReadableSize and ReadableDuration
//! (components/tikv_util/src/config.rs), and Go's durations as far as they have no fraction. Pure.

use std::time::Duration;

const SIZES: [(&str, u32); 5] = [("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
/// In nanoseconds, the longest first, as they must stand.
const TIMES: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Bytes of `64MiB`, `256MB` or `1.5G`: units are binary however they are spelt, and none is bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim() {
        "" | "B" => 0,
        unit => SIZES.iter().find(|(name, _)| [name, &name.replace('i', "")[..], &name[..1]].contains(&unit))?.1,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let bytes = number.parse::<f64>().ok()? * (1_u64 << shift) as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// A time such as `20s`, `1m30s`, `500ms` or `1.5h`, the greater unit first.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut sum, mut units) = (text.trim(), Duration::ZERO, &TIMES[..]);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (name, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let at = units.iter().position(|(unit, _)| *unit == name)?;
        let seconds = number.parse::<f64>().ok()? * (units[at].1 as f64 / 1e9);
        (rest, sum, units) = (after, sum.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?, &units[at + 1..]);
    }
    Some(sum)
}

/// As `/config` has it: `64MiB`, `0KiB`.
pub fn size_text(bytes: u64) -> String {
    let unit = SIZES.into_iter().find(|(_, shift)| bytes.is_multiple_of(1 << shift));
    match unit {
        _ if bytes == 0 => "0KiB".to_owned(),
        Some((name, shift)) => format!("{}{name}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// As `/config` has it: `20s`, `1m30s`, `0s`; what is less than a millisecond is left out.
pub fn duration_text(time: Duration) -> String {
    let mut rest = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, unit) in &TIMES[..5] {
        if rest >= *unit {
            text += &format!("{}{name}", rest / unit);
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_however_they_are_spelt() {
        for text in ["64MiB", "64MB", "64M", " 64 MiB ", "67108864", "67108864B", "0.0625GiB"] {
            assert_eq!(parse_size(text), Some(64 << 20), "{text:?}");
        }
        for text in ["", "MiB", "64mib", "64 apples", "-1MiB", "1.2.3MiB", "99999999999PiB", "64MiB 1", "\u{b5}"] {
            assert_eq!(parse_size(text), None, "{text:?}");
        }
        for (bytes, text) in
            [(0, "0KiB"), (64 << 20, "64MiB"), (1536, "1536B"), (3 << 29, "1536MiB"), (5 << 30, "5GiB")]
        {
            assert_eq!(size_text(bytes), text);
            assert_eq!(parse_size(text), Some(bytes));
        }
    }

    #[test]
    fn durations_are_written_and_read_alike() {
        for (millis, text) in [(0, "0s"), (500, "500ms"), (20_000, "20s"), (90_500, "1m30s500ms"), (86_400_000, "1d")] {
            let time = Duration::from_millis(millis);
            assert_eq!(duration_text(time), text);
            assert_eq!(parse_duration(text), Some(time), "{text}");
        }
        assert_eq!(parse_duration("1.5h"), Some(Duration::from_secs(5400)));
        for text in ["", "20", "s", "20 apples", "5s1m", "1s1s", "-1s", "1e9d", "9999999999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_binary_and_in_tikvs_own_letters() {
        let good = [
            ("256MiB", 256 << 20),
            ("256MB", 256 << 20),
            ("5G", 5 << 30),
            ("0KiB", 0),
            ("0", 0),
            ("1023B", 1023),
            ("1.5GiB", 3 << 29),
            (" 64 MiB ", 64 << 20),
            ("1PiB", 1 << 50),
        ];
        for (text, bytes) in good {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "x", "GiB", "5XB", "5mib", "-1GiB", "1e3", "1.2.3MB", "99999999999999TB", "٣MB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_a_sum_of_units() {
        let good =
            [("20s", 20_000), ("1m30s", 90_000), ("500ms", 500), ("0s", 0), ("30m0s", 1_800_000), ("1.5h", 5_400_000)];
        for (text, millis) in good {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "20", "s", "20x", "1s1m", "1s1s", "-1s", "1e999d", "1s "] {
            let trimmed = text == "1s ";
            assert_eq!(parse_duration(text).is_some(), trimmed, "{text}");
        }
    }
}
