//! Everything that the screen knows. Changed by `update` alone, shown by `view`; it holds no connection and no file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    change::Changing,
    follow::Followed,
    glyphs::Glyphs,
    hits::{Hit, HitMap},
    log::Log,
    matching::holds,
    open::Owner,
    keys::Keymap,
    palette::Palette,
    picker::Picker,
    preset::Presets,
    prompt::Prompt,
    settings::Settings,
    theme::{Looks, Theme},
    watched::Watched,
};
use crate::{
    chaos::{Fault, FaultType, InjectionId, Params},
    session::Loaded,
    subject::docker::{Node, Role, Snapshot},
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
    pub utf8: bool,
    pub colours: bool,
    pub settings: Settings,
    /// Where random choices begin.
    pub seed: u64,
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
    Up { version: String },
    Down { host: String, reason: String, retry_s: u64 },
}

/// An injection that could begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    pub fault: Fault,
    pub targets: Vec<Target>,
    pub ttl: Duration,
}

/// A node that is meant: its container's id and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
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

/// Something that can be taken back with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// One act, of one injection or several.
    Injected(Vec<InjectionId>),
    /// The parameters that it had before.
    Changed { id: InjectionId, kind: FaultType, before: Params },
}

/// What lies over the panes and has the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialog {
    Help,
    /// The commands and the undo of what the picker holds.
    Commands,
    Palette(Palette),
    /// The selected one of them.
    Presets(usize),
    /// The undo of one injection.
    Undo(InjectionId),
    /// What to look for: of one injection, or of what the picker holds.
    Guide(Option<InjectionId>),
    Confirm {
        ready: Ready,
        reasons: Vec<String>,
        /// What was typed of the node's name, where that is asked for.
        name: Option<String>,
    },
    Quit {
        error: Option<String>,
    },
    /// Everything of this session is being reverted; when it is, the program ends.
    Reverting {
        take_down: bool,
    },
    /// Injections of programs that are gone.
    Recover,
}

#[derive(Debug)]
pub struct Model {
    pub(super) options: Options,
    pub(super) glyphs: Glyphs,
    pub(super) keys: Keymap,
    pub(super) themes: Vec<Theme>,
    pub(super) theme: Looks,
    pub(super) presets: Presets,
    pub(super) now: Timestamp,
    pub(super) link: Link,
    /// The last that was seen, however old.
    pub(super) snapshot: Option<Snapshot>,
    /// By the cluster's name.
    pub(super) clusters: BTreeMap<String, Watched>,
    pub(super) followed: Vec<Followed>,
    /// Whether the clusters were last asked to be read.
    pub(super) reading: bool,
    pub(super) sessions: Loaded,
    pub(super) focus: Pane,
    pub(super) node: usize,
    /// Only nodes in whose row this stands are shown.
    pub(super) filter: String,
    /// The containers that one injection is meant for together; empty is the selected one alone.
    pub(super) marked: BTreeSet<String>,
    pub(super) seed: u64,
    /// What was done by this run, the last at the end.
    pub(super) done: Vec<Done>,
    pub(super) changing: Option<Changing>,
    pub(super) prompt: Option<Prompt>,
    /// The mouse is ours.
    pub(super) mouse: bool,
    /// Counts what verdicts depend on: the nodes' states, and what is open.
    pub(super) turn: u64,
    pub(super) picker: Picker,
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
    pub(super) unreadable_told: BTreeSet<PathBuf>,
    pub(super) hits: HitMap,
    pub(super) drag: Option<Hit>,
    pub(super) dirty: bool,
}

impl Model {
    pub fn new(options: Options, now: Timestamp) -> Self {
        let settings = &options.settings;
        let mut themes = Theme::shipped();
        themes.retain(|theme| theme.name != settings.theme.name);
        themes.insert(0, settings.theme.clone());
        Self {
            glyphs: Glyphs::new(options.utf8 && !settings.ascii),
            keys: settings.keys.clone(),
            theme: settings.theme.looks(options.colours),
            themes,
            presets: settings.presets.clone(),
            seed: options.seed,
            options,
            now,
            link: Link::Connecting,
            snapshot: None,
            clusters: BTreeMap::new(),
            followed: Vec::new(),
            reading: false,
            sessions: Loaded::default(),
            focus: Pane::Nodes,
            node: 0,
            filter: String::new(),
            marked: BTreeSet::new(),
            done: Vec::new(),
            changing: None,
            prompt: None,
            mouse: true,
            turn: 0,
            picker: Picker::default(),
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

    /// The selected node: the target of what the picker holds, where none is marked.
    pub(super) fn target(&self) -> Option<&Node> {
        self.nodes().get(self.node)
    }

    /// The nodes that are meant: those that are marked, else the selected one.
    pub(super) fn targets(&self) -> Vec<&Node> {
        if self.marked.is_empty() {
            return self.target().into_iter().collect();
        }
        self.nodes().iter().filter(|node| self.marked.contains(&node.id)).collect()
    }

    /// Whether the node is shown.
    pub(super) fn passes(&self, node: &Node) -> bool {
        let filter = &self.filter;
        filter.is_empty()
            || [&node.name, &node.cluster].into_iter().any(|text| holds(text, filter))
            || node.service.as_ref().is_some_and(|service| holds(service, filter))
            || holds(&node.state.to_string(), filter)
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
        if let Some(changing) = &self.changing {
            return Err(format!("{} is being changed", changing.id));
        }
        let nodes = self.targets();
        if nodes.is_empty() {
            return Err("no node to inject into".to_owned());
        }
        for node in &nodes {
            if node.role != Role::Tikv {
                return Err(format!("{} is no TiKV node: choose one as the target", node.name));
            }
            if !node.is_running() {
                return Err(format!("{} is {}, not running", node.name, node.state));
            }
        }
        let fault = self.picker.fault()?;
        let targets = nodes.iter().map(|node| Target { id: node.id.clone(), name: node.name.clone() }).collect();
        Ok(Ready { fault, targets, ttl: self.picker.ttl() })
    }

    /// Whether quitting now would leave something of this session behind.
    pub(super) fn has_own_open(&self) -> bool {
        self.injecting.is_some() || !self.open_of(Owner::Mine).is_empty()
    }
}
