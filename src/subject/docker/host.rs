//! The Docker host as the subject holds it: one client, one image, one holder for each life of a target.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bollard::Docker;
use futures_util::future::join_all;
use tokio::sync::{Mutex, OnceCell};

use super::{
    beside::Beside,
    client, disk,
    engine::Engine,
    fate::fate,
    holder::Holder,
    identity::Identity,
    image,
    node::{Node, Snapshot},
    plan::odd_answer,
    reach::Readings,
    restored::BACK_LIMIT,
    told::Told,
};
use crate::{
    chaos::{DataMount, Evidence, FaultMetadata, InjectionId, Metadata, network::Flavour},
    cluster::{ClusterState, ConfigCache, tls::Tls},
    holder::protocol::{Adoption, Answer, Ask, Disk},
    step::{Step, step},
    subject::SubjectError,
};

/// Told what takes time as it begins, and nothing once it is over.
pub type Progress = Arc<dyn Fn(Option<&str>) + Send + Sync>;
/// The open injections that are written down: what a new holder must know of a former one's work, and what else holds.
pub type Known = Arc<dyn Fn() -> Vec<Recorded> + Send + Sync>;

/// An open injection of some session.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub metadata: Metadata,
    /// Until its deadline, where it has one.
    pub left: Option<Duration>,
    /// It was read back and there; else it may be half made or half undone.
    pub active: bool,
}

impl Recorded {
    /// Whether the nodes do not show that it is over; of a target that is none of them nothing is known.
    pub(super) fn stands(&self, snapshot: &Snapshot) -> bool {
        let target = snapshot.by_id(&self.metadata.container_id);
        target.is_none_or(|node| fate(&self.metadata, Some(node)).over(self.active).is_none())
    }
}

/// The injections that a program which runs is making now.
pub type UnderWay = Arc<dyn Fn() -> BTreeSet<InjectionId> + Send + Sync>;

/// The holder of one life of a container; locked while one is being opened.
type Slot = Arc<Mutex<Option<Arc<Holder>>>>;

pub struct Options {
    pub project: Option<String>,
    /// Tells which containers are nodes.
    pub identity: Arc<Identity>,
    pub image: image::Source,
    /// What talking to PD and TiKV takes where they speak TLS.
    pub tls: Option<Tls>,
    pub progress: Progress,
    pub known: Known,
    pub under_way: UnderWay,
    /// Where the nodes' configurations are kept.
    pub configs: ConfigCache,
    /// Nothing may be changed or made.
    pub read_only: bool,
}

/// The TiKV containers of this Docker host, or of one cluster.
pub struct TikvSubject {
    pub(super) options: Options,
    engine: Mutex<Option<Engine>>,
    pub(super) image: OnceCell<String>,
    /// What a watch says now, where one runs beside us.
    live: std::sync::Mutex<Option<Snapshot>>,
    /// What the clusters said of themselves last, where somebody reads it.
    heard: std::sync::Mutex<Option<Vec<ClusterState>>>,
    /// The id of the next injection, so that what is shown before it is what runs.
    next_id: std::sync::Mutex<InjectionId>,
    /// By the id of the container and its start: one for each life.
    holders: Mutex<HashMap<(String, String), Slot>>,
    /// By the container's name.
    relays: Mutex<HashMap<String, Slot>>,
    /// No more helpers are made.
    ended: AtomicBool,
    pub(super) readings: Readings,
    pub(super) told: Told,
    /// What the last plan saw.
    pub(super) seen: std::sync::Mutex<Option<Snapshot>>,
    /// How long a node that was started again has until it shows that it is back.
    pub(super) back_limit: Duration,
}

impl TikvSubject {
    pub fn new(options: Options) -> Self {
        let readings = Readings::new(options.tls.clone(), options.configs.clone());
        Self {
            options,
            engine: Mutex::default(),
            image: OnceCell::new(),
            live: std::sync::Mutex::default(),
            heard: std::sync::Mutex::default(),
            next_id: std::sync::Mutex::new(InjectionId::random()),
            holders: Mutex::default(),
            relays: Mutex::default(),
            ended: AtomicBool::default(),
            readings,
            told: Told::default(),
            seen: std::sync::Mutex::default(),
            back_limit: BACK_LIMIT,
        }
    }

