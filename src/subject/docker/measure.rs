//! Measuring from inside a target: what its holder is asked to look at, and the names behind what it saw.
//!
//! No helper is made just to look, but where the user asks who reaches whom. What cannot be measured says why, and is no
//! failure of anything else.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    act::unexpected,
    connections::unmet,
    fate::fate,
    holder::Holder,
    host::TikvSubject,
    node::{Network, Node, Snapshot},
    places::{self, Place, places},
    watch,
    ways::Routes,
};
use crate::{
    chaos::{
        Metadata,
        measured::{Asked, Beside, Look, Matrix, Moment, PeerReading, Reading},
        network::{NetworkFault, Packets},
    },
    holder::protocol::{Answer, Ask, Probe, Seen},
    subject::{Fate, SubjectError},
};

/// What an answer takes on any network, beyond the delay that is asked for.
const PATIENCE_MS: u32 = 400;
/// The longest that is waited for an answer.
const MOST_PATIENCE_MS: u32 = 15_000;
/// What the holder and Docker take beyond the probe itself.
const OVERHEAD: Duration = Duration::from_secs(3);
/// A burst so large tells a rate whose bucket is half as large.
const MOST_BURST: u64 = 512 << 10;
/// So long at most may other packets wait behind ours.
const MOST_BURST_MS: u64 = 2000;
/// A faster rate would be over before the clock has moved.
const MOST_RATE: u64 = 200_000_000;

impl TikvSubject {
    /// What is seen from inside the target of an injection of the network; `None` for one of something else.
    pub(super) async fn look_inside(
        &self,
        metadata: &Metadata,
        moment: Moment,
        known: Option<&Reading>,
    ) -> Option<Look> {
        let fault = metadata.network()?;
        Some(self.try_look(metadata, &fault, moment, known).await.unwrap_or_else(Look::failed))
    }

    /// What an injection that holds does now, seen by the helper that keeps it, whichever program made that; `None` of one
    /// of something else than the network.
    pub async fn look_now(&self, metadata: &Metadata) -> Option<Look> {
        metadata.network()?;
        match self.beside(metadata).await {
            Ok(_) => self.look_inside(metadata, Moment::During, None).await,
            Err(error) => Some(Look::failed(error.to_string())),
        }
    }

    async fn try_look(
        &self,
        metadata: &Metadata,
        fault: &NetworkFault,
        moment: Moment,
        known: Option<&Reading>,
    ) -> Result<Look, String> {
        // After a revert the helper that held it may hold nothing more, and whichever program lets go of it ends it.
        let holder = match moment {
            Moment::After => self.beside(metadata).await.map_err(after_words)?,
            _ => self.warm(metadata).await.ok_or("its helper is not at hand")?,
        };
        let asked = &Asked::of(fault);
        let mut places: Vec<Place> = match known {
            Some(known) if moment == Moment::After => self.still_there(metadata, known, asked).await?,
            Some(known) => known.peers.iter().map(|peer| Place::of(peer, asked)).collect(),
            None => self.places_of(metadata, (fault, asked), &holder).await?,
        };
        // A burst goes to the first.
        places.sort_by_key(|place| !asked.means_echo(place.address.ip()));
        if places.is_empty() {
            let packets = packets(metadata, &holder).await;
            return Ok(Look::Seen(Reading { packets, ..Reading::default() }));
        }
        let addresses: Vec<SocketAddr> = places.iter().map(|place| place.address).collect();
        let others = self.others_on(metadata, &addresses).await;
        let probe = probe(asked, moment, &places, &others);
        let limit = time_of(&probe) + OVERHEAD;
        let late = |_| format!("its helper did not answer within {} s", limit.as_secs());
        let mut answer = timeout(limit, holder.ask_aside(Ask::Probe(probe.clone()))).await.map_err(late)?;
        if answer.is_err() && moment == Moment::After && holder.has_quit() {
            let next = self.beside(metadata).await.map_err(after_words)?;
            answer = timeout(limit, next.ask_aside(Ask::Probe(probe))).await.map_err(late)?;
        }
        match answer.map_err(|error| error.to_string())? {
            Answer::Probed { seen } => {
                let mut reading = named(&places, seen);
                for peer in &mut reading.peers {
                    let at = addresses.iter().position(|one| *one == SocketAddr::new(peer.address, peer.port));
                    peer.beside = at.and_then(|at| others.get(at).cloned()).unwrap_or_default();
                }
                let any = reading.peers.iter().any(|peer| peer.connect.sent > 0);
                if moment == Moment::Before && !any {
                    return Err("the fault was there before an answer was".to_owned());
                }
                // Docker knows nothing of them: they are shown where they answer and should not.
                let is_link_local =
                    |peer: &PeerReading| matches!(peer.address, IpAddr::V6(ip) if ip.is_unicast_link_local());
                let (link_local, peers) = reading.peers.into_iter().partition(is_link_local);
                reading.peers = peers;
                if matches!(moment, Moment::During | Moment::Watching) {
                    reading.packets = packets(metadata, &holder).await;
                    let unmet = self.unmet(metadata, asked, &holder).await;
                    reading.unmet = unmet.map_err(|error| format!("its connections are not known: {error}"))?;
                    let reached = link_local.into_iter().filter(PeerReading::is_reached);
                    reading.unmet.extend(reached.map(|peer: PeerReading| format!("{} at {}", peer.name, peer.address)));
                }
                Ok(Look::Seen(reading))
            }
            _ => Err("its helper answered something else".to_owned()),
        }
    }

