//! TiKV's ReadableSize and ReadableDuration (components/tikv_util/src/config.rs). Pure.

use std::time::Duration;

const SIZES: [(&str, u32); 5] = [("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
/// In milliseconds, the longest first, as they must stand.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

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

/// Of `20s`, `1m30s`, `500ms` or `1.5h`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut millis = 0.0;
    let mut from = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let at = TIMES.iter().position(|(name, _)| *name == unit).filter(|at| *at >= from)?;
        millis += number.parse::<f64>().ok()? * TIMES[at].1 as f64;
        (from, rest) = (at + 1, after);
    }
    (from > 0).then(|| Duration::try_from_secs_f64(millis / 1000.0).ok()).flatten()
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

/// As `/config` has it: `20s`, `1m30s`, `0s`.
pub fn duration_text(time: Duration) -> String {
    let mut millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, unit) in TIMES {
        if millis >= unit {
            text += &format!("{}{name}", millis / unit);
            millis %= unit;
        }
    }
    text
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
}
