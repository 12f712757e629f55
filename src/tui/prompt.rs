//! A line that is typed at the foot of the screen, and what it is for. What is typed holds at once; Esc takes it back.

use super::model::Model;

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    NodeFilter,
    LogFilter,
    /// What a preset is to be called.
    PresetName,
}

impl Line {
    /// What stands before what is typed.
    pub const fn lead(self) -> &'static str {
        match self {
            Self::NodeFilter => "nodes with: ",
            Self::LogFilter => "lines with: ",
            Self::PresetName => "keep these sliders as: ",
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
        let text = self.line(line).clone();
        self.prompt = Some(Prompt { line, before: text.clone(), text });
    }

    pub(super) fn prompt_insert(&mut self, text: &str) {
        if let Some(prompt) = &mut self.prompt {
            let room = MOST.saturating_sub(prompt.text.chars().count());
            prompt.text.extend(text.chars().filter(|c| !c.is_control()).take(room));
        }
        self.prompt_holds();
    }

    pub(super) fn prompt_erase(&mut self) {
        if let Some(prompt) = &mut self.prompt {
            prompt.text.pop();
        }
        self.prompt_holds();
    }

    pub(super) fn prompt_cancel(&mut self) {
        if let Some(Prompt { line, before, .. }) = self.prompt.take() {
            self.set_line(line, before);
        }
    }

    fn prompt_holds(&mut self) {
        if let Some(Prompt { line, text, .. }) = self.prompt.clone() {
            self.set_line(line, text);
        }
    }

    fn line(&mut self, line: Line) -> &mut String {
        match line {
            Line::NodeFilter => &mut self.filter,
            Line::LogFilter => &mut self.log.filter,
            Line::PresetName => &mut self.naming,
        }
    }

    pub(super) fn set_line(&mut self, line: Line, text: String) {
        *self.line(line) = text;
        match line {
            Line::NodeFilter => self.select_passing(),
            Line::LogFilter => self.log.scroll = 0,
            Line::PresetName => {}
        }
    }
}
