//! A line that is being typed at the foot of the screen, and what it is for.

use super::model::Model;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    NodeFilter,
    LogFilter,
    Search,
    PresetName,
}

impl Line {
    /// What stands before what is typed.
    pub const fn lead(self) -> &'static str {
        match self {
            Self::NodeFilter => "nodes with: ",
            Self::LogFilter => "log lines with: ",
            Self::Search => "search the log: ",
            Self::PresetName => "name of the preset: ",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub line: Line,
    pub text: String,
    /// What it was before.
    before: String,
}

/// As much as a name or a filter may be.
const MOST: usize = 60;

impl Model {
    pub(super) fn ask_for(&mut self, line: Line) {
        let before = match line {
            Line::NodeFilter => self.filter.clone(),
            Line::LogFilter => self.log.filter.clone(),
            Line::Search => self.log.search.clone(),
            Line::PresetName => String::new(),
        };
        let text = if line == Line::Search { String::new() } else { before.clone() };
        self.prompt = Some(Prompt { line, text, before });
    }

    pub(super) fn prompt_insert(&mut self, text: &str) {
        let Some(prompt) = &mut self.prompt else { return };
        let room = MOST.saturating_sub(prompt.text.chars().count());
        prompt.text.extend(text.chars().filter(|c| !c.is_control()).take(room));
        self.prompt_shows();
    }

    pub(super) fn prompt_erase(&mut self) {
        if let Some(prompt) = &mut self.prompt {
            prompt.text.pop();
        }
        self.prompt_shows();
    }

    pub(super) fn prompt_cancel(&mut self) {
        if let Some(prompt) = self.prompt.take() {
            self.take_line(prompt.line, prompt.before);
        }
    }

    /// What is typed is shown at once.
    fn prompt_shows(&mut self) {
        if let Some(Prompt { line, text, .. }) = self.prompt.clone() {
            self.take_line(line, text);
        }
    }

    fn take_line(&mut self, line: Line, text: String) {
        match line {
            Line::NodeFilter => {
                self.filter = text;
                self.select_shown();
            }
            Line::LogFilter => {
                self.log.filter = text;
                self.log.scroll = 0;
            }
            Line::Search => {
                self.log.search = text;
                self.log.find(0);
            }
            Line::PresetName => {}
        }
    }

    /// The selected node is one that is shown.
    pub(super) fn select_shown(&mut self) {
        if self.target().is_some_and(|node| self.passes(node)) {
            return;
        }
        if let Some(first) = self.nodes().iter().position(|node| self.passes(node)) {
            self.node = first;
        }
    }
}
