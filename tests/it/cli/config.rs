//! The configuration file and themes: precedence, errors with their line, and the printed default.

use std::{fs, path::Path};

use support::{Program, pty::Terminal};

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
fn config_precedence_is_flag_environment_file_default() {
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
fn config_file_from_env_or_xdg_path_is_obeyed() {
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
fn config_error_names_file_and_line_and_makes_no_session() {
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
fn theme_errors_name_file_and_line_and_no_color_beats_theme() {
    let (program, path) = configured("theme = \"mine\"\n");
    let themes = Path::new(&path).parent().unwrap().join("themes");
    // Of a Docker that is there it would look at the nodes of every other test.
    let doctor =
        || program.run_with(&["doctor", "--config", &path], "", &[("DOCKER_HOST", "unix:///nonexistent.sock")]);
    let missing = doctor();
    assert_eq!(missing.status, 2, "{missing:?}");
    let said = "theme \"mine\": there is no such theme; there are ansi, dark, light, colour-blind, mono, a file in ";
    assert!(missing.stdout.contains(said), "{missing:?}");
    fs::create_dir(&themes).unwrap();
    let mine = themes.join("mine.toml");
    fs::write(&mine, "# mine\nbad = \"rot\"\n").unwrap();
    let expected = format!("{}:2: bad: there is no \"rot\" in a style; expected a text of a colour", mine.display());
    let doctor = doctor();
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
fn config_default_output_matches_defaults_and_lists_settings() {
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
