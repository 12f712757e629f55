//! What may be typed. The flags of `inject` come from the table of parameters; an error is one line that names what
//! is allowed.

mod inject;
mod origins;
mod wrong;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{
    Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser, builder::Resettable, error::ErrorKind,
};

use super::{demo, output::Failure, report::Format};
use crate::{
    config::{
        Globals,
        file::{ConfigFile, FileError},
        preset::{self, Preset},
    },
    session::recovery::Reach,
    subject::docker::demo::DEFAULT_NAME,
};
pub use inject::{Change, Inject};
pub use wrong::match_id;
use wrong::one_line;

/// Breaks a TiKV cluster in Docker on purpose, and always puts it back. Without a subcommand: the terminal UI.
#[derive(Debug, Parser)]
#[command(name = "tikv-chaos", version, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    subcommand: Option<Plain>,
}

/// The subcommands whose flags are fixed.
#[derive(Debug, clap::Subcommand)]
enum Plain {
    /// List the TiKV and PD containers, and their stores as PD sees them
    Nodes,
    /// Print the nodes and what the cluster says of itself, again and again: with --json a document a line
    Watch,
    /// Print the stores as PD sees them and the number of regions
    State,
    /// Wait until the cluster is well
    Wait {
        /// Every container runs, its health check passes, and enough stores are Up in PD
        #[arg(long, required = true)]
        healthy: bool,
        /// How long: 90s, 10m
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_timeout)]
        timeout: Duration,
        /// How many stores are enough
        #[arg(long, value_name = "N", default_value_t = 3)]
        stores: usize,
    },
    /// List the kinds of chaos with their parameters
    Types,
    /// List what is injected now, by every session
    Active {
        /// Measure everything of the network again: what it does, the packets that it has met, and those that it dropped
        #[arg(long)]
        now: bool,
    },
    /// Undo injections
    Revert {
        /// As `active` shows them; a unique beginning is enough
        #[arg(value_name = "ID", required_unless_present = "all")]
        ids: Vec<String>,
        /// Everything that no running program is in charge of
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// With --all: everything of ours, whoever is in charge of it, recorded or not
        #[arg(long, requires = "all")]
        every_session: bool,
    },
    /// Undo the injection whose metadata is on standard input
    Cleanup,
    /// Undo what programs left that ended or were killed, by the journal and by a look at the nodes
    Recover {
        /// Say what would be undone and how, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Also what a running helper keeps for a program that this journal does not know
        #[arg(long)]
        held: bool,
    },
    /// Say which nodes reach which, tried from each of them
    Reach,
    /// Say what this host and each node can do
    Doctor,
    /// Start a small stand-in for a TiKV cluster, show it, and remove it again if that is wished
    Demo {
        /// Begins the names of its containers
        #[arg(long, global = true, value_name = "NAME", default_value = DEFAULT_NAME, value_parser = demo::name)]
        name: String,
        #[command(flatten)]
        options: demo::Options,
        #[command(subcommand)]
        action: Option<demo::Action>,
    },
    /// Tell what happened in a session: what was injected, when, by whom, how it ended
    Report {
        /// The session's name, a unique beginning of it, or last
        #[arg(value_name = "SESSION", default_value = "last")]
        session: String,
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Write it to this file instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show every setting with its value and where it comes from
    Config {
        /// Print a commented configuration file with the defaults
        #[arg(long)]
        default: bool,
    },
    /// Print the completions for a shell
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the man page
    Man,
    /// The helper container's own role
    #[command(hide = true)]
    Holder,
    /// The helper container's other role: asks nodes that this host cannot reach
    #[command(hide = true)]
    Relay,
    /// The role of the process that keeps deadlines when the program is gone
    #[command(hide = true)]
    Guard {
        /// Already on its own
        #[arg(long)]
        detached: bool,
        /// It was before, and rested meanwhile
        #[arg(long)]
        again: bool,
    },
}

pub struct Parsed {
    pub globals: Globals,
    pub subcommand: Subcommand,
    /// Why the configuration file could not be used, for the one command that goes on without it.
    pub file_error: Option<FileError>,
}

pub enum Subcommand {
    Tui,
    Nodes,
    Types,
    Inject(Inject),
    Change(Change),
    Active { now: bool },
    Revert { ids: Vec<String>, all: bool },
    Cleanup,
    Recover { verb: &'static str, reach: Reach, dry_run: bool },
    Doctor,
    Reach,
    Demo { name: String, options: demo::Options, action: Option<demo::Action> },
    Watch,
    State,
    Wait { timeout: Duration, stores: usize },
    Report { session: String, format: Format, output: Option<PathBuf> },
    Config { default: bool },
    Completions { shell: clap_complete::Shell },
    Man,
    Holder,
    Guard { detached: bool, again: bool },
    Relay,
}

impl Subcommand {
    /// How the history of what it changes calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tui => "tui",
            Self::Nodes => "nodes",
            Self::Types => "types",
            Self::Inject(_) => "inject",
            Self::Change(_) => "change",
            Self::Reach => "reach",
            Self::Active { .. } => "active",
            Self::Revert { .. } => "revert",
            Self::Cleanup => "cleanup",
            Self::Recover { .. } => "recover",
            Self::Doctor => "doctor",
            Self::Demo { .. } => "demo",
            Self::Watch => "watch",
            Self::State => "state",
            Self::Wait { .. } => "wait",
            Self::Report { .. } => "report",
            Self::Config { .. } => "config",
            Self::Completions { .. } => "completions",
            Self::Man => "man",
            Self::Holder => "holder",
            Self::Guard { .. } => "guard",
            Self::Relay => "relay",
        }
    }

    /// Whether it means to change something.
    pub fn changes(&self) -> bool {
        match self {
            Self::Revert { .. } | Self::Cleanup => true,
            Self::Change(change) => !change.dry_run,
            Self::Inject(inject) => !inject.dry_run,
            Self::Recover { dry_run, .. } => !dry_run,
            Self::Demo { action, .. } => !matches!(action, Some(demo::Action::Status)),
            Self::Tui
            | Self::Relay
            | Self::Guard { .. }
            | Self::Watch
            | Self::State
            | Self::Wait { .. }
            | Self::Nodes
            | Self::Types
            | Self::Active { .. }
            | Self::Doctor
            | Self::Report { .. }
            | Self::Config { .. }
            | Self::Completions { .. }
            | Self::Man
            | Self::Reach
            | Self::Holder => false,
        }
    }
}

