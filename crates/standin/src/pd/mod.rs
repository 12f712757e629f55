//! A placement driver: members that agree through Raft on stores and regions, one of which leads, hears the stores'
//! heartbeats and answers for all.
//!
//! Unlike real PD it never makes new replicas of a store that is down for long, and never splits, merges or moves
//! regions: they are made once, when enough stores are there.

mod api;
mod balance;
mod state;
mod units;

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use api::{Beat, View};
use hyper::Method;
use jiff::Timestamp;
use prometheus::GaugeVec;
use slog::{Logger, error, info, warn};
use state::{Command, Leader, Member, State};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    VERSION, args,
    http::{self, Answer, Asked},
    net::{self, Hello, PeerEvent, Peers},
    pace::Pace,
    raft::{Group, Groups, Ticks, decode, encode},
    wire::{ALLOC_ID, HEARTBEAT, Heartbeat, Orders},
};
use tikv_chaos_core::assumed::{PD_ELECTION_TICKS, PD_TICK, metric};

/// The members' only group.
const GROUP: u64 = 1;
/// How long a request waits for the members to agree, or for the leader.
const AGREEMENT: Duration = Duration::from_secs(3);
/// A member is healthy that was heard from in this time; its leader sends a heartbeat with every tick.
const HEALTHY: Duration = Duration::from_secs(3);
/// A transfer that nobody reported done is given up after so long.
const TRANSFER: Duration = Duration::from_secs(10);

enum Event {
    Peer(PeerEvent),
    Api(Asked, oneshot::Sender<Reply>),
}

/// What the loop tells the task that holds a request.
enum Reply {
    Answer(Answer),
    /// Ask the leader, `host:port`.
    Forward(String),
    /// The members are asked; an id comes.
    Id(oneshot::Receiver<u64>),
}

struct Pd {
    args: args::Pd,
    me: u64,
    groups: Groups<State>,
    peers: Peers,
    heard: HashMap<u64, Instant>,
    /// What other members said of themselves.
    hellos: HashMap<u64, Member>,
    /// Since when this member leads, and in which term.
    leading: Option<(u64, Beat)>,
    beats: HashMap<u64, Beat>,
    /// Region, the store it is to be led by, and since when.
    transfer: Option<(u64, u64, Instant)>,
    status: GaugeVec,
    log: Logger,
}

