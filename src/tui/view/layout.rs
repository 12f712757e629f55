//! Which pane gets which part of the screen. At the least size the panes share their frames, so that what they say has
//! the room; on a larger one each has a box.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::tui::model::Pane;

#[derive(Debug, Clone, Copy)]
pub struct Areas {
    pub header: Rect,
    pub footer: Rect,
    /// Above the nodes; empty where there is nothing to say.
    pub strip: Rect,
    pub nodes: Rect,
    pub picker: Rect,
    pub active: Rect,
    pub log: Rect,
    /// Each pane has a whole box around it.
    pub boxed: bool,
}

/// A pane's part of the screen, before its frame is drawn.
#[derive(Debug, Clone, Copy)]
pub struct PaneArea {
    pub area: Rect,
    pub pane: Pane,
    /// The pane has a whole box around it.
    pub boxed: bool,
}

impl PaneArea {
    /// Where panes share their frames, this one has the line that it shares with the picker.
    pub fn has_left_line(self) -> bool {
        self.pane == Pane::Active && !self.boxed
    }
}

impl Areas {
    /// Whether there is room for whole boxes.
    pub fn boxed(area: Rect) -> bool {
        area.height >= 32 && area.width >= 100
    }

    pub fn split(area: Rect, strip_rows: u16, node_rows: u16) -> Self {
        let boxed = Self::boxed(area);
        let frame = if boxed { 2 } else { 1 };
        let most_nodes = (area.height * 3 / 10).max(4);
        let nodes = node_rows.clamp(4, most_nodes);
        let log = (area.height / 5).clamp(4, 12) - 2 + u16::from(nodes < most_nodes);
        // A chart takes a part of its room from the log.
        let log = log.saturating_sub(strip_rows / 2).max(2);
        let rows = [
            Constraint::Length(1),
            Constraint::Length(strip_rows),
            Constraint::Length(nodes + frame),
            Constraint::Fill(1),
            Constraint::Length(log + frame),
            Constraint::Length(1),
        ];
        let [header, strip, nodes, middle, log, footer] = Layout::vertical(rows).areas(area);
        let share = if boxed { 55 } else { 53 };
        let left = (u32::from(area.width) * share / 100).min(72);
        let columns = [Constraint::Length(u16::try_from(left).unwrap_or(72)), Constraint::Fill(1)];
        let [picker, active] = Layout::horizontal(columns).areas(middle);
        Self { header, footer, strip, nodes, picker, active, log, boxed }
    }

    pub fn of(&self, pane: Pane) -> PaneArea {
        let area = match pane {
            Pane::Nodes => self.nodes,
            Pane::Picker => self.picker,
            Pane::Active => self.active,
            Pane::Log => self.log,
        };
        PaneArea { area, pane, boxed: self.boxed }
    }
}