/// The command line, or the exit status after its help or its error was printed.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, ExitCode> {
    let words: Vec<OsString> = words.into_iter().collect();
    let json = words.iter().any(|word| word == "--json");
    let matches_of = |command: Command| {
        command.try_get_matches_from(&words).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let _ = error.print();
                ExitCode::SUCCESS
            }
            _ => Failure::new(2, one_line(&error, &words)).print(json),
        })
    };
    let mut matches = matches_of(without_empty_variables(command()))?;
    let named = matches.subcommand_name().unwrap_or_default();
    // Those that run beside the user are told everything by who starts them: a file must not keep a guard from its work.
    let file = match named {
        "holder" | "relay" | "guard" | "completions" | "man" => Ok(None),
        _ => ConfigFile::load(matches.get_one::<PathBuf>("config").map(PathBuf::as_path)),
    };
    let file = match file {
        // `doctor` says it as one line among others, and `--default` is what one needs then.
        Err(error) if named != "doctor" && named != "config" => {
            return Err(Failure::new(2, error.to_string()).print(json));
        }
        file => file,
    };
    if let Ok(Some(file)) = &file {
        matches = matches_of(origins::with_file(without_empty_variables(command()), file))?;
    }
    let ttl = origins::ttl(file.as_ref().ok().and_then(Option::as_ref));
    let presets = preset::all(file.as_ref().ok().and_then(Option::as_ref));
    let mut parsed = interpret(&matches, ttl.value.as_deref(), &presets).map_err(|failure| failure.print(json))?;
    let (file, file_error) = match file {
        Ok(file) => (file, None),
        Err(error) => (None, Some(error)),
    };
    parsed.globals.origins = origins::origins(&matches, file.as_ref(), ttl);
    parsed.globals.file = file.map(Arc::new);
    parsed.file_error = file_error;
    Ok(parsed)
}

/// A variable that is empty says nothing, as everywhere.
fn without_empty_variables(command: Command) -> Command {
    let is_empty =
        |arg: &&Arg| arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|it| it.is_empty()));
    let empty: Vec<_> = command.get_arguments().filter(is_empty).map(|arg| arg.get_id().clone()).collect();
    empty.into_iter().fold(command, |command, id| command.mut_arg(id, |arg| arg.env(Resettable::Reset)))
}

/// `ttl` is what holds where `inject` is given none.
fn interpret(matches: &ArgMatches, ttl: Option<&str>, presets: &[Preset]) -> Result<Parsed, Failure> {
    let usage = |error: clap::Error| Failure::new(2, error.to_string());
    let globals = Globals::from_arg_matches(matches).map_err(usage)?;
    let subcommand = match matches.subcommand() {
        None => Subcommand::Tui,
        Some(("inject", inject)) => Subcommand::Inject(inject::interpret(inject, ttl, presets)?),
        Some(("change", change)) => Subcommand::Change(inject::interpret_change(change)?),
        Some(_) => match Cli::from_arg_matches(matches).map_err(usage)?.subcommand {
            None => Subcommand::Tui,
            Some(Plain::Nodes) => Subcommand::Nodes,
            Some(Plain::Types) => Subcommand::Types,
            Some(Plain::Active { now }) => Subcommand::Active { now },
            Some(Plain::Revert { every_session: true, .. }) => {
                Subcommand::Recover { verb: "reverted", reach: Reach::Everything, dry_run: false }
            }
            Some(Plain::Revert { ids, all, .. }) => Subcommand::Revert { ids, all },
            Some(Plain::Cleanup) => Subcommand::Cleanup,
            Some(Plain::Recover { dry_run, held }) => {
                let reach = if held { Reach::AlsoHeld } else { Reach::LeftBehind };
                Subcommand::Recover { verb: "recovered", reach, dry_run }
            }
            Some(Plain::Reach) => Subcommand::Reach,
            Some(Plain::Doctor) => Subcommand::Doctor,
            Some(Plain::Demo { name, options, action }) => Subcommand::Demo { name, options, action },
            Some(Plain::Watch) => Subcommand::Watch,
            Some(Plain::State) => Subcommand::State,
            Some(Plain::Wait { timeout, stores, .. }) => Subcommand::Wait { timeout, stores },
            Some(Plain::Report { session, format, output }) => Subcommand::Report { session, format, output },
            Some(Plain::Config { default }) => Subcommand::Config { default },
            Some(Plain::Completions { shell }) => Subcommand::Completions { shell },
            Some(Plain::Man) => Subcommand::Man,
            Some(Plain::Holder) => Subcommand::Holder,
            Some(Plain::Relay) => Subcommand::Relay,
            Some(Plain::Guard { detached, again }) => Subcommand::Guard { detached, again },
        },
    };
    Ok(Parsed { globals, subcommand, file_error: None })
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "allowed: a time such as 90s or 10m".to_owned())
}

/// The whole command, for its completions and its man page too.
pub fn command() -> Command {
    Cli::command().subcommand(inject::command()).subcommand(inject::change_command())
}

#[cfg(test)]
mod tests;
