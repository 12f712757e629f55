//! `completions` and `man`: made from the same table of commands that parses them, so that they cannot go stale.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap_complete::Shell;
use clap_mangen::Man;

use super::args;

const NAME: &str = "tikv-chaos";

/// A reader that went away is no error.
fn print(bytes: &[u8]) -> ExitCode {
    let _ = io::stdout().write_all(bytes);
    ExitCode::SUCCESS
}

pub fn completions(shell: Shell) -> ExitCode {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut typed_by_people(&args::command()), NAME, &mut bytes);
    match (shell, String::from_utf8(bytes)) {
        (Shell::Bash, Ok(script)) => print(mended(&script).as_bytes()),
        (_, Ok(script)) => print(script.as_bytes()),
        (_, Err(error)) => print(error.as_bytes()),
    }
}

/// clap_complete 4.6 takes the hyphen of the program's name for a space where it writes a command's options, and not where
/// it looks for them: no command would have any (clap-rs/clap#6421).
fn mended(script: &str) -> String {
    let name = NAME.replace('-', "__");
    script.replace(&format!("{}__", NAME.replace('-', "__subcmd__")), &format!("{name}__"))
}

/// Without the roles that the program starts itself in: the generators offer hidden commands as well.
fn typed_by_people(command: &clap::Command) -> clap::Command {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    clap::Command::new(NAME)
        .version(command.get_version().unwrap_or_default().to_owned())
        .disable_help_subcommand(true)
        .args(command.get_arguments().cloned())
        .subcommands(shown.cloned())
}

/// One page: the program, then each command with its options.
pub fn man() -> ExitCode {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = render(&mut bytes);
    print(&bytes)
}

fn render(page: &mut Vec<u8>) -> io::Result<()> {
    let mut command = args::command();
    command.build();
    let man = Man::new(command.clone()).manual("User Commands");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    writeln!(page, ".SH COMMANDS")?;
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        subcommand(one, one.get_name(), page)?;
    }
    writeln!(page, ".SH FILES")?;
    writeln!(page, ".TP\n\\fI$XDG_CONFIG_HOME/tikv\\-chaos/config.toml\\fR")?;
    writeln!(page, "The configuration; \\fBtikv\\-chaos config \\-\\-default\\fR prints one with comments.")?;
    writeln!(page, ".TP\n\\fI$XDG_STATE_HOME/tikv\\-chaos/\\fR")?;
    writeln!(page, "The journal of what is injected, what ended sessions leave for a report, and the log.")?;
    writeln!(page, ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 3 refused.")
}

/// A command of the command as well, under its own heading.
fn subcommand(command: &clap::Command, path: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(page, ".SS {}\n{}", path.replace('-', "\\-"), roff(&about))?;
    // What every command has is said once, above.
    let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set());
    for arg in own.filter(|arg| arg.get_id() != "help") {
        let long = arg.get_long().map(|long| format!("\\-\\-{}", long.replace('-', "\\-")));
        let short = arg.get_short().map(|short| format!("\\-{short}"));
        let names: Vec<String> = short.into_iter().chain(long).map(|name| format!("\\fB{name}\\fR")).collect();
        let values = arg.get_value_names().unwrap_or_default().iter();
        let values: Vec<String> = values.map(|value| format!("\\fI{}\\fR", roff(value))).collect();
        let values = if arg.get_action().takes_values() { values.join(" ") } else { String::new() };
        let tag = [names.join(", "), values].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(page, ".TP\n{}\n{}", tag.join(" "), roff(&help))?;
    }
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        subcommand(one, &format!("{path} {}", one.get_name()), page)?;
    }
    Ok(())
}

/// As roff takes it for plain text.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
