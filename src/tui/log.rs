//! The last things that happened, as the log pane shows them: all, or the lines of a filter, with a search in them. The
//! whole story is in the log file.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::{matching::holds, message::Level};

/// More than anybody scrolls back to.
const KEPT: usize = 1_000;

#[derive(Debug, Clone)]
pub struct Entry {
    pub at: Timestamp,
    pub level: Level,
    pub text: String,
}

#[derive(Debug, Clone, Default)]
pub struct Log {
    pub entries: VecDeque<Entry>,
    /// Entries between the last one and the lowest one shown.
    pub scroll: usize,
    /// Only entries with this are shown.
    pub filter: String,
    /// This is shown where it stands.
    pub search: String,
}

impl Log {
    pub fn push(&mut self, at: Timestamp, level: Level, text: String) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { at, level, text });
        // What somebody scrolled back to stays where it is.
        let shown = self.entries.back().is_some_and(|entry| self.passes(entry));
        self.scroll += usize::from(self.scroll > 0 && shown);
    }

    pub fn passes(&self, entry: &Entry) -> bool {
        self.filter.is_empty() || holds(&entry.text, &self.filter) || entry.level.word() == self.filter
    }

    /// Those that pass, the newest first.
    pub fn shown(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().rev().filter(|entry| self.passes(entry))
    }

    pub fn is_found(&self, entry: &Entry) -> bool {
        !self.search.is_empty() && holds(&entry.text, &self.search)
    }

    /// Scrolls to the nearest entry with what is searched for that lies so many entries back or more.
    pub fn find(&mut self, from: usize) {
        let mut shown = self.shown().enumerate().skip(from);
        if let Some((at, _)) = shown.find(|(_, entry)| self.is_found(entry)) {
            self.scroll = at;
        }
    }

    /// As [`Log::find`], towards the newest.
    pub fn find_newer(&mut self) {
        let newer: Vec<usize> =
            self.shown().take(self.scroll).enumerate().filter(|(_, entry)| self.is_found(entry)).map(|(at, _)| at).collect();
        if let Some(at) = newer.last() {
            self.scroll = *at;
        }
    }
}
