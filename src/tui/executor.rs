//! Carries effects out, each in a task that answers with a message, and keeps the promises that need nobody's key:
//! deadlines, holders and guards that died, targets that went away, peers that are elsewhere.

mod follow;
mod inject;
mod undo;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use super::{Effect, Level, Live, Message};
use crate::{
    chaos::{Fault, InjectionId, measured::Moment, random},
    cluster::ClusterState,
    config::{Config, preset},
    safety::Limits,
    session::{self, Injection, Life, Loaded, Request, Seen, Store},
    subject::{
        Subject as _,
        docker::{self, Progress, Snapshot, TikvSubject},
    },
};

/// How long a choice must rest before its commands are asked for: a held key would ask for every step.
const REST: Duration = Duration::from_millis(120);
/// How long the end may wait for work that is under way.
const END_PATIENCE: Duration = Duration::from_secs(30);
/// How long it may wait for what only leaves a helper idle: that ends by itself.
const TIDY_PATIENCE: Duration = Duration::from_secs(5);
/// How long for helpers to be let go of. One that is being made just then would otherwise stay as it is, made and not started,
/// until somebody recovers.
const RELEASE_PATIENCE: Duration = Duration::from_secs(15);

/// After that time without another change an injection is what it will be.
const SETTLED: Duration = Duration::from_secs(1);

/// How long until what is overdue and could not be undone is tried again by itself; a key tries at once.
const AGAIN: Duration = Duration::from_secs(30);

type Wanted = Option<(u64, Request)>;

/// What the tasks share.
#[derive(Clone)]
struct Shared {
    subject: Arc<TikvSubject>,
    store: Store,
    limits: Limits,
    read_only: bool,
    messages: mpsc::Sender<Message>,
    /// Reverts under way, so that a deadline and a key do not both start one.
    reverting: Arc<Mutex<HashSet<InjectionId>>>,
    /// When each overdue injection was last tried to be ended; `None` where the next try need not wait.
    tried: Arc<Mutex<HashMap<InjectionId, Option<Instant>>>>,
    /// When a guard was last started, or tried to.
    guarded: Arc<Mutex<Option<Instant>>>,
    /// Whose peers are being followed, and when those are tried again that could not be.
    following: Arc<Mutex<HashMap<InjectionId, Option<Instant>>>>,
    /// When each injection was last changed.
    changed: Arc<Mutex<HashMap<InjectionId, Instant>>>,
    /// A look at what the injections do is under way.
    measuring: Arc<AtomicBool>,
    /// A look at the journal is under way.
    looking: Arc<AtomicBool>,
    /// What is recorded is being compared with the targets.
    settling: Arc<AtomicBool>,
    /// What was last told of the journal.
    told: Arc<Mutex<Option<Loaded>>>,
    /// One tells at a time: what is older must not come after what is newer.
    telling: Arc<tokio::sync::Mutex<()>>,
}

pub struct Executor {
    shared: Shared,
    config: Config,
    /// The nodes themselves were asked what there is of ours.
    scanned: bool,
    /// The containers that were there at some time, by id.
    met: HashSet<String>,
    planned: watch::Sender<Wanted>,
    /// Asks for plans until nobody wants any more.
    planner: JoinHandle<()>,
    /// Whether the clusters are to be read.
    look: watch::Sender<bool>,
    /// Reads them until nobody can begin to look any more.
    reader: JoinHandle<()>,
    /// Injections and reverts, which the end waits for.
    work: JoinSet<()>,
    /// Everything else, which ends with the program.
    watchers: JoinSet<()>,
}

/// What takes time stands in the log, and beside its title while it lasts.
fn progress(messages: mpsc::Sender<Message>) -> Progress {
    Arc::new(move |begun| {
        if let Some(text) = begun {
            let text = text.to_owned();
            let _ = messages.try_send(Message::Log { at: Timestamp::now(), level: Level::Info, text });
        }
        let _ = messages.try_send(Message::Progress(begun.map(str::to_owned)));
    })
}