    /// The helper beside the target of an injection: the one that we talk to, else another.
    async fn beside(&self, metadata: &Metadata) -> Result<Arc<Holder>, SubjectError> {
        match self.warm(metadata).await {
            Some(holder) => Ok(holder),
            None => self.holder(&self.unchanged(metadata).await?).await,
        }
    }

    /// Those that run at the address that they had, on a network that the target is on, or at one to which the fault has
    /// followed them: one that was killed, got another address or shares no network any more does not answer, whatever
    /// became of the fault.
    async fn still_there(&self, metadata: &Metadata, known: &Reading, asked: &Asked) -> Result<Vec<Place>, String> {
        // An injection is undone by its id, of whatever project it is.
        let docker = self.docker().await.map_err(|error| error.to_string())?;
        let nodes = watch::nodes(&docker, &self.options.identity, &HashMap::new()).await;
        let nodes = nodes.map_err(|error| error.to_string())?.into_values().collect();
        let snapshot = Snapshot { nodes, ..Snapshot::default() };
        still_there(&snapshot, metadata, known, asked)
    }

    /// The connections with its peers that the fault does not meet.
    async fn unmet(&self, metadata: &Metadata, asked: &Asked, holder: &Holder) -> Result<Vec<String>, SubjectError> {
        let snapshot = self.at_hand().await?;
        let peers = places::meant(&snapshot, metadata, asked);
        if peers.is_empty() {
            return Ok(Vec::new());
        }
        match holder.ask_aside(Ask::Connections).await? {
            Answer::Connections { connections } => Ok(unmet(&snapshot, &peers, asked, &connections)),
            other => Err(unexpected(metadata, &other)),
        }
    }

    /// The peers that the target meets through the fault's interfaces.
    async fn places_of(
        &self,
        metadata: &Metadata,
        (fault, asked): (&NetworkFault, &Asked),
        holder: &Holder,
    ) -> Result<Vec<Place>, String> {
        // What a plan or a watch has seen is at hand at once: asking Docker first would let the moment pass.
        let snapshot = self.at_hand().await.map_err(|error| error.to_string())?;
        let mut here = snapshot.by_id(&metadata.container_id).ok_or("its target is gone")?.clone();
        if let Some(shape) = fault.shape()
            && here.networks.len() > 1
        {
            let carries = on(holder, &shape.interfaces).await?;
            here.networks.retain(|network| network.ips.iter().any(|ip| carries.contains(ip)));
        }
        // What is in the same network namespace is met without any interface of it.
        let mut places = places::places_of(&snapshot, &here, metadata, asked);
        places.retain(|place| here.ips().all(|own| own != place.address.ip()));
        Ok(places)
    }

