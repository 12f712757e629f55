//! A TiKV node's own configuration as its status port gives it (`GET /config`), as far as something here uses it. The
//! whole document is some 100 kB. Any value may be missing or spelt in an unknown way: then it is not known,
//! and the rest is. Pure.
//!
//! Shapes: tikv/tikv src/config/mod.rs, src/storage/config.rs and src/server/config.rs, at v6.5.12, v7.5.6, v8.5.5 and
//! master.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tikv_chaos_core::units::{parse_duration, parse_size};

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
    /// `pd.endpoints`.
    pub pd_endpoints: Vec<String>,
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
    let endpoints = answer.pd.as_ref().and_then(|pd| pd.get("endpoints")?.as_array());
    let pd_endpoints = endpoints.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(NodeConfig {
        reserve_space: unclear.size("storage.reserve-space", storage.reserve_space),
        reserve_raft_space: unclear.size("storage.reserve-raft-space", storage.reserve_raft_space),
        data_dir: unclear.text("storage.data-dir", storage.data_dir),
        capacity: unclear.size("raftstore.capacity", raftstore.capacity),
        raft_dir,
        graceful_shutdown_timeout_ms: unclear
            .millis("server.graceful-shutdown-timeout", server.graceful_shutdown_timeout),
        io_rate_limit: unclear.size("storage.io-rate-limit.max-bytes-per-sec", limit),
        pd_endpoints,
        unclear: unclear.0,
    })
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
        let bytes = value.as_u64().or_else(|| parse_size(value.as_str()?));
        bytes.or_else(|| self.note(name, &value, "size"))
    }

    fn millis(&mut self, name: &str, value: Option<Value>) -> Option<u64> {
        let value = value?;
        let time = value.as_str().and_then(parse_duration).and_then(|time| u64::try_from(time.as_millis()).ok());
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
    pd: Option<Value>,
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
        "raft-engine": {"enable": true, "dir": "/data/raft-engine"},
        "pd": {"endpoints": ["pd0:2379", "pd1:2379"], "retry-interval": "300ms"}
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
            pd_endpoints: vec!["pd0:2379".into(), "pd1:2379".into()],
            unclear: vec![],
        };
        assert_eq!(parse(WHOLE), Ok(expected));
        let off = WHOLE.replace("\"enable\": true", "\"enable\": false");
        assert_eq!(parse(&off).unwrap().raft_dir.as_deref(), Some("/data/raft"));
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
