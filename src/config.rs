//! The options of a run, checked and turned into what the engine takes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    session::{JournalError, Store, guard::Launch},
    subject::docker::{Known, Options, Progress, Source, TikvSubject, client},
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
    pub json: bool,
}

impl Config {
    pub fn new(globals: &Globals) -> Result<Self, JournalError> {
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
        Ok(Self { project: globals.project.clone(), state_dir, store, image, json: globals.json })
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
        let (project, image) = (self.project.clone(), self.image.clone());
        TikvSubject::new(Options { project, image, progress, known })
    }
}

/// This very program, even where its file was replaced since: a guard may outlive a build.
fn own_program() -> PathBuf {
    if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe().unwrap_or_default() }
}
