//! The last things that happened, as the log pane shows them. The whole story is in the log file.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::message::Level;

/// More than anybody scrolls back to, few enough to be laid out anew in every frame.
const KEPT: usize = 200;

#[derive(Debug, Clone)]
pub struct Entry {
    pub at: Timestamp,
    pub level: Level,
    pub text: String,
}

#[derive(Debug, Clone, Default)]
pub struct Log {
    pub entries: VecDeque<Entry>,
    /// Lines between the last one and the lowest one shown.
    pub scroll: usize,
}

impl Log {
    pub fn push(&mut self, at: Timestamp, level: Level, text: String) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { at, level, text });
        // What somebody scrolled back to stays where it is.
        self.scroll += usize::from(self.scroll > 0);
    }
}
