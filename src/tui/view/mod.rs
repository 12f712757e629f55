//! The model as a screen: a file for each pane. Changes nothing; gives back where things are, for the mouse.

mod active;
mod chart;
mod dialog;
mod field;
mod footer;
mod guide;
mod header;
mod help;
mod layout;
mod log;
mod measured;
mod node_table;
mod nodes;
mod opened;
mod palette;
mod pen;
mod picker;
mod popup;
mod presets;
mod store_cells;
mod strip;
mod timeline;
mod too_small;

use ratatui::buffer::Buffer;

use self::{layout::Areas, pen::Pen};
use super::{
    HitMap, Model,
    model::{Dialog, Pane},
};

/// The smallest terminal on which the whole screen fits.
pub const LEAST_WIDTH: u16 = 80;
pub const LEAST_HEIGHT: u16 = 24;

/// Draws the model on an empty buffer; [`Model::drawn`] wants what this gives.
pub fn view(model: &Model, buffer: &mut Buffer) -> HitMap {
    let area = buffer.area;
    let mut pen = Pen::new(model, buffer);
    if area.width < LEAST_WIDTH || area.height < LEAST_HEIGHT {
        too_small::draw(&mut pen, area);
        return pen.into_hits();
    }
    let boxed = Areas::boxed(area);
    let areas = Areas::split(area, strip::rows_wanted(model, area, boxed), nodes::rows_wanted(model));
    header::draw(&mut pen, areas.header);
    strip::draw(&mut pen, areas.strip);
    nodes::draw(&mut pen, areas.of(Pane::Nodes));
    match &model.picker.held {
        Some(held) => opened::draw(&mut pen, areas.of(Pane::Picker), held),
        None => picker::draw(&mut pen, areas.of(Pane::Picker)),
    }
    active::draw(&mut pen, areas.of(Pane::Active));
    log::draw(&mut pen, areas.of(Pane::Log));
    pen.joints(&areas);
    footer::draw(&mut pen, areas.footer);
    match &model.dialog {
        None => {}
        Some(Dialog::Palette(palette)) => palette::draw(&mut pen, area, palette),
        Some(Dialog::Timeline) => timeline::draw(&mut pen, area),
        Some(Dialog::Presets(at)) => presets::draw(&mut pen, area, *at),
        Some(Dialog::Help) => help::draw(&mut pen, area),
        Some(Dialog::Commands) => popup::commands(&mut pen, area),
        Some(Dialog::Guide(id)) => guide::popup(&mut pen, area, id.as_ref()),
        Some(Dialog::Measured(id)) => measured::popup(&mut pen, area, id),
        Some(Dialog::ByHand(id)) => popup::undo(&mut pen, area, id),
        Some(question) => dialog::draw(&mut pen, area, question),
    }
    pen.into_hits()
}
