//! Figures in few columns, always with as many digits as one reads at a glance.

/// Operations a second: `0`, `834`, `1.2k`, `12k`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        rate if !rate.is_finite() || rate < 0.0 => "-".to_owned(),
        rate if rate < 9.95 && rate > 0.0 => format!("{rate:.1}"),
        rate if rate < 999.5 => format!("{rate:.0}"),
        rate if rate < 9_950.0 => format!("{:.1}k", rate / 1e3),
        rate if rate < 999_500.0 => format!("{:.0}k", rate / 1e3),
        rate => format!("{:.1}M", rate / 1e6),
    }
}

/// A time to answer: `0.4 ms`, `12 ms`, `1.2 s`.
pub fn delay(seconds: f64) -> String {
    match seconds * 1e3 {
        ms if !ms.is_finite() || ms < 0.0 => "-".to_owned(),
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 99_500.0 => format!("{:.1} s", ms / 1e3),
        ms => format!("{:.0} s", ms / 1e3),
    }
}

/// What is left of how much, in the unit of the whole: `12.4/19.6G`.
#[expect(clippy::cast_precision_loss, reason = "a figure of three digits")]
pub fn share_of(available: u64, capacity: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    let mut unit = 0;
    let mut size = 1.0;
    while capacity as f64 / size >= 1024.0 && unit + 1 < UNITS.len() {
        size *= 1024.0;
        unit += 1;
    }
    let digits = |bytes: u64| {
        let value = bytes as f64 / size;
        if value < 99.95 && unit > 0 { format!("{value:.1}") } else { format!("{value:.0}") }
    };
    format!("{}/{}{}", digits(available), digits(capacity), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let rates = [0.0, 3.21, 834.4, 999.7, 1_234.0, 56_780.0, 2e6, f64::NAN].map(rate);
        assert_eq!(rates, ["0", "3.2", "834", "1.0k", "1.2k", "57k", "2.0M", "-"]);
        let delays = [0.0004, 0.0123, 0.9996, 12.34, 240.0, f64::INFINITY].map(delay);
        assert_eq!(delays, ["0.4 ms", "12 ms", "1.0 s", "12.3 s", "240 s", "-"]);
        assert_eq!(share_of(13_314_398_617, 21 << 30), "12.4/21.0G");
        assert_eq!(share_of(512, 1_000), "512/1000B");
        assert_eq!(share_of(138 << 30, 854 << 30), "138/854G");
    }
}
