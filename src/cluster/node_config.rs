//! A TiKV node's own configuration as its status port gives it (`GET /config`), as far as something here uses it. The
//! whole document is some 100 kB. Any value may be missing or spelt in a way that nobody knows: then it is not known,
//! and the rest is. Pure.
//!
//! Shapes: tikv/tikv src/config/mod.rs, src/storage/config.rs, src/server/config.rs, and ReadableSize and
//! ReadableDuration of components/tikv_util/src/config.rs, at v6.5.12, v7.5.6, v8.5.5 and master.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pd;

/// What one node said of its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeConfig {
    /// `storage.reserve-space` in bytes; 0 switches TiKV's look at its disks off.
    pub reserve_space: Option<u64>,
    /// `storage.reserve-raft-space` in bytes: of the Raft log's disk where that is another one.
    pub reserve_raft_space: Option<u64>,
    /// `storage.data-dir`.
    pub data_dir: Option<String>,
    /// `raftstore.capacity` in bytes; 0 is no limit.
    pub capacity: Option<u64>,
    /// Where the Raft log is: `raft-engine.dir`, or `raftstore.raftdb-path` where raft-engine is switched off.
    pub raft_dir: Option<String>,
    /// `server.graceful-shutdown-timeout`, since v8.5.5; 0 is none.
    pub graceful_shutdown_timeout_ms: Option<u64>,
    /// `storage.io-rate-limit.max-bytes-per-sec`; 0 is no limit.
    pub io_rate_limit: Option<u64>,
    /// What it said that cannot be understood, a clause each.
    pub unclear: Vec<String>,
}

/// The answer to `GET /config`, or what is wrong with it.
pub fn parse(text: &str) -> Result<NodeConfig, String> {
    let answer: Answer = pd::parse(text)?;
    let Some(storage) = answer.storage else { return Err("answered no configuration of TiKV".to_owned()) };
    let (raftstore, server) = (answer.raftstore.unwrap_or_default(), answer.server.unwrap_or_default());
    let raft_engine = answer.raft_engine.unwrap_or_default();
    let mut unclear = Unclear::default();
    let raft_dir = match raft_engine.enable {
        Some(Value::Bool(false)) => unclear.text("raftstore.raftdb-path", raftstore.raftdb_path),
        _ => unclear.text("raft-engine.dir", raft_engine.dir),
    };
    let limit = storage.io_rate_limit.as_ref().and_then(|limit| limit.get("max-bytes-per-sec")).cloned();
    Ok(NodeConfig {
        reserve_space: unclear.size("storage.reserve-space", storage.reserve_space),
        reserve_raft_space: unclear.size("storage.reserve-raft-space", storage.reserve_raft_space),
        data_dir: unclear.text("storage.data-dir", storage.data_dir),
        capacity: unclear.size("raftstore.capacity", raftstore.capacity),
        raft_dir,
        graceful_shutdown_timeout_ms: unclear
            .millis("server.graceful-shutdown-timeout", server.graceful_shutdown_timeout),
        io_rate_limit: unclear.size("storage.io-rate-limit.max-bytes-per-sec", limit),
        unclear: unclear.0,
    })
}

/// Bytes, of a size as TiKV spells it: `5GiB`, `256MB` and `0KiB`, all binary, in its own letters.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "K" | "KB" | "KiB" => 10,
        "M" | "MB" | "MiB" => 20,
        "G" | "GB" | "GiB" => 30,
        "T" | "TB" | "TiB" => 40,
        "P" | "PB" | "PiB" => 50,
        _ => return None,
    };
    let unit = 1_u64 << shift;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let bytes = number.parse::<f64>().ok()? * unit as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// A time as TiKV and PD spell it: `20s`, `1m30s`, `500ms`, the greater unit first.
pub fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)];
    let (mut rest, mut sum, mut units) = (text.trim(), Duration::ZERO, &UNITS[..]);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (name, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let at = units.iter().position(|(unit, _)| *unit == name)?;
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * units[at].1).ok()?;
        (rest, sum, units) = (after, sum.checked_add(part)?, &units[at + 1..]);
    }
    Some(sum)
}

/// Collects what cannot be understood, and gives what can.
#[derive(Default)]
struct Unclear(Vec<String>);

impl Unclear {
    fn note<T>(&mut self, name: &str, value: &Value, what: &str) -> Option<T> {
        // It is printed, and may be anything.
        let shown: String = value.to_string().chars().take(40).collect();
        self.0.push(format!("{name} is {shown}, which is no {what}"));
        None
    }

