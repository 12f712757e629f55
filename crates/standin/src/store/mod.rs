//! A store: its peers of the regions, each a Raft group, served from one loop. Everything that comes in waits in a
//! channel; the loop takes all of it, then writes, sends and answers once.

mod disk;
mod kv;
mod link;
mod metrics;
mod network;
mod report;
mod serve;
mod status;
mod stop;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tikv_chaos_core::disk::DiskUsage;

use kv::Kv;
use link::PdLink;
use metrics::Metrics;
use network::Network;
use raft::{StateRole, eraftpb::Message};
use serde::{Deserialize, Serialize};
use slog::{Logger, crit, info, warn};
use stop::Eviction;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    STARTED, args, http,
    net::{self, Hello, PeerEvent, Peers},
    peer_log::PeerLog,
    raft::{Groups, Ticks, Timings, decode, encode, metric_name},
    settings,
    wire::{Heartbeat, Orders, Region, Space, StoreMeta},
};

/// The note that holds the store's own id; no region has this number.
const IDENT: u64 = 0;
/// TiKV keeps a proposal for as long as nothing tells how it ends.
const PROPOSAL: Duration = Duration::MAX;

/// The note of a region.
#[derive(Serialize, Deserialize)]
struct Here {
    /// This store's.
    peer: u64,
    region: Region,
}

struct Store {
    args: args::Store,
    settings: settings::Store,
    meta: StoreMeta,
    groups: Groups<Kv>,
    regions: BTreeMap<u64, Region>,
    peers: Peers,
    /// By store.
    addresses: BTreeMap<u64, String>,
    /// Stores whose disks are full, as PD last said.
    full: Vec<u64>,
    heard: HashMap<u64, Instant>,
    begun: Instant,
    space: Space,
    usage: DiskUsage,
    /// Where the version has it.
    network: Option<Network>,
    /// Since it was told to end.
    eviction: Option<Eviction>,
    metrics: Metrics,
    reports: watch::Sender<Heartbeat>,
    log: Logger,
}

