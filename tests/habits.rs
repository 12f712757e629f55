//! What surrounds the screen: the configuration file, completions, the man page, the session report, and a terminal
//! that knows nothing.

mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use support::{PROGRAM, Program, pty::Terminal, try_run};

/// A file beside the state folder, given by its name.
fn configured(text: &str) -> (Program, String) {
    let program = Program::new(None);
    let path = program.state.path().join("ours.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (program, path)
}

fn setting(document: &serde_json::Value, name: &str) -> (String, String) {
    let settings = document["settings"].as_array().unwrap();
    let found = settings.iter().find(|one| one["name"] == name).unwrap();
    (found["value"].as_str().unwrap_or("-").to_owned(), found["from"].as_str().unwrap().to_owned())
}

#[test]
fn a_flag_comes_before_the_environment_that_before_the_file_that_before_the_default() {
    let text = "max_active = 3\nttl = \"90s\"\nread_only = true\n[keys]\nrevert = \"x\"\n";
    let (program, path) = configured(text);
    let look = |args: &[&str], env: &[(&str, &str)]| {
        let all = [&["config", "--json", "--config", &path], args].concat();
        program.run_with(&all, "", env).ok().json()
    };
    let of_file = look(&[], &[]);
    assert_eq!(setting(&of_file, "max_active"), ("3".into(), "file".into()));
    assert_eq!(setting(&of_file, "ttl"), ("90s".into(), "file".into()));
    assert_eq!(setting(&of_file, "read_only"), ("true".into(), "file".into()));
    assert_eq!(setting(&of_file, "max_ttl"), ("30m".into(), "default".into()));
    assert_eq!(of_file["tables"]["keys"]["revert"], "x");
    let env = [("TIKV_CHAOS_MAX_ACTIVE", "4"), ("TIKV_CHAOS_TTL", "2m"), ("TIKV_CHAOS_READ_ONLY", "0")];
    let of_env = look(&[], &env);
    assert_eq!(setting(&of_env, "max_active"), ("4".into(), "environment".into()));
    assert_eq!(setting(&of_env, "ttl"), ("2m".into(), "environment".into()));
    assert_eq!(setting(&of_env, "read_only"), ("false".into(), "environment".into()));
    assert_eq!(setting(&look(&["--max-active", "5"], &env), "max_active"), ("5".into(), "flag".into()));
    let text = program.run(&["config", "--config", &path]).ok().stdout;
    assert!(text.contains(&format!("{path}:1")) && text.contains("inject --ttl"), "{text}");
}

#[test]
fn what_the_file_sets_is_obeyed() {
    let (program, path) = configured("read_only = true\n");
    let refused = program.run_with(&["recover"], "", &[("TIKV_CHAOS_CONFIG", &path)]);
    assert_eq!(refused.status, 3, "{refused:?}");
    let usual = tempfile::tempdir().unwrap();
    fs::create_dir(usual.path().join("tikv-chaos")).unwrap();
    fs::write(usual.path().join("tikv-chaos/config.toml"), "read_only = true\n").unwrap();
    let env = [("XDG_CONFIG_HOME", usual.path().to_str().unwrap()), ("TIKV_CHAOS_CONFIG", "")];
    assert_eq!(program.run_with(&["recover"], "", &env).status, 3);
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_line_and_changes_nothing() {
    let keys = [
        (
            "[keys]\nhelp = \"F1\"\ninjekt = \"i\"\n",
            "3: [keys]: there is no action \"injekt\"; expected one of inject,",
        ),
        (
            "[keys]\ninject = [\"F5\", \"Hyper-i\"]\n",
            "2: [keys]: inject: there is no key \"Hyper-i\"; expected a character",
        ),
        (
            "[keys]\ninject = \"r\"\n",
            "2: [keys]: the key r cannot be both inject (inject the fault into the target) and revert",
        ),
    ];
    let (program, path) = configured("");
    for (text, expected) in keys
        .iter()
        .chain(&[("# ours\nmax_active = \"many\"\n", "2: max_active cannot be \"many\"; allowed: a whole number")])
    {
        fs::write(&path, text).unwrap();
        let expected = format!("{path}:{expected}");
        for command in ["nodes", "types", "recover", "config", "doctor"] {
            let ran = program.run(&[command, "--config", &path]);
            assert_eq!(ran.status, 2, "{ran:?}");
            assert!(format!("{}{}", ran.stdout, ran.stderr).contains(&expected), "{ran:?}");
        }
    }
    assert_eq!(program.run(&["nodes", "--json", "--config", &path]).json()["status"], 2);
    assert!(!program.state.path().join("sessions").exists());
    // What one needs to get out of it, and who must not be kept from its work.
    program.run(&["config", "--default", "--config", &path]).ok();
    let missing = program.run(&["types", "--config", "/nonexistent/config.toml"]);
    assert!(missing.status == 2 && missing.stderr.contains("it cannot be read"), "{missing:?}");
    let both = configured("docker_host = \"tcp://a:1\"\ncontext = \"lab\"\n");
    let env = [("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "")];
    let both = both.0.run_with(&["nodes", "--config", &both.1], "", &env);
    assert!(both.status == 2 && both.stderr.contains("leave one of them out"), "{both:?}");
}

/// Only the screen minds, and whoever is asked what is wrong: what undoes something works with any theme.
#[test]
fn a_theme_that_cannot_be_used_is_named_with_the_line_and_what_was_expected() {
    let (program, path) = configured("theme = \"mine\"\n");
    let themes = Path::new(&path).parent().unwrap().join("themes");
    let missing = program.run(&["doctor", "--config", &path]);
    assert_eq!(missing.status, 2, "{missing:?}");
    let said = "theme \"mine\": there is no such theme; there are ansi, dark, light, colour-blind, mono, a file in ";
    assert!(missing.stdout.contains(said), "{missing:?}");
    fs::create_dir(&themes).unwrap();
    let mine = themes.join("mine.toml");
    fs::write(&mine, "# mine\nbad = \"rot\"\n").unwrap();
    let expected = format!("{}:2: bad: there is no \"rot\" in a style; expected a text of a colour", mine.display());
    let doctor = program.run(&["doctor", "--config", &path]);
    assert!(doctor.status == 2 && doctor.stdout.contains(&expected), "{doctor:?}");
    let mut screen = Terminal::open_args(&program, (24, 80), &["--config", &path]);
    assert_eq!(screen.wait_exit().exit_code(), 2);
    let one_line: String = screen.screen().split_whitespace().collect();
    let squeezed: String = expected.split_whitespace().collect();
    assert!(one_line.contains(&squeezed), "{}", screen.screen());
    program.run(&["active", "--config", &path]).ok();
    fs::write(&mine, "bad = \"202 bold\"\n").unwrap();
    let env = [("DOCKER_HOST", "unix:///nonexistent.sock"), ("TIKV_CHAOS_CONFIG", path.as_str())];
    let mut screen = Terminal::open_with(&program, (24, 80), &env);
    screen.wait_text("Docker is not answering");
    assert!(screen.written().contains("38;5;202"), "the colour of the theme");
    screen.send("q");
    screen.wait_success();
    // NO_COLOR comes before any theme (https://no-color.org).
    let mut screen = Terminal::open_with(&program, (24, 80), &[&env[..], &[("NO_COLOR", "1")]].concat());
    screen.wait_text("Docker is not answering");
    assert!(!screen.written().contains("38;5;"), "no colour");
    screen.send("q");
    screen.wait_success();
}

#[test]
fn the_printed_default_is_the_default_and_knows_every_setting() {
    let default = Program::new(None).run(&["config", "--default"]).ok().stdout;
    let (program, path) = configured(&default);
    let env = [("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "")];
    let with = program.run_with(&["config", "--json", "--config", &path], "", &env).ok().json();
    let without = program.run_with(&["config", "--json", "--config", "/dev/null"], "", &env).ok().json();
    let names: Vec<&str> =
        without["settings"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for name in names {
        assert_eq!(setting(&with, name).0, setting(&without, name).0, "{name}");
        assert!(default.contains(&format!("\n{name} = ")) || default.contains(&format!("\n#{name} = ")), "{name}");
    }
    // Whoever takes the # away has a file that can be read.
    let all: String = default
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)))
        .collect();
    let (program, path) = configured(&all);
    program.run(&["config", "--config", &path]).ok();
}

/// Every command that a user may type.
fn commands() -> Vec<String> {
    let help = Program::new(None).run(&["--help"]).ok().stdout;
    let list = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

#[test]
fn completions_and_man_page_know_every_command() {
    let program = Program::new(None);
    let commands = commands();
    assert!(commands.len() > 12, "{commands:?}");
    let man = program.run(&["man"]).ok().stdout;
    for command in &commands {
        assert!(man.contains(&format!(".SS {command}\n")), "{command}");
    }
    assert!(man.starts_with(".ie") && man.contains(".TH tikv-chaos 1") && man.contains(r"\fB\-\-min\-ms\fR"), "{man}");
    assert!(!man.contains("holder\n") && !man.contains("relay"), "hidden commands stay hidden");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = program.run(&["completions", shell]).ok().stdout;
        for command in &commands {
            assert!(script.contains(command.as_str()), "{shell} {command}");
        }
        for hidden in ["relay", "guard"] {
            assert!(!script.contains(hidden), "{shell} offers {hidden}");
        }
    }
    let bash = program.state.path().join("bash");
    fs::write(&bash, program.run(&["completions", "bash"]).ok().stdout).unwrap();
    let (ok, said) = try_run("bash", &["-n", bash.to_str().unwrap()]);
    assert!(ok, "{said}");
    // As bash itself asks for them.
    let asked = "source \"$0\"; name=$(complete -p tikv-chaos | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
                 COMP_WORDS=(tikv-chaos \"$@\"); COMP_CWORD=$#; \
                 $name tikv-chaos \"${COMP_WORDS[$#]}\" \"${COMP_WORDS[$# - 1]}\"; echo \"${COMPREPLY[*]}\"";
    for (typed, offered) in [
        (&["inj"][..], "inject"),
        (&["inject", "lat"], "latency"),
        (&["inject", "latency", "--min"], "--min-ms"),
        (&["report", "--format", "h"], "html"),
        (&["demo", "st"], "status"),
    ] {
        let (ok, said) = try_run("bash", &[&["-c", asked, bash.to_str().unwrap()], typed].concat());
        assert!(ok && said.trim() == offered, "{typed:?}: {said}");
    }
    let wrong = program.run(&["completions", "tcsh"]);
    assert_eq!(wrong.status, 2, "{wrong:?}");
}

#[test]
fn help_fits_into_80_columns() {
    let program = Program::new(None);
    let commands = commands();
    let lines = commands
        .iter()
        .map(|one| vec![one.as_str(), "--help"])
        .chain([vec!["--help"], vec!["inject", "latency", "--help"]]);
    for args in lines {
        let help = program.run_with(&args, "", &[("COLUMNS", "80")]).ok().stdout;
        let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "{args:?}: {long:?}");
    }
}

#[test]
fn a_terminal_that_knows_nothing_is_told_of_the_command_line() {
    let program = Program::new(None);
    let ran = program.run(&[]);
    assert!(ran.status == 2 && ran.stderr.contains("needs a terminal") && ran.stderr.contains("--help"), "{ran:?}");
    // A terminal, but a dumb one: script(1) makes one.
    let line = format!("TERM=dumb {PROGRAM} --state-dir {}", program.state.path().display());
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
    if let Ok(output) = output {
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("TERM=dumb") && text.contains("--help") && !text.contains("\u{1b}["), "{text}");
    }
}

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
fn a_report_is_of_the_last_session_or_of_the_one_that_is_named() {
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
fn ended_sessions_are_nothing_for_recovery() {
    let program = Program::new(Some("no-such-cluster"));
    ended(&program);
    assert!(program.active().is_empty());
}

/// What can be shown with its output, and needs no Docker.
#[test]
fn examples_print_what_they_show() {
    let state = tempfile::tempdir().unwrap();
    let cases = trycmd::TestCases::new();
    cases.env("TIKV_CHAOS_STATE_DIR", state.path().to_str().unwrap());
    cases.env("XDG_CONFIG_HOME", "/nonexistent").env("TIKV_CHAOS_CONFIG", "");
    cases.register_bin("tikv-chaos", std::path::Path::new(PROGRAM));
    cases.case("README.md").case("tests/cmd/*.trycmd").run();
}