    /// Who reaches whom: measured from every node that runs and has a network of its own, beside which a helper is made
    /// where there is none; else by the rules that the cuts stand for, each between two nodes.
    pub async fn reach(&self, snapshot: &Snapshot, cuts: &[(String, String)]) -> Matrix {
        let nodes: Vec<(String, bool)> = snapshot
            .nodes
            .iter()
            .map(|node| (node.name.clone(), node.is_running() && !node.has_lost_network()))
            .collect();
        let mut matrix = Matrix::by_rules(&nodes, cuts);
        let routes = Routes::of(snapshot);
        // What has joined a network is asked for by the owner's helper.
        let asking = snapshot.nodes.iter().filter(|node| node.is_running()).filter_map(|node| {
            let owner = if node.joins().is_some() { snapshot.by_id(node.place())? } else { node };
            (owner.is_running() && owner.shares_network().is_none()).then_some((node, owner))
        });
        let routes = &routes;
        let rows = asking.map(|(node, owner)| async move {
            let places = places(snapshot, routes, node, None);
            let probe = Probe { connects: 4, echoes: 4, interval_ms: 10, ..quick(&places) };
            let answer = self.ask(owner, Ask::Probe(probe)).await;
            match answer {
                Ok(Answer::Probed { seen }) => Some((node.name.clone(), by_node(&named(&places, seen)))),
                Ok(_) => None,
                Err(error) => {
                    tracing::warn!(%error, node = node.name, "who it reaches is not measured");
                    None
                }
            }
        });
        for (name, seen) in join_all(rows).await.into_iter().flatten() {
            matrix.measured(&name, &seen);
        }
        matrix
    }

    /// Keeps what a plan has seen, for the measurement of what is planned.
    pub(super) fn remember(&self, snapshot: &Snapshot) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot.clone());
    }
}

/// An injection is undone by then: what became of its target meanwhile is told without its making.
fn after_words(error: SubjectError) -> String {
    match error {
        SubjectError::TargetChanged { target, what } => format!("{target} {what}"),
        error => error.to_string(),
    }
}

fn still_there(snapshot: &Snapshot, metadata: &Metadata, known: &Reading, asked: &Asked) -> Result<Vec<Place>, String> {
    let target = metadata.target();
    let here = snapshot.by_id(&metadata.container_id).ok_or_else(|| format!("{target} is gone"))?;
    if here.ips().next().is_none() {
        return Err(format!("{target} is on no network now"));
    }
    let running = || snapshot.nodes.iter().filter(|node| node.is_running() && node.id != here.id);
    let is_on = |network: &Network| here.networks.iter().any(|own| own.name == network.name && !own.ips.is_empty());
    let routes = Routes::of(snapshot);
    let shares = |peer: &PeerReading| {
        let mut networks = running().flat_map(|node| &node.networks).filter(|one| one.ips.contains(&peer.address));
        networks.any(is_on)
    };
    let is_there = |peer: &&PeerReading| {
        let place = SocketAddr::new(peer.address, peer.port);
        // What was a container's own address is no way from elsewhere once that is gone.
        let passed_on = asked.filter.ends.contains(&place).then(|| routes.passed_on(place)).flatten();
        let link_local = || running().any(|node| node.link_local().any(|ip| IpAddr::V6(ip) == peer.address));
        shares(peer) || passed_on.is_some_and(|(node, _)| node.is_running()) || link_local()
    };
    let (there, gone): (Vec<_>, Vec<_>) = known.peers.iter().partition(is_there);
    // One that was followed to another address is looked at there.
    let has_moved = |place: &Place| {
        gone.iter().any(|peer| peer.name == place.name) && there.iter().all(|peer| peer.name != place.name)
    };
    let mut moved = places(snapshot, &routes, here, asked.filter.ports.as_ref());
    moved.retain(|place| place.own && has_moved(place) && asked.means_echo(place.address.ip()));
    let is_meant = |peers: &[&PeerReading]| {
        peers.iter().any(|peer| asked.means_echo(peer.address) || asked.means_port(peer.address, peer.port))
    };
    let none = asked.filter.ends.is_empty() && asked.filter.peers.as_ref().is_some_and(BTreeSet::is_empty);
    if (none || is_meant(&gone)) && !is_meant(&there) && moved.is_empty() {
        let mut runs = running().filter(|node| gone.iter().any(|peer| peer.name == node.name)).peekable();
        return Err(if runs.peek().is_none() {
            "none of the nodes that it was about runs".to_owned()
        } else if runs.any(|node| node.networks.iter().any(|one| is_on(one) && !one.ips.is_empty())) {
            "the nodes that it was about have other addresses now".to_owned()
        } else {
            format!("{target} shares no network any more with the nodes that it was about")
        });
    }
    Ok(there.into_iter().map(|peer| Place::of(peer, asked)).chain(moved).collect())
}

