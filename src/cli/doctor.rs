//! `doctor`: what this host and each node can do, a line each, with the reason where not.

use std::process::ExitCode;

use futures_util::future::join_all;
use serde_json::json;

use super::{
    output::{self, Failure},
    progress, settle,
};
use crate::{
    chaos::human_bytes,
    config::{Config, ConfigError, Layer, file::FileError},
    session::ended::{DAYS, MOST},
    subject::{
        SubjectError, WAY_OUT,
        docker::{Node, Role, Snapshot, TikvSubject, client, engine},
    },
};

struct Check {
    what: String,
    result: Result<String, String>,
}

impl Check {
    fn new(what: impl Into<String>, result: Result<String, impl ToString>) -> Self {
        Self { what: what.into(), result: result.map_err(|error| error.to_string()) }
    }
}

pub async fn run(config: &Config) -> Result<ExitCode, Failure> {
    let subject = config.subject(progress());
    settle::say(config, &subject).await;
    let journal = config.store.check_writable().map(|()| format!("writable at {}", config.store.folder().display()));
    let mut checks = vec![
        Check::new("configuration", Ok::<_, String>(configuration(config))),
        Check::new("journal", journal),
        Check::new("reports", ended(config)),
        Check::new("guard", guard(config)),
        Check::new("terminal", terminal()),
        Check::new("theme", theme(config)),
    ];
    let docker = docker_version(&subject).await;
    let docker_is_there = docker.is_ok();
    checks.push(Check::new("docker", docker));
    if docker_is_there {
        checks.extend(host(&subject).await);
        match subject.snapshot().await {
            Ok(snapshot) => checks.extend(nodes(&subject, &snapshot).await),
            Err(error) => checks.push(Check::new("nodes", Err::<String, _>(error))),
        }
        subject.release().await;
    }
    print(config.json, &checks);
    Ok(match docker_is_there {
        _ if config.theme.is_err() => ExitCode::from(2),
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

/// A configuration that cannot be used: nothing else can be looked at with it.
pub fn misconfigured(error: &ConfigError, json: bool) -> ExitCode {
    print(json, &[Check::new("configuration", Err::<String, _>(error))]);
    ExitCode::from(Failure::status_of(error))
}

/// Where the configuration comes from, and what of it is not the default.
fn configuration(config: &Config) -> String {
    let file = match &config.file {
        Some(file) => format!("from {}", file.path.display()),
        None => "no file".to_owned(),
    };
    let set = config.origins.iter().filter(|origin| matches!(origin.from, Layer::Environment | Layer::Flag));
    let set: Vec<String> = set.map(|origin| format!("{} by {}", origin.name, origin.source)).collect();
    if set.is_empty() { file } else { format!("{file}; {}", set.join(", ")) }
}

/// What there is to report on.
fn ended(config: &Config) -> Result<String, String> {
    let count = config.store.ended().len();
    Ok(format!("{count} ended sessions; the newest {MOST} are kept, for {DAYS} days"))
}

/// What the screen would have to draw on.
fn terminal() -> Result<String, String> {
    super::needs_terminal().map_err(|failure| failure.message)?;
    let (columns, rows) = crossterm::terminal::size().map_err(|error| error.to_string())?;
    Ok(format!("{} with {columns}x{rows}", std::env::var("TERM").unwrap_or_default()))
}

/// What the screen would be drawn in.
fn theme(config: &Config) -> Result<String, &FileError> {
    let said = config.origins.iter().find(|origin| origin.name == "theme");
    let name = said.and_then(|origin| origin.value.clone()).unwrap_or_default();
    config.theme.as_ref().map(|_| format!("{name}, by {}", said.map_or("default", |origin| &origin.source)))
}

/// The guard that runs, or why there is none.
fn guard(config: &Config) -> Result<String, String> {
    let loaded = config.store.load().map_err(|error| error.to_string())?;
    let count = config.store.guarded(&loaded).len();
    match config.store.guard() {
        Some(guard) => Ok(format!("process {} keeps the deadlines and follows the peers of {count}", guard.pid)),
        None if count == 0 => Ok("none is needed: nothing that has a deadline or names peers is injected".to_owned()),
        None => Err(format!(
            "none runs, and {count} have a deadline or name peers: `tikv-chaos recover` ends what was left behind"
        )),
    }
}

async fn docker_version(subject: &TikvSubject) -> Result<String, SubjectError> {
    let docker = subject.docker().await?;
    let version = client::ask("ask the version of", "Docker", docker.version()).await?;
    let api = version.api_version.as_deref().unwrap_or_default();
    Ok(format!("{}, API {api}, at {}", engine::title(&version), client::whence()))
}

async fn host(subject: &TikvSubject) -> Vec<Check> {
    let image = subject.image().await.map(str::to_owned);
    let made = image.is_ok();
    let mut checks = vec![Check::new("holder image", image)];
    if !made {
        return checks;
    }
    match subject.capabilities().await {
        Ok(found) => {
            checks.push(Check::new("netem", found.netem.map(|()| "in the kernel".to_owned())));
            checks.push(Check::new("iptables", Ok::<_, String>(format!("the {} flavour", found.flavour.name()))));
        }
        Err(error) => checks.push(Check::new("holder", Err::<String, _>(error))),
    }
    checks
}

async fn nodes(subject: &TikvSubject, snapshot: &Snapshot) -> Vec<Check> {
    let tikv: Vec<&Node> = snapshot.nodes.iter().filter(|node| node.role == Role::Tikv).collect();
    if tikv.is_empty() {
        return vec![Check::new("nodes", Err::<String, _>(format!("no TiKV containers found; {WAY_OUT}")))];
    }
    join_all(tikv.into_iter().map(|node| async move {
        let what = format!("{} {}", node.cluster, node.name);
        if !node.is_running() {
            return Check::new(what, Err::<String, _>(format!("it is {}", node.state)));
        }
        let found = subject.data_disk(snapshot, node).await.map(|disk| {
            let room = format!("{} of {} available", human_bytes(disk.available), human_bytes(disk.total));
            let own = disk.shared.map_or_else(|| "its own".to_owned(), |why| format!("shared: {why}"));
            format!("data in {} on {}, {room}, {own}", disk.folder, disk.kind)
        });
        Check::new(what, found)
    }))
    .await
}

fn print(json: bool, checks: &[Check]) {
    if json {
        let rows: Vec<_> = checks
            .iter()
            .map(|check| match &check.result {
                Ok(detail) => json!({ "what": check.what, "ok": true, "detail": detail }),
                Err(reason) => json!({ "what": check.what, "ok": false, "detail": reason }),
            })
            .collect();
        output::document(&json!({ "checks": rows }));
        return;
    }
    let width = checks.iter().map(|check| check.what.len()).max().unwrap_or(0);
    output::lines(checks.iter().map(|check| match &check.result {
        Ok(detail) => format!("ok  {:width$}  {detail}", check.what),
        Err(reason) => format!("no  {:width$}  {reason}", check.what),
    }));
}
