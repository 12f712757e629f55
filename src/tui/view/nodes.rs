//! The nodes of every cluster: how each is, where it is, what is injected into it. The selected one is the target.

use ratatui::{layout::Rect, style::Style, text::Span};

use super::{
    header::counted,
    layout::PaneArea,
    node_table::{HEALTH, INJECTED, NAME, RESTARTS, STATE, Table},
    pen::Pen,
};
use crate::{
    subject::docker::{Health, Node, State},
    tui::{
        Model,
        hits::Hit,
        model::{Link, Pane},
        text::{fit, fit_end},
    },
};

enum Row<'a> {
    Cluster(&'a str),
    Node(usize),
}

/// Rows for the column headings, the clusters' names, the nodes, and what is wrong with Docker.
pub fn rows_wanted(model: &Model) -> u16 {
    let wanted = 1 + rows(model).len() + usize::from(matches!(model.link, Link::Down { .. }));
    u16::try_from(wanted).unwrap_or(u16::MAX)
}

/// A single cluster's name is in the pane's title instead.
fn rows(model: &Model) -> Vec<Row<'_>> {
    let several = single_cluster(model).is_none();
    let mut rows = Vec::new();
    let mut last = None;
    for (at, node) in model.nodes().iter().enumerate() {
        if several && last != Some(&node.cluster) {
            rows.push(Row::Cluster(&node.cluster));
        }
        last = Some(&node.cluster);
        rows.push(Row::Node(at));
    }
    rows
}

fn single_cluster(model: &Model) -> Option<&str> {
    let first = model.nodes().first()?;
    model.nodes().iter().all(|node| node.cluster == first.cluster).then_some(first.cluster.as_str())
}

pub fn draw(pen: &mut Pen, place: PaneArea) {
    let model = pen.model;
    let inner = pen.pane(place, single_cluster(model).unwrap_or_default(), "");
    let stale = !model.is_up();
    let mut area = inner;
    if let Link::Down { reason, retry_s, .. } = &model.link {
        let again = format!(", trying again in {retry_s} s");
        let reason = format!("Docker is not answering: {reason}");
        let room = usize::from(inner.width).saturating_sub(again.len());
        let text = fit(pen.glyphs, &reason, room) + &again;
        pen.line(area, Span::styled(text, pen.theme.bad()));
        area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    }
    let rows = rows(model);
    if rows.is_empty() {
        let text = match (&model.link, &model.snapshot) {
            (Link::Connecting, _) => "Looking for TiKV nodes.",
            (_, None) => "No node was seen yet.",
            _ => "No TiKV node is there. Start a cluster, and it will appear here.",
        };
        return pen.line(area, Span::styled(text, pen.theme.dim()));
    }
    let table = Table::new(model, usize::from(area.width));
    pen.line(area, Span::styled(table.headings(), pen.theme.dim()));
    let selected = rows.iter().position(|row| matches!(row, Row::Node(at) if *at == model.node)).unwrap_or(0);
    let visible = usize::from(area.height.saturating_sub(1));
    let first = (selected + 1).saturating_sub(visible);
    for (row, line) in rows.iter().skip(first).take(visible).zip(1..) {
        let area = Pen::row(area, line);
        match row {
            Row::Cluster(name) => {
                let count = model.nodes().iter().filter(|node| node.cluster == *name).count();
                let text = format!("{}, {}", pen.glyphs.clean(name), counted(count, "node"));
                pen.line(area, Span::styled(text, pen.theme.strong()));
            }
            Row::Node(at) => node_row(pen, area, &table, *at, stale),
        }
    }
    let hidden = rows.len().saturating_sub(first + visible);
    if hidden > 0 || first > 0 {
        let note = format!(" {}/{} ", model.node + 1, model.nodes().len());
        pen.line_right(Rect { y: inner.y - 1, height: 1, ..inner }, Span::raw(note));
    }
}

fn node_row(pen: &mut Pen, area: Rect, table: &Table, at: usize, stale: bool) {
    let model = pen.model;
    let (Some(node), Some(cells)) = (model.nodes().get(at), table.rows.get(at)) else { return };
    let selected = at == model.node;
    let mark = if selected { pen.glyphs.selected() } else { " " };
    pen.line(area, Span::raw(mark));
    let mut x = area.x + 2;
    for (column, cell) in cells.iter().enumerate() {
        let style = if stale { pen.theme.dim() } else { cell_style(pen, node, column) };
        let width = u16::try_from(table.widths[column]).unwrap_or(0).min(area.right().saturating_sub(x));
        let cut = if column == NAME { fit_end } else { fit };
        let text = cut(pen.glyphs, cell, usize::from(width));
        pen.line(Rect { x, width, ..area }, Span::styled(text, style));
        x += width + table.gap;
    }
    if selected {
        let style = pen.theme.selected(pen.is_focused(Pane::Nodes));
        pen.style(area, style);
    }
    pen.hits.add(area, Hit::Node(at));
}

fn cell_style(pen: &Pen, node: &Node, column: usize) -> Style {
    let theme = pen.theme;
    match column {
        STATE => match node.state {
            State::Running => theme.good(),
            State::Exited | State::Dead => theme.bad(),
            _ => theme.warn(),
        },
        HEALTH => match node.health {
            Health::Healthy => theme.good(),
            Health::Unhealthy => theme.bad(),
            Health::Starting => theme.warn(),
            Health::None => theme.dim(),
        },
        RESTARTS if node.restart_count > 0 => theme.warn(),
        INJECTED => theme.warn(),
        _ => theme.plain(),
    }
}
