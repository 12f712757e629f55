//! The subject: TiKV containers, with the contract's operations put together from plans and acts.

use std::time::Duration;

use super::{
    act::{is_alive, unexpected},
    around,
    beside::Beside,
    client,
    connections::Hearing,
    disk,
    fate::fate,
    helpers,
    host::TikvSubject,
    judge::{self, Knowledge},
    node::{Node, Role, Snapshot},
    parts::{Part, too_many},
    plan::{Cutting, Planned, plan_kill, plan_pause, plan_stop},
    shared, swarm, target,
    ways::{Known, Routes},
};
use crate::{
    chaos::{
        Evidence, Fault, FaultMetadata, InjectionId, Metadata, Partition, Signal,
        measured::{Look, Moment, Reading},
        random, undo_commands,
    },
    cluster::ClusterState,
    holder::protocol::{Answer, Ask, Cause},
    safety::{self, Grade, Reason, Verdict},
    subject::{Cleaned, Fate, Marked, Plan, Scan, Subject, SubjectError},
};

impl Subject for TikvSubject {
    async fn plan(&self, fault: &Fault, targets: &[String]) -> Result<Vec<Plan>, SubjectError> {
        let snapshot = self.snapshot().await?;
        self.remember(&snapshot);
        let mut chosen: Vec<Node> = Vec::new();
        for node in self.chosen(&snapshot, fault, targets).await? {
            self.may_change(&node.name)?;
            if !node.is_running() {
                let what = fault.fault_type().name();
                return Err(SubjectError::NotRunning { target: node.name, state: node.state.to_string(), what });
            }
            if chosen.iter().all(|other| other.id != node.id) {
                self.options.identity.keep_target(&node);
                chosen.push(node);
            }
        }
        let parts = match fault {
            Fault::NetworkPartition { shape, peers, include_pd, reject } => {
                let [node] = &chosen[..] else {
                    return match shape {
                        Partition::Isolate | Partition::OneWayIn | Partition::OneWayOut => {
                            self.plan_each(&snapshot, fault, &chosen).await
                        }
                        _ => Err(too_many(*shape, &chosen)),
                    };
                };
                self.cuttings(&snapshot, node, *shape, peers, *include_pd)?
                    .into_iter()
                    .map(|(node, peers)| {
                        Part::Cut(Cutting { node, peers, direction: shape.direction(), reject: *reject })
                    })
                    .collect()
            }
            _ => return self.plan_each(&snapshot, fault, &chosen).await,
        };
        self.plan_parts(&snapshot, fault, parts).await
    }

    async fn replan(&self, held: &Metadata, fault: &Fault, beside: &[Metadata]) -> Result<Plan, SubjectError> {
        self.plan_other(held, fault, beside).await
    }

    async fn follow(&self, held: &Metadata) -> Result<Option<Metadata>, SubjectError> {
        self.follow_peers(held).await
    }

    async fn change(&self, to: &Metadata, ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
        self.make_other(to, ttl).await
    }

    async fn inject(&self, metadata: &Metadata, ttl: Option<Duration>) -> Result<Metadata, SubjectError> {
        self.may_change(metadata.target())?;
        self.use_up(&metadata.id);
        let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let injection = metadata.id.clone();
        let mut made = metadata.clone();
        match &mut made.fault {
            FaultMetadata::NodeKill { signal, .. } => {
                let signal = *signal;
                self.kill(metadata, signal).await?;
            }
            FaultMetadata::NodePause { .. } => self.pause(metadata).await?,
            FaultMetadata::NodeStop { timeout_s, .. } => {
                let timeout_s = *timeout_s;
                self.stop(metadata, timeout_s).await?;
            }
            FaultMetadata::DiskPressure { fill_percent, fill_file, fill_bytes, whole, .. } => {
                let (file, bytes, to_the_last_byte) = (fill_file.clone(), *fill_bytes, *whole && *fill_percent == 100);
                let ask = Ask::Fill { injection, file, bytes, to_the_last_byte, ttl_ms };
                match self.ask_beside(metadata, ask).await? {
                    Answer::Filled { bytes } => *fill_bytes = bytes,
                    other => return Err(unexpected(metadata, &other)),
                }
            }
            network => {
                if let Some(fault) = metadata.network() {
                    let ask = Ask::Add { injection, fault, ttl_ms };
                    let answer = self.ask_beside(metadata, ask).await.map_err(not_begun)?;
                    if let Answer::Network { flavour, .. } = answer {
                        network.set_flavour(flavour);
                    }
                }
            }
        }
        Ok(made)
    }

