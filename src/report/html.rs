//! The report as one HTML file that needs nothing else: its picture is in it, and it is light or dark as the reader's
//! system is. maud escapes whatever is put in.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use serde_json::Value;

use super::{Report, Told, chart::timeline, moment, offset};

const STYLE: &str = include_str!("style.css");

pub fn html(report: &Report) -> String {
    let title = format!("tikv-chaos: session {}", report.session);
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Whatever got into the file, nothing of it runs and nothing is fetched.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "What was broken, and put back" }
                    dl { @for (name, value) in report.facts() { dt { (name) } dd { (value) } } }
                    @if report.injections.is_empty() { p { "Nothing was injected." } }
                    (overview(report))
                    @for one in &report.injections { (injection(report, one)) }
                }
            }
        }
    };
    page.into_string()
}

fn overview(report: &Report) -> Markup {
    markup! {
        @if !report.injections.is_empty() {
            h2 { "Timeline" }
            figure { (timeline(report)) }
            div.wide { table {
                thead { tr { th { "when" } th { "what" } th { "on" } th { "how it ended" } } }
                tbody {
                    @for one in &report.injections {
                        tr {
                            td { (one.times(report.started_at)) }
                            td { a href=(format!("#{}", one.id)) { (one.chaos_type) } }
                            td { (one.target) }
                            td { (one.end) }
                        }
                    }
                }
            } }
        }
    }
}

fn injection(report: &Report, one: &Told) -> Markup {
    markup! {
        section id=(one.id) {
            h2 { (one.chaos_type) " on " (one.target) " " small { (one.id) } }
            p { (one.what) }
            dl {
                dt { "Asked for" } dd { (moment(one.asked_at)) }
                @if let Some(at) = one.began_at { dt { "In force" } dd { (moment(at)) } }
                @if let Some(at) = one.ended_at { dt { "Gone" } dd { (moment(at)) } }
                dt { "How it ended" } dd { (one.end) }
                @if let Some(at) = one.deadline { dt { "Would have ended by itself" } dd { (moment(at)) } }
                @if let Some(seen) = &one.seen_during { dt { "While it held" } dd { (seen) } }
                @if let Some(seen) = &one.seen_after { dt { "Once undone" } dd { (seen) } }
                @if let Some(note) = &one.note { dt { "Note" } dd { (note) } }
            }
            @if !one.changes.is_empty() {
                div.wide { table {
                    thead { tr { th { "when" } th { "state" } th { "by" } } }
                    tbody {
                        @for change in &one.changes {
                            tr {
                                td { (offset(report.started_at, change.at)) }
                                td { (change.state) @if let Some(note) = &change.note { ": " (note) } }
                                td { (change.command) ", process " (change.pid) }
                            }
                        }
                    }
                } }
            }
            @if !one.undo.is_empty() {
                p { "The undo by hand:" }
                pre { (one.undo.join("\n")) }
            }
            @if let Some(figures) = &one.measured { (folded("Every figure that was measured", figures)) }
            (folded("Metadata", &one.metadata))
        }
    }
}

/// Data to be looked at by whoever wants to.
fn folded(summary: &str, data: &Value) -> Markup {
    markup! {
        details {
            summary { (summary) }
            pre { (serde_json::to_string_pretty(data).unwrap_or_default()) }
        }
    }
}
