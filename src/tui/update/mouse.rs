//! Clicks, drags and the wheel, by what the last drawn screen had at that place.

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::{act, change, contexts, marks, pane, presets};
use crate::{
    chaos::{Kind, Value},
    tui::{Effect, Model, hits::Hit, keys::Action, model::Pane, picker::Field, widgets::slider::Slider},
};

pub fn event(model: &mut Model, mouse: &MouseEvent) -> Vec<Effect> {
    match mouse.kind {
        MouseEventKind::Down(MouseButton::Left) => return clicked(model, mouse.column, mouse.row),
        MouseEventKind::Down(MouseButton::Right) => {
            if let (Some(Hit::Node(at) | Hit::Mark(at)), None) = (model.hits.at(mouse.column, mouse.row), &model.dialog)
            {
                marks::mark(model, at);
            }
        }
        MouseEventKind::Drag(MouseButton::Left) => {
            if let Some(Hit::Track(field, _)) = model.drag
                && field == model.picker.field
                && model.dialog.is_none()
            {
                slide(model, mouse.column);
            }
        }
        MouseEventKind::Up(_) => model.drag = None,
        MouseEventKind::ScrollUp => wheel(model, mouse, -1),
        MouseEventKind::ScrollDown => wheel(model, mouse, 1),
        _ => {}
    }
    Vec::new()
}

fn clicked(model: &mut Model, column: u16, row: u16) -> Vec<Effect> {
    let Some(hit) = model.hits.at(column, row) else { return Vec::new() };
    // A dialog may have come up since the screen was drawn; what it hides cannot be clicked.
    if model.dialog.is_some() && !matches!(hit, Hit::Act(_) | Hit::Offer(_) | Hit::Preset(_)) {
        return Vec::new();
    }
    model.dirty = true;
    let was = (model.focus, model.selected_open().map(|(at, _)| at));
    if let Some(pane) = model.hits.pane_at(column, row).filter(|_| model.dialog.is_none()) {
        pane::focus(model, pane);
    }
    match hit {
        Hit::Pane(_) | Hit::Shade => {}
        Hit::Preset(at) => presets::call(model, at),
        Hit::Offer(at) => return act::take_offer(model, at),
        Hit::Node(node) => pane::select_node(model, node),
        Hit::Mark(node) => marks::mark(model, node),
        // The first click selects, one on what is selected opens it, as Enter does.
        Hit::Active(row) if was == (Pane::Active, Some(row)) => change::open(model),
        Hit::Active(row) => pane::select_active(model, row),
        Hit::Kind(kind) => model.picker.choose(kind),
        Hit::Field(field) => press(model, field),
        Hit::Track(field, _) => {
            model.picker.go_to(field);
            model.drag = Some(hit);
            slide(model, column);
        }
        Hit::Act(action) => {
            if model.keys.knows(&contexts(model), action) {
                return act::act(model, action);
            }
        }
    }
    Vec::new()
}

/// A click beside a slider selects it; on a switch or a choice it changes it; on a text it starts typing.
fn press(model: &mut Model, field: usize) {
    model.picker.go_to(field);
    if let Field::Value(spec) = model.picker.current() {
        match spec.kind {
            Kind::Switch { .. } | Kind::Choice { .. } => pane::change(model, 1),
            Kind::Text { .. } | Kind::List { .. } => drop(act::act(model, Action::Edit)),
            Kind::Number { .. } => {}
        }
    }
}

fn slide(model: &mut Model, column: u16) {
    let (Some(Hit::Track(_, track)), Field::Value(spec)) = (model.drag, model.picker.current()) else { return };
    let Some(slider) = Slider::of(spec.kind, 0) else { return };
    model.dirty = true;
    let value = slider.value_at(column.saturating_sub(track.x), track.width);
    model.picker.set(spec, Value::Number(value));
}

fn wheel(model: &mut Model, mouse: &MouseEvent, by: isize) {
    model.dirty = true;
    if model.dialog.is_some() {
        return pane::step(model, by);
    }
    match model.hits.pane_at(mouse.column, mouse.row) {
        Some(Pane::Picker) => {
            model.picker.scroll = model.picker.scroll.saturating_add_signed(by).min(model.hits.commands);
        }
        Some(pane) => pane::step_in(model, pane, by),
        None => {}
    }
}