impl Executor {
    pub fn start(config: &Config, messages: mpsc::Sender<Message>) -> Self {
        let subject = config.subject(progress(messages.clone()));
        let shared = Shared {
            subject: Arc::new(subject),
            store: config.store.clone(),
            limits: config.limits.clone(),
            read_only: config.read_only,
            messages,
            reverting: Arc::default(),
            tried: Arc::default(),
            guarded: Arc::default(),
            following: Arc::default(),
            changed: Arc::default(),
            measuring: Arc::default(),
            looking: Arc::default(),
            settling: Arc::default(),
            told: Arc::default(),
            telling: Arc::default(),
        };
        let mut watchers = JoinSet::new();
        let (sender, receiver) = mpsc::channel(16);
        let (identity, told) = (shared.subject.identity(), shared.subject.told());
        watchers.spawn(docker::watch(config.project.clone(), identity, told, sender));
        watchers.spawn(forward(receiver, shared.messages.clone()));
        let (sender, receiver) = mpsc::channel(1);
        let (look, looked) = watch::channel(false);
        let reader = tokio::spawn(docker::read_on(Arc::clone(&shared.subject), looked, sender));
        watchers.spawn(forward_states(receiver, shared.clone()));
        let (planned, wanted) = watch::channel(None);
        let planner = tokio::spawn(plan(shared.clone(), wanted));
        Self {
            shared,
            config: config.clone(),
            scanned: false,
            met: HashSet::new(),
            planned,
            planner,
            look,
            reader,
            work: JoinSet::new(),
            watchers,
        }
    }

    pub fn carry_out(&mut self, effect: Effect) {
        let shared = self.shared.clone();
        match effect {
            Effect::Plan { seq, fault, targets, ttl } => {
                let request = shared.request(fault, targets, ttl, false);
                self.planned.send_replace(Some((seq, request)));
            }
            Effect::Inject { fault, targets, ttl, force } => {
                let request = shared.request(fault, targets, ttl, force);
                self.work.spawn(async move { shared.inject(request).await });
            }
            Effect::Change { changes, force } => {
                self.work.spawn(async move { shared.change(changes, force).await });
            }
            Effect::Keep(preset) => {
                let file = self.config.file.as_ref().map(|file| file.path.clone());
                self.work.spawn(async move {
                    let name = preset.name.clone();
                    let result = preset::save(file.as_deref(), &preset);
                    shared.send(Message::Kept { name, result }).await;
                });
            }
            Effect::Roll => {
                self.work.spawn(async move { shared.send(Message::Rolled(random::seed())).await });
            }
            Effect::Revert { ids } => {
                let open = shared.open();
                for injection in open.into_iter().filter(|injection| ids.contains(&injection.metadata.id)) {
                    let shared = shared.clone();
                    self.work.spawn(async move { shared.revert(injection).await });
                }
            }
            Effect::Clear { marks } => {
                let config = self.config.clone();
                self.work.spawn(async move {
                    let subject = shared.aside(&config);
                    shared.clear(&subject, marks).await;
                    subject.release().await;
                });
            }
            Effect::EndEverything { ids } => {
                let config = self.config.clone();
                let open = shared.open();
                self.work.spawn(async move {
                    let wanted = open.into_iter().filter(|injection| ids.contains(&injection.metadata.id));
                    join_all(wanted.map(|injection| shared.revert(injection))).await;
                    shared.end_unrecorded(&config).await;
                });
            }
            Effect::Leave => {
                if let Err(error) = shared.store.leave() {
                    tracing::error!(%error, "what is left could not be marked as left");
                }
            }
            Effect::Read(look) => drop(self.look.send_replace(look)),
            // The loop's own.
            Effect::Copy(_) | Effect::Quit | Effect::QuitAndTakeDown | Effect::Suspend => {}
        }
    }

    /// Once a second while somebody looks: what the injections of this program do, unless a look is still under way.
    fn watch_effects(&mut self) {
        let shared = self.shared.clone();
        if !*self.look.borrow() || shared.measuring.swap(true, Ordering::AcqRel) {
            return;
        }
        self.watchers.spawn(async move {
            let mine = {
                let told = shared.told.lock().unwrap_or_else(PoisonError::into_inner);
                let open = told.as_ref().map(Loaded::open).unwrap_or_default();
                let active = open.into_iter().filter(|(seen, one)| seen.mine && one.state == Life::Active);
                active.map(|(_, one)| one.metadata.clone()).collect::<Vec<_>>()
            };
            for metadata in mine {
                if let Some(look) = shared.subject.measure(&metadata, Moment::Watching, None).await {
                    shared.send(Message::Measured { id: metadata.id, look }).await;
                }
            }
            shared.measuring.store(false, Ordering::Release);
        });
    }

    /// Once a second: the journal is looked at, what is overdue is ended, dead holders are replaced.
    pub fn tick(&mut self) {
        while self.work.try_join_next().is_some() {}
        while self.watchers.try_join_next().is_some() {}
        self.watch_effects();
        self.settle_what_shows();
        self.follow(self.shared.behind(false));
        let shared = self.shared.clone();
        if shared.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        self.work.spawn(async move {
            let loaded = shared.tell_sessions().await;
            shared.keep_guard(&loaded);
            let now = Timestamp::now();
            for (seen, injection) in loaded.open() {
                let ours_to_end = (seen.mine || !seen.alive) && !shared.read_only;
                if ours_to_end && injection.is_overdue(now) {
                    shared.end_overdue(injection).await;
                } else if ours_to_end
                    && seen.mine
                    && injection.state == Life::Active
                    && let Err(error) = shared.subject.keep(&injection.metadata).await
                {
                    tracing::warn!(%error, "a holder could not be replaced");
                }
            }
            shared.looking.store(false, Ordering::Release);
        });
    }