    async fn measure(&self, metadata: &Metadata, moment: Moment, known: Option<&Reading>) -> Option<Look> {
        self.look_inside(metadata, moment, known).await
    }

    async fn cleanup(&self, metadata: &Metadata) -> Result<Cleaned, SubjectError> {
        self.may_change(metadata.target())?;
        // Another daemon would say that the target is gone.
        if self.is_elsewhere(metadata).await? {
            let reason = format!("was injected through another Docker daemon than {}; choose that one", client::host());
            return Err(SubjectError::Refused { target: metadata.target().to_owned(), reason });
        }
        if let Some(cleaned) = self.await_replacement(metadata).await? {
            return Ok(cleaned);
        }
        let cleaned = match &metadata.fault {
            FaultMetadata::NodeKill { signal: Signal::Kill, .. } => self.start(metadata, None).await?,
            FaultMetadata::NodeKill { .. } => self.start(metadata, Some(client::PATIENCE)).await?,
            FaultMetadata::NodeStop { timeout_s, .. } => {
                self.start(metadata, Some(Duration::from_secs(*timeout_s) + client::PATIENCE)).await?
            }
            FaultMetadata::NodePause { .. } => self.unpause(metadata).await?,
            FaultMetadata::DiskPressure { fill_file, mount, .. } => {
                self.remove_fill(metadata, fill_file, mount).await?
            }
            _ => self.end_network(metadata).await?,
        };
        self.forget(metadata).await?;
        Ok(cleaned)
    }

    async fn fate(&self, metadata: &Metadata) -> Result<Fate, SubjectError> {
        // Another daemon would say that the target is gone.
        if self.is_elsewhere(metadata).await? {
            return Ok(Fate::Stands);
        }
        let target = self.find_target(metadata).await?;
        match &metadata.fault {
            // Nor does a record that names none say which daemon's it is.
            _ if target.is_none() && metadata.daemon_id.as_ref().is_none_or(String::is_empty) => Ok(Fate::Stands),
            FaultMetadata::DiskPressure { mount, .. }
                if target.is_none() && !disk::exists(&self.docker().await?, mount).await? =>
            {
                Ok(Fate::Gone("was removed with its volume"))
            }
            _ => Ok(fate(metadata, target.as_ref())),
        }
    }

    async fn forget(&self, metadata: &Metadata) -> Result<(), SubjectError> {
        self.may_change(metadata.target())?;
        let target = self.find_target(metadata).await?;
        let same_life = target.as_ref().is_some_and(|node| node.started_at == metadata.container_started_at);
        // The one that we talk to may be beside a life that is over, and keep the deadline of a file that is gone.
        if !same_life || self.warm(metadata).await.is_none() {
            let living = target.as_ref().filter(|node| is_alive(node)).map(Beside::node);
            helpers::reap(&self.engine().await?, metadata, living.as_ref()).await?;
        }
        Ok(())
    }

    async fn scan(&self) -> Result<Scan, SubjectError> {
        self.look().await
    }

    async fn clear(&self, mark: &Marked) -> Result<Cleaned, SubjectError> {
        self.clear_mark(mark).await
    }
}

/// Without the tool nothing was done, and nothing could be undone either.
fn not_begun(error: SubjectError) -> SubjectError {
    match error {
        SubjectError::Fault { ref failure, .. } if failure.cause == Cause::NoTool => {
            SubjectError::NotBegun(Box::new(error))
        }
        error => error,
    }
}

/// Of several nodes in one container none can be hit alone: they share its network and its files.
fn is_of_one_node(node: &Node, fault: &Fault) -> Result<(), SubjectError> {
    let whole = matches!(fault, Fault::NodeKill { .. } | Fault::NodePause | Fault::NodeStop { .. });
    let Some(several) = node.several.as_ref().filter(|_| !whole) else { return Ok(()) };
    let reason = format!(
        "runs {several}, and {} would hit all of them: only node_kill, node_pause and node_stop, which are of the whole \
         container, are possible",
        fault.fault_type().name()
    );
    Err(SubjectError::Refused { target: node.name.clone(), reason })
}

