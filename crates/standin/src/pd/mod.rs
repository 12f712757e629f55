//! A placement driver: members that agree through Raft on stores and regions, one of which leads, hears the stores'
//! heartbeats and answers for all.
//!
//! Unlike real PD it never makes new replicas of a store that is down for long, and never splits, merges or moves
//! regions: they are made once, when enough stores are there.

mod api;
mod balance;
mod heartbeat;
mod requests;
mod state;
mod units;

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use api::Beat;
use jiff::Timestamp;
use prometheus::GaugeVec;
use requests::Reply;
use slog::{Logger, info, warn};
use state::{Command, Member, State};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use super::{
    args,
    http::{self, Asked},
    net::{self, Hello, PeerEvent, Peers},
    peer_log::PeerLog,
    raft::{Group, Groups, Ticks, Timings, decode, encode},
    settings,
};
use tikv_chaos_core::assumed::{PD_ELECTION_TICKS, PD_TICK, metric};

/// The members' only group.
const GROUP: u64 = 1;
/// How long a proposal waits for the members to agree.
const AGREEMENT: Duration = Duration::from_secs(3);

enum Event {
    Peer(PeerEvent),
    Api(Asked, oneshot::Sender<Reply>),
}

struct Pd {
    args: args::Pd,
    settings: settings::Pd,
    me: u64,
    groups: Groups<State>,
    peers: Peers,
    /// When another member's lease of the leadership ends, as far as this one knows.
    lease_until: Option<Instant>,
    /// What other members said of themselves.
    hellos: HashMap<u64, Member>,
    /// Since when this member leads, and in which term.
    leading: Option<(u64, Beat)>,
    beats: HashMap<u64, Beat>,
    /// Region, the store it is to be led by, and since when.
    transfer: Option<(u64, u64, Instant)>,
    stopping: heartbeat::Stopping,
    status: GaugeVec,
    log: Logger,
}

/// Until the log can't be written.
pub async fn run(args: args::Pd, settings: settings::Pd, log: &Logger) -> io::Result<()> {
    let position = args.initial_cluster.iter().position(|member| member.name == args.name);
    let me = position.ok_or_else(|| io::Error::other(format!("--initial-cluster does not name {}", args.name)))?;
    let me = me as u64 + 1;
    let voters: Vec<u64> = (1..=args.initial_cluster.len() as u64).collect();
    let ticks = Ticks { heartbeat: 1, election: PD_ELECTION_TICKS as usize };
    let play = settings.play;
    let timings = Timings::new(play.behaviour.commit_buckets).map_err(io::Error::other)?;
    let mut groups = Groups::open(&args.data_dir.join("raft"), ticks, timings, log, |_, _| Ok(me))?;
    let fresh = !groups.groups.contains_key(&GROUP);
    if fresh {
        groups.create(GROUP, me, &voters, vec![])?;
    }
    let pace = play.pace;
    let (peer_events, mut from_peers) = mpsc::channel(256);
    let (api, mut from_api) = mpsc::channel(256);
    let hello = Hello::Peer { id: me, name: args.name.clone(), client_urls: vec![args.advertise_client_urls.clone()] };
    let peers = Peers::new(&hello, PeerLog::Etcd, pace, log, peer_events.clone())?;
    let listener = TcpListener::bind(args.peer_urls).await?;
    tokio::spawn(net::accept(listener, pace, peer_events, |_| async { Ok(()) }));
    tokio::spawn(http::serve(TcpListener::bind(args.client_urls).await?, move |asked| {
        requests::answer(asked, api.clone(), play)
    }));
    let opts = prometheus::Opts::new(metric::PD_CLUSTER_STATUS, "Status of the cluster.");
    let status = GaugeVec::new(opts, &play.behaviour.pd_status_labels()).map_err(io::Error::other)?;
    prometheus::register(Box::new(status.clone())).map_err(io::Error::other)?;
    let mut pd = Pd {
        args,
        settings,
        me,
        groups,
        peers,
        lease_until: None,
        hellos: HashMap::new(),
        leading: None,
        beats: HashMap::new(),
        transfer: None,
        stopping: heartbeat::Stopping::default(),
        status,
        log: log.clone(),
    };
    let mut tick = interval(pace.of(PD_TICK));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stand = fresh && me == 1;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                // Nobody leads a new cluster: the first member need not wait to find out.
                if std::mem::take(&mut stand) && let Some(group) = pd.groups.groups.get_mut(&GROUP) {
                    let _ = group.node.campaign();
                }
                pd.tick();
            }
            Some(event) = from_peers.recv() => pd.handle(Event::Peer(event)),
            Some((asked, reply)) = from_api.recv() => pd.handle(Event::Api(asked, reply)),
        }
        while let Ok(event) = from_peers.try_recv() {
            pd.handle(Event::Peer(event));
        }
        pd.work()?;
    }
}