/// Until the log can't be written, PD refuses the store, or it has ended as `stopping` asked for.
pub async fn run(
    args: args::Store,
    settings: settings::Store,
    mut stopping: watch::Receiver<bool>,
    log: &Logger,
) -> io::Result<()> {
    let started = Instant::now();
    let (pace, behaviour) = (settings.play.pace, settings.play.behaviour);
    let ticks = Ticks { heartbeat: settings.heartbeat_ticks as usize, election: settings.election_ticks as usize };
    let timings = Timings::new(behaviour.commit_buckets).map_err(io::Error::other)?;
    let mut groups = Groups::open(&args.data_dir.join("raft"), ticks, timings, log, |id, note| match id {
        IDENT => Err(io::Error::other("the store's own note has no log")),
        _ => Ok(serde_json::from_slice::<Here>(note)?.peer),
    })?;
    let metrics = Metrics::register(&groups.timings, &behaviour).map_err(io::Error::other)?;
    let config = Arc::new(status::config(&args, &settings));
    let status = TcpListener::bind(args.status_addr).await?;
    tokio::spawn(http::serve(status, move |asked| std::future::ready(status::answer(&asked, &config))));
    let listener = TcpListener::bind(args.addr).await?;

    let mut link = PdLink::new(args.pds.clone(), pace, settings.store_heartbeat, log);
    let id = match groups.note(IDENT) {
        Some(ident) => serde_json::from_slice(ident)?,
        None => {
            let id = tokio::select! {
                id = link.alloc_id() => id,
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            };
            groups.set_note(IDENT, serde_json::to_vec(&id)?)?;
            id
        }
    };
    info!(log, "start store"; "store_id" => id, "region_count" => groups.groups.len(), "takes" => ?started.elapsed());
    let (peer_events, mut from_peers) = mpsc::channel(256);
    let (requests, mut from_clients) = mpsc::channel(256);
    let (orders, mut from_pd) = mpsc::channel(4);
    let (reports, report) = watch::channel(Heartbeat::default());
    let hello = Hello::Peer { id, name: args.advertise_addr.clone(), client_urls: vec![] };
    let words = PeerLog::Tikv { connections: behaviour.connections_are_logged };
    let peers = Peers::new(&hello, words, pace, log, peer_events.clone())?;
    let counted = metrics.clone();
    tokio::spawn(net::accept(listener, pace, peer_events, move |stream| {
        serve::connection(stream, requests.clone(), counted.clone())
    }));
    let meta = StoreMeta {
        id,
        address: args.advertise_addr.clone(),
        status_address: args.advertise_status_addr(),
        version: behaviour.to_string(),
        start_timestamp: *STARTED,
        deploy_path: "/".to_owned(),
    };
    let notes = groups.notes().filter(|(id, _)| *id != IDENT);
    let regions = notes.map(|(id, note)| Ok((id, serde_json::from_slice::<Here>(note)?.region)));
    let mut store = Store {
        regions: regions.collect::<io::Result<_>>()?,
        args,
        settings,
        meta,
        groups,
        peers,
        addresses: BTreeMap::new(),
        full: vec![],
        heard: HashMap::new(),
        begun: Instant::now(),
        space: Space::default(),
        usage: DiskUsage::Normal,
        network: behaviour.has_network_score().then(|| Network::new(id, pace, &metrics)),
        eviction: None,
        metrics,
        reports,
        log: log.clone(),
    };
    store.check_disk()?;
    store.refresh_size()?;
    store.report(true);
    tokio::spawn(link.run(report, orders));

    let every = |real| {
        let mut timer = interval(pace.of(real));
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        timer
    };
    let mut tick = every(store.settings.raft_tick);
    let (mut disk_check, mut size_refresh) = (every(behaviour.disk_check), every(behaviour.size_refresh));
    loop {
        let mut urgent = false;
        tokio::select! {
            _ = tick.tick() => store.tick(),
            _ = disk_check.tick() => urgent = store.check_disk()?,
            _ = size_refresh.tick() => store.refresh_size()?,
            Ok(_) = stopping.wait_for(|stopping| *stopping), if store.eviction.is_none() => {
                store.eviction = Some(Eviction::begin(&store.settings, store.leaders(), log));
                urgent = true;
            }
            () = stop::look(&mut store.eviction) => if store.may_end() {
                return Ok(());
            },
            Some(event) = from_peers.recv() => store.hear(event),
            Some((request, reply)) = from_clients.recv() => store.serve(&request, reply),
            Some(orders) = from_pd.recv() => store.obey(orders?)?,
        }
        while let Ok(event) = from_peers.try_recv() {
            store.hear(event);
        }
        while let Ok((request, reply)) = from_clients.try_recv() {
            store.serve(&request, reply);
        }
        store.work(urgent)?;
    }
}

impl Store {
    fn tick(&mut self) {
        self.groups.tick(PROPOSAL);
        for (id, region) in &self.regions {
            let Some(group) = self.groups.groups.get_mut(id) else { continue };
            // The other stores may not have had their orders yet when the first election began.
            let mine = region.store_of(region.first_leader) == Some(self.meta.id);
            let waits = group.leader() == 0 && group.node.raft.state == StateRole::Follower;
            if mine && waits && group.log().is_untouched() {
                let _ = group.node.campaign();
            }
        }
    }

    fn measure(&self) -> io::Result<Space> {
        disk::space(&self.args.data_dir, self.groups.size(), self.settings.capacity)
    }

    /// What metrics and PD are told.
    fn refresh_size(&mut self) -> io::Result<()> {
        self.space = self.measure()?;
        let gauges =
            [("capacity", self.space.capacity), ("available", self.space.available), ("used", self.space.used)];
        for (name, bytes) in gauges {
            self.metrics.size.with_label_values(&[name]).set(bytes as f64);
        }
        Ok(())
    }