    /// Looks again at what the last snapshot shows to be over: it may have come while the last comparing was under way.
    fn settle_what_shows(&mut self) {
        let told = self.shared.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told = told.filter(|loaded| !loaded.open().is_empty());
        let Some((loaded, snapshot)) = told.and_then(|told| Some((told, self.shared.subject.live()?))) else { return };
        if loaded.open().iter().any(|(seen, one)| may_be_lost(seen, one, &snapshot, &self.met)) {
            self.settle();
        }
    }

    /// Hands the news on, and looks for targets that went away or were restarted, whose faults of the network went with them.
    pub fn seen(&mut self, live: &Live) {
        let Live::Up { snapshot, .. } = live else {
            self.shared.subject.see(None);
            // One whose peers are not followed says so.
            return self.follow(self.shared.unseen());
        };
        self.shared.subject.see(Some(snapshot.clone()));
        // Only once, as it takes a helper beside each node. The first frame with the nodes is there by now.
        if !std::mem::replace(&mut self.scanned, true) && !self.shared.read_only {
            let (shared, config) = (self.shared.clone(), self.config.clone());
            self.work.spawn(async move { shared.scan(&config).await });
        }
        // What Docker's absence kept from being undone can be undone now.
        self.shared.tried.lock().unwrap_or_else(PoisonError::into_inner).values_mut().for_each(|last| *last = None);
        self.settle_what_shows();
        self.met.extend(snapshot.nodes.iter().map(|node| node.id.clone()));
        self.follow(self.shared.behind(true));
    }

    /// Compares what is recorded with the targets themselves, unless that is under way: then the next tick does it.
    fn settle(&mut self) {
        let shared = self.shared.clone();
        if shared.read_only || shared.settling.swap(true, Ordering::AcqRel) {
            return;
        }
        self.work.spawn(async move {
            shared.settle().await;
            shared.settling.store(false, Ordering::Release);
        });
    }

    /// Follows the peers of these injections.
    fn follow(&mut self, injections: Vec<Injection>) {
        for injection in injections {
            let shared = self.shared.clone();
            self.work.spawn(async move { shared.follow(injection).await });
        }
    }

    /// Until nothing is under way.
    pub async fn idle(&mut self) {
        while self.work.join_next().await.is_some() {}
    }

    /// Hands what is injected to the guard while `meanwhile` takes its time, and gives what ended in that time; without
    /// a guard it is not called.
    pub fn stand_aside(&self, meanwhile: impl FnOnce()) -> Result<Vec<String>, String> {
        let store = &self.shared.store;
        store.start_guard().map_err(|error| error.to_string())?;
        let before = self.shared.open();
        store.stand_aside(meanwhile).map_err(|error| error.to_string())?;
        let open: HashSet<_> = self.shared.open().into_iter().map(|one| one.metadata.id).collect();
        Ok(before.iter().filter(|one| !open.contains(&one.metadata.id)).map(name).collect())
    }

    /// Waits for what is under way, lets go of the holders, ends the session; gives what the user should know.
    pub async fn end(mut self) -> Vec<String> {
        let finish = async { while self.work.join_next().await.is_some() {} };
        if timeout(END_PATIENCE, finish).await.is_err() {
            tracing::error!("ending although work is still under way");
        }
        // A question that is being asked would make a new helper after the others were let go of.
        self.shared.subject.make_no_more();
        drop(self.planned);
        self.look.send_replace(false);
        drop(self.look);
        let _ = timeout(TIDY_PATIENCE, async { tokio::join!(self.planner, self.reader) }).await;
        let Shared { subject, store, .. } = &self.shared;
        if timeout(RELEASE_PATIENCE, subject.release()).await.is_err() {
            tracing::error!("ending although helpers are not let go of");
        }
        let left = self.shared.left();
        if let Err(error) = store.end() {
            tracing::error!(%error, "the session could not be ended");
        }
        left
    }
}

impl Shared {
    fn request(&self, fault: Fault, targets: Vec<String>, ttl: Option<Duration>, force: bool) -> Request {
        Request { fault, targets, ttl, command: "tui", limits: self.limits.clone(), force }
    }

