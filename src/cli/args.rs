//! What may be typed. The flags of `inject` come from the table of parameters; an error is one line that names what
//! is allowed.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    process::ExitCode,
    time::Duration,
};

use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{demo, output::Failure};
use crate::{
    chaos::{Fault, FaultType, InjectionId, Kind, ParamSpec, Params},
    config::Globals,
    session::recovery::Reach,
    subject::docker::demo::DEFAULT_NAME,
};

/// How long an injection lasts where nothing is said.
const DEFAULT_TTL: &str = "10m";
const LONGEST_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

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
    Active,
    /// Undo injections
    Revert {
        /// As `active` shows them, or an act's, which has several; a unique beginning is enough
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
    },
}

pub struct Parsed {
    pub globals: Globals,
    pub subcommand: Subcommand,
}

pub enum Subcommand {
    Tui,
    Nodes,
    Types,
    Inject(Inject),
    Change(Change),
    Active,
    Revert { ids: Vec<String>, all: bool },
    Cleanup,
    Recover { verb: &'static str, reach: Reach, dry_run: bool },
    Doctor,
    Demo { name: String, options: demo::Options, action: Option<demo::Action> },
    Watch,
    State,
    Wait { timeout: Duration, stores: usize },
    Holder,
    Guard { detached: bool },
    Relay,
}

impl Subcommand {
    /// Whether it means to change something.
    pub fn changes(&self) -> bool {
        match self {
            Self::Revert { .. } | Self::Cleanup => true,
            Self::Inject(inject) => !inject.dry_run,
            Self::Change(change) => !change.dry_run,
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
            | Self::Active
            | Self::Doctor
            | Self::Holder => false,
        }
    }
}

pub struct Inject {
    pub fault: Fault,
    /// Empty is a random running TiKV node.
    pub targets: Vec<String>,
    pub ttl: Option<Duration>,
    pub dry_run: bool,
    pub force: bool,
}

pub struct Change {
    /// Of an injection or of an act.
    pub id: String,
    /// Parameters by name; which there can be is the type's to say.
    pub given: Vec<(String, String)>,
    pub ttl: Option<Option<Duration>>,
    pub dry_run: bool,
    pub force: bool,
}

/// The command line, or the exit status after its help or its error was printed.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, ExitCode> {
    let words: Vec<OsString> = words.into_iter().collect();
    let json = words.iter().any(|word| word == "--json");
    let matches = command().try_get_matches_from(&words).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => Failure::new(2, one_line(&error, &words)).print(json),
    })?;
    interpret(&matches).map_err(|failure| failure.print(json))
}

fn interpret(matches: &ArgMatches) -> Result<Parsed, Failure> {
    let usage = |error: clap::Error| Failure::new(2, error.to_string());
    let globals = Globals::from_arg_matches(matches).map_err(usage)?;
    let subcommand = match matches.subcommand() {
        None => Subcommand::Tui,
        Some(("inject", inject)) => Subcommand::Inject(interpret_inject(inject)?),
        Some(("change", change)) => Subcommand::Change(interpret_change(change)?),
        Some(_) => match Cli::from_arg_matches(matches).map_err(usage)?.subcommand {
            None => Subcommand::Tui,
            Some(Plain::Nodes) => Subcommand::Nodes,
            Some(Plain::Types) => Subcommand::Types,
            Some(Plain::Active) => Subcommand::Active,
            Some(Plain::Revert { every_session: true, .. }) => {
                Subcommand::Recover { verb: "reverted", reach: Reach::Everything, dry_run: false }
            }
            Some(Plain::Revert { ids, all, .. }) => Subcommand::Revert { ids, all },
            Some(Plain::Cleanup) => Subcommand::Cleanup,
            Some(Plain::Recover { dry_run, held }) => {
                let reach = if held { Reach::AlsoHeld } else { Reach::LeftBehind };
                Subcommand::Recover { verb: "recovered", reach, dry_run }
            }
            Some(Plain::Doctor) => Subcommand::Doctor,
            Some(Plain::Demo { name, options, action }) => Subcommand::Demo { name, options, action },
            Some(Plain::Watch) => Subcommand::Watch,
            Some(Plain::State) => Subcommand::State,
            Some(Plain::Wait { timeout, stores, .. }) => Subcommand::Wait { timeout, stores },
            Some(Plain::Holder) => Subcommand::Holder,
            Some(Plain::Relay) => Subcommand::Relay,
            Some(Plain::Guard { detached }) => Subcommand::Guard { detached },
        },
    };
    Ok(Parsed { globals, subcommand })
}

