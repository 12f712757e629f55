//! What may be typed. The flags of `inject` come from the table of parameters; an error is one line that names what
//! is allowed.

use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::{demo, output::Failure, report::Format};
use crate::{
    chaos::{Fault, FaultType, InjectionId, Kind, ParamSpec, Params, random},
    config::{
        Globals, Layer, Origin,
        file::{ConfigFile, FileError},
        option::{DEFAULT_TTL, SETTINGS, Setting, Shape, parse_ttl},
        preset::{self, Preset},
    },
    session::recovery::Reach,
    subject::docker::demo::DEFAULT_NAME,
};

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

pub struct Inject {
    pub fault: Fault,
    pub targets: Vec<String>,
    /// One node at random: which, says the seed.
    pub seed: Option<u32>,
    pub ttl: Option<Duration>,
    pub dry_run: bool,
    pub force: bool,
}

/// What an active injection is to become.
pub struct Change {
    pub id: String,
    /// By parameter, in the words that were typed: what they mean depends on the injection's type.
    pub given: Vec<(String, String)>,
    /// From now on, where that is said; `Some(None)` is no end.
    pub ttl: Option<Option<Duration>>,
    pub dry_run: bool,
    pub force: bool,
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
    // The file's values take the place of the defaults, so that clap itself puts flags and environment before them.
    if let Ok(Some(file)) = &file {
        matches = matches_of(with_file(without_empty_variables(command()), file))?;
    }
    let ttl = ttl(file.as_ref().ok().and_then(Option::as_ref));
    let presets = preset::all(file.as_ref().ok().and_then(Option::as_ref));
    let mut parsed = interpret(&matches, ttl.value.as_deref(), &presets).map_err(|failure| failure.print(json))?;
    let (file, file_error) = match file {
        Ok(file) => (file, None),
        Err(error) => (None, Some(error)),
    };
    parsed.globals.origins = origins(&matches, file.as_ref(), ttl);
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

fn with_file(command: Command, file: &ConfigFile) -> Command {
    file.values.iter().filter(|(name, _)| **name != "ttl").fold(command, |command, (name, (value, _))| {
        let value = value.clone();
        command.mut_arg(*name, |arg| arg.default_value(value))
    })
}

/// The variable that sets how long an injection lasts. Not clap's to read: the flag belongs to `inject` alone.
const TTL_VARIABLE: &str = "TIKV_CHAOS_TTL";

/// How long an injection lasts where its flag says nothing.
fn ttl(file: Option<&ConfigFile>) -> Origin {
    let said = std::env::var(TTL_VARIABLE).ok().filter(|text| !text.is_empty());
    let said = said.map(|text| (text, Layer::Environment, TTL_VARIABLE.to_owned()));
    let said = said.or_else(|| file.and_then(|file| in_file(file, "ttl")));
    let (value, from, source) = said.unwrap_or((DEFAULT_TTL.to_owned(), Layer::Default, "default".to_owned()));
    Origin { name: "ttl", value: Some(value), from, source }
}

fn in_file(file: &ConfigFile, name: &str) -> Option<(String, Layer, String)> {
    let (value, line) = file.values.get(name)?;
    Some((value.clone(), Layer::File, format!("{}:{line}", file.path.display())))
}

/// Every setting with its value and where clap took it from.
fn origins(matches: &ArgMatches, file: Option<&ConfigFile>, ttl: Origin) -> Vec<Origin> {
    let of = |setting: &'static Setting| {
        let name = setting.name;
        let variable = || {
            let command = command();
            let arg = command.get_arguments().find(|arg| arg.get_id() == name);
            arg.and_then(|arg| arg.get_env()).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let raw = matches.get_raw(name).and_then(|mut values| values.next());
        let typed = match setting.shape {
            Shape::Switch => Some(matches.get_flag(name).to_string()),
            _ => raw.map(|value| value.to_string_lossy().into_owned()),
        };
        let (from, source) = match matches.value_source(name) {
            Some(ValueSource::CommandLine) => (Layer::Flag, setting.flag()),
            Some(ValueSource::EnvVariable) => (Layer::Environment, variable()),
            _ => file
                .and_then(|file| in_file(file, name))
                .map_or((Layer::Default, "default".to_owned()), |(_, from, source)| (from, source)),
        };
        Origin { name, value: typed, from, source }
    };
    let settings = SETTINGS.iter().map(|setting| if setting.shape == Shape::Ttl { ttl.clone() } else { of(setting) });
    settings.collect()
}

/// `ttl` is what holds where `inject` is given none.
fn interpret(matches: &ArgMatches, ttl: Option<&str>, presets: &[Preset]) -> Result<Parsed, Failure> {
    let usage = |error: clap::Error| Failure::new(2, error.to_string());
    let globals = Globals::from_arg_matches(matches).map_err(usage)?;
    let subcommand = match matches.subcommand() {
        None => Subcommand::Tui,
        Some(("inject", inject)) => Subcommand::Inject(interpret_inject(inject, ttl, presets)?),
        Some(("change", change)) => Subcommand::Change(interpret_change(change)?),
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

fn interpret_inject(matches: &ArgMatches, default_ttl: Option<&str>, presets: &[Preset]) -> Result<Inject, Failure> {
    let usage = |text: String| Failure::new(2, text);
    let of_type = matches.subcommand().map_or(matches, |(_, of_type)| of_type);
    let text = |name: &str| of_type.get_one::<String>(name).or_else(|| matches.get_one::<String>(name)).cloned();
    let is_set = |name: &str| of_type.get_flag(name) || matches.get_flag(name);
    let preset = text("preset").map(|name| {
        let names = || presets.iter().map(|preset| preset.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = presets.iter().find(|preset| preset.name == name);
        found.ok_or_else(|| usage(format!("there is no preset {name:?}; there are {}", names())))
    });
    let preset = preset.transpose()?;
    let fault = match (matches.subcommand(), preset) {
        (None, None) => return Err(usage(format!("inject needs a TYPE: {}; or a --preset", FaultType::names()))),
        (Some((kind, _)), Some(preset)) => {
            return Err(usage(format!("either the type {kind} or the preset {}: one says it all", preset.name)));
        }
        (None, Some(preset)) => Fault::from_params(preset.kind, &preset.params),
        (Some((name, of_type)), None) => {
            let kind = FaultType::from_name(name).ok_or_else(|| usage(unknown_type(name)))?;
            let given = kind.params().iter().filter_map(|spec| {
                let text = of_type.get_one::<String>(spec.name)?;
                Some((spec.name.to_owned(), text.clone()))
            });
            Params::parse(kind, given).and_then(|params| Fault::from_params(kind, &params))
        }
    };
    let named = |of: &ArgMatches| of.get_many::<String>("target").into_iter().flatten().cloned().collect::<Vec<_>>();
    let mut targets = named(matches);
    if matches.subcommand().is_some() {
        targets.extend(named(of_type));
    }
    let seed = text("seed").map(|text| {
        text.parse::<u32>().map_err(|_| usage(format!("--seed cannot be {text:?}; allowed: 0 to {}", u32::MAX)))
    });
    let seed = match seed.transpose()? {
        None if is_set("random") => Some(random::seed()),
        seed => seed,
    };
    if seed.is_some() && !targets.is_empty() {
        return Err(usage("either --target or --random: a node is named or chosen".to_owned()));
    }
    let ttl = match (text("ttl"), preset.and_then(|preset| preset.ttl)) {
        (None, Some(ttl)) => Some(ttl),
        (given, _) => {
            let ttl = given.or_else(|| default_ttl.map(str::to_owned)).unwrap_or_else(|| DEFAULT_TTL.to_owned());
            parse_ttl("--ttl", &ttl).map_err(usage)?
        }
    };
    Ok(Inject {
        fault: fault.map_err(|error| usage(error.to_string()))?,
        targets,
        seed,
        ttl,
        dry_run: is_set("dry_run"),
        force: is_set("force"),
    })
}

fn interpret_change(matches: &ArgMatches) -> Result<Change, Failure> {
    let given = changeable().filter_map(|spec| {
        let text = matches.get_one::<String>(spec.name)?;
        Some((spec.name.to_owned(), text.clone()))
    });
    let id = matches.get_one::<String>("id").cloned().unwrap_or_default();
    let given: Vec<(String, String)> = given.collect();
    let ttl = matches.get_one::<String>("ttl").map(|text| parse_ttl("--ttl", text)).transpose();
    let ttl = ttl.map_err(|text| Failure::new(2, text))?;
    if given.is_empty() && ttl.is_none() {
        return Err(Failure::new(2, "change needs something to change: --<parameter> VALUE, or --ttl"));
    }
    Ok(Change { id, given, ttl, dry_run: matches.get_flag("dry_run"), force: matches.get_flag("force") })
}

/// The parameters of every type that can be changed, each name once. A file stays where it is.
fn changeable() -> impl Iterator<Item = &'static ParamSpec> {
    let others = [FaultType::DiskPressure, FaultType::NetworkPartition];
    let kinds = FaultType::ALL.into_iter().filter(move |kind| kind.is_shaped() || others.contains(kind));
    let mut seen = std::collections::BTreeSet::new();
    kinds.flat_map(|kind| kind.params()).filter(move |spec| spec.name != "target_path" && seen.insert(spec.name))
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "allowed: a time such as 90s or 10m".to_owned())
}

/// The whole command, for its completions and its man page too.
pub fn command() -> Command {
    Cli::command().subcommand(inject_command()).subcommand(change_command())
}

fn change_command() -> Command {
    let id = Arg::new("id").value_name("ID").required(true).help(
        "As `active` shows it; a unique beginning is enough, and the name of an act of several means all of them",
    );
    let ttl = Arg::new("ttl").long("ttl").value_name("TIME").help("How long it lasts from now on: 1s to 7d, or none");
    let dry_run =
        Arg::new("dry_run").long("dry-run").action(ArgAction::SetTrue).help("Show what would run, and change nothing");
    let force =
        Arg::new("force").long("force").action(ArgAction::SetTrue).help("Change it whatever it leaves of the cluster");
    let param = |spec: &'static ParamSpec| {
        let arg = Arg::new(spec.name).long(spec.flag()).value_name("VALUE").help(spec.help);
        if matches!(spec.kind, Kind::Switch { .. }) {
            arg.num_args(0..=1).default_missing_value("true")
        } else {
            arg.allow_hyphen_values(true)
        }
    };
    Command::new("change")
        .about("Change an active injection in place: change ID [--<parameter> VALUE ...]")
        .args([id, ttl, dry_run, force])
        .args(changeable().map(param))
}

fn inject_command() -> Command {
    let command = Command::new("inject")
        .about("Inject one fault: inject TYPE [--target NODE] [--<parameter> VALUE ...]")
        .subcommand_value_name("TYPE")
        .subcommand_help_heading("Types")
        .disable_help_subcommand(true)
        .subcommand_required(false)
        .args(common_args());
    FaultType::ALL.into_iter().fold(command, |command, kind| {
        let of_type = Command::new(kind.name()).about(kind.summary()).args(common_args());
        command.subcommand(of_type.args(kind.params().iter().map(param_arg)))
    })
}

/// May stand before and after the type.
fn common_args() -> [Arg; 7] {
    [
        Arg::new("target").long("target").value_name("NODE").action(ArgAction::Append).help(
            "Container name, Compose service, or an unambiguous part of one; again for more nodes, all or none [default: a \
             random running TiKV node]",
        ),
        Arg::new("ttl")
            .long("ttl")
            .value_name("TIME")
            .help(format!("Ends by itself after this; none: never [default: {DEFAULT_TTL}]")),
        Arg::new("random")
            .long("random")
            .action(ArgAction::SetTrue)
            .help("On a running TiKV node chosen at random; says the seed that chooses it again"),
        Arg::new("seed").long("seed").value_name("N").help("The node that this seed chooses (with --random)"),
        Arg::new("preset").long("preset").value_name("NAME").help("A fault by its name, instead of a TYPE and its parameters"),
        Arg::new("dry_run").long("dry-run").action(ArgAction::SetTrue).help("Print what would run, and do nothing"),
        Arg::new("force").long("force").action(ArgAction::SetTrue).help("Inject whatever it leaves of the cluster"),
    ]
}

fn param_arg(spec: &'static ParamSpec) -> Arg {
    let range = match spec.kind {
        Kind::Number { unit, least, most, default, .. } => format!("{least} to {most} {unit}, default {default}"),
        Kind::Choice { options, default } => format!("{}; default {default}", options.join(", ")),
        Kind::Switch { default } => format!("true or false, default {default}"),
        Kind::Text { empty } => format!("default {empty}"),
        Kind::List { empty } => format!("names with commas between; default {empty}"),
    };
    let arg = Arg::new(spec.name).long(spec.flag()).value_name("VALUE").help(format!("{} ({range})", spec.help));
    match spec.kind {
        Kind::Switch { .. } => arg.num_args(0..=1).default_missing_value("true"),
        // A wrong number may begin with a minus: it is our table's to refuse.
        _ => arg.allow_hyphen_values(true),
    }
}

fn unknown_type(name: &str) -> String {
    format!("there is no chaos type {name:?}; there are {}", FaultType::names())
}

/// clap's error in one line, with what is allowed.
fn one_line(error: &clap::Error, words: &[OsString]) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let typed: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let in_inject = typed.contains(&"inject");
    let kind = typed.iter().find_map(|word| FaultType::from_name(word)).filter(|_| in_inject);
    match (error.kind(), in_inject) {
        (ErrorKind::InvalidSubcommand, true) => {
            unknown_type(&context(ContextKind::InvalidSubcommand).unwrap_or_default())
        }
        (ErrorKind::UnknownArgument, true) if kind.is_none() => {
            unknown_type(&context(ContextKind::InvalidArg).unwrap_or_default())
        }
        (ErrorKind::UnknownArgument, true) => {
            let given = context(ContextKind::InvalidArg).unwrap_or_default();
            let flags = kind.into_iter().flat_map(FaultType::params).map(|spec| format!("--{}", spec.flag()));
            let flags: Vec<String> = flags
                .chain(["--target", "--random", "--seed", "--ttl", "--dry-run", "--force"].map(str::to_owned))
                .collect();
            let name = kind.map(FaultType::name).unwrap_or_default();
            format!("{name} has no parameter {given}; it takes {}", flags.join(", "))
        }
        (ErrorKind::InvalidSubcommand, false) => {
            let names: Vec<String> = command()
                .get_subcommands()
                .filter(|one| !one.is_hide_set())
                .map(|one| one.get_name().to_owned())
                .collect();
            let given = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("there is no command {given:?}; there are {}", names.join(", "))
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_owned()
        }
    }
}