    fn size(&mut self, name: &str, value: Option<Value>) -> Option<u64> {
        let value = value?;
        // TiKV writes a number where no unit divides the size.
        let bytes = value.as_u64().or_else(|| size(value.as_str()?));
        bytes.or_else(|| self.note(name, &value, "size"))
    }

    fn millis(&mut self, name: &str, value: Option<Value>) -> Option<u64> {
        let value = value?;
        let time = value.as_str().and_then(duration).and_then(|time| u64::try_from(time.as_millis()).ok());
        time.or_else(|| self.note(name, &value, "time"))
    }

    /// An empty one says nothing.
    fn text(&mut self, name: &str, value: Option<Value>) -> Option<String> {
        let value = value?;
        match value.as_str() {
            Some("") => None,
            Some(text) => Some(text.to_owned()),
            None => self.note(name, &value, "text"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Answer {
    storage: Option<Storage>,
    raftstore: Option<Raftstore>,
    raft_engine: Option<RaftEngine>,
    server: Option<Server>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Storage {
    reserve_space: Option<Value>,
    reserve_raft_space: Option<Value>,
    data_dir: Option<Value>,
    io_rate_limit: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Raftstore {
    capacity: Option<Value>,
    raftdb_path: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RaftEngine {
    enable: Option<Value>,
    dir: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Server {
    graceful_shutdown_timeout: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{
        "log": {"level": "info"},
        "server": {"addr": "0.0.0.0:20160", "graceful-shutdown-timeout": "20s"},
        "storage": {
            "data-dir": "/data", "reserve-space": "256MiB", "reserve-raft-space": "1GiB",
            "io-rate-limit": {"max-bytes-per-sec": "0KiB", "mode": "write-only"}
        },
        "raftstore": {"capacity": "0KiB", "raftdb-path": "/data/raft"},
        "raft-engine": {"enable": true, "dir": "/data/raft-engine"}
    }"#;

    #[test]
    fn configuration_is_read_as_tikv_writes_it() {
        let expected = NodeConfig {
            reserve_space: Some(256 << 20),
            reserve_raft_space: Some(1 << 30),
            data_dir: Some("/data".into()),
            capacity: Some(0),
            raft_dir: Some("/data/raft-engine".into()),
            graceful_shutdown_timeout_ms: Some(20_000),
            io_rate_limit: Some(0),
            unclear: vec![],
        };
        assert_eq!(parse(WHOLE), Ok(expected));
        let off = WHOLE.replace("\"enable\": true", "\"enable\": false");
        assert_eq!(parse(&off).unwrap().raft_dir.as_deref(), Some("/data/raft"));
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
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "x", "GiB", "5XB", "5mib", "-1GiB", "1e3", "1.2.3MB", "99999999999999TB", "٣MB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_a_sum_of_units() {
        let good =
            [("20s", 20_000), ("1m30s", 90_000), ("500ms", 500), ("0s", 0), ("30m0s", 1_800_000), ("1.5h", 5_400_000)];
        for (text, millis) in good {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "20", "s", "20x", "1s1m", "1s1s", "-1s", "1e999d", "1s "] {
            let trimmed = text == "1s ";
            assert_eq!(duration(text).is_some(), trimmed, "{text}");
        }
    }

    #[test]
    fn value_that_cannot_be_understood_is_named_and_the_rest_is_known() {
        let odd = WHOLE.replace("\"256MiB\"", "\"256 bananas\"").replace("\"20s\"", "20").replace("\"/data\"", "[]");
        let read = parse(&odd).unwrap();
        assert_eq!(
            (read.reserve_space, read.graceful_shutdown_timeout_ms, read.data_dir, read.capacity),
            (None, None, None, Some(0))
        );
        let expected = [
            "storage.reserve-space is \"256 bananas\", which is no size",
            "storage.data-dir is [], which is no text",
            "server.graceful-shutdown-timeout is 20, which is no time",
        ];
        assert_eq!(read.unclear, expected);
        // A size that no unit divides is a number; what an older version lacks is not known and nothing is wrong.
        let old = parse(r#"{"storage":{"reserve-space":1000,"data-dir":""},"raftstore":null}"#).unwrap();
        assert_eq!(old, NodeConfig { reserve_space: Some(1000), ..NodeConfig::default() });
    }

    #[test]
    fn document_of_another_shape_is_an_error_that_says_how() {
        let half = &WHOLE[..WHOLE.len() / 2];
        let cases = [
            (half, "answered half a JSON document"),
            ("", "answered nothing"),
            ("{}", "answered no configuration of TiKV"),
            (r#"{"error":"no"}"#, "answered no configuration of TiKV"),
            (r#"{"storage":"none"}"#, "wrong at storage"),
            ("[1]", "answered"),
            ("storage.reserve-space = \"5GiB\"", "not JSON"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