/// What the injection has met so far. A helper that cannot say so has said what it saw all the same.
async fn packets(metadata: &Metadata, holder: &Holder) -> Option<Packets> {
    match holder.ask_aside(Ask::Packets { injection: metadata.id.clone() }).await {
        Ok(Answer::Packets { packets }) => packets,
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(%error, id = %metadata.id, "the packets that it met are not counted");
            None
        }
    }
}

/// The addresses of these interfaces.
pub(super) async fn on(holder: &Holder, interfaces: &[String]) -> Result<BTreeSet<IpAddr>, String> {
    match holder.ask_aside(Ask::Hello).await.map_err(|error| error.to_string())? {
        Answer::Hello { interfaces: found, .. } => {
            let meant = found.into_iter().filter(|one| interfaces.contains(&one.name));
            Ok(meant.flat_map(|one| one.ips).collect())
        }
        _ => Err("its helper answered something else".to_owned()),
    }
}

/// For each node, whether any of its addresses was reached, and the middle of the round trips.
pub fn by_node(reading: &Reading) -> BTreeMap<String, (bool, Option<u64>)> {
    let mut nodes: BTreeMap<String, (bool, Option<u64>)> = BTreeMap::new();
    for peer in reading.peers.iter().filter(|peer| peer.is_tried()) {
        let entry = nodes.entry(peer.name.clone()).or_default();
        entry.0 |= peer.is_reached();
        entry.1 = entry.1.or(peer.median_us());
    }
    nodes
}

/// The pairs of nodes that injections cut off from one another, by name.
pub fn cuts<'a>(injections: impl IntoIterator<Item = &'a Metadata>, nodes: &[Node]) -> Vec<(String, String)> {
    let mut cuts = Vec::new();
    for metadata in injections {
        let Some(asked) = metadata.network().map(|fault| Asked::of(&fault)).filter(Asked::is_cut) else { continue };
        // A restarted node has a new network, without the rules.
        let stands = |node: &&Node| node.id == metadata.container_id && fate(metadata, Some(node)) == Fate::Stands;
        let Some(target) = nodes.iter().find(stands) else { continue };
        let is_cut_off = |node: &&Node| node.place() != target.place() && node.ips().any(|ip| asked.means_echo(ip));
        for here in nodes.iter().filter(|node| node.place() == target.place()) {
            let peers = nodes.iter().filter(is_cut_off);
            cuts.extend(peers.map(|peer| (here.name.clone(), peer.name.clone())));
        }
    }
    cuts
}

fn quick(places: &[Place]) -> Probe {
    Probe {
        places: places.iter().map(|place| place.address).collect(),
        connects: 4,
        echoes: 10,
        interval_ms: 5,
        patience_ms: PATIENCE_MS,
        linger_ms: 0,
        burst_bytes: 0,
        until_change: false,
    }
}

