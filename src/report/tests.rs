use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::{
    chaos::{
        FaultMetadata, InjectionId, Metadata, Signal,
        measured::{Look, Measured, PeerReading, Reading, Tally, Times},
        undo_commands,
    },
    session::{History, SCHEMA, Who},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_secs(second)
}

fn injection(number: u32, target: &str, state: Life, asked: i64) -> Injection {
    let metadata = Metadata {
        fault: FaultMetadata::NodeKill { target_container: target.into(), signal: Signal::Kill },
        id: InjectionId::from_number(number),
        container_id: "0123456789ab".into(),
        container_started_at: String::new(),
        daemon_id: None,
        holder_image: None,
        before: None,
        task: None,
        group: None,
    };
    Injection {
        state,
        undo: undo_commands(&metadata).iter().map(ToString::to_string).collect(),
        metadata,
        created_at: at(asked),
        deadline: Some(at(asked + 600)),
        deadline_since_boot_ms: None,
        left: false,
        note: None,
        former: None,
        measured: None,
    }
}

fn change(number: u32, second: i64, state: Life, command: &str) -> Change {
    let id = InjectionId::from_number(number);
    Change { at: at(second), id, state, pid: 4242, command: command.into(), note: None }
}

/// How long another node takes to answer.
fn look(mean_us: u64) -> Look {
    let times = Times {
        mean_us,
        deviation_us: mean_us / 3,
        least_us: mean_us / 2,
        median_us: mean_us,
        p99_us: mean_us * 3 / 2,
        most_us: mean_us * 3 / 2,
    };
    let tally = |sent| Tally { sent, answered: sent, refused: 0, duplicates: 0, times: Some(times) };
    let peer = PeerReading {
        name: "tikv0".into(),
        address: [172, 28, 0, 10].into(),
        port: 20_160,
        connect: tally(8),
        echo: Some(tally(40)),
        burst: None,
        beside: Vec::new(),
    };
    Look::Seen(Reading { peers: vec![peer], ..Reading::default() })
}

/// One that was reverted, one that its deadline ended, one that failed, one that is open.
fn session() -> SessionFile {
    let mut failed = injection(3, "tikv2", Life::Failed, 30);
    failed.note = Some("cannot kill tikv2: No such container".into());
    let changes = vec![
        change(1, 5, Life::Planned, "tui"),
        change(1, 6, Life::Active, "tui"),
        change(1, 65, Life::Clean, "tui"),
        change(2, 10, Life::Planned, "tui"),
        change(2, 11, Life::Active, "tui"),
        change(3, 30, Life::Planned, "tui"),
        change(3, 31, Life::Failed, "tui"),
        change(2, 610, Life::Clean, "guard"),
        change(4, 620, Life::Active, "tui"),
    ];
    let mut slow = injection(2, "tikv1", Life::Clean, 10);
    slow.metadata.fault = FaultMetadata::latency("tikv1", 50, 150, &["eth0"]);
    let [before, during, after] = [400, 98_000, 500].map(|mean_us| Some(look(mean_us)));
    slow.measured = Some(Measured { before, during, after });
    let throughput = (0..64).map(|step| {
        let ops_per_s = if (1..=6).contains(&step) { 40 } else { 200 };
        let refused_per_s = (ops_per_s == 40).then_some(120);
        Throughput { at: at(step * 10 - 10), ops_per_s, refused_per_s }
    });
    SessionFile {
        schema: SCHEMA,
        session: "20270115T080000Z-0000002a".into(),
        program: "tikv-chaos 0.1.0".into(),
        command: "tui".into(),
        pid: 4242,
        boot_id: String::new(),
        docker_host: Some("unix:///var/run/docker.sock".into()),
        started_at: at(0),
        injections: vec![injection(1, "tikv0", Life::Clean, 5), slow, failed, injection(4, "tikv0", Life::Active, 620)],
        history: History {
            who: Some(Who { user: "root".into(), host: "laptop".into() }),
            changes,
            throughput: throughput.collect(),
        },
    }
}

