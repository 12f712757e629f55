//! `inject` and `change`: their flags come from the table of parameters.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::wrong::unknown_type;
use crate::{
    chaos::{Fault, FaultType, Kind, ParamSpec, Params, random},
    cli::output::Failure,
    config::{
        option::{DEFAULT_TTL, parse_ttl},
        preset::Preset,
    },
};

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

pub(super) fn command() -> Command {
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

pub(super) fn change_command() -> Command {
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

/// The parameters of every type that can be changed, each name once. A file stays where it is.
fn changeable() -> impl Iterator<Item = &'static ParamSpec> {
    let others = [FaultType::DiskPressure, FaultType::NetworkPartition];
    let kinds = FaultType::ALL.into_iter().filter(move |kind| kind.is_shaped() || others.contains(kind));
    let mut seen = std::collections::BTreeSet::new();
    kinds.flat_map(|kind| kind.params()).filter(move |spec| spec.name != "target_path" && seen.insert(spec.name))
}

pub(super) fn interpret(
    matches: &ArgMatches,
    default_ttl: Option<&str>,
    presets: &[Preset],
) -> Result<Inject, Failure> {
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

pub(super) fn interpret_change(matches: &ArgMatches) -> Result<Change, Failure> {
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
