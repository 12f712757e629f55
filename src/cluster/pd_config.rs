//! PD's own configuration (`/pd/api/v1/config`), as far as something here uses it. It is the whole cluster's, whichever PD
//! gives it. Pure.
//!
//! Shape: tikv/pd pkg/schedule/config/config.go and server/config/config.go, at v6.5.12, v7.5.6, v8.5.5 and master.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tikv_chaos_core::units::parse_duration;

use super::pd;

/// What PD said of its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PdConfig {
    /// `schedule.max-store-down-time`: after that PD makes the replicas of a silent store anew on others.
    pub max_store_down_time_ms: Option<u64>,
}

impl PdConfig {
    pub fn max_store_down_time(&self) -> Option<Duration> {
        self.max_store_down_time_ms.map(Duration::from_millis)
    }
}

/// The answer, or what is wrong with it. A time that cannot be understood is not known.
pub fn parse(text: &str) -> Result<PdConfig, String> {
    let answer: Answer = pd::parse(text)?;
    let Some(schedule) = answer.schedule else { return Err("answered no configuration of PD".to_owned()) };
    let time = schedule.max_store_down_time.as_ref().and_then(Value::as_str).and_then(parse_duration);
    Ok(PdConfig { max_store_down_time_ms: time.and_then(|time| u64::try_from(time.as_millis()).ok()) })
}

#[derive(Deserialize)]
struct Answer {
    schedule: Option<Schedule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Schedule {
    max_store_down_time: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_until_replicas_move_is_read_as_go_writes_it() {
        let of = |time: &str| parse(&format!(r#"{{"schedule":{{"max-store-down-time":{time}}}}}"#));
        let minutes = |count: u64| Ok(PdConfig { max_store_down_time_ms: Some(count * 60_000) });
        assert_eq!(of("\"30m0s\""), minutes(30));
        assert_eq!(of("\"1h0m0s\""), minutes(60));
        for odd in ["30", "\"soon\"", "null", "{}"] {
            assert_eq!(of(odd), Ok(PdConfig::default()), "{odd}");
        }
        assert_eq!(parse("{}"), Err("answered no configuration of PD".to_owned()));
        assert!(parse(r#"{"schedule":{"max-"#).unwrap_err().contains("half a JSON document"));
    }
}
