//! The options of a run, checked and turned into what the engine takes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    cluster::tls::{Tls, TlsFileError},
    session::{JournalError, Store},
    subject::docker::{Known, Options, Progress, Source, TikvSubject},
};

/// Options that every subcommand has.
#[derive(Debug, Clone, Default, clap::Args)]
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
    /// Print one JSON document and nothing else
    #[arg(long, global = true)]
    pub json: bool,
}

/// A checked configuration.
#[derive(Clone)]
pub struct Config {
    pub project: Option<String>,
    pub state_dir: PathBuf,
    pub store: Store,
    pub image: Source,
    pub tls: Option<Tls>,
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
        let image = match &globals.holder_image {
            Some(name) => Source::Ready(name.clone()),
            None => Source::Made { exe: std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into()) },
        };
        let store = Store::at(&state_dir);
        Ok(Self { project: globals.project.clone(), state_dir, store, image, tls, json: globals.json })
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
        TikvSubject::new(Options { project, image, tls, progress, known })
    }
}