fn interpret_inject(matches: &ArgMatches) -> Result<Inject, Failure> {
    let usage = |text: String| Failure::new(2, text);
    let (name, of_type) =
        matches.subcommand().ok_or_else(|| usage(format!("inject needs a TYPE: {}", FaultType::names())))?;
    let kind = FaultType::from_name(name).ok_or_else(|| usage(unknown_type(name)))?;
    let given = kind.params().iter().filter_map(|spec| {
        let text = of_type.get_one::<String>(spec.name)?;
        Some((spec.name.to_owned(), text.clone()))
    });
    let fault = Params::parse(kind, given).and_then(|params| Fault::from_params(kind, &params));
    let text = |name: &str| of_type.get_one::<String>(name).or_else(|| matches.get_one::<String>(name)).cloned();
    let targets = |matches: &ArgMatches| Some(matches.get_many::<String>("target")?.cloned().collect::<Vec<_>>());
    let targets = targets(of_type).or_else(|| targets(matches));
    let ttl = text("ttl").unwrap_or_else(|| DEFAULT_TTL.to_owned());
    Ok(Inject {
        fault: fault.map_err(|error| usage(error.to_string()))?,
        targets: targets.unwrap_or_default(),
        ttl: parse_ttl(&ttl).map_err(usage)?,
        dry_run: of_type.get_flag("dry_run") || matches.get_flag("dry_run"),
        force: of_type.get_flag("force") || matches.get_flag("force"),
    })
}

fn interpret_change(matches: &ArgMatches) -> Result<Change, Failure> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let ttl = text("ttl").map(|ttl| parse_ttl(&ttl)).transpose().map_err(|text| Failure::new(2, text))?;
    let given = every_param().into_values().filter_map(|spec| Some((spec.name.to_owned(), text(spec.name)?)));
    let given: Vec<_> = given.collect();
    if given.is_empty() && ttl.is_none() {
        return Err(Failure::new(2, "change needs a parameter with its new value, such as --max-ms 300, or --ttl"));
    }
    let (dry_run, force) = (matches.get_flag("dry_run"), matches.get_flag("force"));
    Ok(Change { id: text("id").unwrap_or_default(), given, ttl, dry_run, force })
}

/// A duration such as `90s` or `10m`; `none` is no end.
fn parse_ttl(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    let allowed = || format!("--ttl cannot be {text:?}; allowed: 1s to 7d, such as 90s or 10m, or none");
    let ttl = humantime::parse_duration(text).map_err(|_| allowed())?;
    if (Duration::from_secs(1)..=LONGEST_TTL).contains(&ttl) { Ok(Some(ttl)) } else { Err(allowed()) }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "allowed: a time such as 90s or 10m".to_owned())
}

fn command() -> Command {
    Cli::command().subcommand(inject_command()).subcommand(change_command())
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

fn change_command() -> Command {
    let [_, ttl, dry_run, force] = common_args();
    let id = Arg::new("id").value_name("ID").required(true);
    Command::new("change")
        .about("Change injections while they hold: change ID [--<parameter> VALUE ...] [--ttl TIME]")
        .arg(id.help("As `active` shows it, or an act's, which has several; a unique beginning is enough"))
        .args([
            ttl.help("Ends by itself after this, from now on; none: never [default: when it would have]"),
            dry_run,
            force,
        ])
        .args(every_param().into_values().map(|spec| {
            let types = FaultType::ALL.into_iter().filter(|kind| kind.params().iter().any(|one| one.name == spec.name));
            let types = types.map(FaultType::name).collect::<Vec<_>>().join(", ");
            param_arg(spec).help(format!("As of inject {types} [default: what it is]"))
        }))
}

/// Every parameter that some type has, by name.
fn every_param() -> BTreeMap<&'static str, &'static ParamSpec> {
    let all = FaultType::ALL.into_iter().flat_map(|kind| kind.params());
    all.map(|spec| (spec.name, spec)).collect()
}

/// May stand before and after the type.
fn common_args() -> [Arg; 4] {
    [
        Arg::new("target").long("target").value_name("NODE").action(ArgAction::Append).value_delimiter(',').help(
            "Container name, Compose service, or an unambiguous part of one; several, in one act of which all are made \
             or none: with commas or once more [default: a random running TiKV node]",
        ),
        Arg::new("ttl")
            .long("ttl")
            .value_name("TIME")
            .help(format!("Ends by itself after this; none: never [default: {DEFAULT_TTL}]")),
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
            let flags: Vec<String> =
                flags.chain(["--target", "--ttl", "--dry-run", "--force"].map(str::to_owned)).collect();
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
        (ErrorKind::MissingRequiredArgument, _) => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(names)) => names.join(", "),
                _ => String::new(),
            };
            format!("this is missing: {missing}")
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_owned()
        }
    }
}