fn report() -> Report {
    Report::of(&session(), &serde_json::to_value(session()).unwrap())
}

#[test]
fn markdown_tells_it_all() {
    insta::assert_snapshot!(markdown(&report()));
}

#[test]
fn html_tells_the_same() {
    insta::assert_snapshot!(html(&report()));
}

#[test]
fn json_is_the_same_as_data() {
    let value = serde_json::to_value(report()).unwrap();
    assert_eq!((&value["user"], &value["open"]), (&"root".into(), &true.into()));
    let slow = &value["injections"][1];
    assert_eq!(slow["measured"]["during"]["peers"][0]["echo"]["sent"], 40);
    assert_eq!(slow["seen_during"], "asked 100 ± 50 ms, measured 98 ± 57 ms over 40: as asked");
    assert!(slow["seen_after"].as_str().unwrap().ends_with("it is over"), "{slow}");
    assert_eq!(value["injections"][0]["metadata"]["chaos_type"], "node_kill");
    assert_eq!(value["injections"][1]["end"], "its time was over; reverted by guard, process 4242");
    assert_eq!(value["injections"][3]["ended_at"], Value::Null);
    assert_eq!(value["throughput"].as_array().unwrap().len(), 64);
}

#[test]
fn an_older_journal_without_a_history_is_told_as_far_as_it_goes() {
    let file = SessionFile { history: History::default(), ..session() };
    let report = Report::of(&file, &serde_json::to_value(&file).unwrap());
    let text = markdown(&report);
    assert!(text.contains("not recorded") && text.contains("+5.0 s to ?"), "{text}");
    assert!(!html(&report).contains("polyline"));
}

#[test]
fn whatever_a_journal_says_is_text_and_no_markup() {
    let mut file = session();
    let evil = "<script>alert(1)</script>|`x`\n# h\u{1b}[2J\u{202e}&\"'";
    for injection in &mut file.injections {
        injection.note = Some(evil.into());
        injection.metadata.fault = FaultMetadata::NodeKill { target_container: evil.into(), signal: Signal::Kill };
    }
    file.history.who = Some(Who { user: evil.into(), host: evil.into() });
    file.history.changes.iter_mut().for_each(|change| change.command = evil.into());
    let mut raw = serde_json::to_value(&file).unwrap();
    raw["injections"][0]["measured"] = json!({ "<b>": evil });
    let report = Report::of(&file, &raw);
    let page = html(&report);
    assert!(!page.contains("<script") && !page.contains("<b>"));
    assert!(page.chars().all(|one| one == '\n' || !one.is_control()));
    let text = markdown(&report);
    assert!(!text.contains("<script") && !text.contains("\n# h"), "{text}");
    let rows = text.lines().filter(|line| line.starts_with("| +") && line.contains("node"));
    assert!(rows.count() == 4, "{text}");
    assert!(text.chars().all(|one| one == '\n' || !one.is_control()));
}

#[test]
fn every_element_of_the_picture_is_closed() {
    let page = html(&report());
    let picture = page.split("<svg").nth(1).unwrap().split("</svg>").next().unwrap();
    for name in ["line", "polyline", "rect", "text", "title"] {
        let (opened, closed) = (format!("<{name} "), format!("</{name}>"));
        let opened = picture.matches(&opened).count() + picture.matches(&format!("<{name}>")).count();
        assert!(opened > 0 && opened == picture.matches(&closed).count(), "{name}");
    }
}

#[test]
fn a_page_fetches_nothing() {
    let page = html(&report());
    let links: Vec<&str> = page.match_indices("http").map(|(at, _)| &page[at..(at + 30).min(page.len())]).collect();
    assert!(
        links.iter().all(|link| link.starts_with("http://www.w3.org/2000/svg") || link.starts_with("http-equiv")),
        "{links:?}"
    );
    assert!(!page.contains("src=") && !page.contains("url(") && !page.contains("@import"));
}
