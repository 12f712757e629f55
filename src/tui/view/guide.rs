//! What to look for: beside an injection with ticks, before one without, and all of it in a popup.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use tikv_chaos_core::Version;

use super::{
    measured,
    pen::Pen,
    popup::{self, heading},
};
use crate::{
    chaos::InjectionId,
    guide::{Expectation, Guide, Mark, Track, Window},
    subject::docker::{Node, Role},
    tui::{
        Model,
        follow::Followed,
        keys::Action,
        text::{fit, pad, width, wrap},
    },
};

/// Below this there is no use in beginning.
pub const LEAST: u16 = 4;

/// One expectation in a list.
struct Row {
    mark: &'static str,
    style: Style,
    name: &'static str,
    /// When it was seen, or when it should be.
    when: String,
    waiting: bool,
}

/// Said where the target is no TiKV node.
const OF_PD: &str = "What follows a fault is written down for TiKV nodes. Of a member of PD, the list of nodes says \
                     whether it answers and who leads.";

/// Rows for the whole list with its heading.
pub fn rows_wanted(track: &Track) -> u16 {
    1 + u16::try_from(track.expectations().count()).unwrap_or(0)
}

/// The guide of an injection that is followed, in what room there is.
pub fn of_injection(pen: &mut Pen, area: Rect, followed: &Followed) {
    let age = age(pen.model, followed);
    let rows: Vec<Row> = followed.track.expectations().map(|(one, seen, _)| row(pen.model, one, seen, age)).collect();
    list(pen, area, rows);
}

/// What to look for if what the picker holds were injected.
pub fn before(pen: &mut Pen, area: Rect) {
    let model = pen.model;
    let targets = model.targets();
    let Some(guide) = Guide::of(model.picker.kind, role_of(&targets)) else { return };
    let expected = guide.expectations(version_of(model, &targets));
    let rows: Vec<Row> = expected.map(|one| row(pen.model, one, None, None)).collect();
    list(pen, area, rows);
}

fn list(pen: &mut Pen, area: Rect, rows: Vec<Row>) {
    let more = format!("{} shows all", pen.model.key(Action::Guide));
    pen.sides(area, ("What to look for", pen.theme.strong()), (&more, pen.theme.dim()));
    let room = usize::from(area.height.saturating_sub(1));
    // What comes next is what one looks at.
    let next = rows.iter().position(|row| row.waiting).unwrap_or(rows.len());
    let first = next.saturating_sub(1).min(rows.len().saturating_sub(room));
    for (row, line) in rows.iter().skip(first).take(room).zip(1..) {
        let text = format!("{} {}", row.mark, row.name);
        // Where there is little room, the tick says that it was seen.
        let when = if area.width < 44 { row.when.trim_start_matches("after ") } else { &row.when };
        pen.sides(Pen::row(area, line), (&text, row.style), (when, row.style));
    }
}

/// Seconds since the injection; `None` where nothing was there to be read, so that nothing can be said to be missing.
fn age(model: &Model, followed: &Followed) -> Option<i64> {
    let until = followed.track.ended.unwrap_or(model.now);
    model.state_of(&followed.cluster).map(|_| until.as_second() - followed.track.began.as_second())
}

fn row(model: &Model, one: &'static Expectation, seen: Option<Mark>, age: Option<i64>) -> Row {
    let (glyphs, theme) = (model.glyphs, model.theme);
    let window = window(one.when);
    let (mark, style, when, waiting) = match (seen, age) {
        (Some(mark), _) => (glyphs.seen(), theme.good(), mark.to_string(), false),
        (None, Some(_)) if one.sign.is_none() => (" ", theme.plain(), window, false),
        (None, Some(age)) if age > i64::from(one.when.until) => ("-", theme.dim(), "not seen".to_owned(), false),
        (None, Some(age)) if age >= i64::from(one.when.from) => (glyphs.due(), theme.plain(), window, true),
        (None, Some(_)) => (glyphs.waiting(), theme.dim(), window, true),
        (None, None) => (glyphs.waiting(), theme.dim(), window, true),
    };
    Row { mark, style, name: &one.name, when, waiting }
}

/// `10 to 25 s`, `10 s to 5 min`, `30 min`.
fn window(Window { from, until }: Window) -> String {
    let minutes = |seconds: u32| seconds >= 120;
    match (minutes(from), minutes(until)) {
        (false, false) => format!("{from} to {until} s"),
        (false, true) => format!("{from} s to {} min", until / 60),
        (true, _) if until / 60 == from / 60 => format!("{} min", from / 60),
        (true, _) => format!("{} to {} min", from / 60, until / 60),
    }
}

