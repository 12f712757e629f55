//! The options of a run, checked and turned into what the engine takes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    cluster::tls::{Tls, TlsFileError},
    safety::Limits,
    session::{JournalError, Store, guard::Launch},
    subject::docker::{Known, Options, Progress, Source, TikvSubject, client},
};

/// Options that every subcommand has.
#[derive(Debug, Clone, clap::Args)]
pub struct Globals {
    /// Only this cluster: a Compose project, or the network its nodes share
    #[arg(long, global = true, value_name = "NAME", env = "TIKV_CHAOS_PROJECT")]
    pub project: Option<String>,
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
    /// Print one JSON document and nothing else
    #[arg(long, global = true)]
    pub json: bool,
}

impl Default for Globals {
    /// What holds where nothing is said.
    fn default() -> Self {
        let Limits { most_active, longest } = Limits::default();
        Self {
            project: None,
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
    pub state_dir: PathBuf,
    pub store: Store,
    pub image: Source,
    pub tls: Option<Tls>,
    pub limits: Limits,
    pub read_only: bool,
    pub json: bool,
}

/// Why the options of a run cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Tls(#[from] TlsFileError),
}

impl Config {
    pub fn new(globals: &Globals) -> Result<Self, ConfigError> {
        let file = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let (ca, cert, key) = (file(&globals.pd_ca), file(&globals.pd_cert), file(&globals.pd_key));
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
        let program = std::env::current_exe().ok().filter(|path| path.exists()).unwrap_or_else(own_program);
        let store = Store::at(&state_dir)
            .guarded_by(Launch { program, options, docker_host: client::host() })
            .trusting(globals.holder_image.clone());
        let limits = Limits { most_active: globals.max_active, longest: globals.max_ttl };
        let Globals { project, read_only, json, .. } = globals.clone();
        Ok(Self { project, state_dir, store, image, tls, limits, read_only, json })
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
            open.iter().map(|(_, one)| (one.metadata.clone(), one.deadline.map(left))).collect()
        });
        let (project, image, tls) = (self.project.clone(), self.image.clone(), self.tls.clone());
        TikvSubject::new(Options { project, image, tls, progress, known, read_only: self.read_only })
    }
}

/// This very program, even where its file was replaced since: a guard may outlive a build.
fn own_program() -> PathBuf {
    if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe().unwrap_or_default() }
}
