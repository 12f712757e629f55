//! What an injection of the network does beside what was asked of it: a line in the list, and all of it in a popup, with
//! who reaches whom before and now.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{pen::Pen, popup};
use crate::{
    chaos::{
        InjectionId, Metadata,
        measured::{Asked, Cell, Judgement, Look, Matrix, Outcome, PeerReading, Reach, Reading, Source},
        network::Packets,
    },
    session,
    subject::docker::{Node, by_node, cuts},
    tui::{
        Model,
        open::{Open, Standing},
        text::{fit, pad, width, wrap},
    },
};

/// The line of an injection, if anything was measured of it: whole where there is room, else what was measured and the
/// word for it.
pub fn line(pen: &Pen, one: &Open, room: usize) -> Option<(String, Style)> {
    let judgement = judgement(pen, one)?;
    let whole = format!("{judgement}{}", since(pen, one));
    let text = if width(&whole) <= room || judgement.findings.is_empty() {
        whole
    } else {
        format!("{}: {}{}", judgement.outcome.word(), judgement.measured(), judgement.noted())
    };
    Some((text, style(pen, &judgement)))
}

/// Whether others came onto its way since the look that is shown, where no newer one knows of them.
fn since(pen: &Pen, one: &Open) -> String {
    if pen.model.looks.contains_key(one.id()) {
        return String::new();
    }
    let others = session::since(pen.open.iter().map(|open| open.injection), one.injection);
    if others.is_empty() { String::new() } else { format!("; measured before {}", others.join(", ")) }
}

/// By the newest look, where it says enough; else by the first one, which had more samples.
fn judgement(pen: &Pen, one: &Open) -> Option<Judgement> {
    let asked = Asked::of(&one.injection.metadata.network()?);
    let measured = one.injection.measured.as_ref();
    let first = measured.and_then(|measured| measured.judgement(&asked));
    let newest = pen
        .model
        .looks
        .get(one.id())
        .map(|look| crate::chaos::measured::judge(&asked, measured.and_then(|measured| measured.before()), look));
    let says = |judgement: &Judgement| !matches!(judgement.outcome, Outcome::TooFew | Outcome::NotMeasured);
    newest.filter(says).or(first)
}

fn style(pen: &Pen, judgement: &Judgement) -> Style {
    match judgement.outcome {
        outcome if !outcome.is_bad() && judgement.is_bad() => pen.theme.warn(),
        Outcome::AsAsked | Outcome::Over => pen.theme.good(),
        Outcome::NoEffect | Outcome::NotOver => pen.theme.bad(),
        Outcome::Differs | Outcome::Hidden => pen.theme.warn(),
        Outcome::TooFew | Outcome::NotMeasured => pen.theme.dim(),
    }
}

/// Everything that was measured of one injection.
pub fn popup(pen: &mut Pen, screen: Rect, id: &InjectionId) {
    let model = pen.model;
    let open = model.open();
    let Some(one) = open.iter().find(|one| one.id() == id) else {
        let gone = vec![Line::from("This injection is no longer open: the log says what was measured at its end.")];
        return popup::read(pen, screen, &format!("injection {id}"), gone);
    };
    let metadata = &one.injection.metadata;
    let title = format!("{} in {}, measured", metadata.fault_type(), metadata.target());
    let Some(asked) = metadata.network().map(|fault| Asked::of(&fault)) else {
        let lines =
            vec![Line::from("It does nothing to the network: there is nothing to measure from inside the node.")];
        return popup::read(pen, screen, &title, lines);
    };
    let room = popup::room(screen);
    let mut lines = vec![popup::heading(pen, "Asked and measured")];
    match judgement(pen, one) {
        Some(judgement) => {
            let style = style(pen, &judgement);
            let text = wrap(pen.glyphs, &format!("{judgement}{}", since(pen, one)), room);
            lines.extend(text.into_iter().map(|line| Line::from(Span::styled(line, style))));
        }
        None => lines.push(Line::from("Not measured yet.")),
    }
    lines.extend(ping_note(pen, metadata, room));
    lines.push(Line::default());
    let (before, during, now) = looks(model, one);
    lines.extend(peers(pen, [("before", before), ("during", during), ("now", now)]));
    lines.extend(now.or(during).and_then(Look::reading).and_then(|reading| reading.packets).map(packets));
    if asked.is_cut() {
        lines.push(Line::default());
        lines.extend(matrices(pen, one, room));
    }
    popup::read(pen, screen, &title, lines);
}