    /// The same, which gives a node less time at once to be back: a caller with other work tries again.
    #[must_use]
    pub const fn waiting_for(mut self, back_limit: Duration) -> Self {
        self.back_limit = back_limit;
        self
    }

    /// The same, with what another has heard of the clusters, so that PDs are not asked anew.
    #[must_use]
    pub fn sharing(mut self, told: Told) -> Self {
        self.told = told;
        self
    }

    /// The client of [`Self::engine`].
    pub async fn docker(&self) -> Result<Docker, SubjectError> {
        self.engine().await.map(|engine| engine.docker)
    }

    /// The id that the daemon gives itself: a record belongs to one daemon, and another knows nothing of it.
    pub(super) async fn daemon(&self) -> Result<String, SubjectError> {
        self.engine().await.map(|engine| engine.id)
    }

    /// The daemon, connected to on first use.
    pub async fn engine(&self) -> Result<Engine, SubjectError> {
        let mut engine = self.engine.lock().await;
        if let Some(connected) = &*engine {
            return Ok(connected.clone());
        }
        Ok(engine.insert(Engine::connect().await?).clone())
    }

    pub(super) fn next_id(&self) -> InjectionId {
        self.next_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the next injection another id once one has this.
    pub(super) fn use_up(&self, id: &InjectionId) {
        let mut next = self.next_id.lock().unwrap_or_else(PoisonError::into_inner);
        if *next == *id {
            *next = InjectionId::random();
        }
    }

    /// Takes what a watch over the same cluster says, so that planning need not ask Docker again; `None` when the watch
    /// has lost Docker.
    pub fn see(&self, snapshot: Option<Snapshot>) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// Takes what the clusters say of themselves, for the verdict on the next injection.
    pub fn hear(&self, said: Vec<ClusterState>) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }

