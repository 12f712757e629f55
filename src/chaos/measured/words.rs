//! Figures in words: as many digits as are worth reading.

pub(super) fn spread_text(mean_us: f64, spread_us: f64) -> String {
    if spread_us > 0.0 {
        let (mean, spread) = (millis(mean_us), millis(spread_us));
        format!("{mean} ± {spread} ms")
    } else {
        format!("{} ms", millis(mean_us))
    }
}

/// Milliseconds with as many digits as are worth reading.
pub(super) fn millis(us: f64) -> String {
    let ms = us / 1000.0;
    if ms >= 10.0 {
        format!("{ms:.0}")
    } else if ms >= 1.0 {
        short(format!("{ms:.1}"))
    } else {
        short(format!("{ms:.2}"))
    }
}

pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 { format!("{percent:.0}") } else { short(format!("{percent:.1}")) }
}

fn short(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `1.5 M`, `640 k`.
pub(super) fn metric(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 1e9 => (value / 1e9, "G"),
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let digits = if scaled >= 100.0 { format!("{scaled:.0}") } else { short(format!("{scaled:.1}")) };
    format!("{digits} {unit}")
}