/// What to know about `ping`, where that shows something else.
pub fn ping_note(pen: &Pen, metadata: &Metadata, room: usize) -> Vec<Line<'static>> {
    let network = metadata.network();
    let note = network.as_ref().and_then(|fault| fault.shape()?.ping_note()).unwrap_or_default();
    let text = wrap(pen.glyphs, note, room).into_iter().filter(|line| !line.is_empty());
    text.map(|line| Line::from(Span::styled(line, pen.theme.dim()))).collect()
}

fn looks<'a>(model: &'a Model, one: &Open<'a>) -> (Option<&'a Look>, Option<&'a Look>, Option<&'a Look>) {
    let measured = one.injection.measured.as_ref();
    let before = measured.and_then(|measured| measured.before.as_ref());
    let during = measured.and_then(|measured| measured.during.as_ref());
    (before, during, model.looks.get(one.id()))
}

/// A row for each address, a column for each look.
fn peers(pen: &Pen, looks: [(&'static str, Option<&Look>); 3]) -> Vec<Line<'static>> {
    const NAME: usize = 34;
    const COLUMN: usize = 22;
    let mut heading = pad(pen.glyphs, "", NAME);
    let mut lines = Vec::new();
    let mut places: Vec<(&PeerReading, String)> = Vec::new();
    for (name, look) in looks {
        heading += &pad(pen.glyphs, name, COLUMN);
        match look {
            Some(Look::NotMeasured { not_measured }) => {
                let text = format!("{name}: not measured: {not_measured}");
                lines.push(Line::from(Span::styled(pen.glyphs.clean(&text).into_owned(), pen.theme.dim())));
            }
            Some(Look::Seen(reading)) => {
                for peer in &reading.peers {
                    if !places.iter().any(|(one, _)| (one.address, one.port) == (peer.address, peer.port)) {
                        places.push((peer, format!("{} {}:{}", peer.name, peer.address, peer.port)));
                    }
                }
            }
            None => {}
        }
    }
    if !places.is_empty() {
        lines.push(Line::from(Span::styled(heading, pen.theme.dim())));
    }
    for (place, name) in places {
        let cell = |look: Option<&Look>| {
            let reading = look.and_then(Look::reading);
            reading.and_then(|reading| reading.peer(place.address, place.port)).map(figures).unwrap_or_default()
        };
        let cells: String = looks.iter().map(|(_, look)| pad(pen.glyphs, &cell(*look), COLUMN)).collect();
        lines.push(Line::from(format!("{} {cells}", pad(pen.glyphs, &name, NAME - 1))));
    }
    lines
}

/// `1200 packets met since it was made or changed, 30 of them dropped over its limit`.
fn packets(packets: Packets) -> Line<'static> {
    let dropped = packets.over_limit.map(|count| format!(", {count} of them dropped over its limit"));
    Line::from(format!("{} packets met since it was made or changed{}", packets.met, dropped.unwrap_or_default()))
}

/// `98 ms, 10 % lost`, `no answer`.
fn figures(peer: &PeerReading) -> String {
    if !peer.is_reached() {
        return "no answer".to_owned();
    }
    let tally = peer.echo.filter(|echo| echo.answered > 0).unwrap_or(peer.connect);
    // In tenths of a millisecond.
    let time = tally.times.map(|times| (times.mean_us + 50) / 100).unwrap_or_default();
    let lost = 100 * tally.lost() / tally.sent.max(1);
    let lost = if lost > 0 { format!(", {lost} % lost") } else { String::new() };
    let twice = if tally.duplicates > 0 { format!(", {} twice", tally.duplicates) } else { String::new() };
    format!("{}.{} ms{lost}{twice}", time / 10, time % 10)
}

/// Who reached whom before this injection, and who does now: beside one another where there is room.
fn matrices(pen: &Pen, one: &Open, room: usize) -> Vec<Line<'static>> {
    let model = pen.model;
    let Some(target) = model.nodes().iter().find(|node| node.id == one.injection.metadata.container_id) else {
        return Vec::new();
    };
    let nodes: Vec<&Node> = model.nodes().iter().filter(|node| node.cluster == target.cluster).collect();
    let open = model.open();
    let known = |all: bool| {
        let standing = open.iter().filter(|other| all || other.id() != one.id());
        let cuts = cuts(standing.map(|other| &other.injection.metadata), model.nodes());
        let up: Vec<(String, bool)> = nodes.iter().map(|node| (node.name.clone(), node.is_running())).collect();
        Matrix::by_rules(&up, &cuts)
    };
    let put = |matrix: &mut Matrix, from: &str, reading: Option<&Reading>| {
        if let Some(reading) = reading {
            matrix.measured(from, &by_node(reading));
        }
    };
    let (mut before, mut now) = (known(false), known(true));
    put(&mut before, &target.name, looks(model, one).0.and_then(Look::reading));
    for other in open.iter().filter(|other| other.standing != Standing::Lost) {
        let from = nodes.iter().find(|node| node.id == other.injection.metadata.container_id);
        let (_, during, newest) = looks(model, other);
        if let Some(from) = from {
            put(&mut now, &from.name, newest.or(during).and_then(Look::reading));
        }
    }
    let (left, right) = (drawn(pen, "Who reached whom before", &before), drawn(pen, "Who reaches whom now", &now));
    let columns = left.iter().map(|line| width(line)).max().unwrap_or(0) + 4;
    let mut lines: Vec<Line> = if columns * 2 <= room {
        let beside = left.iter().zip(&right).map(|(left, right)| format!("{}{right}", pad(pen.glyphs, left, columns)));
        beside.map(Line::from).collect()
    } else {
        left.into_iter().chain([String::new()]).chain(right).map(Line::from).collect()
    };
    let (reached, cut) = (pen.glyphs.reached(), pen.glyphs.cut());
    let legend = format!("{reached} reaches, {cut} cut off, ? not tried, ({cut}) by the recorded injections");
    lines.push(Line::from(Span::styled(legend, pen.theme.dim())));
    lines
}

fn drawn(pen: &Pen, heading: &str, matrix: &Matrix) -> Vec<String> {
    const MOST: usize = 24;
    let name_width = matrix.nodes.iter().map(|name| width(name)).max().unwrap_or(0).min(MOST);
    let columns: String = (1..=matrix.nodes.len()).map(|number| format!("{number:>3} ")).collect();
    let mut lines =
        vec![heading.to_owned(), format!("{} {columns}", pad(pen.glyphs, "", name_width + 3)).trim_end().to_owned()];
    for (number, (name, row)) in (1..).zip(matrix.nodes.iter().zip(&matrix.rows)) {
        let cells: String = row.iter().map(|cell| symbol(pen, *cell)).collect();
        let name = pad(pen.glyphs, &fit(pen.glyphs, name, name_width), name_width);
        lines.push(format!("{number:>2} {name} {cells}").trim_end().to_owned());
    }
    lines
}

/// Four columns wide.
fn symbol(pen: &Pen, cell: Option<Cell>) -> String {
    let Some(cell) = cell else { return "    ".to_owned() };
    let mark = match cell.reach {
        Reach::Reached => pen.glyphs.reached(),
        Reach::Cut => pen.glyphs.cut(),
        Reach::Down => return "  - ".to_owned(),
        Reach::NotTried => return "  ? ".to_owned(),
    };
    if cell.source == Source::Rules { format!(" ({mark})") } else { format!("  {mark} ") }
}
