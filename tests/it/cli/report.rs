//! `report`: an ended session as Markdown, HTML and JSON.

use std::fs;

use support::Program;

/// An ended session as an earlier run laid it aside.
fn ended(program: &Program) {
    let folder = program.state.path().join("ended");
    fs::create_dir_all(&folder).unwrap();
    for (name, target) in [("20270115T080000Z-0000002a", "tikv0"), ("20270116T080000Z-0000002b", "tikv1")] {
        let journal = serde_json::json!({
            "schema": 1, "session": name, "program": "tikv-chaos 0.1.0", "command": "tui", "pid": 42, "boot_id": "",
            "started_at": "2027-01-15T08:00:00Z",
            "injections": [{
                "state": "clean", "undo": [], "created_at": "2027-01-15T08:00:05Z", "deadline": null,
                "metadata": {
                    "chaos_type": "node_kill", "target_container": target, "signal": "SIGKILL", "id": "00000001",
                    "container_id": "0123456789ab", "container_started_at": "",
                },
                "measured": { "samples": 40 },
            }],
            "history": {
                "who": { "user": "root", "host": "laptop" },
                "changes": [
                    { "at": "2027-01-15T08:00:06Z", "id": "00000001", "state": "active", "pid": 42, "command": "tui" },
                    { "at": "2027-01-15T08:01:06Z", "id": "00000001", "state": "clean", "pid": 43, "command": "revert" },
                ],
            },
        });
        fs::write(folder.join(format!("{name}.json")), journal.to_string()).unwrap();
    }
}

#[test]
fn report_covers_last_or_named_session() {
    let program = Program::new(None);
    let none = program.run(&["report"]);
    assert!(none.status == 2 && none.stderr.contains("there is no session yet"), "{none:?}");
    ended(&program);
    let last = program.run(&["report"]).ok().stdout;
    assert!(last.contains("root@laptop") && last.contains("tikv1") && last.contains("reverted by"), "{last}");
    let named = program.run(&["report", "20270115", "--format", "json"]).ok().json();
    assert_eq!(named["injections"][0]["target"], "tikv0");
    assert_eq!(named["injections"][0]["measured"]["samples"], 40);
    assert_eq!(named["injections"][0]["undo"][0], "docker start 0123456789ab", "made again, not believed");
    let file = program.state.path().join("report.html");
    program.run(&["report", "last", "--format", "html", "-o", file.to_str().unwrap()]).ok();
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg") && page.ends_with("</html>\n"), "{page}");
    for (args, expected) in [
        (vec!["report", "2027"], "could be any of 20270116T080000Z-0000002b, 20270115T080000Z-0000002a"),
        (vec!["report", "1999"], "there is no session \"1999\"; the newest are 20270116T080000Z-0000002b"),
        (vec!["report", "--format", "pdf"], "invalid value 'pdf'"),
    ] {
        let ran = program.run(&args);
        assert!(ran.status == 2 && ran.stderr.contains(expected), "{ran:?}");
    }
    fs::write(program.state.path().join("ended/20280101T000000Z-00000001.json"), "{").unwrap();
    let torn = program.run(&["report"]);
    assert!(torn.status == 1 && torn.stderr.contains("20280101T000000Z-00000001.json"), "{torn:?}");
}

#[test]
fn active_ignores_ended_sessions() {
    let program = Program::new(Some("no-such-cluster"));
    ended(&program);
    assert!(program.active().is_empty());
}