    /// What the clusters said last, where somebody reads it, else what they say now.
    pub(super) async fn heard(&self, snapshot: &Snapshot) -> Vec<ClusterState> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match heard {
            Some(heard) => heard,
            None => self.cluster_states(snapshot).await,
        }
    }

    /// Every node, as the watch says, else as Docker says now.
    pub async fn snapshot(&self) -> Result<Snapshot, SubjectError> {
        if let Some(live) = self.live() {
            return Ok(live);
        }
        self.settled(self.options.project.as_deref()).await
    }

    /// What a watch says now, where one runs beside us.
    pub fn live(&self) -> Option<Snapshot> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which node is of which cluster, for a watch over the same ones.
    pub fn told(&self) -> Told {
        self.told.clone()
    }

    /// What is seen in what a watch says now.
    pub(super) fn in_live<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> Option<T> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// What a watch says now, else what the last plan saw, else what Docker says.
    pub(super) async fn at_hand(&self) -> Result<Snapshot, SubjectError> {
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.live().or_else(seen) {
            Some(snapshot) => Ok(snapshot),
            None => self.snapshot().await,
        }
    }

    /// The one gate that everything passes which changes or makes something.
    pub(super) fn may_change(&self, object: &str) -> Result<(), SubjectError> {
        if !self.options.read_only {
            return Ok(());
        }
        let reason = "is not touched: this run is --read-only".to_owned();
        Err(SubjectError::Refused { target: object.to_owned(), reason })
    }

    pub async fn image(&self) -> Result<&str, SubjectError> {
        self.may_change("the helper's image")?;
        let docker = self.docker().await?;
        let make = Box::pin(image::ensure(&docker, &self.options.image, &*self.options.progress));
        Ok(self.image.get_or_try_init(|| make).await?.as_str())
    }

    /// The holder of a running node: the one we talk to, else the one that is there, else a new one.
    pub async fn holder(&self, node: &Node) -> Result<Arc<Holder>, SubjectError> {
        self.may_change(&node.name)?;
        let key = (node.id.clone(), node.started_at.clone());
        let slot = Arc::clone(self.holders.lock().await.entry(key).or_default());
        let mut slot = slot.lock().await;
        if let Some(holder) = slot.as_ref().filter(|holder| holder.is_alive()) {
            return Ok(Arc::clone(holder));
        }
        self.may_make(&node.name)?;
        let (engine, image) = (self.engine().await?, self.image().await?);
        let opened = Arc::new(Holder::open(&engine, image, &Beside::node(node)).await?);
        if opened.fresh {
            self.hand_over(&opened, node).await;
        }
        *slot = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// The relay in a network: the one we talk to, else the one that is there, else a new one.
    pub(super) async fn relay(&self, beside: &Beside) -> Result<Arc<Holder>, SubjectError> {
        let slot = Arc::clone(self.relays.lock().await.entry(beside.container_name()).or_default());
        let mut slot = slot.lock().await;
        if let Some(relay) = slot.as_ref().filter(|relay| relay.is_alive()) {
            return Ok(Arc::clone(relay));
        }
        self.may_make(beside.name())?;
        let (engine, image) = (self.engine().await?, self.image().await?);
        let opened = Arc::new(Holder::open(&engine, image, beside).await?);
        *slot = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Tells a new holder what a former one held here: the delays, which bear no name in the kernel, and every deadline.
    /// What cannot be handed over stays as it is, and its record brings somebody to undo it.
    async fn hand_over(&self, holder: &Holder, node: &Node) {
        let mut faults = Vec::new();
        let mut asks = Vec::new();
        for Recorded { metadata, left, .. } in (self.options.known)() {
            if metadata.container_id != node.id {
                continue;
            }
            let ttl_ms = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            let injection = metadata.id.clone();
            let same_life = metadata.container_started_at == node.started_at;
            match (metadata.network(), &metadata.fault) {
                (Some(fault), _) if same_life => faults.push(Adoption { injection, fault, ttl_ms }),
                (_, FaultMetadata::DiskPressure { fill_file, .. }) => {
                    asks.push(Ask::AdoptFill { injection, file: fill_file.clone(), ttl_ms });
                }
                _ => {}
            }
        }
        if !faults.is_empty() {
            asks.push(Ask::Adopt { faults });
        }
        for ask in asks {
            if let Err(error) = holder.ask(ask).await {
                tracing::warn!(%error, node = node.name, "a new holder could not take over what is recorded");
            }
        }
    }

    /// Replaces the holder of an injection's target if it died, so that its deadline is kept.
    pub async fn keep(&self, metadata: &Metadata) -> Result<(), SubjectError> {
        let key = (metadata.container_id.clone(), metadata.container_started_at.clone());
        let slot = self.holders.lock().await.get(&key).cloned();
        let Some(slot) = slot.filter(|_| metadata.evidence() == Evidence::Mark) else { return Ok(()) };
        if slot.lock().await.as_ref().is_none_or(|holder| holder.is_alive()) {
            return Ok(());
        }
        match self.find_target(metadata).await? {
            Some(node) if node.is_running() && node.started_at == metadata.container_started_at => {
                self.holder(&node).await.map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// What this Docker host's kernel can do, found out in a namespace of its own.
    pub async fn capabilities(&self) -> Result<Capabilities, SubjectError> {
        let (engine, image) = (self.engine().await?, self.image().await?);
        let holder = Holder::open(&engine, image, &Beside::Nothing).await?;
        let found = async {
            let netem = match holder.ask(Ask::Ways).await? {
                Answer::Ways { netem, .. } => netem,
                _ => return Err(SubjectError::Image("its holder answered something else".into())),
            };
            match holder.ask(Ask::Hello).await? {
                Answer::Hello { flavour, .. } => Ok(Capabilities { netem, flavour }),
                _ => Err(SubjectError::Image("its holder answered something else".into())),
            }
        };
        let found = found.await;
        holder.release(&engine.docker).await;
        found
    }

    /// The file system of a running node's data directory, and why its fill would be felt elsewhere.
    pub async fn data_disk(&self, snapshot: &Snapshot, node: &Node) -> Result<Disk, SubjectError> {
        let folder = self.data_dir(node).await?;
        self.disk_at(snapshot, node, &folder).await.map(|(_, found)| found)
    }

    /// The mount under a folder of a running node, and the file system there.
    pub(super) async fn disk_at(
        &self,
        snapshot: &Snapshot,
        node: &Node,
        folder: &str,
    ) -> Result<(DataMount, Disk), SubjectError> {
        let named = disk::place(snapshot, node, folder)?;
        match self.ask(node, Ask::Disk { path: folder.to_owned() }).await? {
            Answer::Disk(found) => {
                // Behind a link it may be another place than it seems, and one that Docker does not name.
                let real = if found.folder == folder { named } else { disk::place(snapshot, node, &found.folder)? };
                disk::same_mount(node, &real.mount, &found)?;
                Ok((real.mount, Disk { shared: real.shared_with.or(found.shared), ..found }))
            }
            other => Err(odd_answer(node, &other)),
        }
    }

    /// Fails once this program is ending: what it made now, nobody would let go of. Asked while the slot is locked, so that
    /// either [`Self::release`] finds what is made or nothing is.
    fn may_make(&self, target: &str) -> Result<(), SubjectError> {
        if self.ended.load(Ordering::Acquire) {
            return Err(SubjectError::Holder {
                target: target.to_owned(),
                reason: "this program is ending".to_owned(),
            });
        }
        Ok(())
    }

    /// From now on no helper is made: the program is ending, and one that is being made is let go of by [`Self::release`].
    pub fn make_no_more(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Ends the holders that hold nothing, and the relays that nobody else uses.
    pub async fn release(&self) {
        let Ok(docker) = self.docker().await else { return };
        let mut slots: Vec<_> = self.holders.lock().await.drain().map(|(_, slot)| slot).collect();
        if they_stay() {
            slots.clear();
        }
        slots.extend(self.relays.lock().await.drain().map(|(_, slot)| slot));
        let releases = slots.iter().map(|slot| async {
            if let Some(holder) = slot.lock().await.take().filter(|holder| holder.is_alive()) {
                holder.release(&docker).await;
            }
        });
        join_all(releases).await;
        step(Step::Released);
    }

    /// The holder of this life of the target, if we talk to it already.
    pub(super) async fn warm(&self, metadata: &Metadata) -> Option<Arc<Holder>> {
        let key = (metadata.container_id.clone(), metadata.container_started_at.clone());
        let slot = self.holders.lock().await.get(&key).cloned()?;
        let holder = slot.lock().await.clone();
        holder.filter(|holder| holder.is_alive())
    }

    /// Asks the holder of a running node; its successor, where another program let it go before it read the request.
    pub(super) async fn ask(&self, node: &Node, ask: Ask) -> Result<Answer, SubjectError> {
        for _ in 0..5 {
            let holder = self.holder(node).await?;
            match holder.ask(ask.clone()).await {
                Err(_) if holder.has_quit() => tracing::info!(node = node.name, "its holder has quit: asking the next"),
                answer => return answer,
            }
        }
        self.holder(node).await?.ask(ask).await
    }

    /// Asks the holder of the target, in the life that the metadata names. A holder that outlives its target answers
    /// from a namespace that nobody is in any more, so Docker is asked as well, at the same time where we talk to the
    /// holder already, and afterwards where it may have been opened for another life.
    pub(super) async fn ask_beside(&self, metadata: &Metadata, ask: Ask) -> Result<Answer, SubjectError> {
        let Some(holder) = self.warm(metadata).await else {
            let answer = self.ask(&self.unchanged(metadata).await?, ask).await;
            self.unchanged(metadata).await?;
            return answer;
        };
        let (answer, unchanged) = tokio::join!(holder.ask(ask.clone()), self.unchanged(metadata));
        let node = unchanged?;
        if answer.is_err() && holder.has_quit() { self.ask(&node, ask).await } else { answer }
    }

    /// The target as it is now, by its id. Metadata may name any container; only a node can be one that we broke.
    pub(super) async fn find_target(&self, metadata: &Metadata) -> Result<Option<Node>, SubjectError> {
        let docker = self.docker().await?;
        let id = &metadata.container_id;
        let Some(found) = client::container(&docker, id).await? else {
            return Ok(None);
        };
        let identity = &self.options.identity;
        let node = identity.node(&docker, &found).await.or_else(|| identity.former_target(&found));
        if node.is_none() {
            let name = found.name.unwrap_or_default();
            let reason =
                format!("is said to be {}, which is no node of a TiKV cluster: left alone", &name[1.min(name.len())..]);
            return Err(SubjectError::Refused { target: metadata.target().to_owned(), reason });
        }
        Ok(node)
    }

    /// What tells which containers are nodes, for a watch that is to see the same.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.options.identity)
    }
}

/// In a test that goes through many cases, helpers that hold nothing may stay until they go by themselves.
fn they_stay() -> bool {
    fail::fail_point!("HelpersStay", |_| true);
    false
}

/// What a Docker host's kernel can do for us.
pub struct Capabilities {
    /// Why not, where it has no netem.
    pub netem: Result<(), String>,
    pub flavour: Flavour,
}
