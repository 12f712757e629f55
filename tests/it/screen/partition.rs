//! A fault made and put back, by keys and by mouse; what is asked at the end.

use support::{
    Program,
    cluster::Options,
    docker_is_here,
    pty::{CTRL_C, Terminal},
};

use super::reader::*;

#[test]
fn screen_partition_by_keys_runs_shown_commands_and_reverts() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    assert!(terminal.is_taken());
    choose(&mut terminal, 1, "network_partition");
    let shown = shows_exactly_what_would_run(&mut terminal, &program);
    assert!(cluster.traces(1).is_empty(), "nothing is injected before it is asked for");

    terminal.send("i");
    let screen = wait_active(&terminal, 1, "network_partition");
    assert!(screen.contains("1 open") && screen.contains("1 injection"), "{screen}");
    assert!(row(&screen, 1).unwrap().contains("network_partition"), "{screen}");
    assert!(!cluster.traces(1).is_empty());
    assert_eq!(journal(&program)[0]["state"], "active");
    assert_eq!(journal(&program)[0]["metadata"]["id"], shown.as_str(), "what was shown is what ran");

    terminal.send("r");
    terminal.wait_text("Nothing is injected.");
    terminal.wait_text("read back and gone");
    assert!(cluster.traces(1).is_empty());
    quit(&mut terminal);
    assert!(journal(&program).is_empty());
    cluster.assert_clean();
}

/// Compares the commands on the screen, in the pane and in the popup, with those of the command line. Only the
/// injection's own name may differ, which is another in each program; gives the one that is shown.
fn shows_exactly_what_would_run(terminal: &mut Terminal, program: &Program) -> String {
    let plan = program.run(&["inject", "network_partition", "--target", "tikv1", "--dry-run", "--json"]).ok().json();
    let (_, tool) = plan["commands"][0].as_str().unwrap().split_once(" | ").unwrap();
    let pane = terminal.wait_text("--noflush");
    assert!(pane.contains(&format!("$ {tool} <<'EOF'")), "{pane}");

    terminal.send("c");
    let popup = dense(&inside_popup(&terminal.wait_text("[Esc] close")));
    let shown = popup.split("TIKV-CHAOS-").nth(1).unwrap()[..8].to_owned();
    let ips = plan["metadata"]["target_ips"].as_array().unwrap().iter().map(|ip| ip.as_str().unwrap());
    let rules = ips.flat_map(|ip| {
        [("IN", "-s"), ("OUT", "-d")]
            .map(|(end, option)| format!("-A TIKV-CHAOS-{shown}-{end} {option} {ip}/32 -j DROP"))
    });
    let undo = plan["undo"][0].as_str().unwrap().replace(plan["id"].as_str().unwrap(), &shown);
    for expected in rules.chain([tool.to_owned(), undo]) {
        assert!(popup.contains(&dense(&expected)), "{expected}\nis not in\n{popup}");
    }
    terminal.send("c");
    terminal.wait_gone("[Esc] close");
    shown
}

/// What stands in the popup, without its frame.
fn inside_popup(screen: &str) -> String {
    let top = screen.lines().find(|line| line.contains("╭ network_partition into")).unwrap();
    let left = columns_before(top, "╭ network_partition into") + 1;
    let width = top.chars().skip(left).take_while(|c| *c != '╮').count();
    let rows = screen.lines().skip_while(|line| *line != top);
    rows.skip(1).map(|line| line.chars().skip(left).take(width).collect::<String>()).collect()
}

/// Without white space, which wrapping changes.
fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn screen_partition_by_mouse_works_on_smallest_terminal() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, SMALL);
    terminal.click(&name(2));
    terminal.wait_until("the target", |screen| {
        screen.lines().any(|line| line.contains(" 2 CHAOS ") && line.contains(&name(2)))
    });
    terminal.click("○ network_partition");
    terminal.wait_text("● network_partition");
    // The commands are one key away where there is no room for them.
    terminal.wait_text("c shows all");
    terminal.click("[ Inject ]");
    wait_active(&terminal, 2, "network_partition");
    assert!(!cluster.traces(2).is_empty());

    terminal.click("▸ network_partition");
    terminal.wait_text(" 3 ACTIVE ━");
    terminal.send("r");
    terminal.wait_text("Nothing is injected.");
    assert!(cluster.traces(2).is_empty());
    terminal.click("q quit");
    terminal.wait_success();
    cluster.assert_clean();
}

#[test]
fn screen_quit_with_open_injection_asks_leave_or_revert() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, LARGE);
    inject(&mut terminal, 0, "network_partition");
    terminal.send("q");
    terminal.wait_text("Quit with 1 injection open?");
    terminal.send("s");
    terminal.wait_gone("Quit with");
    assert!(active(&terminal.screen(), 0).is_some());

    terminal.send("q");
    terminal.wait_text("[l] leave them until their deadline and quit");
    terminal.send("l");
    let said = terminal.wait_success();
    assert!(said.contains("left in place:") && said.contains("tikv-chaos recover"), "{said}");
    let left = &journal(&program)[0];
    assert_eq!((&left["state"], &left["left"]), (&"active".into(), &true.into()));
    assert!(!cluster.traces(0).is_empty());
    program.run(&["recover"]).ok();
    assert!(journal(&program).is_empty());
    cluster.assert_clean();

    let mut terminal = open(&program, LARGE);
    inject(&mut terminal, 0, "network_partition");
    terminal.send("q");
    terminal.wait_text("[r] revert all and quit");
    terminal.send("r");
    let said = terminal.wait_success();
    assert!(!said.contains("left in place"), "{said}");
    assert!(journal(&program).is_empty());
    cluster.assert_clean();
}

#[test]
fn screen_ctrl_c_asks_once_then_leaves_injection() {
    if !docker_is_here() {
        return;
    }
    let (cluster, program) = start(&Options::default());
    let mut terminal = open(&program, SMALL);
    inject(&mut terminal, 1, "network_partition");
    terminal.send(CTRL_C);
    terminal.wait_text("Quit with 1 injection open?");
    terminal.send(CTRL_C);
    terminal.wait_success();
    assert_eq!(journal(&program)[0]["left"], true);
    program.run(&["recover"]).ok();
    cluster.assert_clean();
}

#[test]
fn screen_resize_redraws_or_asks_for_minimum_size() {
    let program = Program::new(None);
    let mut terminal = open_without_docker(&program, SMALL);
    terminal.wait_text("Docker is not answering");
    for (size, expected) in [
        ((1, 1), "t"),
        ((3, 10), "80x24"),
        (SMALL, "1 NODES"),
        ((60, 200), "4 LOG"),
        ((23, 80), "needs 80x24, this terminal has 80x23"),
        ((24, 79), "needs 80x24, this terminal has 79x24"),
        (SMALL, "q quit"),
    ] {
        terminal.resize(size);
        terminal.wait_text(expected);
    }
    // Back before the program may have drawn: the rows in between are lost on a terminal, and must be drawn again.
    for _ in 0..10 {
        terminal.resize((10, 40));
        terminal.resize(SMALL);
        terminal.wait_until("a whole screen", |screen| {
            ["1 NODES", "4 LOG", "q quit"].iter().all(|part| screen.contains(part))
        });
    }
    terminal.resize((3, 10));
    terminal.wait_text("needs");
    quit(&mut terminal);
}

#[test]
fn screen_without_terminal_prints_one_line_and_exits_2() {
    let ran = Program::new(None).run(&[]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.stderr.contains("needs a terminal") && ran.stderr.contains("--help"), "{ran:?}");
    assert_eq!(ran.stderr.trim().lines().count(), 1, "{ran:?}");
}
