//! What happened in a session, told for a post-mortem or a talk: from its file to a [`Report`], and from that to
//! Markdown, HTML and JSON. Pure: no clock, no files.

mod chart;
mod html;
mod markdown;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

pub use html::html;
pub use markdown::markdown;

use crate::{
    chaos::measured::{Asked, Judgement},
    session::{Change, Injection, Life, SessionFile, Throughput},
};

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub session: String,
    pub program: String,
    pub command: String,
    pub pid: u32,
    /// `None` in what older programs wrote.
    pub user: Option<String>,
    pub host: Option<String>,
    pub docker_host: Option<String>,
    pub started_at: Timestamp,
    /// When the last thing happened that was written down.
    pub until: Timestamp,
    /// Something may still be injected.
    pub open: bool,
    /// Why what is open was not compared with the nodes, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<String>,
    pub injections: Vec<Told>,
    pub throughput: Vec<Throughput>,
}

/// One injection, told.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    pub id: String,
    pub chaos_type: String,
    pub target: String,
    /// The fault in words, with its parameters.
    pub what: String,
    /// The same as data, with everything that its undo needed.
    pub metadata: Value,
    pub state: Life,
    pub asked_at: Timestamp,
    /// When it was read back and there; `None` where it never was.
    pub began_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    /// How it ended and by which process, in a sentence.
    pub end: String,
    pub undo: Vec<String>,
    pub note: Option<String>,
    /// What was measured while it held beside what was asked, and once it was undone, each in a sentence.
    pub seen_during: Option<String>,
    pub seen_after: Option<String>,
    /// All figures, as the record has them, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Value>,
    pub changes: Vec<Change>,
}

impl Report {
    /// `raw` is the same file as it stands there: what was measured is told as it was written.
    pub fn of(file: &SessionFile, raw: &Value) -> Self {
        let changes = &file.history.changes;
        let injections: Vec<Told> = file
            .injections
            .iter()
            .enumerate()
            .map(|(index, injection)| {
                let own = changes.iter().filter(|change| change.id == injection.metadata.id).cloned().collect();
                let measured = raw["injections"][index].get("measured").filter(|value| !value.is_null()).cloned();
                Told::of(injection, own, measured)
            })
            .collect();
        let moments = changes.iter().map(|change| change.at).chain(file.injections.iter().map(|one| one.created_at));
        let moments = moments.chain(file.history.throughput.iter().map(|reading| reading.at));
        let who = file.history.who.as_ref();
        Self {
            session: file.session.clone(),
            program: clean(&file.program),
            command: clean(&file.command),
            pid: file.pid,
            user: who.map(|who| clean(&who.user)),
            host: who.map(|who| clean(&who.host)),
            docker_host: file.docker_host.as_deref().map(clean),
            started_at: file.started_at,
            until: moments.max().unwrap_or(file.started_at).max(file.started_at),
            open: file.injections.iter().any(Injection::is_open),
            not_compared: None,
            injections,
            throughput: file.history.throughput.clone(),
        }
    }

    /// `me@laptop`, as far as it is known.
    fn who(&self) -> String {
        match (&self.user, &self.host) {
            (Some(user), Some(host)) => format!("{user}@{host}"),
            _ => "not recorded".to_owned(),
        }
    }

    /// What stands at the top, in pairs.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("Session", self.session.clone()),
            ("By", format!("{}, {} {}, process {}", self.who(), self.program, self.command, self.pid)),
            ("From", moment(self.started_at)),
            ("To", format!("{} ({})", moment(self.until), span(self.until.duration_since(self.started_at)))),
        ];
        if let Some(host) = &self.docker_host {
            facts.push(("Docker", host.clone()));
        }
        if self.open {
            let how = match &self.not_compared {
                Some(reason) => {
                    format!("something may still be injected: not compared with the nodes: {}", clean(reason))
                }
                None => "something may still be injected: see below".to_owned(),
            };
            facts.push(("Still open", how));
        }
        facts
    }
}

impl Told {
    fn of(injection: &Injection, mut changes: Vec<Change>, measured: Option<Value>) -> Self {
        for change in &mut changes {
            change.command = clean(&change.command);
            change.note = change.note.as_deref().map(clean);
        }
        let last = |found: &dyn Fn(Life) -> bool| changes.iter().rev().find(|change| found(change.state));
        let began_at = changes.iter().find(|change| change.state == Life::Active).map(|change| change.at);
        let end = last(&|state| matches!(state, Life::Clean | Life::Failed | Life::Lost));
        let end = end.filter(|_| !injection.is_open());
        let metadata = &injection.metadata;
        let figures = injection.measured.as_ref().zip(metadata.network().as_ref().map(Asked::of));
        let sentence = |judgement: Option<Judgement>| judgement.map(|judgement| clean(&judgement.to_string()));
        Self {
            id: metadata.id.to_string(),
            chaos_type: metadata.fault_type().to_string(),
            target: clean(metadata.target()),
            what: clean(&metadata.fault.to_string()),
            metadata: serde_json::to_value(metadata).unwrap_or_default(),
            state: injection.state,
            asked_at: injection.created_at,
            began_at,
            ended_at: end.map(|end| end.at),
            deadline: injection.deadline,
            end: how_it_ended(injection, end),
            undo: injection.undo.iter().map(|line| clean(line)).collect(),
            note: injection.note.as_deref().map(clean),
            seen_during: sentence(figures.as_ref().and_then(|(figures, asked)| figures.judgement(asked))),
            seen_after: sentence(figures.as_ref().and_then(|(figures, asked)| figures.over(asked))),
            measured,
            changes,
        }
    }

    /// `12s to 1m 5s`, counted from the session's start.
    fn times(&self, start: Timestamp) -> String {
        let from = self.began_at.unwrap_or(self.asked_at);
        let to = self.ended_at.map_or("?".to_owned(), |end| offset(start, end));
        format!("{} to {to}", offset(start, from))
    }
}

fn how_it_ended(injection: &Injection, end: Option<&Change>) -> String {
    let by = |end: &Change| format!(" by {}, process {}", end.command, end.pid);
    let overdue = |end: &Change| injection.deadline.is_some_and(|deadline| deadline <= end.at);
    match (injection.state, end) {
        (Life::Clean, Some(end)) if overdue(end) => format!("its time was over; reverted{}", by(end)),
        (Life::Clean, Some(end)) => format!("reverted{}", by(end)),
        (Life::Clean, None) => "reverted".to_owned(),
        (Life::Failed, _) => "could not be made, and was rolled back".to_owned(),
        (Life::Lost, _) => "the target went away, and the fault with it".to_owned(),
        (state, _) => format!("not ended: {state}"),
    }
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `7.3 s`, `1m 5s`.
fn span(time: SignedDuration) -> String {
    match time.as_secs() {
        seconds if seconds < 60 => format!("{seconds}.{} s", time.subsec_millis().abs() / 100),
        seconds if seconds < 3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        seconds => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

fn offset(start: Timestamp, at: Timestamp) -> String {
    format!("+{}", span(at.duration_since(start).max(SignedDuration::ZERO)))
}

/// A file may say anything; on a terminal and in a page it says only what can be read.
fn clean(text: &str) -> String {
    let hidden = |one: char| {
        one.is_control() || matches!(one, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|one| if hidden(one) { ' ' } else { one }).collect()
}
