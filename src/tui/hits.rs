//! Where on the last drawn screen a click would mean something, and how far things there can be scrolled. Made by
//! `view`, kept in the model, asked by `update`.

use ratatui::layout::{Position, Rect};

use super::{keys::Action, model::Pane};
use crate::chaos::FaultType;

/// What lies under the mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    Pane(Pane),
    Node(usize),
    /// Where a node's mark stands, or would.
    Mark(usize),
    Kind(FaultType),
    Field(usize),
    /// A slider's track, with where it is.
    Track(usize, Rect),
    Active(usize),
    /// What the palette offers there.
    Offer(usize),
    /// A preset of the list.
    Preset(usize),
    Act(Action),
    /// A dialog lies over everything.
    Shade,
}

#[derive(Debug, Clone, Default)]
pub struct HitMap {
    areas: Vec<(Rect, Hit)>,
    pub(super) too_small: bool,
    /// Not even a glance at the nodes is shown.
    pub(super) blind: bool,
    /// The greatest useful scroll of the popup, of the picker's commands and of the log.
    pub(super) popup: usize,
    pub(super) commands: usize,
    pub(super) log: usize,
}

impl HitMap {
    pub(super) fn add(&mut self, area: Rect, hit: Hit) {
        self.areas.push((area, hit));
    }

    /// What was drawn last at that place.
    pub(super) fn at(&self, column: u16, row: u16) -> Option<Hit> {
        let place = Position::new(column, row);
        self.areas.iter().rev().find(|(area, _)| area.contains(place)).map(|(_, hit)| *hit)
    }

    /// The pane at that place, whatever lies in it.
    pub(super) fn pane_at(&self, column: u16, row: u16) -> Option<Pane> {
        let place = Position::new(column, row);
        self.areas.iter().rev().filter(|(area, _)| area.contains(place)).find_map(|(_, hit)| match hit {
            Hit::Pane(pane) => Some(*pane),
            _ => None,
        })
    }

    #[cfg(test)]
    pub(super) fn area_of(&self, wanted: impl Fn(Hit) -> bool) -> Option<Rect> {
        self.areas.iter().rev().find(|(_, hit)| wanted(*hit)).map(|(area, _)| *area)
    }
}
