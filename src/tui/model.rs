//! Everything that the screen knows. Changed by `update` alone, shown by `view`; it holds no connection and no file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    follow::{Followed, Past},
    glyphs::Glyphs,
    hits::{Hit, HitMap},
    keys::{Action, Keymap},
    log::Log,
    open::Owner,
    palette::Palette,
    picker::Picker,
    prompt::Prompt,
    theme::Theme,
    undo::{Again, Change, Done},
    watched::Watched,
};
use crate::{
    chaos::{Fault, InjectionId, measured::Look},
    config::preset::Preset,
    session::{Loaded, recovery::Sight},
    subject::{
        Marked,
        docker::{Node, Snapshot},
    },
};

/// What is settled before the first frame.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name and version, for the header.
    pub program: String,
    /// The only Compose project that is looked at, if one was given.
    pub project: Option<String>,
    /// The demo cluster that this run brought up.
    pub demo: Option<String>,
    /// Nothing may be changed.
    pub read_only: bool,
    /// How long an injection lasts where nothing is said.
    pub ttl: Option<Duration>,
    pub keys: Keymap,
    /// Faults that have a name.
    pub presets: Vec<Preset>,
    pub utf8: bool,
    pub theme: Theme,
    /// No theme's colours count without.
    pub colours: bool,
    /// Whether anything moves by itself.
    pub motion: bool,
    /// For the times in the log.
    pub time_zone: TimeZone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    Nodes,
    Picker,
    Active,
    Log,
}

impl Pane {
    pub const ALL: [Self; 4] = [Self::Nodes, Self::Picker, Self::Active, Self::Log];

    pub fn title(self) -> &'static str {
        match self {
            Self::Nodes => "NODES",
            Self::Picker => "CHAOS",
            Self::Active => "ACTIVE",
            Self::Log => "LOG",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    Connecting,
    Up { engine: String },
    Down { host: String, reason: String, retry_s: u64 },
}

/// An injection that could begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    pub fault: Fault,
    pub targets: Vec<Target>,
    pub ttl: Duration,
}

/// A node that something is done to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The container's.
    pub id: String,
    pub name: String,
}

impl Ready {
    /// The node's name, or how many there are.
    pub fn whom(&self) -> String {
        match &self.targets[..] {
            [one] => one.name.clone(),
            several => format!("{} nodes", several.len()),
        }
    }

    pub fn ids(&self) -> Vec<String> {
        self.targets.iter().map(|target| target.id.clone()).collect()
    }
}

/// What lies over the panes and has the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "few live at a time, and the large one is the usual one")]
pub enum Dialog {
    Help,
    Timeline,
    Palette(Palette),
    /// The presets, and the one that is selected.
    Presets(usize),
    /// The commands and the undo of what the picker holds.
    Commands,
    /// The undo of one injection, as a person would type it.
    ByHand(InjectionId),
    /// What was measured of one injection.
    Measured(InjectionId),
    /// What to look for: of one injection, or of what the picker holds.
    Guide(Option<InjectionId>),
    Confirm {
        ready: Ready,
        reasons: Vec<String>,
        /// What was typed of the node's name, where that is asked for.
        name: Option<String>,
    },
    /// As `Confirm` with a name, for injections that hold.
    ConfirmChange {
        whom: String,
        reason: String,
        name: String,
    },
    Quit {
        error: Option<String>,
    },
    /// Everything of this session is being reverted; when it is, the program ends.
    Reverting {
        take_down: bool,
    },
    /// Injections of programs that are gone, and what bears our marks without a record.
    Recover,
}