impl TikvSubject {
    /// The targets, in the order in which they were named.
    async fn chosen(&self, snapshot: &Snapshot, fault: &Fault, names: &[String]) -> Result<Vec<Node>, SubjectError> {
        if names.is_empty() {
            let leads = matches!(fault, Fault::NetworkPartition { shape: Partition::Primaries, .. });
            return Ok(vec![if leads { self.primary(snapshot).await? } else { self.choose(snapshot, None).await? }]);
        }
        let mut nodes = Vec::new();
        for name in names {
            nodes.push(self.choose(snapshot, Some(name)).await?);
        }
        Ok(nodes)
    }

    /// The store that leads most, as PD says.
    async fn primary(&self, snapshot: &Snapshot) -> Result<Node, SubjectError> {
        target::only_cluster(snapshot, self.options.project.as_deref())?;
        let heard = self.heard(snapshot).await;
        let leaders = |node: &Node| {
            let state = heard.iter().find(|state| state.cluster == node.cluster)?;
            Some(state.nodes.get(&node.id)?.store.as_ref()?.leaders)
        };
        let stores = snapshot.nodes.iter().filter(|node| node.role == Role::Tikv && node.is_running());
        let most = stores.filter_map(|node| Some((leaders(node)?, node))).max_by_key(|(count, _)| *count);
        most.map(|(_, node)| node.clone()).ok_or_else(|| {
            let reason = "does not say which store leads most, so primaries needs --target".to_owned();
            SubjectError::Refused { target: "PD".to_owned(), reason }
        })
    }