    /// Whether the usage changed.
    fn check_disk(&mut self) -> io::Result<bool> {
        let space = self.measure()?;
        let usage = disk::usage(space, self.settings.reserve_space);
        let was = std::mem::replace(&mut self.usage, usage);
        if was != usage {
            warn!(
                self.log,
                "disk usage {:?}->{:?} (raft engine usage: {:?}, kv engine usage: {:?}), \
                seperated raft mount=false, kv available={}, snap=0, kv=0, raft={}, capacity={}",
                was,
                usage,
                usage,
                usage,
                space.available,
                space.used,
                space.capacity
            );
        }
        Ok(was != usage)
    }

    fn hear(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Hello { .. } => {}
            PeerEvent::Frame { from, frame } => {
                self.heard.insert(from, Instant::now());
                let messages = match decode(&frame) {
                    Ok(messages) => messages,
                    Err(error) => {
                        return warn!(self.log, "stand-in: invalid raft message"; "from" => from, "error" => %error);
                    }
                };
                for (region, message) in messages {
                    if !self.groups.step(region, message) {
                        self.metrics.dropped.with_label_values(&["region_nonexistent"]).inc();
                    }
                }
            }
            PeerEvent::Unreachable(store) => self.unreachable(store),
        }
    }

    fn unreachable(&mut self, store: u64) {
        self.metrics.failures.with_label_values(&["unreachable", &store.to_string()]).inc();
        for (id, region) in &self.regions {
            if let (Some(peer), Some(group)) = (region.peer_on(store), self.groups.groups.get_mut(id)) {
                group.report_unreachable(peer.id);
            }
        }
    }

    fn obey(&mut self, orders: Orders) -> io::Result<()> {
        self.addresses = orders.stores;
        if let Some(network) = &mut self.network {
            network.watch(&self.addresses);
        }
        self.full = orders.full;
        for region in orders.regions {
            let Some(peer) = region.peer_on(self.meta.id).filter(|_| !self.regions.contains_key(&region.id)) else {
                continue;
            };
            let voters: Vec<u64> = region.peers.iter().map(|peer| peer.id).collect();
            let here = Here { peer: peer.id, region };
            let note = serde_json::to_vec(&here)?;
            info!(self.log, "create peer"; "region_id" => here.region.id, "peer_id" => here.peer);
            self.groups.create(here.region.id, here.peer, &voters, note)?;
            if here.region.first_leader == here.peer
                && let Some(group) = self.groups.groups.get_mut(&here.region.id)
            {
                let _ = group.node.campaign();
            }
            self.regions.insert(here.region.id, here.region);
        }
        for (region, peer) in orders.transfers {
            // TiKV asks the other one first (peer.rs, `pre_transfer_leader`): while raft-rs waits for one that it does not reach,
            // it takes no proposal.
            if let Some(group) = self.groups.groups.get_mut(&region)
                && group.node.raft.prs().get(peer).is_some_and(|progress| progress.recent_active)
            {
                info!(self.log, "transfer leader"; "region_id" => region, "peer" => peer);
                group.transfer_leader(peer);
            }
        }
        Ok(())
    }

    fn work(&mut self, urgent: bool) -> io::Result<()> {
        let mut out: HashMap<u64, Vec<(u64, Message)>> = HashMap::new();
        let regions = &self.regions;
        let changed = self.groups.work(&mut |id, message| {
            if let Some(store) = regions.get(&id).and_then(|region| region.store_of(message.to)) {
                out.entry(store).or_default().push((id, message));
            }
        });
        let changed = changed.inspect_err(|error| {
            let id = self.meta.id;
            crit!(self.log, "store {}: store-writer-{}-0 failed to write to raft engine: {:?}", id, id, error);
        })?;
        for (store, messages) in out {
            let sent = match self.addresses.get(&store) {
                Some(address) => self.peers.send(store, address, encode(&messages)?),
                None => false,
            };
            let status = if sent { "accept" } else { "drop" };
            for kind in messages.iter().filter_map(|(_, message)| metric_name(message.get_msg_type())) {
                self.metrics.sent.with_label_values(&[kind, status]).inc();
            }
            if !sent {
                self.unreachable(store);
            }
        }
        self.report(changed || urgent);
        Ok(())
    }
}