/// Until the log can't be written.
pub async fn run(args: args::Pd, log: &Logger) -> io::Result<()> {
    let position = args.initial_cluster.iter().position(|member| member.name == args.name);
    let me = position.ok_or_else(|| io::Error::other(format!("--initial-cluster does not name {}", args.name)))?;
    let me = me as u64 + 1;
    let voters: Vec<u64> = (1..=args.initial_cluster.len() as u64).collect();
    let ticks = Ticks { heartbeat: 1, election: PD_ELECTION_TICKS as usize };
    let mut groups = Groups::open(&args.data_dir.join("raft"), ticks, log, |_, _| Ok(me))?;
    let fresh = !groups.groups.contains_key(&GROUP);
    if fresh {
        groups.create(GROUP, me, &voters, vec![])?;
    }
    let pace = args.speed;
    let (peer_events, mut from_peers) = mpsc::channel(256);
    let (api, mut from_api) = mpsc::channel(256);
    let hello = Hello::Peer { id: me, name: args.name.clone(), client_urls: vec![args.advertise_client_urls.clone()] };
    let peers = Peers::new(&hello, "member_id", pace, log, peer_events.clone())?;
    let listener = TcpListener::bind(args.peer_urls).await?;
    tokio::spawn(net::accept(listener, pace, peer_events, |_| async { Ok(()) }));
    tokio::spawn(http::serve(TcpListener::bind(args.client_urls).await?, move |asked| {
        answer(asked, api.clone(), pace)
    }));
    info!(log, "start server"; "name" => &args.name, "client-urls" => args.client_urls, "member_id" => me);
    let opts = prometheus::Opts::new(metric::PD_CLUSTER_STATUS, "Status of the cluster.");
    let status = GaugeVec::new(opts, &["type"]).map_err(io::Error::other)?;
    prometheus::register(Box::new(status.clone())).map_err(io::Error::other)?;
    let mut pd = Pd {
        args,
        me,
        groups,
        peers,
        heard: HashMap::new(),
        hellos: HashMap::new(),
        leading: None,
        beats: HashMap::new(),
        transfer: None,
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

/// Serves one request, with what the loop says of it.
async fn answer(asked: Asked, api: mpsc::Sender<(Asked, oneshot::Sender<Reply>)>, pace: Pace) -> Answer {
    let (reply, told) = oneshot::channel();
    let unavailable = |why: &str| Answer::text(503, why);
    if api.send((asked.clone(), reply)).await.is_err() {
        return unavailable("the server ends\n");
    }
    let limit = pace.patience(AGREEMENT);
    match told.await {
        Ok(Reply::Answer(answer)) => answer,
        Ok(Reply::Id(id)) => match timeout(limit, id).await {
            Ok(Ok(id)) => Answer::json(&id),
            _ => unavailable("no quorum to allot an id\n"),
        },
        Ok(Reply::Forward(leader)) => match http::ask(&leader, asked, limit).await {
            Ok((status, body)) => Answer { status, content_type: "application/json; charset=UTF-8", body },
            Err(error) => unavailable(&format!("cannot ask the leader: {error}\n")),
        },
        Err(_) => unavailable("the server ends\n"),
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
                self.heard.insert(from, Instant::now());
                match decode(&frame) {
                    Ok(messages) => {
                        for (group, message) in messages {
                            self.groups.step(group, message);
                        }
                    }
                    Err(error) => warn!(self.log, "invalid raft message"; "from" => from, "error" => %error),
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
        let patience = self.args.speed.patience(AGREEMENT);
        self.groups.tick(patience);
        if self.leading.is_some() {
            self.introduce();
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
        if state.regions.is_empty() && state.stores.len() >= self.args.stores {
            missing.push(Command::Bootstrap { regions: self.args.regions, at: Timestamp::now() });
        }
        missing.iter().for_each(|command| self.propose(command));
    }

    fn propose(&mut self, command: &Command) {
        let bytes = serde_json::to_vec(command).unwrap_or_default();
        if let Some(group) = self.group() {
            group.propose(bytes, Box::new(|_| ()));
        }
    }

    fn api(&mut self, asked: &Asked) -> Reply {
        match asked.path() {
            "/metrics" => {
                self.status.reset();
                if let Some(view) = self.view() {
                    let counts = view.counts();
                    counts.iter().for_each(|(name, value)| self.status.with_label_values(&[name]).set(*value));
                }
                Reply::Answer(Answer::metrics())
            }
            "/pd/api/v1/version" => Reply::Answer(Answer::json(&serde_json::json!({ "version": VERSION }))),
            "/pd/api/v1/status" => Reply::Answer(Answer::json(&serde_json::json!({
                "build_ts": "", "version": VERSION, "git_hash": "", "start_timestamp": *super::STARTED,
            }))),
            "/pd/api/v1/ping" => Reply::Answer(Answer::text(200, "")),
            _ if self.leading.is_some() => self.lead(asked),
            _ => match self.leader_address() {
                Some(address) => Reply::Forward(address),
                None => Reply::Answer(Answer::text(503, "no leader\n")),
            },
        }
    }

    fn lead(&mut self, asked: &Asked) -> Reply {
        match (&asked.method, asked.path()) {
            (&Method::POST, ALLOC_ID) => {
                let (answer, id) = oneshot::channel();
                let command = serde_json::to_vec(&Command::AllocId).unwrap_or_default();
                if let Some(group) = self.group() {
                    let tell = move |allotted| {
                        if let Ok(Some(id)) = allotted {
                            let _ = answer.send(id);
                        }
                    };
                    group.propose(command, Box::new(tell));
                }
                Reply::Id(id)
            }
            (&Method::POST, HEARTBEAT) => Reply::Answer(match serde_json::from_slice(&asked.body) {
                Ok(heartbeat) => self.heartbeat(heartbeat),
                Err(error) => Answer::text(400, &error.to_string()),
            }),
            (&Method::GET, path) => Reply::Answer(match self.view() {
                Some(view) => view.answer(path),
                None => Answer::text(503, "no leader\n"),
            }),
            _ => Reply::Answer(Answer::text(405, "405 method not allowed\n")),
        }
    }

    /// Another member that leads, as far as this one knows.
    fn leader_address(&mut self) -> Option<String> {
        let leader = self.group()?.leader();
        let known = self.state()?.members.get(&leader).or_else(|| self.hellos.get(&leader));
        known.filter(|_| leader != self.me).map(|member| member.client.clone())
    }

    fn view(&self) -> Option<View<'_>> {
        let limit = self.args.speed.patience(HEALTHY);
        let heard = self.heard.iter().filter(|(_, at)| at.elapsed() < limit).map(|(id, _)| *id);
        Some(View {
            state: self.state()?,
            beats: &self.beats,
            leading_since: self.leading.as_ref()?.1.clone(),
            leader: self.me,
            healthy: heard.chain([self.me]).collect(),
            pace: self.args.speed,
        })
    }

    fn heartbeat(&mut self, said: Heartbeat) -> Answer {
        let Some(state) = self.state() else { return Answer::text(503, "no state\n") };
        let id = said.store.id;
        if let Some(other) = state.namesake(&said.store) {
            let why = format!(
                "duplicated store address: id:{id} address:{:?}, already registered by id:{other}",
                said.store.address
            );
            error!(self.log, "{}", why);
            return Answer::text(409, &why);
        }
        let known = state.stores.get(&id) == Some(&said.store);
        let leaders = said.leads.iter().filter_map(|led| {
            let leader = Leader { store: id, term: led.term };
            let known = state.leaders.get(&led.region).is_some_and(|known| known.term >= leader.term);
            (!known).then_some(Command::Leader { region: led.region, leader })
        });
        let mut commands: Vec<Command> = leaders.collect();
        if !known {
            info!(self.log, "put store"; "store-id" => id, "address" => &said.store.address);
            commands.push(Command::PutStore(said.store.clone()));
        }
        for command in &commands {
            if let Command::Leader { region, leader } = command {
                info!(self.log, "leader changed"; "region-id" => region, "to" => leader.store, "term" => leader.term);
            }
            self.propose(command);
        }
        let was = self.beats.get(&id).map(|beat| beat.at.elapsed());
        if was.is_some_and(|age| api::state_name(age, self.args.speed) != tikv_chaos_core::assumed::UP) {
            info!(self.log, "store is back"; "store-id" => id, "silent" => ?was.unwrap_or_default());
        }
        let leads = said.leads.clone();
        let space = said.space;
        self.beats.insert(id, Beat { at: Instant::now(), time: Timestamp::now(), said: Some(said) });
        let Some(view) = self.view() else { return Answer::text(503, "no leader\n") };
        if view.is_low(id) {
            warn!(self.log, "store does not have enough disk space";
                "store-id" => id, "capacity" => space.capacity, "available" => space.available);
        }
        let state = view.state;
        let running = self.transfer.is_some_and(|(region, to, since)| {
            let done = state.leaders.get(&region).is_some_and(|leader| leader.store == to);
            !done && since.elapsed() < self.args.speed.patience(TRANSFER)
        });
        let transfer = if running { None } else { balance::transfer(state, &view.fit(), id, &leads) };
        let orders = Orders {
            stores: state.stores.values().map(|store| (store.id, store.address.clone())).collect(),
            full: view.full(),
            regions: state.regions.values().filter(|region| region.peer_on(id).is_some()).cloned().collect(),
            transfers: transfer.iter().map(|(region, peer, _)| (*region, *peer)).collect(),
        };
        if let Some((region, _, to)) = transfer {
            info!(self.log, "add operator"; "region-id" => region,
                "operator" => format!("balance-leader {{transfer leader: store {id} to {to}}}"));
        }
        if !running {
            self.transfer = transfer.map(|(region, _, to)| (region, to, Instant::now()));
        }
        Answer::json(&orders)
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
        let leads = self.group().filter(|group| group.leads_with_all()).map(|group| group.term());
        if leads != self.leading.as_ref().map(|(term, _)| *term) {
            match leads {
                Some(term) => info!(self.log, "PD leader is ready to serve"; "name" => &self.args.name, "term" => term),
                None => info!(self.log, "no longer a leader"; "name" => &self.args.name),
            }
            let now = Beat { at: Instant::now(), time: Timestamp::now(), said: None };
            self.leading = leads.map(|term| (term, now));
            self.beats.clear();
            self.transfer = None;
            if leads.is_some() {
                self.introduce();
            }
        }
        Ok(())
    }
}