/// All of the guide of one injection, or of what the picker holds.
pub fn popup(pen: &mut Pen, screen: Rect, id: Option<&InjectionId>) {
    let model = pen.model;
    let followed = id.and_then(|id| model.followed(id));
    let track = followed.map(|one| &one.track);
    let open = model.open();
    let injected = id.and_then(|id| open.iter().find(|one| one.id() == id));
    let kind = track.map(|track| track.kind).or(injected.map(|one| one.injection.metadata.fault_type()));
    let Some(kind) = kind.or(id.is_none().then_some(model.picker.kind)) else {
        let gone = vec![Line::from("This injection is no longer known.")];
        return popup::read(pen, screen, "What to look for", gone);
    };
    let title = match track {
        Some(track) => format!("What to look for: {kind} in {}", track.name),
        None => format!("What to look for: {kind}"),
    };
    let room = popup::room(screen);
    let targets = if id.is_none() { model.targets() } else { Vec::new() };
    let role = track.map_or_else(|| role_of(&targets), |track| track.role);
    let version = track.map_or_else(|| version_of(model, &targets), Track::version);
    let Some(guide) = Guide::of(kind, role) else {
        let lines = wrap(pen.glyphs, OF_PD, room).into_iter().map(Line::from).collect();
        return popup::read(pen, screen, &title, lines);
    };
    let mut lines: Vec<Line> = wrap(pen.glyphs, &guide.summary(version), room).into_iter().map(Line::from).collect();
    let told = wrap(pen.glyphs, &told_for(version), room).into_iter();
    lines.extend(told.map(|line| Line::from(Span::styled(line, pen.theme.dim()))));
    lines.extend(injected.into_iter().flat_map(|one| measured::ping_note(pen, &one.injection.metadata, room)));
    let marks: Vec<_> = track.map(|track| track.expectations().collect()).unwrap_or_default();
    for (at, one) in guide.expectations(version).enumerate() {
        let (seen, healed) = marks.get(at).map_or((None, None), |(_, seen, healed)| (*seen, *healed));
        lines.push(Line::default());
        let age = followed.and_then(|followed| age(model, followed));
        expectation(pen, &mut lines, (one, version), (seen, healed), age, room);
    }
    lines.push(Line::default());
    lines.push(heading(pen, "Easily taken for"));
    for one in guide.confusions(version) {
        let mut text = wrap(pen.glyphs, &format!("{}: {}", one.with, one.tell), room.saturating_sub(2)).into_iter();
        lines.extend(text.next().map(|line| Line::from(format!("{} {line}", pen.glyphs.waiting()))));
        lines.extend(text.map(|line| Line::from(format!("  {line}"))));
    }
    popup::read(pen, screen, &title, lines);
}

/// What is said of the targets: of TiKV nodes, if there are any.
fn role_of(targets: &[&Node]) -> Role {
    let is_pd = !targets.is_empty() && targets.iter().all(|node| node.role == Role::Pd);
    if is_pd { Role::Pd } else { Role::Tikv }
}

/// What the targets run, if it is one version that is known.
fn version_of(model: &Model, targets: &[&Node]) -> Option<Version> {
    let version = |node: &&Node| model.state_of(&node.cluster)?.nodes.get(&node.id)?.version();
    let first = targets.first().and_then(version)?;
    targets.iter().all(|node| version(node) == Some(first)).then_some(first)
}

/// For which versions the times and thresholds are.
fn told_for(version: Option<Version>) -> String {
    match version {
        Some(version) if version.is_known() => format!("Times and thresholds of TiKV {version}."),
        Some(version) => format!("Times and thresholds of TiKV 6.5 to 8.5; {version} may have others."),
        None => "Times and thresholds of TiKV 6.5 to 8.5: the version is not known.".to_owned(),
    }
}

fn expectation(
    pen: &Pen,
    lines: &mut Vec<Line<'static>>,
    (one, version): (&'static Expectation, Option<Version>),
    (seen, healed): (Option<Mark>, Option<Mark>),
    age: Option<i64>,
    room: usize,
) {
    let theme = pen.theme;
    let head = row(pen.model, one, seen, age);
    let left = room.saturating_sub(width(&head.when) + 3);
    lines.push(Line::from(vec![
        Span::styled(format!("{} ", head.mark), head.style),
        Span::styled(pad(pen.glyphs, head.name, left), head.style.patch(theme.strong())),
        Span::styled(format!(" {}", head.when), head.style),
    ]));
    let mut say = |text: &str, style: Style| {
        let text = wrap(pen.glyphs, text, room.saturating_sub(2));
        lines.extend(text.into_iter().map(|line| Line::from(Span::styled(format!("  {line}"), style))));
    };
    say(&one.text(version), theme.plain());
    let named = [("metric", &one.metrics), ("log", &one.logs)];
    for (what, names) in named.into_iter().filter(|(_, names)| !names.is_empty()) {
        say(&format!("{what}: {}", names.join(", ")), theme.dim());
    }
    if let Some(heal) = &one.heal {
        let text = match healed {
            Some(mark) => format!("after the revert: {} {mark}", heal.name),
            None => format!("after the revert: {}, {}", heal.name, window(heal.when)),
        };
        say(&fit(pen.glyphs, &text, room), if healed.is_some() { theme.good() } else { theme.dim() });
    }
}
