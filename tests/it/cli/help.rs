//! Generated texts: completions, the man page, `--help`, and the examples of the README.

use std::{
    fs,
    process::{Command, Stdio},
};

use support::{Program, program_path, try_run};

/// Every command that a user may type.
fn commands() -> Vec<String> {
    let help = Program::new(None).run(&["--help"]).ok().stdout;
    let list = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

#[test]
fn completions_and_man_page_cover_every_command() {
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
fn help_fits_in_80_columns() {
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
fn screen_without_usable_terminal_points_to_command_line() {
    let program = Program::new(None);
    let ran = program.run(&[]);
    assert!(ran.status == 2 && ran.stderr.contains("needs a terminal") && ran.stderr.contains("--help"), "{ran:?}");
    // A terminal, but a dumb one: script(1) makes one.
    let line = format!("TERM=dumb {} --state-dir {}", program_path().display(), program.state.path().display());
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
    if let Ok(output) = output {
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("TERM=dumb") && text.contains("--help") && !text.contains("\u{1b}["), "{text}");
    }
}

/// What can be shown with its output, and needs no Docker.
#[test]
fn documented_examples_print_shown_output() {
    let state = tempfile::tempdir().unwrap();
    let cases = trycmd::TestCases::new();
    cases.env("TIKV_CHAOS_STATE_DIR", state.path().to_str().unwrap());
    cases.env("XDG_CONFIG_HOME", "/nonexistent").env("TIKV_CHAOS_CONFIG", "");
    cases.register_bin("tikv-chaos", program_path());
    cases.case("README.md").case("tests/cmd/*.trycmd").run();
}