    async fn send(&self, message: Message) {
        // Nobody listens any more when the program ends.
        let _ = self.messages.send(message).await;
    }

    async fn say(&self, level: Level, text: String) {
        self.send(Message::Log { at: Timestamp::now(), level, text }).await;
    }

    fn open(&self) -> Vec<Injection> {
        let loaded = self.store.load().unwrap_or_default();
        loaded.open().into_iter().map(|(_, injection)| injection.clone()).collect()
    }

    /// Tells the screen what the journal says, if that is news.
    async fn tell_sessions(&self) -> Loaded {
        let _one = self.telling.lock().await;
        let loaded = match self.store.load() {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!(%error, "the journal cannot be read");
                return Loaded::default();
            }
        };
        let news = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let news = told.as_ref() != Some(&loaded);
            *told = Some(loaded.clone());
            news
        };
        if news {
            self.send(Message::Sessions(loaded.clone())).await;
        }
        loaded
    }

    /// Replaces a guard that died, so that deadlines are kept if we die too.
    fn keep_guard(&self, loaded: &Loaded) {
        if self.store.guarded(loaded).is_empty() || self.store.guard().is_some() {
            return;
        }
        let mut guarded = self.guarded.lock().unwrap_or_else(PoisonError::into_inner);
        if guarded.is_some_and(|last| last.elapsed() < AGAIN) {
            return;
        }
        *guarded = Some(Instant::now());
        if let Err(error) = self.store.start_guard() {
            tracing::error!(%error, "deadlines are kept by this program alone");
        }
    }

    fn left(&self) -> Vec<String> {
        let loaded = self.store.load().unwrap_or_default();
        let open = loaded.open();
        let mine: Vec<_> = open.iter().filter(|(seen, _)| seen.mine).map(|(_, injection)| name(injection)).collect();
        if mine.is_empty() {
            return Vec::new();
        }
        vec![format!("left in place: {}. To undo: tikv-chaos recover", mine.join(", "))]
    }
}

fn name(injection: &Injection) -> String {
    let metadata = &injection.metadata;
    format!("{} {} on {}", metadata.id, metadata.fault_type(), metadata.target())
}

/// Whether the target shows that the injection is over, or is not there any more. What others injected may be in a cluster
/// that is not looked at: that is known of those that were there.
fn may_be_lost(seen: &Seen, injection: &Injection, snapshot: &Snapshot, met: &HashSet<String>) -> bool {
    let (metadata, settled) = (&injection.metadata, injection.state == Life::Active || !seen.alive);
    let target = snapshot.by_id(&metadata.container_id);
    let over = session::lost(injection, &docker::fate(metadata, target)).is_some();
    let replaced = || snapshot.nodes.iter().any(|node| node.name == metadata.target());
    settled && over && (target.is_some() || seen.mine || met.contains(&metadata.container_id) || replaced())
}

async fn forward(mut lives: mpsc::Receiver<docker::Live>, messages: mpsc::Sender<Message>) {
    while let Some(live) = lives.recv().await {
        let live = match live {
            docker::Live::Up { engine, snapshot } => Live::Up { engine, snapshot },
            docker::Live::Down { host, reason, retry } => Live::Down { host, reason, retry_s: retry.as_secs() },
        };
        if messages.send(Message::Docker(live)).await.is_err() {
            return;
        }
    }
}

/// To the screen, and to the engine for its verdicts.
async fn forward_states(mut states: mpsc::Receiver<Vec<ClusterState>>, shared: Shared) {
    while let Some(states) = states.recv().await {
        shared.subject.hear(states.clone());
        if let Some(rate) = states.iter().filter_map(ClusterState::throughput).reduce(|a, b| a + b) {
            // A rate is never negative, and no cluster does more than that.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
            let whole = |rate: f64| rate.round() as u64;
            let refused = whole(states.iter().flat_map(|state| state.refused().into_values()).sum());
            shared.store.note_throughput(whole(rate), Some(refused).filter(|refused| *refused > 0));
        }
        shared.send(Message::Cluster(states)).await;
    }
}

/// Answers the newest question once it has rested; older ones are never asked. Ends when there will be no more.
async fn plan(shared: Shared, mut wanted: watch::Receiver<Wanted>) {
    while wanted.changed().await.is_ok() {
        while let Ok(changed) = timeout(REST, wanted.changed()).await {
            if changed.is_err() {
                return;
            }
        }
        let Some((seq, request)) = wanted.borrow_and_update().clone() else { continue };
        let result = session::plan(&*shared.subject, &shared.store, &request).await;
        let result = result.map(Box::new).map_err(|error| error.to_string());
        shared.send(Message::Planned { seq, result }).await;
        sleep(Duration::ZERO).await;
    }
}
