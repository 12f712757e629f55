//! A store: its peers of the regions, each a Raft group, served from one loop. Everything that comes in waits in a
//! channel; the loop takes all of it, then writes, sends and answers once.

mod disk;
mod kv;
mod link;
mod metrics;
mod status;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use kv::Kv;
use link::PdLink;
use metrics::Metrics;
use raft::{StateRole, Storage as _, eraftpb::Message};
use serde::{Deserialize, Serialize};
use slog::{Logger, crit, info, warn};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    STARTED, VERSION, args, http,
    net::{self, Hello, PeerEvent, Peers},
    raft::{Group, Groups, Lost, Ticks, decode, encode, metric_name},
    wire::{DiskUsage, Heartbeat, Led, Op, Orders, Region, Reply, Request, Space, StoreMeta},
};
use tikv_chaos_core::assumed::{DISK_CHECK, MAX_PEER_DOWN, RAFT_ELECTION_TICKS, RAFT_HEARTBEAT_TICKS, RAFT_TICK};

/// The note that holds the store's own id; no region has this number.
const IDENT: u64 = 0;
/// A proposal that was not agreed on by then is forgotten here; the client was told so long before.
const PROPOSAL: Duration = Duration::from_secs(60);
/// When a client is told that it isn't known how its request will end.
const REQUEST: Duration = Duration::from_secs(10);

/// The note of a region.
#[derive(Serialize, Deserialize)]
struct Here {
    /// This store's.
    peer: u64,
    region: Region,
}

struct Store {
    args: args::Store,
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
    metrics: Metrics,
    reports: watch::Sender<Heartbeat>,
    log: Logger,
}

