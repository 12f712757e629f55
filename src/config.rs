//! The options of a run, from flags, environment and file, checked and turned into what the engine takes.

pub mod file;
pub mod nodes;
pub mod option;
pub mod preset;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use self::{
    file::{ConfigFile, FileError, usual_place},
    option::{DEFAULT_TTL, parse_ttl},
};
use crate::{
    cluster::{
        ConfigCache,
        tls::{Tls, TlsFileError},
    },
    safety::Limits,
    session::{Injection, JournalError, Life, Store, guard::Launch},
    subject::docker::{
        Endpoint, EndpointError, Identity, Known, Named, Names, Options, Progress, Recorded, Source, TikvSubject,
        UnderWay, Wish, client, parse_named,
    },
    tui::theme::{self, Theme},
};

/// Options that every subcommand has.
#[derive(Debug, Clone, clap::Args)]
pub struct Globals {
    /// The configuration file [default: $XDG_CONFIG_HOME/tikv-chaos/config.toml]
    #[arg(long, global = true, value_name = "FILE", env = "TIKV_CHAOS_CONFIG")]
    pub config: Option<PathBuf>,
    /// The Docker to talk to: unix:///path, tcp://host:port or ssh://[user@]host
    #[arg(long, global = true, value_name = "URL", env = "DOCKER_HOST")]
    pub docker_host: Option<String>,
    /// Or a context of Docker's own command line
    #[arg(long, global = true, value_name = "NAME", env = "DOCKER_CONTEXT")]
    pub context: Option<String>,
    /// Only this cluster: a Compose project, or the network its nodes share
    #[arg(long, global = true, value_name = "NAME", env = "TIKV_CHAOS_PROJECT")]
    pub project: Option<String>,
    /// What a container is, where that is not recognized or wrong: NAME=tikv, NAME=pd or NAME=ignore; may be repeated
    #[arg(long, global = true, value_name = "NAME=ROLE", value_parser = parse_named)]
    pub node: Vec<(String, Named)>,
    /// Where the journal and the log go [default: $XDG_STATE_HOME/tikv-chaos]
    #[arg(long, global = true, value_name = "DIR", env = "TIKV_CHAOS_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// A ready image of the holder, instead of one made here
    #[arg(long, global = true, value_name = "IMAGE", env = "TIKV_CHAOS_HOLDER_IMAGE")]
    pub holder_image: Option<String>,
    /// Certificate authority of PD and TiKV where they speak TLS, as a PEM file
    #[arg(long, global = true, value_name = "FILE", env = "TIKV_CHAOS_PD_CA")]
    pub pd_ca: Option<PathBuf>,
    /// Our certificate for them, as a PEM file
    #[arg(long, global = true, value_name = "FILE", env = "TIKV_CHAOS_PD_CERT")]
    pub pd_cert: Option<PathBuf>,
    /// The key of that certificate, as a PEM file
    #[arg(long, global = true, value_name = "FILE", env = "TIKV_CHAOS_PD_KEY")]
    pub pd_key: Option<PathBuf>,
    /// How many injections may hold at the same time, over every session
    #[arg(long, global = true, value_name = "N", env = "TIKV_CHAOS_MAX_ACTIVE", default_value_t = Limits::default().most_active)]
    pub max_active: usize,
    /// How long an injection may last at most, such as 30m
    #[arg(long, global = true, value_name = "TIME", env = "TIKV_CHAOS_MAX_TTL", value_parser = max_ttl, default_value = "30m")]
    pub max_ttl: Duration,
    /// Make every change impossible: look only
    #[arg(long, global = true, env = "TIKV_CHAOS_READ_ONLY", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub read_only: bool,
    /// Draw the screen with nothing but ASCII
    #[arg(long, global = true, env = "TIKV_CHAOS_ASCII", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub ascii: bool,
    /// The colours of the screen: ansi, dark, light, colour-blind, mono, one of your own, or a file
    #[arg(long, global = true, value_name = "NAME|FILE", env = "TIKV_CHAOS_THEME", default_value = theme::file::DEFAULT)]
    pub theme: String,
    /// Let nothing on the screen move by itself: no spinner, and time by the minute
    #[arg(long, global = true, env = "TIKV_CHAOS_NO_MOTION", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub no_motion: bool,
    /// Print one JSON document and nothing else
    #[arg(long, global = true)]
    pub json: bool,
    /// What the file said, if there is one.
    #[arg(skip)]
    pub file: Option<Arc<ConfigFile>>,
    /// What is in force, and where it comes from.
    #[arg(skip)]
    pub origins: Vec<Origin>,
}