impl Pd {
    fn group(&mut self) -> Option<&mut Group<State>> {
        self.groups.groups.get_mut(&GROUP)
    }

    fn state(&self) -> Option<&State> {
        self.groups.groups.get(&GROUP).map(Group::machine)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Peer(PeerEvent::Hello { id, name, client_urls }) => {
                let peer = self.args.initial_cluster.get(id as usize - 1).map(|member| member.peer.clone());
                let client = client_urls.into_iter().next().unwrap_or_default();
                self.hellos.insert(id, Member { name, client, peer: peer.unwrap_or_default() });
            }
            Event::Peer(PeerEvent::Frame { from, frame }) => {
                if self.group().is_some_and(|group| group.leader() == from) {
                    self.lease_until = Some(Instant::now() + self.settings.play.pace.of(self.settings.lease));
                }
                match decode(&frame) {
                    Ok(messages) => {
                        for (group, message) in messages {
                            self.groups.step(group, message);
                        }
                    }
                    Err(error) => warn!(self.log, "stand-in: invalid raft message"; "from" => from, "error" => %error),
                }
            }
            Event::Peer(PeerEvent::Unreachable(id)) => {
                if let Some(group) = self.group() {
                    group.report_unreachable(id);
                }
            }
            Event::Api(asked, reply) => {
                let said = self.api(&asked);
                let _ = reply.send(said);
            }
        }
    }

    fn tick(&mut self) {
        let patience = self.settings.play.pace.patience(AGREEMENT);
        self.groups.tick(patience);
        if self.leading.is_some() {
            self.introduce();
            self.watch_stopping();
        }
    }

    /// Proposes what a leader finds missing in the agreed state; proposing it twice does no harm.
    fn introduce(&mut self) {
        let mut missing = vec![];
        let Some(state) = self.state() else { return };
        if state.cluster_id == 0 {
            missing.push(Command::Init { cluster_id: rand::random::<u64>() >> 1 });
        }
        let myself = Member {
            name: self.args.name.clone(),
            client: self.args.advertise_client_urls.clone(),
            peer: self.args.advertise_peer_urls.clone(),
        };
        for (id, member) in self.hellos.iter().chain([(&self.me, &myself)]) {
            if state.members.get(id) != Some(member) {
                missing.push(Command::Member { id: *id, member: member.clone() });
            }
        }
        if state.regions.is_empty() && state.stores.len() >= self.settings.stores {
            missing.push(Command::Bootstrap { regions: self.settings.regions, at: Timestamp::now() });
        }
        missing.iter().for_each(|command| self.propose(command));
    }

    fn propose(&mut self, command: &Command) {
        let bytes = serde_json::to_vec(command).unwrap_or_default();
        if let Some(group) = self.group() {
            group.propose(bytes, Box::new(|_| ()));
        }
    }

    fn work(&mut self) -> io::Result<()> {
        let mut out: HashMap<u64, Vec<_>> = HashMap::new();
        self.groups.work(&mut |group, message| out.entry(message.to).or_default().push((group, message)))?;
        for (to, messages) in out {
            let Some(member) = self.args.initial_cluster.get(to as usize - 1) else { continue };
            if !self.peers.send(to, &member.peer, encode(&messages)?)
                && let Some(group) = self.group()
            {
                group.report_unreachable(to);
            }
        }
        // Its etcd may have elected this member, but the leadership is the former leader's until its lease is over.
        let free = self.lease_until.is_none_or(|until| Instant::now() >= until) || self.leading.is_some();
        let leads = self.group().filter(|group| free && group.leads_with_all()).map(|group| group.term());
        if leads != self.leading.as_ref().map(|(term, _)| *term) {
            match leads {
                Some(_) => info!(self.log, "PD leader is ready to serve"; "leader-name" => &self.args.name),
                None => info!(self.log, "no longer a leader because lease has expired, pd leader will step down"),
            }
            let now = Beat { at: Instant::now(), time: Timestamp::now(), said: None };
            self.leading = leads.map(|term| (term, now));
            self.beats.clear();
            self.transfer = None;
            self.stopping = heartbeat::Stopping::default();
            if leads.is_some() {
                self.introduce();
            }
        }
        Ok(())
    }
}
