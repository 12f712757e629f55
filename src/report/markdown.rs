//! The report as Markdown (CommonMark with GitHub's tables).

use std::fmt::Write as _;

use super::{Report, Told, moment, offset};

pub fn markdown(report: &Report) -> String {
    let mut page = String::from("# What was broken, and put back\n\n");
    for (name, value) in report.facts() {
        let _ = writeln!(page, "- **{name}:** {}", escaped(&value));
    }
    if report.injections.is_empty() {
        page.push_str("\nNothing was injected.\n");
        return page;
    }
    page.push_str("\n## Timeline\n\n| when | what | on | how it ended |\n| --- | --- | --- | --- |\n");
    for one in &report.injections {
        let cells = [one.times(report.started_at), one.chaos_type.clone(), one.target.clone(), one.end.clone()];
        let cells = cells.map(|cell| escaped(&cell));
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    if !report.throughput.is_empty() {
        let _ = write!(page, "\n## Throughput\n\n{}", throughput(report));
    }
    page.push_str("\n## Injections\n");
    for one in &report.injections {
        injection(&mut page, report, one);
    }
    page
}

fn injection(page: &mut String, report: &Report, one: &Told) {
    let _ = writeln!(page, "\n### {} {} on {}\n", escaped(&one.id), escaped(&one.chaos_type), escaped(&one.target));
    let mut facts = vec![("What", one.what.clone()), ("Asked for", moment(one.asked_at))];
    facts.extend(one.began_at.map(|at| ("In force", moment(at))));
    facts.extend(one.ended_at.map(|at| ("Gone", moment(at))));
    facts.push(("How it ended", one.end.clone()));
    facts.extend(one.deadline.map(|at| ("Would have ended by itself", moment(at))));
    facts.extend(one.seen_during.clone().map(|seen| ("While it held", seen)));
    facts.extend(one.seen_after.clone().map(|seen| ("Once undone", seen)));
    facts.extend(one.note.clone().map(|note| ("Note", note)));
    for (name, value) in facts {
        let _ = writeln!(page, "- **{name}:** {}", escaped(&value));
    }
    if !one.changes.is_empty() {
        page.push_str("\n| when | state | by |\n| --- | --- | --- |\n");
        for change in &one.changes {
            let by = escaped(&format!("{}, process {}", change.command, change.pid));
            let note = change.note.as_deref().map(|note| format!(": {}", escaped(note))).unwrap_or_default();
            let _ = writeln!(page, "| {} | {}{note} | {by} |", offset(report.started_at, change.at), change.state);
        }
    }
    if !one.undo.is_empty() {
        page.push_str("\nThe undo by hand:\n\n");
        for line in &one.undo {
            let _ = writeln!(page, "    {line}");
        }
    }
}

/// Ten lines are enough to see a dip; the HTML has every reading.
fn throughput(report: &Report) -> String {
    const LINES: usize = 10;
    const WIDTH: u64 = 30;
    let readings = &report.throughput;
    let most = readings.iter().map(|one| one.ops_per_s).max().unwrap_or(0).max(1);
    let mut text = String::new();
    for part in readings.chunks(readings.len().div_ceil(LINES)) {
        let Some(first) = part.first() else { continue };
        let count = u64::try_from(part.len()).unwrap_or(1);
        let mean = part.iter().map(|one| one.ops_per_s).sum::<u64>() / count;
        let bar = "#".repeat(usize::try_from(mean * WIDTH / most).unwrap_or(0));
        let at = offset(report.started_at, first.at);
        let refused = part.iter().filter_map(|one| one.refused_per_s).sum::<u64>() / count;
        let refused = if refused > 0 { format!(", {refused} refused") } else { String::new() };
        let _ = writeln!(text, "    {at:>9}  {mean:>7} operations a second  {bar}{refused}");
    }
    text
}

/// Nothing in it is taken for Markdown or HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => escaped.extend(['\\', one]),
            one => escaped.push(one),
        }
    }
    escaped
}
