//! Sizes and durations as PD, a Go program, prints them.

use std::time::Duration;

/// docker/go-units' BytesSize: binary units and four significant digits, `853.6GiB`.
pub fn bytes_size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    let digits = if size < 10.0 {
        3
    } else if size < 100.0 {
        2
    } else {
        usize::from(size < 1000.0)
    };
    let text = format!("{size:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", units[unit])
}

/// time.Duration's String: `1h5m0.871s`.
pub fn go_duration(duration: Duration) -> String {
    let all = duration.as_secs();
    let fraction = |whole: u64, part: u64, digits: usize| {
        let text = format!("{whole}.{part:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if all == 0 {
        return match duration.subsec_nanos() {
            0 => "0s".to_owned(),
            nanos @ ..1_000 => format!("{nanos}ns"),
            nanos @ ..1_000_000 => fraction(u64::from(nanos / 1_000), u64::from(nanos % 1_000), 3) + "µs",
            nanos => fraction(u64::from(nanos / 1_000_000), u64::from(nanos % 1_000_000), 6) + "ms",
        };
    }
    let (hours, minutes) = (all / 3600, all / 60 % 60);
    let seconds = fraction(all % 60, u64::from(duration.subsec_nanos()), 9);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_go_units() {
        let cases = [
            (0, "0B"),
            (1000, "1000B"),
            (1024, "1KiB"),
            (256 << 20, "256MiB"),
            (916_586_700_000, "853.6GiB"),
            (1023 << 20, "1023MiB"),
            ((12 << 30) + (345 << 20), "12.34GiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(bytes_size(bytes), text);
        }
    }

    #[test]
    fn durations_are_gos() {
        let cases = [
            (Duration::ZERO, "0s"),
            (Duration::from_micros(1500), "1.5ms"),
            (Duration::from_nanos(1_500), "1.5µs"),
            (Duration::new(300, 871_102_157), "5m0.871102157s"),
            (Duration::from_millis(3_600_500), "1h0m0.5s"),
            (Duration::from_secs(20), "20s"),
        ];
        for (duration, text) in cases {
            assert_eq!(go_duration(duration), text);
        }
    }
}
