//! Moving about: which pane, which row, which field, and a field's value.

use crate::{
    chaos::{FaultType, Kind, Value},
    tui::{
        Model,
        model::{Dialog, Pane},
        palette::Palette,
        picker::Field,
        widgets::slider::Slider,
    },
};

pub fn focus(model: &mut Model, pane: Pane) {
    if pane != Pane::Picker {
        model.picker.go_to(model.picker.field);
    }
    model.focus = pane;
}

pub fn focus_next(model: &mut Model, by: usize) {
    let at = Pane::ALL.iter().position(|pane| *pane == model.focus).unwrap_or(0);
    focus(model, Pane::ALL[(at + by) % Pane::ALL.len()]);
}

/// Up or down by so many rows in whatever has the keys.
pub fn step(model: &mut Model, by: isize) {
    if let Some(Dialog::Palette(Palette { text, at })) = &model.dialog {
        let at = moved(*at, by, model.offers(text).len().saturating_sub(1));
        if let Some(Dialog::Palette(palette)) = &mut model.dialog {
            palette.at = at;
        }
        return;
    }
    if let Some(Dialog::Presets(at)) = &mut model.dialog {
        *at = moved(*at, by, model.presets.len().saturating_sub(1));
        return;
    }
    if model.dialog.is_some() {
        model.scroll = moved(model.scroll, by, model.hits.popup);
        return;
    }
    step_in(model, model.focus, by);
}

pub fn step_in(model: &mut Model, pane: Pane, by: isize) {
    match pane {
        Pane::Nodes => {
            let shown = model.shown_nodes();
            let at = shown.iter().position(|node| *node == model.node).unwrap_or(0);
            if let Some(node) = shown.get(moved(at, by, shown.len().saturating_sub(1))) {
                select_node(model, *node);
            }
        }
        Pane::Picker => {
            let last = model.picker.fields().len() - 1;
            model.picker.go_to(moved(model.picker.field, by, last));
        }
        Pane::Active => {
            let at = model.selected_open().map_or(0, |(at, _)| at);
            let last = model.open().len().saturating_sub(1);
            select_active(model, moved(at, by, last));
        }
        // The log is scrolled from its end.
        Pane::Log => model.log.scroll = moved(model.log.scroll, by.saturating_neg(), model.hits.log),
    }
}

fn moved(from: usize, by: isize, last: usize) -> usize {
    from.saturating_add_signed(by).min(last)
}

pub fn select_node(model: &mut Model, node: usize) {
    model.node = node.min(model.nodes().len().saturating_sub(1));
}

pub fn select_active(model: &mut Model, row: usize) {
    model.active_row = row;
    model.active_id = model.open().get(row).map(|open| open.id().clone());
}

/// The current field's value, so many steps on; a choice and a type go round.
pub fn change(model: &mut Model, steps: i64) {
    model.picker.error = None;
    match model.picker.current() {
        Field::Button => {}
        Field::Kind => {
            let at = FaultType::ALL.iter().position(|kind| *kind == model.picker.kind).unwrap_or(0);
            model.picker.choose(FaultType::ALL[around(at, steps, FaultType::ALL.len())]);
        }
        Field::Value(spec) => {
            let value = match (spec.kind, model.picker.value(spec)) {
                (Kind::Switch { .. }, Value::Switch(on)) => Value::Switch(!on),
                (Kind::Choice { options, .. }, Value::Text(chosen)) => {
                    let at = options.iter().position(|option| *option == chosen).unwrap_or(0);
                    Value::Text(options[around(at, steps, options.len())].to_owned())
                }
                (kind, Value::Number(number)) => match Slider::of(kind, number) {
                    Some(slider) => Value::Number(slider.moved(steps)),
                    None => return,
                },
                _ => return,
            };
            model.picker.set(spec, value);
        }
    }
}

fn around(at: usize, steps: i64, count: usize) -> usize {
    if steps < 0 { (at + count - 1) % count } else { (at + 1) % count }
}
