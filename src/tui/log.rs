//! The last things that happened, as the log pane shows them. The whole story is in the log file.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::{matching::holds, message::Level};

/// More than anybody scrolls back to.
const KEPT: usize = 500;

#[derive(Debug, Clone)]
pub struct Entry {
    pub at: Timestamp,
    pub level: Level,
    pub text: String,
}

/// How grave an entry must be to be shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    #[default]
    Any,
    Warn,
    Error,
}

#[derive(Debug, Clone, Default)]
pub struct Log {
    pub entries: VecDeque<Entry>,
    /// Shown entries between the last one and the lowest one on the screen.
    pub scroll: usize,
    /// What is looked for.
    pub filter: String,
    /// Entries without it are shown as well.
    pub with_others: bool,
    pub least: Gravity,
}

impl Log {
    pub fn push(&mut self, at: Timestamp, level: Level, text: String) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        let entry = Entry { at, level, text };
        // What somebody scrolled back to stays where it is.
        self.scroll += usize::from(self.scroll > 0 && self.shows(&entry));
        self.entries.push_back(entry);
    }

    /// What is shown, the oldest first.
    pub fn shown(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|entry| self.shows(entry))
    }

    pub fn is_hit(&self, entry: &Entry) -> bool {
        !self.filter.is_empty() && holds(&entry.text, &self.filter)
    }

    fn shows(&self, entry: &Entry) -> bool {
        let gravity = match entry.level {
            Level::Info | Level::Done => Gravity::Any,
            Level::Warn => Gravity::Warn,
            Level::Error => Gravity::Error,
        };
        gravity >= self.least && (self.with_others || self.filter.is_empty() || self.is_hit(entry))
    }

    /// Goes to the next hit that is older, or newer, than the lowest entry on the screen.
    pub fn jump(&mut self, older: bool) {
        let shown = self.shown().rev().enumerate();
        let hits: Vec<usize> = shown.filter(|(_, entry)| self.is_hit(entry)).map(|(at, _)| at).collect();
        let hit = match older {
            true => hits.into_iter().find(|at| *at > self.scroll),
            false => hits.into_iter().rev().find(|at| *at < self.scroll),
        };
        self.scroll = hit.unwrap_or(self.scroll);
    }

    pub fn next_gravity(&mut self) {
        self.scroll = 0;
        self.least = match self.least {
            Gravity::Any => Gravity::Warn,
            Gravity::Warn => Gravity::Error,
            Gravity::Error => Gravity::Any,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let mut log = Log::default();
        for at in 0..100 {
            let (level, text) = match at % 10 {
                0 => (Level::Error, format!("tikv{at} is gone")),
                5 => (Level::Warn, format!("tikv{at} is late")),
                _ => (Level::Info, format!("line {at}")),
            };
            log.push(Timestamp::UNIX_EPOCH, level, text);
        }
        log
    }

    fn texts(log: &Log) -> Vec<&str> {
        log.shown().map(|entry| entry.text.as_str()).collect()
    }

    #[test]
    fn what_is_looked_for_and_how_grave_it_must_be_hold_together() {
        let mut log = log();
        assert_eq!(texts(&log).len(), 100);
        log.filter = "TIKV9".to_owned();
        assert_eq!(texts(&log), ["tikv90 is gone", "tikv95 is late"]);
        log.next_gravity();
        log.next_gravity();
        assert_eq!(texts(&log), ["tikv90 is gone"]);
        log.with_others = true;
        assert_eq!(texts(&log).len(), 10);
        log.next_gravity();
        assert_eq!(texts(&log).len(), 100);
    }

    #[test]
    fn hits_are_visited_one_by_one_and_what_comes_in_moves_nothing() {
        let mut log = log();
        (log.filter, log.with_others) = ("gone".to_owned(), true);
        log.jump(true);
        assert_eq!(log.scroll, 9);
        log.jump(true);
        assert_eq!(log.scroll, 19);
        log.push(Timestamp::UNIX_EPOCH, Level::Info, "news".to_owned());
        log.jump(false);
        assert_eq!(log.scroll, 10);
        log.jump(false);
        assert_eq!(log.scroll, 10, "there is no newer one");
        log.with_others = false;
        log.push(Timestamp::UNIX_EPOCH, Level::Info, "not shown".to_owned());
        assert_eq!(log.scroll, 10);
    }
}
