//! Whether a series that a text names, or that a program prints, is one that the facts have for a version.

use super::facts::{self, Kind, LINES};
use crate::{Version, Versions};

/// For each line whose source was read, versions at both ends of what differs.
pub const READ: [Version; 6] = [
    Version::new(6, 5, 12),
    Version::new(7, 5, 6),
    Version::new(8, 5, 0),
    Version::new(8, 5, 3),
    Version::new(8, 5, 4),
    Version::new(8, 5, 5),
];

/// Whether that is so in the version; of an unknown one only what is so in all.
pub fn holds(fact: Versions, version: Option<Version>) -> bool {
    match version {
        Some(_) => fact.has(version) == Some(true),
        None => READ.iter().all(|read| fact.has(Some(*read)) == Some(true)),
    }
}

/// Of `name`, `name{label="value"}` or a line of `/metrics`: an error says what of it no fact bears out.
pub fn series(text: &str, version: Option<Version>) -> Result<(), String> {
    let name = text.split(['{', ' ']).next().unwrap_or_default();
    let histogram = |name: &str| {
        let base = ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part))?;
        facts::metric(base).filter(|metric| metric.kind == Kind::Histogram)
    };
    let metric = facts::metric(name).or_else(|| histogram(name)).filter(|metric| holds(metric.versions, version));
    let Some(metric) = metric else { return Err(format!("no metric {name}")) };
    let labels = text.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
    for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
        let (label, value) = pair.split_once('=').ok_or_else(|| format!("no label in {pair:?}"))?;
        let value = value.trim_matches('"');
        if label == "le" && metric.kind == Kind::Histogram {
            continue;
        }
        let known = metric.labels.iter().find(|one| one.name == label && holds(one.versions, version));
        let known = known.ok_or_else(|| format!("{name} has no label {label}"))?;
        if !known.values.is_empty() && !known.values.iter().any(|(one, of)| *one == value && holds(*of, version)) {
            return Err(format!("{name} has no {label} {value}"));
        }
    }
    Ok(())
}

/// The labels of a metric in that version; none of a metric that it lacks.
pub fn labels(metric: &str, version: Version) -> Vec<&'static str> {
    let labels = facts::metric(metric).into_iter().flat_map(|metric| metric.labels);
    labels.filter(|one| holds(one.versions, Some(version))).map(|one| one.name).collect()
}

/// What that label of a metric may say in that version, where that is not anything.
pub fn values(metric: &str, label: &str, version: Version) -> Vec<&'static str> {
    let labels = facts::metric(metric).into_iter().flat_map(|metric| metric.labels);
    let values = labels.filter(|one| one.name == label).flat_map(|one| one.values);
    values.filter(|(_, of)| holds(*of, Some(version))).map(|(value, _)| *value).collect()
}

/// Of a line of a log, by the part that does not change.
pub fn line(text: &str, version: Option<Version>) -> Result<(), String> {
    let known = |text: &str| LINES.iter().any(|fact| fact.text == text && holds(fact.versions, version));
    let usage = text.strip_prefix(super::log::DISK_USAGE).and_then(|words| words.split_once("->"));
    let right = match usage {
        Some((was, is)) => {
            known(super::log::DISK_USAGE) && [was, is].iter().all(|word| super::log::DISK_USAGES.contains(word))
        }
        None => known(text),
    };
    if right { Ok(()) } else { Err(format!("no line {text:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_those_of_their_version() {
        let at = |text, version| series(text, Version::parse(version));
        let network = "tikv_raftstore_slow_score{type=\"network\"} 50";
        assert_eq!(at(network, "8.5.5"), Ok(()));
        assert_eq!(at(network, "8.5.4"), Err("tikv_raftstore_slow_score has no type network".into()));
        assert_eq!(at(network, "6.5.12"), Err("tikv_raftstore_slow_score has no label type".into()));
        assert!(at(network, "9.1.0").is_err() && at("tikv_raftstore_slow_score 1", "6.5.12").is_ok());
        let bucket = "tikv_grpc_msg_duration_seconds_bucket{type=\"raw_get\",le=\"0.1\"} 7";
        assert!(at(bucket, "7.5.6").is_ok() && at(bucket, "?").is_ok());
        assert_eq!(at("tikv_store_size_bytes_count", "8.5.5"), Err("no metric tikv_store_size_bytes_count".into()));
    }

    #[test]
    fn lines_are_those_of_their_version() {
        let at = |text, version| line(text, Version::parse(version)).is_ok();
        assert!(at("disk usage Normal->AlreadyFull", "7.5.6") && !at("disk usage Normal->Full", "7.5.6"));
        assert!(at("Waiting for leader eviction", "8.5.5") && !at("Waiting for leader eviction", "?"));
        assert!(!at("propose failed: tikv disk full", "8.5.5"));
    }
}
