//! `demo`: a small stand-in cluster to break, with one command, and away again with another.

use std::{process::ExitCode, time::Duration};

use serde_json::json;
use tikv_chaos_core::Version;
use tikv_chaos_standin::DEFAULT_VERSION;
use tokio::time::{Instant, sleep};

use super::{
    output::{self, Failure},
    progress, undo,
};
use crate::{
    cluster::assumed::UP,
    config::Config,
    session::Injection,
    subject::docker::{
        TikvSubject,
        demo::{self, DemoSpec, Found, Spent},
    },
    tui,
};

/// How long the stores may take to be `Up`.
const UP_PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// What makes a demo: before `up` or after it, or with neither.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// How many stores [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(3..=9))]
    nodes: Option<u16>,
    #[arg(
        long = "as", value_name = "VERSION", value_parser = version,
        help = format!("The version of TiKV and PD that it behaves like [default: {DEFAULT_VERSION}]")
    )]
    plays: Option<Version>,
    /// How much faster than TiKV's its elections and heartbeats are, 1 to 50 [default: 1]
    #[arg(long, value_name = "F", value_parser = speed)]
    speed: Option<f64>,
    /// Operations a second of the built-in load, 0 for none [default: 200]
    #[arg(long, value_name = "OPS", value_parser = clap::value_parser!(u32).range(0..=5000))]
    rate: Option<u32>,
    /// Publish the first PD's API on this port of 127.0.0.1
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pd_port: Option<u16>,
}

impl Options {
    /// These, and those of `before` that are not among them.
    fn or(self, before: Self) -> Self {
        Self {
            nodes: self.nodes.or(before.nodes),
            plays: self.plays.or(before.plays),
            speed: self.speed.or(before.speed),
            rate: self.rate.or(before.rate),
            pd_port: self.pd_port.or(before.pd_port),
        }
    }
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Start it, and leave it running
    Up(Options),
    /// Remove all of it, and put back what is injected into it
    Down,
    /// Say what there is of it
    Status,
}

fn speed(text: &str) -> Result<f64, String> {
    let allowed = || format!("--speed cannot be {text:?}; allowed: 1 to 50");
    text.parse().ok().filter(|speed| (1.0..=50.0).contains(speed)).ok_or_else(allowed)
}

fn version(text: &str) -> Result<Version, String> {
    let allowed =
        || format!("--as cannot be {text:?}; allowed: a release from 6.5 to 8.5, such as 6.5.12, 7.5.6 or 8.5.5");
    Version::parse(text).filter(|version| version.is_known()).ok_or_else(allowed)
}

/// A part of the names of containers, volumes and a network, so what Docker takes for one, and not long.
pub fn name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts && text.len() <= 32 && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!("--name cannot be {text:?}; allowed: up to 32 letters, digits, - and _, a letter or digit first"))
    }
}

fn spec(name: &str, options: &Options) -> DemoSpec {
    DemoSpec {
        name: name.to_owned(),
        stores: options.nodes.unwrap_or(3),
        version: options.plays.unwrap_or(DEFAULT_VERSION),
        speed: options.speed.unwrap_or(1.0),
        rate: options.rate.unwrap_or(200),
        pd_port: options.pd_port,
    }
}

/// `demo` alone: up, the screen, and down again if that is the answer.
pub async fn show(config: &Config, name: &str, options: &Options) -> Result<ExitCode, Failure> {
    super::drawable(config)?;
    start(config, &spec(name, options)).await?;
    let config = Config { project: Some(demo::network(name)), ..config.clone() };
    let ended = tui::run(&config, Some(name.to_owned())).await.map_err(Failure::from)?;
    if ended.take_down {
        take_down(&config, name).await?;
        output::lines([format!("the demo {name} is gone")]);
    } else {
        output::lines([format!("the demo {name} still runs; to remove it: tikv-chaos demo{} down", name_flag(name))]);
    }
    Ok(ended.exit)
}

/// `before` is what was said before the action, as in `demo --nodes 5 up`.
pub async fn run(config: &Config, name: &str, before: Options, action: Action) -> Result<ExitCode, Failure> {
    match action {
        Action::Up(options) => up(config, &spec(name, &options.or(before))).await,
        Action::Down => down(config, name).await,
        Action::Status => status(config, name).await,
    }
}

async fn up(config: &Config, spec: &DemoSpec) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let (spent, waited) = start(config, spec).await?;
    let seconds = started.elapsed().as_secs_f64();
    let parts =
        [("image", spent.image), ("network", spent.network), ("containers", spent.containers), ("stores", waited)]
            .map(|(part, took)| (part, took.as_secs_f64()));
    if config.json {
        let spent: serde_json::Map<_, _> =
            parts.map(|(part, took)| (part.to_owned(), json!(took))).into_iter().collect();
        output::document(&json!({
            "demo": spec.name, "project": spec.network(), "stores": spec.stores, "version": spec.version.to_string(), "up": true, "seconds": spent,
        }));
    } else {
        let flag = name_flag(&spec.name);
        let parts = parts.map(|(part, took)| format!("{part} {took:.1}")).join(", ");
        output::lines([
            format!(
                "{} stores are Up after {seconds:.1} s: stand-ins for TiKV {}, with real consensus",
                spec.stores, spec.version
            ),
            format!("  of which, in seconds: {parts}"),
            format!("  tikv-chaos --project {}   breaks it", spec.network()),
            format!("  tikv-chaos demo{flag} down   removes it"),
        ]);
    }
    Ok(ExitCode::SUCCESS)
}