#[derive(Debug)]
pub struct Model {
    pub(super) options: Options,
    pub(super) glyphs: Glyphs,
    pub(super) keys: Keymap,
    pub(super) theme: Theme,
    pub(super) now: Timestamp,
    pub(super) link: Link,
    /// The last that was seen, however old.
    pub(super) snapshot: Option<Snapshot>,
    /// By the cluster's name.
    pub(super) clusters: BTreeMap<String, Watched>,
    pub(super) followed: Vec<Followed>,
    /// What is over for so long that nobody looks for it any more.
    pub(super) past: Vec<Past>,
    /// When this session was first drawn.
    pub(super) began: Timestamp,
    /// Whether the clusters were last asked to be read.
    pub(super) reading: bool,
    pub(super) sessions: Loaded,
    /// What was seen last of each injection from inside its target.
    pub(super) looks: BTreeMap<InjectionId, Look>,
    pub(super) focus: Pane,
    pub(super) node: usize,
    /// The containers of the nodes that are marked for one injection; without any the selected one is the target.
    pub(super) marks: BTreeSet<String>,
    /// Only nodes in whose row this stands are shown, and the target.
    pub(super) filter: String,
    pub(super) prompt: Option<Prompt>,
    /// What a preset that is written down is to be called.
    pub(super) naming: String,
    pub(super) presets: Vec<Preset>,
    pub(super) picker: Picker,
    /// The one of new injections, while the one in its place changes an injection that holds.
    pub(super) shelved: Option<Picker>,
    /// The changes that were asked for and not answered.
    pub(super) changing: Vec<Change>,
    /// What was done, the last one last, to be undone in that order.
    pub(super) done: Vec<Done>,
    /// What was asked to be injected last, until it is answered.
    pub(super) asked: Option<Again>,
    /// How what is being reverted would be injected again.
    pub(super) again: BTreeMap<InjectionId, Option<Again>>,
    /// How this screen's own injections were asked for.
    pub(super) made: BTreeMap<InjectionId, Again>,
    pub(super) active_id: Option<InjectionId>,
    pub(super) active_row: usize,
    pub(super) log: Log,
    pub(super) dialog: Option<Dialog>,
    /// How far the popup is scrolled.
    pub(super) scroll: usize,
    /// Reverts that were asked for, and whether they were answered; the journal has the last word.
    pub(super) reverting: BTreeMap<InjectionId, bool>,
    /// The injection that was asked for and not answered, in words.
    pub(super) injecting: Option<String>,
    /// `inject` was pressed before it was known what it would do.
    pub(super) wished: bool,
    pub(super) progress: Option<String>,
    pub(super) recovery_offered: bool,
    /// What bears our marks and has no record.
    pub(super) unrecorded: Vec<Marked>,
    /// What the nodes themselves showed of each injection that was left behind.
    pub(super) sights: BTreeMap<InjectionId, Sight>,
    pub(super) unreadable_told: BTreeSet<PathBuf>,
    pub(super) hits: HitMap,
    pub(super) drag: Option<Hit>,
    pub(super) dirty: bool,
}

impl Model {
    pub fn new(options: Options, now: Timestamp) -> Self {
        Self {
            glyphs: Glyphs::new(options.utf8),
            keys: options.keys.clone(),
            theme: if options.colours { options.theme } else { Theme::colourless() },
            picker: Picker::lasting(options.ttl),
            presets: options.presets.clone(),
            shelved: None,
            changing: Vec::new(),
            done: Vec::new(),
            asked: None,
            again: BTreeMap::new(),
            made: BTreeMap::new(),
            options,
            now,
            link: Link::Connecting,
            snapshot: None,
            clusters: BTreeMap::new(),
            followed: Vec::new(),
            past: Vec::new(),
            began: now,
            reading: false,
            sessions: Loaded::default(),
            looks: BTreeMap::new(),
            focus: Pane::Nodes,
            node: 0,
            marks: BTreeSet::new(),
            filter: String::new(),
            prompt: None,
            naming: String::new(),
            active_id: None,
            active_row: 0,
            log: Log::default(),
            dialog: None,
            scroll: 0,
            reverting: BTreeMap::new(),
            injecting: None,
            wished: false,
            progress: None,
            recovery_offered: false,
            unrecorded: Vec::new(),
            sights: BTreeMap::new(),
            unreadable_told: BTreeSet::new(),
            hits: HitMap::default(),
            drag: None,
            dirty: true,
        }
    }

    /// Takes what [`super::view`] gave for the screen that is now shown.
    pub fn drawn(&mut self, hits: HitMap) {
        self.scroll = self.scroll.min(hits.popup);
        self.picker.scroll = self.picker.scroll.min(hits.commands);
        self.log.scroll = self.log.scroll.min(hits.log);
        self.hits = hits;
    }

    /// Whether anything that is shown changed since the last call.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    pub(super) fn nodes(&self) -> &[Node] {
        self.snapshot.as_ref().map_or(&[], |snapshot| &snapshot.nodes)
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// The selected node.
    pub(super) fn target(&self) -> Option<&Node> {
        self.nodes().get(self.node)
    }

    /// The key of an action, as texts name it.
    pub(super) fn key(&self, action: Action) -> String {
        self.keys.name_of(action, self.glyphs)
    }

    /// What `inject` would ask for, or why it cannot be.
    pub(super) fn ready(&self) -> Result<Ready, String> {
        match self.link {
            Link::Up { .. } => {}
            Link::Connecting => return Err("connecting to Docker".to_owned()),
            Link::Down { .. } => return Err("Docker is not answering".to_owned()),
        }
        if self.options.read_only {
            return Err("this run is --read-only".to_owned());
        }
        if self.picker.held.is_some() {
            let back = self.key(Action::Leave);
            return Err(format!("these sliders are of an injection that holds: {back} goes back to new ones"));
        }
        let nodes = self.targets();
        if nodes.is_empty() {
            return Err("no node to inject into".to_owned());
        }
        for node in &nodes {
            if !node.is_running() {
                return Err(format!("{} is {}, not running", node.name, node.state));
            }
        }
        let targets = nodes.iter().map(|node| Target { id: node.id.clone(), name: node.name.clone() }).collect();
        Ok(Ready { fault: self.picker.fault()?, targets, ttl: self.picker.ttl() })
    }

    /// Whether quitting now would leave something of this session behind.
    pub(super) fn has_own_open(&self) -> bool {
        self.injecting.is_some() || !self.open_of(Owner::Mine).is_empty()
    }
}
