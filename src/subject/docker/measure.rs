//! Measuring from inside a target: what its holder is asked to look at, and the names behind what it saw.
//!
//! No helper is made just to look, but where the user asks who reaches whom. What cannot be measured says why, and is no
//! failure of anything else.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    holder::Holder,
    host::TikvSubject,
    node::{Node, Role, Snapshot},
    watch,
};
use crate::{
    chaos::{
        Metadata,
        measured::{Asked, Look, Matrix, Moment, PeerReading, Reading},
        network::{Filter, NetworkFault, Packets},
    },
    cluster::assumed::{PD_CLIENT_PORT, TIKV_PORT},
    holder::protocol::{Answer, Ask, Probe, Seen},
    subject::SubjectError,
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

/// A place to look at, and whose it is.
struct Place {
    name: String,
    address: SocketAddr,
}

impl Place {
    fn of(peer: &PeerReading) -> Self {
        Self { name: peer.name.clone(), address: SocketAddr::new(peer.address, peer.port) }
    }
}

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
            Moment::After => self.beside(metadata).await.map_err(|error| error.to_string())?,
            _ => self.warm(metadata).await.ok_or("its helper is not at hand")?,
        };
        let asked = &Asked::of(fault);
        let mut places: Vec<Place> = match known {
            Some(known) if moment == Moment::After => self.still_there(metadata, known, asked).await?,
            Some(known) => known.peers.iter().map(Place::of).collect(),
            None => self.places_of(metadata, fault, &asked.filter, &holder).await?,
        };
        // A burst goes to the first.
        places.sort_by_key(|place| !asked.means_echo(place.address.ip()));
        if places.is_empty() {
            return Ok(Look::Seen(Reading { peers: Vec::new(), packets: packets(metadata, &holder).await }));
        }
        let probe = probe(asked, moment, &places);
        let limit = time_of(&probe) + OVERHEAD;
        let late = |_| format!("its helper did not answer within {} s", limit.as_secs());
        let mut answer = timeout(limit, holder.ask_aside(Ask::Probe(probe.clone()))).await.map_err(late)?;
        if answer.is_err() && moment == Moment::After && holder.has_quit() {
            let next = self.beside(metadata).await.map_err(|error| error.to_string())?;
            answer = timeout(limit, next.ask_aside(Ask::Probe(probe))).await.map_err(late)?;
        }
        match answer.map_err(|error| error.to_string())? {
            Answer::Probed { seen } => {
                let mut reading = named(&places, seen);
                let any = reading.peers.iter().any(|peer| peer.connect.sent > 0);
                if moment == Moment::Before && !any {
                    return Err("the fault was there before an answer was".to_owned());
                }
                if matches!(moment, Moment::During | Moment::Watching) {
                    reading.packets = packets(metadata, &holder).await;
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

    /// Those that run at the address that they had: one that was killed or got another meanwhile does not answer, whatever
    /// became of the fault.
    async fn still_there(&self, metadata: &Metadata, known: &Reading, asked: &Asked) -> Result<Vec<Place>, String> {
        // An injection is undone by its id, of whatever project it is.
        let docker = self.docker().await.map_err(|error| error.to_string())?;
        let snapshot = watch::snapshot(&docker, None).await.map_err(|error| error.to_string())?;
        let running = snapshot.nodes.iter().filter(|node| node.is_running());
        let addresses: BTreeSet<IpAddr> = running.flat_map(Node::ips).collect();
        let (there, gone): (Vec<_>, Vec<_>) = known.peers.iter().partition(|peer| addresses.contains(&peer.address));
        // One that was followed to another address is looked at there.
        let target = snapshot.by_id(&metadata.container_id);
        let now = target.map(|target| places(&snapshot, target, asked.filter.ports.as_ref())).unwrap_or_default();
        let has_moved = |place: &Place| {
            gone.iter().any(|peer| peer.name == place.name) && there.iter().all(|peer| peer.name != place.name)
        };
        let moved = now.into_iter().filter(|place| has_moved(place) && asked.means_echo(place.address.ip()));
        let moved: Vec<Place> = moved.collect();
        let is_meant = |peers: &[&PeerReading]| peers.iter().any(|peer| asked.means_echo(peer.address));
        let none = asked.filter.peers.as_ref().is_some_and(BTreeSet::is_empty);
        if (none || is_meant(&gone)) && !is_meant(&there) && moved.is_empty() {
            return Err("none of the nodes that it was about runs".to_owned());
        }
        Ok(there.into_iter().map(Place::of).chain(moved).collect())
    }

    /// The peers that the target meets through the fault's interfaces.
    async fn places_of(
        &self,
        metadata: &Metadata,
        fault: &NetworkFault,
        filter: &Filter,
        holder: &Holder,
    ) -> Result<Vec<Place>, String> {
        // What a plan or a watch has seen is at hand at once: asking Docker first would let the moment pass.
        let snapshot = match self.at_hand() {
            Some(snapshot) => snapshot,
            None => self.snapshot().await.map_err(|error| error.to_string())?,
        };
        let mut here = snapshot.by_id(&metadata.container_id).ok_or("its target is gone")?.clone();
        if let Some(shape) = fault.shape()
            && here.networks.len() > 1
        {
            let carries = on(holder, &shape.interfaces).await?;
            here.networks.retain(|network| network.ips.iter().any(|ip| carries.contains(ip)));
        }
        Ok(places(&snapshot, &here, filter.ports.as_ref()))
    }

    /// Who reaches whom: measured from every node that runs and has a network of its own, beside which a helper is made
    /// where there is none; else by the rules that the cuts stand for, each between two nodes.
    pub async fn reach(&self, snapshot: &Snapshot, cuts: &[(String, String)]) -> Matrix {
        let nodes: Vec<(String, bool)> =
            snapshot.nodes.iter().map(|node| (node.name.clone(), node.is_running())).collect();
        let mut matrix = Matrix::by_rules(&nodes, cuts);
        let asking = snapshot.nodes.iter().filter(|node| node.is_running() && node.shares_network().is_none());
        let rows = asking.map(|node| async {
            let places = places(snapshot, node, None);
            let probe = Probe { connects: 4, echoes: 4, interval_ms: 10, ..quick(&places) };
            let answer = self.ask(node, Ask::Probe(probe)).await;
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
async fn on(holder: &Holder, interfaces: &[String]) -> Result<BTreeSet<IpAddr>, String> {
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
    for peer in &reading.peers {
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
        let target = nodes
            .iter()
            .find(|node| node.id == metadata.container_id && node.started_at == metadata.container_started_at);
        let Some(target) = target else { continue };
        let peers = nodes.iter().filter(|node| node.id != target.id && node.ips().any(|ip| asked.means_echo(ip)));
        cuts.extend(peers.map(|peer| (target.name.clone(), peer.name.clone())));
    }
    cuts
}

/// Every address of the other nodes in the networks that this one is on too.
fn places(snapshot: &Snapshot, node: &Node, ports: Option<&BTreeSet<u16>>) -> Vec<Place> {
    let others = snapshot.nodes.iter().filter(|other| {
        other.id != node.id && other.cluster == node.cluster && other.is_running() && other.shares_network().is_none()
    });
    let mut places = Vec::new();
    for other in others {
        let shared = other.networks.iter().filter(|network| node.networks.iter().any(|own| own.name == network.name));
        let ips: BTreeSet<IpAddr> = shared.flat_map(|network| network.ips.iter().copied()).collect();
        let main = main_port(other);
        // Where a filter names ports, one that it means is what shows it.
        let port = ports.filter(|ports| !ports.contains(&main)).and_then(BTreeSet::first).copied().unwrap_or(main);
        places.extend(ips.into_iter().map(|ip| Place { name: other.name.clone(), address: SocketAddr::new(ip, port) }));
    }
    places
}

fn main_port(node: &Node) -> u16 {
    match node.role {
        Role::Tikv => node.endpoints.port.unwrap_or(TIKV_PORT),
        Role::Pd => node.endpoints.http_port.unwrap_or(PD_CLIENT_PORT),
    }
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
fn probe(asked: &Asked, moment: Moment, places: &[Place]) -> Probe {
    let longest_ms = u32::try_from(asked.longest_us() / 1000).unwrap_or(u32::MAX);
    let patience_ms = longest_ms.saturating_add(longest_ms / 2).saturating_add(PATIENCE_MS).min(MOST_PATIENCE_MS);
    let quick = quick(places);
    match moment {
        Moment::Before => Probe { interval_ms: 2, until_change: true, ..quick },
        Moment::After => Probe { patience_ms, ..quick },
        Moment::Watching => Probe { connects: 2, echoes: 5, interval_ms: 20, patience_ms, ..quick },
        Moment::During if asked.is_cut() => Probe { interval_ms: 10, ..quick },
        Moment::During => {
            // Echoes have no ports: with a filter by port the connections alone are judged.
            let by_port = asked.filter.ports.is_some();
            let twice = asked.effect.doubled().is_some();
            let (burst_bytes, burst_ms) = burst(asked);
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
fn burst(asked: &Asked) -> (u32, u32) {
    let Some(bits) = asked.bits_per_second() else { return (0, 0) };
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
        Some(PeerReading { name: place.name.clone(), address, port, connect, echo, burst })
    });
    Reading { peers: peers.collect(), packets: None }
}
