//! TiKV's unified log format on standard output, for our lines and for those of raft-rs, which logs through slog.
//! Source: <https://github.com/tikv/rfcs/blob/master/text/0018-unified-log-format.md>.

use std::{
    fmt,
    io::{Stdout, Write, stdout},
    sync::Mutex,
};

use jiff::{Timestamp, tz::TimeZone};
use slog::{Drain, KV as _, Key, Level, Logger, Never, OwnedKVList, Record, Serializer, o};

/// A logger of everything from INFO up.
pub fn to_stdout() -> Logger {
    Logger::root(Unified::<Stdout>(Mutex::new(stdout())), o!())
}

struct Unified<W>(Mutex<W>);

impl<W: Write> Drain for Unified<W> {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        if self.is_enabled(record.level()) {
            let line = line(Timestamp::now(), record, values);
            let mut out = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            // Nobody is left to be told that the log can't be written.
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        }
        Ok(())
    }

    fn is_enabled(&self, level: Level) -> bool {
        level.is_at_least(Level::Info)
    }
}

fn line(now: Timestamp, record: &Record<'_>, values: &OwnedKVList) -> String {
    let level = match record.level() {
        Level::Critical => "FATAL",
        Level::Error => "ERROR",
        Level::Warning => "WARN",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    };
    let time = now.to_zoned(TimeZone::UTC).strftime("%Y/%m/%d %H:%M:%S%.3f +00:00");
    let file = record.file().rsplit('/').next().unwrap_or_default();
    let mut fields = Fields(format!("[{time}] [{level}] [{file}:{}] [", record.line()));
    fields.push_value(&record.msg().to_string());
    fields.0.push(']');
    // Serializing into a string can't fail.
    let _ = record.kv().serialize(record, &mut fields);
    let _ = values.serialize(record, &mut fields);
    fields.0.push('\n');
    fields.0
}

struct Fields(String);

impl Fields {
    /// Quoted as JSON where the format asks for it.
    fn push_value(&mut self, text: &str) {
        let plain = |c: char| c > ' ' && !matches!(c, '"' | '=' | '[' | ']');
        if !text.is_empty() && text.chars().all(plain) {
            self.0.push_str(text);
        } else {
            self.0.push_str(&serde_json::Value::from(text).to_string());
        }
    }
}

impl Serializer for Fields {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.0.push_str(" [");
        self.push_value(key);
        self.0.push('=');
        self.push_value(&value.to_string());
        self.0.push(']');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use slog::{debug, info, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce(&Logger)) -> String {
        let kept = Kept::default();
        log(&Logger::root(Unified(Mutex::new(kept.clone())), o!("region_id" => 2)));
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_as_tikv_writes_it() {
        let line = logged(|log| info!(log, "became leader at term {}", 3; "term" => 3));
        let (time, rest) = line.split_once("] ").unwrap();
        assert_eq!(time.len(), "[2024/01/15 14:20:11.015 +00:00".len(), "{line}");
        assert!(time.ends_with(" +00:00"), "{line}");
        let (level_and_place, rest) = rest.split_once(r#" ["became"#).unwrap();
        assert!(level_and_place.starts_with("[INFO] [log.rs:"), "{line}");
        assert_eq!(rest, " leader at term 3\"] [term=3] [region_id=2]\n");
    }

    #[test]
    fn what_would_break_the_format_is_quoted() {
        let line = logged(|log| warn!(log, "init"; "error" => "a \"b\"\n[c]", "empty" => "", "addr" => "tikv1:20160"));
        assert!(line.ends_with("[init] [addr=tikv1:20160] [empty=\"\"] [error=\"a \\\"b\\\"\\n[c]\"] [region_id=2]\n"));
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn chatter_is_left_out() {
        assert_eq!(logged(|log| debug!(log, "chatter")), "");
    }
}