fn name_flag(name: &str) -> String {
    if name == demo::DEFAULT_NAME { String::new() } else { format!(" --name {name}") }
}

/// Makes it and waits until PD calls every store `Up`. What is interrupted or fails leaves nothing.
/// Gives what making it took, and how long the stores were waited for.
async fn start(config: &Config, spec: &DemoSpec) -> Result<(Spent, Duration), Failure> {
    let config = Config { project: Some(spec.network()), ..config.clone() };
    let subject = config.subject(progress());
    let engine = subject.engine().await?;
    let say = progress();
    let whole = async {
        let spent = demo::up(&engine, spec, &config.image, &*say).await?;
        say(Some("waiting for the stores"));
        let made = Instant::now();
        let up = wait_up(&subject, spec.stores.into()).await;
        if up.is_err() {
            demo::down(&engine.docker, &spec.name).await?;
        }
        up.map(|()| (spent, made.elapsed()))
    };
    tokio::select! {
        whole = whole => whole,
        _ = tokio::signal::ctrl_c() => {
            say(Some("interrupted: removing what was made"));
            demo::down(&engine.docker, &spec.name).await?;
            Err(Failure::new(1, "interrupted; nothing is left of the demo"))
        }
    }
}

async fn wait_up(subject: &TikvSubject, stores: usize) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        let snapshot = subject.snapshot().await?;
        let state = subject.cluster_states(&snapshot).await;
        let pd = state.iter().find_map(|cluster| cluster.pd.value.as_ref());
        let up = pd.map_or(0, |pd| pd.stores.iter().filter(|store| store.state_name == UP).count());
        if up == stores {
            return Ok(());
        }
        if started.elapsed() > UP_PATIENCE {
            let why = state.iter().find_map(|cluster| cluster.pd.error.clone()).unwrap_or_default();
            let seconds = UP_PATIENCE.as_secs();
            return Err(Failure::new(1, format!("{up} of {stores} stores were Up after {seconds} s; {why}")));
        }
        sleep(LOOK).await;
    }
}

async fn down(config: &Config, name: &str) -> Result<ExitCode, Failure> {
    let found = take_down(config, name).await?;
    if config.json {
        output::document(&json!({ "demo": name, "removed": found }));
    } else if found.is_empty() {
        output::lines([format!("there is no demo {name}")]);
    } else {
        let Found { containers, volumes, networks } = &found;
        let counts = (containers.len(), volumes.len(), networks.len());
        output::lines([format!("removed {} containers, {} volumes, {} network", counts.0, counts.1, counts.2)]);
    }
    Ok(ExitCode::SUCCESS)
}

/// First what is injected into it is put back, so that no record outlives it; then all of it goes.
async fn take_down(config: &Config, name: &str) -> Result<Found, Failure> {
    let subject = config.subject(progress());
    let docker = subject.docker().await?;
    let found = demo::find(&docker, name).await?;
    let of_demo =
        |injection: &Injection| found.containers.iter().any(|member| member.id == injection.metadata.container_id);
    let loaded = config.store.load()?;
    let open = loaded.open();
    let open: Vec<&Injection> = open.iter().map(|(_, injection)| *injection).filter(|one| of_demo(one)).collect();
    for failed in undo::undo(config, &subject, &open, &[]).await.iter().filter_map(|one| one.error()) {
        eprintln!("tikv-chaos: {failed}");
    }
    demo::down(&docker, name).await.map_err(Failure::from)
}

async fn status(config: &Config, name: &str) -> Result<ExitCode, Failure> {
    let config = Config { project: Some(demo::network(name)), ..config.clone() };
    let subject = config.subject(progress());
    let found = demo::find(&subject.docker().await?, name).await?;
    let snapshot = subject.snapshot().await?;
    let state = if found.is_empty() { Vec::new() } else { subject.cluster_states(&snapshot).await };
    let pd = state.iter().find_map(|cluster| cluster.pd.value.as_ref());
    let up = pd.map_or(0, |pd| pd.stores.iter().filter(|store| store.state_name == UP).count());
    if config.json {
        output::document(&json!({ "demo": name, "found": found, "stores_up": up, "clusters": state }));
    } else if found.is_empty() {
        output::lines([format!("there is no demo {name}")]);
    } else {
        output::lines([format!("the demo {name}, a stand-in for TiKV: {up} stores Up")]);
        output::lines(found.containers.iter().map(|member| format!("  {:<24}  {}", member.name, member.status)));
    }
    Ok(if found.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_count_before_up_too_and_the_later_ones_more() {
        let before = Options { nodes: Some(5), rate: Some(0), ..Options::default() };
        let after = Options { rate: Some(10), ..Options::default() };
        let spec = spec("demo", &after.or(before));
        assert_eq!((spec.stores, spec.rate, spec.speed), (5, 10, 1.0));
    }
}