/// The open injections that are meant by what was typed: the id of one or of an act, whole or a unique beginning.
pub fn match_id(typed: &str, known: &[(&InjectionId, Option<&InjectionId>)]) -> Result<Vec<InjectionId>, Failure> {
    let names: BTreeSet<&InjectionId> =
        known.iter().flat_map(|(id, group)| Some(*id).into_iter().chain(*group)).collect();
    let found: Vec<&InjectionId> =
        names.iter().copied().filter(|id| id.as_str().starts_with(typed) && !typed.is_empty()).collect();
    let list =
        |ids: &mut dyn Iterator<Item = &InjectionId>| ids.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match found[..] {
        [name] => {
            let meant = known.iter().filter(|(id, group)| *id == name || *group == Some(name));
            Ok(meant.map(|(id, _)| (*id).clone()).collect())
        }
        [] if known.is_empty() => Err(Failure::new(2, format!("there is no injection {typed:?}; nothing is injected"))),
        [] => {
            let all = list(&mut known.iter().map(|(id, _)| *id));
            Err(Failure::new(2, format!("there is no injection {typed:?}; there are {all}")))
        }
        _ => Err(Failure::new(2, format!("{typed:?} could be any of {}", list(&mut found.iter().copied())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match command().try_get_matches_from(&words) {
            Ok(matches) => interpret(&matches).err().map(|failure| failure.message).unwrap_or_default(),
            Err(error) => one_line(&error, &words),
        }
    }

    fn inject(line: &str) -> Inject {
        match interpret(&command().try_get_matches_from(line.split(' ')).unwrap())
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

    #[test]
    fn flags_may_stand_before_and_after_the_type() {
        let one = inject("tikv-chaos inject --target a latency --min-ms 1 --max-ms 2 --ttl 90s");
        let two = inject("tikv-chaos inject latency --target a --min-ms=1 --max-ms=2 --ttl=90s --json");
        assert_eq!(one.fault, two.fault);
        assert_eq!((one.targets, one.ttl), (two.targets, two.ttl));
        assert_eq!(one.fault, Fault::Latency { min_ms: 1, max_ms: 2, interface: None });
    }

    #[test]
    fn several_targets_are_named_one_by_one_or_with_commas() {
        for line in ["node_kill --target a --target b,c", "--target a,b,c node_kill"] {
            assert_eq!(inject(&format!("tikv-chaos inject {line}")).targets, ["a", "b", "c"]);
        }
        assert!(inject("tikv-chaos inject node_kill").targets.is_empty());
    }

    #[test]
    fn a_switch_needs_no_value() {
        let one = inject("tikv-chaos inject network_partition --include-pd --peers a,b");
        assert_eq!(one.fault, Fault::NetworkPartition { peers: vec!["a".into(), "b".into()], include_pd: true });
    }

    #[test]
    fn bad_input_is_one_line_that_names_what_is_allowed() {
        let cases = [
            ("tikv-chaos inject clock_skew", "there are node_kill, latency, disk_pressure, network_partition"),
            ("tikv-chaos inject", "inject needs a TYPE: node_kill, latency"),
            ("tikv-chaos inject latency --mean 3", "it takes --min-ms, --max-ms, --interface, --target"),
            ("tikv-chaos inject latency --min-ms -3", "allowed: a whole number from 0 to 10000 ms"),
            ("tikv-chaos inject latency --min-ms 9 --max-ms 3", "min_ms 9 is over max_ms 3"),
            ("tikv-chaos inject node_kill --signal SIGSTOP", "allowed: SIGKILL, SIGTERM"),
            ("tikv-chaos inject node_kill --ttl soon", "allowed: 1s to 7d"),
            ("tikv-chaos change", "this is missing: <ID>"),
            ("tikv-chaos change 1f0c93ab", "change needs a parameter with its new value, such as --max-ms 300"),
            ("tikv-chaos change 1f0c93ab --ttl soon", "allowed: 1s to 7d"),
            ("tikv-chaos explode", "there are nodes, watch, state, wait, types, active, revert"),
        ];
        for (line, expected) in cases {
            let text = failure(line);
            assert!(text.contains(expected) && !text.contains('\n'), "{line}: {text}");
        }
    }
}