/// The open injections that are meant by what was typed: whole ids or unique beginnings.
pub fn match_id(typed: &str, known: &[InjectionId]) -> Result<InjectionId, Failure> {
    let found: Vec<&InjectionId> =
        known.iter().filter(|id| id.as_str().starts_with(typed) && !typed.is_empty()).collect();
    let names = |ids: &[InjectionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match found[..] {
        [id] => Ok(id.clone()),
        [] if known.is_empty() => Err(Failure::new(2, format!("there is no injection {typed:?}; nothing is injected"))),
        [] => Err(Failure::new(2, format!("there is no injection {typed:?}; there are {}", names(known)))),
        _ => Err(Failure::new(2, format!("{typed:?} could be any of {}", names(known)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match command().try_get_matches_from(&words) {
            Ok(matches) => {
                interpret(&matches, None, &preset::all(None)).err().map(|failure| failure.message).unwrap_or_default()
            }
            Err(error) => one_line(&error, &words),
        }
    }

    fn inject(line: &str) -> Inject {
        match interpret(&command().try_get_matches_from(line.split(' ')).unwrap(), None, &preset::all(None))
            .map_err(|f| f.message)
            .unwrap()
            .subcommand
        {
            Subcommand::Inject(inject) => inject,
            _ => panic!("not an inject"),
        }
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    /// Most of them need a Docker, which other tests give them: here none of them is refused for how it is written.
    #[test]
    fn every_command_in_the_readme_is_one() {
        let readme = include_str!("../../README.md");
        let blocks = readme.split("```console").skip(1).filter_map(|rest| rest.split("```").next());
        let lines = blocks.flat_map(str::lines).map(|line| line.trim_start_matches("$ ").split(" #").next().unwrap());
        let lines: Vec<&str> =
            lines.flat_map(|line| line.split(" | ")).filter(|line| line.starts_with("tikv-chaos ")).collect();
        assert!(lines.len() > 25, "{lines:?}");
        for line in lines {
            let text = failure(line.split(" > ").next().unwrap().trim());
            // One shows an error on purpose, and the test of the examples holds it.
            assert!(text.is_empty() || readme.contains(&format!("tikv-chaos: {text}")), "{line}: {text}");
        }
    }

    #[test]
    fn flags_may_stand_before_and_after_the_type() {
        let one = inject("tikv-chaos inject --target a latency --min-ms 1 --max-ms 2 --ttl 90s");
        let two = inject("tikv-chaos inject latency --target a --min-ms=1 --max-ms=2 --ttl=90s --json");
        assert_eq!(one.fault, two.fault);
        assert_eq!((one.targets, one.ttl), (two.targets, two.ttl));
        let Fault::Shape { kind: FaultType::Latency, impairment, .. } = one.fault else { panic!() };
        assert_eq!(impairment.delay.map(|delay| (delay.mean_us, delay.jitter_us)), Some((1500, 500)));
    }

    #[test]
    fn a_preset_is_a_fault_and_a_seed_is_a_node() {
        let one = inject("tikv-chaos inject --preset frozen --seed 7 --dry-run");
        assert_eq!((one.fault, one.seed, one.ttl), (Fault::NodePause, Some(7), Some(Duration::from_secs(120))));
        let one = inject("tikv-chaos inject --preset frozen --ttl 9m --target a");
        assert_eq!((one.seed, one.ttl), (None, Some(Duration::from_secs(540))));
        assert!(inject("tikv-chaos inject node_pause --random").seed.is_some());
    }

    #[test]
    fn a_switch_needs_no_value() {
        let one = inject("tikv-chaos inject network_partition --include-pd --peers a,b");
        let Fault::NetworkPartition { peers, include_pd: true, .. } = one.fault else { panic!() };
        assert_eq!(peers, ["a", "b"]);
    }

    #[test]
    fn bad_input_is_one_line_that_names_what_is_allowed() {
        let cases = [
            ("tikv-chaos inject clock_skew", "there are node_kill, latency, disk_pressure, network_partition"),
            ("tikv-chaos inject", "inject needs a TYPE: node_kill, latency"),
            ("tikv-chaos inject --preset nope", "there is no preset \"nope\"; there are bad-cable, bursts"),
            ("tikv-chaos inject latency --preset flaky", "either the type latency or the preset flaky"),
            ("tikv-chaos inject latency --random --target a", "either --target or --random"),
            ("tikv-chaos inject latency --seed many", "--seed cannot be \"many\"; allowed: 0 to"),
            ("tikv-chaos inject latency --mean 3", "it takes --min-ms, --max-ms, --interface, --mean-ms"),
            ("tikv-chaos inject latency --min-ms -3", "allowed: a whole number from 0 to 10000 ms"),
            ("tikv-chaos inject latency --min-ms 9 --max-ms 3", "min_ms 9 is over max_ms 3"),
            ("tikv-chaos inject node_kill --signal SIGSTOP", "allowed: SIGKILL, SIGTERM"),
            ("tikv-chaos inject node_kill --ttl soon", "allowed: 1s to 7d"),
            ("tikv-chaos explode", "there are nodes, watch, state, wait, types, active, revert"),
        ];
        for (line, expected) in cases {
            let text = failure(line);
            assert!(text.contains(expected) && !text.contains('\n'), "{line}: {text}");
        }
    }
}