/// Until the log can't be written, or PD refuses the store.
pub async fn run(args: args::Store, log: &Logger) -> io::Result<()> {
    let pace = args.speed;
    let ticks = Ticks { heartbeat: RAFT_HEARTBEAT_TICKS as usize, election: RAFT_ELECTION_TICKS as usize };
    let mut groups = Groups::open(&args.data_dir.join("raft"), ticks, log, |id, note| match id {
        IDENT => Err(io::Error::other("the store's own note has no log")),
        _ => Ok(serde_json::from_slice::<Here>(note)?.peer),
    })?;
    let metrics = Metrics::register(&groups.timings).map_err(io::Error::other)?;
    let config = Arc::new(status::config(&args));
    let status = TcpListener::bind(args.status_addr).await?;
    tokio::spawn(http::serve(status, move |asked| std::future::ready(status::answer(&asked, &config))));
    let listener = TcpListener::bind(args.addr).await?;

    let mut link = PdLink::new(args.pds.clone(), pace, log);
    let id = match groups.note(IDENT) {
        Some(ident) => serde_json::from_slice(ident)?,
        None => {
            let id = link.alloc_id().await;
            groups.set_note(IDENT, serde_json::to_vec(&id)?)?;
            id
        }
    };
    info!(log, "start store"; "store_id" => id, "addr" => &args.advertise_addr, "regions" => groups.groups.len());
    let (peer_events, mut from_peers) = mpsc::channel(256);
    let (requests, mut from_clients) = mpsc::channel(256);
    let (orders, mut from_pd) = mpsc::channel(4);
    let (reports, report) = watch::channel(Heartbeat::default());
    let hello = Hello::Peer { id, name: args.advertise_addr.clone(), client_urls: vec![] };
    let peers = Peers::new(&hello, "store_id", pace, log, peer_events.clone())?;
    let counted = metrics.clone();
    tokio::spawn(net::accept(listener, pace, peer_events, move |stream| {
        status::serve_client(stream, requests.clone(), counted.clone(), pace.patience(REQUEST))
    }));
    let meta = StoreMeta {
        id,
        address: args.advertise_addr.clone(),
        status_address: args.advertise_status_addr.clone(),
        version: VERSION.to_owned(),
        start_timestamp: *STARTED,
        deploy_path: "/".to_owned(),
    };
    let notes = groups.notes().filter(|(id, _)| *id != IDENT);
    let regions = notes.map(|(id, note)| Ok((id, serde_json::from_slice::<Here>(note)?.region)));
    let mut store = Store {
        regions: regions.collect::<io::Result<_>>()?,
        args,
        meta,
        groups,
        peers,
        addresses: BTreeMap::new(),
        full: vec![],
        heard: HashMap::new(),
        begun: Instant::now(),
        space: Space::default(),
        usage: DiskUsage::Normal,
        metrics,
        reports,
        log: log.clone(),
    };
    store.check_disk()?;
    store.report(true);
    tokio::spawn(link.run(report, orders));

    let every = |real| {
        let mut timer = interval(pace.of(real));
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        timer
    };
    let (mut tick, mut disk_check) = (every(RAFT_TICK), every(DISK_CHECK));
    loop {
        let mut urgent = false;
        tokio::select! {
            _ = tick.tick() => store.tick(),
            _ = disk_check.tick() => urgent = store.check_disk()?,
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
        let full = self.usage != DiskUsage::Normal;
        for (id, region) in &self.regions {
            let Some(group) = self.groups.groups.get_mut(id) else { continue };
            // The other stores may not have had their orders yet when the first election began.
            let mine = region.store_of(region.first_leader) == Some(self.meta.id);
            let waits = group.leader() == 0 && group.node.raft.state == StateRole::Follower;
            if mine && waits && group.log().is_untouched() {
                let _ = group.node.campaign();
            }
            if full && group.is_leader() {
                let fit = |store: u64| store != self.meta.id && !self.full.contains(&store);
                let active = |peer: u64| group.node.raft.prs().get(peer).is_some_and(|progress| progress.recent_active);
                if let Some(peer) = region.peers.iter().find(|peer| fit(peer.store_id) && active(peer.id)).copied() {
                    info!(self.log, "try to transfer leader because of disk full";
                        "region_id" => id, "to_store" => peer.store_id);
                    group.transfer_leader(peer.id);
                }
            }
        }
    }

    /// Whether the usage changed.
    fn check_disk(&mut self) -> io::Result<bool> {
        self.space = disk::space(&self.args.data_dir, self.groups.size())?;
        let gauges =
            [("capacity", self.space.capacity), ("available", self.space.available), ("used", self.space.used)];
        for (name, bytes) in gauges {
            self.metrics.size.with_label_values(&[name]).set(bytes as f64);
        }
        let usage = disk::usage(self.space, self.args.reserve_space);
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
                self.space.available,
                self.space.used,
                self.space.capacity
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
                    Err(error) => return warn!(self.log, "invalid raft message"; "from" => from, "error" => %error),
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

    fn serve(&mut self, request: &Request, reply: oneshot::Sender<Reply>) {
        // A client that no longer waits needs no answer.
        let say = |reply: oneshot::Sender<Reply>, what| drop(reply.send(what));
        let region = self.regions.get(&request.region).filter(|region| region.holds(request.op.key()));
        let (Some(region), Some(group)) = (region, self.groups.groups.get_mut(&request.region)) else {
            return say(reply, Reply::RegionNotFound);
        };
        if !group.is_leader() {
            let leader = region.store_of(group.leader()).and_then(|store| self.addresses.get(&store));
            return say(reply, Reply::NotLeader(leader.cloned()));
        }
        match &request.op {
            Op::Get { key } => {
                let key = key.clone();
                group.read(Box::new(move |kv: Result<&Kv, Lost>| {
                    say(reply, kv.map_or(Reply::ServerIsBusy, |kv| Reply::Value(kv.get(&key).cloned())));
                }));
            }
            Op::Put { key, value } => {
                let full = |store: u64| {
                    if store == self.meta.id { self.usage != DiskUsage::Normal } else { self.full.contains(&store) }
                };
                let others = region.peers.iter().filter(|peer| full(peer.store_id)).count();
                if full(self.meta.id) || 2 * others > region.peers.len() {
                    return say(reply, Reply::DiskFull);
                }
                let tell = move |done: Result<(), Lost>| say(reply, done.map_or(Reply::ServerIsBusy, |()| Reply::Done));
                group.propose(kv::put(key, value), Box::new(tell));
            }
        }
    }

    fn obey(&mut self, orders: Orders) -> io::Result<()> {
        self.addresses = orders.stores;
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
            if let Some(group) = self.groups.groups.get_mut(&region) {
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
            crit!(self.log, "store {}: failed to write to raft engine: {}", self.meta.id, error);
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

    /// Renews what the next heartbeat says; an urgent one is sent at once.
    fn report(&self, urgent: bool) {
        let groups = &self.groups.groups;
        let leads: Vec<Led> =
            groups.iter().filter(|(_, group)| group.is_leader()).map(|(id, group)| self.led(*id, group)).collect();
        self.metrics.regions.with_label_values(&["leader"]).set(leads.len() as f64);
        self.metrics.regions.with_label_values(&["region"]).set(groups.len() as f64);
        let heartbeat = Heartbeat {
            store: self.meta.clone(),
            space: self.space,
            usage: self.usage,
            slow_score: 1.0,
            region_count: groups.len() as u64,
            pending_peers: leads.iter().map(|led| led.pending.len() as u64).sum(),
            leads,
        };
        self.reports.send_if_modified(|report| {
            *report = heartbeat;
            urgent
        });
    }

    fn led(&self, id: u64, group: &Group<Kv>) -> Led {
        let first = group.log().first_index().unwrap_or_default();
        let others = self.regions.get(&id).into_iter().flat_map(|region| &region.peers);
        let others = others.filter(|peer| peer.store_id != self.meta.id);
        let silent = |store| self.heard.get(&store).unwrap_or(&self.begun).elapsed();
        let behind = |peer| group.node.raft.prs().get(peer).is_some_and(|progress| progress.matched + 1 < first);
        Led {
            region: id,
            term: group.term(),
            size: group.machine().bytes(),
            keys: group.machine().keys(),
            down: others
                .clone()
                .map(|peer| (peer.id, silent(peer.store_id)))
                .filter(|(_, silent)| *silent > self.args.speed.of(MAX_PEER_DOWN))
                .map(|(peer, silent)| (peer, silent.as_secs()))
                .collect(),
            pending: others.map(|peer| peer.id).filter(|peer| behind(*peer)).collect(),
        }
    }
}