/// How many samples, how fast, and how long each may take.
fn probe(asked: &Asked, moment: Moment, places: &[Place], others: &[Vec<Beside>]) -> Probe {
    let longest = |others: &Vec<Beside>| others.iter().map(|other| other.effect.longest_us()).sum::<u64>();
    let rest_us = others.iter().map(longest).max().unwrap_or(0);
    let patience = |us: u64| {
        let ms = u32::try_from(us / 1000).unwrap_or(u32::MAX);
        ms.saturating_add(ms / 2).saturating_add(PATIENCE_MS).min(MOST_PATIENCE_MS)
    };
    let longest_us = asked.effect.longest_us().saturating_add(rest_us);
    let (longest_ms, patience_ms) = (u32::try_from(longest_us / 1000).unwrap_or(u32::MAX), patience(longest_us));
    let quick = Probe { patience_ms: patience(rest_us), ..quick(places) };
    match moment {
        Moment::Before => Probe { interval_ms: 2, until_change: true, ..quick },
        Moment::After => Probe { patience_ms, ..quick },
        Moment::Watching => Probe { connects: 2, echoes: 5, interval_ms: 20, patience_ms, ..quick },
        Moment::During if asked.is_cut() => Probe { interval_ms: 10, ..quick },
        Moment::During => {
            // Echoes have no ports: with a filter by port the connections alone are judged.
            let by_port = asked.filter.ports.is_some() || !asked.filter.ends.is_empty();
            let twice = asked.alone().doubled.is_some();
            let rates =
                others.iter().flatten().flat_map(|other| other.effect.passes()).filter_map(|pass| pass.impairment.rate);
            let lowest = rates.map(|rate| rate.bits_per_second).min();
            let (burst_bytes, burst_ms) = burst(asked, lowest);
            Probe {
                connects: if by_port { 40 } else { 8 },
                echoes: if by_port { 4 } else { 40 },
                interval_ms: 10,
                patience_ms: patience_ms.saturating_add(burst_ms).min(MOST_PATIENCE_MS),
                linger_ms: if twice { longest_ms.saturating_add(50) } else { 0 },
                burst_bytes,
                ..quick
            }
        }
    }
}

/// A burst that shows the rate, twice as large as its bucket and half a second long at least, and how long it takes; 0
/// where it would be too large.
fn burst(asked: &Asked, others: Option<u64>) -> (u32, u32) {
    let Some(own) = asked.bits_per_second() else { return (0, 0) };
    let bits = others.map_or(own, |others| others.min(own));
    let bytes = (asked.burst_bytes() * 2).max(bits / 16).clamp(60_000, MOST_BURST);
    let ms = bytes * 8000 / bits.max(1);
    if asked.burst_bytes() * 2 > bytes || bits > MOST_RATE || ms > MOST_BURST_MS {
        return (0, 0);
    }
    (u32::try_from(bytes).unwrap_or(0), u32::try_from(ms).unwrap_or(u32::MAX))
}

fn time_of(probe: &Probe) -> Duration {
    let rounds = u64::from(probe.connects.max(probe.echoes)) * u64::from(probe.interval_ms);
    let burst = if probe.burst_bytes > 0 { probe.patience_ms } else { 0 };
    Duration::from_millis(rounds + u64::from(probe.patience_ms) + u64::from(probe.linger_ms) + u64::from(burst))
}

fn named(places: &[Place], seen: Vec<Seen>) -> Reading {
    let peers = seen.into_iter().filter_map(|one| {
        let place = places.iter().find(|place| place.address == one.place)?;
        let (address, port) = (one.place.ip(), one.place.port());
        let Seen { connect, echo, burst, .. } = one;
        // An echo from the Docker host says nothing of the node behind its port.
        let echo = echo.filter(|_| place.own);
        Some(PeerReading { name: place.name.clone(), address, port, connect, echo, burst, beside: Vec::new() })
    });
    Reading { peers: peers.collect(), ..Reading::default() }
}