/// One setting with its value and where that comes from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Origin {
    pub name: &'static str,
    pub value: Option<String>,
    pub from: Layer,
    /// In words: `--project`, `TIKV_CHAOS_PROJECT`, a file with its line, `default`.
    pub source: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    Flag,
    Environment,
    File,
    Default,
}

impl Default for Globals {
    /// What holds where nothing is said.
    fn default() -> Self {
        let Limits { most_active, longest } = Limits::default();
        Self {
            config: None,
            docker_host: None,
            context: None,
            ascii: false,
            theme: theme::file::DEFAULT.to_owned(),
            no_motion: false,
            file: None,
            origins: Vec::new(),
            project: None,
            node: Vec::new(),
            state_dir: None,
            holder_image: None,
            pd_ca: None,
            pd_cert: None,
            pd_key: None,
            max_active: most_active,
            max_ttl: longest,
            read_only: false,
            json: false,
        }
    }
}

fn max_ttl(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("--max-ttl cannot be {text:?}; allowed: a time such as 90s or 30m"))
}

/// A checked configuration.
#[derive(Clone)]
pub struct Config {
    pub project: Option<String>,
    /// Which containers are nodes by `--node` and `[nodes]`.
    pub names: Names,
    pub state_dir: PathBuf,
    pub store: Store,
    pub image: Source,
    pub tls: Option<Tls>,
    pub limits: Limits,
    pub read_only: bool,
    /// How long an injection lasts where nothing is said; `None` is no end.
    pub ttl: Option<Duration>,
    pub ascii: bool,
    /// Only the screen minds one that cannot be used: whatever undoes something works all the same.
    pub theme: Result<Theme, FileError>,
    pub no_motion: bool,
    pub json: bool,
    /// The file with its `[keys]` and `[presets]`, if there is one.
    pub file: Option<Arc<ConfigFile>>,
    pub origins: Vec<Origin>,
}

/// Why the options of a run cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Tls(#[from] TlsFileError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Docker(#[from] EndpointError),
    #[error("{0}")]
    Value(String),
}

impl Globals {
    fn origin(&self, name: &str) -> Option<&Origin> {
        self.origins.iter().find(|origin| origin.name == name)
    }

    /// Which containers are nodes: as the file says, and before that the flag.
    pub fn names(&self) -> Names {
        let in_file = self.file.iter().flat_map(|file| file.nodes.iter().cloned());
        in_file.chain(self.node.iter().cloned()).collect()
    }

    /// Which Docker is meant. Of a host and a context the one counts that was said in the stronger place; in the same
    /// place Docker's own rule holds, that `DOCKER_HOST` comes before `DOCKER_CONTEXT`.
    fn wish(&self) -> Result<Wish, ConfigError> {
        let said = |name: &str, value: &Option<String>| {
            let value = value.clone().filter(|value| !value.is_empty())?;
            let (from, source) =
                self.origin(name).map_or((Layer::Flag, String::new()), |one| (one.from, one.source.clone()));
            Some((from, (value, source)))
        };
        let (host, context) = (said("docker_host", &self.docker_host), said("context", &self.context));
        Ok(match (host, context) {
            (Some((Layer::Flag, _)), Some((Layer::Flag, _))) => return Err(EndpointError::Both.into()),
            (Some((Layer::File, (_, one))), Some((Layer::File, (_, other)))) => {
                let reason = format!("docker_host ({one}) and context ({other}) are both set: leave one of them out");
                return Err(ConfigError::Value(reason));
            }
            (Some((host_from, _)), Some((context_from, context))) if (context_from as u8) < host_from as u8 => {
                Wish { host: None, context: Some(context) }
            }
            (Some((_, host)), _) => Wish { host: Some(host), context: None },
            (None, context) => Wish { host: None, context: context.map(|(_, context)| context) },
        })
    }
}