    /// Who drops whom on which node for a partition of that shape.
    pub(super) fn cuttings<'a>(
        &self,
        snapshot: &'a Snapshot,
        node: &'a Node,
        shape: Partition,
        named: &[String],
        include_pd: bool,
    ) -> Result<Vec<(&'a Node, Vec<&'a Node>)>, SubjectError> {
        let cluster = snapshot.clone().only(Some(&node.cluster));
        let in_cluster =
            |role: Role| snapshot.nodes.iter().filter(move |other| other.cluster == node.cluster && other.role == role);
        let mut named_nodes: Vec<&Node> = Vec::new();
        for name in named {
            let id = target::find(&cluster, name)?.id.clone();
            named_nodes.extend(snapshot.by_id(&id).filter(|other| other.id != node.id));
        }
        if !shape.is_of_one() || shape == Partition::Primaries {
            let stores: Vec<&Node> = in_cluster(Role::Tikv).collect();
            let place = |wanted: &Node| stores.iter().position(|store| store.id == wanted.id);
            let refused = |reason: String| SubjectError::Refused { target: node.name.clone(), reason };
            let at = place(node).ok_or_else(|| refused("is no TiKV node, and this shape is about those".to_owned()))?;
            let peer = named_nodes.first().and_then(|peer| place(peer));
            if shape == Partition::Pair && !named.is_empty() && peer.is_none() {
                let why = format!("is not cut off from {}: {} is about two TiKV nodes", named.join(", "), shape.name());
                return Err(refused(why));
            }
            let running = stores.iter().filter(|store| store.is_running()).count();
            if running < stores.len() && shape != Partition::Pair && shape != Partition::Primaries {
                let why =
                    format!("is one of {} TiKV nodes of which {running} run: {} needs all", stores.len(), shape.name());
                return Err(refused(why));
            }
            let members = shape.members(stores.len(), at, peer).map_err(|reason| SubjectError::Refused {
                target: node.cluster.clone(),
                reason: format!("cannot be split: {reason}"),
            })?;
            let mut cuttings: Vec<(&Node, Vec<&Node>)> = members
                .into_iter()
                .map(|member| (stores[member.node], member.from.iter().map(|other| stores[*other]).collect()))
                .collect();
            if include_pd {
                cuttings.iter_mut().for_each(|(_, peers)| peers.extend(in_cluster(Role::Pd)));
            }
            return Ok(cuttings);
        }
        let mut peers: Vec<&Node> = if named.is_empty() {
            in_cluster(Role::Tikv).filter(|other| other.id != node.id).collect()
        } else {
            named_nodes
        };
        if include_pd {
            let more: Vec<&Node> =
                in_cluster(Role::Pd).filter(|other| other.id != node.id && !peers.contains(other)).collect();
            peers.extend(more);
        }
        Ok(vec![(node, peers)])
    }

    /// The same fault on each of them.
    async fn plan_each(&self, snapshot: &Snapshot, fault: &Fault, nodes: &[Node]) -> Result<Vec<Plan>, SubjectError> {
        let mut parts = Vec::new();
        for node in nodes {
            match fault {
                Fault::NetworkPartition { shape, peers, include_pd, reject } => {
                    let cuttings = self.cuttings(snapshot, node, *shape, peers, *include_pd)?;
                    let direction = shape.direction();
                    let cutting = |(node, peers)| Part::Cut(Cutting { node, peers, direction, reject: *reject });
                    parts.extend(cuttings.into_iter().map(cutting));
                }
                _ => parts.push(Part::Whole(node)),
            }
        }
        self.plan_parts(snapshot, fault, parts).await
    }

    /// Each part judged beside those before it. Several are a group, which bears the first one's id.
    async fn plan_parts<'a>(
        &self,
        snapshot: &'a Snapshot,
        fault: &Fault,
        parts: Vec<Part<'a>>,
    ) -> Result<Vec<Plan>, SubjectError> {
        for node in parts.iter().map(Part::node) {
            is_of_one_node(node, fault)?;
        }
        let mut heard = Hearing::default();
        let (parts, known) = self.with_far_ends((snapshot, &mut heard), fault, parts).await?;
        let (first, routes) = (self.next_id(), Routes::of(snapshot));
        let group = (parts.len() > 1).then(|| first.clone());
        let mut open = self.open_but(&first, snapshot).await?;
        let mut running = None;
        // Of an act the last verdict of the worst is shown: it says what the others say too.
        let mut reasons: Vec<Reason> = Vec::new();
        let (mut plans, mut far) = (Vec::<Plan>::new(), Vec::new());
        for (part, offset) in parts.into_iter().zip(0..) {
            let id = InjectionId::from_number(first.number().wrapping_add(offset));
            let node = part.node();
            if let Fault::DiskPressure { .. } = fault {
                // What it says itself of where its data is comes before everything else.
                heard.of(self, snapshot, node).await;
            }
            let mut planned = match (&part, fault) {
                (Part::Cut(cut) | Part::FarCut(cut), _) => self.plan_cut(&id, (&routes, &known), cut).await?,
                (Part::FarShape { of, ends, .. }, Fault::Shape { kind, impairment, scope }) => {
                    self.plan_far_shape(&id, (node, of, ends), *kind, *impairment, scope).await?
                }
                _ => self.plan_one(&id, (snapshot, &known), node, fault).await?,
            };
            if running.is_none() && around::matters(&planned.fault) {
                running = Some(shared::running(&self.docker().await?).await?);
            }
            let listed = running.as_deref().unwrap_or_default();
            let around = self.around((snapshot, node), &planned.fault, listed, &open).await?;
            reasons.extend(around.reasons);
            // Which of the cluster's stores they are is not known.
            reasons.extend(node.several.iter().map(|several| {
                let reason = format!("{several} of {} go at once: what that leaves is not judged", node.name);
                (Grade::Refused, reason)
            }));
            planned.warnings.extend(around.warnings);
            let verdict = match plans.first().filter(|_| part.is_far()) {
                Some(plan) => plan.verdict.clone(),
                None => judged(snapshot, node, &planned, (&open, heard.of(self, snapshot, node).await)),
            };
            let verdict = verdict.with(reasons.clone()).with(part.left_open(&routes, &known));
            let metadata = Metadata {
                fault: planned.fault,
                id,
                container_id: node.id.clone(),
                container_started_at: node.started_at.clone(),
                daemon_id: Some(self.daemon().await?),
                group: group.clone(),
                holder_image: self.image.get().cloned(),
                before: around.before,
                task: node.endpoints.belonging.task.clone(),
            };
            open.push(metadata.clone());
            let undo = undo_commands(&metadata);
            far.extend(part.is_far().then(|| metadata.clone()));
            let warnings = planned.warnings.into_iter().chain(swarm::warning(&metadata)).collect();
            plans.push(Plan { metadata, commands: planned.commands, undo, warnings, verdict });
        }
        // `cleanup` from the first object alone finds the others in it.
        if let Some(first) = plans.first_mut() {
            first.metadata.fault.set_far(far);
        }
        Ok(plans)
    }

    async fn plan_one(
        &self,
        id: &InjectionId,
        (snapshot, known): (&Snapshot, &Known),
        node: &Node,
        fault: &Fault,
    ) -> Result<Planned, SubjectError> {
        let client = self.engine().await?.client();
        match fault {
            Fault::NodeKill { signal } => Ok(plan_kill(client, node, *signal)),
            Fault::NodePause => Ok(plan_pause(client, node)),
            Fault::NodeStop { timeout_s } => Ok(plan_stop(client, node, *timeout_s)),
            Fault::Shape { kind, impairment, scope } => {
                self.plan_shape(id, (snapshot, node, known), *kind, *impairment, scope).await
            }
            Fault::NetworkPartition { .. } => Err(SubjectError::NoPeers { target: node.name.clone() }),
            Fault::DiskPressure { fill_percent, target_path, fill_shared } => {
                let folder = match target_path {
                    Some(folder) => folder.clone(),
                    None => self.data_dir(node).await?,
                };
                self.plan_disk(snapshot, node, *fill_percent, &folder, *fill_shared).await
            }
        }
    }

    /// Every open injection but one that the nodes do not show to be over. Whether a node was taken out is told by what
    /// runs: one that outlived its signal, or was started again, is not out. What is being done now counts as done.
    pub(super) async fn open_but(&self, id: &InjectionId, snapshot: &Snapshot) -> Result<Vec<Metadata>, SubjectError> {
        let under_way = (self.options.under_way)();
        let mut open = Vec::new();
        let others = (self.options.known)().into_iter().filter(|one| one.metadata.id != *id && one.stands(snapshot));
        for one in others.map(|one| one.metadata) {
            let node = snapshot.by_id(&one.container_id).filter(|node| node.is_running());
            let of_state = one.evidence() == Evidence::State && !under_way.contains(&one.id);
            let counts = match node.filter(|_| of_state) {
                Some(node) => self.options.identity.has_lost_its_node(&self.docker().await?, node).await,
                None => true,
            };
            if counts {
                open.push(one);
            }
        }
        Ok(open)
    }

    /// Whether it was made through another daemon than ours.
    async fn is_elsewhere(&self, metadata: &Metadata) -> Result<bool, SubjectError> {
        match metadata.daemon_id.as_ref().filter(|id| !id.is_empty()) {
            Some(id) => Ok(*id != self.daemon().await?),
            None => Ok(false),
        }
    }

    /// What the node's own cluster says.
    pub(super) async fn heard_of(&self, snapshot: &Snapshot, node: &Node) -> Vec<ClusterState> {
        self.heard(&snapshot.clone().only(Some(&node.cluster))).await
    }

    pub(super) async fn choose(&self, snapshot: &Snapshot, name: Option<&str>) -> Result<Node, SubjectError> {
        let by_id = name.and_then(|name| snapshot.by_id(name));
        if let Some(node) = by_id {
            return Ok(node.clone());
        }
        target::only_cluster(snapshot, self.options.project.as_deref())?;
        if let Some(name) = name {
            return target::find(snapshot, name).cloned();
        }
        by_seed(snapshot, random::seed()).map(|(node, _)| node)
    }

    /// The running TiKV node that the seed means, and of how many.
    pub async fn at_random(&self, seed: u32) -> Result<(Node, usize), SubjectError> {
        let snapshot = self.snapshot().await?;
        target::only_cluster(&snapshot, self.options.project.as_deref())?;
        by_seed(&snapshot, seed)
    }
}

