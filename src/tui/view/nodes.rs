//! The nodes of every cluster: how each is, where it is, what is injected into it. The selected one is the target.

use ratatui::{layout::Rect, text::Span};

use super::{
    header::counted,
    layout::PaneArea,
    node_table::{Cell, Column, Placed, Table},
    pen::Pen,
};
use crate::tui::{
    Model,
    hits::Hit,
    model::{Link, Pane},
    text::{fit, fit_end},
};

/// Short enough for 80 columns.
const WAY_OUT: &str = "Not recognized? Label tikv-chaos.role=tikv, --node NAME=tikv, or [nodes].";

enum Row<'a> {
    Cluster(&'a str),
    Node(usize),
}

/// Rows for the column headings, the clusters' names, the nodes, and what is wrong with Docker.
pub fn rows_wanted(model: &Model) -> u16 {
    // Of all nodes, whatever is filtered: the panes keep their places while somebody types.
    let nodes = model.nodes();
    let several = single_cluster(model).is_none() && !nodes.is_empty();
    let clusters =
        if several { 1 + nodes.windows(2).filter(|two| two[0].cluster != two[1].cluster).count() } else { 0 };
    let wanted = 1 + nodes.len() + clusters + usize::from(matches!(model.link, Link::Down { .. }));
    u16::try_from(wanted).unwrap_or(u16::MAX)
}

/// A single cluster's name is in the pane's title instead.
fn rows(model: &Model, shown: impl IntoIterator<Item = usize>) -> Vec<Row<'_>> {
    let several = single_cluster(model).is_none();
    let mut rows = Vec::new();
    let mut last = None;
    for (at, node) in shown.into_iter().filter_map(|at| Some((at, model.nodes().get(at)?))) {
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
    let mut word = single_cluster(model).unwrap_or_default().to_owned();
    if !model.filter.is_empty() {
        let lead = if word.is_empty() { "" } else { ", " };
        let (passing, all) = (model.passing_nodes(), model.nodes().len());
        word.push_str(&format!("{lead}with \"{}\": {passing} of {all}", pen.glyphs.clean(&model.filter)));
        if model.shown_nodes().len() > passing {
            word.push_str(", and the target");
        }
    }
    if !model.marks.is_empty() {
        let lead = if word.is_empty() { "" } else { ", " };
        word.push_str(&format!("{lead}{} {} marked", pen.glyphs.marked(), model.marks.len()));
    }
    let inner = pen.pane(place, &word, "");
    let mut area = inner;
    if let Link::Down { reason, retry_s, .. } = &model.link {
        let again = format!(", trying again in {retry_s} s");
        let reason = format!("Docker is not answering: {reason}");
        let room = usize::from(inner.width).saturating_sub(again.len());
        let text = fit(pen.glyphs, &reason, room) + &again;
        pen.line(area, Span::styled(text, pen.theme.bad()));
        area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    }
    table(pen, area, inner.y - 1);
}

/// The column headings and the nodes, as many as there is room for; the row `title` says which of how many.
pub fn table(pen: &mut Pen, area: Rect, title: u16) {
    let model = pen.model;
    let stale = !model.is_up();
    let shown = model.shown_nodes();
    let rows = rows(model, shown.iter().copied());
    if rows.is_empty() {
        let text = match (&model.link, &model.snapshot) {
            (Link::Connecting, _) => "Looking for TiKV nodes.".to_owned(),
            (_, None) => "No node was seen yet.".to_owned(),
            (_, Some(snapshot)) if !snapshot.others.is_empty() => {
                let scope = snapshot.looked_at(model.options.project.as_deref());
                pen.glyphs.clean(&format!("No TiKV node{scope}.")).into_owned()
            }
            _ => {
                let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
                pen.line(below, Span::styled(fit(pen.glyphs, WAY_OUT, usize::from(area.width)), pen.theme.dim()));
                "No TiKV node is there. Start a cluster, and it will appear here.".to_owned()
            }
        };
        return pen.line(area, Span::styled(fit(pen.glyphs, &text, usize::from(area.width)), pen.theme.dim()));
    }
    let selected = rows.iter().position(|row| matches!(row, Row::Node(at) if *at == model.node)).unwrap_or(0);
    let visible = usize::from(area.height.saturating_sub(1));
    let first = (selected + 1).saturating_sub(visible);
    let seen = rows.iter().skip(first).take(visible).filter_map(|row| match row {
        Row::Node(at) => Some(*at),
        Row::Cluster(_) => None,
    });
    let table = Table::new(model, &pen.open, seen, usize::from(area.width));
    pen.line(area, Span::styled(table.headings(), pen.theme.dim()));
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
        let at = shown.iter().position(|at| *at == model.node).unwrap_or(0);
        let note = format!(" {}/{} ", at + 1, shown.len());
        pen.line_right(Rect { y: title, height: 1, ..area }, Span::raw(note));
    }
}

fn node_row(pen: &mut Pen, area: Rect, table: &Table, at: usize, stale: bool) {
    let model = pen.model;
    let Some(row) = table.row(at) else { return };
    let selected = at == model.node;
    let mark = if selected { pen.glyphs.selected() } else { " " };
    let marked = model.nodes().get(at).is_some_and(|node| model.marks.contains(&node.id));
    pen.line(area, Span::raw(format!("{mark}{}", if marked { pen.glyphs.marked() } else { " " })));
    let mut x = area.x + 2;
    // Where a note begins and may go on to.
    let mut note: Option<Rect> = None;
    for Placed { column, width } in &table.columns {
        let width = u16::try_from(*width).unwrap_or(0).min(area.right().saturating_sub(x));
        let place = Rect { x, width, ..area };
        if (Column::Store..=Column::P99).contains(column) {
            let begin = note.map_or(x, |note| note.x);
            note = Some(Rect { x: begin, width: place.right() - begin, ..area });
        }
        cell(pen, place, row.cell(*column), *column, stale);
        x += width + table.gap;
    }
    if let (Some(cell), Some(place)) = (&row.note, note) {
        let style = if stale { pen.theme.dim() } else { cell.style };
        pen.line(place, Span::styled(fit(pen.glyphs, &cell.text, usize::from(place.width)), style));
    }
    if selected {
        let style = pen.theme.selected(pen.is_focused(Pane::Nodes));
        pen.style(area, style);
    }
    pen.hits.add(area, Hit::Node(at));
    let sign = Rect { x: area.x + 1, width: 1, ..area }.intersection(area);
    pen.hits.add(sign, Hit::Mark(at));
}

fn cell(pen: &mut Pen, place: Rect, cell: &Cell, column: Column, stale: bool) {
    let style = if stale { pen.theme.dim() } else { cell.style };
    let cut = if column == Column::Name { fit_end } else { fit };
    let text = Span::styled(cut(pen.glyphs, &cell.text, usize::from(place.width)), style);
    if column.is_figure() { pen.line_right(place, text) } else { pen.line(place, text) }
}