impl Config {
    pub fn new(globals: &Globals) -> Result<Self, ConfigError> {
        let file = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let (ca, cert, key) = (file(&globals.pd_ca), file(&globals.pd_cert), file(&globals.pd_key));
        let endpoint = Endpoint::choose(&globals.wish()?)?;
        let ttl = match globals.origin("ttl") {
            Some(Origin { value: Some(text), source, .. }) => parse_ttl(source, text).map_err(ConfigError::Value)?,
            _ => parse_ttl("ttl", DEFAULT_TTL).map_err(ConfigError::Value)?,
        };
        let tls = Tls::from_files(ca.as_deref(), cert.as_deref(), key.as_deref())?;
        let state_dir = globals.state_dir.clone().map_or_else(Store::default_dir, Ok)?;
        // The guard stands in another folder.
        let state_dir = std::path::absolute(&state_dir).unwrap_or(state_dir);
        let image = match &globals.holder_image {
            Some(name) => Source::Ready(name.clone()),
            None => Source::Made { exe: own_program() },
        };
        let mut options = vec!["--state-dir".into(), state_dir.clone().into_os_string()];
        if let Some(name) = &globals.holder_image {
            options.extend(["--holder-image".into(), name.into()]);
        }
        options.extend(endpoint.flags().map(Into::into));
        // It reads no file.
        let names = globals.names();
        options.extend(names.iter().map(|(name, named)| format!("--node={name}={named}").into()));
        let program = std::env::current_exe().ok().filter(|path| path.exists()).unwrap_or_else(own_program);
        let store = Store::at(&state_dir)
            .guarded_by(Launch { program, options, docker_host: endpoint.host.clone() })
            .trusting(globals.holder_image.clone());
        let limits = Limits { most_active: globals.max_active, longest: globals.max_ttl };
        client::choose(endpoint);
        let Globals { project, read_only, ascii, no_motion, json, file, origins, .. } = globals.clone();
        let beside = file.as_ref().map(|file| file.path.clone()).or_else(usual_place);
        let theme = Theme::find(&globals.theme, beside.as_deref().and_then(Path::parent));
        Ok(Self {
            project,
            names,
            state_dir,
            store,
            image,
            tls,
            limits,
            read_only,
            ttl,
            ascii,
            theme,
            no_motion,
            json,
            file,
            origins,
        })
    }

    /// The engine for this configuration; `progress` is told what takes time.
    pub fn subject(&self, progress: Progress) -> TikvSubject {
        let store = self.store.clone();
        let known: Known = Arc::new(move || {
            let now = Timestamp::now();
            let loaded = store.load().unwrap_or_default();
            // What is overdue has no time left.
            let left = |deadline: Timestamp| Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
            let open = loaded.open();
            let recorded = open.iter().map(|(_, one)| Recorded {
                metadata: one.metadata.clone(),
                left: one.deadline.map(left),
                active: one.state == Life::Active,
            });
            recorded.collect()
        });
        let store = self.store.clone();
        let under_way: UnderWay = Arc::new(move || {
            // Where nothing can be read, `known` has nothing either.
            let Ok(loaded) = store.load() else { return BTreeSet::new() };
            let is_being_made =
                |one: &Injection| matches!(one.state, Life::Planned | Life::Applying) && one.note.is_none();
            let open = loaded.open();
            let made = open.into_iter().filter(|(seen, one)| (seen.alive || seen.mine) && is_being_made(one));
            made.map(|(_, one)| one.metadata.id.clone()).collect()
        });
        let (project, image, tls) = (self.project.clone(), self.image.clone(), self.tls.clone());
        let configs = ConfigCache::under(&self.state_dir);
        let identity = Arc::new(Identity::new(self.names.clone(), ConfigCache::named(&self.state_dir, "node-role")));
        let read_only = self.read_only;
        TikvSubject::new(Options { project, identity, image, tls, progress, known, under_way, configs, read_only })
    }
}

/// The commented default, as `config --default` prints it.
pub const DEFAULT_FILE: &str = include_str!("../assets/config.toml");

/// This very program, even where its file was replaced since: a guard may outlive a build.
fn own_program() -> PathBuf {
    if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe().unwrap_or_default() }
}