/// By what Docker shows, what the journals say and what the cluster said last.
pub(super) fn judged(
    snapshot: &Snapshot,
    node: &Node,
    planned: &Planned,
    (open, heard): (&[Metadata], &[ClusterState]),
) -> Verdict {
    let cluster = heard.iter().find(|state| state.cluster == node.cluster);
    let of = |node: &Node, shares_targets_network: bool| {
        let known = Knowledge { open, cluster, shares_targets_network };
        safety::judge(&judge::situation(snapshot, node, &planned.fault, planned.disk.as_ref(), &known))
    };
    let verdict = of(node, false);
    match judge::other_kind(snapshot, node, &planned.fault).map(|other| of(other, true)) {
        Some(other) => Verdict::together(&[&verdict, &other]).unwrap_or(verdict),
        None => verdict,
    }
}

fn by_seed(snapshot: &Snapshot, seed: u32) -> Result<(Node, usize), SubjectError> {
    let mut running: Vec<&Node> =
        snapshot.nodes.iter().filter(|node| node.role == Role::Tikv && node.is_running()).collect();
    running.sort_by(|one, other| one.name.cmp(&other.name));
    let chosen = random::place(seed, running.len()).and_then(|at| running.get(at));
    let none = || SubjectError::NoNodes { scope: String::new() };
    chosen.map(|node| ((*node).clone(), running.len())).ok_or_else(none)
}
